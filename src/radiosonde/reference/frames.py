"""Reading training rows: pandas, polars, a mapping of arrays, or Parquet, as batches of two plain column types.

A column becomes `Numbers` (float64, NaN for missing) or `Texts` (integer codes and a vocabulary, -1 for missing),
whatever it was stored as. None of pandas, polars and pyarrow is imported here until a frame of theirs (or a path)
shows that it is there. Parquet is read batch by batch, so the file may exceed memory; other frames are memory already
and are cut into batches without a copy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from radiosonde.errors import ConfigurationError
from radiosonde.model import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Numbers:
    """A numeric column: float64, NaN for missing; *truth* when it was boolean."""

    values: NDArray[np.float64]
    truth: bool = False

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)

    def part(self, start: int, stop: int) -> Numbers:
        """Return some rows, without a copy."""
        return Numbers(self.values[start:stop], self.truth)


@dataclass(frozen=True, slots=True)
class Texts:
    """A text column: per row the index into *vocabulary*, -1 for missing."""

    codes: NDArray[np.int64]
    vocabulary: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    def part(self, start: int, stop: int) -> Texts:
        """Return some rows, without a copy."""
        return Texts(self.codes[start:stop], self.vocabulary)


Column = Numbers | Texts
Batch = dict[str, Column]


class Table(ABC):
    """Rows that can be read more than once, batch by batch.

    Attributes:
        names: column names, in order.
        rows: number of rows.
    """

    names: tuple[str, ...]
    rows: int

    @abstractmethod
    def batches(self, names: Sequence[str]) -> Iterator[Batch]:
        """Yield the named columns in batches of at most `BATCH_ROWS` rows.

        Raises:
            ConfigurationError: a column is neither numbers nor text.
        """


def open_table(frame: Any) -> Table:  # frames of three libraries, a mapping, or a path
    """Return a frame, mapping of arrays or Parquet path as a table.

    Raises:
        ConfigurationError: *frame* is none of these, or the file cannot be read.
    """
    if isinstance(frame, (str, Path)):
        from radiosonde.reference._parquet import ParquetTable

        return ParquetTable(Path(frame))
    if isinstance(frame, Mapping):
        arrays = {str(name): _as_array(values) for name, values in frame.items()}
        lengths = sorted({len(values) for values in arrays.values()})
        if len(lengths) > 1:
            raise ConfigurationError(f"columns have different lengths: {lengths}; give every row every column")
        return MemoryTable({name: _from_array(name, values) for name, values in arrays.items()}, sum(lengths))
    library = type(frame).__module__.partition(".")[0]
    if library == "pandas" and hasattr(frame, "columns"):
        return MemoryTable({str(name): _from_pandas(str(name), frame[name]) for name in frame.columns}, len(frame))
    if library == "polars" and hasattr(frame, "get_columns"):
        return MemoryTable({series.name: _from_polars(series) for series in frame.get_columns()}, frame.height)
    raise ConfigurationError(
        f"cannot fit a reference from {type(frame).__module__}.{type(frame).__qualname__}; give a pandas or polars "
        "DataFrame (call .collect() on a lazy one), a mapping of column name to array, or the path of a Parquet file"
    )


class MemoryTable(Table):
    """Columns that are in memory already."""

    def __init__(self, columns: dict[str, Column | str], rows: int) -> None:
        """Take *columns*; text in place of a column says why it cannot be used, if it is asked for."""
        self._columns = columns
        self.names = tuple(columns)
        self.rows = rows

    def batches(self, names: Sequence[str]) -> Iterator[Batch]:
        """Yield views of the columns."""
        usable: Batch = {}
        for name in names:
            column = self._columns[name]
            if isinstance(column, str):
                raise ConfigurationError(column)
            usable[name] = column
        for start in range(0, self.rows, BATCH_ROWS):
            yield {name: column.part(start, start + BATCH_ROWS) for name, column in usable.items()}


def unusable(name: str, kind: object) -> str:
    """Return the sentence for a column that is neither numbers nor text."""
    return f"column {name!r} is {kind}, neither numbers nor text; convert it, or leave it out with features=[...]"


def _as_array(values: Any) -> NDArray[Any]:
    """Return an array of at least one dimension; lists become objects, because numpy makes text of ["UA", nan]."""
    return np.atleast_1d(np.asarray(values, dtype=None if hasattr(values, "dtype") else object))


def _from_array(name: str, values: NDArray[Any]) -> Column | str:
    if values.ndim != 1:
        return unusable(name, f"an array of shape {values.shape}")
    if values.dtype.kind in "iufb":
        return Numbers(values.astype(np.float64, copy=False), truth=values.dtype.kind == "b")
    if values.dtype.kind in "OUS":
        return _from_objects(values.tolist())
    return unusable(name, values.dtype)


def _from_objects(values: list[Any]) -> Column:
    """Return objects as numbers if all that are present are numbers, else as the text of each."""
    present = [value for value in values if not _is_missing(value)]
    if all(isinstance(value, Number) and not isinstance(value, complex) for value in present):
        truth = bool(present) and all(isinstance(value, (bool, np.bool_)) for value in present)
        return Numbers(np.array([_number(value) for value in values], dtype=np.float64), truth)
    codes: dict[str, int] = {}
    coded = [-1 if _is_missing(value) else codes.setdefault(name_of(value), len(codes)) for value in values]
    return Texts(np.array(coded, dtype=np.int64), tuple(codes))


def _number(value: Any) -> float:  # any number or a missing marker
    return float("nan") if _is_missing(value) else float(value)


def _is_missing(value: Any) -> bool:  # any object a user's frame may hold
    return value is None or type(value).__name__ in {"NAType", "NaTType"} or bool(value != value)  # noqa: PLR0124


def _from_pandas(name: str, series: Any) -> Column | str:  # pandas.Series, imported nowhere
    kind = series.dtype.kind if hasattr(series.dtype, "kind") else "O"
    if kind in "iufb":
        return Numbers(series.to_numpy(dtype=np.float64, na_value=np.nan), truth=kind == "b")
    if kind in "mMc":
        return unusable(name, series.dtype)
    if str(series.dtype) == "category" and series.cat.categories.dtype.kind not in "mMc":
        vocabulary = tuple(name_of(category) for category in series.cat.categories)
        return Texts(series.cat.codes.to_numpy().astype(np.int64), vocabulary)
    return _from_objects(series.to_numpy(dtype=object).tolist())


def _from_polars(series: Any) -> Column | str:  # polars.Series; polars is here if one is
    import polars as pl

    if series.dtype.is_numeric() or series.dtype in (
        pl.Boolean,
        pl.Null,
    ):  # a tuple: polars types are equal without hashing alike
        return Numbers(series.cast(pl.Float64).to_numpy(), truth=series.dtype == pl.Boolean)
    if isinstance(series.dtype, (pl.String, pl.Categorical, pl.Enum, pl.Object)):
        return _from_objects(series.to_list())
    return unusable(series.name, series.dtype)
