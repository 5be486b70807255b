"""Number of rows of an output, for inputs that do not determine it.

An iterator, an unknown object or a query shows no rows; a flat list of three numbers is one row or three; a matrix is
many rows or one image. The number of answers decides. A flat answer of several numbers is one row of probabilities when it
sums to one, unless there are as many as rows: those are one answer a row, such as the classes 0.0, 1.0 and 0.0 of three rows, or the shares of
the candidates of a ranking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from radiosonde._record.responses import LABELS, SCORES, SUM_SLACK, columns_of, largest, ranked, unwrapped
from radiosonde._record.shapes import Form, attribute_names, form_of_item, is_scalar, recognise
from radiosonde.model.classes import bare
from radiosonde.model.iteration import items_of

_SHOWN = 4096
"""Longest flat answer that may be one row of probabilities."""


def answers_in(result: Any, task: str | None = None, rows: int = 1) -> int | None:
    """Return the number of rows of *result*, None if unknown. Exceptions of the result propagate.

    Args:
        result: return value of the function.
        task: task of the model; numbers of a regression are neither a label with its confidence nor a distribution.
        rows: number of rows that the input shows, which decides between two readings of a flat answer.
    """
    if result is None:
        return None
    form = recognise(result)
    if form is Form.TEXT or isinstance(result, (int, float, bytes, np.generic)):
        return 1
    if form is Form.MAPPING and isinstance(result, Mapping):
        return _in_mapping(result, task, rows)
    shape = getattr(result, "shape", None)
    if form in (Form.FRAME, Form.SPARSE):
        return int(shape[0]) if shape else len(result)
    if form is Form.OBJECT:
        return _in_mapping({name: getattr(result, name, None) for name in attribute_names(result) or ()}, task, rows)
    if form in (Form.ARRAY, Form.SERIES) and isinstance(shape, (tuple, list)):
        if len(shape) == 1:
            return _in_flat(result, int(shape[0]), task, rows)
        return int(shape[0]) if len(shape) else 1
    if form in (Form.SEQUENCE, Form.SERIES, Form.ARRAY) and hasattr(type(result), "__len__"):
        return _in_sequence(result, task, rows)
    return None


def _in_mapping(response: Mapping[Any, Any], task: str | None, rows: int) -> int | None:
    result = unwrapped(response)
    if not isinstance(result, Mapping):
        return answers_in(result, task, rows)
    answer = next((result[name] for name in LABELS + SCORES if result.get(name) is not None), None)
    if answer is not None and is_scalar(form_of_item(answer)):
        return 1  # lists beside it are its distribution, its neighbours, or an explanation
    if "probabilities" in result:
        return _in_probabilities(result["probabilities"])
    if all(is_scalar(recognise(value)) for value in items_of(result.values())):
        # By name it is one answer; by number or id, as many as the input shows.
        return 1 if all(isinstance(name, str) for name in items_of(result)) else None
    confidences = result.get("confidence")
    if answer is not None and confidences is None:
        return answers_in(answer, task, rows)
    lengths = {
        len(value)
        for value in items_of(result.values())
        if recognise(value) in (Form.SEQUENCE, Form.ARRAY, Form.SERIES)
    }
    count = lengths.pop() if len(lengths) == 1 else None
    is_distribution = answer is not None and count not in (None, 1, rows) and largest(confidences) is not None
    return 1 if is_distribution else count


def _in_probabilities(value: Any) -> int | None:
    """Return the number of rows of probabilities: the rows of a matrix or of a list, else one."""
    form = recognise(value)
    if form in (Form.ARRAY, Form.FRAME):
        return answers_in(value) if form is Form.FRAME or len(getattr(value, "shape", ())) > 1 else 1
    is_nested = form is Form.SEQUENCE and len(value) > 0 and not is_scalar(form_of_item(value[0]))
    return len(value) if is_nested else 1


def _in_sequence(result: Sequence[Any], task: str | None, rows: int) -> int | None:
    count = len(result)
    if columns_of(result) is not None:
        return len(result[0])
    if (
        count not in (0, 1, rows)
        and task != "regression"
        and type(result[0]) is not float
        and ranked(result) is not None
    ):
        return 1
    if not count or not is_scalar(form_of_item(result[0])):
        return count
    return 1 if task != "regression" and is_pair(result) else _in_flat(result, count, task, rows)


def is_pair(value: Sequence[Any]) -> bool:
    """Whether a sequence is a label and its confidence. Exceptions of its items propagate.

    A list of two numbers that add up to 1 is a distribution, a tuple of a whole number and another a pair.
    """
    if len(value) != 2:
        return False
    label, confidence = bare(value[0]), bare(value[1])
    if not isinstance(confidence, (float, np.floating)):
        return False
    if isinstance(label, int):  # truth values too
        return isinstance(value, tuple) or abs(label + float(confidence) - 1.0) > SUM_SLACK
    return isinstance(label, (str, bytes))


def _in_flat(result: Any, count: int, task: str | None, rows: int) -> int:
    if not 1 < count <= _SHOWN or count == rows or task == "regression":
        return count
    numbers = list(items_of(result.tolist() if hasattr(result, "tolist") else result))
    if not all(type(number) is float or isinstance(number, np.floating) for number in numbers):
        return count
    is_distribution = min(numbers) >= 0.0 and abs(sum(numbers) - 1.0) <= SUM_SLACK
    return 1 if is_distribution else count
