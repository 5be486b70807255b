"""Has the share of an event (missing, failed, slow) risen and stayed up? The step scan, applied to hits over totals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.scan import Step, make_blocks, sharpen, step_segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.panel import Axis

PAGE_LN_E = 12.0
"""Evidence a break needs. What the scan then reports on a year of healthy flights is counted in bench_diagnose."""

_SHORTEST_H = 12


def block_steps(axis: Axis) -> int:
    """Return the block length in steps: six hours, or a 24th of an axis shorter than two days."""
    return axis.steps(6) if axis.hours >= 48 else max(1, axis.size // 24)


def scan_share(
    axis: Axis,
    hits: NDArray[np.float64],
    totals: NDArray[np.float64],
    block: int,
    *,
    min_rise: float,
    ratio: float = 0.5,
) -> tuple[Step, tuple[int, int, int]] | None:
    """Return the segment in which hits/totals rose, and its (best, earliest, latest) first step; None if none did.

    Args:
        axis: event time.
        hits: events per step.
        totals: trials per step.
        block: steps per block.
        min_rise: least rise of the share that matters.
        ratio: least rise as a part of the share before.
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
    if step is None or step.ln_e < PAGE_LN_E or step.after - step.before < max(min_rise, ratio * step.before):
        return None
    whole_hits, whole_totals = np.rint(hits).astype(np.int64), np.rint(totals).astype(np.int64)
    return step, sharpen(whole_hits, whole_totals, step.start, step.end, block + block // 2, dispersion)


def step_dispersion(hits: NDArray[np.float64], totals: NDArray[np.float64], block: int) -> float:
    """Return how much hits cluster in steps: the variance between the steps of a block over the binomial one, at least 1."""
    held = np.flatnonzero(totals > 0)
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
