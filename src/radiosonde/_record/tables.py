"""Inputs of many rows as tables: the numbers of rows and columns, and any rows of any columns on demand.

Creating a table reads no value. The rows to read are chosen afterwards, from the number of rows, so the work in the caller is proportional
to the rows that are kept (`radiosonde._record.inputs`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde._record.costs import PIECE_ROWS
from radiosonde._record.shapes import Form, column_names, head, recognise
from radiosonde._record.summaries import WIDE_NAMES, summarise
from radiosonde.model.feature_names import feature_names
from radiosonde.model.iteration import items_of
from radiosonde.reference.containers import EVERY, Plain, Rows, part_of, places_of, plain_column

CONVERTED_BYTES = 4 << 20
"""Largest sparse matrix that is converted to rows; a larger one in a format without rows counts without its features."""

EXPANDED_COLUMNS = 16
"""Axes of a column of vectors (columns by name, as tensors come) that are features of their own; longer ones are summarised."""


OBJECT_VALUES = 12
"""Values that cost as much as one object which is neither number nor text (a list, a struct): its conversion raises."""


@dataclass(frozen=True, slots=True)
class InputTable:
    """Many rows.

    Attributes:
        rows: number of rows.
        width: number of columns.
        names: column names; None where columns are identified by position.
        column: returns the kept rows of one column; None where `matrix` is given.
        matrix: returns the kept rows of all columns, a 2-D array or a scipy CSR matrix.
        doubles: the rows themselves, where they are a plain array of doubles, one row after the other.
        slow: columns known to be read value by value; a column of objects counts as `OBJECT_VALUES`.
    """

    rows: int
    width: int
    names: Sequence[str] | None = None
    column: Callable[[int, Rows], Plain] | None = None
    matrix: Callable[[Rows], Any] | None = None
    slow: int = 0
    doubles: NDArray[np.float64] | None = None

    def read(self, place: int, kept: Rows) -> Plain:
        """Return the kept rows of one column."""
        if self.column is None:
            raise ValueError("the columns of a matrix are read together")
        return self.column(place, kept)


def pieces(kept: Rows, rows: int) -> Iterator[tuple[slice, Rows]]:
    """Yield the kept ones of *rows* rows in pieces: where they go, and which they are."""
    chosen = places_of(kept, rows)
    for start in range(0, len(chosen), PIECE_ROWS):
        part = chosen[start : start + PIECE_ROWS]
        yield (
            slice(start, start + len(part)),
            kept
            if len(part) == len(chosen)
            else slice(part.start, part.stop, part.step)
            if isinstance(part, range)
            else part,
        )


def table_of(value: Any, form: Form) -> InputTable | None:
    """Return *value* as a table, None if it is one row or unreadable. Exceptions of the value propagate."""
    if form is Form.FRAME:
        return _of_frame(value)
    if form is Form.SPARSE:
        return _of_sparse(value)
    if form is Form.DMATRIX:
        return _of_dmatrix(value)
    if form is Form.ARRAY:
        return _of_array(value)
    if form is Form.MAPPING and isinstance(value, Mapping):
        return _of_columns(value)
    return None


def _of_frame(value: Any) -> InputTable:
    names = column_names(value) or []
    rows = len(value)
    library = type(value).__module__.partition(".")[0]
    if library == "pandas":
        # By label where that names one column: it takes a tenth of the time.
        labels = list(value.columns) if value.columns.is_unique and value.columns.nlevels == 1 else None
        types = list(value.dtypes)
        slow = sum(
            _weight(head(value.iloc[:, place]))
            for place, kind in enumerate(types)
            if getattr(kind, "kind", "O") == "O" and str(kind) != "category"
        )

        def column(place: int, kept: Rows) -> Plain:
            picked = value.iloc[:, place] if labels is None else value[labels[place]]
            return plain_column(picked, kept)

        return InputTable(rows, len(names), names, column, slow=slow)
    if library == "polars":
        series = value.get_columns()
        slow = sum(
            OBJECT_VALUES if kind.is_nested() else not (kind.is_numeric() or kind.is_temporal())
            for kind in value.dtypes
        )
        return InputTable(rows, len(names), names, lambda place, kept: plain_column(series[place], kept), slow=slow)
    if library == "pyarrow":
        kinds = [str(kind) for kind in value.schema.types]
        slow = sum(_arrow_weight(kind) for kind in kinds)
        return InputTable(
            rows, len(names), names, lambda place, kept: plain_column(value.column(place), kept), slow=slow
        )
    return InputTable(rows, len(names), names, lambda place, kept: plain_column(value[names[place]], kept))


def _weight(items: list[Any]) -> int:
    """Return the cost of one value of a column with these first *items*, in plain values."""
    return OBJECT_VALUES if any(type(item) not in _PLAIN for item in items) else 1


_PLAIN = frozenset({str, float, int, bool, type(None)})


def _arrow_weight(kind: str) -> int:
    if "<" in kind and not kind.startswith("dictionary"):
        return OBJECT_VALUES
    return "string" in kind or "binary" in kind or "<" in kind


def _of_array(value: Any) -> InputTable | None:
    """Return an array of two or more axes, its first one being rows, or a structured one; None for others."""
    shape = getattr(value, "shape", None)
    if shape is None:
        value = part_of(value, EVERY)
        shape = value.shape
    fields = value.dtype.names if isinstance(value, np.ndarray) else None
    if fields:
        flat = value.reshape(-1)
        return InputTable(
            len(flat), len(fields), feature_names(fields), lambda place, kept: _field(flat, fields[place], kept)
        )
    if len(shape) < 2:
        return None
    rows, width = int(shape[0]), int(np.prod([int(axis) for axis in shape[1:]], dtype=np.int64))
    kind = value.dtype.kind if isinstance(value, np.ndarray) else "f"

    def matrix(kept: Rows) -> NDArray[Any]:
        part = part_of(value, kept)
        return part.reshape(len(part), width)

    is_double = type(value) is np.ndarray and value.dtype == np.float64 and value.ndim == 2 and value.flags.c_contiguous
    return InputTable(
        rows, width, matrix=matrix, slow=0 if kind in "fiubmM" else width, doubles=value if is_double else None
    )


def _field(flat: NDArray[Any], name: str, kept: Rows) -> Plain:
    values = flat[name][kept]
    return plain_column(values) if values.ndim == 1 else np.full(len(values), np.inf)


def _of_sparse(value: Any) -> InputTable | None:
    shape = value.shape
    if len(shape) != 2:
        return None
    rows, width = int(shape[0]), int(shape[1])

    def matrix(kept: Rows) -> Any:
        chosen = places_of(kept, rows)
        if len(chosen) == rows:
            return value.tocsr()
        if value.format in ("csr", "lil"):
            return value[kept].tocsr()
        if value.nnz * 16 > CONVERTED_BYTES:
            raise TypeError(f"a sparse matrix in {value.format} format has no rows to select; convert it to CSR")
        return value.tocsr()[kept]

    return InputTable(rows, width, matrix=matrix)


def _of_dmatrix(value: Any) -> InputTable:
    names = getattr(value, "feature_names", None)
    rows, width = int(value.num_row()), int(value.num_col())

    def matrix(kept: Rows) -> Any:
        if "Quantile" in type(value).__name__:
            raise TypeError(
                "a quantised matrix has the bins of its values only; give observe(..., input=) the data that it is of"
            )
        chosen = places_of(kept, rows)
        part = value if len(chosen) == rows else value.slice(list(chosen))
        stored = part.get_data().tocsr()
        # Values that it does not store are missing, not zero.
        dense = np.full((len(chosen), width), np.nan)
        row = np.repeat(np.arange(len(chosen)), np.diff(stored.indptr))
        dense[row, stored.indices] = stored.data
        return dense

    return InputTable(rows, width, feature_names(names) if names else None, matrix=matrix)


def _of_columns(value: Mapping[Any, Any]) -> InputTable | None:
    """Return a mapping whose every value is a column of one length; None for a row by name."""
    lengths = set()
    for column in items_of(value.values()):
        length = column_length(column)
        if length is None:
            return None
        lengths.add(length)
        if len(lengths) > 1:
            return None
    if not lengths:
        return None
    names: list[str] = []
    readers: list[Callable[[Rows], Plain]] = []
    slow = 0
    for name, column in zip(feature_names(value), items_of(value.values()), strict=True):
        shape = getattr(column, "shape", ())
        width = int(np.prod([int(axis) for axis in shape[1:]], dtype=np.int64))
        if width == 1:
            names.append(name)
            readers.append(_column_reader(column) if len(shape) < 2 else _axis_reader(column, 0, 1))
            if isinstance(column, (list, tuple)) or getattr(getattr(column, "dtype", None), "kind", "f") not in "fiub":
                slow += _weight(head(column))
            continue
        if width <= EXPANDED_COLUMNS:
            names += [f"{name}[{place}]" for place in range(width)]
            readers += [_axis_reader(column, place, width) for place in range(width)]
        else:
            names += [name + summary.removeprefix("row") for summary in WIDE_NAMES]
            readers += _summary_readers(column, width)
    return InputTable(lengths.pop(), len(names), names, lambda place, kept: readers[place](kept), slow=slow)


def _column_reader(column: Any) -> Callable[[Rows], Plain]:
    return lambda kept: plain_column(column, kept)


def _axis_reader(column: Any, place: int, width: int) -> Callable[[Rows], Plain]:
    def read(kept: Rows) -> Plain:
        part = part_of(column, kept)
        return plain_column(part.reshape(len(part), width)[:, place])

    return read


def _summary_readers(column: Any, width: int) -> list[Callable[[Rows], Plain]]:
    made: list[tuple[Rows, NDArray[np.float64]]] = []  # the last summary: callers request one column after the other

    def reader(place: int) -> Callable[[Rows], Plain]:
        def read(kept: Rows) -> Plain:
            if not made or made[0][0] is not kept:
                part = part_of(column, kept)
                made[:] = [(kept, summarise(part.reshape(len(part), width)))]
            return made[0][1][:, place]

        return read

    return [reader(place) for place in range(len(WIDE_NAMES))]


def column_length(column: Any) -> int | None:
    """Return the number of rows of a value that may be a column; None for a scalar, a text, or a value without a length."""
    if isinstance(column, (str, bytes, bytearray, Mapping)) or column is None:
        return None
    shape = getattr(column, "shape", None)
    if isinstance(shape, (tuple, list)):
        return int(shape[0]) if len(shape) else None
    form = recognise(column)
    return len(column) if form in (Form.SEQUENCE, Form.SERIES, Form.ARRAY) else None
