"""Detects process incidents: garbage collections, a blocked event loop, a full thread pool.

Each table of durations gives two rates: durations above a bound that no service should reach, against an objective of one in a hundred; and
durations above a tenth of a second, against their own past. Both are tested by the engine of spans, with a process as a place, so that one
bad process of twenty is identified. The calls that come while a process stands still suffer: as many of them as the share of its time that it
stands still for longer than the first bound. Waits for a thread are those of calls. Throttling is not a finding by itself: a throttled process with fast answers is not an incident.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.finding import Evidence, Finding, Floor, Onset, Place, Timeline, confidence
from radiosonde.diagnose.floors import rate_floor
from radiosonde.diagnose.next_steps import look_at_health, look_before
from radiosonde.diagnose.places import make_places
from radiosonde.diagnose.replay import Incident, replay
from radiosonde.diagnose.severity import AffectedShares, severity_of
from radiosonde.diagnose.spans import Rule, SpanScan
from radiosonde.model import LATENCY, RUNTIME_MODEL, DurationCounts, SeriesKey, cohort_text, parse_cohort
from radiosonde.model.percent import percent
from radiosonde.model.runtime import speaker_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.finding import Severity
    from radiosonde.model import Window

    Numbers = NDArray[np.float64]

_OBJECTIVE = 0.01
_LONG_S = 0.1
_MONTH_NS, _BURST_STEPS, _POINTS = 28 * 86_400_000_000_000, 10, 96


class WatchedDurations(NamedTuple):
    """A table of durations.

    Attributes:
        field: its name in `radiosonde.model.RuntimeCounts`.
        noun: name of one of its durations.
        never_s: a duration that no service should reach.
        verdict: interpretation.
        stops_all: the whole process stands still for that long; else each duration is the wait of one call.
    """

    field: str
    noun: str
    never_s: float
    verdict: str
    stops_all: bool = True


WATCHED = (
    WatchedDurations("gc_pauses", "garbage collections", 1.0, "All threads of the process are paused during a collection: many long-lived objects, or a cache that grows. Freeze what is loaded at start (gc.freeze), or raise the thresholds."),
    WatchedDurations("loop_lags", "turns of the event loop", 0.5, "Something blocks the event loop, so every request of the process waits for it: a call that computes or waits without await. Move it to a thread or a process."),
    WatchedDurations("pool_waits", "waits for a thread of the pool", 1.0, "Work waits for the thread pool: more requests at a time than it has threads, or threads that wait for something slow.", stops_all=False),
)  # fmt: skip


class ProcessHealth(NamedTuple):
    """One rate of one table, per process and step.

    Attributes:
        watched: the table.
        bound_s: durations above it are counted.
        keys: the processes.
        start_ns: start of each step.
        end_ns: end of each step.
        hits: durations above the bound, shape (processes, steps).
        trials: all durations, same shape.
        suffered: what calls lost: seconds in durations above the bound where they stop the process, else durations above it; same shape.
        exposed: seconds observed, or all durations; same shape.
    """

    watched: WatchedDurations
    bound_s: float
    keys: tuple[SeriesKey, ...]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    hits: Numbers
    trials: Numbers
    suffered: Numbers
    exposed: Numbers

    def impact(self, processes: NDArray[np.bool_], steps: slice) -> AffectedShares:
        """Return the share of calls that come while *processes* stand still in *steps*; processes are taken to serve alike."""
        suffered = float(self.suffered[processes][:, steps].sum())
        own, whole = float(self.exposed[processes][:, steps].sum()), float(self.exposed[:, steps].sum())
        return AffectedShares(min(suffered / max(own, 1e-9), 1.0), min(suffered / max(whole, 1e-9), 1.0))


def runtime_findings(
    model: str, windows: Sequence[Window], runtime: Sequence[Window], *, wants_past: bool
) -> tuple[list[Finding], dict[str, Floor]]:
    """Return the findings on the processes that serve *model*, and the floors of the tables in which there was anything, by their fields.

    Args:
        model: the model.
        windows: its windows.
        runtime: windows with the health of all processes.
        wants_past: ended incidents are findings, not notes.
    """
    serving = {window.process for window in windows}
    mine = [window for window in runtime if window.runtime is not None and speaker_of(window) in serving]
    if not mine:
        return [], {}
    made: list[Finding] = []
    floors: dict[str, Floor] = {}
    for watched in WATCHED:
        look = look_at_durations(watched, mine)
        made += [_finding(model, look.health, incident, wants_past=wants_past) for incident in look.incidents]
        if look.has_any:
            floors[watched.field] = _floor(watched, *look.floor)
    return made, floors


class DurationsLook(NamedTuple):
    """Results on one table of durations.

    Attributes:
        health: the rate that shows it: above the bound that no service should reach, else above `_LONG_S`.
        incidents: its incidents, without bursts.
        floor: smallest share of durations above the first bound that would have been reported, and in how many windows; NaN and 0 for none.
        has_any: whether there were durations at all.
    """

    health: ProcessHealth
    incidents: list[Incident]
    floor: tuple[float, int]
    has_any: bool


def look_at_durations(watched: WatchedDurations, runtime: Sequence[Window]) -> DurationsLook:
    """Check the table *watched* of *runtime*, windows with the health of processes."""
    floor, has_any = (float("nan"), 0), False
    for bound_s in (watched.never_s, _LONG_S):
        health = _counted(watched, bound_s, runtime)
        rule = Rule(0.01, _OBJECTIVE if bound_s == watched.never_s else None, measures=2 * len(WATCHED))
        scan, incidents = _incidents(health, rule)
        if bound_s == watched.never_s:
            has_any = bool(health.trials.any())
            length = next((each for each in scan.scales if each > 1 and not np.isnan(rate_floor(scan, each))), 0)
            floor = (rate_floor(scan, length), length) if length else floor
        if incidents:
            break
    return DurationsLook(health, incidents, floor, has_any)


def _floor(watched: WatchedDurations, rate: float, length: int) -> Floor:
    noun = f"{watched.noun} above {watched.never_s:g} s"
    text = f"{percent(rate)} of the {noun} for {length} windows" if length else f"nothing yet of {noun}"
    return Floor(rate, "share", text)


def _counted(watched: WatchedDurations, bound_s: float, runtime: Sequence[Window]) -> ProcessHealth:
    keys = tuple(sorted({_key(window) for window in runtime}))
    row_of = {key: row for row, key in enumerate(keys)}
    starts = np.array([window.start_ns for window in runtime])
    steps = np.unique(starts)
    at = np.searchsorted(steps, starts)
    ends = np.zeros(steps.size, dtype=np.int64)
    np.maximum.at(ends, at, [window.end_ns for window in runtime])
    first = int(np.searchsorted(LATENCY.upper_bounds_s(), bound_s)) + 1
    hits, trials, stopped, observed = np.zeros((4, len(keys), steps.size))
    long_s = LATENCY.upper_bounds_s()[first:]
    for step, window in zip(at, runtime, strict=True):
        durations: DurationCounts = getattr(window.runtime, watched.field)
        row = row_of[_key(window)]
        hits[row, step] += durations.counts[first:].sum()
        trials[row, step] += durations.counts.sum()
        stopped[row, step] += (durations.counts[first:] * long_s).sum()
        observed[row, step] += (window.end_ns - window.start_ns) / 1e9
    lost = (stopped, observed) if watched.stops_all else (hits, trials)
    return ProcessHealth(watched, bound_s, keys, steps, ends, hits, trials, *lost)


def _key(window: Window) -> SeriesKey:
    return SeriesKey(RUNTIME_MODEL, cohort=cohort_text({"process": window.process or "?"}))


def _incidents(health: ProcessHealth, rule: Rule) -> tuple[SpanScan, list[Incident]]:
    places = make_places(health.keys, health.trials.sum(axis=1))
    distance = float(np.median(np.diff(health.start_ns))) if health.start_ns.size > 1 else float(_MONTH_NS)
    scan = SpanScan(places.members, health.hits, health.trials, max(_MONTH_NS / distance, 1.0), rule)
    if not health.hits.any():
        return scan, []
    return scan, [incident for incident in replay(scan, places, _BURST_STEPS)[0] if incident.is_reported_by(scan.size)]


def _finding(model: str, health: ProcessHealth, incident: Incident, *, wants_past: bool) -> Finding:
    watched, series = health.watched, incident.cover.series
    end = health.start_ns.size if incident.recovered is None else incident.recovered
    inside, before = slice(incident.onset, end), slice(0, incident.onset)
    sums = [float(table[series][:, part].sum()) for part in (inside, before) for table in (health.hits, health.trials)]
    rate, was = sums[0] / max(sums[1], 1), sums[2] / max(sums[3], 1)
    processes = [
        parse_cohort(key.cohort)["process"] for key, is_mine in zip(health.keys, series, strict=True) if is_mine
    ]
    alone = f" in process {', '.join(processes[:3])}" if len(processes) < len(health.keys) else ""
    bound = f"{health.bound_s:g} s"
    at, earliest, latest = (int(health.start_ns[step]) for step in (incident.onset, incident.earliest, incident.latest))
    ended = (
        None if incident.recovered is None else int(health.start_ns[min(incident.recovered, health.start_ns.size - 1)])
    )
    onset = Onset(at, earliest, latest, ended, whole_span=not sums[3])
    impact = health.impact(series, inside)
    severity: Severity = severity_of(impact) if health.bound_s == watched.never_s else "ticket"
    if ended is not None and not wants_past:
        severity = "info"
    where = Place(model)
    return Finding(
        f"runtime.{watched.field}.{processes[0] if alone else 'all'}", "runtime", severity,
        f"{percent(rate)} of the {watched.noun} take longer than {bound}{alone}", watched.verdict, where, onset,
        confidence(incident.alarm.ln_report),
        (
            Evidence("rate", rate, "share", f"{sums[0]:.0f} of {sums[1]:.0f} {watched.noun} took longer than {bound} since then"),
            Evidence("rate_before", was, "share", f"{sums[2]:.0f} of {sums[3]:.0f} before"),
            _suffering(watched, impact, bound),
        ),
        (look_at_health(onset), look_before(where, onset)), (_timeline(health, series),),
        opened_ns=int(health.end_ns[incident.alarm.step]),
    )  # fmt: skip


def _suffering(watched: WatchedDurations, impact: AffectedShares, bound: str) -> Evidence:
    if watched.stops_all:
        text = f"for {percent(impact.of_place)} of the time the process stands still for longer than {bound}: so many of its calls wait"
    else:
        text = f"{percent(impact.of_place)} of the waits are longer than {bound}"
    return Evidence("suffering", impact.of_place, "share", text)


def _timeline(health: ProcessHealth, series: NDArray[np.bool_]) -> Timeline:
    edges = np.unique(np.linspace(0, health.start_ns.size, _POINTS, endpoint=False).astype(np.int64))
    hits, trials = (np.add.reduceat(table[series].sum(axis=0), edges) for table in (health.hits, health.trials))
    points = [float(hit / trial) if trial else None for hit, trial in zip(hits, trials, strict=True)]
    title = f"share of {health.watched.noun} above {health.bound_s:g} s"
    return Timeline(title, "share", [int(health.start_ns[edge]) for edge in edges], (("all", points),))
