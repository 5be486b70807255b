"""Columns of labels, as callers give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from radiosonde.errors import ConfigurationError


def is_column(value: Any) -> bool:
    """Say whether *value* is a column of ids, not one id."""
    return not isinstance(value, (str, bytes)) and hasattr(value, "__iter__") and getattr(value, "ndim", 1) != 0


def labels_in(
    ids: Any, values: Any, times: Any, to_ns: Callable[[Any], int]
) -> Iterator[tuple[object, object, int | None]]:
    """Yield (id, value, time in ns) of columns of labels: lists, arrays and Series of any library.

    Raises:
        ConfigurationError: the columns are of different lengths, or a time is none.
    """
    ids, values = _listed(ids), _listed(values)
    if isinstance(times, (datetime, int, float)) or times is None:
        moments: list[Any] = [times] * len(ids)
    else:
        moments = _listed(times)
    if not len(ids) == len(values) == len(moments):
        raise ConfigurationError(
            f"label got {len(ids)} ids, {len(values)} values and {len(moments)} times; give as many of each"
        )
    for own, value, moment in zip(ids, values, moments, strict=True):
        yield own, value, None if moment is None else to_ns(moment)


_LISTINGS = ("to_list", "tolist", "to_pylist")
"""Of pandas and polars; numpy and torch; pyarrow."""


def _listed(column: Any) -> list[Any]:
    listing = next((getattr(column, name) for name in _LISTINGS if hasattr(column, name)), None)
    if listing is not None:
        column = listing()
    if isinstance(column, (str, bytes)) or not hasattr(column, "__iter__"):
        raise ConfigurationError(f"label got a column of ids and {column!r}; give one value for each id")
    return list(column)
