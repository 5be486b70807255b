"""Sample-ratio mismatch: does the new version get the calls it should? Checked first, because nothing can be compared otherwise.

Two questions. Does its share of all calls equal the configured one (if any)? And is its share the same in every cohort, as it is when
callers are assigned at random, for any ramp? The second is the test of two binomial arms: calls of the new version among
all calls, in a cohort and elsewhere, in the same step. Cohorts that the new version does not serve at all are not part of the rollout.
Both are valid under continuous monitoring and divided by the dispersion of the steps before, because callers come in sessions; the first
ten steps only estimate it. A mismatch below 5 % (odds) is ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.canary.evidence import accumulate, cautious_dispersion
from radiosonde.diagnose.two_arms import Arms, gains_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.canary.places import CanaryPlaces

    Counts = NDArray[np.int64]
    Numbers = NDArray[np.float64]

LIMIT = float(np.log(1e4))
LEAST_ODDS = 1.05
_FEW_STEPS = 10
_UP = np.array([1.05, 1.2, 2.0, 6.0])
_BOTH_WAYS = np.concatenate([1 / _UP[::-1], _UP])
_FLAT = np.full((1, _UP.size), -np.log(_UP.size))


class Mismatch(NamedTuple):
    """A place whose share is not as it should be.

    Attributes:
        cohort: the cohort; ``""`` for the share of all calls.
        share: share of the new version there.
        expected: expected share.
        ln_e: evidence.
    """

    cohort: str
    share: float
    expected: float
    ln_e: float


class Ratio(NamedTuple):
    """Result on the traffic split.

    Attributes:
        share: share of the new version in the calls of both.
        expected: the configured share; None if not configured.
        cohorts: number of compared cohorts.
        mismatches: places whose share is wrong, strongest first.
    """

    share: float
    expected: float | None
    cohorts: int
    mismatches: tuple[Mismatch, ...]

    @property
    def is_checked(self) -> bool:
        """Whether there was anything to compare the share with."""
        return self.expected is not None or self.cohorts > 1


def check_ratio(new: Counts, old: Counts, places: CanaryPlaces, expected: float | None, *, uneven: bool) -> Ratio:
    """Compare the split of calls with the expected one.

    Args:
        new: calls of the new version, shape (cohorts, steps).
        old: calls of the old version.
        places: places among the cohorts.
        expected: configured share of the new version; None if not configured.
        uneven: cohorts have different shares on purpose.
    """
    served = new.sum(axis=1) > 0
    new, old = new[served], old[served]
    share = float(new.sum() / max(new.sum() + old.sum(), 1))
    found = [] if expected is None else _against(new.sum(axis=0), old.sum(axis=0), expected)
    members = places.members[:, served]
    distinct = [index for index in range(1, len(places.names)) if "," not in places.names[index] and members[index].any() and not members[index].all()]  # fmt: skip
    if not uneven:
        limit = LIMIT + float(np.log(2 * max(len(distinct), 1)))
        for index in distinct:
            found += _beside(new, old, members[index], places.names[index], limit)
    found.sort(key=lambda each: -each.ln_e)
    return Ratio(share, expected, 0 if uneven else len(distinct), tuple(found))


def _against(new: Counts, old: Counts, expected: float) -> list[Mismatch]:
    total = new + old
    odds = expected / (1 - expected) * _BOTH_WAYS
    rates = odds / (1 + odds)
    gains = new[:, None] * np.log(rates / expected) + old[:, None] * np.log((1 - rates) / (1 - expected))
    scale = cautious_dispersion(
        (new - total * expected)[None].astype(np.float64), (total * expected * (1 - expected))[None].astype(np.float64)
    )
    priors = np.full((1, _BOTH_WAYS.size), -np.log(_BOTH_WAYS.size))
    ln_e = float(accumulate(gains[None].astype(np.float64), np.ones((1, 1), dtype=bool), scale, priors).ln_e.max())
    share = float(new.sum() / max(total.sum(), 1))
    return [Mismatch("", share, expected, ln_e)] if ln_e >= LIMIT and _differ(share, expected) else []


def _beside(new: Counts, old: Counts, inside: NDArray[np.bool_], name: str, limit: float) -> list[Mismatch]:
    """Compare the share of the new version inside a place with that outside."""
    hits, misses, rest_hits, rest_misses = (part[rows].sum(axis=0) for rows in (inside, ~inside) for part in (new, old))
    trials, rest = hits + misses, rest_hits + rest_misses
    total, chosen = trials + rest, hits + rest_hits
    part = trials / np.maximum(total, 1)
    residual = (hits - chosen * part)[None]
    variance = (chosen * part * (1 - part) * (total - chosen) / np.maximum(total - 1, 1))[None]
    scale = cautious_dispersion(residual, variance)
    best = -np.inf
    for mine, others in ((hits, rest_hits), (misses, rest_misses)):
        recent = _recent(others) / np.maximum(_recent(rest), 1)
        gains = gains_at(Arms(mine[None], trials[None], others[None], rest[None]), recent[None], _UP)
        best = max(best, float(accumulate(gains, np.ones((1, 1), dtype=bool), scale, _FLAT).ln_e.max()))
    # Expected is the share elsewhere, step by step, weighted by the calls here: a ramp is not a mismatch.
    share, usual = (
        float(hits.sum() / max(trials.sum(), 1)),
        float((trials * rest_hits / np.maximum(rest, 1)).sum() / max(trials.sum(), 1)),
    )
    return [Mismatch(name, share, usual, best)] if best >= limit and _differ(share, usual) else []


def _recent(table: Counts) -> Counts:
    """Return the sums over the ten steps before each: a share that is ramped up is the one of now."""
    total = np.concatenate([[0], table.cumsum()])
    end = np.arange(table.size)
    return np.asarray(total[end] - total[np.maximum(end - _FEW_STEPS, 0)], dtype=np.int64)


def _differ(share: float, expected: float) -> bool:
    odds = np.log(max(share, 1e-9) / max(1 - share, 1e-9)) - np.log(max(expected, 1e-9) / max(1 - expected, 1e-9))
    return bool(abs(odds) >= np.log(LEAST_ODDS))
