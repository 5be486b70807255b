"""Finds the smallest set of places that explains an increase, by conditional tests.

Every series has an expectation from its past. A place *explains* a rise by adding one probability of failure to all its series; its gain is
the log-likelihood ratio of that, maximised over the probability, minus the cost of choosing among all names of its size. A place is taken,
its series are removed, and the rest is tested again; of the covers that begin with each of the strongest places of every size, the one that
explains most is the result. (Beginning with the strongest alone would always take the whole for two of its parts.) A region that fails in
all versions gains more than any one version of it; a version that fails in one region gains more than the region, since the other
versions' successes there are evidence against it.

"All" is a claim about each version and each value of each dimension. `Cover` records for each whether it was seen to fail, seen not to
fail, or has too few calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.places import PlaceName, Places

    Numbers = NDArray[np.float64]

_ADDED = np.concatenate([np.geomspace(1e-5, 0.5, 48), 1 - np.geomspace(0.4, 1e-4, 16)])
_LEAST_LN = 7.0
_MOST_PLACES, _STARTS = 4, 8
_TELLING = 8.0
"""Failures expected from which none seen means spared, not unlucky."""


class Cover(NamedTuple):
    """The places that explain a rise.

    Attributes:
        places: indices of the places, most important first; index 0 alone is the whole model.
        series: the series they hold.
        spared: names of versions and cohort values inside the places that demonstrably do not show it.
        untested: names inside the places with too few calls.
    """

    places: tuple[int, ...]
    series: NDArray[np.bool_]
    spared: tuple[PlaceName, ...]
    untested: tuple[PlaceName, ...]


def find_cover(places: Places, hits: Numbers, trials: Numbers, rates: Numbers, dispersion: float) -> Cover:
    """Return the places that explain the *hits*.

    Args:
        places: the candidates.
        hits: events of each series since the onset.
        trials: trials of each.
        rates: expected rate of each from its past.
        dispersion: divisor of log-likelihood ratios.
    """
    known = np.clip(rates, 1e-7, 0.999)[:, None]
    raised = known + (1 - known) * _ADDED
    gains = hits[:, None] * np.log(raised / known) + (trials - hits)[:, None] * np.log((1 - raised) / (1 - known))
    gains = gains / max(dispersion, 1.0)
    parts = np.array([name.parts for name in places.names])
    siblings = np.bincount(parts)[parts]
    cost = np.log(siblings) + 2.0 * parts
    alone = (places.members @ gains).max(axis=1) - cost
    starts = {int(index) for size in np.unique(parts) for index in _largest(alone, parts == size)}
    # Each place of a cover needs sufficient evidence by itself; if none has, only the strongest is kept.
    strong = sorted(start for start in starts if alone[start] >= _LEAST_LN) or [int(alone.argmax())]
    covers = [_cover_from(start, places, gains, cost) for start in strong]
    explained, chosen = max(covers, key=lambda cover: (cover[0], -len(cover[1])))
    if 0 in chosen or float(alone[0]) >= explained:
        chosen = [0]
    series: NDArray[np.bool_] = np.logical_or.reduce(places.members[chosen], axis=0)
    spared, untested = _exceptions(places, series, hits, trials, rates)
    return Cover(tuple(chosen), series, spared, untested)


def _largest(gain: Numbers, among: NDArray[np.bool_]) -> NDArray[np.int64]:
    indices = np.flatnonzero(among)
    return indices[np.argsort(-gain[indices], kind="stable")[:_STARTS]]


def _cover_from(start: int, places: Places, gains: Numbers, cost: Numbers) -> tuple[float, list[int]]:
    """Return the gain and the places of the greedy cover that begins with *start*."""
    left = np.ones(gains.shape[0], dtype=bool)
    chosen: list[int] = []
    explained = 0.0
    best = start
    while True:
        members = places.members[best] & left
        gain = float((members @ gains).max()) - float(cost[best])
        if chosen and (gain < _LEAST_LN or len(chosen) >= _MOST_PLACES):
            return explained, chosen
        chosen.append(best)
        explained += gain
        left = left & ~places.members[best]
        if not left.any():
            return explained, chosen
        # Only places disjoint from the chosen ones: a wider place would be as cheap as a name for its rest.
        apart = ~(places.members & ~left).any(axis=1)
        if not apart.any():
            return explained, chosen
        rest = np.where(apart, (places.members[:, left] @ gains[left]).max(axis=1) - cost, -np.inf)
        best = int(rest.argmax())


def _exceptions(
    places: Places, series: NDArray[np.bool_], hits: Numbers, trials: Numbers, rates: Numbers
) -> tuple[tuple[PlaceName, ...], tuple[PlaceName, ...]]:
    """Return which versions and cohort values within *series* are spared, and which have too few calls."""
    excess = max(float((hits - trials * rates)[series].sum()), 0.0)
    added = excess / max(float(trials[series].sum()), 1.0)
    spared, untested = [], []
    for index, name in enumerate(places.names):
        inside = places.members[index] & series
        if name.parts != 1 or not inside.any() or not (series & ~places.members[index]).any():
            continue
        expected = added * float(trials[inside].sum())
        seen = float((hits - trials * rates)[inside].sum())
        if expected < _TELLING:
            if seen < 0.2 * expected or seen < 1:
                untested.append(name)
        elif seen < 0.2 * expected:
            spared.append(name)
    return tuple(spared), tuple(untested)
