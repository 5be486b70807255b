"""Predictions of one lane that wait for their labels: arrays indexed by the record's index, bounded, in memory.

A prediction id ends in the index of its record, so finding a prediction is one array access, with no table of ids. The
newest `capacity` predictions are kept; an older one's label is counted as unknown. 45 bytes a prediction.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

CAPACITY = 131_072
"""Predictions per lane that can still be labelled: 5.9 MB; divides 2**32. Arrays grow to it by doubling."""

_FIRST_CAPACITY = 1024

_ROW = np.dtype(
    [
        ("index", "<i8"),
        ("start_ns", "<i8"),
        ("event_ns", "<i8"),
        ("score", "<f8"),
        ("confidence", "<f4"),
        ("class_code", "<i4"),
        ("series", "<u4"),
        ("labelled", "?"),
    ]
)


class PendingRow(NamedTuple):
    """A prediction that was found.

    Attributes:
        event_ns: event time of the prediction.
        series: code of its cohort cell.
        class_code: predicted class, -1 none.
        confidence: confidence, NaN none.
        score: predicted value, NaN none.
        is_first: whether it has no label yet.
    """

    event_ns: int
    series: int
    class_code: int
    confidence: float
    score: float
    is_first: bool


class Pending:
    """The newest predictions of one lane. Owner: the consumer thread."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._rows = np.zeros(min(_FIRST_CAPACITY, capacity), dtype=_ROW)
        self._rows["index"] = -1

    def add(self, indices: NDArray[np.int64], headers: NDArray[Any]) -> None:
        """Keep single-row records that ended with a result."""
        while len(indices) and len(self._rows) < self._capacity and self._is_crowded(indices):
            self._grow()
        rows = np.empty(len(indices), dtype=_ROW)
        rows["index"], rows["labelled"] = indices, False
        for name in ("start_ns", "score", "confidence", "class_code", "series"):
            rows[name] = headers[name]
        rows["event_ns"] = np.where(headers["event_ns"] > 0, headers["event_ns"], headers["start_ns"])
        self._rows[indices % len(self._rows)] = rows

    def _is_crowded(self, indices: NDArray[np.int64]) -> bool:
        oldest = int(indices.max()) - len(self._rows)
        return oldest >= 0

    def _grow(self) -> None:
        kept = self._rows[self._rows["index"] >= 0]
        self._rows = np.zeros(min(2 * len(self._rows), self._capacity), dtype=_ROW)
        self._rows["index"] = -1
        self._rows[kept["index"] % len(self._rows)] = kept

    def find(self, index_low: int, start_ns: int) -> PendingRow | None:
        """Find a prediction by the low 32 bits of its index and its start; None if unknown."""
        # The capacity divides 2**32, so the low bits lead to the same place as the whole index.
        row = self._rows[index_low % len(self._rows)]
        if row["index"] < 0 or int(row["index"]) & 0xFFFFFFFF != index_low or int(row["start_ns"]) != start_ns:
            return None
        return PendingRow(
            int(row["event_ns"]),
            int(row["series"]),
            int(row["class_code"]),
            float(row["confidence"]),
            float(row["score"]),
            not row["labelled"],
        )

    def mark(self, index_low: int) -> None:
        """Remember that the prediction just found has its label."""
        self._rows["labelled"][index_low % len(self._rows)] = True
