"""Data frames of three libraries from columns of arrays. No library needs another one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]
"""Columns by name: ``datetime64[ns]`` (UTC), ``int64``, ``float64``, or ``object`` for text."""


def _pandas(columns: Columns) -> Any:
    import pandas as pd

    made = {
        name: pd.DatetimeIndex(values).tz_localize("UTC") if values.dtype.kind == "M" else values
        for name, values in columns.items()
    }
    # Text is a column of the library's own dtype for text, where it has one; an array without rows does not show that it is text.
    return pd.DataFrame({name: pd.Series(values, dtype=_text(values)) for name, values in made.items()})


def _text(values: Any) -> Any:
    return str if values.dtype == np.dtype(object) else None


def _polars(columns: Columns) -> Any:
    import polars as pl

    made = []
    for name, values in columns.items():
        if values.dtype.kind == "M":
            counted = pl.Series(name, values.astype(np.int64))
            made.append(counted.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"))
        elif values.dtype == np.dtype(object):
            made.append(pl.Series(name, values.tolist(), dtype=pl.String))
        else:
            made.append(pl.Series(name, values))
    return pl.DataFrame(made)


def _arrow(columns: Columns) -> Any:
    import pyarrow as pa

    made: dict[str, Any] = {}
    for name, values in columns.items():
        if values.dtype.kind == "M":
            made[name] = pa.array(values.astype(np.int64)).cast(pa.timestamp("ns", tz="UTC"))
        elif values.dtype == np.dtype(object):
            made[name] = pa.array(values.tolist(), type=pa.string())
        else:
            made[name] = pa.array(values)
    return pa.table(made)


MAKERS: Mapping[str, Callable[[Columns], Any]] = {"pandas": _pandas, "polars": _polars, "arrow": _arrow}
