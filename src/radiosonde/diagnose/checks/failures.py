"""Checks failures: absolute, over time, and between versions; locates and characterises them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.failing_features import failed_rows, shared_values
from radiosonde.diagnose.failure_findings import failure_finding, place_name
from radiosonde.diagnose.failure_incidents import RULE, Failures, find_failures
from radiosonde.diagnose.finding import Floor
from radiosonde.diagnose.floors import falling, floor_spans, longer_spans, rate_floor
from radiosonde.diagnose.measured import failure_rate
from radiosonde.diagnose.registry import Check, count
from radiosonde.model import OVERFLOW_COHORT
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from radiosonde.diagnose.failing_features import Shared
    from radiosonde.diagnose.registry import Report, View
    from radiosonde.diagnose.replay import Incident

_CALLS_PER_FLOOR = 20.0


def look(view: View, report: Report) -> None:
    """Check the failing calls of the model of *view*."""
    table = view.table
    calls = int(table.calls.sum())
    found = find_failures(table, view.config.slo.failures)
    for incident in found.incidents:
        shared = _shared(view, incident)
        report.add(failure_finding(table, found, incident, wants_past=view.wants_past, shared=shared))
    if found.looked_until < table.size:
        because = (
            f"failures came and went {len(found.incidents) + len(found.bursts)} times; later incidents were not checked"
        )
        report.gap(view, "failures at the end of the period", because, "errors")
        return
    floors = _floors(view, found)
    is_blind = bool(floors) and all(np.isnan(floor.value) for floor in floors)
    if not calls or (is_blind and not found.incidents):
        held = f"there {'is' if calls == 1 else 'are'} {count(calls, 'call')} in {count(table.size, 'window')}"
        because = f"{held}: no failure rate would be reported yet; it needs {RULE.objective_trials:.0f} calls"
        report.gap(view, "failures", because, "errors")
        return
    cohorts = len({key.cohort for key in table.keys if key.cohort})
    what = f"failures of {count(calls, 'call')} by {count(len(table.arms), 'version')} and {count(cohorts, 'cohort')}"
    report.passed(view, what, "errors", floors, _overflowed(view))
    if len(table.arms) < 2:
        because = "there is only one version; a canary would provide a comparison"
        report.gap(view, "versions against each other", because)


def _shared(view: View, incident: Incident) -> list[Shared]:
    """Return the common properties of the failing calls of *incident*."""
    table = view.table
    keys = {key for key, is_mine in zip(table.keys, incident.cover.series, strict=True) if is_mine}
    end = table.size if incident.recovered is None else incident.recovered
    start_ns, end_ns = int(table.start_ns[incident.onset]), int(table.end_ns[max(end - 1, incident.onset)])
    rows = failed_rows(view.windows, view.references, keys, start_ns, end_ns)
    return [] if rows is None else shared_values(rows, incident.alarm.dispersion)


def _floors(view: View, found: Failures) -> list[Floor]:
    """Return the floors of the whole model for the last two windows, hour and day, and of the smallest place for the longest."""
    table, scan = view.table, found.scan
    spans = floor_spans(table)
    if not scan.latest(1, 0).trials:
        return []  # all that is served now belongs to an incident
    rates = falling({words: rate_floor(scan, length) for length, words in spans.items()})
    if all(np.isnan(rate) for rate in rates.values()):
        spans = longer_spans(scan) or spans
        rates = {words: rate_floor(scan, length) for length, words in spans.items()}
    floors = [_floor(rate, words) for words, rate in rates.items()]
    length, words = next((length, words) for length, words in spans.items() if words == list(rates)[-1])
    single = [
        index
        for index, name in enumerate(found.places.names)
        if name.parts == 1 and scan.latest(length, index).trials >= _CALLS_PER_FLOOR
    ]
    if len(single) > 1:
        worst = max(single, key=lambda index: np.nan_to_num(rate_floor(scan, length, index), nan=2.0))
        name = place_name(found.places.names[worst], table)
        floors.append(_floor(rate_floor(scan, length, worst), f"in {name} {words}"))
    return floors


def _floor(rate: float, words: str) -> Floor:
    if np.isnan(rate):
        return Floor(rate, "share", f"nothing yet {words}, however many failed")
    return Floor(rate, "share", f"{percent(rate)} failing {words}")


def _overflowed(view: View) -> str:
    """Describe the traffic without a cohort because there were too many, or return ``""``."""
    table = view.table
    hidden = sum(float(table.calls[row].sum()) for row, key in enumerate(table.keys) if key.cohort == OVERFLOW_COHORT)
    if not hidden:
        return ""
    share = hidden / max(float(table.calls.sum()), 1.0)
    return f"{percent(share)} of the calls belong to cohorts beyond the limit and cannot be distinguished"


CHECK = Check(
    name="failures",
    watches="calls that raised",
    subject="errors",
    measures=("failure rate",),
    baselines=("objective", "past", "peers"),
    scales="windows",
    severity="page from 2 % of the place's calls or 0.5 % of all, or from the model's objective; else ticket; note once it has ended",
    look=look,
    about=("version", "backend"),
    measured=failure_rate,
)
