"""Small parts, and what it means that two windows are equal. Windows of every shape are drawn in `tests.window_strategies`."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from radiosonde.model import Window
from tests.factories import make_features, make_reference, make_window


def assert_same(left: Any, right: Any, place: str = "window") -> None:
    """Fail unless two windows (or parts of them) agree in every field, type, shape and bit; NaN equals NaN."""
    if dataclasses.is_dataclass(left):
        assert type(left) is type(right), place
        for field in dataclasses.fields(left):
            assert_same(getattr(left, field.name), getattr(right, field.name), f"{place}.{field.name}")
    elif isinstance(left, np.ndarray):
        assert (left.dtype, left.shape) == (right.dtype, right.shape), place
        np.testing.assert_array_equal(left, right, err_msg=place)
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), place
        for name, value in left.items():
            assert_same(value, right[name], f"{place}[{name!r}]")
    elif isinstance(left, float) and np.isnan(left):
        assert np.isnan(right), place
    else:
        assert type(left) is type(right), place
        assert left == right, place


def make_part(rows: int = 1, *, sketches: dict[tuple[str, str], bytes] | None = None, **fields: Any) -> Window:
    """Return a small window of *rows* rows with two features; *fields* replace fields of the window."""
    reference = fields.pop("reference", None) or make_reference()
    features = make_features(reference, {"wind": (rows, 0, 0, 0, 0, 0)}, sketches)
    return dataclasses.replace(make_window(features=features), **{"calls": rows, "rows": rows, **fields})
