"""Detects a lasting increase in the share of an event (missing, unseen, wrong): the step scan on hits over totals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.scan import BlockSums, Step, long_run_ratio, make_blocks, sharpen, step_segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.panel import Axis

PAGE_LN_E = 12.0
"""Evidence required for a break. The false alarms on a year of healthy flights are counted in bench_diagnose."""

_SHORTEST_H = 12
_NEAR_H = 36
_OUTAGE_RISE = 0.5
_MAX_LONG_RUN = 12.0


WORLD_H = 6
"""Hours per block: the scanned data follow the weather."""


def block_steps(axis: Axis, hours: int = WORLD_H) -> int:
    """Return the block length in steps: *hours*, or a 24th of an axis shorter than two days."""
    return axis.steps(hours) if axis.hours >= 48 else max(1, axis.size // 24)


def scan_share(
    axis: Axis,
    hits: NDArray[np.float64],
    totals: NDArray[np.float64],
    block: int,
    *,
    min_rise: float,
    ratio: float = 0.5,
    least: float = PAGE_LN_E,
) -> tuple[Step, tuple[int, int, int]] | None:
    """Return the segment in which hits/totals rose, and its (best, earliest, latest) first step; None if none did.

    The shares of the segment are those of the rows from the best first step on, and of all others.

    Args:
        axis: event time.
        hits: events per step.
        totals: trials per step.
        block: steps per block.
        min_rise: least rise of the share that matters.
        ratio: least rise as a part of the share before.
        least: least evidence.
    """
    if not hits.any():
        return None
    blocks = make_blocks(hits[:, None], totals[:, None], block, max(1, axis.steps(24) // block))
    inside = max(2, axis.steps(_SHORTEST_H) // block if axis.hours >= 4 * _SHORTEST_H else 2)
    dispersion = step_dispersion(hits, totals, block)
    share = float(hits.sum() / max(totals.sum(), 1))
    floor = max(share * (1 - share), 1e-6) / max(float(np.median(blocks.weights)), 1.0) * dispersion
    outside = max(4, min(8, axis.size // block // 4))
    step = step_segments(blocks, np.array([floor]), axis.size, min_outside=outside, min_inside=inside, bursts=True)[0]
    if step is None or step.after - step.before < max(min_rise, ratio * step.before):
        return None
    dispersion = step_dispersion(hits, totals, block, _away_from(step, axis.size, block))
    step = step._replace(ln_e=_evidence(blocks, step, dispersion) - step.ln_tries)
    if step.ln_e < least:
        return None
    whole_hits, whole_totals = np.rint(hits).astype(np.int64), np.rint(totals).astype(np.int64)
    onset = sharpen(whole_hits, whole_totals, step.start, step.end, max(block, axis.steps(_NEAR_H)), dispersion)
    return _counted_since(step, onset[0], hits, totals), onset


def _counted_since(step: Step, onset: int, hits: NDArray[np.float64], totals: NDArray[np.float64]) -> Step:
    """Return *step* with its shares counted over rows, from the onset on: a mean of blocks holds rows from before it in the first."""
    inside = slice(onset, step.end)
    hit, total = float(hits[inside].sum()), float(totals[inside].sum())
    return step._replace(
        before=(float(hits.sum()) - hit) / max(float(totals.sum()) - total, 1.0), after=hit / max(total, 1.0)
    )


def _evidence(blocks: BlockSums, step: Step, dispersion: float) -> float:
    """Score a segment found by the step scan, as the smaller of two likelihood ratios.

    * Of shares (binomial, divided by the dispersion left between blocks): for rare events, nothing before and two in a
      hundred after, a Gaussian form on shares would waste most of the evidence.
    * Of log-odds (Gaussian, variance unknown): a share that wanders does so in proportion, so its high plateaus look like
      outliers among shares and like what they are, ordinary weather, among log-odds.

    Both enter ``n_eff / 2 * ln(1 + 2 LLR / n)``, the shape of Student's t as in the scan, so that a dispersion estimated
    from a few blocks is not taken for the truth. A rise by half of all rows is an outage, too short as a rule for the second
    form to say much, and judged by the first alone. *n_eff* is the number of blocks over their long-run variance ratio.
    """
    held = blocks.weights[:, 0] > 0
    hits, totals, starts = blocks.sums[held, 0], blocks.weights[held, 0], blocks.starts[held]
    count = hits.size
    inside = (starts >= step.start) & (starts < step.end)
    odds = np.log((hits + 0.5) / (totals - hits + 0.5))
    overall = (hits.sum() + 0.5) / (totals.sum() + 1)
    expected, residual, log_ratio = np.zeros(count), np.zeros(count), 0.0
    for side in (inside, ~inside):
        h, n = hits[side], totals[side]
        share = (h.sum() + 0.5) / (n.sum() + 1)
        log_ratio += float(h.sum() * np.log(share / overall) + (n - h).sum() * np.log((1 - share) / (1 - overall)))
        expected[side] = share * n
        residual[side] = odds[side] - odds[side].mean()
    phi, long_run = _dispersions(hits, totals, expected, starts, step, blocks.per_day)
    phi = max(phi, dispersion)
    by_share = count / long_run * np.log1p(2 * max(log_ratio, 0.0) / (phi * count))
    if step.after - step.before >= _OUTAGE_RISE:
        return float(by_share) / 2
    # The floor is the variance of log-odds that a share no wandering was seen in may still have.
    floor = 0.05 * count
    gain = np.log((float(((odds - odds.mean()) ** 2).sum()) + floor) / (float(residual @ residual) + floor))
    by_odds = count / long_run_ratio(residual, blocks.per_day) * gain
    return float(min(by_share, by_odds)) / 2


def _dispersions(
    hits: NDArray[np.float64], totals: NDArray[np.float64], expected: NDArray[np.float64], starts: NDArray[np.int64], step: Step,
    per_day: int,
) -> tuple[float, float]:  # fmt: skip
    """Return Pearson's dispersion of blocks, and the ratio to that of days (1 when blocks are independent)."""
    variance = np.maximum(expected * (1 - expected / totals), 1e-9)
    # A block that the segment's edge cuts through is not overdispersed but mixed.
    whole = np.ones(hits.size, dtype=bool)
    for edge in (step.start, step.end):
        at = int(np.searchsorted(starts, edge))
        whole[max(at - 1, 0) : at + 1] = edge <= starts[0] or at >= hits.size
    used = whole if whole.sum() > 4 else np.ones_like(whole)
    phi = float(((hits - expected) ** 2 / variance)[used].sum()) / max(int(used.sum()) - 2, 1)
    day = np.arange(hits.size) // per_day
    if day[-1] < 3:
        return max(phi, 1.0), step.phi
    excess = np.bincount(day, np.where(used, hits - expected, 0))
    by_day = float((excess**2 / np.maximum(np.bincount(day, np.where(used, variance, 0)), 1e-9)).sum()) / max(
        day[-1] - 1, 1
    )
    phi = max(phi, 1.0)
    return phi, min(max(by_day / phi, 1.0), _MAX_LONG_RUN)


def _away_from(step: Step, size: int, block: int) -> NDArray[np.bool_]:
    """Return the steps that are not within a block of either edge: there the mixture of both states looks like clustering."""
    at = np.arange(size)
    near = np.abs(at - step.start) <= block
    if step.end < size:
        near |= np.abs(at - step.end) <= block
    return np.asarray(~near, dtype=np.bool_)


def step_dispersion(
    hits: NDArray[np.float64], totals: NDArray[np.float64], block: int, keep: NDArray[np.bool_] | None = None
) -> float:
    """Return the dispersion of hits in steps: the variance between the steps of a block over the binomial one, at least 1."""
    held = np.flatnonzero(totals > 0 if keep is None else (totals > 0) & keep)
    if held.size < 3:
        return 1.0
    group = held // block
    rate = (np.bincount(group, hits[held]) / np.maximum(np.bincount(group, totals[held]), 1))[group]
    expected = rate * totals[held]
    variance = expected * (1 - rate)
    used = variance > 0
    if not used.any():
        return 1.0
    ratio = float(((hits[held] - expected)[used] ** 2).sum() / variance[used].sum())
    return max(1.0, ratio * block / max(block - 1, 1))
