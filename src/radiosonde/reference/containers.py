"""One column of a table of any library as plain values: numbers, coded values, or a list to be read value by value.

Only the rows to keep are read: the library selects them first, so the cost of a frame of a million rows is that of the rows copied into the
arena. Types are identified by name, and a library is imported only for values of its types.
"""

from __future__ import annotations

import array
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import compress, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radiosonde.model.iteration import items_of
from radiosonde.model.names import LONGEST_NAME
from radiosonde.model.times import array_seconds, scaled
from radiosonde.reference.values import is_masked

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Coded:
    """A column that names its values by code.

    Attributes:
        values: values of the codes.
        codes: per row an index into *values*, -1 for missing.
    """

    values: list[Any]
    codes: NDArray[np.intp]


Plain = NDArray[np.float64] | Coded | list[Any]
"""Numbers (NaN missing, infinite invalid), coded values, or values to be read one by one."""

Rows = slice | NDArray[np.intp]
"""Rows of a container: a slice, or ascending places."""

EVERY = slice(None)

PIECE_ROWS = 4096
"""Rows whose values are made objects at a time."""

MOST_SHARED = 4096
"""Different texts of a column beyond which they are ids, and no text comes twice."""


def plain_column(column: Any, kept: Rows = EVERY) -> Plain:
    """Return the kept rows of a column. Exceptions of the library propagate."""
    if isinstance(column, np.ndarray):
        return _of_array(column[kept])
    library = type(column).__module__.partition(".")[0]
    if library == "pandas":
        return _of_pandas(column, kept)
    if library == "polars":
        return _of_polars(column, kept)
    if library == "pyarrow":
        return _of_arrow(column, kept)
    if isinstance(column, Sequence) and not isinstance(column, (array.array, memoryview)):
        return list(items_of(cut(column, kept)))
    return _of_array(part_of(column, kept))


def cut(values: Sequence[Any], kept: Rows) -> Sequence[Any]:
    """Return some items of a sequence, also of one that takes no slices (`collections.deque`)."""
    if not isinstance(kept, slice):
        found: Sequence[Any] = _items_at(values, kept)
        return found
    try:
        return values[kept]
    except Exception:  # noqa: BLE001 - a caller's sequence may raise anything; its items are then read one by one
        rows = kept.indices(len(values))
        # Indexing a deque in the middle is slow; of a caller's own sequence only the kept items are read.
        return list(islice(values, *rows)) if isinstance(values, deque) else [values[place] for place in range(*rows)]


def _items_at(values: Any, places: NDArray[np.intp]) -> Any:
    """Return the items at ascending *places*, of a container without places in one pass."""
    if isinstance(values, np.ndarray):
        return rows_of(values, places)
    own = getattr(type(values), "items_at", None)  # of `radiosonde._record.row_sequences`
    if own is not None:
        return own(values, places)
    if hasattr(type(values), "iloc"):  # a series, whose own brackets take labels
        return values.iloc[places]
    if isinstance(values, deque):  # indexing it in the middle is slow
        return passed_at(values, places)
    return [values[place] for place in places.tolist()]


def passed_at(items: Collection[Any], places: NDArray[np.intp]) -> list[Any]:
    """Return the items at ascending *places* of a collection that is iterated once."""
    wanted = np.zeros(len(items), dtype=np.bool_)
    wanted[places] = True
    return list(compress(items_of(items), wanted.tolist()))


def rows_of(array: NDArray[Any], kept: Rows) -> NDArray[Any]:
    """Return the kept rows of an array. Taking rows at valid places costs a third of indexing by them (benchmark ``batch-caller``)."""
    if isinstance(kept, slice) or type(array) is not np.ndarray or not array.flags.c_contiguous:
        return array[kept]  # `take` copies the whole of an array in another order first
    return array.take(kept, axis=0, mode="clip")


def part_of(value: Any, kept: Rows) -> NDArray[Any]:
    """Return the kept rows of an array of any library; tensors are detached, and brought to the CPU after they are cut."""
    if kept is not EVERY and (isinstance(value, np.ndarray) or hasattr(type(value), "__getitem__")):
        try:
            value, kept = rows_of(value, kept) if isinstance(value, np.ndarray) else value[kept], EVERY
        except Exception:
            if isinstance(kept, slice):
                raise
    if hasattr(value, "detach"):
        value = value.detach()
        if hasattr(value, "cpu"):
            value = value.cpu()
        if str(getattr(value, "dtype", "")).startswith(("torch.bfloat16", "torch.float8")):  # numpy has none
            value = value.float()
        value = value.numpy()
    array = value if isinstance(value, np.ndarray) else np.asarray(value)
    return array if kept is EVERY else array[kept]


def places_of(kept: Rows, rows: int) -> range | NDArray[np.intp]:
    """Return the places of the kept ones of *rows* rows."""
    return range(*kept.indices(rows)) if isinstance(kept, slice) else kept


def with_doubles(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers of types that Python and numpy have no arithmetic of their own for as doubles; other arrays as they are.

    Such are numpy's long doubles, whose items do not become Python's floats, and what JAX and ``ml_dtypes`` add (bfloat16, float8).
    """
    kind = values.dtype
    is_added = kind.kind == "V" and kind.names is None and not issubclass(kind.type, np.void)
    if is_added or kind.char == "g":
        with np.errstate(all="ignore"):
            return values.astype(np.float64)
    return values


def _of_array(values: NDArray[Any]) -> Plain:
    values = with_doubles(values)
    if is_masked(values):
        mask = np.ma.getmaskarray(values)
        found = _of_array(np.ma.getdata(values))
        if isinstance(found, np.ndarray):
            found = found.astype(np.float64)  # never the caller's own
            found[mask] = np.nan
            return found
        return [None if gone else value for value, gone in zip(found, mask.tolist(), strict=True)]  # type: ignore[arg-type]
    kind = values.dtype.kind
    if kind in "fiub":
        with np.errstate(all="ignore"):
            return values.astype(np.float64)
    if kind in "mM":
        return array_seconds(values)
    if kind == "S":
        return [value[: 4 * LONGEST_NAME].decode(errors="replace") for value in values.tolist()]
    if kind in "OUT":
        return values.tolist()  # type: ignore[no-any-return]
    return np.full(len(values), np.inf)  # complex numbers, records, raw bytes


def _of_pandas(column: pd.Series[Any] | pd.Index[Any], kept: Rows) -> Plain:
    import pandas as pd

    kind = column.dtype
    series = column.iloc[kept] if isinstance(column, pd.Series) else pd.Series(column[kept])
    if isinstance(kind, np.dtype):
        return _of_array(series.to_numpy())
    if isinstance(kind, pd.CategoricalDtype):
        categories, codes = kind.categories, series.cat.codes.to_numpy().astype(np.intp)
        if len(categories) > MOST_SHARED:  # only those in use: there may be as many as rows
            used, codes = np.unique(codes, return_inverse=True)
            is_missing = len(used) > 0 and used[0] < 0
            categories, codes = categories[used[int(is_missing) :]], codes.reshape(-1) - int(is_missing)
        plain = plain_column(pd.Series(categories))
        return Coded(plain if isinstance(plain, list) else _listed(plain), codes)
    if isinstance(kind, pd.ArrowDtype):
        return _of_arrow(series.array.__arrow_array__(), EVERY)
    if isinstance(kind, pd.DatetimeTZDtype):
        return array_seconds(series.dt.tz_convert(None).to_numpy())
    if isinstance(kind, pd.PeriodDtype):
        return array_seconds(np.asarray(series.dt.to_timestamp()))
    if isinstance(kind, pd.SparseDtype):
        return _of_array(np.asarray(series.sparse.to_dense()))
    if getattr(kind, "kind", "O") in "fiub":  # nullable Int64, Float64, boolean
        return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))
    return series.to_numpy(dtype=object).tolist()  # type: ignore[no-any-return]


def _of_polars(column: pl.Series, kept: Rows) -> Plain:
    import polars as pl

    if not isinstance(kept, slice):
        column = column.gather(kept)
    elif kept is not EVERY:
        start, stop, step = kept.indices(len(column))
        column = column.slice(start, max(0, stop - start)).gather_every(step)
    kind: Any = column.dtype
    if kind.is_numeric() or kind in (pl.Boolean, pl.Null):
        return column.cast(pl.Float64).to_numpy()
    if kind.is_temporal():
        ticks = column.to_physical()
        unit = {"Date": "D", "Time": "ns"}.get(type(kind).__name__) or kind.time_unit
        is_missing = ticks.is_null().to_numpy()
        numbers = scaled(ticks.fill_null(0).to_numpy(), unit)
        numbers[is_missing] = np.nan
        return numbers
    if isinstance(kind, (pl.Categorical, pl.Enum)):
        column = column.cast(pl.String)
    return _sharing_texts(len(column), lambda start: column.slice(start, PIECE_ROWS).to_list())


def _of_arrow(column: pa.ChunkedArray[Any] | pa.Array[Any], kept: Rows) -> Plain:
    import pyarrow as pa

    if kept is not EVERY:
        rows = places_of(kept, len(column))
        is_slice = isinstance(rows, range) and rows.step == 1
        try:
            column = (
                column.slice(rows[0], len(rows))
                if is_slice and rows
                else column.take(pa.array(np.asarray(rows, dtype=np.int64)))
            )
        except pa.ArrowNotImplementedError:  # a type without a kernel for it, such as views
            return [column[row].as_py() for row in np.asarray(rows).tolist()]
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # some versions return chunks for large columns
            column = pa.concat_arrays(column.chunks)
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":  # its storage is 16 bytes, which are no text
            return list(column.to_pylist())
        return _of_arrow(column.storage, EVERY)
    if pa.types.is_run_end_encoded(kind):
        import pyarrow.compute

        return _of_arrow(pyarrow.compute.run_end_decode(column), EVERY)
    if pa.types.is_dictionary(kind):
        return _of_arrow(column.dictionary_decode(), EVERY)
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    if (
        pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
    ):
        return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
    unit = _arrow_unit(kind)
    if unit:
        ticks = column.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
        numbers = scaled(ticks.fill_null(0).to_numpy(zero_copy_only=False), unit)
        numbers[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
        return numbers
    return _sharing_texts(len(column), lambda start: column.slice(start, PIECE_ROWS).to_pylist())


def _sharing_texts(rows: int, piece: Callable[[int], list[Any]]) -> list[Any]:
    """Return the values of a column, equal texts as one object.

    Columns in native memory make an object of each value, 64 bytes for a short text: 8 MiB of 131 000 rows, of which a few are
    different.

    Args:
        rows: number of rows.
        piece: returns `PIECE_ROWS` values from a row on.
    """
    shared: dict[str, str] = {}
    share = shared.setdefault
    found: list[Any] = []
    for start in range(0, rows, PIECE_ROWS):
        values = piece(start)
        if len(shared) < MOST_SHARED:
            values = [share(value, value) if type(value) is str else value for value in values]
        found += values
    return found


def _arrow_unit(kind: Any) -> str:
    """Return the unit of a temporal type of Arrow's as numpy calls it, ``""`` for other types."""
    import pyarrow as pa

    if pa.types.is_date32(kind):
        return "D"
    if pa.types.is_date64(kind):
        return "ms"
    is_temporal = pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_time(kind)
    return str(kind.unit) if is_temporal else ""


def _listed(values: NDArray[np.float64] | Coded) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else values.values
