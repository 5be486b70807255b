"""Incidents of failing calls: against the objective and the past by replay, between versions by the always-valid test of two arms.

The two tests complete each other. A version that fails from its first call on has no past; only the other versions in the same cohort and
time show that it is bad. A version that fails since yesterday has both, and is found at the resolution of the windows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.cover import Cover, find_cover
from radiosonde.diagnose.error_signals import series_of, version_problems
from radiosonde.diagnose.panel import Axis, Panel
from radiosonde.diagnose.places import PlaceName, Places, make_places
from radiosonde.diagnose.replay import Incident, find_onset, past_rates, recovery, replay
from radiosonde.diagnose.spans import Alarm, Rule, SpanScan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.arm_search import ArmProblem
    from radiosonde.diagnose.measures import MeasureTable

    Numbers = NDArray[np.float64]

RULE = Rule(min_rise=0.001, objective=0.05)
_MOST_STEPS = 1500
_BURST_STEPS, _BURST_NS = 10, 3_600_000_000_000


class Failures(NamedTuple):
    """Everything that is known of the failing calls of a model.

    Attributes:
        places: the places that were looked at.
        scan: what is left when incidents are taken out.
        incidents: incidents, those that are over included, bursts not.
        bursts: short bursts that this model is known to have.
        looked_until: the last step that was looked at.
        slo: largest share of calls that may fail, as the model's owners declared; None where they did not.
    """

    places: Places
    scan: SpanScan
    incidents: list[Incident]
    bursts: list[Incident]
    looked_until: int
    slo: float | None = None


def find_failures(table: MeasureTable, slo: float | None = None) -> Failures:
    """Return the incidents of failing calls in *table*.

    Args:
        table: the measures of the model.
        slo: largest share of calls that may fail, as the model's owners declared.
    """
    places = make_places(table.keys, table.calls.sum(axis=1))
    scan = SpanScan(places.members, table.failures, table.calls, table.steps_per_month, replace(RULE, slo=slo))
    length_ns = float(np.median(table.end_ns - table.start_ns)) if table.size else 1.0
    burst_steps = int(min(_BURST_STEPS, _BURST_NS // max(length_ns, 1)))
    found, until = replay(scan, places, burst_steps)
    incidents = [_settled(table, places, incident, found) for incident in found if not incident.is_burst]
    incidents += _worse_versions(table, places, scan)
    return Failures(places, scan, incidents, [incident for incident in found if incident.is_burst], until, slo)


def _settled(table: MeasureTable, places: Places, incident: Incident, others: list[Incident]) -> Incident:
    """Return *incident* with place and onset from everything that is known by now, not only from what opened it."""
    failures, calls = table.failures.copy(), table.calls.copy()
    for other in others:
        if other is not incident and not other.is_burst:
            over = slice(other.onset, table.size if other.recovered is None else other.recovered)
            failures[other.cover.series, over] = calls[other.cover.series, over] = 0
    alarm = incident.alarm
    first = max(alarm.step + 1 - 2 * alarm.length, 0)
    rates = past_rates(failures, calls, first)
    end = table.size if incident.recovered is None else incident.recovered
    inside = slice(incident.onset, end)
    hits, trials = failures[:, inside].sum(axis=1), calls[:, inside].sum(axis=1)
    cover = find_cover(places, hits, trials, rates, alarm.dispersion)
    if not hits[cover.series].sum():
        return incident
    rows = cover.series
    onset, earliest, latest = find_onset(failures[rows], calls[rows], alarm, rates[rows], first)
    return replace(incident, cover=cover, onset=onset, earliest=earliest, latest=latest)


def _worse_versions(table: MeasureTable, places: Places, scan: SpanScan) -> list[Incident]:
    """Return the versions, or cohorts of versions, that fail more often than the others, beyond what *scan* had masked."""
    if len(table.arms) < 2:
        return []
    starts = np.unique(np.linspace(0, table.size, min(table.size, _MOST_STEPS), endpoint=False).astype(np.int64))
    panel = _coarse(table, scan, starts)
    return [_from_arms(table, panel, starts, places, scan, problem) for problem in version_problems(panel)]


def _coarse(table: MeasureTable, scan: SpanScan, starts: NDArray[np.int64]) -> Panel:
    """Return what *scan* holds in steps that begin at *starts*: the test of two arms goes through them one by one."""
    arms = table.arms
    failures, calls = (np.add.reduceat(part, starts, axis=1).astype(np.int64) for part in (scan.hits, scan.trials))
    arm_of = np.array([arms.index((key.version, key.variant)) for key in table.keys])
    none, nothing = np.zeros((0, *calls.shape), np.int64), np.zeros((len(arms), 0, 0), np.int64)
    return Panel(
        table.model, Axis(0, 1, starts.size), table.keys, calls, failures, {}, none, none, calls, nothing, arms, arm_of, (),
        np.zeros((len(arms), 0, 0, 0)),
    )  # fmt: skip


def _from_arms(
    table: MeasureTable, panel: Panel, starts: NDArray[np.int64], places: Places, scan: SpanScan, problem: ArmProblem
) -> Incident:
    version, variant = panel.arms[problem.arm]
    name = PlaceName(version, variant, problem.cohort)
    series = series_of(panel, problem)
    index = places.names.index(name) if name in places.names else 0
    start, earliest, latest = (int(starts[step]) for step in problem.verdict[1:4])
    ln_e = problem.verdict.ln_e - float(np.log(problem.hypotheses))
    rest = problem.rest_hits / max(problem.rest_trials, 1)
    # The alarm stands in for the look that found it: the evidence is that of the whole time since the onset.
    width = int(np.diff(starts, append=table.size).max())
    at = min(start + 2 * width, table.size - 1)
    alarm = Alarm(at, at + 1 - start, index, ln_e, 8.0, ln_e, 1.0, rest, is_objective=False)
    rates = np.full(int(series.sum()), max(rest, 1e-5))
    first = max(start - 2 * width, 0)
    onset, likely, last = find_onset(scan.hits[series], scan.trials[series], alarm, rates, first)
    if width == 1:
        onset, likely, last = start, earliest, latest
    made = Incident(alarm, Cover((index,), series, (), ()), onset, min(likely, onset), max(last, onset), opened=onset)
    made.recovered, made.closed = recovery(made, alarm, scan.hits, scan.trials)
    return made
