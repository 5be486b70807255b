"""What callers say as labels, in plain values: one, or columns of many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from radiosonde.errors import ConfigurationError
from radiosonde.model import class_text


def plain_value(value: Any) -> str | float | bool | None:
    """Return a label's value as text, number or truth value; None for what names nothing (missing, a container)."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # numpy's scalars, and arrays and tensors of no dimension
    # NaN, and pandas' NA and NaT, differ from themselves or refuse to say.
    if value is None or bool(value != value) or isinstance(value, (list, dict, tuple, set, frozenset, bytes)):  # noqa: PLR0124
        return None
    if isinstance(value, (str, bool, int, float)):
        return value
    return None if getattr(value, "ndim", None) else class_text(value)


def labels_in(
    ids: Any, values: Any, times: Any, to_ns: Callable[[Any], int]
) -> Iterator[tuple[object, object, int | None]]:
    """Yield (id, value, time in ns) of columns of labels: lists, arrays, Series of pandas or polars.

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


def _listed(column: Any) -> list[Any]:
    listing = getattr(column, "to_list", None) or getattr(column, "tolist", None)
    if listing is not None:
        column = listing()
    if isinstance(column, (str, bytes)) or not hasattr(column, "__iter__"):
        raise ConfigurationError(f"label got a column of ids and {column!r}; give one value for each id")
    return list(column)
