"""Incidents of traffic: all calls, one cohort against the others, one version against the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.places import PlaceName
from radiosonde.diagnose.traffic_scan import BASE, Change, Excursion, Track, make_track, scan_track
from radiosonde.model import OVERFLOW_COHORT, cohort_text, parse_cohort
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.finding import Severity
    from radiosonde.diagnose.traffic_series import TrafficGrid

    Numbers = NDArray[np.float64]

ALL = Change(fall=float(np.log(1 / 0.7)), rise=float(np.log(2.0)))
PART = Change(fall=float(np.log(1 / 0.6)), rise=float(np.log(1.8)))
MOST_COHORTS = 64
_LEAST_CALLS = 20.0
_MERGED = (1, 2, 5, 10, 30)
_SURGE_STEPS, _SAME_STEPS = 10, 3
_HALF = 0.47
"""Half of the calls, give or take the error of a forecast: fewer than five in eight are left."""
_DAY_NS = 86_400_000_000_000
_WEEKS_KNOWN_NS = 14 * _DAY_NS


class TrafficIncident(NamedTuple):
    """An excursion and where it is.

    Attributes:
        place: the place.
        rows: its series, shape (series,).
        excursion: what happened, in steps of the grid.
    """

    place: PlaceName
    rows: NDArray[np.bool_]
    excursion: Excursion


class Traffic(NamedTuple):
    """What is known of the traffic of a model.

    Attributes:
        incidents: incidents, those that are over included; bursts not.
        bursts: how many bursts this model was seen to have.
        forecasts: steps at which all calls were compared with a forecast.
        floor: the least fall of all calls within three steps that would be reported now, as a logarithm; NaN where none.
        cohorts: cohort values that were looked at.
        steps: merged steps of the smallest cohort looked at; 1 where all are looked at step by step.
    """

    incidents: list[TrafficIncident]
    bursts: int
    forecasts: int
    floor: float
    cohorts: int
    steps: int


def find_traffic(grid: TrafficGrid) -> Traffic:
    """Return the incidents of traffic in *grid*."""
    at = np.flatnonzero(grid.known)
    total = grid.calls.sum(axis=0)
    everything = np.ones(len(grid.keys), dtype=bool)
    if at.size <= 2 * BASE:
        return Traffic([], 0, 0, float("nan"), 0, 1)
    track = make_track(at, total[at], None, grid.start_ns, grid.step_ns)
    whole = scan_track((track,), ALL, grid.step_ns)
    found = [TrafficIncident(PlaceName(), everything, each) for each in whole.excursions]
    cohorts = 0
    longest = 1
    for place, rows in _parts(grid):
        mine = grid.calls[rows].sum(axis=0)
        merged = _merged(mine[at], total[at])
        if merged is None:
            continue
        cohorts += bool(place.cohort)
        longest = max(longest, merged)
        found += [
            TrafficIncident(place, rows, each)
            for each in _scan_part(grid, mine, total - mine, merged)
            if not (place.version and _is_rollout(grid, rows, each))
        ]
    incidents = [each for each in found if not each.excursion.is_burst and not _is_short(grid, each)]
    bursts = len(found) - len(incidents)
    return Traffic(_folded(grid, incidents), bursts, whole.forecasts, whole.floor, cohorts, longest)


def _parts(grid: TrafficGrid) -> list[tuple[PlaceName, NDArray[np.bool_]]]:
    """Return cohort values with others beside them, those with the most calls first, and the versions where there are several."""
    found: dict[PlaceName, NDArray[np.bool_]] = {}

    def put(place: PlaceName, row: int) -> None:
        found.setdefault(place, np.zeros(len(grid.keys), dtype=bool))[row] = True

    for row, key in enumerate(grid.keys):
        put(PlaceName(key.version, key.variant), row)
        if key.cohort != OVERFLOW_COHORT:
            for name, value in parse_cohort(key.cohort).items():
                put(PlaceName(cohort=cohort_text({name: value})), row)
    calls = grid.calls.sum(axis=1)
    parts = [(place, rows) for place, rows in found.items() if calls[rows].sum() < calls.sum()]
    parts.sort(key=lambda part: (not part[0].cohort, -calls[part[1]].sum(), part[0]))
    arms = [part for part in parts if not part[0].cohort]
    return [part for part in parts if part[0].cohort][:MOST_COHORTS] + arms


def _merged(mine: Numbers, total: Numbers) -> int | None:
    """Return how many steps of the grid are taken together so that the part and the rest have enough calls; None where none is enough."""
    served = mine > 0
    if not served.any():
        return None
    # From its first call on: a cohort that is new has not been silent before.
    first = int(served.argmax())
    usual = min(float(np.median(part[first:])) or float(part[first:].mean()) for part in (mine, total - mine))
    return next((merged for merged in _MERGED if merged * usual >= _LEAST_CALLS), None)


def _scan_part(grid: TrafficGrid, mine: Numbers, rest: Numbers, merged: int) -> list[Excursion]:
    """Return the excursions that both the calls of a part and their ratio to the rest show, in steps of the grid."""
    size = grid.known.size // merged * merged
    known = grid.known[:size].reshape(-1, merged).all(axis=1)
    own, other = (part[:size].reshape(-1, merged).sum(axis=1) for part in (mine, rest))
    served = np.flatnonzero(own > 0)
    if not served.size:
        return []
    at = np.flatnonzero(known)
    at = at[at >= served[0]]
    if at.size <= 2 * BASE:
        return []
    step = grid.step_ns * merged
    tracks: tuple[Track, ...] = (
        make_track(at, own[at], None, grid.start_ns, step),
        make_track(at, own[at], other[at], grid.start_ns, step),
    )
    found = scan_track(tracks, PART, step).excursions
    for each in found:
        for name in ("onset", "alarm", "opened", "recovered", "closed"):
            value = getattr(each, name)
            setattr(each, name, None if value is None else value * merged)
    return found


def _is_rollout(grid: TrafficGrid, rows: NDArray[np.bool_], excursion: Excursion) -> bool:
    """Return whether a change of a version's share is what rollouts do: it rises, or ends, or falls because another one rises or is born."""
    later = slice(excursion.onset, excursion.recovered)
    before = slice(max(excursion.onset - 2 * BASE, 0), excursion.onset)
    if excursion.sign > 0 or not grid.calls[rows, later][:, -3:].sum():
        return True
    for arm in {(key.version, key.variant) for row, key in enumerate(grid.keys) if not rows[row]}:
        mine = np.array([(key.version, key.variant) == arm for key in grid.keys])
        calls = grid.calls[mine].sum(axis=0)
        now, was = float(calls[later].mean()), float(calls[before].mean())
        if now > 0 and (not was or np.log(now / was) >= PART.rise):
            return True
    return False


def _folded(grid: TrafficGrid, incidents: list[TrafficIncident]) -> list[TrafficIncident]:
    """Return *incidents* without those that another one explains.

    A cohort explains all calls where the rest of them goes on as before. What is said of cohorts or of all calls explains the versions.
    """
    kept = []
    for incident in incidents:
        others = [other for other in incidents if other is not incident and _is_same_time(incident, other)]
        cohorts = [other for other in others if other.place.cohort]
        if incident.place.version and others:
            continue
        if incident.place == PlaceName() and cohorts and not _goes_with(grid, incident, cohorts):
            continue
        kept.append(incident)
    return kept


def _is_same_time(one: TrafficIncident, other: TrafficIncident) -> bool:
    apart = abs(one.excursion.onset - other.excursion.onset)
    return one.excursion.sign == other.excursion.sign and apart <= _SAME_STEPS and bool((one.rows & other.rows).any())


def _goes_with(grid: TrafficGrid, incident: TrafficIncident, cohorts: list[TrafficIncident]) -> bool:
    """Return whether calls outside *cohorts* move with *incident*, by half as much at least."""
    rest = grid.calls[~np.logical_or.reduce([other.rows for other in cohorts])].sum(axis=0)
    return incident.excursion.sign * _moved(rest, incident.excursion) >= incident.excursion.depth / 2


def _moved(calls: Numbers, excursion: Excursion) -> float:
    before = calls[max(excursion.onset - BASE, 0) : excursion.onset].mean() if excursion.onset else 0.0
    return float(np.log((calls[excursion.onset : excursion.recovered].mean() + 0.5) / (before + 0.5)))


def _is_short(grid: TrafficGrid, incident: TrafficIncident) -> bool:
    """Return whether a rise of all calls is too short to call for anybody: below ten steps, and no failures or slow calls came with it."""
    each = incident.excursion
    if each.sign < 0 or strain(grid, each):
        return False
    last = int(np.flatnonzero(grid.known)[-1]) + 1 if each.recovered is None else each.recovered
    return last - each.onset < _SURGE_STEPS


def severity_of(grid: TrafficGrid, incident: TrafficIncident) -> Severity:
    """Return how much *incident* matters while it lasts.

    Somebody is woken when half of all calls or more are gone, or when a rise brings failures or slow calls. A level that changes at the turn of
    the day (UTC) and keeps a third is a weekend or a holiday until the second week is known: a note. From then on the weekday is in the forecast, and what still differs is
    a holiday or a fault: a ticket.
    """
    each = incident.excursion
    day = (grid.start_ns + each.onset * grid.step_ns + _DAY_NS // 2) % _DAY_NS - _DAY_NS // 2
    if abs(day) <= 2 * grid.step_ns and each.depth <= np.log(3.0):
        return "info" if each.onset * grid.step_ns < _WEEKS_KNOWN_NS else "ticket"
    if incident.place != PlaceName():
        is_half = each.sign < 0 and -_moved(grid.calls.sum(axis=0), each) >= _HALF
        return "page" if is_half else "ticket"
    if each.sign < 0:
        return "page" if max(each.depth, -_moved(grid.calls.sum(axis=0), each)) >= _HALF else "ticket"
    return "page" if strain(grid, each) else "ticket"


def strain(grid: TrafficGrid, excursion: Excursion) -> str:
    """Return what came with a rise of traffic: failures, slow calls, or ``""``."""
    inside = slice(excursion.onset, excursion.recovered)
    before = slice(max(excursion.onset - 2 * BASE, 0), excursion.onset)
    total = grid.calls.sum(axis=0)
    calls, former = total[inside].sum(), total[before].sum()
    if not calls or not former:
        return ""
    failed, was = grid.failures[inside].sum() / calls, grid.failures[before].sum() / former
    if grid.failures[inside].sum() >= 10 and failed >= max(0.01, 3 * was):
        return f"{percent(failed)} of the calls failed, {percent(was)} before"
    slow, usual = grid.seconds[inside].sum() / calls, grid.seconds[before].sum() / former
    if usual > 0 and slow >= 2 * usual:
        return f"a call took {1000 * slow:.3g} ms on average, {1000 * usual:.3g} ms before"
    return ""
