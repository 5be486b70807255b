"""What a version answered, step by step: shares of classes, of confidences below fixed bounds, of values below some of their edges.

Shares below fixed bounds, because a bound chosen from the data would move with the fault: when every confidence collapses, so does their quantile.
Rows that stand for others under load count as many independent rows as were looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.model import CONFIDENCE_BINS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.panel import Axis
    from radiosonde.model import OutputCounts, Window

    Numbers = NDArray[np.float64]

MAX_CLASSES = 12
CONFIDENCES = (0.6, 0.8, 0.95)


class AnswerCounts(NamedTuple):
    """Answers of one version over the steps in which it answered.

    Attributes:
        steps: the steps of the axis, ascending, shape (steps,).
        names: what is counted, in words, shape (measures,).
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
    totals: dict[str, float] = {}
    edges: dict[tuple[float, ...], float] = {}
    for window in windows:
        output = window.output
        for name, count in zip(output.classes, output.class_counts.tolist(), strict=True):
            totals[name] = totals.get(name, 0.0) + count
        if output.value_counts.size:
            at = tuple(output.value_edges.tolist())
            edges[at] = edges.get(at, 0.0) + float(output.value_counts.sum())
    classes = sorted(totals, key=lambda name: (-totals[name], name))[:MAX_CLASSES]
    values = max(sorted(edges), key=lambda at: edges[at], default=())
    chosen = sorted({len(values) // 5, len(values) // 2, len(values) - 1 - len(values) // 5}) if values else []
    names = (
        *(f"answers {name!r}" for name in classes),
        *(f"confidence below {bound:g}" for bound in CONFIDENCES),
        *(f"values of at most {values[index]:.4g}" for index in chosen),
    )
    steps = np.unique([axis.index(window.start_ns) for window in windows])
    hits, trials = np.zeros((len(names), steps.size)), np.zeros((len(names), steps.size))
    row_of = {name: row for row, name in enumerate(classes)}
    for window in windows:
        at_step = int(np.searchsorted(steps, axis.index(window.start_ns)))
        _add(window.output, hits[:, at_step], trials[:, at_step], row_of, (values, chosen))
    if not trials.any():
        return None
    return AnswerCounts(steps, names, tuple(classes), hits, trials)


def _add(
    output: OutputCounts, hits: Numbers, trials: Numbers, row_of: dict[str, int], values: tuple[tuple[float, ...], list[int]]
) -> None:  # fmt: skip
    """Add one window's answers to its column of *hits* and *trials*, in place."""
    rows = float(output.class_counts.sum() + output.value_counts.sum())
    worth = min(rows / output.weight_square_sum, 1.0) if output.weight_square_sum > 0 else 1.0
    total = worth * float(output.class_counts.sum())
    trials[: len(row_of)] += total
    for name, count in zip(output.classes, output.class_counts.tolist(), strict=True):
        if name in row_of:
            hits[row_of[name]] += worth * count
    first = len(row_of)
    known = worth * output.confidence.sum(axis=0)
    if known.size:
        trials[first : first + len(CONFIDENCES)] += known.sum()
        for index, bound in enumerate(CONFIDENCES):
            hits[first + index] += known[: round(bound * CONFIDENCE_BINS)].sum()
    edges, chosen = values
    if chosen and tuple(output.value_edges.tolist()) == edges:
        first += len(CONFIDENCES)
        trials[first:] += worth * float(output.value_counts.sum())
        for index, edge in enumerate(chosen):
            hits[first + index] += worth * float(output.value_counts[: edge + 1].sum())
