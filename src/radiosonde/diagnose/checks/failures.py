"""Checks failures: absolute, over time, and between versions; locates and characterises them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.failing_features import failed_rows, shared_values
from radiosonde.diagnose.failure_findings import failure_finding, place_name
from radiosonde.diagnose.failure_incidents import RULE, find_failures
from radiosonde.diagnose.finding import Floor
from radiosonde.diagnose.floors import louder_floor, scan_floors, too_few_in
from radiosonde.diagnose.measured import failure_rate
from radiosonde.diagnose.registry import Check, count
from radiosonde.diagnose.replay import FEW
from radiosonde.model import OVERFLOW_COHORT
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from radiosonde.diagnose.failing_features import Shared
    from radiosonde.diagnose.failure_incidents import Failures
    from radiosonde.diagnose.floors import ScanFloors
    from radiosonde.diagnose.measures import MeasureTable
    from radiosonde.diagnose.registry import Report, View
    from radiosonde.diagnose.replay import Incident


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
    known = scan_floors(found.scan, table, found.places)
    floors = _beside_usual(found) if known is None else _floors(known, found, table)
    cohorts = len({key.cohort for key in table.keys if key.cohort})
    what = f"failures of {count(calls, 'call')} by {count(len(table.arms), 'version')} and {count(cohorts, 'cohort')}"
    report.passed(view, what, "errors", floors, _overflowed(view))
    if known is not None and known.blind:
        names = [place_name(found.places.names[index], table) for index in known.blind]
        report.gap(view, "failures of single versions and cohorts", too_few_in(names, known.words))
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


def _floors(known: ScanFloors, found: Failures, table: MeasureTable) -> list[Floor]:
    """Return the floors of the whole model, and of the place in which the largest share would have to fail."""
    if all(np.isnan(rate) for rate in known.rates.values()) and float(table.calls.sum()) < RULE.objective_trials:
        held = f"{count(int(table.calls.sum()), 'call')} in {count(table.size, 'window')}"
        return [Floor(float("nan"), "share", f"nothing yet of {held}, it needs {RULE.objective_trials:.0f} calls")]
    floors = [_floor(rate, words) for words, rate in known.rates.items()]
    if known.worst is not None:
        index, rate = known.worst
        floors.append(_floor(rate, f"in {place_name(found.places.names[index], table)} {known.words}"))
    return floors


def _beside_usual(found: Failures) -> list[Floor]:
    """Return the floor while a rise goes on that is usual at this time; none without one."""
    if found.usual is None:
        return []
    return [_floor(louder_floor(found.scan, found.usual), f"for {FEW} windows, while a usual rise goes on")]


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
    severity="page where 2 % of the place's calls or 0.5 % of all fail that did not before, or from the model's objective; else ticket; note once it has ended",
    look=look,
    about=("version", "backend"),
    measured=failure_rate,
)
