"""Reads a SQLite store in batches of windows, for commands that look at all of it.

The time of `radiosonde.store.StoreReader` is spent on parsing JSON and on making arrays window by window, 300 us each. Here rows are
fetched by the thousand and each field is decoded for all of them at once (`radiosonde.sources.documents`). The windows are the same. A
batch with rows that a former version wrote, or with damaged ones, is read row by row, which also finds the words for the error.

DuckDB and pyarrow parse the documents. They are no dependency of the host, and take 50 MiB: without them, and for few windows, the rows
are read one by one.
"""

from __future__ import annotations

import importlib.util
import json
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from radiosonde.model import SeriesKey, Window
from radiosonde.model.fields import TEXT, UINT, Stored, declarations, names_first
from radiosonde.sources.documents import UnusualError, field_values, parse
from radiosonde.store import Interval, StoreReader
from radiosonde.store.documents import FEATURE_TABLES, FieldLocation, GroupReader, places
from radiosonde.store.reader import chosen_kinds
from radiosonde.store.rows import (
    JSON_COLUMNS,
    PACKED_COLUMNS,
    WINDOW_COLUMNS,
    FeaturePart,
    Row,
    features_from,
    features_query,
    parsed_features,
)
from radiosonde.store.schema import columns_of, columns_or_null

if TYPE_CHECKING:
    import duckdb

BATCH = 4096
LEAST = 1000
"""Windows from which on loading DuckDB is worth its time."""


class BatchedReader(StoreReader):
    """Reads the SQLite store at *path* by column; the windows are those of `StoreReader`."""

    least, batch = LEAST, BATCH

    def _windows(self, connection: sqlite3.Connection, interval: Interval) -> Iterator[tuple[int, Window]]:
        condition, bounds = interval.condition()
        query = f"SELECT window_id FROM windows WHERE {condition} ORDER BY window_id"  # noqa: S608 - our own text
        ids = [window_id for (window_id,) in connection.execute(query, bounds)]
        is_able = all(importlib.util.find_spec(name) is not None for name in ("duckdb", "pyarrow"))
        if interval.runtime or len(ids) < self.least or not is_able:
            yield from super()._windows(connection, interval)
            return
        import duckdb

        with duckdb.connect(":memory:") as parser:
            parser.execute("SET threads = 1")  # a diagnosis is a guest on the host too
            for first in range(0, len(ids), self.batch):
                last = ids[min(first + self.batch, len(ids)) - 1]
                yield from self._batch(connection, parser, (condition, bounds), (ids[first], last))

    def _batch(
        self,
        connection: sqlite3.Connection,
        parser: duckdb.DuckDBPyConnection,
        chosen: tuple[str, Sequence[int | str]],
        span: tuple[int, int],
    ) -> Iterator[tuple[int, Window]]:
        condition, bounds = f"{chosen[0]} AND window_id BETWEEN ? AND ?", [*chosen[1], *span]
        names = columns_or_null(connection, "windows", WINDOW_COLUMNS, without=self._without)
        query = f"SELECT {names} FROM windows WHERE {condition} ORDER BY window_id"  # noqa: S608 - our own text
        rows = connection.execute(query, bounds).fetchall()
        belonging = f"JOIN windows USING (window_id) WHERE {condition}"
        listed = features_query(columns_of(connection, "features"))
        query = f"SELECT window_id, {listed} FROM features {belonging} GROUP BY window_id ORDER BY window_id"  # noqa: S608
        features = {row[0]: row for row in connection.execute(query, bounds)}
        sketches: dict[int, list[Row]] = {}
        if self._sketches:
            condition, kinds = chosen_kinds(self._sketches)
            query = f"SELECT window_id, feature, kind, body FROM sketches {belonging}{condition} ORDER BY window_id"  # noqa: S608
            found = connection.execute(query, [*bounds, *kinds])
            sketches = {window_id: list(held) for window_id, held in groupby(found, itemgetter(0))}
        try:
            yield from _decoded(parser, rows, features, sketches)
        except (UnusualError, ValueError, KeyError, TypeError):
            for row in rows:
                held = features.get(row[0])
                yield row[0], self._window(row, [] if held is None else [held], sketches.get(row[0], []))


def _decoded(
    parser: duckdb.DuckDBPyConnection, rows: list[Row], features: dict[int, Row], sketches: dict[int, list[Row]]
) -> list[tuple[int, Window]]:
    """Return the windows of *rows*.

    Raises:
        UnusualError: some are not as this version writes them.
    """
    cells = dict(zip(WINDOW_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    ids = cells["window_id"]
    columns: dict[str, list[Any]] = {}
    for declared in declarations(Window):
        held = [place for place in places() if place.group == declared.name and declared.group is not None]
        if declared.name == "key":
            columns["key"] = _series(cells)
        elif held:
            columns[declared.name] = _group(parser, held, cells, features, sketches)
        else:
            place = next(each for each in places() if not each.group and each.field is declared)
            column = cells[place.column]
            if place.column in JSON_COLUMNS:
                column = parse(parser, place.column, _present(column))
            columns[declared.name] = field_values(place, {place.column: column}, {}, len(rows))
    names = [declared.name for declared in declarations(Window)]
    return list(zip(ids, map(Window, *[columns[name] for name in names]), strict=True))


def _series(cells: dict[str, list[Any]]) -> list[SeriesKey]:
    made: dict[tuple[str, ...], SeriesKey] = {}
    named = zip(*[cells[name] for name in SeriesKey._fields], strict=True)
    return [made[each] if each in made else made.setdefault(each, SeriesKey(*each)) for each in named]


def _group(
    parser: duckdb.DuckDBPyConnection,
    held: Sequence[FieldLocation],
    cells: dict[str, list[Any]],
    features: dict[int, Row],
    sketches: dict[int, list[Row]],
) -> list[Any]:
    """Return the group that *held* are the fields of, one per row; None where the column of its first field is NULL."""
    kind = held[0].kind
    order = [declared.name for declared in names_first(kind)]
    held = sorted(held, key=lambda place: order.index(place.field.name))
    first = cells[held[0].column if held[0].column not in FEATURE_TABLES else "grid"]
    chosen = [row for row, cell in enumerate(first) if cell is not None]
    made: list[Any] = [None] * len(first)
    if not chosen:
        return made
    if any(place.field.stored is Stored.GROUP for place in held):
        return _row_by_row(held[0].group, held[0].column, first)
    columns: dict[str, Any] = {}
    for column in {place.column for place in held} - FEATURE_TABLES:
        picked = [cells[column][row] for row in chosen]
        is_document = column in JSON_COLUMNS and column not in PACKED_COLUMNS
        columns[column] = parse(parser, column, _present(picked)) if is_document else picked
    if any(_is_elsewhere(place, cells) for place in held):
        raise UnusualError
    ids = [cells["window_id"][row] for row in chosen]
    values: dict[str, list[Any]] = {}
    per_feature = _per_feature([place for place in held if place.column == "features"], ids, features)
    for place in held:
        if place.column == "sketches":
            values[place.field.name] = [{row[1:3]: row[3] for row in sketches.get(each, ())} for each in ids]
        elif place.column in FEATURE_TABLES:
            values[place.field.name] = per_feature[place.field.name]
        else:
            values[place.field.name] = field_values(place, columns, values, len(chosen))
    groups = map(kind, *[values[declared.name] for declared in declarations(kind)])
    for row, group in zip(chosen, groups, strict=True):
        made[row] = group
    return made


def _is_elsewhere(place: FieldLocation, cells: dict[str, list[Any]]) -> bool:
    """Return whether a former version wrote a packed field into a document of another column."""
    if place.column not in PACKED_COLUMNS or not place.field.formerly:
        return False
    column, _, name = place.field.formerly.rpartition(".")
    here = zip(cells[place.column], cells[column], strict=True)
    return any(cell is None and text is not None and f'"{name}"' in text for cell, text in here)


def _row_by_row(group: str, column: str, texts: Sequence[str | None]) -> list[Any]:
    """Return a group that few windows of models have."""
    reader = GroupReader(group)
    return [reader.read({column: None if text is None else json.loads(text)}, {}) for text in texts]


def _present(cells: list[Any]) -> list[str]:
    if None in cells:
        raise UnusualError
    return cells


_names: dict[str, tuple[str, ...]] = {}


def _per_feature(held: Sequence[FieldLocation], ids: Sequence[int], features: dict[int, Row]) -> dict[str, list[Any]]:
    """Return the values of the fields in table ``features``, one per window of *ids*."""
    if not held:
        return {}
    rows = [features[each] for each in ids if each in features]
    if not rows:
        return {place.field.name: [_no_features()[place.field.name] for _ in ids] for place in held}
    _, positions, *columns = zip(*rows, strict=True)
    counts = np.array([text.count(",") + 1 for text in positions])
    ascending = {int(count): ",".join(map(str, range(count))) for count in np.unique(counts)}
    if any(text != ascending[count] for text, count in zip(positions, counts.tolist(), strict=True)):
        raise UnusualError
    made: dict[str, list[Any]] = {}
    # Columns of `features_query` are in the order of the declarations, which `places` keeps.
    order = [place.field.name for place in places() if place.column == "features"]
    for place in held:
        texts = columns[order.index(place.field.name)]
        if None in texts:
            raise UnusualError
        if place.field.dtype == TEXT:
            made[place.field.name] = [_tuple(text) for text in texts]
        else:
            table = _integers(texts, counts, has_cells=len(place.field.axes) > 1)
            made[place.field.name] = [each.view(np.uint64) for each in table] if place.field.dtype == UINT else table
    if len(rows) == len(ids):
        return made
    nothing = _no_features()
    found = {name: iter(values) for name, values in made.items()}
    return {name: [next(each) if key in features else nothing[name] for key in ids] for name, each in found.items()}


def _no_features() -> dict[str, Any]:
    """Return the fields of a window that has a grid and no feature."""
    return features_from(FeaturePart(parsed_features(())))


def _tuple(text: str) -> tuple[str, ...]:
    if text not in _names:
        _names[text] = tuple(json.loads(text))
    return _names[text]


def _integers(texts: Sequence[str], counts: np.ndarray, *, has_cells: bool) -> list[Any]:
    """Return the integers of each of *texts*, lists joined by commas; by feature and cell, if it *has_cells*."""
    bare = ",".join(texts).encode().translate(None, b"[]")
    if bare.translate(None, b"-0123456789,"):
        raise UnusualError
    numbers = np.fromstring(bare, dtype=np.int64, sep=",")
    sizes = np.array([text.count(",") + 1 for text in texts])
    if has_cells and any(text.count("[") != count for text, count in zip(texts, counts.tolist(), strict=True)):
        raise UnusualError
    if numbers.size != sizes.sum() or (sizes % counts).any() or (not has_cells and (sizes != counts).any()):
        raise UnusualError
    shapes = np.stack([counts, sizes // counts], axis=1) if has_cells else counts[:, None]
    if (shapes == shapes[0]).all():
        return list(numbers.reshape(len(texts), *shapes[0].tolist()))
    ends = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    return [
        numbers[start:end].reshape(shape) for (start, end), shape in zip(pairwise(ends), shapes.tolist(), strict=True)
    ]
