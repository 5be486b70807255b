"""Number of rows of an output, for inputs that do not determine it.

An iterator, an unknown object or a query shows no rows; a flat list of three numbers is one row or three; a matrix is
many rows or one image. The number of answers decides. A flat answer of several numbers is one row of probabilities when it
sums to one, else one answer a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from radiosonde._record.learning import form_of_item, is_scalar
from radiosonde._record.shapes import Form, recognise

SUM_SLACK = 1e-3
"""How far the sum of probabilities may be from one."""

_SHOWN = 4096
"""Longest flat answer that may be one row of probabilities."""


def answers_in(result: Any) -> int | None:
    """Return for how many rows *result* is, None when it does not show. May raise what the result raises."""
    if result is None:
        return None
    form = recognise(result)
    if form is Form.TEXT or isinstance(result, (int, float, bytes, np.generic)):
        return 1
    if form is Form.MAPPING and isinstance(result, Mapping):
        return _in_mapping(result)
    shape = getattr(result, "shape", None)
    if form in (Form.FRAME, Form.SPARSE):
        return int(shape[0]) if shape else len(result)
    if form is Form.OBJECT:
        return 1
    if form in (Form.ARRAY, Form.SERIES) and isinstance(shape, (tuple, list)):
        if len(shape) == 1:
            return _in_flat(result, int(shape[0]))
        return int(shape[0]) if len(shape) else 1
    if form in (Form.SEQUENCE, Form.SERIES, Form.ARRAY) and hasattr(type(result), "__len__"):
        return _in_sequence(result)
    return None


def _in_mapping(result: Mapping[Any, Any]) -> int | None:
    if "probabilities" in result or all(is_scalar(recognise(value)) for value in result.values()):
        return 1
    lengths = {len(value) for value in result.values() if recognise(value) in (Form.SEQUENCE, Form.ARRAY, Form.SERIES)}
    return lengths.pop() if len(lengths) == 1 else None


def _in_sequence(result: Sequence[Any]) -> int | None:
    count = len(result)
    if not count or not is_scalar(form_of_item(result[0])):
        return count
    if count == 2 and isinstance(result[0], (str, bool, int)) and isinstance(result[1], float):
        return 1  # a label and its confidence
    return _in_flat(result, count)


def _in_flat(result: Any, count: int) -> int:
    if not 1 < count <= _SHOWN:
        return count
    numbers = result.tolist() if hasattr(result, "tolist") else list(result)
    if not all(type(number) is float or isinstance(number, np.floating) for number in numbers):
        return count
    is_distribution = min(numbers) >= 0.0 and abs(sum(numbers) - 1.0) <= SUM_SLACK
    return 1 if is_distribution else count
