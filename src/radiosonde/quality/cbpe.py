"""Performance without labels: the error rate expected from calibrated confidences, and its mix with partial labels.

A calibrated model with a confidence of 0.8 is correct in 8 of 10 answers; the expected confusion table of any rows therefore
follows from their confidence alone (confidence-based performance estimation, CBPE). Confidence is calibrated by bin from
labelled rows where there are any: expected accuracy of a bin is read, at the bin's mean confidence, off the line through
(mean confidence, accuracy) of the bins. Twenty bins lose nothing against calibrating row by row.

Blind to concept drift by construction: it assumes that P(label | score) is unchanged. It shows the effect of the *inputs* on the model.

`mixed` puts labels where they have come and, for the rest, the posterior given that no label has arrived *yet*: a row still
without one after most negatives have theirs is more likely to be a positive. The least noisy figure of all, but a share of
(1 - coverage) of it still assumes that nothing has changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiosonde.model import CONFIDENCE_BINS
from radiosonde.quality.columns import Array
from radiosonde.quality.scores import Joint
from radiosonde.quality.table import LabelTable
from radiosonde.quality.weights import Weights

_TRUST = 2.0
"""Prior weight, in rows of a bin, of an uncalibrated confidence: a bin with few labels stays close to it."""

_TRUST_SLOPE = 200.0
"""Prior weight of a slope of 1, in rows spread evenly over a bin."""

_SPREAD = 1 / (12 * CONFIDENCE_BINS**2)
_CENTRES = (np.arange(CONFIDENCE_BINS) + 0.5) / CONFIDENCE_BINS


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """How right the answers of each class are at a confidence: a line per bin.

    Attributes:
        confidence: mean confidence per predicted class and bin, shape (classes, 20).
        right: expected share of right answers there, same shape.
        slope: its change per unit of confidence within the bin, same shape.
        rows: labelled rows behind it, same shape; 0: the confidence was taken at its word.
    """

    confidence: Array
    right: Array
    slope: Array
    rows: Array

    def at(self, mean_confidence: Array) -> Array:
        """Return the expected share of right answers in bins of *mean_confidence*, shape (..., classes, 20)."""
        return np.asarray(np.clip(self.right + self.slope * (mean_confidence - self.confidence), 0.0, 1.0))


def calibration(classes: tuple[str, ...], joint: Joint | None = None) -> Calibration:
    """Return the calibration of *classes* that the labelled rows of *joint* show; without any, confidence at its word.

    *joint* may name other classes too: predictions of classes outside *classes* are omitted.

    The line of a bin is the least-squares line of being right on confidence, which the sums of a bin give exactly.
    """
    shape = (len(classes), CONFIDENCE_BINS)
    rows, sums, squares, right, right_sums = (np.zeros(shape) for _ in range(5))
    if joint is not None:
        place = {name: row for row, name in enumerate(classes)}
        for pair, (predicted, label) in enumerate(joint.pairs):
            row = place.get(joint.classes[predicted])
            if row is None:
                continue
            counts = joint.table[pair, :-1]
            rows[row] += counts[:, 0]
            sums[row] += counts[:, 1]
            squares[row] += counts[:, 2]
            right[row] += counts[:, 0] * (predicted == label)
            right_sums[row] += counts[:, 1] * (predicted == label)
    held = np.maximum(rows, 1e-12)
    mean = np.where(rows > 0, sums / held, _CENTRES)
    share = (right + _TRUST * mean) / (rows + _TRUST)
    prior = _TRUST_SLOPE * _SPREAD
    spread, together = np.maximum(squares - mean * sums, 0.0), right_sums - mean * right
    return Calibration(mean, share, (together + prior) / (spread + prior), rows)


def expected_joint(table: LabelTable, calibrated: Calibration) -> Joint:
    """Return the table of labels that the confidences of all rows lead to expect.

    With two classes a wrong answer is the other one. With more it is unknown which: wrong answers are counted under the label ``""``, and
    recall of a class is unavailable.
    """
    rows, sums = table.predicted.sum(axis=0)[..., 0], table.predicted.sum(axis=0)[..., 1]
    return _joint(table, rows, sums, _right(rows, sums, calibrated))


def mixed_joint(table: LabelTable, weights: Weights, calibrated: Calibration) -> Joint:
    """Return arrived labels as they are, and for all other rows the posterior given that their label has not come yet."""
    labelled = np.zeros_like(table.predicted)
    for pair, (predicted, _) in enumerate(table.pairs):
        labelled[:, predicted] += table.joint[:, pair, :, :2]
    rest = np.maximum(table.predicted - labelled, 0.0)
    rows, sums = rest[..., 0], rest[..., 1]
    right = _right(rows, sums, calibrated)
    if len(table.classes) == 2:
        late = 1 - weights.coverage
        own, other = late[:, :, None], late[:, ::-1, None]
        odds = right * own + (1 - right) * other
        right = np.where(odds > 0, right * own / np.maximum(odds, 1e-300), right)
    expected = _joint(table, rows.sum(axis=0), sums.sum(axis=0), _mean(right, rows))
    # Several wrong labels of one predicted class share a line, whether or not rows without a label opened it.
    lines = {(predicted, label): expected.table[at] for at, (predicted, label) in enumerate(expected.pairs.tolist())}
    unnamed = len(table.classes)
    for at, (predicted, label) in enumerate(table.pairs.tolist()):
        line = (predicted, label if predicted == label or unnamed == 2 else unnamed)
        lines[line] = lines.get(line, 0.0) + table.joint[:, at].sum(axis=0)
    pairs = np.array(list(lines), dtype=np.int64).reshape(-1, 2)
    return Joint(expected.classes, pairs, np.array(list(lines.values())).reshape(-1, CONFIDENCE_BINS + 1, 3))


def _right(rows: Array, sums: Array, calibrated: Calibration) -> Array:
    """Return the expected share of correct answers, shape (..., classes, 21); rows without confidence get the average."""
    centres = np.append(_CENTRES, 0.0)
    mean = np.where(rows > 0, np.divide(sums, rows, out=np.zeros_like(sums), where=rows > 0), centres)
    right = np.empty_like(rows)
    right[..., :-1] = calibrated.at(mean[..., :-1])
    known = rows[..., :-1]
    total = known.sum(axis=-1)
    share = (known * right[..., :-1]).sum(axis=-1)
    right[..., -1] = np.divide(share, total, out=np.full_like(total, 0.5), where=total > 0)
    return right


def _mean(right: Array, rows: Array) -> Array:
    total = rows.sum(axis=0)
    mean: Array = np.divide((right * rows).sum(axis=0), total, out=np.full_like(total, 0.5), where=total > 0)
    return mean


def _joint(table: LabelTable, rows: Array, sums: Array, right: Array) -> Joint:
    size = len(table.classes)
    held: NDArray[np.int64] = np.flatnonzero(rows.sum(axis=1) > 0)
    mean = np.divide(sums, rows, out=np.zeros_like(sums), where=rows > 0)
    names = table.classes if size == 2 else (*table.classes, "")
    pairs, parts = [], []
    for row in held.tolist():
        wrong = 1 - row if size == 2 else size
        for label, share in ((row, right[row]), (wrong, 1 - right[row])):
            pairs.append((row, label))
            parts.append(np.stack([rows[row] * share, sums[row] * share, sums[row] * share * mean[row]], axis=-1))
    shape = (len(parts), CONFIDENCE_BINS + 1, 3)
    return Joint(names, np.array(pairs, dtype=np.int64).reshape(-1, 2), np.array(parts).reshape(shape))
