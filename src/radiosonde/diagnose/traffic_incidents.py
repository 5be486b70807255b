"""Incidents of traffic: all calls, one cohort against the others, one version against the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.places import PlaceName
from radiosonde.diagnose.traffic_scan import MIN_FORECASTS, Change, Excursion, Scanned, Track, make_track, scan_track
from radiosonde.model import OVERFLOW_COHORT, cohort_text, parse_cohort
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.finding import Severity
    from radiosonde.diagnose.traffic_series import TrafficGrid
    from radiosonde.model import SeriesKey

    Numbers = NDArray[np.float64]

ALL = Change(fall=float(np.log(1 / 0.7)), rise=float(np.log(2.0)))
PART = Change(fall=float(np.log(1 / 0.6)), rise=float(np.log(1.8)))
_NO_FLOOR = Change(float("nan"), float("nan"))
MOST_COHORTS = 64
_LEAST_CALLS = 20.0
_MERGED, _MERGED_MOST_NS = (1, 2, 5, 10, 30), 21_600_000_000_000
_SAME_STEPS = 3
_HALF = 0.47
"""Half of the calls, give or take the error of a forecast: fewer than five in eight are left."""
_TWO_THIRDS = 1.05
"""In long windows a holiday, which leaves two fifths, is as sudden as a fault."""

_DAY_NS = 86_400_000_000_000
_WEEKS_KNOWN_NS = 14 * _DAY_NS


class TrafficIncident(NamedTuple):
    """An excursion and where it is.

    Attributes:
        place: the place.
        rows: its series, shape (series,).
        excursion: the change, in steps of the grid.
    """

    place: PlaceName
    rows: NDArray[np.bool_]
    excursion: Excursion


class PartFloor(NamedTuple):
    """The least change at *place* that would be reported once it lasts *steps* steps of the grid."""

    place: PlaceName
    floor: Change
    steps: int


class Traffic(NamedTuple):
    """All results on the traffic of a model.

    Attributes:
        incidents: incidents, including ended ones, without bursts.
        bursts: number of bursts of this model.
        forecasts: steps at which all calls were compared with a forecast.
        floor: the least fall of all calls within a short span, and the least rise within a long one, that would be reported now, as
            logarithms; NaN where none.
        cohorts: checked cohort values.
        unseen: places with too few calls, or too short a past, for a baseline, each with its series.
        worst: the place with the worst detection floor; None if none was checked.
    """

    incidents: list[TrafficIncident]
    bursts: int
    forecasts: int
    floor: Change
    cohorts: int
    unseen: tuple[tuple[PlaceName, NDArray[np.bool_]], ...]
    worst: PartFloor | None


def find_traffic(grid: TrafficGrid) -> Traffic:
    """Return the incidents of traffic in *grid*."""
    at = np.flatnonzero(grid.known)
    total = grid.calls.sum(axis=0)
    everything = np.ones(len(grid.keys), dtype=bool)
    if at.size <= 2 * grid.pace.base:
        return Traffic([], 0, 0, _NO_FLOOR, 0, (), None)
    track = make_track(at, total[at], None, (grid.start_ns, grid.step_ns), grid.pace)
    whole = scan_track((track,), ALL, grid.step_ns)
    found = [TrafficIncident(PlaceName(), everything, each) for each in whole.excursions]
    cohorts, unseen, floors = 0, [], []
    for place, rows in parts_of(grid.keys, grid.calls.sum(axis=1)):
        mine = grid.calls[rows].sum(axis=0)
        merged = _merged(mine[at], total[at], grid.step_ns)
        seen = None if merged is None else _scan_part(grid, mine, total - mine, merged)
        if merged is None or seen is None or seen.forecasts < MIN_FORECASTS:
            unseen.append((place, rows))
            continue
        cohorts += bool(place.cohort)
        floors.append(PartFloor(place, seen.lasting, merged * grid.pace.long))
        found += [
            TrafficIncident(place, rows, each)
            for each in seen.excursions
            if not (place.version and _is_rollout(grid, rows, each))
        ]
    incidents = [each for each in found if not each.excursion.is_burst and not _is_short(grid, each)]
    bursts = len(found) - len(incidents)
    worst = max(floors, key=lambda each: (np.nan_to_num(each.floor.fall, nan=np.inf), each.place), default=None)
    return Traffic(
        _folded(grid, incidents),
        bursts,
        whole.forecasts,
        Change(whole.floor.fall, whole.lasting.rise),
        cohorts,
        tuple(unseen),
        worst,
    )


def parts_of(keys: Sequence[SeriesKey], calls: Numbers) -> list[tuple[PlaceName, NDArray[np.bool_]]]:
    """Return cohort values with others beside them, those with the most *calls* first, and the versions where there are several."""
    found: dict[PlaceName, NDArray[np.bool_]] = {}

    def put(place: PlaceName, row: int) -> None:
        found.setdefault(place, np.zeros(len(keys), dtype=bool))[row] = True

    for row, key in enumerate(keys):
        put(PlaceName(key.version, key.variant), row)
        if key.cohort != OVERFLOW_COHORT:
            for name, value in parse_cohort(key.cohort).items():
                put(PlaceName(cohort=cohort_text({name: value})), row)
    parts = [(place, rows) for place, rows in found.items() if calls[rows].sum() < calls.sum()]
    parts.sort(key=lambda part: (not part[0].cohort, -calls[part[1]].sum(), part[0]))
    arms = [part for part in parts if not part[0].cohort]
    return [part for part in parts if part[0].cohort][:MOST_COHORTS] + arms


def _merged(mine: Numbers, total: Numbers, step_ns: int) -> int | None:
    """Return the number of grid steps to merge so that the part and the rest have enough calls; None if none suffices."""
    served = mine > 0
    if not served.any():
        return None
    # From its first call on: a cohort that is new has not been silent before.
    first = int(served.argmax())
    usual = min(float(np.median(part[first:])) or float(part[first:].mean()) for part in (mine, total - mine))
    return next((each for each in _MERGED if each * usual >= _LEAST_CALLS and each * step_ns <= _MERGED_MOST_NS), None)


def _scan_part(grid: TrafficGrid, mine: Numbers, rest: Numbers, merged: int) -> Scanned | None:
    """Return the excursions, None where the past is too short, that both the calls of a part and their ratio to the rest show, in steps of the grid."""
    size = grid.known.size // merged * merged
    known = grid.known[:size].reshape(-1, merged).all(axis=1)
    own, other = (part[:size].reshape(-1, merged).sum(axis=1) for part in (mine, rest))
    served = np.flatnonzero(own > 0)
    if not served.size:
        return None
    at = np.flatnonzero(known)
    at = at[at >= served[0]]
    if at.size <= 2 * grid.pace.base:
        return None
    step = grid.step_ns * merged
    pace = grid.pace._replace(slots=max(min(grid.pace.slots, _DAY_NS // step), 1))
    tracks: tuple[Track, ...] = (
        make_track(at, own[at], None, (grid.start_ns, step), pace),
        make_track(at, own[at], other[at], (grid.start_ns, step), pace),
    )
    found = scan_track(tracks, PART, step)
    for each in found.excursions:
        for name in ("onset", "alarm", "opened", "recovered", "closed"):
            value = getattr(each, name)
            setattr(each, name, None if value is None else value * merged)
    return found


def _is_rollout(grid: TrafficGrid, rows: NDArray[np.bool_], excursion: Excursion) -> bool:
    """Return whether a change of a version's share is what rollouts do: it rises, or ends, or falls because another one rises or is born."""
    later = slice(excursion.onset, excursion.recovered)
    before = usual_steps(grid, excursion)
    if excursion.sign > 0 or not grid.calls[rows, later][:, -3:].sum():
        return True
    for arm in {(key.version, key.variant) for row, key in enumerate(grid.keys) if not rows[row]}:
        mine = np.array([(key.version, key.variant) == arm for key in grid.keys])
        calls = grid.calls[mine].sum(axis=0)
        now, was = float(calls[later].mean()), float(calls[before].mean()) if before.size else 0.0
        if now > 0 and (not was or np.log(now / was) >= PART.rise):
            return True
    return False


def _folded(grid: TrafficGrid, incidents: list[TrafficIncident]) -> list[TrafficIncident]:
    """Return *incidents* without those that another one explains.

    A cohort explains all calls if the rest continues as before. Incidents of cohorts or of all calls explain those of versions.
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
    return incident.excursion.sign * _moved(grid, rest, incident.excursion) >= incident.excursion.depth / 2


def _moved(grid: TrafficGrid, calls: Numbers, excursion: Excursion) -> float:
    """Return the change of *calls* with *excursion*, as a logarithm."""
    inside, before = _inside(grid, excursion), usual_steps(grid, excursion)
    if grid.pace.needs_course:  # of a day, only the times that are compared
        inside = inside[: max(_DAY_NS // grid.step_ns, 1)]
    else:
        before = before[-grid.pace.base :]
    was = calls[before].mean() if before.size else 0.0
    return float(np.log((calls[inside].mean() + 0.5) / (was + 0.5)))


def usual_steps(grid: TrafficGrid, excursion: Excursion) -> NDArray[np.int64]:
    """Return the baseline steps: those before *excursion*, or the same times of up to three days before.

    The latter where a level needs the course of the day.
    """
    if not grid.pace.needs_course:
        return np.arange(max(excursion.onset - 2 * grid.pace.base, 0), excursion.onset)
    day = max(_DAY_NS // grid.step_ns, 1)
    inside = _inside(grid, excursion)[:day]
    earlier = [inside - day * back for back in (1, 2, 3) if inside[0] >= day * back]
    return np.concatenate(earlier) if earlier else np.arange(0)


def _inside(grid: TrafficGrid, excursion: Excursion) -> NDArray[np.int64]:
    return np.arange(excursion.onset, grid.known.size if excursion.recovered is None else excursion.recovered)


def _is_short(grid: TrafficGrid, incident: TrafficIncident) -> bool:
    """Return whether a rise of all calls is too short to call for anybody: a few steps, and no failures or slow calls came with it."""
    each = incident.excursion
    if each.sign < 0 or strain(grid, each):
        return False
    last = int(np.flatnonzero(grid.known)[-1]) + 1 if each.recovered is None else each.recovered
    return last - each.onset < grid.pace.surge


def severity_of(grid: TrafficGrid, incident: TrafficIncident) -> Severity:
    """Return the severity of *incident* while it lasts.

    It is a page when half of all calls or more are gone, or when a rise brings failures or slow calls. A level that changes at the turn of
    the day (UTC) and keeps a third is a weekend or a holiday until the second week is known: a note. From then on the weekday is in the
    forecast, and what still differs is a holiday or a fault: a ticket. In steps of an hour or so, an evening or a night that is unlike the
    others is a note as well, until it has lasted a day or two thirds of the calls are gone.
    """
    each = incident.excursion
    day = (grid.start_ns + each.onset * grid.step_ns + _DAY_NS // 2) % _DAY_NS - _DAY_NS // 2
    if abs(day) <= 2 * grid.step_ns and each.depth <= np.log(3.0):
        return "info" if each.onset * grid.step_ns < _WEEKS_KNOWN_NS else "ticket"
    most = _TWO_THIRDS if grid.pace.needs_course else _HALF
    gone = -_moved(grid, grid.calls.sum(axis=0), each) if each.sign < 0 else 0.0
    if grid.pace.needs_course and each.sign < 0 and incident.place == PlaceName() and gone < most:
        return "ticket" if _inside(grid, each).size * grid.step_ns >= _DAY_NS else "info"
    if incident.place != PlaceName():
        return "page" if gone >= most and not grid.pace.needs_course else "ticket"
    if each.sign < 0:
        return "page" if max(each.depth, gone) >= most else "ticket"
    return "page" if strain(grid, each) else "ticket"


def strain(grid: TrafficGrid, excursion: Excursion) -> str:
    """Return the symptom that accompanied a rise of traffic: failures, slow calls, or ``""``."""
    inside, before = slice(excursion.onset, excursion.recovered), usual_steps(grid, excursion)
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
