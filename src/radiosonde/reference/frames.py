"""Reading training rows: pandas, polars, a mapping of arrays, or Parquet, as batches of two plain column types.

A column becomes `Numbers` (float64, NaN for missing) or `Texts` (integer codes and a vocabulary, -1 for missing),
from any storage type. pandas, polars and pyarrow are imported only for one of their frames (or a path). Parquet is read batch by batch, so
the file may exceed memory; other frames are memory already
and are cut into batches without a copy.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from radiosonde.errors import ConfigurationError
from radiosonde.model import name_of
from radiosonde.model.feature_names import feature_names, number_text
from radiosonde.reference.containers import Coded, plain_column
from radiosonde.reference.values import plain

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


class ReferenceTable(ABC):
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


def open_table(frame: Any) -> ReferenceTable:  # frames of three libraries, a mapping, or a path
    """Return a frame, mapping of arrays or Parquet path as a table.

    Raises:
        ConfigurationError: *frame* is none of these, or the file cannot be read.
    """
    if isinstance(frame, (str, Path)):
        from radiosonde.reference._parquet import ParquetTable

        return ParquetTable(Path(frame))
    if isinstance(frame, Mapping):
        columns = dict(zip(feature_names(frame), frame.values(), strict=True))
        arrays = {name: values if hasattr(values, "__len__") else [values] for name, values in columns.items()}
        lengths = sorted({len(values) for values in arrays.values()})
        if len(lengths) > 1:
            raise ConfigurationError(
                f"columns have different lengths: {lengths}; pass one value per row in every column"
            )
        return MemoryTable({name: from_any(name, values) for name, values in arrays.items()}, sum(lengths))
    library = type(frame).__module__.partition(".")[0]
    if library == "pandas" and hasattr(frame, "columns"):
        names = feature_names(frame.columns)
        return MemoryTable({name: from_any(name, frame.iloc[:, place]) for place, name in enumerate(names)}, len(frame))
    if library == "polars" and hasattr(frame, "get_columns"):
        return MemoryTable({series.name: from_any(series.name, series) for series in frame.get_columns()}, frame.height)
    raise ConfigurationError(
        f"cannot fit a reference from {type(frame).__module__}.{type(frame).__qualname__}; give a pandas or polars "
        "DataFrame (call .collect() on a lazy one), a mapping of column name to array, or the path of a Parquet file"
    )


class MemoryTable(ReferenceTable):
    """Columns that are in memory already."""

    def __init__(self, columns: dict[str, Column | str], rows: int) -> None:
        """Use *columns*; text in place of a column is the reason why it cannot be used, raised on access."""
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
    return f"column {name!r} is {kind}, neither numbers nor text; convert it, or exclude it with features=[...]"


def from_any(name: str, values: Any) -> Column | str:  # a column of any library
    """Return a column as numbers or texts by the same rules as in production; text is the reason why it is neither.

    A categorical column of pandas has categories of any type; any other is numeric unless it contains text.
    """
    if len(getattr(values, "shape", (1,))) != 1:
        return unusable(name, f"an array of shape {values.shape}")
    column = plain_column(values)
    if isinstance(column, Coded):
        return from_codes(column)
    if isinstance(column, list):
        if set(map(type, column)) <= {str, type(None)}:  # the usual case: each text is read once
            texts = list(dict.fromkeys(column))
            places = {text: place for place, text in enumerate(texts)}
            return from_codes(Coded(texts, np.fromiter(map(places.__getitem__, column), dtype=np.intp)))
        found = [plain(value) for value in column]
        if any(isinstance(value, str) for value in found):
            return _from_plain(found)
        numbers = np.array(found, dtype=np.float64)
        present = [value for value in column if value is not None]
        truth = bool(present) and all(isinstance(value, (bool, np.bool_)) for value in present)
    else:
        numbers, truth = column, is_truth(values)
    kind = getattr(values, "dtype", getattr(values, "type", type(values).__name__))
    if (
        len(numbers) and np.isinf(numbers).all() and getattr(kind, "kind", "") != "f"
    ):  # infinite also marks values that are not numbers
        return unusable(name, kind)
    return Numbers(numbers, truth)


def is_truth(values: Any) -> bool:
    """Return whether the type of a column of any library is boolean."""
    kind = getattr(values, "dtype", getattr(values, "type", None))
    return getattr(kind, "kind", "") == "b" or str(kind).lower() in {"bool", "boolean"}


def from_codes(column: Coded) -> Texts:
    """Return coded values as categories; values with the same name are merged."""
    codes: dict[str, int] = {}
    table = [
        -1 if (text := _category(plain(value))) is None else codes.setdefault(text, len(codes))
        for value in column.values
    ]
    return Texts(np.array([*table, -1], dtype=np.int64)[column.codes], tuple(codes))


def _from_plain(values: Sequence[float | str]) -> Texts:
    codes: dict[str, int] = {}
    coded = [-1 if (text := _category(value)) is None else codes.setdefault(text, len(codes)) for value in values]
    return Texts(np.array(coded, dtype=np.int64), tuple(codes))


def _category(value: float | str) -> str | None:
    """Return the category of a value; None for a missing one and one that is none."""
    if isinstance(value, str):
        return name_of(value)
    return number_text(value) if math.isfinite(value) else None
