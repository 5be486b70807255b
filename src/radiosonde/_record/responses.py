"""Reads the forms that services and model libraries give an answer beyond the plain ones, as the plain ones.

==========================================================  ======================================================
form                                                        is read as
==========================================================  ======================================================
``{"predictions": [...], "model_version": "3"}``            what it wraps; also ``outputs``, ``result`` and others
``{"outputs": [{"name": "p", "shape": [3, 2], ...}]}``      the tensor, or the tensors by name
``{"labels": [...], "scores": [...]}``                      columns of labels and confidences, or one distribution
``{"label": "a", "probabilities": [0.9, 0.1]}``             the label, with the largest as its confidence
``(labels, probabilities)``, ``(labels, confidences)``      columns, where the first holds one label for each row
``("a", [0.9, 0.1])``                                       the label, with the largest as its confidence
``[{"label": "a", "score": 0.9}, ...]`` for one row         the label of the largest score
==========================================================  ======================================================

A form is only read where its own names, or types and lengths, leave one reading. Everything else stays as it is, and is unreadable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from radiosonde._record.shapes import Form, form_of_item, is_scalar, recognise
from radiosonde.model.classes import bare
from radiosonde.model.iteration import items_of

SUM_SLACK: Final = 1e-3
"""How far from one the numbers of a distribution may add up to: more than half precision and rounded JSON are off by."""

LABELS: Final = ("label", "class", "prediction", "predicted", "class_name")
CONFIDENCES: Final = ("confidence", "probability", "proba")
SCORES: Final = ("score", "value")
"""Plain names, under which an answer holds its class, the probability of it, and a value."""

WRAPPERS: Final = (
    "predictions", "prediction_label", "predicted_label", "predicted_class", "predicted_labels", "predicted_classes", "class_label", "class_id", "class_ids",
    "labels", "classes", "y_pred", "y_hat", "yhat", "predict", "outputs", "output", "results", "result", "response",
    "scores", "values",
)  # fmt: skip
"""Names under which a response holds its answers, where it has none of the plain names. The first that is there counts."""

CERTAINTIES: Final = (
    *CONFIDENCES,
    "confidences",
    "probabilities",
    "probas",
    "predict_proba",
    "scores",
    "prediction_score",
)
"""Names of the confidences or distributions beside labels."""

_DEEPEST = 3
"""Wrappers within wrappers that are opened."""

_MOST_TENSORS = 16
"""Tensors of a response that are read."""

_MOST_ALTERNATIVES = 1_000
"""Ranked labels of one row that are compared."""


def unwrapped(response: Mapping[Any, Any]) -> Any:
    """Return the answer in a mapping that has none of the plain names: a mapping that has, or what the mapping wraps.

    Exceptions of the mapping propagate. A mapping in which nothing is found is returned as it is.
    """
    value = response
    for _ in range(_DEEPEST):
        if any(value.get(name) is not None for name in LABELS + SCORES):
            return value
        name = next((name for name in WRAPPERS if value.get(name) is not None), None)
        if name is None:
            return value
        content = value[name]
        if (tensors := _tensors(content)) is not None:
            content = tensors
        if not isinstance(content, Mapping):
            certainty = next(
                (value[each] for each in CERTAINTIES if each != name and value.get(each) is not None), None
            )
            if certainty is None and not is_scalar(form_of_item(content)):
                return content
            return _labelled(content, certainty)
        value = content
    return value


def _labelled(label: Any, certainty: Any) -> Mapping[str, Any]:
    if certainty is None:
        return {"label": label}
    if isinstance(certainty, Mapping):
        return {"probabilities": certainty}
    is_row = is_scalar(form_of_item(label)) and not is_scalar(form_of_item(certainty))
    return {"label": label, "probabilities" if is_row or holds_rows(certainty) else "confidence": certainty}


def _tensors(content: Any) -> Any:
    """Return the tensors of a response of the Open Inference Protocol by name, the only one without its name; None for anything else."""
    if type(content) is not list or not 0 < len(content) <= _MOST_TENSORS:
        return None
    if not all(isinstance(each, Mapping) and "data" in each and "shape" in each for each in content):
        return None
    found = {
        each.get("name"): each["data"]
        if each.get("datatype") == "BYTES"
        else np.asarray(each["data"]).reshape(each["shape"])
        for each in content
    }
    return found if len(found) > 1 else next(iter(found.values()))


def holds_rows(column: Any) -> bool:
    """Whether the entries of a column are rows themselves: it is a matrix, a frame, or a sequence of sequences."""
    form = recognise(column)
    if form is Form.FRAME:
        return True
    if form is Form.ARRAY:
        return len(getattr(column, "shape", ())) > 1
    return form is Form.SEQUENCE and len(column) > 0 and not is_scalar(form_of_item(column[0]))


def columns_of(answer: object, rows: int | None = None) -> Mapping[str, Any] | None:
    """Return a tuple of labels and their probabilities or confidences as columns by name; None for any other answer.

    Args:
        answer: what a function returned.
        rows: rows of the call; None where they are not known.

    A tuple of two columns of floats, a value and its deviation for each row, is a column of values: not for two rows, each of which it
    may answer with two numbers.
    """
    if type(answer) is not tuple or len(answer) != 2:
        return None
    first, second = answer
    if any(recognise(column) not in (Form.SEQUENCE, Form.ARRAY, Form.SERIES) for column in answer):
        return None
    count = len(first)
    if not count or len(second) != count or rows not in (None, count) or holds_rows(first):
        return None
    # Not by place: the brackets of a series take labels.
    label, certainty = bare(next(iter(first))), next(iter(second))
    if holds_rows(second):
        widths = second.shape[1:] if hasattr(second, "shape") else (len(certainty),)
        is_distribution = (
            len(widths) == 1 and widths[0] > 1 and isinstance(bare(next(iter(certainty))), (float, np.floating))
        )
        return {"label": first, "probabilities": second} if is_distribution else None
    if not isinstance(bare(certainty), (float, np.floating)):
        return None
    if isinstance(label, (str, int)):
        return {"label": first, "confidence": second}
    is_value = isinstance(label, (float, np.floating)) and rows == count > 2
    return {"score": first} if is_value else None


def ranked(row: Sequence[Any]) -> tuple[Any, float] | None:
    """Return the likeliest label of one row, and its confidence, of a pair or of labels with scores; None for any other row.

    Exceptions of the items propagate.
    """
    if not 0 < len(row) <= _MOST_ALTERNATIVES:
        return None
    if isinstance(row[0], Mapping):
        return _likeliest(row)
    label = only(row[0])
    if len(row) != 2 or not isinstance(label, (str, int)) or is_scalar(form_of_item(row[1])):
        return None
    numbers = only(row[1])
    certainty = float(numbers) if isinstance(numbers, (float, np.floating)) else largest(numbers)
    return None if certainty is None else (label, certainty)


def _likeliest(row: Sequence[Any]) -> tuple[Any, float] | None:
    scores: dict[Any, float] = {}
    for each in row:
        if not isinstance(each, Mapping):
            return None
        label = next((bare(each[name]) for name in LABELS if each.get(name) is not None), None)
        score = next((bare(each[name]) for name in (*CONFIDENCES, *SCORES) if each.get(name) is not None), None)
        if not isinstance(label, (str, int)) or label in scores or not isinstance(score, (float, np.floating)):
            return None
        if not 0.0 <= score <= 1.0 + SUM_SLACK:
            return None
        scores[label] = float(score)
    if len(scores) < 2 or sum(scores.values()) > 1.0 + SUM_SLACK:
        return None
    label = max(scores, key=scores.__getitem__)
    return label, min(scores[label], 1.0)


def largest(numbers: Any) -> float | None:
    """Return the largest of the numbers of one row if they are a distribution, else None."""
    try:
        found = [float(each) for each in items_of(numbers)]
    except (TypeError, ValueError):
        return None
    if not found or min(found) < 0.0 or not math.fabs(sum(found) - 1.0) <= SUM_SLACK:
        return None
    return min(max(found), 1.0)


def only(value: Any) -> Any:
    """Return the only entry of a container of one, as a batch of one row is; other values as they are, as Python values."""
    return bare(alone(value))


def alone(value: Any) -> Any:
    """Return the only entry of a column of one row, of any library; other values as they are."""
    if value is None or isinstance(value, (str, bytes, int, float, np.generic, Mapping)):
        return value
    shape: tuple[int, ...] = getattr(value, "shape", ())
    if math.prod(shape) > 1:  # not by listing them: there may be millions
        return alone(value[0]) if shape[0] == 1 and recognise(value) is Form.ARRAY else value
    names = ("tolist", "to_list", "to_pylist", "as_py")
    listed = next((getattr(value, name) for name in names if hasattr(value, name)), None)
    entries = value if listed is None else listed()
    if isinstance(entries, (list, tuple)):
        return alone(entries[0]) if len(entries) == 1 else value
    return entries  # of an array or tensor without axes, or a scalar of pyarrow
