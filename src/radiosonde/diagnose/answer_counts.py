"""Outputs of a version, step by step: shares of classes, of confidences below fixed bounds, of values below some of their edges.

Bounds are fixed, because a bound chosen from the data would move with the fault: when every confidence collapses, so does their quantile.
Rows sampled under load count as independent rows, without their weight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.model import CONFIDENCE_BINS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.panel import Axis
    from radiosonde.model import OutputCounts, SeriesKey, Window

    Numbers = NDArray[np.float64]

MAX_CLASSES, MAX_COHORT_CLASSES = 12, 4
CONFIDENCES = (0.6, 0.8, 0.95)


class AnswerCounts(NamedTuple):
    """Answers of one version over the steps in which it answered.

    Attributes:
        steps: the steps of the axis, ascending, shape (steps,).
        names: descriptions of the measures, shape (measures,).
        classes: the classes, which are the first of them.
        hits: rows of which it is true, shape (measures, steps).
        trials: rows of which it is known, same shape.
    """

    steps: NDArray[np.int64]
    names: tuple[str, ...]
    classes: tuple[str, ...]
    hits: Numbers
    trials: Numbers


def count_answers(windows: Sequence[Window], axis: Axis) -> AnswerCounts | None:
    """Return the answers in *windows*, which are of one version; None where none was counted."""
    steps, at = np.unique([axis.index(window.start_ns) for window in windows], return_inverse=True)
    names, classes, columns = _count(windows, at, steps.size)
    if not columns.trials.any():
        return None
    return AnswerCounts(steps, names, classes, columns.hits, columns.trials)


def count_series(windows: Sequence[Window], axis: Axis, keys: Sequence[SeriesKey]) -> AnswerCounts | None:
    """Return the answers of each of the series *keys*, hits and trials of shape (series, measures, steps); None where none was counted.

    Of the classes the most frequent ones are counted.
    """
    row_of = {key: row for row, key in enumerate(keys)}
    at = np.array([row_of[window.key] * axis.size + axis.index(window.start_ns) for window in windows], dtype=np.int64)
    names, classes, columns = _count(windows, at, len(keys) * axis.size, MAX_COHORT_CLASSES)
    shape = (len(names), len(keys), axis.size)
    hits, trials = (np.moveaxis(part.reshape(shape), 1, 0) for part in (columns.hits, columns.trials))
    steps = np.flatnonzero(trials.any(axis=(0, 1)))
    return AnswerCounts(steps, names, classes, hits[..., steps], trials[..., steps]) if steps.size else None


def _count(
    windows: Sequence[Window], at: NDArray[np.int64], size: int, most: int = MAX_CLASSES
) -> tuple[tuple[str, ...], tuple[str, ...], _Columns]:
    """Return the names of the measures, the classes among them, and what was counted at each of *size* places; *at* is that of each window."""
    alike: dict[tuple[str, ...], list[int]] = {}
    for index, window in enumerate(windows):
        alike.setdefault(window.output.classes, []).append(index)
    outputs = [window.output for window in windows]
    counted = {names: np.stack([outputs[index].class_counts for index in alike[names]]) for names in alike}
    totals: dict[str, float] = {}
    for classes_named, counts in counted.items():
        for name, total in zip(classes_named, counts.sum(axis=0).tolist(), strict=True):
            totals[name] = totals.get(name, 0.0) + total
    classes = sorted(totals, key=lambda name: (-totals[name], name))[:most]
    valued = _by_edges(outputs)
    values = max(
        sorted(valued), key=lambda at: sum(float(outputs[i].value_counts.sum()) for i in valued[at]), default=()
    )
    chosen = sorted({len(values) // 5, len(values) // 2, len(values) - 1 - len(values) // 5}) if values else []
    names = (
        *(f"answers {name!r}" for name in classes),
        *(f"confidence below {bound:g}" for bound in CONFIDENCES),
        *(f"values of at most {values[index]:.4g}" for index in chosen),
    )
    rows = np.zeros(len(windows))
    for classes_named, counts in counted.items():
        rows[alike[classes_named]] = counts.sum(axis=1)
    columns = _Columns(at, _worth(outputs, rows), np.zeros((len(names), size)), np.zeros((len(names), size)))
    first = len(classes)
    row_of = {name: row for row, name in enumerate(classes)}
    for classes_named, counts in counted.items():
        members = alike[classes_named]
        columns.add_trials(slice(0, first), members, counts.sum(axis=1))
        for column, name in enumerate(classes_named):
            if name in row_of:
                columns.add_hits(row_of[name], members, counts[:, column])
        confidence = np.stack([outputs[index].confidence for index in members]).sum(axis=1)
        columns.add_trials(slice(first, first + len(CONFIDENCES)), members, confidence.sum(axis=1))
        for index, bound in enumerate(CONFIDENCES):
            columns.add_hits(first + index, members, confidence[:, : round(bound * CONFIDENCE_BINS)].sum(axis=1))
    if chosen:
        members = valued[values]
        tables = np.stack([outputs[index].value_counts for index in members])
        columns.add_trials(slice(first + len(CONFIDENCES), None), members, tables.sum(axis=1))
        for index, edge in enumerate(chosen):
            columns.add_hits(first + len(CONFIDENCES) + index, members, tables[:, : edge + 1].sum(axis=1))
    return names, tuple(classes), columns


class _Columns(NamedTuple):
    """Hits and trials to count: *at* is the step of each window, *worth* the number of independent rows per counted one."""

    at: NDArray[np.int64]
    worth: Numbers
    hits: Numbers
    trials: Numbers

    def add_hits(self, row: int, members: Sequence[int], rows: NDArray[np.int64]) -> None:
        """Add *rows* of the windows *members* to the hits of a measure."""
        self.hits[row] += self._by_step(members, rows)

    def add_trials(self, measures: slice, members: Sequence[int], rows: NDArray[np.int64]) -> None:
        """Add *rows* of the windows *members* to the trials of some measures."""
        self.trials[measures] += self._by_step(members, rows)

    def _by_step(self, members: Sequence[int], rows: NDArray[np.int64]) -> Numbers:
        weights = self.worth[members] * rows
        return np.bincount(self.at[members], weights, minlength=self.hits.shape[1]).astype(np.float64)


def _by_edges(outputs: Sequence[OutputCounts]) -> dict[tuple[float, ...], list[int]]:
    """Return the windows that counted values, by the edges between which they counted."""
    found: dict[tuple[float, ...], list[int]] = {}
    for index, output in enumerate(outputs):
        if output.value_counts.size:
            found.setdefault(tuple(output.value_edges.tolist()), []).append(index)
    return found


def _worth(outputs: Sequence[OutputCounts], rows: Numbers) -> Numbers:
    """Return the number of independent rows per counted row (`OutputCounts.evidence_ratio`); *rows* are those with a class."""
    estimated = rows + np.fromiter((output.value_counts.sum() for output in outputs), np.float64, len(outputs))
    squares = np.fromiter((output.weight_square_sum for output in outputs), np.float64, len(outputs))
    return np.minimum(np.divide(estimated, squares, out=np.ones(len(outputs)), where=squares > 0), 1.0)
