"""Reference of the output: class priors, predicted classes, score bins by label, or deciles of the predicted value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.errors import ConfigurationError
from radiosonde.model import CONFIDENCE_BINS
from radiosonde.reference._columns import NumberFit, TextFit
from radiosonde.reference.frames import Batch, Column, Numbers
from radiosonde.reference.profile import OutputProfile, Task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

MOST_CLASSES = 1_000
"""Distinct labels beyond which a column is not a class column."""

_FEW = 20
"""Distinct whole numbers up to which a numeric target is taken for classes when no task is given."""


class OutcomeFit:
    """First pass over a target or prediction column: its classes, and the quantiles of its values."""

    def __init__(self, name: str, *, exact: bool) -> None:
        """Start with nothing seen."""
        self.name = name
        self.numbers = NumberFit(exact=exact)
        self.texts = TextFit()
        self._distinct: set[float] = set()
        self._truth = True
        self._whole = True

    def update(self, column: Column) -> None:
        """Add a batch."""
        if not isinstance(column, Numbers):
            self.texts.update(column)
            return
        self.numbers.update(column.values)
        self._truth &= column.truth
        finite = column.values[np.isfinite(column.values)]
        self._whole &= bool((finite == np.floor(finite)).all())
        if len(self._distinct) <= MOST_CLASSES:
            self._distinct.update(np.unique(finite).tolist())

    @property
    def looks_like_classes(self) -> bool:
        """Whether the column holds text, booleans, or a few whole numbers."""
        return bool(self.texts.counts) or (self._whole and len(self._distinct) <= _FEW)

    def classes(self) -> list[str]:
        """Return the class names in the order of a probability matrix: numbers ascending, text alphabetical.

        Raises:
            ConfigurationError: there are too many distinct labels for classes.
        """
        if max(len(self._distinct), len(self.texts.counts)) > MOST_CLASSES:
            raise ConfigurationError(
                f"column {self.name!r} has more than {MOST_CLASSES} distinct labels; use task='regression' or group them"
            )
        truth = self._truth and bool(self._distinct)
        return [*(class_name(value, truth=truth) for value in sorted(self._distinct)), *sorted(self.texts.counts)]


class OutcomeCount:
    """Second pass: exact counts by class and score bin."""

    def __init__(self, classes: tuple[str, ...], target: str | None, prediction: str | None, score: str | None) -> None:
        """Start at zero for the given columns."""
        self._classes = classes
        self._target, self._prediction, self._score = target, prediction, score
        self._labels = np.zeros(len(classes), dtype=np.int64)
        self._predicted = np.zeros(len(classes), dtype=np.int64)
        self._score_labels = np.zeros((len(classes), CONFIDENCE_BINS), dtype=np.int64)

    @property
    def columns(self) -> list[str]:
        """The columns a batch must hold."""
        return [name for name in (self._target, self._prediction, self._score) if name is not None]

    def update(self, batch: Batch) -> None:
        """Add a batch.

        Raises:
            ConfigurationError: a score is not a number in [0, 1].
        """
        size = len(self._classes)
        labels = None if self._target is None else self._codes(batch[self._target])
        if labels is not None:
            self._labels += np.bincount(labels[labels >= 0], minlength=size)
        if self._prediction is not None:
            predicted = self._codes(batch[self._prediction])
            self._predicted += np.bincount(predicted[predicted >= 0], minlength=size)
        if labels is not None and self._score is not None:
            bins = _score_bins(self._score, batch[self._score])
            known = (labels >= 0) & (bins >= 0)
            flat = labels[known] * CONFIDENCE_BINS + bins[known]
            self._score_labels += np.bincount(flat, minlength=self._score_labels.size).reshape(-1, CONFIDENCE_BINS)

    def profile(self) -> OutputProfile:
        """Return the reference of a classifier's output."""
        labelled = int(self._labels.sum())
        scored = self._score is not None and self._target is not None
        return OutputProfile(
            classes=self._classes,
            priors=tuple((self._labels / labelled).tolist()) if labelled else (),
            predicted_counts=() if self._prediction is None else tuple(self._predicted.tolist()),
            score_label_counts=tuple(tuple(row) for row in self._score_labels.tolist()) if scored else (),
        )

    def _codes(self, column: Column) -> NDArray[np.int64]:
        position = {name: code for code, name in enumerate(self._classes)}
        if isinstance(column, Numbers):
            distinct, inverse = np.unique(column.values, return_inverse=True)
            names: Iterable[str] = (class_name(value, truth=column.truth) for value in distinct.tolist())
        else:
            # The code -1 (missing) picks the last entry of the table below, which is -1 again.
            names, inverse = column.vocabulary, column.codes
        table = np.array([*(position.get(name, -1) for name in names), -1], dtype=np.int64)
        return table[inverse]


def class_name(value: float, *, truth: bool) -> str:
    """Return the name of a numeric class: ``False``/``True`` for booleans, ``3`` for 3.0, else the shortest decimal."""
    if truth and value in {0.0, 1.0}:
        return str(bool(value))
    return str(int(value)) if np.isfinite(value) and value == int(value) else repr(value)


def infer_task(outcomes: Iterable[OutcomeFit]) -> Task:
    """Infer the task from the target, or else the prediction; ``unknown`` without either."""
    for outcome in outcomes:
        return "classification" if outcome.looks_like_classes else "regression"
    return "unknown"


def regression_profile(outcomes: list[OutcomeFit]) -> OutputProfile:
    """Return inner deciles of the predicted value, or of the target when no prediction was given."""
    if not outcomes:
        return OutputProfile()
    if outcomes[-1].texts.counts:
        raise ConfigurationError(f"column {outcomes[-1].name!r} holds text; use task='classification'")
    edges = outcomes[-1].numbers.quantiles(tuple(step / 10 for step in range(1, 10)))
    return OutputProfile(value_edges=tuple(sorted(set(edges))))


def _score_bins(name: str, column: Column) -> NDArray[np.int64]:
    if not isinstance(column, Numbers):
        raise ConfigurationError(f"score column {name!r} holds text; give a column of probabilities in [0, 1]")
    scores = column.values
    known = ~np.isnan(scores)
    if ((scores[known] < 0) | (scores[known] > 1)).any():
        raise ConfigurationError(f"score column {name!r} leaves [0, 1]; give probabilities, not margins or percentages")
    bins = np.full(scores.shape, -1, dtype=np.int64)
    bins[known] = np.minimum(scores[known] * CONFIDENCE_BINS, CONFIDENCE_BINS - 1)
    return bins
