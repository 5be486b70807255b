"""How long to wait after a fix before its verification can answer: the calls it needs, at the pace of the incident."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.config.values import duration_words
from radiosonde.diagnose.finding import iso
from radiosonde.diagnose.verification import MeasuredRate, verify
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from radiosonde.diagnose.finding import Finding

_HOUR_NS = 3_600_000_000_000


def wait_words(finding: Finding, measured: MeasuredRate | None) -> str:
    """Return how long to wait before *finding* can be verified, in sentences.

    Args:
        finding: the incident.
        measured: the rate by which it is verified; None if it is verified by its state.
    """
    onset = finding.onset
    if onset.ended_ns is not None:
        return f"It ended at {iso(onset.ended_ns)} and is {finding.state}: verify now."
    if measured is None or not measured.end_ns.size:
        opened = onset.at_ns if finding.opened_ns is None else finding.opened_ns
        took = duration_words(max(opened - onset.at_ns, _HOUR_NS) / 1e9)
        return f"No single rate measures it: it is verified by its state, after {took} without the fault."
    last = int(measured.end_ns[-1])
    done = verify(measured, onset.at_ns, last)
    usual = "not known" if math.isnan(done.usual) else percent(done.usual)
    rates = f"Usual: {usual}; during the incident: {percent(done.during)}."
    if math.isnan(done.needed):
        return (
            f"{rates} Both are too close for this test to distinguish them: decide by the finding, which must be gone."
        )
    first = int(np.searchsorted(measured.start_ns, onset.at_ns))
    length_s = float((measured.end_ns - measured.start_ns)[first:].sum()) / 1e9
    pace = float(measured.trials[first:].sum()) / length_s if length_s else 0.0
    needed = f"{done.needed:,.0f}".replace(",", " ")
    if not pace:
        return f"{rates} At least {needed} calls at the place are needed after the fix; there are none now."
    window_s = float(measured.end_ns[-1] - measured.start_ns[-1]) / 1e9
    wait_s = float(f"{max(done.needed / pace, window_s):.2g}")
    return (
        f"{rates} At least {needed} calls at the place are needed after the fix, about {duration_words(wait_s)} at the pace of the incident. "
        f"Before that the answer is NOT YET KNOWN (exit code 3), with the calls that are missing."
    )
