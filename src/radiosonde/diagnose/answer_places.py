"""Answers of single cohorts, and of cohorts within versions, against their own past and against their peers at the same time.

The shares of all watched places are replayed together (`radiosonde.diagnose.own_past`), and every place is a part of the price of evidence. A departure
that peers of the place share, by at least half as much, is one of a wider place; those of the whole model and of versions are left to their own replay. The place that is named is the cover
that explains the departure (`radiosonde.diagnose.cover`), so a fault of a region is not reported of each of its plans.

An open departure hides others of its run, so its place is left out and the rest is replayed again, at most `_MOST_RUNS` times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.answer_counts import AnswerCounts, count_series
from radiosonde.diagnose.answer_findings import AnswerArm
from radiosonde.diagnose.cover import find_cover
from radiosonde.diagnose.finding import Place
from radiosonde.diagnose.own_past import OwnPast
from radiosonde.diagnose.places import Places, make_places, rows_at
from radiosonde.diagnose.status import window_length_ns
from radiosonde.model import cohort_text, parse_cohort

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.own_past import ShareDeparture
    from radiosonde.diagnose.panel import Axis
    from radiosonde.model import SeriesKey, Window

    Numbers = NDArray[np.float64]

MOST_PLACES, LEAST_ROWS = 24, 200.0
_MOST_RUNS = 6
_TELLING_ROWS = 30.0
_HOUR_NS, _DAY_NS = 3_600_000_000_000, 86_400_000_000_000


class AnswersByPlace(NamedTuple):
    """Results on the cohorts of a model.

    Attributes:
        found: departures that are confined to a cohort, each with the answers of its place.
        watched: number of checked places.
        left_out: names of the cohorts that were not checked: those with the least rows, or those that were left when too many departed.
    """

    found: list[tuple[AnswerArm, ShareDeparture]]
    watched: int
    left_out: tuple[str, ...]


class _Series(NamedTuple):
    """Answers of all series, and the places that they make up."""

    keys: tuple[SeriesKey, ...]
    counts: AnswerCounts
    places: Places
    start_ns: NDArray[np.int64]
    least_ns: int


def find_by_place(model: str, windows: Sequence[Window], axis: Axis) -> AnswersByPlace:
    """Return the departures of the answers in *windows*, which are of one model, that are confined to a cohort."""
    keys = tuple(sorted({window.key for window in windows}))
    nothing = AnswersByPlace([], 0, ())
    counts = count_series(windows, axis, keys) if any(key.cohort for key in keys) else None
    if counts is None:
        return nothing
    rows = counts.trials.max(axis=1).sum(axis=1)
    places = make_places(keys, rows)
    totals = places.members @ rows
    named = [at for at, name in enumerate(places.names) if name.cohort and totals[at] >= LEAST_ROWS]
    kept = sorted(named, key=lambda at: (-totals[at], at))[:MOST_PLACES]
    if not kept:
        return nothing
    series = _Series(keys, counts, places, axis.start_ns + counts.steps * axis.step_ns, 2 * window_length_ns(windows))
    found, unfinished = _search(model, series, kept)
    left_out = tuple(places.names[at].cohort for at in named if at not in kept or at in unfinished)
    return AnswersByPlace(found, len(kept) - len(unfinished), left_out)


def _search(
    model: str, series: _Series, watched: Sequence[int]
) -> tuple[list[tuple[AnswerArm, ShareDeparture]], list[int]]:
    """Return the departures of the *watched* places, and the places that were left when too many departed."""
    measures = len(series.counts.names)
    left = list(watched)
    found: list[tuple[AnswerArm, ShareDeparture]] = []
    for _ in range(_MOST_RUNS):
        if not left:
            return found, []
        hits, trials = (_stacked(part, series.places, left) for part in series.counts[3:])
        past = OwnPast(series.start_ns, hits, trials).run()
        if not past.departures:
            return found, []
        done: set[int] = set()
        for departure in past.departures:
            place, measure = left[departure.measure // measures], departure.measure % measures
            of_place = departure._replace(measure=measure)
            chosen = _cover(series, place, of_place)
            done |= {place, chosen}
            arm = _arm(model, series, chosen)
            if chosen and not any(arm.where == other.where for other, _ in found):
                arm.past.run()
                found += [
                    (arm, each)
                    for each in arm.past.departures
                    if _is_at_once(each, of_place) and _is_confined(series, chosen, each)
                ]
        # A place that is a part of one that was taken, or holds it, moves with it.
        left = [at for at in left if at not in done and not any(_is_nested(series.places, at, other) for other in done)]
    return found, left


def _stacked(table: Numbers, places: Places, chosen: Sequence[int]) -> Numbers:
    """Return *table*, shape (series, measures, steps), summed over each of the *chosen* places, shape (places * measures, steps)."""
    summed = np.tensordot(places.members[list(chosen)].astype(np.float64), table, 1)
    return summed.reshape(-1, table.shape[2])


def _arm(model: str, series: _Series, place: int) -> AnswerArm:
    """Return the answers of *place*; its past is not yet replayed."""
    name = series.places.names[place]
    hits, trials = (_stacked(part, series.places, [place]) for part in series.counts[3:])
    counts = series.counts._replace(hits=hits, trials=trials)
    past = OwnPast(series.start_ns, hits, trials)
    return AnswerArm(
        model,
        name.version,
        name.variant,
        not (name.version or name.variant),
        counts,
        past,
        name.cohort,
        series.least_ns,
    )


def _cover(series: _Series, place: int, departure: ShareDeparture) -> int:
    """Return the place that explains *departure* best; 0 for the whole model or a version."""
    inside = slice(departure.onset, departure.ended if departure.ended is not None else None)
    hits, trials = (part[:, departure.measure] for part in series.counts[3:])
    if departure.odds < 0:
        hits = trials - hits
    before = hits[:, : departure.onset].sum(axis=1), trials[:, : departure.onset].sum(axis=1)
    usual = (before[0] + 1.0) / (before[1] + 2.0)
    hit, tried = hits[:, inside].sum(axis=1), trials[:, inside].sum(axis=1)
    rest = ~series.places.members[place]
    seen, mean = float(hit[rest].sum()), float((tried * usual)[rest].sum())
    raised = np.minimum(usual * max((seen + 2) / (mean + 2), 1.0), 0.999)
    cover = find_cover(series.places, hit, tried, raised, 1.0)
    chosen = cover.places[0]
    is_named = bool(series.places.names[chosen].cohort) and bool((cover.series & series.places.members[place]).any())
    return chosen if is_named else 0


def _is_at_once(one: ShareDeparture, other: ShareDeparture) -> bool:
    ends = [2**31 if each.ended is None else each.ended for each in (one, other)]
    return one.onset <= ends[1] and other.onset <= ends[0] and one.opened >= other.onset


def _is_confined(series: _Series, place: int, departure: ShareDeparture) -> bool:
    """Return whether none of the peers of *place* moved by half as much in the same direction.

    Peers are its rows' siblings, by one part of its name: of a region in a version, the other regions in it, and the region in the other
    versions. Peers with too few rows decide nothing; there must be some that decide.
    """
    moved = [_moves_with(series, peers, departure) for peers in _peers(series, place)]
    return False in moved and True not in moved


def _peers(series: _Series, place: int) -> Iterator[NDArray[np.bool_]]:
    name, mine = series.places.names[place], series.places.members[place]
    pairs = parse_cohort(name.cohort)
    wider = [name._replace(cohort=cohort_text({key: pairs[key] for key in pairs if key != left})) for left in pairs]
    if name.version or name.variant:
        wider.append(name._replace(version="", variant=""))
    for each in wider:
        yield rows_at(series.keys, Place("", each.version, each.variant, each.cohort)) & ~mine


def _moves_with(series: _Series, peers: NDArray[np.bool_], departure: ShareDeparture) -> bool | None:
    hits, trials = (part[peers, departure.measure].sum(axis=0) for part in series.counts[3:])
    inside = np.zeros(trials.size, dtype=bool)
    inside[departure.onset : departure.ended if departure.ended is not None else None] = True
    hours = series.start_ns // _HOUR_NS % 24
    before = np.arange(trials.size) < departure.onset
    alike = before & np.isin(hours, hours[inside])
    if series.start_ns[departure.onset] - series.start_ns[0] < 2 * _DAY_NS or trials[alike].sum() < _TELLING_ROWS:
        alike = before
    if min(trials[inside].sum(), trials[alike].sum()) < _TELLING_ROWS:
        return None
    after, usual = (_odds(hits[part].sum(), trials[part].sum()) for part in (inside, alike))
    return bool((after - usual) * np.sign(departure.odds) >= 0.5 * abs(departure.odds))


def _odds(hits: float, trials: float) -> float:
    return float(np.log((hits + 0.5) / (trials - hits + 0.5)))


def _is_nested(places: Places, one: int, other: int) -> bool:
    both = places.members[one] & places.members[other]
    return bool(other) and bool((both == places.members[one]).all() or (both == places.members[other]).all())
