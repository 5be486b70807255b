"""Where the new version is worse: the smallest set of cohorts that explains it.

Compared are the version as a whole, each value of each cohort dimension, and each pair of values of two dimensions. The budget of false
alarms is divided over them beforehand: `_WHOLE` for the whole, the rest in equal parts, more for values than for pairs. A place is bad once
its evidence passed its price, unless that stands on one or two windows of a cohort, or on a difference too small to matter. Of all bad
places the strongest is reported first; its data are removed, and another is reported if the rest still passes its price.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.canary.evidence import likely_start, place_evidence
from radiosonde.model import OVERFLOW_COHORT, cohort_text, parse_cohort

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.canary.evidence import PlaceEvidence
    from radiosonde.diagnose.canary.measures import Measure

    Numbers = NDArray[np.float64]

MIN_OUTSIDE, MANY_HITS = 2, 50
_WHOLE, _PAIRS = 0.05, 0.25
_MOST_PLACES = 2000
_SPREAD_LN, _CLEARLY = 3.0, 3.0


class CanaryPlaces(NamedTuple):
    """The places to compare.

    Attributes:
        names: canonical cohort text; the first is ``""``, the whole version.
        members: rows of cohorts of each place, shape (places, cohorts).
        prices: what the evidence of each place pays for its share of the budget.
    """

    names: tuple[str, ...]
    members: NDArray[np.bool_]
    prices: Numbers


class Problem(NamedTuple):
    """A place where the new version is worse.

    Attributes:
        cohort: canonical cohort text; ``""`` for the whole version.
        ln_e: evidence, with the places paid for.
        decided: step at which it was decided.
        start: most likely first step, and both ends of its likelihood set.
        hits: events of the new version there since the start.
        trials: its trials.
        old_hits: events of the old version, same place and time.
        old_trials: its trials.
    """

    cohort: str
    ln_e: float
    decided: int
    start: tuple[int, int, int]
    hits: int
    trials: int
    old_hits: int
    old_trials: int


def make_places(cohorts: Sequence[str], calls: Numbers) -> CanaryPlaces:
    """Return the places of *cohorts*, those with the most *calls* first; of places with the same cohorts, the one with the shorter name."""
    groups: dict[tuple[tuple[str, str], ...], set[int]] = {}
    for row, cohort in enumerate(cohorts):
        if cohort == OVERFLOW_COHORT:
            continue
        pairs = sorted(parse_cohort(cohort).items())
        for size in (1, 2):
            for part in combinations(pairs, size):
                groups.setdefault(part, set()).add(row)
    seen = {frozenset(range(len(cohorts)))}
    kept: list[tuple[tuple[tuple[str, str], ...], frozenset[int]]] = []
    for part, rows in sorted(groups.items(), key=lambda item: (len(item[0]), -calls[list(item[1])].sum(), item[0])):
        if frozenset(rows) not in seen and len(kept) < _MOST_PLACES:
            seen.add(frozenset(rows))
            kept.append((part, frozenset(rows)))
    members = np.zeros((len(kept) + 1, len(cohorts)), dtype=bool)
    members[0] = True
    for index, (_, inside) in enumerate(kept, 1):
        members[index, list(inside)] = True
    sizes = np.array([0, *(len(part) for part, _ in kept)])
    pairs_share = _PAIRS if (sizes == 2).any() else 0.0
    shares = np.where(
        sizes == 1, (1 - _WHOLE - pairs_share) / max((sizes == 1).sum(), 1), pairs_share / max((sizes == 2).sum(), 1)
    )
    shares[0] = _WHOLE if kept else 1.0
    return CanaryPlaces(("", *(cohort_text(dict(part)) for part, _ in kept)), members, -np.log(shares))


def find_worse(measure: Measure, places: CanaryPlaces, limit: float) -> list[Problem]:
    """Return where the new version is worse, strongest first.

    Args:
        measure: the measure to compare.
        places: the places to compare.
        limit: logarithm of one over the false alarms allowed.
    """
    members = places.members[:, measure.cohort_of] & measure.both
    found = place_evidence(measure.arms, members, measure.known, measure.weight)
    prices = limit + places.prices
    passed = np.flatnonzero((found.ln_e >= prices[:, None]).any(axis=1)).tolist()
    decided = {index: _decided(measure, found, index, float(prices[index])) for index in passed}
    if all(step is None for step in decided.values()):
        return []
    first = min(step for step in decided.values() if step is not None)
    # One certain place is enough to call the version worse; all places that pass are reported.
    named: list[Problem] = []
    left = np.ones(members.shape[1], dtype=bool)
    peaks = found.ln_e.max(axis=1) - places.prices
    for index in sorted(passed, key=lambda index: -peaks[index]):
        inside = members[index] & left
        if named:
            again = place_evidence(measure.arms, np.stack([members[0], inside]), measure.known, measure.weight)
            if not inside.any() or again.ln_e[1].max() < prices[index]:
                continue
        step = decided[index]
        step = max(first, int(np.flatnonzero(found.ln_e[index] >= prices[index])[0])) if step is None else step
        problem = _problem(measure, found, index, step)
        if decided[index] is not None or _matters(measure, members[index], problem, step):
            named.append(problem._replace(cohort=places.names[index], ln_e=float(peaks[index])))
            left &= ~members[index]
    return named


def _decided(measure: Measure, found: PlaceEvidence, index: int, price: float) -> int | None:
    """Return the first step at which the evidence of a place passes its price and is worth something; None for never."""
    for step in np.flatnonzero(found.ln_e[index] >= price).tolist():
        problem = _problem(measure, found, index, step)
        gains = found.gains(index, step)[problem.start[0] :]
        strata = found.members[index]
        if (
            _is_spread(measure, strata, problem, step)
            and gains.sum() - gains.max() >= _SPREAD_LN
            and _matters(measure, strata, problem, step)
        ):
            return int(step)
    return None


def _problem(measure: Measure, found: PlaceEvidence, index: int, step: int) -> Problem:
    start = likely_start(found.gains(index, step))
    hits, trials, old_hits, old_trials = (int(part[found.members[index], start[0] :].sum()) for part in measure.arms)
    return Problem("", float(found.ln_e[index, step]), step, start, hits, trials, old_hits, old_trials)


def _is_spread(measure: Measure, strata: NDArray[np.bool_], problem: Problem, step: int) -> bool:
    """Return whether the events are more than two requests that were retried: some lie outside the two fullest windows of a cohort."""
    cells = np.sort(measure.arms.hits[strata, problem.start[0] : step + 1].ravel())
    return bool(
        cells[:-2].sum() >= MIN_OUTSIDE or (strata.sum() == measure.both.sum() and cells[-2:].sum() >= MANY_HITS)
    )


def _matters(measure: Measure, strata: NDArray[np.bool_], problem: Problem, step: int) -> bool:
    """Return whether the new version has clearly more events than expected of the old one even if half the margin is forgiven.

    Clearly is three standard errors: where calls are many, a difference too small to matter is certain at some look.
    """
    inside = slice(problem.start[0], step + 1)
    trials, old_hits, old_trials = (part[strata, inside].sum(axis=1) for part in measure.arms[1:])
    old_hits, old_trials = old_hits + measure.known.hits[strata], old_trials + measure.known.trials[strata]
    expected = (trials * old_hits / np.maximum(old_trials, 1)).sum() + measure.limit_deltas[1] * trials.sum()
    excess = measure.at_limits[0][strata, inside, 1].sum() - expected
    return bool(excess >= _CLEARLY * np.sqrt(expected * (1 + trials.sum() / max(old_trials.sum(), 1))))
