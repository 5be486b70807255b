"""Label metrics as blocks: outcomes per series, and calibration, joint counts and lag per release.

Outcomes and retractions, first labels and never-arriving ones only grow and are counters. What a correction takes back
from (correct rows of a bin, joint counts, residual sums) is exported net, as an up-down counter. Labelled rows per feature
cell stay in the store: thirty features of fourteen cells by two labels and their residuals are 1 700 series a version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from radiosonde.export.blocks import Block, Scalars, distribution, scalar, scalars
from radiosonde.export.labels import Attributes, LabelPage, Labels
from radiosonde.model import CONFIDENCE_BINS, LAGS, OTHER_WRONG, OVERFLOW_CLASS, LabelCounts, SeriesKey, Window, folded
from radiosonde.model.window import Counts, Sums
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics
from radiosonde.semconv.catalogue import METRICS

_Key = TypeVar("_Key")

LAG_CLASSES = 10
"""Label classes per release with a lag histogram of their own."""

JOINT_CLASSES = 4
"""Classes per release in the joint counts: at most 25 pairs of 21 bins."""

_OUTCOMES = tuple((result, lag) for result in names.OUTCOME_RESULT_VALUES for lag in LAGS)
_BIN_NAMES = tuple(f"{index:02d}" for index in range(CONFIDENCE_BINS))
_NO_CONFIDENCE = "none"


class ShownClasses:
    """The classes of each release that are told apart: the most frequent when they were chosen, and from then on.

    A class that lost its place to a more frequent one would take its counts to ``__other__``, where they would look like
    an increase. Two exports at once both choose from the same counts.
    """

    __slots__ = ("_chosen",)

    def __init__(self) -> None:
        self._chosen: dict[SeriesKey, tuple[str, ...]] = {}

    def of(self, release: SeriesKey, windows: Sequence[Window]) -> tuple[str, ...]:
        """Return at most `LAG_CLASSES` classes, of predictions and labels, in the order they were chosen in."""
        chosen = self._chosen.get(release, ())
        if len(chosen) < LAG_CLASSES:
            outputs = (zip(w.output.classes, w.output.class_counts.tolist(), strict=True) for w in windows)
            labels = (zip(part.classes, part.class_counts.tolist(), strict=True) for part in _labels(windows))
            # Where this process only joins labels, predicted classes are in the joint counts alone.
            joint = (
                ((name, int(table[:, 0].sum())) for pair, table in part.joint.items() for name in pair)
                for part in _labels(windows)
            )
            rows = add_up((*outputs, *labels, *joint))
            new = sorted(set(rows) - {*chosen, OVERFLOW_CLASS, OTHER_WRONG}, key=lambda name: (-rows[name], name))
            chosen = self._chosen[release] = (*chosen, *new[: LAG_CLASSES - len(chosen)])
        return chosen

    def keep(self, releases: Iterable[SeriesKey]) -> None:
        """Forget all other releases."""
        self._chosen = {release: self._chosen[release] for release in releases if release in self._chosen}


def is_regression(windows: Sequence[Window]) -> bool:
    """Return whether values were predicted: a process that only joins labels knows by their having no result."""
    return any(window.output.value_edges.size for window in windows) or any(
        part.classes and not part.outcomes and not part.retractions for part in _labels(windows)
    )


def outcome_blocks(page: LabelPage, base: Attributes, windows: Sequence[Window]) -> Iterator[Block]:
    """Yield outcomes and retractions of a series, zeros included."""
    labels = page.get(
        (metrics.OUTCOME_ROWS, base),
        lambda: Labels(
            tuple((*base, (names.OUTCOME_RESULT, result), (names.LABEL_LAG, lag)) for result, lag in _OUTCOMES)
        ),
    )
    found = add_up(part.outcomes.items() for part in _labels(windows))
    yield Scalars(METRICS[metrics.OUTCOME_ROWS], labels, [found.get(outcome, 0) for outcome in _OUTCOMES])
    # Labels of their own, because exporters keep what they spelled, the metric's name included, with the labels.
    taken_back = page.get((metrics.OUTCOME_RETRACTIONS, base), lambda: Labels(labels.rows))
    found = add_up(part.retractions.items() for part in _labels(windows))
    yield Scalars(METRICS[metrics.OUTCOME_RETRACTIONS], taken_back, [found.get(outcome, 0) for outcome in _OUTCOMES])


def residual_blocks(page: LabelPage, base: Attributes, windows: Sequence[Window]) -> Iterator[Block]:
    """Yield the residuals of a regression."""
    labels = _labels(windows)
    yield scalar(page, metrics.OUTCOME_RESIDUAL_ROWS, int(sum(part.lag_counts.sum() for part in labels)), base)
    for name, total in (
        (metrics.OUTCOME_RESIDUAL_SUM, sum(part.residual_sum for part in labels)),
        (metrics.OUTCOME_RESIDUAL_SQUARE_SUM, sum(part.residual_square_sum for part in labels)),
        (metrics.OUTCOME_RESIDUAL_ABSOLUTE_SUM, sum(part.residual_absolute_sum for part in labels)),
    ):
        yield scalar(page, name, float(total), base)


def never_block(page: LabelPage, base: Attributes, windows: Sequence[Window]) -> Block:
    """Return the predictions that were given up."""
    return scalar(page, metrics.LABEL_NEVER, sum(part.never for part in _labels(windows)), base)


def calibration_blocks(page: LabelPage, base: Attributes, windows: Sequence[Window]) -> Iterator[Block]:
    """Yield rows, correct rows and confidence per confidence bin, zeros included."""
    table = sum((part.calibration for part in _labels(windows)), np.zeros((CONFIDENCE_BINS, 3)))
    rows, correct = table[:, :2].astype(np.int64).T.tolist()
    for name, column in (
        (metrics.OUTCOME_CONFIDENCE_ROWS, rows),
        (metrics.OUTCOME_CONFIDENCE_CORRECT, correct),
        (metrics.OUTCOME_CONFIDENCE_SUM, table[:, 2].tolist()),
    ):
        yield scalars(page, name, base, names.CONFIDENCE_BIN, dict(zip(_BIN_NAMES, column, strict=True)))


def label_class_blocks(
    page: LabelPage, base: Attributes, windows: Sequence[Window], shown: tuple[str, ...]
) -> Iterator[Block]:
    """Yield label lag by class and joint counts by pair of classes; classes that are not *shown* count as one."""
    yield from _lags(page, base, _labels(windows), shown)
    joint: dict[tuple[str, str], Sums] = {}
    known = shown[:JOINT_CLASSES]
    for part in _labels(windows):
        for pair, table in part.joint.items():
            predicted, label = folded(*pair, known)
            joint[predicted, label] = joint.get((predicted, label), 0.0) + table
    if joint:
        has_others = any(OVERFLOW_CLASS in pair for pair in joint)
        yield from _joint(page, base, joint, (*known, OVERFLOW_CLASS) if has_others else known)


def _lags(page: LabelPage, base: Attributes, labels: Sequence[LabelCounts], shown: tuple[str, ...]) -> Iterator[Block]:
    by_class: dict[tuple[str, tuple[float, ...]], Counts] = {}
    for part in labels:
        for label, lags in zip(part.classes, part.lag_counts, strict=True):
            key = (label if label in shown else OVERFLOW_CLASS, part.lag_edges_s)
            by_class[key] = by_class[key] + lags if key in by_class else lags
    for (label, edges), lags in by_class.items():
        attributes = (*base, (names.LABEL_CLASS, label))
        yield distribution(page, metrics.LABEL_LAG, attributes, edges, lags.tolist(), total=None)


def _joint(
    page: LabelPage, base: Attributes, joint: Mapping[tuple[str, str], Sums], classes: tuple[str, ...]
) -> Iterator[Block]:
    """Yield all pairs of *classes*, zeros included."""
    pairs = tuple((predicted, label) for predicted in classes for label in classes)
    if OVERFLOW_CLASS in classes:
        pairs = (*pairs, (OVERFLOW_CLASS, OTHER_WRONG))
    empty = np.zeros((CONFIDENCE_BINS + 1, 3))
    tables = [joint.get(pair, empty) for pair in pairs]
    # One more point per pair only where some output carried no confidence.
    bins = _BIN_NAMES if not any(table[-1].any() for table in tables) else (*_BIN_NAMES, _NO_CONFIDENCE)
    rows = tuple((*base, (names.PREDICTION_CLASS, predicted), (names.LABEL_CLASS, label)) for predicted, label in pairs)
    labels = page.get(
        (metrics.OUTCOME_JOINT_ROWS, base, classes, bins),
        lambda: Labels(tuple((*row, (names.CONFIDENCE_BIN, place)) for row in rows for place in bins)),
    )
    counts = [int(count) for table in tables for count in table[: len(bins), 0].tolist()]
    yield Scalars(METRICS[metrics.OUTCOME_JOINT_ROWS], labels, counts)
    for name, moment in ((metrics.OUTCOME_JOINT_CONFIDENCE_SUM, 1), (metrics.OUTCOME_JOINT_CONFIDENCE_SQUARE_SUM, 2)):
        sums = [float(table[:, moment].sum()) for table in tables]
        yield Scalars(METRICS[name], page.get((name, base, classes), lambda: Labels(rows)), sums)


def add_up(parts: Iterable[Iterable[tuple[_Key, int]]]) -> dict[_Key, int]:
    """Return the sum of counts by key."""
    total: Counter[_Key] = Counter()
    for part in parts:
        for key, count in part:
            total[key] += count
    return dict(total)


def _labels(windows: Sequence[Window]) -> list[LabelCounts]:
    return [window.labels for window in windows if window.labels is not None]
