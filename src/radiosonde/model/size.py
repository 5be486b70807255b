"""Memory size of a window, so that buffers are bounded in bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np

from radiosonde.model.fields import declarations

_OBJECT_BYTES = 64
"""Of a number, a name's object or an array's head: rounded up, so that windows that hold next to nothing are not free."""


def held_bytes(group: Any) -> int:
    """Estimate the bytes of a window, or of a group of its fields: arrays and bodies exactly, the rest roughly.

    Names are counted although windows of a series share them: the bound may be reached early, never late.
    """
    total = _OBJECT_BYTES
    kind: Any = type(group)
    for value_of in _fields(kind):
        total += _value_bytes(value_of(group))
    return total


@cache
def _fields(kind: type) -> list[Callable[[Any], Any]]:
    return [attrgetter(field.name) for field in declarations(kind)]


def _value_bytes(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return _OBJECT_BYTES + value.nbytes
    if value is None or isinstance(value, int | float):
        return 8
    if isinstance(value, str | bytes):
        return _OBJECT_BYTES + len(value)
    if isinstance(value, tuple):
        return _OBJECT_BYTES + sum(map(_value_bytes, value))
    if isinstance(value, Mapping):
        return _OBJECT_BYTES + sum(_value_bytes(key) + _value_bytes(held) for key, held in value.items())
    return held_bytes(value)
