"""Feature cells by series and window: the input of the check of cells by place.

Cells add only within one grid, so windows counted on different grids make separate tables. The counts stay in the windows; `CellTable.slab`
lays out one step at a time and `CellTable.column` one feature over time, so memory does not grow with features times time.

Sampled rows count as independent rows, without their weight (`FeatureCounts.evidence_ratio`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.model import ABOVE, BELOW, NULL, SPECIAL_CELLS, UNSEEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from radiosonde.model import SeriesKey, Window
    from radiosonde.reference.profile import FeatureProfile, Reference

    Numbers = NDArray[np.float64]
    Part = tuple[int, Window, NDArray[np.int64], float]


@dataclass(frozen=True, slots=True)
class CellTable:
    """The feature cells of one model on one grid.

    Attributes:
        model: model name.
        keys: the series, in order.
        start_ns: start of each step, ascending, shape (steps,).
        end_ns: end of each step.
        names: features, in the order of the cells.
        profiles: reference of each feature; None without one.
        provisional: the grid was made from the first rows seen.
        width: number of columns of a cell row.
        steps: windows of each step, with series, cells, and rows of evidence per counted row.
    """

    model: str
    keys: tuple[SeriesKey, ...]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    names: tuple[str, ...]
    profiles: tuple[FeatureProfile | None, ...]
    provisional: bool
    width: int
    steps: tuple[tuple[Part, ...], ...]
    _columns: dict[int, Numbers] = field(default_factory=dict)
    _rows: list[Numbers] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Number of steps."""
        return len(self.steps)

    def slab(self, step: int) -> Numbers:
        """Return the cells of one step, shape (series, features, width)."""
        made = np.zeros((len(self.keys), len(self.names), self.width))
        for row, _, cells, ratio in self.steps[step]:
            if ratio == 1.0:
                made[row] += cells
            else:
                made[row] += ratio * cells
        return made

    def column(self, feature: int) -> Numbers:
        """Return the cells of one feature over time, shape (series, steps, width). Not to be written to."""
        held = self._columns.get(feature)
        if held is None:
            held = np.zeros((len(self.keys), self.size, self.width))
            for step, parts in enumerate(self.steps):
                for row, _, cells, ratio in parts:
                    held[row, step] += ratio * cells[feature]
            self._columns[feature] = held
        return held

    def rows(self) -> Numbers:
        """Return the rows of evidence of each series, shape (series,). Not to be written to."""
        if not self._rows:
            made = np.zeros(len(self.keys))
            for parts in self.steps:
                for row, _, cells, ratio in parts:
                    made[row] += ratio * float(cells[0].sum())
            self._rows.append(made)
        return self._rows[0]

    def is_categorical(self, feature: int) -> bool:
        """Return whether *feature* is categorical in the reference."""
        profile = self.profiles[feature]
        return profile is not None and profile.kind == "categorical"

    def cell_name(self, feature: int, cell: int) -> str:
        """Return a readable name of *cell*, a column of the table."""
        if cell >= self.width - len(SPECIAL_CELLS):
            return {NULL: "missing", UNSEEN: "unseen", BELOW: "below", ABOVE: "above"}[cell - self.width]
        profile = self.profiles[feature]
        if profile is None:
            return f"cell {cell}"
        if profile.kind == "categorical":
            return repr(profile.categories[cell])
        low = profile.low if cell == 0 else profile.bounds[cell - 1]
        return f"{low:.4g} to {profile.bounds[cell]:.4g}"


def make_cell_tables(
    windows: Sequence[Window], references: Mapping[tuple[str, str], Reference]
) -> tuple[CellTable, ...]:
    """Return one table per grid among *windows* (all of one model), the most used first."""
    by_grid: dict[str, list[Window]] = {}
    for window in windows:
        if window.features is not None and window.features.names and window.features.cells.size:
            by_grid.setdefault(window.features.grid, []).append(window)
    groups = sorted(by_grid.values(), key=lambda group: -sum(window.rows for window in group))
    return tuple(_make(group, references) for group in groups)


def _make(windows: Sequence[Window], references: Mapping[tuple[str, str], Reference]) -> CellTable:
    first = windows[0].features
    assert first is not None  # noqa: S101 -- narrowing; the caller only passes windows that have features
    keys = tuple(sorted({window.key for window in windows}))
    row_of = {key: row for row, key in enumerate(keys)}
    starts = np.unique(np.array([window.start_ns for window in windows], dtype=np.int64))
    ends = starts.copy()
    steps: list[list[Part]] = [[] for _ in starts]
    for window, at in zip(windows, np.searchsorted(starts, [window.start_ns for window in windows]).tolist(), strict=True):  # fmt: skip
        counts = window.features
        if counts is None or counts.names != first.names:
            continue
        ends[at] = max(int(ends[at]), window.end_ns)
        steps[at].append((row_of[window.key], window, counts.cells, counts.evidence_ratio))
    key = (windows[0].key.model, windows[0].key.version)
    # Versions that share a grid share its reference: any of them will do.
    reference = references.get(key) or next((references[k] for k in sorted(references) if k[0] == key[0]), None)
    known = {profile.name: profile for profile in reference.features} if reference else {}
    profiles = tuple(known.get(name) for name in first.names)
    return CellTable(
        key[0], keys, starts, ends, first.names, profiles, first.provisional, first.cells.shape[1],
        tuple(tuple(sorted(parts, key=lambda part: part[0])) for parts in steps),
    )  # fmt: skip
