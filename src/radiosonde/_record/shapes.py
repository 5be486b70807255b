"""Recognises what people pass to models, without importing any of their libraries: by shape, not by type.

`recognise` is asked once per type and answers with a form; the form is remembered (`radiosonde._record.inputs`), so a
later call costs one dictionary lookup.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any

import numpy as np


class Form(Enum):
    """How to read an input."""

    ARRAY = auto()
    """numpy array, or something that `as_array` turns into one (torch tensor, ``__array__``)."""
    FRAME = auto()
    """pandas or polars frame, pyarrow table: named columns of equal length."""
    MAPPING = auto()
    """one row by name: dict, pandas Series."""
    SEQUENCE = auto()
    """list or tuple: one row of values, or rows of any readable kind."""
    OBJECT = auto()
    """one row as attributes: dataclass, pydantic model, named tuple, plain object."""
    UNKNOWN = auto()
    """nothing we can read."""


_SCALARS = (str, bytes, int, float, complex, bool, type(None), np.generic)


def recognise(value: object) -> Form:
    """Return the form of *value*, from its type alone."""
    if isinstance(value, np.ndarray):
        return Form.ARRAY
    if isinstance(value, Mapping):
        return Form.MAPPING
    if isinstance(value, _SCALARS) or callable(value):
        return Form.UNKNOWN
    if column_names(value) is not None:
        return Form.FRAME
    if hasattr(value, "index") and hasattr(value, "to_dict"):
        return Form.MAPPING
    if attribute_names(value) is not None:
        return Form.OBJECT
    if isinstance(value, Sequence):
        return Form.SEQUENCE
    if hasattr(value, "detach") or hasattr(value, "__array__"):
        return Form.ARRAY
    return Form.UNKNOWN


def as_array(value: Any) -> np.ndarray[Any, Any]:
    """Return *value* as a numpy array; tensors are detached and brought to the CPU."""
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "detach"):
        value = value.detach()
        if hasattr(value, "cpu"):
            value = value.cpu()
        return np.asarray(value.numpy())
    return np.asarray(value)


def as_mapping(value: Any) -> Mapping[Any, object]:
    """Return one row by name."""
    mapping: Mapping[Any, object] = value if isinstance(value, Mapping) else value.to_dict()
    return mapping


def column_names(value: Any) -> list[str] | None:
    """Return the column names of a frame or table, None when *value* is neither."""
    names = getattr(value, "column_names", None)
    if names is None:
        names = getattr(value, "columns", None)
    if names is None or callable(names) or not hasattr(value, "__getitem__"):
        return None
    return [str(name) for name in names]


def column(frame: Any, position: int, name: str) -> np.ndarray[Any, Any]:
    """Return one column of a frame or table as an array; by label, or by position where labels are not text."""
    try:
        picked = frame[name]
    except (KeyError, TypeError):
        picked = frame.iloc[:, position]
    return np.asarray(picked.to_numpy()) if hasattr(picked, "to_numpy") else np.asarray(picked)


def attribute_names(value: object) -> tuple[str, ...] | None:
    """Return the field names of a dataclass, pydantic model, named tuple or attrs instance; None for other objects."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple(item.name for item in dataclasses.fields(value))
    kind = type(value)
    for holder in ("model_fields", "__pydantic_fields__", "__attrs_attrs__", "_fields"):
        fields = getattr(kind, holder, None)
        if fields:
            return tuple(getattr(item, "name", item) for item in fields)
    return None
