"""Label counts of windows as a few small arrays over groups of similar age.

Everything in `radiosonde.quality` works on these arrays. Old windows are grouped: a group is as long as its windows, or a
16th of its age when that is longer. Lags come in buckets of growth 1.19, so no sharper age is of use; and a month of
minutes (43 200 windows) makes about 190 groups, whatever the number of series.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from radiosonde.model import CONFIDENCE_BINS, LAG, LabelCounts, OutputCounts, Window
from radiosonde.model.bins import VALUE_CLASS

VALUE = VALUE_CLASS
"""The one label class of a regression."""

_GROUPS_PER_AGE = 16
_LINES = CONFIDENCE_BINS + 1

Array = NDArray[np.float64]


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
        as_of_ns: when the labels were looked at.
        start_ns: start of each group, shape (groups,).
        end_ns: end of each group, same shape.
        rows: predicted rows, same shape.
        classes: all predicted and label classes, sorted.
        lags: labels per label class and bucket of `radiosonde.model.LAG`, shape (groups, classes, 100).
        pairs: (predicted class, label class) by index, shape (pairs, 2).
        joint: per pair and confidence bin (rows, sum of confidence, sum of its squares), shape (groups, pairs, 21, 3);
            the last bin is for predictions without a confidence.
        predicted: per predicted class and bin (rows, sum of confidence) of all rows, labelled or not, shape
            (groups, classes, 21, 2).
        residuals: regression.
        never: predictions given up on, shape (groups,).
    """

    as_of_ns: int
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    rows: Array
    classes: tuple[str, ...]
    lags: Array
    pairs: NDArray[np.int64]
    joint: Array
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

    def where(self, keep: NDArray[np.bool_]) -> Self:
        """Return the groups that are True in *keep*."""
        return type(self)(
            self.as_of_ns, self.start_ns[keep], self.end_ns[keep], self.rows[keep], self.classes, self.lags[keep], self.pairs,
            self.joint[keep], self.predicted[keep], Residuals(*(part[keep] for part in self.residuals)), self.never[keep],
        )  # fmt: skip


def label_table(
    windows: Iterable[Window],
    *,
    as_of_ns: int | None = None,
    since_ns: int = 0,
    until_ns: int | None = None,
    step_ns: int = 0,
) -> LabelTable:
    """Reduce *windows* (of any series, parts welcome) to a table.

    Args:
        windows: what to reduce; windows that end after *as_of_ns* are left out.
        as_of_ns: when the labels were looked at; default `latest_ns`. Never earlier than labels kept coming: what came
            after it cannot be taken out of a window again.
        since_ns: leave out windows that start earlier.
        until_ns: leave out windows that end later.
        step_ns: length of a group; 0: growing with its age.
    """
    made = list(windows)
    as_of = latest_ns(made) if as_of_ns is None else as_of_ns
    last = as_of if until_ns is None else min(as_of, until_ns)
    made = [window for window in made if window.start_ns >= since_ns and window.end_ns <= last]
    group_of, bounds = _groups(made, as_of, step_ns)
    labelled = [(group_of[w.start_ns, w.end_ns], w.labels) for w in made if w.labels is not None]
    answered = [(group_of[w.start_ns, w.end_ns], w.output) for w in made]
    classes = _classes(labelled, answered)
    size = len(bounds)
    rows = np.zeros(size)
    for window in made:
        rows[group_of[window.start_ns, window.end_ns]] += window.rows
    pairs, joint = _joint(labelled, classes, size)
    never = np.zeros(size)
    for group, labels in labelled:
        never[group] += labels.never
    edges = np.array(bounds, dtype=np.int64).reshape(-1, 2)
    return LabelTable(
        as_of, edges[:, 0], edges[:, 1], rows, classes, _lags(labelled, classes, size), pairs, joint,
        _predicted(answered, classes, size), _residuals(labelled, size), never,
    )  # fmt: skip


def latest_ns(windows: Sequence[Window]) -> int:
    """Return the latest time that *windows* tell of: the end of the last one, or the earliest time its latest label can have come."""
    latest = max((window.end_ns for window in windows), default=0)
    lower_s = np.concatenate([[0.0], LAG.upper_bounds_s()[:-1]])
    for window in windows:
        if window.labels is not None and window.labels.lags.size:
            held = np.flatnonzero((window.labels.lags > 0).any(axis=0))
            if held.size:
                latest = max(latest, window.start_ns + int(lower_s[held[-1]] * 1e9))
    return latest


def _groups(
    windows: Sequence[Window], as_of_ns: int, step_ns: int
) -> tuple[dict[tuple[int, int], int], list[tuple[int, int]]]:
    """Return the group of every (start, end), and the bounds of each group, oldest first."""
    spans = sorted({(window.start_ns, window.end_ns) for window in windows}, key=lambda span: (-span[1], -span[0]))
    number: dict[tuple[int, int], int] = {}
    bounds: list[tuple[int, int]] = []
    for start, end in spans:
        if bounds:
            low, high = bounds[-1]
            length = step_ns or (as_of_ns - high) // _GROUPS_PER_AGE
            if high - min(low, start) <= max(end - start, length):
                bounds[-1] = (min(low, start), high)
                number[start, end] = len(bounds) - 1
                continue
        bounds.append((start, end))
        number[start, end] = len(bounds) - 1
    last = len(bounds) - 1
    return {span: last - group for span, group in number.items()}, bounds[::-1]


def _classes(
    labelled: Sequence[tuple[int, LabelCounts]], answered: Sequence[tuple[int, OutputCounts]]
) -> tuple[str, ...]:
    names: set[str] = set()
    for _, labels in labelled:
        names.update(labels.classes)
        names.update(*labels.joint)
    for _, output in answered:
        names.update(output.classes)
    return tuple(sorted(names))


def _lags(labelled: Sequence[tuple[int, LabelCounts]], classes: tuple[str, ...], size: int) -> Array:
    table = np.zeros((size, len(classes), LAG.size))
    place = {name: index for index, name in enumerate(classes)}
    for group, labels in labelled:
        if labels.lags.size:
            table[group, [place[name] for name in labels.classes]] += labels.lags
    return np.maximum(table, 0.0)


def _joint(
    labelled: Sequence[tuple[int, LabelCounts]], classes: tuple[str, ...], size: int
) -> tuple[NDArray[np.int64], Array]:
    place = {name: index for index, name in enumerate(classes)}
    names = sorted({pair for _, labels in labelled for pair in labels.joint})
    number = {pair: index for index, pair in enumerate(names)}
    table = np.zeros((size, len(names), _LINES, 3))
    for group, labels in labelled:
        for pair, counts in labels.joint.items():
            table[group, number[pair]] += counts
    # Lines of a part may be negative (a correction); a whole window's are not, up to rounding of the sums.
    table[table[..., 0] <= 0] = 0.0
    return np.array([(place[p], place[t]) for p, t in names], dtype=np.int64).reshape(-1, 2), table


def _predicted(answered: Sequence[tuple[int, OutputCounts]], classes: tuple[str, ...], size: int) -> Array:
    table = np.zeros((size, len(classes), _LINES, 2))
    place = {name: index for index, name in enumerate(classes)}
    for group, output in answered:
        for row, name in enumerate(output.classes):
            mine = table[group, place[name]]
            mine[:-1, 0] += output.confidence[row]
            mine[:-1, 1] += output.confidence_sums[row]
            mine[-1, 0] += output.class_counts[row] - output.confidence[row].sum()
    return table


def _residuals(labelled: Sequence[tuple[int, LabelCounts]], size: int) -> Residuals:
    parts = Residuals(*(np.zeros(size) for _ in range(4)))
    for group, labels in labelled:
        if VALUE in labels.classes and not labels.joint:
            row = labels.classes.index(VALUE)
            parts.rows[group] += labels.lags[row].sum() if labels.lags.size else labels.class_counts[row]
            parts.sums[group] += labels.residual_sum
            parts.absolute[group] += labels.residual_absolute_sum
            parts.squares[group] += labels.residual_square_sum
    return parts
