"""Label counts of windows as a few small arrays over groups of similar age.

Everything in `radiosonde.quality` works on these arrays. Old windows are grouped: a group is as long as its windows, or a
16th of its age when that is longer. Lags come in buckets of growth 1.19, so no sharper age is of use; and a month of
minutes (43 200 windows) makes about 190 groups, for any number of series.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from radiosonde.model import LAG, Window
from radiosonde.model.bins import LOG_ODDS_BINS
from radiosonde.quality.columns import LINES, Array, Entries, Ints, LabelColumns, label_columns

_GROUPS_PER_AGE = 16


class Residuals(NamedTuple):
    """Regression: labelled rows and sums of (label - value), its absolute and its square; each shape (groups,)."""

    rows: Array
    sums: Array
    absolute: Array
    squares: Array


@dataclass(frozen=True, slots=True, eq=False)
class LabelTable:
    """Labels of predictions by age group, oldest group first.

    Attributes:
        as_of_ns: time of the label counts.
        start_ns: start of each group, shape (groups,).
        end_ns: end of each group, same shape.
        rows: predicted rows, same shape.
        classes: all predicted and label classes, sorted.
        lags: labels per label class and bucket of `radiosonde.model.LAG`, shape (groups, classes, 100).
        pairs: (predicted class, label class) by index, shape (pairs, 2).
        joint: per pair and confidence bin (rows, sum of confidence, sum of its squares), shape (groups, pairs, 21, 3);
            the last bin is for predictions without a confidence.
        odds: of two classes, rows per pair and bin of log-odds, shape (groups, pairs, 97); else shape (groups, pairs, 0).
        predicted: per predicted class and bin (rows, sum of confidence) of all rows, labelled or not, shape
            (groups, classes, 21, 2).
        residuals: regression.
        never: predictions that expired without a label, shape (groups,).
    """

    as_of_ns: int
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    rows: Array
    classes: tuple[str, ...]
    lags: Array
    pairs: NDArray[np.int64]
    joint: Array
    odds: Array
    predicted: Array
    residuals: Residuals
    never: Array

    @property
    def is_regression(self) -> bool:
        """Whether labels are values, not classes."""
        return bool(self.residuals.rows.any()) and not self.pairs.size

    def youngest_s(self, as_of_ns: int | None = None) -> Array:
        """Return the age of each group's last prediction at *as_of_ns* (default: the table's own), shape (groups,)."""
        return np.asarray(((self.as_of_ns if as_of_ns is None else as_of_ns) - self.end_ns) / 1e9)

    def by_odds(self) -> Self:
        """Return the table with bins of log-odds in place of those of confidence, without sums: finer where a class is rare."""
        if not self.odds.size:
            return self
        rows = np.concatenate([self.odds, self.joint[:, :, -1:, 0]], axis=2)
        return replace(self, joint=np.stack([rows, np.zeros_like(rows), np.zeros_like(rows)], axis=3))

    def where(self, keep: NDArray[np.bool_]) -> Self:
        """Return the groups that are True in *keep*."""
        return type(self)(
            self.as_of_ns, self.start_ns[keep], self.end_ns[keep], self.rows[keep], self.classes, self.lags[keep], self.pairs,
            self.joint[keep], self.odds[keep], self.predicted[keep], Residuals(*(part[keep] for part in self.residuals)), self.never[keep],
        )  # fmt: skip


def label_table(
    windows: Iterable[Window] | LabelColumns,
    *,
    as_of_ns: int | None = None,
    since_ns: int = 0,
    until_ns: int | None = None,
    step_ns: int = 0,
) -> LabelTable:
    """Reduce *windows* (of any series, parts welcome) to a table.

    Args:
        windows: windows to reduce, or their columns (`label_columns`) for several tables; windows that end after *as_of_ns* are left out.
        as_of_ns: time of the label counts; default `latest_ns`. Must not be earlier than the last label: later labels cannot be removed
            from a window.
        since_ns: leave out windows that start earlier.
        until_ns: leave out windows that end later.
        step_ns: length of a group; 0: growing with its age.
    """
    columns = label_columns(windows)
    as_of = columns.latest_ns if as_of_ns is None else as_of_ns
    last = as_of if until_ns is None else min(as_of, until_ns)
    columns = columns.where((columns.start_ns >= since_ns) & (columns.end_ns <= last))
    group, bounds = _groups(columns, as_of, step_ns)
    size = len(bounds)
    kept = np.flatnonzero(columns.known[np.unique(columns.known_of)].any(axis=0))
    classes = tuple(columns.names[index] for index in kept)
    place = np.zeros(len(columns.names), dtype=np.int64)
    place[kept] = np.arange(kept.size)
    pairs, joint = _joint(columns, group, place, size)
    lags = _scattered(columns.lags, group, place, (size, len(classes), LAG.size))
    residuals = _summed(columns.residuals, group, size)
    edges = np.array(bounds, dtype=np.int64).reshape(-1, 2)
    return LabelTable(
        as_of, edges[:, 0], edges[:, 1], _summed(columns.rows, group, size), classes,
        np.maximum(lags[..., 0], 0.0), pairs, joint, _odds(columns, group, len(pairs) if len(classes) == 2 else 0, size), _scattered(columns.predicted, group, place, (size, len(classes), LINES)), Residuals(*residuals.T.copy()),
        _summed(columns.never, group, size),
    )  # fmt: skip


def latest_ns(windows: Iterable[Window] | LabelColumns) -> int:
    """Return the latest time in *windows*: the end of the last one, or the earliest possible arrival of its latest label."""
    return label_columns(windows).latest_ns


def _summed(column: Array, group: Ints, size: int) -> Array:
    """Return the sums of *column*, whose first axis is windows, over the windows of each group."""
    total = np.zeros((size, *column.shape[1:]))
    if group.size:
        order = np.argsort(group, kind="stable")
        present, first = np.unique(group[order], return_index=True)
        total[present] = np.add.reduceat(column[order], first, axis=0)
    return total


def _scattered(entries: Entries, group: Ints, row: Ints, shape: tuple[int, int, int]) -> Array:
    """Return the sums of *entries* by group, row and place; *row* is the new index of each of their rows."""
    at = (group[entries.window], row[entries.row], entries.place)
    flat = np.ravel_multi_index(at, shape) if entries.place.size else entries.place
    size = int(np.prod(shape))
    return np.stack([np.bincount(flat, values, minlength=size).reshape(shape) for values in entries.values.T], axis=-1)


def _joint(columns: LabelColumns, group: Ints, place: Ints, size: int) -> tuple[NDArray[np.int64], Array]:
    named = np.unique(columns.joint.row)
    row = np.zeros(len(columns.pairs), dtype=np.int64)
    row[named] = np.arange(named.size)
    table = _scattered(columns.joint, group, row, (size, named.size, LINES))
    # Lines of a part may be negative (a correction); a whole window's are not, up to rounding of the sums.
    table[table[..., 0] <= 0] = 0.0
    index = {name: int(place[number]) for number, name in enumerate(columns.names)}
    pairs = [(index[columns.pairs[each][0]], index[columns.pairs[each][1]]) for each in named]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2), table


def _odds(columns: LabelColumns, group: Ints, pairs: int, size: int) -> Array:
    """Return rows per group, pair and bin of log-odds; of no bin where there are not two classes (*pairs* is 0)."""
    if not pairs:
        return np.zeros((size, 0, 0))
    named = np.unique(columns.joint.row)
    row = np.zeros(len(columns.pairs), dtype=np.int64)
    row[named] = np.arange(named.size)
    return np.maximum(_scattered(columns.odds, group, row, (size, pairs, LOG_ODDS_BINS))[..., 0], 0.0)


def _groups(columns: LabelColumns, as_of_ns: int, step_ns: int) -> tuple[NDArray[np.int64], list[tuple[int, int]]]:
    """Return the group of every window, and the bounds of each group, oldest first."""
    spans, span_of = np.unique(np.stack([columns.start_ns, columns.end_ns], axis=1), axis=0, return_inverse=True)
    order = np.lexsort((-spans[:, 0], -spans[:, 1]))
    number = np.zeros(len(spans), dtype=np.int64)
    bounds: list[tuple[int, int]] = []
    for each, (start, end) in zip(order.tolist(), spans[order].tolist(), strict=True):
        if bounds:
            low, high = bounds[-1]
            length = step_ns or (as_of_ns - high) // _GROUPS_PER_AGE
            if high - min(low, start) <= max(end - start, length):
                bounds[-1] = (min(low, start), high)
                number[each] = len(bounds) - 1
                continue
        bounds.append((start, end))
        number[each] = len(bounds) - 1
    return len(bounds) - 1 - number[span_of.reshape(-1)], bounds[::-1]
