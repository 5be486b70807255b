"""Checks the slow calls, over time and between versions, and attributes changes to phases."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from radiosonde.diagnose.finding import Floor
from radiosonde.diagnose.floors import falling, floor_spans, rate_floor
from radiosonde.diagnose.latency_findings import latency_findings
from radiosonde.diagnose.latency_incidents import slow_spans
from radiosonde.diagnose.registry import Check, count

if TYPE_CHECKING:
    from radiosonde.diagnose.latency_incidents import SlowCalls
    from radiosonde.diagnose.registry import Report, View


def look(view: View, report: Report) -> None:
    """Look at the tail of the latency of the model of *view*."""
    if view.too_short:
        report.gap(view, "tail latency", view.too_short, "latency")
        return
    slow = slow_spans(view.table, view.windows)
    found = latency_findings(view.table, view.panel, view.windows, slow.spans, view.runtime, wants_past=view.wants_past)
    report.add(*found)
    phases = len(view.panel.phases)
    report.passed(
        view, f"tail latency over time and by version, {count(phases, 'phase')}", "latency", _floors(view, slow)
    )
    if not phases:
        report.gap(view, "latency by phase", "no phases were recorded; mark them with radiosonde.stage(...)")
    if found and not view.runtime:
        because = "nobody counted the health of the processes (RADIOSONDE_RUNTIME is off, or Radiosonde was older)"
        report.gap(view, "the machine while calls were slow", because)


def _floors(view: View, slow: SlowCalls) -> list[Floor]:
    """Return the smallest shares of calls above the usual p99 that would have been reported."""
    if slow.scan is None or not slow.scan.latest(1, 0).trials:
        return []
    bound = f"{1000 * slow.bound_s:.3g} ms"
    made = []
    rates = {words: rate_floor(slow.scan, length) for length, words in floor_spans(view.table).items()}
    for words, rate in falling(rates).items():
        text = f"nothing yet {words}" if isnan(rate) else f"{100 * rate:.2g} % of calls above {bound} {words}"
        made.append(Floor(rate, "share", text))
    return made


CHECK = Check(
    name="tail_latency",
    watches="p99 and the mean beyond it, split over phases",
    subject="latency",
    measures=("share of calls above a bound", "seconds per phase"),
    baselines=("past", "peers"),
    scales="windows",
    severity="page; a note when it is over",
    look=look,
)
