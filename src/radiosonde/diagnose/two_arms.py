"""Compares the failure rates of two arms by an always-valid test of binomial streams, stratified.

Per step and stratum (a cohort, a lag class) both arms saw the same hour, the same weather and the same users' mix, so only their
odds ratio is tested; the failure rate itself may vary freely. For a block with *n1, n0* trials and *e1, e0* events
the variable ``prod p1**e1 ... p0**e0 ... / pbar**(e1+e0) ...`` with ``pbar = (n1 p1 + n0 p0) / (n1 + n0)`` has expectation
at most 1 whenever both arms share one rate (Turner, Ly and Gruenwald 2024), for any p0 and p1 fixed before the block. p0 is the
control's past rate in the stratum; p1 follows from odds ratios 1.5 ... 1000, which are mixed.

Their running product since an unknown start is accumulated as a Shiryaev-Roberts sum: ``R = (1 + R) * E``. Under the null ``R - t`` is a
supermartingale, so R ever exceeds *T / a* within *T* steps with probability at most *a*: ``ln_e = max ln R - ln T`` holds however
often one looks, and it does not pay for the healthy weeks before a late onset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ODDS_RATIOS = np.array([1.5, 2.0, 4.0, 10.0, 50.0, 1000.0])
_PRIOR_TRIALS = 50.0
_PRIOR_RATE = 0.01


class Arms(NamedTuple):
    """Counts per stratum and step, each of shape (strata, steps): events and trials of the arm in question and of the rest."""

    hits: NDArray[np.int64]
    trials: NDArray[np.int64]
    rest_hits: NDArray[np.int64]
    rest_trials: NDArray[np.int64]

    def strata(self, keep: NDArray[np.bool_]) -> Arms:
        """Return the strata marked in *keep*."""
        return Arms(*(part[keep] for part in self))


class ArmVerdict(NamedTuple):
    """How much worse the arm is.

    Attributes:
        ln_e: evidence, corrected for looks over time, not for the number of hypotheses.
        start: most likely first step.
        earliest: start of the likelihood set.
        latest: end of it.
        ratio: the odds ratio that carries the evidence.
    """

    ln_e: float
    start: int
    earliest: int
    latest: int
    ratio: float


def log_increments(
    arms: Arms,
    ratios: NDArray[np.float64] = ODDS_RATIOS,
    known: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> NDArray[np.float64]:
    """Return the log e-value of each stratum, step and odds ratio, shape (strata, steps, ratios).

    Args:
        arms: the counts.
        ratios: odds ratios of the alternatives.
        known: events and trials of the rest before the first step, shape (strata,) each; None for none.
    """
    past_hits, past_trials = (
        np.concatenate([first[:, None], first[:, None] + part.cumsum(axis=1)[:, :-1]], axis=1)
        for part, first in zip((arms.rest_hits, arms.rest_trials), known or _nothing(arms), strict=True)
    )
    # A stratum with little past borrows the rate of all strata.
    overall = (past_hits.sum(axis=0) + 1) / (past_trials.sum(axis=0) + 1 / _PRIOR_RATE)
    return gains_at(arms, (past_hits + _PRIOR_TRIALS * overall) / (past_trials + _PRIOR_TRIALS), ratios)


def gains_at(arms: Arms, rate: NDArray[np.float64], ratios: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log e-values of *arms* for rests of a *rate* fixed before each step, and odds *ratios*; shape (strata, steps, ratios)."""
    p0 = np.clip(rate, 1e-5, 0.95)[..., None]
    odds = p0 / (1 - p0) * ratios
    p1 = np.minimum(odds / (1 + odds), 0.98)
    n1, n0 = arms.trials[..., None], arms.rest_trials[..., None]
    e1, e0 = arms.hits[..., None], arms.rest_hits[..., None]
    pooled = (n1 * p1 + n0 * p0) / np.maximum(n1 + n0, 1)
    pooled = np.where(n1 + n0 > 0, pooled, 0.5)
    gain = (
        e1 * np.log(p1 / pooled)
        + (n1 - e1) * np.log((1 - p1) / (1 - pooled))
        + e0 * np.log(p0 / pooled)
        + (n0 - e0) * np.log((1 - p0) / (1 - pooled))
    )
    return np.asarray(gain, dtype=np.float64)


def _nothing(arms: Arms) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    zero = np.zeros(arms.hits.shape[0], dtype=np.int64)
    return zero, zero


def judge(increments: NDArray[np.float64], dispersion: float = 1.0) -> ArmVerdict:
    """Accumulate *increments* of shape (steps, ratios), already summed over strata, and place the onset.

    Args:
        increments: log e-values per step and odds ratio.
        dispersion: dispersion of events (users who fail repeatedly); the log e-value is divided by it.
    """
    scaled = increments / dispersion
    log_r = np.full(scaled.shape[1], -np.inf)
    peak, at, carrier = -np.inf, 0, 0
    for step, gain in enumerate(scaled):
        log_r = np.logaddexp(0.0, log_r) + gain
        mixed = float(np.logaddexp.reduce(log_r)) - float(np.log(log_r.size))
        if mixed > peak:
            peak, at, carrier = mixed, step, int(log_r.argmax())
    suffix = scaled[: at + 1, carrier][::-1].cumsum()[::-1]
    start = int(suffix.argmax())
    likely = np.flatnonzero(suffix >= suffix.max() - 3.3)
    return ArmVerdict(
        peak - float(np.log(len(scaled))), start, int(likely[0]), int(likely[-1]), float(ODDS_RATIOS[carrier])
    )


def e_benjamini_hochberg(ln_e: NDArray[np.float64], level: float) -> NDArray[np.bool_]:
    """Return which hypotheses e-BH rejects at false-discovery rate *level*, under any dependence (Wang and Ramdas 2022)."""
    order = np.argsort(-ln_e)
    ranks = np.arange(1, ln_e.size + 1)
    passed = np.flatnonzero(ln_e[order] >= np.log(ln_e.size / (level * ranks)))
    rejected = np.zeros(ln_e.size, dtype=bool)
    if passed.size:
        rejected[order[: passed[-1] + 1]] = True
    return rejected
