"""Counts labelled rows per feature cell: by class of the label, and the residual of the prediction.

Outcomes are kept as rows of bytes and counted a few hundred at a time, because one numpy pass costs the same 60 us for
one outcome as for two hundred. The tables grow to the highest body cell that occurred; see `radiosonde.model.widened`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from radiosonde.model import MOST_BODY_CELLS, SPECIAL_CELLS, widened

_PENDING = 1024
"""Outcomes kept before they are counted: 30 kB at 30 features."""


class OutcomeCells:
    """Cell tables of one grid. Guarded by the aggregator's lock.

    Args:
        features: feature names, one per byte of a row.
        body: body cells of the grid where they are known, so that tables are as wide as those of the features.
    """

    def __init__(self, features: tuple[str, ...], body: int = 0) -> None:
        self.features = features
        self._width = body + len(SPECIAL_CELLS)
        self._tables: dict[str, NDArray[np.int64]] = {}
        self._residuals = np.zeros((len(features), self._width, 3))
        self._names: dict[str, int] = {}
        self._cells: list[bytes] = []
        self._labels: list[int] = []
        self._residual: list[float] = []
        self._signs: list[int] = []

    def add(self, label: str, cells: bytes, residual: float, sign: int) -> None:
        """Count one row, or take it back with *sign* -1; a residual of NaN is not known and counts nowhere."""
        self._labels.append(self._names.setdefault(label, len(self._names)))
        self._cells.append(cells)
        self._residual.append(residual)
        self._signs.append(sign)
        if len(self._cells) >= _PENDING:
            self._count()

    def freeze(self) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.float64]]:
        """Return the tables by label, and the residuals, as `radiosonde.model.LabelCounts` holds them."""
        self._count()
        return {label: table.copy() for label, table in self._tables.items()}, self._residuals.copy()

    def _count(self) -> None:
        if not self._cells:
            return
        shape = (len(self._cells), len(self.features))
        ordinals = np.frombuffer(b"".join(self._cells), dtype=np.uint8).reshape(shape).astype(np.intp)
        self._widen(ordinals)
        columns = np.where(ordinals >= MOST_BODY_CELLS, ordinals - 256 + self._width, ordinals)
        columns += np.arange(len(self.features)) * self._width
        labels, signs = np.array(self._labels), np.array(self._signs, dtype=np.float64)
        size = len(self.features) * self._width
        for label, code in self._names.items():
            chosen = labels == code
            weights = np.repeat(signs[chosen], len(self.features))
            # Weights are whole numbers, so the sums are exact.
            found = np.bincount(columns[chosen].ravel(), weights, size).astype(np.int64)
            table = self._tables.setdefault(label, np.zeros((len(self.features), self._width), dtype=np.int64))
            table += found.reshape(table.shape)
        self._add_residuals(columns, signs, size)
        self._names = {}
        for pending in (self._cells, self._labels, self._residual, self._signs):
            pending.clear()

    def _add_residuals(self, columns: NDArray[np.intp], signs: NDArray[np.float64], size: int) -> None:
        residual = np.array(self._residual)
        known = np.isfinite(residual)
        places, residual, signs = columns[known].ravel(), residual[known], signs[known]
        for moment in range(3):
            weights = np.repeat(signs * residual**moment, len(self.features))
            self._residuals[:, :, moment] += np.bincount(places, weights, size).reshape(-1, self._width)

    def _widen(self, ordinals: NDArray[np.intp]) -> None:
        body = ordinals[ordinals < MOST_BODY_CELLS].max(initial=-1) + 1
        if body + len(SPECIAL_CELLS) > self._width:
            self._width = int(body) + len(SPECIAL_CELLS)
            self._tables = {label: widened(table, self._width) for label, table in self._tables.items()}
            self._residuals = widened(self._residuals, self._width)


def residual(label: str | float, predicted: str, confidence: float, value: float, classes: tuple[str, ...]) -> float:
    """Return the residual of the prediction, see `radiosonde.model.LabelCounts`; NaN when it is unknown."""
    if not math.isnan(value):
        return float(label) - value
    if len(classes) == 2 and predicted in classes:
        second = confidence if predicted == classes[1] else 1.0 - confidence
        return (label == classes[1]) - second
    return (label == predicted) - confidence
