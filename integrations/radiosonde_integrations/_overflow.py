"""Minimal counting for models beyond the bound on recorders: calls, rows and durations.

Each recorder keeps its own ring of megabytes. A process with a new model or version per request would exhaust the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAME = "__overflow__"
"""Common name of these models."""


def rows_alone(read: Callable[..., object]) -> Callable[..., NDArray[np.float64]]:
    """Return a reader of the number of rows only: features of many models have no cells."""

    def rows(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> NDArray[np.float64]:
        value: Any = read(args, kwargs)
        is_one = isinstance(value, Mapping) or getattr(value, "ndim", 2) != 2 or not hasattr(value, "__len__")
        if isinstance(value, (list, tuple)):
            is_one = not value or isinstance(value[0], (str, bytes)) or not hasattr(value[0], "__len__")
        return np.empty((1 if is_one else len(value), 0))

    return rows


def nothing(_result: Any) -> None:
    """Leave the answer out: classes of many models are no classes."""
