"""Reads inputs and outputs of tensor libraries as numpy arrays.

Such a model does not declare the meaning of its numbers, so it is inferred: rows of probabilities sum to one. Otherwise there are no
classes, unless the user declares them (``rs.tag(model, task="classification")``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SUM_SLACK = 4e-3
"""How far the sum of a row of probabilities may be from one: half precision has three digits."""


def batch_of(rows: int) -> NDArray[np.float64]:
    """Return features that are none, of so many rows: the call counts with its batch size."""
    return np.empty((rows, 0))


def as_features(array: NDArray[Any]) -> NDArray[Any]:
    """Return *array* if it is a matrix of numbers with fractions, one row a case; else its batch size alone.

    Whole numbers in a matrix are tokens more often than they are features, and a tensor of more axes is an image.
    """
    if array.ndim == 2 and array.dtype.kind == "f" and array.shape[1]:
        return array
    return batch_of(array.shape[0] if array.ndim else 1)


class TensorColumns:
    """One-column tensors by name, read like a frame.

    Args:
        tensors: arrays of as many values each; with any number of axes.
    """

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self._columns = {name: np.asarray(values).reshape(-1) for name, values in tensors.items()}
        self.column_names = list(self._columns)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._columns[name]

    def __len__(self) -> int:
        return min(map(len, self._columns.values()), default=0)


class Answers:
    """Reads the outputs of one model.

    A model that has once returned a matrix of other numbers has no probabilities: a row of scores may sum to one by chance.

    Args:
        task: declared meaning of the numbers; with ``classification`` a matrix of scores is read as logits.
    """

    def __init__(self, task: Literal["classification", "regression"] | None = None) -> None:
        self._task = task
        self._has_scores = task == "regression"

    def read(self, results: Sequence[Any]) -> object:
        """Convert a model's outputs for `radiosonde.observe`; None if they are not interpretable.

        Args:
            results: arrays, or the lists of dictionaries that scikit-learn's converter makes of probabilities.
        """
        labels = matrix = values = None
        for result in results:
            if isinstance(result, list):
                if result and isinstance(result[0], Mapping) and matrix is None:
                    return _of_dictionaries(result)
                result = np.asarray(result)  # noqa: PLW2901 - text tensors are lists in some versions
            if not isinstance(result, np.ndarray) or result.ndim not in (1, 2) or not result.size:
                continue
            flat = result.reshape(-1) if result.ndim == 1 or result.shape[1] == 1 else None
            if flat is None:
                matrix = result if matrix is None and result.dtype.kind == "f" else matrix
            elif result.dtype.kind != "f":
                labels = flat if labels is None else labels
            elif values is None:
                values = flat
        if labels is not None:
            return self._labelled(labels, matrix)
        if matrix is not None:
            return self._matrix(matrix)
        return None if values is None else _plain(values.astype(np.float64))

    def _labelled(self, labels: NDArray[Any], matrix: NDArray[Any] | None) -> object:
        if matrix is None or len(matrix) != len(labels) or not self._sums_to_one(matrix):
            return _plain(labels)
        # The columns' names are inside the graph and inaccessible; the label of a row is a separate output.
        return _confident(labels, matrix.max(axis=1))

    def _matrix(self, matrix: NDArray[Any]) -> NDArray[np.float64] | None:
        if self._sums_to_one(matrix):
            return np.asarray(np.minimum(matrix, 1.0), dtype=np.float64)
        if self._task != "classification":
            return None
        powers: NDArray[np.float64] = np.exp(matrix.astype(np.float64) - matrix.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
        return powers

    def _sums_to_one(self, matrix: NDArray[Any]) -> bool:
        if not self._has_scores:
            sums = matrix.sum(axis=1, dtype=np.float64)
            self._has_scores = bool(matrix.min() < 0.0 or np.abs(sums - 1.0).max() > SUM_SLACK)
        return not self._has_scores


def _plain(values: NDArray[Any]) -> object:
    return values.tolist()[0] if len(values) == 1 else values


def _confident(labels: NDArray[Any], confidences: NDArray[Any]) -> dict[str, object]:
    return {"label": _plain(labels), "confidence": _plain(np.minimum(confidences.astype(np.float64), 1.0))}


def _of_dictionaries(rows: Sequence[Mapping[Any, float]]) -> object:
    labels = [max(row, key=row.__getitem__) for row in rows]
    return _confident(np.asarray(labels), np.array([row[label] for row, label in zip(rows, labels, strict=True)]))
