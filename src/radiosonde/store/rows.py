"""A window as table rows, and back: which column holds which field follows from the declarations.

JSON columns are strict JSON (any ``json_each`` or ``JSON_EXTRACT`` reads them): a sum that is not finite is written as
the text ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``. Floats are written with the digits that give the same double
back. A document of sparse tables alone is deflated: the labelled cells of a minute repeat the same few residuals for each feature,
and took a third of a store as text. Fingerprints are the same 64 bits read as a signed integer, which is SQLite's integer type.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any

import numpy as np

from radiosonde.model import SPECIAL_CELLS, FeatureCounts, SeriesKey, Window
from radiosonde.model.fields import CELL, FLAG, INT, TEXT, UINT, DeclaredField, Stored, declarations
from radiosonde.model.fingerprints import WORD
from radiosonde.store.documents import FEATURE_TABLES, ColumnDocument, FieldLocation, GroupReader, places
from radiosonde.store.shapes import Plain, plain

_FORMER = (
    "window_id",
    "process",
    "start_ns",
    "end_ns",
    "model",
    "version",
    "variant",
    "cohort",
    "calls",
    "rows",
    "errors",
    "batch_sizes",
    "latency",
    "output",
    "labels",
    "grid",
    "reference_id",
    "provisional",
    "sketched_rows",
    "written_ns",
    "label_tables",
    "runtime",
    "feature_rows",
    "feature_weight_square_sum",
)
"""Columns of table ``windows`` in stores of schema 3, in their order there; columns that were declared since follow them."""

WINDOW_COLUMNS = tuple(
    dict.fromkeys([*_FORMER, *(p.column for p in places() if p.column not in {*FEATURE_TABLES, "key"})])
)
"""Columns of table ``windows``, in the order of `window_row`."""

_NUMBERS = frozenset({INT, UINT, FLAG, TEXT})
"""Types whose single values are stored unchanged; a float may be NaN, which SQLite cannot hold, and is JSON."""


def _is_json(column: str) -> bool:
    held = [place for place in places() if place.column == column]
    return any(
        place.path or place.field.axes or place.field.keys or place.field.dtype not in _NUMBERS for place in held
    )


JSON_COLUMNS = tuple(column for column in WINDOW_COLUMNS if _is_json(column))
"""Columns of table ``windows`` that hold JSON."""

PACKED_COLUMNS = frozenset(
    column
    for column in JSON_COLUMNS
    if all(place.field.stored is Stored.SPARSE for place in places() if place.column == column)
)
"""Those of them whose JSON is deflated. Rows of a former version may hold the text."""

_PER_FEATURE = tuple(p for p in places() if p.column == "features")
FEATURE_COLUMNS = ("position", *(place.path[0] for place in _PER_FEATURE))
"""Columns of table ``features`` after ``window_id``."""

_SQL = {INT: "INTEGER", FLAG: "INTEGER", UINT: "INTEGER", TEXT: "TEXT"}


def _sql_type(place: FieldLocation) -> str:
    if place.column in PACKED_COLUMNS:
        return "BLOB"
    return "TEXT" if place.column in JSON_COLUMNS else _SQL[place.field.dtype]


SQL_TYPES: Mapping[str, Mapping[str, str]] = {
    "windows": {place.column: _sql_type(place) for place in places() if place.column in WINDOW_COLUMNS},
    "features": {
        place.path[0]: _SQL[place.field.dtype] if len(place.field.axes) == 1 and place.field.dtype in _SQL else "TEXT"
        for place in _PER_FEATURE
    },
}
"""Types of the columns that fields lie in, by table."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode

_SURROGATES = re.compile("[\ud800-\udfff]")

Row = tuple[Any, ...]


@dataclass(slots=True)
class FeaturePart:
    """The rows of tables ``features`` and ``sketches`` that belong to one window.

    Attributes:
        columns: columns of ``features`` by name, each as long as there are features; a column that an older store does not
            have is missing.
        sketches: bodies by (feature, kind).
    """

    columns: Mapping[str, Any] = field(default_factory=dict)
    sketches: Mapping[tuple[str, str], bytes] = field(default_factory=dict)


def to_json(document: Any) -> str:
    """Return compact strict JSON; numbers that are not finite become text."""
    try:
        return _encode(document)
    except ValueError:  # NaN or infinity somewhere: rare, so only then is the document walked
        return _encode(_finite(document))


def unpacked(cell: str | bytes) -> str:
    """Return the JSON in a cell of `JSON_COLUMNS`.

    Raises:
        ValueError: the cell is damaged.
    """
    if isinstance(cell, str):
        return cell
    try:
        return zlib.decompress(cell).decode()
    except zlib.error as error:
        raise ValueError(f"a packed document cannot be inflated: {error}") from error


def _packed_json(document: Any) -> bytes:
    # The fastest level: the best one saves another seventh at three times the time, in the process that serves.
    return zlib.compress(_SURROGATES.sub(_spelled, to_json(document)).encode(), 1)


def window_row(window: Window, *, process: str, written_ns: int) -> Row:
    """Return the columns of *window* after ``window_id``; *process* is used if the window names none."""
    model, version, variant, cohort = window.key
    given = {
        "process": window.process or process,
        "written_ns": written_ns,
        "model": model,
        "version": version,
        "variant": variant,
        "cohort": cohort,
    }
    return tuple([given[column] if write is None else write(window) for column, write in _writers()])


@cache
def _writers() -> list[tuple[str, Callable[[Window], Any] | None]]:
    """Return the encoder of each column; None for columns of several fields."""
    given = {"process", "written_ns", *SeriesKey._fields}
    return [(column, None if column in given else _writer(column)) for column in WINDOW_COLUMNS[1:]]


def _writer(column: str) -> Callable[[Window], Any]:
    first = next(place for place in places() if place.column == column)
    if first.path:
        document, encode = ColumnDocument(column), _packed_json if column in PACKED_COLUMNS else to_json
        return lambda window: None if (found := document.write(window)) is None else encode(found)
    made, value_of = plain(first.field), attrgetter(first.field.name)
    if column in JSON_COLUMNS:
        return _unless_missing(first.group, lambda holder: to_json(made(value_of(holder))))
    casts: dict[str, Callable[[Any], Any]] = {FLAG: int, UINT: _signed}
    cast = casts.get(first.field.dtype, made)
    return _unless_missing(first.group, lambda holder: cast(value_of(holder)))


def _signed(word: int) -> int:
    return word - WORD if word >= WORD // 2 else word


def _unless_missing(group: str, write: Callable[[Any], Any]) -> Callable[[Window], Any]:
    """Return *write* of a window or of its *group*; None for a window without that group."""
    if not group:
        return write
    holder_of = attrgetter(group)
    return lambda window: None if (holder := holder_of(window)) is None else write(holder)


def feature_rows(features: FeatureCounts) -> list[Row]:
    """Return `FEATURE_COLUMNS` per feature."""
    columns = [_per_feature(place.field, getattr(features, place.field.name)) for place in _PER_FEATURE]
    return [(position, *row) for position, row in enumerate(zip(*columns, strict=True))]


def _per_feature(declared: DeclaredField, values: Any) -> list[Any]:
    if declared.dtype == UINT:
        return values.view(np.int64).tolist()  # type: ignore[no-any-return]
    listed = plain(declared)(values)
    return [to_json(row) for row in listed] if len(declared.axes) > 1 or declared.dtype not in _NUMBERS else listed


def sketch_rows(features: FeatureCounts) -> list[Row]:
    """Return (feature, kind, body) per sketch."""
    return [(feature, kind, body) for (feature, kind), body in features.sketches.items()]


def parsed_features(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the columns of `FEATURE_COLUMNS` after ``position`` of *rows*, which have just these; JSON parsed."""
    columns: dict[str, Any] = {}
    values = list(zip(*rows, strict=True)) if rows else [()] * len(_PER_FEATURE)
    for place, column in zip(_PER_FEATURE, values, strict=True):
        if column and column[0] is None:
            continue
        is_text = _kind_of(place.field) is _Kind.TEXT
        columns[place.path[0]] = column if is_text else _column(place.field, ",".join(map(str, column)), len(rows))
    return columns


def features_query(present: Collection[str]) -> str:
    """Return the SELECT list for `parsed_group`, for a group of ``features``; *present* columns are in the store.

    One row per window instead of one per feature, which dominated the time of reading a store.
    """
    columns = [
        "NULL" if place.path[0] not in present else _GROUPED[_kind_of(place.field)].format(place.path[0])
        for place in _PER_FEATURE
    ]
    return ", ".join(["group_concat(position)", *columns])


def parsed_group(row: Row) -> dict[str, Any]:
    """Return the result of `parsed_features` from a row of `features_query`."""
    positions, columns, *texts = row[0], {}, *row[1:]
    count = positions.count(",") + 1
    for place, text in zip(_PER_FEATURE, texts, strict=True):
        if text is not None:
            is_text = _kind_of(place.field) is _Kind.TEXT
            columns[place.path[0]] = _names(text) if is_text else _column(place.field, text, count)
    if positions != _ascending(count):  # SQLite promises no order inside a group, though it keeps that of the index
        order = np.argsort(np.fromstring(positions, dtype=np.int64, sep=","))
        columns = {name: [column[place] for place in order] for name, column in columns.items()}
    return columns


class _Kind(Enum):
    """How the values of a column of table ``features`` lie in it."""

    TEXT, INTEGER, JSON = range(3)


_GROUPED = {
    _Kind.TEXT: "json_group_array({})",
    _Kind.INTEGER: "group_concat({})",
    _Kind.JSON: "group_concat({})",
}


@cache
def _kind_of(declared: DeclaredField) -> _Kind:
    if len(declared.axes) > 1 or declared.dtype not in _NUMBERS:
        return _Kind.JSON
    return _Kind.TEXT if declared.dtype == TEXT else _Kind.INTEGER


_names = lru_cache(1024)(lambda text: tuple(json.loads(text)))
"""Names of features, the same tuple for all windows of a model: a month of windows holds a million of them."""

_ascending = cache(lambda count: ",".join(map(str, range(count))))

_INTEGERS = re.compile(rb"[-0-9,]+").fullmatch


def _column(declared: DeclaredField, text: str, count: int) -> Any:
    """Return *count* values of a column, joined by commas; JSON parsed.

    Tables of integers are nearly all of a store, and are read at a fifth of the cost of JSON.
    """
    bare = text.encode().translate(None, b"[]")
    if _INTEGERS(bare):
        table = np.fromstring(bare, dtype=np.int64, sep=",")
        if table.size == bare.count(b",") + 1:
            if declared.dtype == UINT:
                return table.view(np.uint64)
            if _kind_of(declared) is _Kind.INTEGER:
                return table
            if len(declared.axes) == 2 and text.count("[") == count and table.size % count == 0:
                return table.reshape(count, -1)
    return json.loads(f"[{text}]")


def window_from(columns: Mapping[str, Any], part: FeaturePart) -> Window:
    """Return the window of one row of ``windows`` and the rows that belong to it.

    Args:
        columns: values by column name, documents parsed.
        part: its features and sketches; ignored when the row has no grid.
    """
    features = features_from(part) if columns["grid"] is not None else {}
    values: dict[str, Any] = {}
    own, readers = _readers()
    for declared in declarations(Window):
        name = declared.name
        if name == "key":
            values[name] = SeriesKey(*(columns[each] for each in SeriesKey._fields))
        elif declared.group is not None:
            values[name] = readers[name].read(columns, features)
        elif columns[own[name].name] is None and declared.default is not None:
            values[name] = declared.default()
        else:
            values[name] = own[name].read(columns, values)
    return Window(**values)


@cache
def _readers() -> tuple[dict[str, Plain], dict[str, GroupReader]]:
    own = {p.field.name: Plain(Window, p.field, p.column) for p in places() if not p.group and p.column != "key"}
    return own, {each.name: GroupReader(each.name) for each in declarations(Window) if each.group is not None}


def readable(rows: Iterable[Row]) -> list[Row]:
    """Return *rows* with the characters that UTF-8 cannot hold (lone surrogates) spelled out: ``U+D800``."""
    # No backslash in it: inside a JSON document that would be an escape for the very same character.
    return [tuple(_SURROGATES.sub(_spelled, cell) if isinstance(cell, str) else cell for cell in row) for row in rows]


def payload_bytes(rows: Iterable[Row]) -> int:
    """Return the size of *rows* in bytes: text and blobs by length, numbers as eight."""
    return sum(0 if cell is None else len(cell) if isinstance(cell, str | bytes) else 8 for row in rows for cell in row)


def features_from(part: FeaturePart) -> dict[str, Any]:
    """Return the fields of `FeatureCounts` that lie in tables of their own."""
    values: dict[str, Any] = {"sketches": part.sketches}
    for place in _PER_FEATURE:
        declared = place.field
        if place.path[0] not in part.columns:
            if declared.default is None and part.columns:
                raise KeyError(place.path[0])
            values[declared.name] = () if declared.is_tuple else _no_rows(declared)
        elif declared.is_tuple:
            values[declared.name] = tuple(part.columns[place.path[0]])
        else:
            values[declared.name] = np.array(part.columns[place.path[0]], dtype=declared.dtype)
        if not len(values[declared.name]) and not declared.is_tuple:
            values[declared.name] = _no_rows(declared)
    return values


def _no_rows(declared: DeclaredField) -> Any:
    """Return the empty table of features; its width is unknown, because nothing was counted."""
    if declared.default is not None:
        return declared.default()
    return np.zeros((0, len(SPECIAL_CELLS)) if CELL in declared.axes else 0, dtype=declared.dtype)


def _spelled(character: re.Match[str]) -> str:
    return f"U+{ord(character.group()):04X}"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return value
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return value
