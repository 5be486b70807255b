"""Incidents of failing calls: against the objective and the past by replay, between versions by the always-valid test of two arms.

The two tests complete each other. A version that fails from its first call on has no past; only the other versions in the same cohort and
time show that it is bad. A version that fails since yesterday has both, and is found at the resolution of the windows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.arm_gate import ArmGate
from radiosonde.diagnose.cover import Cover, find_cover
from radiosonde.diagnose.error_signals import series_of, version_problems
from radiosonde.diagnose.panel import Axis, Panel
from radiosonde.diagnose.places import PlaceName, Places, make_places
from radiosonde.diagnose.replay import Incident, Replay, find_onset, past_rates, recovery
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
    """All results on the failing calls of a model.

    Attributes:
        places: the checked places.
        scan: the scan without the time of the incidents.
        incidents: incidents, including ended ones, without bursts.
        bursts: usual short bursts of this model.
        looked_until: the last checked step.
        slo: declared largest share of calls that may fail; None if not declared.
        usual: a rise that goes on and is no incident, because rises like it are usual; None without one.
    """

    places: Places
    scan: SpanScan
    incidents: list[Incident]
    bursts: list[Incident]
    looked_until: int
    slo: float | None = None
    usual: Incident | None = None


class FailureReplay:
    """The failing calls of a model whose table grows, updated step by step.

    Args:
        table: the measures of the model so far.
        slo: largest share of calls that may fail, as the model's owners declared.

    Attributes:
        replay: the incidents against the objective and the past.
        may_be_worse: whether a version may be worse than the others.
    """

    def __init__(self, table: MeasureTable, slo: float | None = None) -> None:
        self._slo = slo
        self._places = make_places(table.keys, table.calls.sum(axis=1))
        self._scale = _time_scale(table)
        month_steps, burst_steps = self._scale
        scan = SpanScan(self._places.members, table.failures, table.calls, month_steps, replace(RULE, slo=slo))
        self.replay = Replay(scan, self._places, burst_steps, table.start_ns).run()
        self._gate = ArmGate(table.keys)
        self._look_at_versions()

    def _look_at_versions(self) -> None:
        scan = self.replay.scan
        self.may_be_worse = self._gate.advance(scan.hits, scan.trials, self.replay.changes)

    def advance(self, table: MeasureTable, first: int) -> bool:
        """Update from *table* from step *first* on; return False if everything has to be recounted.

        The series of *table* must be those of before.
        """
        scan = self.replay.scan
        if _time_scale(table) != self._scale or first > scan.size:
            return False
        if first < scan.size and not self.replay.rewind(first):
            return False
        self.replay.starts = table.start_ns
        scan.append(table.failures[:, first:], table.calls[:, first:])
        self.replay.run()
        self._look_at_versions()
        return True

    def found(self, table: MeasureTable) -> Failures:
        """Return the results; *table* is the one of the last update."""
        replay, places = self.replay, self._places
        known = [incident for incident in replay.incidents if incident.is_reported_by(table.size)]
        incidents = [_settled(table, places, incident, replay.incidents) for incident in known]
        incidents += _worse_versions(table, places, replay.scan) if self.may_be_worse else []
        bursts = [incident for incident in replay.incidents if incident.is_burst]
        return Failures(places, replay.settled_scan(), incidents, bursts, replay.looked, self._slo, replay.usual)


def find_failures(table: MeasureTable, slo: float | None = None) -> Failures:
    """Return the incidents of failing calls in *table*.

    Args:
        table: the measures of the model.
        slo: largest share of calls that may fail, as the model's owners declared.
    """
    return FailureReplay(table, slo).found(table)


def _time_scale(table: MeasureTable) -> tuple[float, int]:
    """Return the number of steps in 28 days, and in the longest burst."""
    length_ns = float(np.median(table.end_ns - table.start_ns)) if table.size else 1.0
    return table.steps_per_month, int(min(_BURST_STEPS, _BURST_NS // max(length_ns, 1)))


def _settled(table: MeasureTable, places: Places, incident: Incident, others: list[Incident]) -> Incident:
    """Return *incident* with place and onset computed from all data, not only from the data that opened it."""
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
    """Return the counts of *scan* in steps that begin at *starts*, for the test of two arms."""
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
    # The alarm is synthetic: its evidence covers the whole time since the onset.
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
