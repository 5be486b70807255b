"""Scores of a classifier as functions of one table: (predicted class, label class) by confidence bin, weighted or not.

Each score comes with its *influence*: its derivative by the rows of a cell, ``d score / d rows``. The influences of a
table times its rows add up to 0 (scores do not change when all rows are doubled), and
``sum(influence**2 * sum of squared weights)`` is the sampling variance of the score: the delta method without derivatives
by hand in every caller.

AUC and calibration are exact functions of the table, not of the rows: rows of one bin count as ties. With 20 equal bins that costs
less than 0.01 of AUC for scores that spread over the bins, and 0.2 where a class has 1 % of the rows: AUC of labelled rows is therefore computed on bins of log-odds
(`radiosonde.model.bins.LOG_ODDS_BINS`), within 0.01 down to rates of 1 %.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from radiosonde.model import CONFIDENCE_BINS
from radiosonde.quality.columns import Array


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """Labelled rows of a classifier.

    Attributes:
        classes: class names.
        pairs: (predicted, label) by index into *classes*, shape (pairs, 2).
        table: per pair and confidence bin (rows, sum of confidence, sum of its squares), weighted; shape (pairs, 21, 3), the last line
            for rows without a confidence. AUC also takes bins of log-odds in place of those of confidence.
    """

    classes: tuple[str, ...]
    pairs: NDArray[np.int64]
    table: Array

    @property
    def rows(self) -> Array:
        """Rows per pair and bin, shape (pairs, 21)."""
        return np.asarray(self.table[..., 0])

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether a pair is a correct answer, shape (pairs,)."""
        return np.asarray(self.pairs[:, 0] == self.pairs[:, 1])

    def positive(self, name: str | None) -> int:
        """Return the index of the class *name*; of two classes the second one in sorted order when None; -1 unknown."""
        if name is None:
            return 1 if len(self.classes) == 2 else -1
        return self.classes.index(name) if name in self.classes else -1


class Score(NamedTuple):
    """A score and its influence per cell; NaN if the table has no such rows.

    Attributes:
        value: the score.
        influence: its derivative by the rows of each cell, shape (pairs, 21).
    """

    value: float
    influence: Array


Metric = Callable[[Joint, str | None], Score]
"""A score of a table; the text names the class that counts as positive, for scores that have one."""


def accuracy(joint: Joint) -> Score:
    """Return the share of right answers."""
    return _share(joint, _spread(joint.is_right), np.ones_like(joint.rows))


def error_rate(joint: Joint) -> Score:
    """Return the share of wrong answers."""
    return _share(joint, _spread(~joint.is_right), np.ones_like(joint.rows))


def precision(joint: Joint, positive: str | None = None) -> Score:
    """Return the share of right answers among rows predicted as *positive*."""
    of = _spread(joint.pairs[:, 0] == joint.positive(positive))
    return _share(joint, of * _spread(joint.is_right), of)


def recall(joint: Joint, positive: str | None = None) -> Score:
    """Return the share of rows labelled *positive* that were predicted so."""
    of = _spread(joint.pairs[:, 1] == joint.positive(positive))
    return _share(joint, of * _spread(joint.is_right), of)


def brier(joint: Joint) -> Score:
    """Return the mean squared distance of the confidence from being right (1) or wrong (0).

    For two classes this is Brier's score of the probability; for more it is that of the top label.
    """
    rows, sums, squares = (joint.table[..., part] for part in range(3))
    known = _with_confidence(joint)
    loss = np.where(joint.is_right[:, None], rows - 2 * sums + squares, squares)
    return _share(joint, known * np.divide(loss, rows, out=np.zeros_like(rows), where=rows > 0), known)


def calibration_error(joint: Joint) -> Score:
    """Return the expected calibration error: mean distance, over confidence bins, of mean confidence from accuracy.

    Its own noise makes it positive: about 0.8 * sqrt(p (1 - p) / rows of a bin) on a perfectly calibrated model.
    """
    known = _with_confidence(joint)
    rows = (joint.rows * known).sum(axis=0)
    right = (joint.rows * known)[joint.is_right].sum(axis=0)
    gap = joint.table[..., 1].sum(axis=0) - right
    sign = np.sign(gap)
    mean = np.divide(joint.table[..., 1], joint.rows, out=np.zeros_like(joint.rows), where=joint.rows > 0)
    total = float(rows.sum())
    if total <= 0:
        return _unknown(joint)
    value = float(np.abs(gap[:-1]).sum()) / total
    influence = known * (sign[None, :] * (mean - joint.is_right[:, None]) - value) / total
    return Score(value, influence)


def auc(joint: Joint, positive: str | None = None) -> Score:
    """Return the area under the ROC curve of the probability of *positive*; two classes only."""
    first = joint.positive(positive)
    if len(joint.classes) != 2 or first < 0:
        return _unknown(joint)
    is_flipped, is_positive = joint.pairs[:, 0] != first, joint.pairs[:, 1] == first
    above, below = _by_score(joint, first)
    if above.sum() <= 0 or below.sum() <= 0:
        return _unknown(joint)
    losers = below.cumsum() - below / 2
    winners = above[::-1].cumsum()[::-1] - above / 2
    value = float((above * losers).sum() / (above.sum() * below.sum()))
    for_positive = (losers / below.sum() - value) / above.sum()
    for_negative = (winners / above.sum() - value) / below.sum()
    influence = np.where(is_positive[:, None], for_positive, for_negative)
    influence = np.where(is_flipped[:, None], influence[:, ::-1], influence)
    return Score(value, np.concatenate([influence, np.zeros((len(joint.pairs), 1))], axis=1))


def tied(joint: Joint, positive: str | None = None) -> float:
    """Return the share of pairs of a positive and a negative row whose scores are in one bin; 0 where there are none."""
    first = joint.positive(positive)
    if len(joint.classes) != 2 or first < 0:
        return 0.0
    above, below = _by_score(joint, first)
    return float((above * below).sum() / max(float(above.sum() * below.sum()), 1e-12))


def _by_score(joint: Joint, first: int) -> tuple[Array, Array]:
    """Return rows labelled *first*, and all others, by bin of the score of *first*.

    Confidence refers to the predicted class: for the other class, the bins are reversed.
    """
    rows = joint.rows[:, :-1]
    by_score = np.where((joint.pairs[:, 0] != first)[:, None], rows[:, ::-1], rows)
    is_positive = joint.pairs[:, 1] == first
    return by_score[is_positive].sum(axis=0), by_score[~is_positive].sum(axis=0)


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "accuracy": lambda joint, positive: accuracy(joint),
        "error_rate": lambda joint, positive: error_rate(joint),
        "precision": precision,
        "recall": recall,
        "auc": auc,
        "brier": lambda joint, positive: brier(joint),
        "calibration_error": lambda joint, positive: calibration_error(joint),
    }
)
"""Scores of a classifier by name."""


def _share(joint: Joint, part: Array, of: Array) -> Score:
    """Return the mean of *part* over the rows of cells where *of* is 1."""
    total = float((joint.rows * of).sum())
    if total <= 0:
        return _unknown(joint)
    value = float((joint.rows * part).sum()) / total
    return Score(value, (part - value * of) / total)


def _unknown(joint: Joint) -> Score:
    return Score(float("nan"), np.zeros_like(joint.rows))


def _spread(by_pair: NDArray[np.bool_]) -> Array:
    return np.repeat(by_pair.astype(np.float64)[:, None], CONFIDENCE_BINS + 1, axis=1)


def _with_confidence(joint: Joint) -> Array:
    known = np.ones_like(joint.rows)
    known[:, -1] = 0.0
    return known
