"""Evidence that the new version is worse, per place, valid under continuous monitoring from the first canary row on.

Within a step and a stratum (a cohort cell, a lag class) both versions serve the same minute and the same users, so only their odds ratio is
tested (`radiosonde.diagnose.two_arms`). The e-values of the strata of a place multiply. Two things are unknown and mixed over, with weights
fixed
beforehand:

* the size of the fault: `RATIOS`, with more weight on large ones in a cohort than in the whole version;
* its beginning: with weight `_AT_ONCE` the first row of the new version, else step *s* with weight proportional to ``(s + 1)**-1.1``. So a
  fault from the start costs 0.1 nats, and one that begins hours later about ten.

The mixture is a test martingale under the null, so by Ville's inequality it ever exceeds *1 / a* with probability at most *a*.

*Clusters.* One bad request retried twenty times is one event. Each increment is divided by the dispersion of the Mantel-Haenszel residuals
of the steps *before* it, of the place and of the whole, at least 1. A power at most 1 of an e-value is an e-value (Jensen), so this keeps
the guarantee.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.two_arms import log_increments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.two_arms import Arms

    Numbers = NDArray[np.float64]

RATIOS = np.array([1.3, 2.0, 6.0, 30.0, 500.0])
WHOLE_PRIOR = np.log(np.array([0.25, 0.25, 0.25, 0.15, 0.1]))
PART_PRIOR = np.log(np.array([0.05, 0.2, 0.5, 0.2, 0.05]))

_AT_ONCE = 0.9
_LATER_POWER, _LATER_SUM = 1.1, 10.5845
"""The power, and the sum of ``s ** -1.1`` over all positive integers: zeta(1.1), rounded up."""

_PRIOR_VARIANCE, _FEW_STEPS, _DOUBT = 20.0, 10, 0.5
_LEVEL_STEPS = 20
"""Steps whose mean is the present difference of the arms. With all steps, a fault that begins late would be dispersion for hours."""
_COMMON = 2.5
_CELLS = 4_000_000


class PlaceEvidence(NamedTuple):
    """Log e-values of several places over time.

    Attributes:
        ln_e: mixture over sizes and beginnings, shape (places, steps).
        carriers: index of the size that carries the evidence at each step, same shape.
        members: strata of each place, shape (places, strata).
        increments: undivided log e-values of strata, steps and sizes.
        scale: divisor of the increments of each place and step.
    """

    ln_e: Numbers
    carriers: NDArray[np.int8]
    members: NDArray[np.bool_]
    increments: Numbers
    scale: Numbers

    def gains(self, place: int, step: int) -> Numbers:
        """Return the increments of *place* up to and with *step*, at the size that carries its evidence there."""
        size = int(self.carriers[place, step])
        mine = self.increments[self.members[place], : step + 1, size].sum(axis=0)
        return np.asarray(mine / self.scale[place, : step + 1], dtype=np.float64)


class Known(NamedTuple):
    """Baseline of the old version before the first step, and counts by the bound of the next step.

    Attributes:
        hits: events of the old version before the first step, by stratum.
        trials: its trials.
        clusters: `cluster_sums` of its events.
        last: events of the new and of the old version in the step before each step, by the bound of the step itself, shape
            (strata, steps) each; None if the bound of all steps is the same.
    """

    hits: NDArray[np.int64]
    trials: NDArray[np.int64]
    clusters: tuple[float, float, float] = (0.0, 0.0, 0.0)
    last: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None


def _nothing(arms: Arms) -> Known:
    none = np.zeros(arms.hits.shape[0], dtype=np.int64)
    return Known(none, none)


def cluster_sums(hits: Numbers) -> tuple[float, float, float]:
    """Return, of successive steps of *hits*: the sum of the squared differences, that of the sums, and how many there are with events."""
    later, last = hits[:, 1:], hits[:, :-1]
    sums = later + last
    return float(((later - last) ** 2).sum()), float(sums.sum()), float((sums > 0).sum())


def dispersions(arms: Arms, members: NDArray[np.bool_], known: Known | None = None) -> Numbers:
    """Return the dispersion of each place as known before each step, at least 1, shape (places, steps).

    The larger of two. One is from the Mantel-Haenszel residuals of the steps, of each place and of all strata, over their hypergeometric
    variance: a minute that is bad for one version shows there. The other is from the old version, which has most of the calls:
    requests that are retried show in the squared differences of successive steps of a stratum over their sums (von Neumann), independently
    of slow changes of its rate.

    Args:
        arms: counts of the new version and of the old one.
        members: strata of each place, shape (places, strata); the first place is the whole.
        known: baseline before the first step; None for none.
    """
    known = known or _nothing(arms)
    hits, trials = arms.hits + arms.rest_hits, arms.trials + arms.rest_trials
    share = arms.trials / np.maximum(trials, 1)
    residual = arms.hits - hits * share
    variance = hits * share * (1 - share) * (trials - hits) / np.maximum(trials - 1, 1)
    weights = members.astype(np.float64)
    ratio = dispersion_before(weights @ residual, weights @ variance)
    return np.asarray(
        np.maximum.reduce(
            [ratio, np.broadcast_to(ratio[:1], ratio.shape), np.broadcast_to(_clusters(arms, known), ratio.shape)]
        )
    )


def _clusters(arms: Arms, known: Known) -> Numbers:
    """Return the dispersion of the old version's events, as known before each step, shape (1, steps).

    A change that both versions make in the same step, as when an hour begins in which all calls are slow, is no cluster. Where the
    differences of the two versions agree, certainly by `_COMMON` standard errors, their product is taken off the square: it has the
    expectation of what is common, and zero if nothing is.
    """
    new, new_sums = _differences(arms.hits, None if known.last is None else known.last[0])
    old, sums = _differences(arms.rest_hits, None if known.last is None else known.last[1])
    tried, old_tried = (part + _shifted(part) for part in (arms.trials, arms.rest_trials))
    squares = (old**2).sum(axis=0)
    agreed = (old * new).sum(axis=0) >= _COMMON * np.sqrt((old**2 * new_sums).sum(axis=0))
    common = (old * new * old_tried / np.maximum(tried, 1)).sum(axis=0)
    squares = np.where(agreed, np.maximum(squares - common, 0.0), squares)
    return _ratio(squares[None], sums.sum(axis=0)[None], (sums > 0).sum(axis=0)[None], known.clusters)


def _differences(hits: NDArray[np.int64], last: NDArray[np.int64] | None) -> tuple[Numbers, Numbers]:
    """Return the differences of successive steps of *hits*, and their sums; both 0 at the first step."""
    before = _shifted(hits) if last is None else last
    difference, sums = (hits - before).astype(np.float64), (hits + before).astype(np.float64)
    difference[:, :1] = sums[:, :1] = 0
    return difference, sums


def _shifted(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return *table* one step later, with the first step twice."""
    return np.concatenate([table[:, :1], table[:, :-1]], axis=1)


def dispersion_before(residual: Numbers, variance: Numbers) -> Numbers:
    """Return the dispersion of *residual* as known before each step, at least 1; shapes (places, steps)."""
    level = _lately(residual), _lately(variance)
    of_level = variance / np.where(level[1] > 0, level[1], np.inf)  # the mean of a few steps errs, too
    squares = _squares(residual, variance, level) / (1 + of_level)
    return _ratio(squares, variance, (variance > 0).astype(np.float64))


def cautious_dispersion(residual: Numbers, variance: Numbers) -> Numbers:
    """Return the same plus twice its standard error, and infinity before it is known: for tests that are not urgent."""
    counted = _before((variance > 0).astype(np.float64))
    total = _before(variance) + _PRIOR_VARIANCE
    level = _before(residual), _before(variance)
    ratio = (_before(_squares(residual, variance, level)) + _PRIOR_VARIANCE) / total
    raised = np.maximum(ratio * (1 + 2 * np.sqrt(1 / total + 2 / np.maximum(counted, 1))), 1.0)
    return np.asarray(np.where(counted >= _FEW_STEPS, raised, np.inf), dtype=np.float64)


def _squares(residual: Numbers, variance: Numbers, level: tuple[Numbers, Numbers]) -> Numbers:
    """Return the squares of *residual* around its *level*, sums of both before each step: a difference between the arms is not dispersion."""
    drift = level[0] / np.maximum(level[1], 1e-9)
    return np.asarray((residual - variance * drift) ** 2, dtype=np.float64)


def _lately(table: Numbers) -> Numbers:
    """Return the sums over the `_LEVEL_STEPS` steps before each step."""
    before = _before(table)
    earlier = np.concatenate([np.zeros((table.shape[0], _LEVEL_STEPS)), before], axis=1)[:, : table.shape[1]]
    return np.asarray(before - earlier, dtype=np.float64)


def _ratio(
    squares: Numbers, variance: Numbers, counted: Numbers, known: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> Numbers:
    """Return squares over variances of the steps before each, less half a standard error: what a few events seem to say costs little.

    The relative error of a sum of squares of counts is ``1 / variance + 2 / steps``: the kurtosis of rare events, and that of a normal.
    """
    total = _before(variance) + known[1] + _PRIOR_VARIANCE
    ratio = (_before(squares) + known[0] + _PRIOR_VARIANCE) / total
    error = np.sqrt(1 / total + 2 / np.maximum(_before(counted) + known[2], 1))
    return np.asarray(np.maximum(ratio / (1 + _DOUBT * error), 1.0), dtype=np.float64)


def place_evidence(
    arms: Arms, members: NDArray[np.bool_], known: Known | None = None, weight: float = 1.0
) -> PlaceEvidence:
    """Return the evidence that the new version has more events than the old one, for each place.

    Args:
        arms: counts of the new version and, as the rest, of the old one; shape (strata, steps).
        members: strata of each place, shape (places, strata); the first place is the whole.
        known: baseline of the old version before the first step.
        weight: weight of a counted trial.
    """
    known = known or _nothing(arms)
    scale = np.maximum(dispersions(arms, members, known), weight)
    gains = log_increments(arms, RATIOS, (known.hits, known.trials))
    served = (arms.trials + arms.rest_trials).sum(axis=0)
    is_guess = served.cumsum() - served + known.trials.sum() < served
    gains[:, is_guess] = 0.0  # nothing is staked before the rates and their clusters are known
    priors = np.where(np.arange(members.shape[0])[:, None] == 0, WHOLE_PRIOR, PART_PRIOR)
    return accumulate(gains, members, scale, priors)


def accumulate(gains: Numbers, members: NDArray[np.bool_], scale: Numbers, priors: Numbers) -> PlaceEvidence:
    """Return the mixture of the products of *gains* over sizes and beginnings.

    Args:
        gains: log e-values per stratum, step and size, shape (strata, steps, sizes).
        members: strata of each place, shape (places, strata).
        scale: divisor of the increments of each place and step.
        priors: logarithms of the weights of the sizes, by place.
    """
    places, (_, steps, sizes) = members.shape[0], gains.shape
    weights = members.astype(np.float64)
    begins = _beginnings(steps)
    ln_e, carriers = np.empty((places, steps)), np.zeros((places, steps), dtype=np.int8)
    block = max(1, _CELLS // max(steps * sizes, 1))
    for first in range(0, places, block):
        part = slice(first, min(first + block, places))
        summed = np.tensordot(weights[part], gains, axes=(1, 0)) / scale[part, :, None]
        level = np.full((summed.shape[0], sizes), -np.inf)
        for step in range(steps):
            level = np.logaddexp(level, begins[step]) + summed[:, step]
            mixed = level + priors[part]
            ln_e[part, step] = np.logaddexp.reduce(mixed, axis=1)
            carriers[part, step] = mixed.argmax(axis=1)
    return PlaceEvidence(ln_e, carriers, members, gains, scale)


def likely_start(gains: Numbers) -> tuple[int, int, int]:
    """Return the most likely beginning of a fault, given the increments up to the look that saw it, and both ends of its likelihood set."""
    suffix = gains[::-1].cumsum()[::-1]
    start = int(suffix.argmax())
    likely = np.flatnonzero(suffix >= suffix[start] - 3.3)
    return start, int(likely[0]), int(likely[-1])


def _before(table: Numbers) -> Numbers:
    """Return the sums over the steps before each step."""
    return np.concatenate([np.zeros((table.shape[0], 1)), table.cumsum(axis=1)[:, :-1]], axis=1)


def _beginnings(steps: int) -> Numbers:
    """Return the logarithm of the weight of a beginning at each step; the sum of the weights is at most 1 however many there are."""
    later = (1 - _AT_ONCE) * np.arange(1, steps, dtype=np.float64) ** -_LATER_POWER / _LATER_SUM
    return np.asarray(np.log(np.concatenate([[_AT_ONCE], later])), dtype=np.float64)
