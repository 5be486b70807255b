"""Decodes columns of JSON documents: one numpy pass per field over thousands of windows.

DuckDB parses the texts into Arrow columns, strictly: a missing field, a value of another type or a damaged document raises. Each shape of
`radiosonde.model.fields.Stored` that a window of a model may have is then decoded for all rows at once. The values of a row are views of the
tables of the whole batch. They equal those that `radiosonde.store.documents.GroupReader` decodes row by row
(`tests/laws/test_reader_laws.py`). Anything unusual raises `UnusualError`, and the caller reads those rows one by one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radiosonde.model.fields import BUCKETS, TEXT, DeclaredField, Stored, axis_size, naming
from radiosonde.store.documents import ColumnDocument, FieldLocation, places
from radiosonde.store.rows import PACKED_COLUMNS, unpacked
from radiosonde.store.shapes import CASTS, SHAPES, Plain, Shape

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Values = dict[str, list[Any]]
"""Values of the fields of a group that were decoded before, one per row."""

_SQL_TYPES = {"int64": "BIGINT", "double": "DOUBLE", "string": "VARCHAR", "bool": "BOOLEAN", "uint64": "UBIGINT"}


class UnusualError(Exception):
    """These documents cannot be decoded together; internal, never leaves `radiosonde.sources`."""


def parse(connection: duckdb.DuckDBPyConnection, column: str, texts: Sequence[str]) -> pa.Array:
    """Return the documents *texts* of *column* as an Arrow array.

    Raises:
        UnusualError: one of them is not as this version writes it.
    """
    import duckdb
    import pyarrow as pa

    # From buffers: `pa.array` on a list of texts imports pandas, which takes a second.
    whole = "".join(texts)
    sizes = map(len, texts if whole.isascii() else [text.encode() for text in texts])
    offsets = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(sizes, np.int64, len(texts)), out=offsets[1:])
    documents = pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(whole.encode()))
    connection.register("documents", pa.table({"document": documents}))
    try:
        query = f"SELECT json_transform_strict(document, '{_structure(column)}') AS document FROM documents"  # noqa: S608
        parsed = connection.sql(query).to_arrow_table().column("document").combine_chunks()
    except duckdb.Error as error:
        raise UnusualError(column) from error
    finally:
        connection.unregister("documents")
    if parsed.null_count:
        raise UnusualError(column)
    return parsed


@cache
def _structure(column: str) -> str:
    """Return the structure of the documents of *column*, as DuckDB's JSON functions take it."""
    (held, *_) = [place for place in places() if place.column == column]
    if held.path:
        return json.dumps(_described(ColumnDocument(column).type()))
    (kind,) = Plain(held.kind, held.field, column).types().values()
    return json.dumps(_described(kind))


def _described(kind: pa.DataType) -> Any:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return {field.name: _described(field.type) for field in kind}
    if pa.types.is_list(kind):
        return [_described(kind.value_type)]
    return _sql_type(kind)


def _sql_type(kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_map(kind):
        return f"MAP(VARCHAR, {_sql_type(kind.item_type)})"
    return f"{_sql_type(kind.value_type)}[]" if pa.types.is_list(kind) else _SQL_TYPES[str(kind)]


def field_values(place: FieldLocation, columns: Mapping[str, Any], values: Values, count: int) -> list[Any]:
    """Return the values of one field, one per row.

    Args:
        place: the field.
        columns: by column name: an Arrow array of documents (`parse`), or a list of cells.
        values: the fields of the same group that come before.
        count: number of rows.

    Raises:
        UnusualError: some rows are not as this version writes them.
    """
    column = columns[place.column]
    if place.column in PACKED_COLUMNS:
        return _unpacked(place, column, values)
    if isinstance(column, list):
        return _cells(place.field, column)
    for name in place.path[:-1]:
        column = _whole(column.field(name))
    decode = _DECODERS.get(place.field.stored, _one_by_one)
    found = decode(_Column(place, column, values, count))
    if len(found) != count:
        raise UnusualError(place.field.name)
    return found


def _cells(field: DeclaredField, column: list[Any]) -> list[Any]:
    cast = CASTS.get(field.dtype, int)
    return [_default(field) if cell is None else cast(cell) for cell in column]


def _unpacked(place: FieldLocation, column: list[Any], values: Values) -> list[Any]:
    """Return the values of a field in packed documents, which are rare or not read at all."""
    shape, field = SHAPES[place.field.stored](place.kind, place.field, place.path[-1]), place.field
    found = []
    for row, cell in enumerate(column):
        document = None if cell is None else json.loads(unpacked(cell))
        if document is None or document.get(shape.name) is None:
            if field.default is None or (document is not None and field.formerly):
                raise UnusualError(field.name)
            found.append(field.default())
        else:
            found.append(shape.read(document, {name: each[row] for name, each in values.items()}))
    return found


class _Column:
    """One field in the documents of many rows.

    Args:
        place: the field.
        document: the struct that holds it, or the value itself for a column that is one value.
        values: the fields before.
        count: number of rows.
    """

    def __init__(self, place: FieldLocation, document: pa.Array, values: Values, count: int) -> None:
        self.place, self.document, self.values, self.count = place, document, values, count
        self.field, self.kind = place.field, place.kind

    def found(self) -> pa.Array:
        """Return the array of the field; it may hold nulls."""
        return self.document.field(self.place.path[-1]) if self.place.path else self.document

    def whole(self) -> pa.Array:
        """Return the array of the field, without nulls."""
        return _whole(self.found())

    def first_buckets(self, struct: pa.Array | None = None) -> NDArray[np.int64]:
        """Return the first bucket of each row's trimmed tables."""
        buckets = BUCKETS[self.field.axes[-1]]
        document = self.document if struct is None else struct
        scales, offsets = (_numbers(document.field(name)) for name in ("scale", "offset"))
        if (scales != buckets.scale).any():
            raise UnusualError(self.field.name)
        return np.asarray(offsets - buckets.offset)

    def sizes(self, axis: str) -> NDArray[np.int64]:
        """Return the size of *axis* in each row."""
        size, name = axis_size(self.kind, axis), naming(self.kind, axis)
        if name is None:
            return np.full(self.count, size({}))
        return np.fromiter((size({name: each}) for each in self.values[name]), np.int64, self.count)


def _plain(column: _Column) -> list[Any]:
    field, found = column.field, column.whole()
    if field.keys:
        return _mappings(found, lambda items: _numbers(items).tolist())
    if not field.axes:
        listed: list[Any] = found.to_pylist() if field.dtype == TEXT else _numbers(found).tolist()
        return listed
    if field.is_tuple:
        return _tuples(found)
    flat, offsets = _flat(found)
    if len(field.axes) == 1:
        return _cut(flat, offsets)
    shapes = np.stack([column.sizes(axis) for axis in field.axes], axis=1)
    if (shapes.prod(axis=1) != np.diff(offsets)).any():
        raise UnusualError(field.name)
    return _cut(flat, offsets, shapes)


def _trimmed(column: _Column) -> list[Any]:
    if len(column.field.axes) > 1:
        return _one_by_one(column)
    flat, offsets = _flat(column.whole())
    return list(_untrimmed(flat, offsets, column.first_buckets(), column.field))


def _row_names(column: _Column) -> list[Any]:
    keys, offsets = _map_keys(column.whole())
    return _tuples_of(keys, offsets)


def _rows(column: _Column) -> list[Any]:
    found = column.whole()
    _, offsets = _map_keys(found)
    flat, ends = _flat(found.items)
    first = np.repeat(column.first_buckets(), np.diff(offsets))
    return _cut_rows(_untrimmed(flat, ends, first, column.field), offsets)


def _own_span(column: _Column) -> list[Any]:
    found = column.found()
    present = _numbers(found.is_valid())
    whole = found.filter(found.is_valid()) if found.null_count else found
    lists = _whole(whole.field("counts"))
    outer = _offsets(lists)
    flat, ends = _flat(_whole(lists.flatten()))
    (axis,) = column.field.axes[:-1]
    if (np.diff(outer) != column.sizes(axis)[present]).any():
        raise UnusualError(column.field.name)
    first = np.repeat(column.first_buckets(whole), np.diff(outer))
    tables = iter(_cut_rows(_untrimmed(flat, ends, first, column.field), outer))
    return [next(tables) if held else _default(column.field) for held in present.tolist()]


def _pairs(column: _Column) -> list[Any]:
    found = column.whole()
    offsets, entries = _offsets(found), _whole(found.flatten())
    names = [_texts(entries.field(key)) for key in column.field.keys]
    keys, rows = list(zip(*names, strict=True)), _numbers(entries.field("rows")).tolist()
    return [dict(zip(keys[start:end], rows[start:end], strict=True)) for start, end in pairwise(offsets.tolist())]


def _lines(column: _Column) -> list[Any]:
    """Return tables by several names: a new one begins where the row or the names change."""
    field, found = column.field, column.whole()
    offsets, lines = _offsets(found), _whole(found.flatten())
    if not len(lines):
        return [{} for _ in range(column.count)]
    codes, texts = zip(*[_coded(lines.field(key)) for key in field.keys], strict=True)
    row = np.repeat(np.arange(column.count), np.diff(offsets))
    changes = np.ones(row.size, dtype=bool)
    changes[1:] = (row[1:] != row[:-1]) | np.any([code[1:] != code[:-1] for code in codes], axis=0)
    first = np.flatnonzero(changes)
    shape = [axis_size(column.kind, axis)({}) for axis in field.axes]
    tables = np.zeros((first.size, *shape), dtype=field.dtype)
    places = _numbers(lines.field("bin"))
    if ((places < 0) | (places >= shape[0])).any():
        raise UnusualError(field.name)
    moments = [_numbers(lines.field(moment)) for moment in field.moments]
    tables[np.cumsum(changes) - 1, places] = np.stack(moments, axis=-1)
    keys = list(
        zip(*[[texts[at][code] for code in codes[at][first].tolist()] for at in range(len(codes))], strict=True)
    )
    ends = np.searchsorted(row[first], np.arange(column.count + 1)).tolist()
    by_row = [dict(zip(keys[start:end], tables[start:end], strict=True)) for start, end in pairwise(ends)]
    if sum(map(len, by_row)) != first.size:  # names of one row that come back later
        raise UnusualError(field.name)
    return by_row


def _moments(column: _Column) -> list[Any]:
    found = column.whole()
    flat, offsets = zip(*[_flat(_whole(found.field(moment))) for moment in column.field.moments], strict=True)
    if any((each != offsets[0]).any() for each in offsets[1:]):
        raise UnusualError(column.field.name)
    return _cut_rows(np.stack(flat, axis=-1), offsets[0])


def _one_by_one(column: _Column) -> list[Any]:
    """Return the values of a shape that is rare, or nearly always empty."""
    shape: Shape = SHAPES[column.field.stored](column.kind, column.field, column.place.path[-1])
    whole: list[dict[str, Any]] = _whole(column.document).to_pylist()
    return [
        shape.read(document, {name: each[row] for name, each in column.values.items()})
        for row, document in enumerate(whole)
    ]


def _exemplars(column: _Column) -> list[Any]:
    found = column.whole()
    if not len(found.flatten()):
        return [{} for _ in range(column.count)]
    shape = SHAPES[Stored.EXEMPLARS](column.kind, column.field, column.place.path[-1])
    return [shape.read({shape.name: entries}, {}) for entries in found.to_pylist()]


_DECODERS: Mapping[Stored, Callable[[_Column], list[Any]]] = {
    Stored.PLAIN: _plain,
    Stored.TRIMMED: _trimmed,
    Stored.KEYS: _row_names,
    Stored.ROWS: _rows,
    Stored.SPAN: _own_span,
    Stored.PAIRS: _pairs,
    Stored.LINES: _lines,
    Stored.COLUMNS: _moments,
    Stored.EXEMPLARS: _exemplars,
}
"""Shapes decoded for all rows at once."""


def _default(field: DeclaredField) -> Any:
    if field.formerly or field.absent is not None or field.default is None:
        raise UnusualError(field.name)  # its value depends on others, or the store is damaged
    return field.default()


def _whole(array: pa.Array) -> pa.Array:
    if array.null_count:
        raise UnusualError(str(array.type))
    return array


def _numbers(array: pa.Array) -> NDArray[Any]:
    """Return the numbers or truth values of *array* from its buffer: `to_numpy` imports pandas where it is installed, 40 MiB and most of a second."""
    import pyarrow as pa

    size, first, buffer = len(array), array.offset, _whole(array).buffers()[1]
    if not size:
        return np.zeros(0, dtype=array.type.to_pandas_dtype())
    if pa.types.is_boolean(array.type):
        bits = np.unpackbits(np.frombuffer(buffer, dtype=np.uint8), count=first + size, bitorder="little")
        return np.asarray(bits[first:].view(bool))
    dtype = np.dtype(array.type.to_pandas_dtype())
    return np.frombuffer(buffer, dtype=dtype, count=size, offset=first * dtype.itemsize)


def _offsets(array: pa.Array) -> NDArray[np.int64]:
    """Return where each list of *array* begins in `flatten`, and the end."""
    offsets = _numbers(array.offsets).astype(np.int64)
    return np.asarray(offsets - offsets[0])


def _flat(array: pa.Array) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return all numbers of a list array and the offsets of its rows; lists in lists come out as one row."""
    import pyarrow as pa

    offsets, values = _offsets(_whole(array)), _whole(array.flatten())
    while pa.types.is_list(values.type):
        offsets, values = _offsets(values)[offsets], _whole(values.flatten())
    return _numbers(values), offsets


def _map_keys(array: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    offsets = _numbers(array.offsets).astype(np.int64)
    if offsets[0] or offsets[-1] != len(array.keys):
        raise UnusualError("map")
    return array.keys, offsets


def _mappings(array: pa.Array, items_of: Callable[[pa.Array], list[Any]]) -> list[Any]:
    keys, offsets = _map_keys(array)
    if not len(keys):
        return [{} for _ in range(len(array))]
    names, items = _texts(keys), items_of(array.items)
    return [dict(zip(names[start:end], items[start:end], strict=True)) for start, end in pairwise(offsets.tolist())]


def _texts(array: pa.Array) -> list[str]:
    codes, texts = _coded(array)
    return [texts[code] for code in codes.tolist()]


def _coded(array: pa.Array) -> tuple[NDArray[np.int64], list[str]]:
    """Return each text of *array* as a number, and the texts by number."""
    coded = _whole(array).dictionary_encode()
    return _numbers(coded.indices).astype(np.int64), coded.dictionary.to_pylist()


def _tuples(array: pa.Array) -> list[Any]:
    import pyarrow as pa

    offsets, values = _offsets(array), _whole(array.flatten())
    return _tuples_of(values, offsets) if pa.types.is_string(values.type) else _same(_numbers(values), offsets, None)


def _tuples_of(texts: pa.Array, offsets: NDArray[np.int64]) -> list[Any]:
    codes, names = _coded(texts)
    return _same(codes, offsets, names)


def _same(flat: NDArray[Any], offsets: NDArray[np.int64], names: Sequence[str] | None) -> list[Any]:
    """Return the tuple of each row, of names where *flat* holds their numbers; equal rows share one."""
    made: dict[bytes, tuple[Any, ...]] = {}
    raw, size = flat.tobytes(), flat.itemsize
    found = []
    for start, end in pairwise(offsets.tolist()):
        key = raw[start * size : end * size]
        row = made.get(key)
        if row is None:
            listed = flat[start:end].tolist()
            row = made[key] = tuple(listed if names is None else [names[code] for code in listed])
        found.append(row)
    return found


def _cut(flat: NDArray[Any], offsets: NDArray[np.int64], shapes: NDArray[np.int64] | None = None) -> list[Any]:
    """Return the part of each row, with its shape."""
    if shapes is None:
        shapes = np.diff(offsets)[:, None]
    if not len(shapes):
        return []
    if (shapes == shapes[0]).all():
        return list(flat.reshape(len(shapes), *shapes[0].tolist()))
    return [
        flat[start:end].reshape(shape)
        for (start, end), shape in zip(pairwise(offsets.tolist()), shapes.tolist(), strict=True)
    ]


def _cut_rows(tables: NDArray[Any], offsets: NDArray[np.int64]) -> list[Any]:
    """Return lines ``offsets[i]`` to ``offsets[i + 1]`` of *tables* for each i."""
    sizes: Iterable[int] = np.unique(np.diff(offsets)).tolist()
    match list(sizes):
        case []:
            return []
        case [size]:
            return list(tables.reshape(offsets.size - 1, size, *tables.shape[1:]))
    return [tables[start:end] for start, end in pairwise(offsets.tolist())]


def _untrimmed(
    flat: NDArray[Any], offsets: NDArray[np.int64], first: NDArray[np.int64], field: DeclaredField
) -> NDArray[Any]:
    """Return one line per part of *flat*, with the buckets that were left out.

    Args:
        flat: occupied buckets of all lines.
        offsets: where each line begins, and the end.
        first: the first bucket of each line.
        field: whose last axis is the buckets.
    """
    size, lengths = BUCKETS[field.axes[-1]].size, np.diff(offsets)
    if ((first < 0) | (first + lengths > size)).any():
        raise UnusualError(field.name)
    lines = np.zeros((lengths.size, size), dtype=field.dtype)
    start = np.arange(lengths.size) * size + first - offsets[:-1]
    lines.reshape(-1)[np.arange(flat.size) + np.repeat(start, lengths)] = flat
    return lines
