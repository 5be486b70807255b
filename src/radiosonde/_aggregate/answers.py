"""Accumulates the outputs of one series and window: classes, confidence, values.

Every row is counted with probability 1/weight, *weight* times, so counts are unbiased.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde._ring import tally
from radiosonde._ring.layout import DONE, OUTPUT_CLASS, OUTPUT_SCORE, OUTPUT_UNREADABLE
from radiosonde.model import CONFIDENCE_BINS, FIRST_HASHED, OVERFLOW_CLASS, OutputCounts
from radiosonde.model.bins import VALUE_EDGES, confidence_bin


class AnswerState:
    """Counts of outputs. Owner: the consumer thread.

    Args:
        value_edges: ascending edges for values; empty takes decades around zero.
    """

    def __init__(self, value_edges: Sequence[float] = ()) -> None:
        # The first line is for all classes beyond the bound, the others are by class code.
        self._classes = np.zeros(1, dtype=np.int64)
        self._confidence = np.zeros((1, CONFIDENCE_BINS), dtype=np.int64)
        self._confidence_sums = np.zeros((1, CONFIDENCE_BINS))
        self._edges = np.array(value_edges if len(value_edges) else VALUE_EDGES, dtype=np.float64)
        self._values = np.zeros(0, dtype=np.int64)
        self._value_sum = 0.0
        self._value_parts = np.zeros(2)
        self._unreadable = 0
        self._counted_rows = self._weight_square_sum = 0

    def update_single(self, headers: NDArray[Any], weight: int = 1) -> None:
        """Add single rows, each *weight* times."""
        kinds = headers["output_kind"]
        done = (headers["mark"] & 3) == DONE
        is_class = done & (kinds == OUTPUT_CLASS)
        if is_class.any():
            self._add_classes(headers["class_code"][is_class].astype(np.int64), headers["confidence"][is_class], weight)
        is_score = done & (kinds == OUTPUT_SCORE)
        if is_score.any():
            self._add_values(headers["score"][is_score], weight)
        self._unreadable += weight * int(np.count_nonzero(done & (kinds == OUTPUT_UNREADABLE)))

    def update_batch(self, kind: int, outputs: NDArray[np.float64], weight: int) -> None:
        """Add rows of batches, each *weight* times: *outputs* has shape (rows, 2)."""
        if kind == OUTPUT_CLASS:
            known = outputs[:, 0] >= 0
            self._add_classes(outputs[known, 0].astype(np.int64), outputs[known, 1], weight)
            self._unreadable += weight * int(np.count_nonzero(~known))
        elif kind == OUTPUT_SCORE:
            self._add_values(outputs[:, 0], weight)

    def add(self, counted: tally.Counted) -> None:
        """Add a writer's counts of reclaimed records."""
        answered, classes, values = (counted.of(kind) for kind in (tally.ANSWERED, tally.CLASSES, tally.VALUES))
        self._counted_rows += int(answered.counts.sum())
        self._weight_square_sum += int(answered.totals.sum())
        self._unreadable += int(counted.of(tally.UNREADABLE).counts.sum())
        if len(classes.code):
            self._reach(int(classes.code.max()) + 1)
            np.add.at(self._classes, classes.code, classes.counts)
            confidences = counted.of(tally.CONFIDENCES)
            np.add.at(self._confidence, (confidences.code, confidences.bucket), confidences.counts)
            np.add.at(self._confidence_sums, (confidences.code, confidences.bucket), confidences.totals)
        if len(values.bucket):
            if not len(self._values):
                self._values = np.zeros(len(self._edges) + 1, dtype=np.int64)
            np.add.at(self._values, np.minimum(values.bucket, len(self._edges)), values.counts)
            self._add_sums(values.totals, 1)

    def add_unreadable(self, rows: int) -> None:
        """Add rows whose outputs could not be understood."""
        self._unreadable += rows

    def _weigh(self, rows: int, weight: int) -> None:
        self._counted_rows += rows
        self._weight_square_sum += weight * weight * rows

    def _add_classes(self, codes: NDArray[np.int64], confidences: NDArray[Any], weight: int) -> None:
        self._weigh(len(codes), weight)
        codes = np.where(codes < FIRST_HASHED, codes + 1, 0)
        self._reach(int(codes.max(initial=0)) + 1)
        self._classes += weight * np.bincount(codes, minlength=len(self._classes))
        known = ~np.isnan(confidences)  # NaN: the output carried no confidence
        codes, confident = codes[known], confidences[known].astype(np.float64)
        cells = codes * CONFIDENCE_BINS + confidence_bin(confident)
        shape = self._confidence.shape
        self._confidence += weight * np.bincount(cells, minlength=self._confidence.size).reshape(shape)
        self._confidence_sums += weight * np.bincount(cells, confident, self._confidence.size).reshape(shape)

    def _reach(self, classes: int) -> None:
        """Make the tables reach that many classes."""
        grown = classes - len(self._classes)
        if grown > 0:
            self._classes = np.pad(self._classes, (0, grown))
            self._confidence = np.pad(self._confidence, ((0, grown), (0, 0)))
            self._confidence_sums = np.pad(self._confidence_sums, ((0, grown), (0, 0)))

    def _add_values(self, values: NDArray[np.float64], weight: int) -> None:
        if not len(self._values):
            self._values = np.zeros(len(self._edges) + 1, dtype=np.int64)
        finite = values[np.isfinite(values)]
        self._weigh(len(finite), weight)
        self._unreadable += weight * (len(values) - len(finite))
        bins = np.searchsorted(self._edges, finite, side="left")
        self._values += weight * np.bincount(bins, minlength=len(self._values))
        self._add_sums(finite, weight)

    def _add_sums(self, values: NDArray[Any], weight: int) -> None:
        total = weight * float(values.sum())
        above = weight * float(np.maximum(values, 0.0).sum())
        self._value_sum += total
        self._value_parts += above, max(0.0, above - total)

    def freeze(self, class_names: Sequence[str]) -> OutputCounts:
        """Return the outputs, frozen."""
        lines = np.arange(1, len(self._classes))
        names = tuple(class_names[: len(lines)])
        if self._classes[0]:
            lines, names = np.append(lines, 0), (*names, OVERFLOW_CLASS)
        return OutputCounts(
            classes=names,
            class_counts=self._classes[lines],
            confidence=self._confidence[lines],
            confidence_sums=self._confidence_sums[lines],
            value_edges=self._edges if len(self._values) else np.zeros(0),
            value_counts=self._values.copy(),
            value_sum=self._value_sum,
            unreadable=self._unreadable,
            counted_rows=self._counted_rows,
            weight_square_sum=self._weight_square_sum,
            value_parts=self._value_parts.copy(),
        )
