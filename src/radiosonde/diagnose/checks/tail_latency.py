"""Checks the slow calls, over time and between versions, and attributes changes to phases."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from radiosonde.config.values import duration_words
from radiosonde.diagnose.finding import Finding, Floor
from radiosonde.diagnose.floors import falling, floor_spans, rate_floor
from radiosonde.diagnose.latency_findings import latency_findings
from radiosonde.diagnose.latency_incidents import slow_spans
from radiosonde.diagnose.latency_objective import find_slow, folded, objective_findings
from radiosonde.diagnose.measured import slow_rate
from radiosonde.diagnose.registry import MIN_CALLS, Check, count
from radiosonde.diagnose.status import window_length_ns
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from radiosonde.diagnose.registry import Report, View
    from radiosonde.diagnose.spans import SpanScan


def look(view: View, report: Report) -> None:
    """Check the tail of the latency of the model of *view*."""
    broken = _look_at_objective(view, report)
    if view.too_short:
        report.gap(view, "tail latency", view.too_short, "latency")
        report.add(*broken)
        return
    slow = slow_spans(view.table, view.windows)
    found = latency_findings(view.table, view.panel, view.windows, slow.spans, view.runtime, wants_past=view.wants_past)
    report.add(*folded(found, broken, window_length_ns(view.windows)))
    phases = len(view.panel.phases)
    report.passed(
        view,
        f"tail latency over time and by version, {count(phases, 'phase')}",
        "latency",
        _floors(view, slow.scan, f"{1000 * slow.bound_s:.3g} ms"),
    )
    if not phases:
        report.gap(view, "latency by phase", "no phases were recorded; mark them with radiosonde.stage(...)")
    if found and not view.runtime:
        because = "the health of the processes was not recorded (RADIOSONDE_RUNTIME is off, or Radiosonde was an older version)"
        report.gap(view, "the machine while calls were slow", because)


def _look_at_objective(view: View, report: Report) -> list[Finding]:
    """Return the findings on the declared bound of p99, and report that it was checked."""
    bound_s = view.config.slo.p99
    if bound_s is None:
        return []
    calls = int(view.table.calls.sum())
    bound = duration_words(bound_s)
    if calls < MIN_CALLS:
        report.gap(
            view,
            f"p99 against its objective of {bound}",
            f"there are {count(calls, 'call')}; at least {MIN_CALLS} are needed",
        )
        return []
    found = find_slow(view.table, view.windows, bound_s)
    floors = _floors(view, found.scan, bound)
    report.passed(view, f"p99 against its objective of {bound}", "latency", floors)
    return objective_findings(view.table, view.windows, found, wants_past=view.wants_past)


def _floors(view: View, scan: SpanScan | None, bound: str) -> list[Floor]:
    """Return the smallest shares of calls above *bound*, which *scan* counts, that would have been reported."""
    if scan is None or not scan.latest(1, 0).trials:
        return []
    made = []
    rates = {words: rate_floor(scan, length) for length, words in floor_spans(view.table).items()}
    for words, rate in falling(rates).items():
        text = f"nothing yet {words}" if isnan(rate) else f"{percent(rate)} of calls above {bound} {words}"
        made.append(Floor(rate, "share", text))
    return made


CHECK = Check(
    name="tail_latency",
    watches="p99 and the mean beyond it, split over phases",
    subject="latency",
    measures=("share of calls above a bound", "seconds per phase"),
    baselines=("objective", "past", "peers"),
    scales="windows",
    severity="page; note once it has ended",
    look=look,
    about=("backend", "version", "host"),
    measured=slow_rate,
)
