"""Finds a step in a mean whose natural variation is estimated from the series itself.

Production is never independent draws around a training mean: weather lasts for days, traffic has a rhythm, a hundred
rows share one hour's reading. So the unit here is the block (a quarter of a day, or a day), not the row, and the noise
is the long-run variance of block means after the step is taken out: lag-1 correlation or the variance of day means,
whichever is larger. The evidence for a step is the Gaussian log-likelihood ratio with the variance unknown on both
sides, which has the heavy tail of Student's t: with twenty blocks no single odd block can look like proof.

``ln_e = n_eff / 2 * ln(RSS0 / RSS1) - ln(candidates)``; residual sums carry a floor for sampling noise, so a series that
was exactly zero so far needs more than one blemish. The form is a maximised likelihood ratio, not an exact e-value; its false-alarm rate on
real seasons is what ``benchmarks/quality/bench_diagnose.py`` measures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Step(NamedTuple):
    """A segment ``[start, end)`` of steps whose mean differs from the rest.

    Attributes:
        start: first step.
        end: one past the last step; the size of the axis while it lasts.
        before: mean outside.
        after: mean inside.
        ln_e: evidence, multiplicity over segments paid.
        phi: long-run variance ratio of the residual blocks.
        sd: standard deviation of a residual block.
        ln_tries: logarithm of the number of segments tried, which *ln_e* has paid.
    """

    start: int
    end: int
    before: float
    after: float
    ln_e: float
    phi: float
    sd: float
    ln_tries: float


class BlockSums(NamedTuple):
    """Block sums of K series: numerators (blocks, K), denominators (blocks, K), and the first step of each block."""

    sums: NDArray[np.float64]
    weights: NDArray[np.float64]
    starts: NDArray[np.int64]
    per_day: int


def make_blocks(sums: NDArray[np.float64], weights: NDArray[np.float64], length: int, per_day: int) -> BlockSums:
    """Cut (steps, K) into blocks of *length* steps; blocks with under a tenth of the median weight join the one before."""
    edges = np.arange(0, sums.shape[0], length)
    block_weights = np.add.reduceat(weights, edges, axis=0)
    heavy = block_weights.max(axis=1)
    keep = heavy >= 0.1 * np.median(heavy[heavy > 0]) if (heavy > 0).any() else heavy >= 0
    keep[0] = True
    edges = edges[keep]
    return BlockSums(np.add.reduceat(sums, edges, axis=0), np.add.reduceat(weights, edges, axis=0), edges, per_day)


def step_segments(
    blocks: BlockSums, floor: NDArray[np.float64], size: int, *, min_outside: int, min_inside: int, bursts: bool
) -> list[Step | None]:
    """Return the best segment of each series, None where too few blocks hold anything.

    Args:
        blocks: block sums.
        floor: variance of a block mean by sampling alone, shape (K,).
        size: number of steps of the axis.
        min_outside: blocks needed outside the segment, and before it.
        min_inside: blocks needed inside.
        bursts: also try segments that end before the last block.
    """
    means, weights = blocks.sums / np.maximum(blocks.weights, 1e-12), (blocks.weights > 0).astype(np.float64)
    count = means.shape[0]
    total_w, total, square = (part.cumsum(axis=0) for part in (weights, weights * means, weights * means**2))
    zero = np.zeros((1, means.shape[1]))
    cum_w, cum, cum_sq = (np.concatenate([zero, part]) for part in (total_w, total, square))
    pairs = np.array(
        [
            (start, end)
            for start in range(min_outside, count - min_inside + 1)
            for end in (range(start + min_inside, count + 1) if bursts else (count,))
            if count - (end - start) >= min_outside
        ]
    )
    if not pairs.size:
        return [None] * means.shape[1]
    first, last = pairs[:, 0], pairs[:, 1]
    inside_w, inside = cum_w[last] - cum_w[first], cum[last] - cum[first]
    outside_w, outside = cum_w[-1] - inside_w, cum[-1] - inside
    n = cum_w[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        rss0 = cum_sq[-1] - cum[-1] ** 2 / n
        rss1 = (
            cum_sq[-1]
            - np.where(inside_w > 0, inside**2 / inside_w, 0)
            - np.where(outside_w > 0, outside**2 / outside_w, 0)
        )
        padded = np.maximum(rss1, floor * n + 1e-12)
        gain = np.where(
            (inside_w >= min_inside) & (outside_w >= min_outside), np.log((padded + rss0 - rss1) / padded), -1.0
        )
    return [
        _judged(
            means[:, k],
            weights[:, k],
            blocks,
            (int(pairs[b, 0]), int(pairs[b, 1])),
            float(gain[b, k]),
            len(pairs),
            size,
        )
        if gain[b, k] >= 0
        else None
        for k, b in enumerate(gain.argmax(axis=0))
    ]


def _judged(
    means: NDArray[np.float64], weights: NDArray[np.float64], blocks: BlockSums, segment: tuple[int, int], gain: float, tries: int, size: int,
) -> Step:  # fmt: skip
    first, last = segment
    held = weights > 0
    inside = np.zeros(means.size, dtype=bool)
    inside[first:last] = True
    before, after = float(means[held & ~inside].mean()), float(means[held & inside].mean())
    residual = (means - np.where(inside, after, before))[held]
    phi = long_run_ratio(residual, blocks.per_day)
    ln_e = held.sum() / phi / 2 * gain - np.log(tries)
    end = int(blocks.starts[last]) if last < means.size else size
    return Step(
        int(blocks.starts[first]), end, before, after, float(ln_e), phi, float(residual.std()), float(np.log(tries))
    )


def long_run_ratio(residual: NDArray[np.float64], per_day: int) -> float:
    """Return the ratio of the variance of a long mean to that of independent blocks: 1 to 12.

    The lag-1 correlation is corrected for the bias of short series (Kendall: about (1 + 3 rho) / n).
    """
    if residual.size < 4 or residual.var() < 1e-18:
        return 1.0
    centred = residual - residual.mean()
    rho = float(centred[1:] @ centred[:-1] / (centred @ centred))
    rho = min(rho + (1 + 3 * rho) / residual.size, 0.85)
    by_lag = (1 + rho) / (1 - rho)
    days = residual.size // per_day if per_day > 1 else 0
    by_day = 1.0
    if days >= 4:
        by_day = float(
            residual[: days * per_day].reshape(days, per_day).mean(axis=1).var(ddof=1) * per_day / residual.var()
        )
    return min(max(1.0, by_lag, by_day), 12.0)


def sharpen(
    hits: NDArray[np.int64], totals: NDArray[np.int64], start: int, end: int, around: int, phi: float
) -> tuple[int, int, int]:
    """Return (best, earliest, latest) first step of a binomial rate change near *start*, by suffix log-likelihood.

    Args:
        hits: events per step.
        totals: trials per step.
        start: where a coarser scan put it.
        end: end of the segment.
        around: number of steps to search on either side.
        phi: dispersion; the set holds all steps within ``3.3 * phi`` of the best.
    """
    low, high = max(start - around, 0), min(start + around + 1, end)
    outside = np.ones(hits.size, dtype=bool)
    outside[start:end] = False
    p0 = (hits[outside].sum() + 0.5) / (totals[outside].sum() + 1)
    p1 = (hits[start:end].sum() + 0.5) / (totals[start:end].sum() + 1)
    score = hits[low:end] * np.log(p1 / p0) + (totals - hits)[low:end] * np.log((1 - p1) / (1 - p0))
    suffix = score[::-1].cumsum()[::-1][: high - low]
    likely = np.flatnonzero(suffix >= suffix.max() - 3.3 * phi)
    best = int(suffix.argmax())
    # Steps in which nothing was counted carry no evidence; the first step with traffic is the one to name.
    while best < suffix.size - 1 and totals[low + best] == 0:
        best += 1
    return low + best, low + int(likely[0]), low + int(likely[-1])
