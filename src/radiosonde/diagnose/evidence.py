"""Evidence of an increased rate: natural logarithms of e-values, for arrays of any shape.

*Against the past*: given all events before and inside a span, those inside are binomial with a share that the trials alone fix
(Przyborowski and Wilenski, Biometrika 31, 1940), for any rate. No rate has to be estimated, a past of 270 000 calls without events is
strong evidence, and a past of 20 calls is weak. The null is a *tolerance*: a rate up to `RATIO` times that of the
past is wandering and not a rise. The ratio under the alternative is mixed over a range of e**9; by Laplace's method that mixture costs
``ln 9 + ln(hits / (2 pi dispersion)) / 2``.

*Against an objective*: the binomial likelihood ratio to the objective rate, mixed in the same way.

Hits that cluster or wander are weaker evidence: the log-likelihood ratio is divided by their dispersion at the scale of the span
(quasi-likelihood, McCullagh and Nelder, 1989, chapter 9). With it this is a model and not a bound; its false-alarm rate on healthy traffic
is measured by `make bench B=incidents`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

RATIO = 1.5
"""Rise over the past that is tolerated as wandering."""

MIN_HITS = 3.0
"""Smallest number of events: one failed call, retried once, is not an incident."""

_LN_RANGE = float(np.log(9.0))


def rise_ln_e(
    hits: Numbers,
    trials: Numbers,
    past_hits: Numbers,
    past_trials: Numbers,
    dispersion: Numbers,
    *,
    least: float = MIN_HITS,
) -> Numbers:
    """Return the log e-value that the rate of *hits* among *trials* is above `RATIO` times that of the past.

    Without a past it is minus infinity: there is no baseline.
    """
    total = hits + past_hits
    weighted = RATIO * trials
    share = weighted / np.maximum(weighted + past_trials, 1e-300)
    observed = hits / np.maximum(total, 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = hits * np.log(observed / share)
        gain = gain + np.where(past_hits > 0, past_hits * np.log((1 - observed) / (1 - share)), 0.0)
    is_rise = (hits >= least) & (past_trials > 0) & (observed > share)
    return np.where(is_rise, gain / dispersion - _cost(hits, dispersion), -np.inf)


def above_ln_e(hits: Numbers, trials: Numbers, rate: Numbers | float, dispersion: Numbers) -> Numbers:
    """Return the log e-value that the rate of *hits* among *trials* is above *rate*; none is above a rate of 1 or more."""
    observed = hits / np.maximum(trials, 1e-300)
    is_above = (hits >= MIN_HITS) & (observed > rate)
    rate = np.minimum(rate, 0.999)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = hits * np.log(observed / rate)
        missed = trials - hits
        gain = gain + np.where(missed > 0, missed * np.log((1 - observed) / (1 - rate)), 0.0)
    return np.where(is_above, gain / dispersion - _cost(hits, dispersion), -np.inf)


def _cost(hits: Numbers, dispersion: Numbers) -> Numbers:
    return np.maximum(_LN_RANGE + 0.5 * np.log(np.maximum(hits, 1.0) / (2 * np.pi * dispersion)), 0.0)
