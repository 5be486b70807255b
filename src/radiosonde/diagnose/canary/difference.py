"""Confidence sequence for the difference of the two versions, valid under continuous monitoring.

For each difference *d* of a grid the null "new minus old is *d*" is tested by the e-value of two binomial blocks with *n1, n0* trials:
the likelihood at rates *p1, p0* fixed before the block over the likelihood at the point *(q + d, q)* of the null that is nearest to them,
the minimiser of ``n1 KL(p1 || q + d) + n0 KL(p0 || q)`` (Turner and Gruenwald, "Exact anytime-valid confidence intervals for contingency
tables", 2023). For any true rates of the null, ``ln E[e] <= sum n (true - q) (p - q) / (q (1 - q)) <= 0``: the second step is the
minimiser's condition of first order. Products of such blocks therefore exceed *1 / a* with probability at most *a*, at any time, for any
course of the rates. The rates are the past's, smoothed towards each other. The interval holds the differences that were never rejected,
widened to the next grid point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

_HALVINGS = 40
_LEAST = 1e-9
_PRIOR_HITS = 2.0


def past_rates(hits: Numbers, trials: Numbers, old_hits: Numbers, old_trials: Numbers) -> tuple[Numbers, Numbers]:
    """Return the rates of the new and the old version as known before each step, smoothed by two events at their common rate.

    NaN where fewer rows were seen before than come in the step: nothing is staked on a guess.

    Args:
        hits: events of the new version, steps along the last axis but one (shape ``(..., steps, grid)``).
        trials: its trials.
        old_hits: events of the old version.
        old_trials: its trials.
    """
    done, tried, old_done, old_tried = (part.cumsum(axis=-2) - part for part in (hits, trials, old_hits, old_trials))
    common = (done + old_done + 0.5) / (tried + old_tried + 50.0)
    weight = _PRIOR_HITS / common
    new = (done + _PRIOR_HITS) / (tried + weight)
    old = (old_done + _PRIOR_HITS) / (old_tried + weight)
    is_known = tried + old_tried >= trials + old_trials
    return tuple(np.where(is_known, np.clip(rate, 1e-6, 1 - 1e-6), np.nan) for rate in (new, old))  # type: ignore[return-value]


def nearest_rate(trials: Numbers, old_trials: Numbers, rates: tuple[Numbers, Numbers], delta: Numbers) -> Numbers:
    """Return the old version's rate *q* at the point ``(q + delta, q)`` that is nearest to *rates*, by bisection; shapes broadcast."""
    new, old = rates
    shape = np.broadcast_shapes(trials.shape, old_trials.shape, new.shape, delta.shape)
    low = np.broadcast_to(np.maximum(0.0, -delta) + _LEAST, shape).copy()
    high = np.broadcast_to(np.minimum(1.0, 1.0 - delta) - _LEAST, shape).copy()
    for _ in range(_HALVINGS):
        q = (low + high) / 2
        shifted = q + delta
        slope = trials * (shifted - new) / (shifted * (1 - shifted)) + old_trials * (q - old) / (q * (1 - q))
        low, high = np.where(slope < 0, q, low), np.where(slope < 0, high, q)
    return np.asarray((low + high) / 2, dtype=np.float64)


def difference_gains(
    hits: Numbers,
    trials: Numbers,
    old_hits: Numbers,
    old_trials: Numbers,
    delta: Numbers,
    rates: tuple[Numbers, Numbers],
) -> Numbers:
    """Return the log e-values against each difference of *delta*; 0 where only one version served, or the rates are NaN.

    Args:
        hits: events of the new version, shape ``(..., steps, grid)``; all shapes broadcast.
        trials: its trials.
        old_hits: events of the old version.
        old_trials: its trials.
        delta: new minus old, under the null.
        rates: of both, fixed before the step.
    """
    is_known = np.isfinite(rates[0]) & np.isfinite(rates[1])
    new, old = (np.where(is_known, rate, 0.5) for rate in rates)
    q = nearest_rate(trials, old_trials, (new, old), delta)
    shifted = q + delta
    gain = (
        hits * np.log(new / shifted)
        + (trials - hits) * np.log((1 - new) / (1 - shifted))
        + old_hits * np.log(old / q)
        + (old_trials - old_hits) * np.log((1 - old) / (1 - q))
    )
    return np.asarray(np.where((trials > 0) & (old_trials > 0) & is_known, gain, 0.0), dtype=np.float64)


def growth_per_row(share: float, new: float, old: float, delta: float) -> float:
    """Return the expected log e-value per row of the new version against *delta*, when its rate is *new* and that of the old one *old*.

    Args:
        share: share of the new version in the rows of both.
        new: rate of the new version.
        old: rate of the old version.
        delta: difference under the null.
    """
    one, many = np.array([1.0]), np.array([(1 - share) / max(share, 1e-9)])
    rates = np.array([np.clip(new, 1e-6, 1 - 1e-6)]), np.array([np.clip(old, 1e-6, 1 - 1e-6)])
    q = nearest_rate(one, many, rates, np.array([delta]))
    return float((_divergence(rates[0], q + delta) + many * _divergence(rates[1], q))[0])


def _divergence(p: Numbers, q: Numbers) -> Numbers:
    return np.asarray(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)), dtype=np.float64)
