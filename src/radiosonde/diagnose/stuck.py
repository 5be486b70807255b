"""Detects a feature stuck at one value: a run of blocks with one single value, unusual for the feature.

A dry month has no rain and a clear week one visibility, so "one distinct value" is not a fault by itself. The criterion is its frequency in
the past: with a share *q* of single-valued blocks and a longest earlier run of *r* blocks, a run of *L*
has log-evidence ``L * ln(1/q) / (r + 1)``. Runs are taken on the retained values, or on the occupied cells without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.feature_panel import Retained


class Stuck(NamedTuple):
    """A run of one value: first and one past the last step, the value (or cell index), and the evidence."""

    start: int
    end: int
    value: float
    ln_e: float


def find_stuck_value(held: Retained, size: int, block: int) -> Stuck | None:
    """Return the longest run of one retained value, with its evidence; None if there is no such run."""
    lows = np.full(size, np.inf)
    highs = np.full(size, -np.inf)
    np.minimum.at(lows, held.steps, held.values)
    np.maximum.at(highs, held.steps, held.values)
    rows = np.bincount(held.steps, held.rows, size).astype(np.float64)
    return _longest(lows, highs, rows, block)


def find_stuck_cell(cells: NDArray[np.float64], block: int) -> Stuck | None:
    """Return the longest run in one cell; *cells* has shape (steps, cells) without the missing column."""
    occupied = cells > 0
    index = np.arange(cells.shape[1], dtype=np.float64)
    lows = np.where(occupied, index, np.inf).min(axis=1)
    highs = np.where(occupied, index, -np.inf).max(axis=1)
    return _longest(lows, highs, cells.sum(axis=1).astype(np.float64), block)


def _longest(
    lows: NDArray[np.float64], highs: NDArray[np.float64], rows: NDArray[np.float64], block: int
) -> Stuck | None:
    edges = np.arange(0, lows.size, block)
    low, high = np.minimum.reduceat(lows, edges), np.maximum.reduceat(highs, edges)
    counted = np.add.reduceat(rows, edges)
    busy = np.flatnonzero(counted >= max(5.0, 0.1 * float(np.median(counted))))
    if busy.size < 8:
        return None
    single = low[busy] == high[busy]
    runs = _runs(single, low[busy])
    if not runs:
        return None
    first, last = max(runs, key=lambda run: run[1] - run[0])
    length = last - first
    rest = [end - start for start, end in runs if (start, end) != (first, last)]
    outside = busy.size - length
    if outside < 4 or first == 0:
        return None
    share = (sum(rest) + 0.5) / (outside + 1)
    ln_e = length * -np.log(share) / (max(rest, default=0) + 1) - np.log(busy.size)
    start, value = int(edges[busy[first]]), float(low[busy[first]])
    while start > 0 and (rows[start - 1] == 0 or (lows[start - 1] == value and highs[start - 1] == value)):
        start -= 1
    while rows[start] == 0:
        start += 1
    end = lows.size if last == busy.size else int(edges[busy[last]])
    return Stuck(start, end, value, float(ln_e))


def _runs(single: NDArray[np.bool_], value: NDArray[np.float64]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    start: int | None = None
    for index in range(single.size + 1):
        goes_on = index < single.size and single[index]
        if start is not None and not (goes_on and value[index] == value[start]):
            runs.append((start, index))
            start = None
        if goes_on and start is None:
            start = index
    return runs
