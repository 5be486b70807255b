"""Accumulates what the model answered in one series and window: classes, confidence, values.

Every row is counted with probability 1/weight, *weight* times, so counts are unbiased.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde._ring.layout import DONE, OUTPUT_CLASS, OUTPUT_SCORE, OUTPUT_UNREADABLE
from radiosonde.model import CONFIDENCE_BINS, FIRST_HASHED, OVERFLOW_CLASS, OutputCounts

_DEFAULT_EDGES = np.array([-1e6, -1e4, -1e3, -1e2, -10, -1, -0.1, 0, 0.1, 1, 10, 1e2, 1e3, 1e4, 1e6])
"""Bins of values when no reference tells better ones."""

_SINGLE_ROUNDING = CONFIDENCE_BINS * 2.0**-24


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
        self._edges = np.array(value_edges, dtype=np.float64) if len(value_edges) else _DEFAULT_EDGES
        self._values = np.zeros(0, dtype=np.int64)
        self._value_sum = 0.0
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

    def add_unreadable(self, rows: int) -> None:
        """Add rows whose outputs could not be understood."""
        self._unreadable += rows

    def _weigh(self, rows: int, weight: int) -> None:
        self._counted_rows += rows
        self._weight_square_sum += weight * weight * rows

    def _add_classes(self, codes: NDArray[np.int64], confidences: NDArray[Any], weight: int) -> None:
        self._weigh(len(codes), weight)
        codes = np.where(codes < FIRST_HASHED, codes + 1, 0)
        size = int(codes.max(initial=0)) + 1
        if size > len(self._classes):
            grown = size - len(self._classes)
            self._classes = np.pad(self._classes, (0, grown))
            self._confidence = np.pad(self._confidence, ((0, grown), (0, 0)))
            self._confidence_sums = np.pad(self._confidence_sums, ((0, grown), (0, 0)))
        self._classes += weight * np.bincount(codes, minlength=len(self._classes))
        known = ~np.isnan(confidences)  # NaN: the output carried no confidence
        codes, confident = codes[known], confidences[known].astype(np.float64)
        cells = codes * CONFIDENCE_BINS + confidence_bin(confident)
        shape = self._confidence.shape
        self._confidence += weight * np.bincount(cells, minlength=self._confidence.size).reshape(shape)
        self._confidence_sums += weight * np.bincount(cells, confident, self._confidence.size).reshape(shape)

    def _add_values(self, values: NDArray[np.float64], weight: int) -> None:
        if not len(self._values):
            self._values = np.zeros(len(self._edges) + 1, dtype=np.int64)
        finite = values[np.isfinite(values)]
        self._weigh(len(finite), weight)
        self._unreadable += weight * (len(values) - len(finite))
        bins = np.searchsorted(self._edges, finite, side="left")
        self._values += weight * np.bincount(bins, minlength=len(self._values))
        self._value_sum += weight * float(finite.sum())

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
        )


def confidence_bin(confidences: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each confidence; 1 (and what rounding carries above it) belongs to the last.

    A single row's confidence has been through single precision, a batch's has not: what lies within its rounding below
    a bin's edge counts as on it, so that 0.35 is in the same bin either way.
    """
    bins = (np.clip(confidences, 0.0, 1.0) * CONFIDENCE_BINS + _SINGLE_ROUNDING).astype(np.int64)
    return np.minimum(bins, CONFIDENCE_BINS - 1)


def one_confidence_bin(confidence: float) -> int:
    """Return the bin of one confidence, as `confidence_bin` does; a call of numpy for one number costs 10 us."""
    return min(int(min(max(confidence, 0.0), 1.0) * CONFIDENCE_BINS + _SINGLE_ROUNDING), CONFIDENCE_BINS - 1)
