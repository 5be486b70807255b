"""Converts dates, times and time spans to numeric feature values.

| value | number |
|---|---|
| date and time, with or without a time zone | seconds since 1970-01-01 UTC; without a zone it is taken for UTC |
| date | seconds since 1970-01-01 at its midnight |
| period | seconds since 1970-01-01 at its start |
| time of day | seconds since midnight |
| time span | seconds |

One unit for all libraries, because the same column is ``datetime64[us]`` in one version of pandas and ``[ns]`` in another.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

UNIT_SECONDS: Final = {
    "W": 604_800.0, "D": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12,
    "fs": 1e-15, "as": 1e-18,
}  # fmt: skip
"""Seconds of a unit of numpy's, pandas', polars' and Arrow's."""

_EPOCH = dt.date(1970, 1, 1).toordinal()


def seconds(value: dt.date | dt.time | dt.timedelta) -> float:
    """Return a Python time as seconds."""
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=dt.UTC)
        return value.timestamp()
    if isinstance(value, dt.date):
        return (value.toordinal() - _EPOCH) * 86_400.0
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    return value.hour * 3600.0 + value.minute * 60.0 + value.second + value.microsecond * 1e-6


def scaled(ticks: NDArray[Any], unit: str, count: int = 1) -> NDArray[np.float64]:
    """Return whole numbers of a unit as seconds, the same double for the same moment in every unit.

    Division of exact numbers rounds once, multiplication by 1e-3 would round twice. Nanoseconds exceed what a double holds
    exactly, so whole microseconds among them are divided as microseconds.
    """
    per_unit = UNIT_SECONDS[unit]
    if unit == "ns":
        whole, rest = np.divmod(ticks, 1000)
        return np.where(rest == 0, whole * float(count) / 1e6, ticks * float(count) / 1e9)
    numbers = ticks.astype(np.float64) * count
    return numbers * per_unit if per_unit >= 1.0 else numbers / round(1.0 / per_unit)


def array_seconds(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``datetime64`` or ``timedelta64`` of any unit as seconds, NaN for NaT.

    A time span of months or years has no length in seconds; it is infinite, which counts as unseen.
    """
    unit, count = np.datetime_data(values.dtype)
    is_missing = np.isnat(values)
    # Converted, not viewed: the bytes may be in the other order, or not where a whole number would be aligned.
    if unit in UNIT_SECONDS:
        numbers = scaled(values.astype(np.int64), unit, count)
    elif unit in ("Y", "M") and values.dtype.kind == "M":
        numbers = values.astype("M8[s]").astype(np.int64).astype(np.float64)
    else:
        numbers = np.full(values.shape, np.inf)
    numbers[is_missing] = np.nan
    return numbers
