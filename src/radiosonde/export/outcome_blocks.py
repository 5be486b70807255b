"""Label metrics as blocks: outcomes per series, and calibration, joint counts and lag per release.

Everything is a counter, so that a window of time is computed with `increase` and a restart is not a fall. Amounts subtracted by corrections
have a separate counter, the retractions; the current count is the difference. Labelled rows per feature
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
from radiosonde.model.bins import LAG_EDGES_S
from radiosonde.model.window import Counts, Sums
from radiosonde.reference.profile import Reference
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
    """The classes of each release with their own series: the most frequent ones when they were chosen, and unchanged from then on.

    A class that lost its place to a more frequent one would take its counts to ``__other__``, where they would look like
    an increase. Two exports at once both choose from the same counts.
    """

    __slots__ = ("_chosen",)

    def __init__(self) -> None:
        self._chosen: dict[SeriesKey, tuple[str, ...]] = {}

    def of(self, release: SeriesKey, windows: Sequence[Window], known: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return at most `LAG_CLASSES` classes, of predictions and labels, in the order they were chosen in.

        Args:
            release: whose.
            windows: its windows.
            known: label classes of its reference, chosen first.
        """
        chosen = self._chosen.get(release, known[:LAG_CLASSES])
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


def known_labels(reference: Reference | None) -> tuple[str, ...]:
    """Return the label classes of a reference that knows their shares, the most frequent first; their series are born at zero."""
    if reference is None or not reference.output.priors:
        return ()
    output = reference.output
    ranked = sorted(zip(output.classes, output.priors, strict=True), key=lambda item: (-item[1], item[0]))
    return tuple(name for name, _ in ranked)


def is_regression(windows: Sequence[Window], reference: Reference | None = None) -> bool:
    """Return whether values are predicted: a process that only joins labels knows by their having no result."""
    if reference is not None and reference.task != "unknown":
        return reference.task == "regression"
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
    # Separate labels, because exporters cache the encoded form, including the metric's name, with the labels.
    taken_back = page.get((metrics.OUTCOME_RETRACTIONS, base), lambda: Labels(labels.rows))
    found = add_up(part.retractions.items() for part in _labels(windows))
    yield Scalars(METRICS[metrics.OUTCOME_RETRACTIONS], taken_back, [found.get(outcome, 0) for outcome in _OUTCOMES])


def residual_blocks(page: LabelPage, base: Attributes, windows: Sequence[Window]) -> Iterator[Block]:
    """Yield the residuals of a regression."""
    labels = _labels(windows)
    yield scalar(page, metrics.OUTCOME_RESIDUAL_ROWS, int(sum(part.lag_counts.sum() for part in labels)), base)
    counted = sum((part.residuals_counted for part in labels), np.zeros(3)).tolist()
    retracted = sum((part.residuals_retracted for part in labels), np.zeros(3)).tolist()
    for distance, squares, (above, below, squared) in (
        (metrics.OUTCOME_RESIDUAL_DISTANCE, metrics.OUTCOME_RESIDUAL_SQUARES, counted),
        (metrics.OUTCOME_RESIDUAL_DISTANCE_RETRACTIONS, metrics.OUTCOME_RESIDUAL_SQUARES_RETRACTIONS, retracted),
    ):
        signs = dict(zip(names.SIGN_VALUES, (above, below), strict=True))
        yield scalars(page, distance, base, names.SIGN, signs)
        yield scalar(page, squares, squared, base)


def arrival_blocks(page: LabelPage, base: Attributes, windows: Sequence[Window]) -> Iterator[Block]:
    """Yield the labelled predictions, and those that expired without a label."""
    labels = _labels(windows)
    yield scalar(page, metrics.LABEL_ARRIVED, int(sum(part.lag_counts.sum() for part in labels)), base)
    yield scalar(page, metrics.LABEL_NEVER, sum(part.never for part in labels), base)


def calibration_blocks(page: LabelPage, base: Attributes, windows: Sequence[Window]) -> Iterator[Block]:
    """Yield rows, correct rows, their retractions and confidence per confidence bin, zeros included."""
    labels = _labels(windows)
    table = sum((part.calibration for part in labels), np.zeros((CONFIDENCE_BINS, 3)))
    retracted = sum((part.correct_retractions for part in labels), np.zeros(CONFIDENCE_BINS, np.int64))
    rows, correct = table[:, :2].astype(np.int64).T
    for name, column in (
        (metrics.OUTCOME_CONFIDENCE_ROWS, rows),
        (metrics.OUTCOME_CONFIDENCE_CORRECT, correct + retracted),
        (metrics.OUTCOME_CONFIDENCE_CORRECT_RETRACTIONS, retracted),
        (metrics.OUTCOME_CONFIDENCE_EXPECTED, table[:, 2]),
    ):
        yield scalars(page, name, base, names.CONFIDENCE_BIN, dict(zip(_BIN_NAMES, column.tolist(), strict=True)))


def joint_blocks(
    page: LabelPage, base: Attributes, windows: Sequence[Window], shown: tuple[str, ...], known: tuple[str, ...]
) -> Iterator[Block]:
    """Yield joint counts by pair of classes, all pairs of those that are *shown*; all others count as one.

    None without labels, but zeros where classes are *known* beforehand.
    """
    labels = _labels(windows)
    told_apart = shown[:JOINT_CLASSES]
    joint = _folded((part.joint for part in labels), told_apart)
    retracted = _folded((part.joint_retractions for part in labels), told_apart)
    if joint or known:
        has_others = any(OVERFLOW_CLASS in pair for pair in joint)
        classes = (*told_apart, OVERFLOW_CLASS) if has_others else told_apart
        yield from _joint(page, base, (joint, retracted), classes)


def _folded(tables: Iterable[Mapping[tuple[str, str], Sums]], known: tuple[str, ...]) -> dict[tuple[str, str], Sums]:
    """Return the sum of joint tables, over the pairs of classes with their own series."""
    total: dict[tuple[str, str], Sums] = {}
    for part in tables:
        for pair, table in part.items():
            key = folded(*pair, known)
            total[key] = total[key] + table if key in total else table
    return total


def lag_blocks(
    page: LabelPage, base: Attributes, windows: Sequence[Window], shown: tuple[str, ...], known: tuple[str, ...]
) -> Iterator[Block]:
    """Yield label lag by class, zeros for those *known* beforehand; classes that are not *shown* count as one."""
    labels = _labels(windows)
    edges_s = labels[0].lag_edges_s if labels else LAG_EDGES_S
    none = np.zeros(len(edges_s) + 1, np.int64)
    by_class: dict[tuple[str, tuple[float, ...]], tuple[Counts, float]] = {
        (label, edges_s): (none, 0.0) for label in known[:LAG_CLASSES]
    }
    for part in labels:
        sums_s = part.lag_sums_s.tolist() or [0.0] * len(part.classes)
        for label, lags, lag_sum_s in zip(part.classes, part.lag_counts, sums_s, strict=True):
            key = (label if label in shown else OVERFLOW_CLASS, part.lag_edges_s)
            before = by_class.get(key)
            by_class[key] = (before[0] + lags, before[1] + lag_sum_s) if before else (lags, lag_sum_s)
    for (label, edges), (lags, lag_sum_s) in by_class.items():
        attributes = (*base, (names.LABEL_CLASS, label))
        yield distribution(page, metrics.LABEL_LAG, attributes, edges, lags.tolist(), total=lag_sum_s)


_JOINT_NAMES = (
    (metrics.OUTCOME_JOINT_ROWS, metrics.OUTCOME_JOINT_EXPECTED, metrics.OUTCOME_JOINT_EXPECTED_SQUARES),
    (
        metrics.OUTCOME_JOINT_RETRACTIONS,
        metrics.OUTCOME_JOINT_EXPECTED_RETRACTIONS,
        metrics.OUTCOME_JOINT_EXPECTED_SQUARES_RETRACTIONS,
    ),
)


def _joint(
    page: LabelPage,
    base: Attributes,
    parts: tuple[Mapping[tuple[str, str], Sums], Mapping[tuple[str, str], Sums]],
    classes: tuple[str, ...],
) -> Iterator[Block]:
    """Yield all pairs of *classes*, zeros included: the total count (current plus retracted), and the retracted count."""
    pairs = tuple((predicted, label) for predicted in classes for label in classes)
    if OVERFLOW_CLASS in classes:
        pairs = (*pairs, (OVERFLOW_CLASS, OTHER_WRONG))
    empty = np.zeros((CONFIDENCE_BINS + 1, 3))
    in_force, retracted = (np.array([part.get(pair, empty) for pair in pairs]) for part in parts)
    counted = in_force + retracted
    # One more point per pair only where some output carried no confidence.
    bins = _BIN_NAMES if not counted[:, -1].any() else (*_BIN_NAMES, _NO_CONFIDENCE)
    rows = tuple((*base, (names.PREDICTION_CLASS, predicted), (names.LABEL_CLASS, label)) for predicted, label in pairs)
    for (rows_name, *moment_names), tables in zip(_JOINT_NAMES, (counted, retracted), strict=True):
        labels = page.get(
            (rows_name, base, classes, bins),
            lambda: Labels(tuple((*row, (names.CONFIDENCE_BIN, place)) for row in rows for place in bins)),
        )
        counts = tables[:, : len(bins), 0].astype(np.int64).ravel().tolist()
        yield Scalars(METRICS[rows_name], labels, counts)
        for name, moment in zip(moment_names, (1, 2), strict=True):
            sums = tables[:, :, moment].sum(axis=1).tolist()
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
