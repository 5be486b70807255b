"""Columns of labels, as callers give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from radiosonde._guard import Guard
from radiosonde.errors import ConfigurationError

MOST_LABELS = 1 << 24
"""Largest number of labels of one call. Bounds the expansion of a value that only has a length, such as a range."""


def is_column(value: Any) -> bool:
    """Return whether *value* is a column of ids, not one id; false for an object that raises."""
    return Guard.attempt(_is_column, value) is True


def _is_column(value: Any) -> bool:
    return not isinstance(value, (str, bytes)) and hasattr(value, "__iter__") and bool(getattr(value, "ndim", 1) != 0)


def labels_in(
    ids: Any, values: Any, times: Any, to_ns: Callable[[Any], int]
) -> Iterator[tuple[object, object, int | None]]:
    """Yield (id, value, time in ns) of columns of labels: lists, arrays and Series of any library.

    Raises:
        ConfigurationError: the columns are of different lengths, one is none or cannot be read, or a time is none.
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
    listed = Guard.attempt(_read, column)
    if isinstance(listed, ConfigurationError):
        raise listed
    if isinstance(listed, Exception):
        raise ConfigurationError(
            f"label got a column of type {type(column).__name__}, which raised {type(listed).__name__}; give a list"
        ) from listed
    return listed


def _read(column: Any) -> list[Any]:
    listing = next((getattr(column, name) for name in _LISTINGS if hasattr(column, name)), None)
    if listing is not None:
        column = listing()
    if isinstance(column, (str, bytes)) or not hasattr(column, "__iter__") or not hasattr(column, "__len__"):
        raise ConfigurationError(
            f"label got a column of ids and a {type(column).__name__}; give a list, with one value for each id"
        )
    length = len(column)
    if length > MOST_LABELS:
        raise ConfigurationError(f"label got {length} labels, {MOST_LABELS} are allowed; give them in parts")
    items = list(islice(column, length + 1))
    if len(items) != length:
        raise ConfigurationError(
            f"label got a {type(column).__name__} that reports {length} items but contains another number"
        )
    return items
