"""The shapes in which fields of a window lie in documents, written and read without losing a bit.

A document holds only types that both carriers support: in SQLite it is JSON text, in Parquet a struct with the same field names, so
``latency.counts`` is valid in both. Each `Stored` has a class here that implements both directions and the type
of the column; which field has which shape is declared with the field (`radiosonde.model.fields`).

Reading takes lists or numpy arrays alike: the SQLite side hands over parsed JSON, the Parquet side slices of columns. Floats
may be the text of a number that is not finite, which is how JSON carries it (`radiosonde.store.rows.to_json`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radiosonde.errors import StoreError
from radiosonde.model import Exemplar
from radiosonde.model.addition import cells_width
from radiosonde.model.fields import BUCKETS, FLOAT, INT, TEXT, UINT, DeclaredField, Stored, axis_size, naming
from radiosonde.model.fingerprints import WORD

if TYPE_CHECKING:
    import pyarrow as pa

Document = Mapping[str, Any]
Target = dict[str, Any]
Span = tuple[int, int]
"""First and end bucket of a document's trimmed tables."""

CASTS: Mapping[str, Callable[[Any], Any]] = {
    INT: int,
    UINT: lambda word: int(word) % WORD,  # SQLite holds it as a signed integer
    FLOAT: float,
    "bool": bool,
    TEXT: str,
}
"""Values of cells and of plain entries of documents, by the type of their field."""


class Shape:
    """One field in a document.

    Args:
        kind: class that holds the field.
        field: its declaration.
        name: its name in the document.
    """

    def __init__(self, kind: type, field: DeclaredField, name: str) -> None:
        self.kind, self.field, self.name = kind, field, name

    def write(self, target: Target, group: Any, span: Span) -> None:
        """Write the field of *group* into *target*; *span* is that of the document's trimmed tables."""
        raise NotImplementedError

    def read(self, document: Document, values: Mapping[str, Any]) -> Any:
        """Return the value in *document*; *values* are the fields of the group declared before.

        Raises:
            StoreError: it has another geometry than this version of Radiosonde counts with.
        """
        raise NotImplementedError

    def types(self) -> dict[str, pa.DataType]:
        """Return the Arrow types by name in the struct."""
        raise NotImplementedError

    def value(self, group: Any) -> Any:
        """Return the field of *group*."""
        return getattr(group, self.field.name)


class Plain(Shape):
    """A number or a text, a list (of lists), or a mapping by one name."""

    def __init__(self, kind: type, field: DeclaredField, name: str) -> None:
        super().__init__(kind, field, name)
        self._encode, self._field = plain(field), field.name
        self.decode = self._decoder()

    def write(self, target: Target, group: Any, span: Span) -> None:
        """Write it as it is."""
        target[self.name] = self._encode(getattr(group, self._field))

    def read(self, document: Document, values: Mapping[str, Any]) -> Any:
        """Return it, tables with their shape."""
        return self.decode(document[self.name], values)

    def _decoder(self) -> Callable[[Any, Mapping[str, Any]], Any]:
        field, cast = self.field, CASTS.get(self.field.dtype, int)
        if field.keys:
            return lambda found, _: {name: cast(value) for name, value in found.items()}
        if not field.axes:
            return lambda found, _: cast(found)
        if field.is_tuple:
            return lambda found, _: tuple(map(cast, found))
        if len(field.axes) == 1:
            return lambda found, _: np.array(found, dtype=field.dtype)
        sizes = [axis_size(self.kind, axis) for axis in field.axes]
        return lambda found, values: np.array(found, dtype=field.dtype).reshape([size(values) for size in sizes])

    def types(self) -> dict[str, pa.DataType]:
        """Return the type of a value, list or map."""
        import pyarrow as pa

        single = arrow_type(self.field.dtype)
        return {self.name: pa.map_(pa.string(), single) if self.field.keys else lists(single, len(self.field.axes))}


class SpanHead(Shape):
    """Scale and offset of the trimmed tables of a document; precedes the first of them."""

    def write(self, target: Target, group: Any, span: Span) -> None:
        """Write where the trimmed tables begin."""
        buckets = BUCKETS[self.field.axes[-1]]
        target["scale"], target["offset"] = buckets.scale, buckets.offset + span[0]

    def types(self) -> dict[str, pa.DataType]:
        """Return the types of both numbers."""
        return dict.fromkeys(("scale", "offset"), arrow_type(INT))


class Trimmed(Shape):
    """A table along buckets, of which only the occupied ones are there."""

    def write(self, target: Target, group: Any, span: Span) -> None:
        """Write the occupied buckets."""
        target[self.name] = self.value(group)[..., span[0] : span[1]].tolist()

    def read(self, document: Document, values: Mapping[str, Any]) -> Any:
        """Return the whole table."""
        found = document[self.name]
        *rows, axis = self.field.axes
        table = np.array(found, dtype=self.field.dtype)
        if rows:
            table = table.reshape([*(axis_size(self.kind, row)(values) for row in rows), -1 if len(found) else 0])
        return untrimmed(table, axis, document)

    def types(self) -> dict[str, pa.DataType]:
        """Return the type of the list."""
        return {self.name: lists(arrow_type(self.field.dtype), len(self.field.axes))}


class RowNames(Shape):
    """The names of the rows of another field, which writes them."""

    def write(self, target: Target, group: Any, span: Span) -> None:
        """Write nothing."""

    def read(self, document: Document, values: Mapping[str, Any]) -> Any:
        """Return the names."""
        return tuple(document[self.name])

    def types(self) -> dict[str, pa.DataType]:
        """Return no type."""
        return {}


class Rows(Shape):
    """A map from the name of a row to the row, trimmed."""

    def write(self, target: Target, group: Any, span: Span) -> None:
        """Write the rows by name."""
        names = getattr(group, str(naming(self.kind, self.field.axes[0])))
        target[self.name] = dict(zip(names, self.value(group)[:, span[0] : span[1]].tolist(), strict=True))

    def read(self, document: Document, values: Mapping[str, Any]) -> Any:
        """Return the table, in the order of the map."""
        rows = list(document[self.name].values())
        axis, size = self.field.axes[-1], len(rows[0]) if rows else 0
        return untrimmed(np.array(rows, dtype=self.field.dtype).reshape(len(rows), size), axis, document)

    def types(self) -> dict[str, pa.DataType]:
        """Return the type of the map."""
        import pyarrow as pa

        return {self.name: pa.map_(pa.string(), lists(arrow_type(self.field.dtype), 1))}


class OwnSpan(Shape):
    """A trimmed table with its own scale and offset; None for a table without elements."""

    def write(self, target: Target, group: Any, span: Span) -> None:
        """Write the occupied buckets and where they begin."""
        table = self.value(group)
        if not table.size:
            target[self.name] = None
            return
        buckets = BUCKETS[self.field.axes[-1]]
        first, end = occupied(table)
        target[self.name] = {
            "scale": buckets.scale,
            "offset": buckets.offset + first,
            "counts": table[..., first:end].tolist(),
        }

    def read(self, document: Document, values: Mapping[str, Any]) -> Any:
        """Return the whole table."""
        found = document[self.name]
        *rows, axis = self.field.axes
        shape = [axis_size(self.kind, row)(values) for row in rows]
        table = np.array(found["counts"], dtype=self.field.dtype).reshape([*shape, -1])
        return untrimmed(table, axis, found)

    def types(self) -> dict[str, pa.DataType]:
        """Return the type of the struct."""
        import pyarrow as pa

        counts = lists(arrow_type(self.field.dtype), len(self.field.axes))
        return {self.name: pa.struct({"scale": pa.int64(), "offset": pa.int64(), "counts": counts})}


class Pairs(Shape):
    """Counts by several names: one struct each."""

    def write(self, target: Target, group: Any, span: Span) -> None:
        """Write a list of structs."""
        keys = self.field.keys
        target[self.name] = [
            {**dict(zip(keys, names, strict=True)), "rows": int(rows)} for names, rows in self.value(group).items()
        ]

    def read(self, document: Document, values: Mapping[str, Any]) -> Any:
        """Return the counts by their names."""
        return {tuple(entry[key] for key in self.field.keys): int(entry["rows"]) for entry in document[self.name]}

    def types(self) -> dict[str, pa.DataType]:
        """Return the type of the list."""
        import pyarrow as pa

        return {self.name: pa.list_(pa.struct({**dict.fromkeys(self.field.keys, pa.string()), "rows": pa.int64()}))}


class Lines(Shape):
    """Tables by several names: one struct per line that holds something, one at least, because the names are known."""

    def __init__(self, kind: type, field: DeclaredField, name: str) -> None:
        super().__init__(kind, field, name)
        self._names = (*field.keys, "bin", *field.moments)

    def write(self, target: Target, group: Any, span: Span) -> None:
        """Write a list of structs."""
        lines: list[Target] = []
        for names, table in self.value(group).items():
            places = np.nonzero(table.any(axis=1))[0].tolist() or [0]
            values = zip(*map(repeat, names), places, *table[places].T.tolist())  # noqa: B905 - names repeat without end
            lines += map(dict, map(zip, repeat(self._names), values))  # a third of the time of a comprehension
        target[self.name] = lines

    def read(self, document: Document, values: Mapping[str, Any]) -> Any:
        """Return the tables by their names."""
        field = self.field
        if not len(document[self.name]):  # nearly always: nothing was taken back
            return {}
        shape = [axis_size(self.kind, axis)(values) for axis in field.axes]
        tables: dict[tuple[str, ...], NDArray[Any]] = {}
        for line in document[self.name]:
            names = tuple(line[key] for key in field.keys)
            if names not in tables:
                tables[names] = np.zeros(shape, dtype=field.dtype)
            tables[names][line["bin"]] = [line[moment] for moment in field.moments]
        return tables

    def types(self) -> dict[str, pa.DataType]:
        """Return the type of the list."""
        import pyarrow as pa

        moments = dict.fromkeys(self.field.moments, arrow_type(self.field.dtype))
        line = pa.struct({**dict.fromkeys(self.field.keys, pa.string()), "bin": pa.int64(), **moments})
        return {self.name: pa.list_(line)}


class Moments(Shape):
    """A table whose last axis is moments: a struct with one list each."""

    def write(self, target: Target, group: Any, span: Span) -> None:
        """Write a list per moment."""
        target[self.name] = dict(zip(self.field.moments, self.value(group).T.tolist(), strict=True))

    def read(self, document: Document, values: Mapping[str, Any]) -> Any:
        """Return the table."""
        found = document[self.name]
        columns = [np.array(found[moment], dtype=self.field.dtype) for moment in self.field.moments]
        return np.column_stack(columns)

    def types(self) -> dict[str, pa.DataType]:
        """Return the type of the struct."""
        import pyarrow as pa

        return {self.name: pa.struct(dict.fromkeys(self.field.moments, lists(arrow_type(self.field.dtype), 1)))}


class WidthHead(Shape):
    """Width of the sparse tables of a document in cells; precedes the first of them."""

    def write(self, target: Target, group: Any, span: Span) -> None:
        """Write the width."""
        target["width"] = int(cells_width(self.kind, group))

    def types(self) -> dict[str, pa.DataType]:
        """Return the type of the number."""
        return {"width": arrow_type(INT)}


class Sparse(Shape):
    """Cell tables without zeros: a part with few labels fills few cells."""

    def write(self, target: Target, group: Any, span: Span) -> None:
        """Write the occupied places and their values."""
        value = self.value(group)
        target[self.name] = (
            {name: self._sparse(table) for name, table in value.items()} if self.field.keys else self._sparse(value)
        )

    def read(self, document: Document, values: Mapping[str, Any]) -> Any:
        """Return the tables in full."""
        found, width = document[self.name], int(document["width"])
        if self.field.keys:
            return {name: self._dense(table, width, values) for name, table in found.items()}
        return self._dense(found, width, values) if width else self.field.default()  # type: ignore[misc]  # declared

    def types(self) -> dict[str, pa.DataType]:
        """Return the type of the struct, or of the map of structs."""
        import pyarrow as pa

        number = lists(arrow_type(self.field.dtype), 1)
        table = pa.struct({"places": lists(pa.int64(), 1), **dict.fromkeys(self.field.moments, number)})
        return {self.name: pa.map_(pa.string(), table) if self.field.keys else table}

    def _sparse(self, table: NDArray[Any]) -> Target:
        moments = self.field.moments
        if len(moments) == 1:
            values = table.reshape(-1)
            (places,) = values.nonzero()
            return {"places": places.tolist(), moments[0]: values[places].tolist()}
        lines = table.reshape(-1, len(moments))
        (places,) = np.nonzero(lines.any(axis=1))
        return {"places": places.tolist(), **dict(zip(moments, lines[places].T.tolist(), strict=True))}

    def _dense(self, found: Document, width: int, values: Mapping[str, Any]) -> NDArray[Any]:
        field = self.field
        shape = [width if size < 0 else size for size in (axis_size(self.kind, axis)(values) for axis in field.axes)]
        table = np.zeros(shape, dtype=field.dtype)
        places = np.array(found["places"], dtype=np.int64)
        for column, moment in enumerate(field.moments):
            table.reshape(-1, len(field.moments))[places, column] = np.array(found[moment], dtype=field.dtype)
        return table


class Exemplars(Shape):
    """Predictions that have a span, by bucket; ids in hexadecimal, because no SQL engine has an integer of 128 bits."""

    def write(self, target: Target, group: Any, span: Span) -> None:
        """Write a list of structs."""
        target[self.name] = [
            {
                "bucket": int(bucket),
                "value_s": float(exemplar.value_s),
                "time_ns": int(exemplar.time_ns),
                "trace_id": f"{exemplar.trace_id:032x}",
                "span_id": f"{exemplar.span_id:016x}",
            }
            for bucket, exemplar in self.value(group).items()
        ]

    def read(self, document: Document, values: Mapping[str, Any]) -> Any:
        """Return the predictions by bucket."""
        return {
            int(entry["bucket"]): Exemplar(
                float(entry["value_s"]), int(entry["time_ns"]), int(entry["trace_id"], 16), int(entry["span_id"], 16)
            )
            for entry in document[self.name]
        }

    def types(self) -> dict[str, pa.DataType]:
        """Return the type of the list."""
        import pyarrow as pa

        number, text = pa.int64(), pa.string()
        exemplar = {"bucket": number, "value_s": pa.float64(), "time_ns": number, "trace_id": text, "span_id": text}
        return {self.name: pa.list_(pa.struct(exemplar))}


SHAPES: Mapping[Stored, type[Shape]] = {
    Stored.PLAIN: Plain,
    Stored.TRIMMED: Trimmed,
    Stored.KEYS: RowNames,
    Stored.ROWS: Rows,
    Stored.SPAN: OwnSpan,
    Stored.PAIRS: Pairs,
    Stored.LINES: Lines,
    Stored.COLUMNS: Moments,
    Stored.SPARSE: Sparse,
    Stored.EXEMPLARS: Exemplars,
}
"""All except `Stored.GROUP`, which is a separate document (`radiosonde.store.documents`)."""

HEADS: Mapping[Stored, type[Shape]] = {
    Stored.TRIMMED: SpanHead,
    Stored.ROWS: SpanHead,
    Stored.SPARSE: WidthHead,
}
"""Header of a document before the first field of a shape."""


def plain(field: DeclaredField) -> Callable[[Any], Any]:
    """Return the function that converts a value of *field* for JSON."""
    cast = CASTS.get(field.dtype, int)
    if field.keys:
        return lambda value: {name: cast(held) for name, held in value.items()}
    if not field.axes:
        return cast
    if field.is_tuple:
        return lambda value: [cast(each) for each in value]
    return lambda value: value.tolist()


def occupied(table: NDArray[Any]) -> Span:
    """Return the first and the end bucket that hold something in any row of *table*."""
    if table.ndim > 1:
        if not table.size:
            return (0, 0)
        table = np.asarray(table.reshape(-1, table.shape[-1]).any(axis=0))
    (index,) = table.nonzero()
    return (int(index[0]), int(index[-1]) + 1) if len(index) else (0, 0)


def untrimmed(table: NDArray[Any], axis: str, document: Document) -> NDArray[Any]:
    """Return *table* with the buckets that *document* omitted.

    Raises:
        StoreError: they are other buckets than this version of Radiosonde counts with.
    """
    buckets = BUCKETS[axis]
    first, size = int(document["offset"]) - buckets.offset, table.shape[-1]
    if document["scale"] != buckets.scale or first < 0 or first + size > buckets.size:
        raise StoreError(
            f"a table of scale {document['scale']}, offset {document['offset']} does not fit scale {buckets.scale} of "
            f"axis {axis}; read this store with the version of Radiosonde that wrote it"
        )
    if size == buckets.size:
        return table
    whole = np.zeros((*table.shape[:-1], buckets.size), dtype=table.dtype)
    whole[..., first : first + size] = table
    return whole


@cache
def arrow_type(dtype: str) -> pa.DataType:
    """Return the Arrow type of one element."""
    import pyarrow as pa

    types = {INT: pa.int64(), FLOAT: pa.float64(), "uint64": pa.uint64(), "bool": pa.bool_(), TEXT: pa.string()}
    return types[dtype]


def lists(single: pa.DataType, depth: int) -> pa.DataType:
    """Return the type of lists of *single* in lists, *depth* deep."""
    import pyarrow as pa

    for _ in range(depth):
        single = pa.list_(single)
    return single
