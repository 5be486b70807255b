"""Checks the slow calls, over time and between versions, and attributes changes to phases."""

from __future__ import annotations

from dataclasses import replace
from math import isnan
from typing import TYPE_CHECKING

from radiosonde.config.values import duration_words
from radiosonde.diagnose.failure_findings import place_name
from radiosonde.diagnose.finding import Finding, Floor
from radiosonde.diagnose.floors import falling, scan_floors, too_few_in
from radiosonde.diagnose.latency_findings import latency_findings
from radiosonde.diagnose.latency_floors import least_seen
from radiosonde.diagnose.latency_incidents import slow_spans
from radiosonde.diagnose.latency_objective import find_slow, folded, objective_findings
from radiosonde.diagnose.measured import slow_rate
from radiosonde.diagnose.registry import MIN_CALLS, Check, count
from radiosonde.diagnose.status import window_length_ns
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from radiosonde.diagnose.places import Places
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
    found = latency_findings(view.table, view.panel, view.windows, slow.spans, view.runtime, view.config.slo.p99)
    if not view.wants_past:
        found = [each if each.onset.ended_ns is None else replace(each, severity="info") for each in found]
    report.add(*folded(found, broken, window_length_ns(view.windows)))
    phases = len(view.panel.phases)
    what = f"tail latency over time and by version, {count(phases, 'phase')}"
    least = least_seen(view.panel, view.table, slow)
    if least is None or slow.places is None:
        report.passed(view, what, "latency")
    else:
        bound = f"{1000 * least.above.bound_s:.3g} ms"
        _look_at_floors(view, report, what, (least.above.scan, slow.places, least.share), bound)
    cohorts = {key.cohort for key in view.table.keys} - {""}
    if slow.places is not None and cohorts and not any(name.cohort for name in slow.places.names):
        because = (
            f"{count(len(cohorts), 'cohort')} over {count(view.table.size, 'window')} are too many to look at each"
        )
        report.gap(view, "tail latency of single cohorts", because)
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
    _look_at_floors(view, report, f"p99 against its objective of {bound}", (found.scan, found.places, 0.0), bound)
    return objective_findings(view.table, view.windows, found, wants_past=view.wants_past)


def _look_at_floors(view: View, report: Report, what: str, counted: tuple[SpanScan, Places, float], bound: str) -> None:
    """Report which shares of calls above *bound* would have been reported, and the places in which none would.

    *counted* are the calls above it, the places, and the smallest share that matters.
    """
    scan, places, least = counted
    known = scan_floors(scan, view.table, places)
    if known is None:
        report.passed(view, what, "latency")
        return
    rates = falling({words: max(rate, least) for words, rate in known.rates.items()})
    floors = [_floor(rate, f"of calls above {bound} {words}") for words, rate in rates.items()]
    if known.worst is not None:
        index, rate = known.worst
        floors.append(_floor(max(rate, least), f"in {place_name(places.names[index], view.table)} {known.words}"))
    report.passed(view, what, "latency", floors)
    if known.blind:
        names = [place_name(places.names[index], view.table) for index in known.blind]
        report.gap(view, f"calls above {bound} of single versions and cohorts", too_few_in(names, known.words))


def _floor(rate: float, words: str) -> Floor:
    return Floor(rate, "share", f"nothing yet {words}" if isnan(rate) else f"{percent(rate)} {words}")


CHECK = Check(
    name="tail_latency",
    watches="p99 and the mean beyond it, split over phases",
    subject="latency",
    measures=("share of calls above a bound", "seconds per phase"),
    baselines=("objective", "past", "peers"),
    scales="windows",
    severity="page from 2 % of the place's calls or 0.5 % of all taking twice the former p99, or from the model's objective; else ticket; note once it has ended",
    look=look,
    about=("backend", "version", "host"),
    measured=slow_rate,
)
