"""Label lags by class: the lag distribution from windows whose later labels are still missing.

Arrived labels are right-truncated: of predictions made three days ago only labels faster than three days are here, so the
median of arrived lags is too short and the slow class looks rare. The reverse-time product limit corrects that (Lagakos,
Barraj and De Gruttola, "Nonparametric analysis of truncated survival data", Biometrika 75, 1988): among labels with a lag of
at most *x* of predictions at least *x* old, the share with a lag of exactly *x* is free of truncation, so
``F(x-) / F(x) = 1 - d(x) / n(x)``, and F is the product of these ratios from the longest lag down.

Only lags up to the age of the oldest predictions can be known: F is the share of *those*. Where much is still to come at
that age, `LagCurve.refused` holds the reason and the curve must not be used for weights. Buckets are those of
`radiosonde.model.LAG`; a window counts for a bucket once it is older than the whole bucket.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiosonde.model import LAG
from radiosonde.quality.columns import Array
from radiosonde.quality.table import LabelTable

MIN_AT_RISK = 30
"""Labels that the longest lag of a curve must be seen against."""

MAX_UNSEEN = 0.1
"""Estimated share of labels beyond the longest lag, from which on a curve is refused: every weight is off by as much."""

_OCTAVE = 1 << LAG.scale
_UPPER_S = LAG.upper_bounds_s()
_LOG_EDGES = np.concatenate([[0.0], np.log(_UPPER_S)])


@dataclass(frozen=True, slots=True, eq=False)
class LagCurve:
    """Distribution of the lag of one label class.

    Attributes:
        name: label class.
        labels: number of labels in the curve.
        shares: F at the upper bound of each bucket of `LAG`, shape (100,); 1 from the horizon on.
        variances: variance of log F, same shape (Greenwood's formula in reverse time).
        horizon_s: longest lag that could be seen.
        unseen_ratio: estimate of the share of labels that come later than that, by geometric decline over the last octaves.
        refused: why it must not be used; ``""`` when it may.
    """

    name: str
    labels: int
    shares: Array
    variances: Array
    horizon_s: float
    unseen_ratio: float
    refused: str

    def share_by(self, age_s: Array) -> Array:
        """Return the share of labels that arrive within *age_s*; log-linear within a bucket."""
        steps = np.concatenate([[0.0], self.shares])
        return np.asarray(np.interp(np.log(np.maximum(age_s, 1e-9)), _LOG_EDGES, steps))

    def variance_by(self, age_s: Array) -> Array:
        """Return the variance of the logarithm of `share_by`; infinite where that is 0."""
        bucket = np.searchsorted(_UPPER_S, age_s, side="left")
        return np.asarray(self.variances[np.minimum(bucket, LAG.size - 1)])

    def quantile_s(self, share: float) -> float:
        """Return the lag in seconds within which *share* of the labels come: the upper bound of the bucket it falls into."""
        return float(_UPPER_S[min(int(np.searchsorted(self.shares, share - 1e-12)), LAG.size - 1)])

    def coverage(self, youngest_s: Array, oldest_s: Array) -> Array:
        """Return the share of labels that have come for predictions of ages spread evenly over ``[youngest, oldest]``."""
        points = np.linspace(0.1, 0.9, 5)
        ages = youngest_s[..., None] + (oldest_s - youngest_s)[..., None] * points
        return np.asarray(self.share_by(ages).mean(axis=-1))


def lag_curves(table: LabelTable, *, as_of_ns: int | None = None) -> tuple[LagCurve, ...]:
    """Estimate the lag curve of every class of *table* that is a label.

    Args:
        table: windows; use all available ones, not only those to assess: more and older windows improve the curve.
        as_of_ns: compute the curve as of this time, from data that was certain then.
    """
    complete = _UPPER_S[None, :] <= table.youngest_s(as_of_ns)[:, None]
    events = np.einsum("gj,gcj->cj", complete, table.lags)
    at_risk = np.einsum("gj,gcj->cj", complete, table.lags.cumsum(axis=2))
    return tuple(
        _curve(name, events[row], at_risk[row]) for row, name in enumerate(table.classes) if table.lags[:, row].any()
    )


def curve_of(counts: NDArray[np.int64], name: str = "") -> LagCurve:
    """Return the curve of labels that are all there: the plain cumulative share of a lag histogram, shape (100,)."""
    at_risk = counts.cumsum().astype(np.float64)
    return _curve(name, counts.astype(np.float64), at_risk)


def _curve(name: str, events: Array, at_risk: Array) -> LagCurve:
    enough = np.flatnonzero(at_risk >= MIN_AT_RISK)
    shares, variances = np.ones(LAG.size), np.zeros(LAG.size)
    if not enough.size:
        labels = int(at_risk.max(initial=0))
        refused = (
            f"{labels} labels of class {name} are old enough to estimate label lags; at least {MIN_AT_RISK} are needed"
        )
        return LagCurve(name, labels, shares, variances, 0.0, 1.0, refused)
    last = int(enough[-1])
    d, n = events[1 : last + 1], np.maximum(at_risk[1 : last + 1], 1e-12)
    ratios = np.where(at_risk[1 : last + 1] > 0, 1 - d / n, 1.0)
    left = n - d
    steps = np.where(d > 0, np.divide(d, n * left, out=np.full_like(d, np.inf), where=left > 0), 0.0)
    shares[:last] = ratios[::-1].cumprod()[::-1]
    variances[:last] = steps[::-1].cumsum()[::-1]
    unseen = _unseen(shares, last)
    # A lag that was reached and then no label in a whole octave: the curve has ended, however far the windows go on.
    refused = ""
    if unseen > MAX_UNSEEN:
        refused = (
            f"labels of class {name} still arrive at the age of the oldest predictions ({span_words(_UPPER_S[last])}); "
            "how many arrive later is unknown"
        )
    return LagCurve(name, int(events.sum()), shares, variances, float(_UPPER_S[last]), unseen, refused)


def _unseen(shares: Array, last: int) -> float:
    """Estimate the mass beyond bucket *last*: the mass of its octave, declining at the rate of the octave before.

    A bound for any lag whose logarithm has a log-concave density (lognormal, gamma, Weibull): those decline ever faster.
    """
    at = [float(shares[index]) if index >= 0 else 0.0 for index in (last, last - _OCTAVE, last - 2 * _OCTAVE)]
    newest, before = at[0] - at[1], at[1] - at[2]
    if newest <= 0.01:
        return newest
    decline = newest / before if before > 0 else 1.0
    return 1.0 if decline >= 1 else min(newest * decline / (1 - decline), 1.0)


def coverage_by_age(curves: tuple[LagCurve, ...], finals: Array, age_s: Array) -> tuple[Array, Array]:
    """Return the share of final labels that has arrived at each age: per class, shape (classes, ages), and overall.

    Args:
        curves: lag curves.
        finals: final labels per class (or shares of them), in the order of *curves*.
        age_s: ages in seconds.
    """
    by_class = np.array([curve.share_by(age_s) for curve in curves]).reshape(len(curves), -1)
    return by_class, finals @ by_class / max(float(finals.sum()), 1e-300)


def span_words(seconds: float) -> str:
    """Return a duration in the unit people would use: ``10 days``, ``3.4 hours``."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds:.2g} seconds"


@dataclass(frozen=True, slots=True)
class LagDrift:
    """Whether labels of newer predictions arrive later (or earlier) than those of older ones.

    Attributes:
        name: label class.
        gap: largest difference of the two distributions, over lags both could show.
        z: reverse-time log-rank statistic, positive when newer labels are slower.
        split_ns: where older ends and newer begins.
    """

    name: str
    gap: float
    z: float
    split_ns: int

    @property
    def is_material(self) -> bool:
        """Whether weights from the older lags are wrong for the newer predictions."""
        return self.gap > 0.1 and abs(self.z) > 6.0


def lag_drift(table: LabelTable) -> tuple[LagDrift, ...]:
    """Compare the lags of the older half of each class's labels with those of the newer half."""
    complete = _UPPER_S[None, :] <= table.youngest_s()[:, None]
    found = []
    for row, name in enumerate(table.classes):
        lags = table.lags[:, row]
        total = lags.sum(axis=1).cumsum()
        if not total.size or total[-1] < 4 * MIN_AT_RISK:
            continue
        half = int(np.searchsorted(total, total[-1] / 2)) + 1
        sides = []
        for part in (slice(0, half), slice(half, None)):
            held = complete[part]
            sides.append(((held * lags[part]).sum(axis=0), (held * lags[part].cumsum(axis=1)).sum(axis=0)))
        split = int(table.end_ns[half - 1])
        found.append(LagDrift(name, *_compare(*sides[0], *sides[1]), split))
    return tuple(found)


def _compare(d_old: Array, n_old: Array, d_new: Array, n_new: Array) -> tuple[float, float]:
    """Return (gap, z) of two right-truncated samples on the lags that both can show."""
    both = np.flatnonzero((n_old >= MIN_AT_RISK) & (n_new >= MIN_AT_RISK))
    if both.size < 2:
        return 0.0, 0.0
    top = slice(int(both[0]) + 1, int(both[-1]) + 1)
    d, n = (d_old + d_new)[top], (n_old + n_new)[top]
    expected = d * n_new[top] / n
    variance = d * n_new[top] * n_old[top] * (n - d) / np.maximum(n * n * (n - 1), 1.0)
    z = float((d_new[top] - expected).sum() / np.sqrt(max(float(variance.sum()), 1e-12)))
    curves = []
    for events, at_risk in ((d_old, n_old), (d_new, n_new)):
        ratios = np.where(at_risk[top] > 0, 1 - events[top] / np.maximum(at_risk[top], 1e-12), 1.0)
        curves.append(ratios[::-1].cumprod()[::-1])
    return float(np.abs(curves[0] - curves[1]).max()), z
