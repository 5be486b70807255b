"""The Parquet side of a store: column types, and rows of SQLite turned into Arrow tables.

Chosen so that DuckDB, Spark and ClickHouse read the files as they are: plain lists, maps with string keys, structs with
the field names of the JSON documents, unsigned 64-bit fingerprints (whose ``sum`` wraps in ClickHouse as it should).
Instants are there twice: ``start_time`` in microseconds UTC, because Spark refuses nanoseconds, and ``start_ns``, which is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from radiosonde.model import SeriesKey
from radiosonde.model.fields import INT, TEXT, UINT
from radiosonde.model.fingerprints import WORD
from radiosonde.store.documents import ColumnDocument, places
from radiosonde.store.rows import JSON_COLUMNS, WINDOW_COLUMNS, Row
from radiosonde.store.shapes import Plain, arrow_type, lists

_INSTANT = pa.timestamp("us", tz="UTC")
_GIVEN = {"window_id": INT, "written_ns": INT, "process": TEXT, **dict.fromkeys(SeriesKey._fields, TEXT)}
"""Columns of table ``windows`` that are no field alone."""


def _type(column: str) -> pa.DataType:
    if column in _GIVEN:
        return arrow_type(_GIVEN[column])
    held = next(place for place in places() if place.column == column)
    if held.path:
        return ColumnDocument(column).type()
    (kind,) = Plain(held.kind, held.field, column).types().values()
    return kind


_UNSIGNED = [place.column for place in places() if place.field.dtype == UINT and not place.field.axes]
"""Columns of table ``windows`` that SQLite holds as signed integers."""


def _windows() -> pa.Schema:
    types: dict[str, pa.DataType] = {}
    for column in WINDOW_COLUMNS:
        types[column] = _type(column)
        if column == "end_ns":
            types |= {"start_time": _INSTANT, "end_time": _INSTANT}
    return pa.schema(types)


WINDOWS = _windows()
FEATURES = pa.schema(
    {
        "window_id": pa.int64(),
        "position": pa.int64(),
        **{
            place.path[0]: lists(arrow_type(place.field.dtype), len(place.field.axes) - 1)
            for place in places()
            if place.column == "features"
        },
    }
)
SKETCHES = pa.schema({"window_id": pa.int64(), "feature": pa.string(), "kind": pa.string(), "body": pa.binary()})
REFERENCES = pa.schema(
    {
        "model": pa.string(),
        "version": pa.string(),
        "reference_id": pa.string(),
        "document": pa.string(),
        "written_ns": pa.int64(),
    }
)


def windows_table(parts: Sequence[dict[str, Any]]) -> pa.Table:
    """Return table ``windows`` of *parts*: columns by name, documents parsed, ids already unique."""
    try:
        return pa.Table.from_pylist([_record(part) for part in parts], schema=WINDOWS)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # a number that is not finite, which JSON carries as text
        finite = [
            {**part, **{name: _numbers(part[name], WINDOWS.field(name).type) for name in JSON_COLUMNS}}
            for part in parts
        ]
        return pa.Table.from_pylist([_record(part) for part in finite], schema=WINDOWS)


def rows_table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """Return the table of *rows*, whose cells are in the order of *schema*."""
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(list(column), type=kind.type) for column, kind in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _record(part: dict[str, Any]) -> dict[str, Any]:
    return {
        **part,
        "start_time": part["start_ns"] // 1000,
        "end_time": part["end_ns"] // 1000,
        **{name: _pairs(part[name], WINDOWS.field(name).type) for name in JSON_COLUMNS},
        "provisional": None if part["provisional"] is None else bool(part["provisional"]),
        **{name: None if part[name] is None else part[name] % WORD for name in _UNSIGNED},
    }


def _pairs(document: Any, kind: pa.DataType) -> Any:
    """Return *document* with maps as lists of pairs, which is how Arrow takes them; those are at most one struct deep."""
    if document is None:
        return None
    if pa.types.is_map(kind):
        return list(document.items())
    if pa.types.is_struct(kind) and (maps := [each.name for each in kind if pa.types.is_map(each.type)]):
        return {**document, **{name: list(document[name].items()) for name in maps if document.get(name) is not None}}
    return document


def _numbers(document: Any, kind: pa.DataType) -> Any:
    """Return *document* with texts converted to numbers wherever its type is numeric."""
    if document is None:
        return None
    if pa.types.is_floating(kind):
        return float(document)
    if pa.types.is_struct(kind):
        return {each.name: _numbers(document[each.name], each.type) for each in kind if each.name in document}
    if pa.types.is_map(kind):
        return {name: _numbers(value, kind.item_type) for name, value in document.items()}
    if pa.types.is_list(kind):
        return [_numbers(value, kind.value_type) for value in document]
    return document
