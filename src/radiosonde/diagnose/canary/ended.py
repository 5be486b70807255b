"""Ended incidents of the old version, which are excluded from its baseline.

During a rollout both versions run at the same time, so nothing of it is excluded. The day before is the baseline for the failure rate, the
latency and the clustering of events of the old version. An outage in it would hide a slow canary behind slow calls of yesterday.

Only the time before the first step of the rollout is searched, so every look excludes the same time. An incident that is ongoing when the
rollout begins is kept, because it is the current state of the old version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde.diagnose.failure_incidents import find_failures
from radiosonde.diagnose.known_bad import KnownBad
from radiosonde.diagnose.latency_incidents import slow_spans
from radiosonde.diagnose.measures import make_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde.model import Window

_FEWEST_STEPS = 20
"""Smallest number of windows for detecting an incident."""


def ended_incidents(model: str, windows: Sequence[Window]) -> tuple[KnownBad, ...]:
    """Return the time in which calls failed or were slow and then recovered, oldest first.

    Args:
        model: the model.
        windows: windows of the old version before the rollout began.
    """
    served = [window for window in windows if window.calls]
    if len({window.start_ns for window in served}) < _FEWEST_STEPS:
        return ()
    table = make_table(model, served)
    found = {
        (int(table.start_ns[each.onset]), int(table.start_ns[each.recovered])): "failing calls"
        for each in find_failures(table).incidents
        if each.recovered is not None and each.recovered < table.size and each.is_reported_by(table.size)
    }
    for span in slow_spans(table, served).spans:
        if span.end_ns is not None:
            found.setdefault((span.start_ns, span.end_ns), "slow calls")
    return tuple(KnownBad(start, end, model, why) for (start, end), why in sorted(found.items()))
