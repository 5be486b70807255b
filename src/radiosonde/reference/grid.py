"""The cell geometry of a reference, compiled for counting blocks of rows.

`Grid` turns a block of values into exact cell counts. It runs on the drain path for every value a model sees, so how
it finds the cell is measured, not guessed. 30 numeric features of ten cells, per value, on one core
(``benchmarks/speed``; ratios travel, nanoseconds do not):

| way                                         | 512 rows | 4096 rows |
|---------------------------------------------|----------|-----------|
| ``searchsorted`` per column, ``bincount``   | 20.6 ns  | 18.5 ns   |
| compare per column, ``count_nonzero``       | 14.2 ns  | 5.1 ns    |
| compare row-major, ``count_nonzero``        | 12.7 ns  | 11.8 ns   |
| compare all at once, add masks as words     | 6.1 ns   | 5.7 ns    |
| compare bound by bound into one byte, ``bincount`` (`Grid.count`) | 6.8 ns | 6.7 ns |
| sort each column, ``searchsorted`` the bounds (`Grid.count_sorted`) | 4.7 ns | 4.4 ns    |

The way of `Grid.count` needs one transposing copy and one byte per value, yields the cell of each value as a
by-product (`Grid.assign`), and does not depend on how the values are spread. Sorting is faster only where numpy has a
vectorised sort of doubles, and pays where a sketch wants sorted values anyway: `Grid.count_sorted`. A block that is
already column-major is not copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from radiosonde.model import MOST_BODY_CELLS
from radiosonde.reference.profile import grid_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.reference.profile import FeatureProfile, Kind, Reference

_CHUNK_ROWS = 2048
"""Rows per pass: 30 columns of doubles are 480 KiB, which stays in a second-level cache."""


class ReferenceGrid:
    """Cells of all features of one reference.

    A block is float64 of shape (rows, features). Numeric columns hold values; NaN is missing, an infinity is invalid
    and counts as ``unseen``. Categorical columns hold the code of a known category (`codes`), any other finite number
    for one the reference does not list, NaN for missing; an infinity is ``unseen`` too.

    Attributes:
        id: identity of the geometry; counts add only within one (`Reference.grid_id`).
        names: feature names, in the order of block columns.
        kinds: ``numeric`` or ``categorical`` per feature.
        body: number of body cells of the widest feature.
        width: columns of a cell table, ``body + 4``; see `radiosonde.model.cells`.
        codes: per feature the code of each category; None for a numeric feature.
    """

    __slots__ = (
        "_bounds",
        "_categorical",
        "_category_counts",
        "_columns",
        "_ladder",
        "_low",
        "_numeric",
        "body",
        "codes",
        "id",
        "kinds",
        "names",
        "width",
    )

    def __init__(self, features: Sequence[FeatureProfile]) -> None:
        """Compile the cells of *features*, in block column order."""
        self.id: str = grid_id(features)
        self.names: tuple[str, ...] = tuple(feature.name for feature in features)
        self.kinds: tuple[Kind, ...] = tuple(feature.kind for feature in features)
        self.body: int = max((feature.body for feature in features), default=0)
        self.width: int = self.body + 4
        self.codes: tuple[dict[str, int] | None, ...] = tuple(
            {category: code for code, category in enumerate(feature.categories)}
            if feature.kind == "categorical"
            else None
            for feature in features
        )
        self._numeric = np.flatnonzero([kind == "numeric" for kind in self.kinds])
        self._categorical = np.flatnonzero([kind == "categorical" for kind in self.kinds])
        numeric = [features[index] for index in self._numeric.tolist()]
        self._low, self._bounds = _thresholds(numeric)
        self._category_counts = np.array(
            [[features[index].body] for index in self._categorical.tolist()], dtype=np.float64
        )
        steps = self._bounds.shape[1]
        # Thresholds of `count_sorted`: minus infinity, all below `low`, the bounds, the largest finite number, infinity.
        self._ladder = np.full((len(features), self.body + 4), np.finfo(np.float64).max)
        self._ladder[:, 0], self._ladder[:, -1] = -np.inf, np.inf
        self._ladder[self._numeric, 1] = _just_below(self._low[:, 0])
        if numeric:
            self._ladder[self._numeric, 2 : 2 + self._bounds.shape[1]] = self._bounds
            self._ladder[self._numeric, 2 + self._bounds.shape[1] : -2] = (
                self._bounds[:, -1:] if self._bounds.size else -np.inf
            )
        # Order of the numeric codes made by `_numeric_codes`: below, body cells, above, null, unseen.
        body, width = self.body, self.width
        self._columns = np.array([body, *range(steps), body + 1, body + 2, width - 1], dtype=np.int16)

    @classmethod
    def from_reference(cls, reference: Reference) -> Self:
        """Compile the grid of a reference."""
        return cls(reference.features)

    def count(self, block: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the rows per feature and cell of *block*, shape (features, width).

        Raises:
            ValueError: the block does not have one column per feature.
        """
        self._check(block)
        total = np.zeros((len(self.names), self.width), dtype=np.int64)
        for start in range(0, block.shape[0], _CHUNK_ROWS):
            columns = np.ascontiguousarray(block[start : start + _CHUNK_ROWS].T)
            if self._numeric.size:
                codes = _numeric_codes(self._rows(columns, self._numeric), self._low, self._bounds)
                counts = _count_codes(codes, self._columns.size)
                total[self._numeric[:, None], self._columns] += counts
            if self._categorical.size:
                known = self._category_codes(self._rows(columns, self._categorical))
                total[self._categorical] += _count_codes(known, self.width)
        return total

    def count_sorted(self, columns: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows per feature and cell of columns that are sorted already, and where their finite values are.

        A sorted column is counted by one binary search of its thresholds, which costs nothing beside the sort; and a
        KLL sketch takes sorted values in less than half the time. Callers that feed both therefore sort once.

        Args:
            columns: values, shape (rows, features), every column ascending (NaN last, as `numpy.sort` leaves it).

        Returns:
            Counts as `count` gives them, and per feature (first finite row, row after the last one), shape (features, 2).

        Raises:
            ValueError: the block does not have one column per feature.
        """
        self._check(columns)
        total = np.zeros((len(self.names), self.width), dtype=np.int64)
        at_most = np.empty((len(self.names), self._ladder.shape[1]), dtype=np.int64)
        for place, ladder in enumerate(self._ladder):
            at_most[place] = columns[:, place].searchsorted(ladder, side="right")
        body, numeric = self.body, self._numeric
        found = at_most[numeric]
        total[numeric, :body] = np.diff(found[:, 1 : body + 2], axis=1)
        total[numeric, body] = found[:, 1] - found[:, 0]
        total[numeric, body + 1] = found[:, -2] - found[:, body + 1]
        total[numeric, body + 2] = len(columns) - found[:, -1]
        total[numeric, body + 3] = found[:, 0] + found[:, -1] - found[:, -2]
        if self._categorical.size:
            codes = self._category_codes(np.ascontiguousarray(columns.T[self._categorical]))
            total[self._categorical] += _count_codes(codes, self.width)
        return total, at_most[:, [0, -2]]

    def assign(self, block: NDArray[np.float64]) -> NDArray[np.int16]:
        """Return the column of each value in the cell table, shape (rows, features).

        Raises:
            ValueError: the block does not have one column per feature.
        """
        self._check(block)
        cells = np.empty((len(self.names), block.shape[0]), dtype=np.int16)
        columns = np.ascontiguousarray(block.T)
        if self._numeric.size:
            codes = _numeric_codes(self._rows(columns, self._numeric), self._low, self._bounds)
            cells[self._numeric] = self._columns[codes]
        if self._categorical.size:
            cells[self._categorical] = self._category_codes(self._rows(columns, self._categorical))
        return cells.T

    def ordinals(self, block: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return the cell of each value in one byte, shape (rows, features); see `MOST_BODY_CELLS` for the code.

        (rows, 0), for unknown cells, if a feature has more body cells than a byte can number.

        Raises:
            ValueError: the block does not have one column per feature.
        """
        if self.body > MOST_BODY_CELLS:
            return np.zeros((len(block), 0), dtype=np.uint8)
        columns = self.assign(block)
        # Negative offsets from the end wrap to 252 ... 255.
        return np.where(columns >= self.body, columns - self.width, columns).astype(np.uint8)

    def _check(self, block: NDArray[Any]) -> None:
        if block.ndim != 2 or block.shape[1] != len(self.names):
            raise ValueError(f"a block of shape {block.shape} does not fit {len(self.names)} features")

    def _rows(self, columns: NDArray[np.float64], chosen: NDArray[np.intp]) -> NDArray[np.float64]:
        return columns if chosen.size == len(self.names) else columns[chosen]

    def _category_codes(self, columns: NDArray[np.float64]) -> NDArray[np.int16]:
        cells = np.full(columns.shape, self.width - 1, dtype=np.int16)
        known = (columns >= 0) & (columns < self._category_counts)
        np.copyto(cells, columns, where=known, casting="unsafe")
        cells[np.isnan(columns)] = self.width - 2
        return cells


def _thresholds(features: Sequence[FeatureProfile]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return lowest values (features, 1) and bounds (features, widest); short rows repeat their last bound.

    With repeated bounds, a value that exceeds the last bound exceeds the padding too, so ``above`` is one code for all. A feature
    without bounds gets minus infinity throughout: every finite value is above.
    """
    steps = max((feature.body for feature in features), default=0)
    low = np.array([[feature.low if feature.bounds else -np.inf] for feature in features], dtype=np.float64)
    bounds = np.full((len(features), steps), -np.inf)
    for row, feature in zip(bounds, features, strict=True):
        if feature.bounds:
            row[:] = feature.bounds[-1]
            row[: feature.body] = feature.bounds
    return low.reshape(-1, 1), bounds


def _just_below(low: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the next double below each value, but never a subnormal one: below zero that is the smallest normal.

    A library built with fast-math may make this thread take subnormal numbers for zero, and then every zero of a
    feature that starts at zero would count as below. The price: a negative subnormal counts as zero in `count_sorted`.
    """
    tiny = np.finfo(np.float64).tiny
    with np.errstate(over="ignore"):  # below the lowest double lies minus infinity
        return np.where(np.abs(low) <= tiny, -tiny, np.nextafter(low, -np.inf))


def _numeric_codes(
    columns: NDArray[np.float64], low: NDArray[np.float64], bounds: NDArray[np.float64]
) -> NDArray[np.unsignedinteger[Any]]:
    """Return 0 for below, 1... for body cells, then above, null, unseen, per value; shape of *columns*."""
    steps = bounds.shape[1]
    exceeds = columns >= low
    codes: NDArray[np.unsignedinteger[Any]] = exceeds.view(np.uint8).astype(_narrowest(steps + 4))
    for step in range(steps):
        np.greater(columns, bounds[:, step : step + 1], out=exceeds)
        codes += exceeds.view(np.uint8)
    np.isfinite(columns, out=exceeds)
    if not exceeds.all():
        codes[~exceeds] = steps + 3
        codes[np.isnan(columns)] = steps + 2
    return codes


def _narrowest(codes: int) -> type[np.unsignedinteger[Any]]:
    return np.uint8 if codes <= np.iinfo(np.uint8).max else np.uint16


def _count_codes(codes: NDArray[Any], width: int) -> NDArray[np.int64]:
    offsets = np.arange(0, codes.shape[0] * width, width, dtype=np.intp)
    counts = np.bincount((codes + offsets[:, None]).ravel(), minlength=codes.shape[0] * width)
    return counts.reshape(-1, width).astype(np.int64, copy=False)
