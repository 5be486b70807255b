"""The measures table: counts per series and window, at the windows' own resolution.

A *step* is an existing window: the axis holds the distinct starts of windows and no empty time, so a job that runs once a night has one
step a night. Windows of coarser tiers (an hour merged from sixty minutes) are steps of their own length. Parts of one window (several
processes, late labels) add up in their cell, so neither the order nor
the split of windows changes anything.

Cost: one pass over the windows and 8 bytes per series, step and measure. Above `MAX_CELLS` steps older than a day are merged by the hour:
the last day always keeps its resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.status import window_length_ns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from radiosonde.model import SeriesKey, Window

MAX_CELLS = 16_000_000
_HOUR_NS, _DAY_NS = 3_600_000_000_000, 86_400_000_000_000
MONTH_NS = 28 * _DAY_NS


@dataclass(frozen=True, slots=True)
class MeasureTable:
    """All windows of one model.

    Attributes:
        model: model name.
        keys: the series, in order: the rows of the tables.
        start_ns: start of each step, ascending, shape (steps,).
        end_ns: end of each step.
        calls: calls, shape (series, steps).
        failures: calls that raised, same shape.
        error_types: of the failures, by type, where there are any: (row, step, calls) each.
    """

    model: str
    keys: tuple[SeriesKey, ...]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    calls: NDArray[np.float64]
    failures: NDArray[np.float64]
    error_types: Mapping[str, NDArray[np.int64]]

    @property
    def size(self) -> int:
        """Number of steps."""
        return int(self.start_ns.size)

    @property
    def steps_per_month(self) -> float:
        """How many steps 28 days hold at the usual distance of two steps; at least 1."""
        if self.size < 2:
            return 1.0
        return float(max(MONTH_NS / max(float(np.median(np.diff(self.start_ns))), 1.0), 1.0))

    @property
    def arms(self) -> tuple[tuple[str, str], ...]:
        """The distinct (version, variant), in order."""
        return tuple(sorted({(key.version, key.variant) for key in self.keys}))


def make_table(model: str, windows: Sequence[Window]) -> MeasureTable:
    """Lay out the *windows* of *model*; windows are taken as they are, parts included."""
    keys = tuple(sorted({window.key for window in windows}))
    row_of = {key: row for row, key in enumerate(keys)}
    rows = np.fromiter((row_of[window.key] for window in windows), np.int64, len(windows))
    starts = np.fromiter((window.start_ns for window in windows), np.int64, len(windows))
    ends = np.fromiter((window.end_ns for window in windows), np.int64, len(windows))
    steps = np.unique(starts)
    if len(keys) * steps.size > MAX_CELLS:
        old = starts < steps[-1] - _DAY_NS
        starts = np.where(old, starts - starts % max(_HOUR_NS, window_length_ns(windows)), starts)
        steps = np.unique(starts)
    at = np.searchsorted(steps, starts)
    step_ends = np.zeros(steps.size, dtype=np.int64)
    np.maximum.at(step_ends, at, ends)
    shape = (len(keys), steps.size)
    flat = rows * steps.size + at

    def summed(values: list[int]) -> NDArray[np.float64]:
        return np.bincount(flat, values, minlength=shape[0] * shape[1]).astype(np.float64).reshape(shape)

    types: dict[str, list[tuple[int, int, int]]] = {}
    for index, window in enumerate(windows):
        for name, count in window.errors.items():
            types.setdefault(name, []).append((int(rows[index]), int(at[index]), count))
    return MeasureTable(
        model,
        keys,
        steps,
        step_ends,
        summed([window.calls for window in windows]),
        summed([sum(window.errors.values()) for window in windows]),
        {name: np.array(cells, dtype=np.int64) for name, cells in sorted(types.items())},
    )
