"""The reading end of a SQLite store: window parts as they were written, one snapshot per question.

Three cursors ordered by window id are read in parallel, so memory is bounded by the result and one window. The time is dominated by JSON
parsing, so the cells of a window are parsed in one call.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple

from radiosonde.errors import StoreError
from radiosonde.model import RUNTIME_MODEL, Window
from radiosonde.store.connection import reading
from radiosonde.store.rows import (
    JSON_COLUMNS,
    WINDOW_COLUMNS,
    FeaturePart,
    Row,
    features_query,
    parsed_features,
    parsed_group,
    unpacked,
    window_from,
)
from radiosonde.store.schema import STORE_SHIFT, columns_of, columns_or_null, store_number


class ReferenceRow(NamedTuple):
    """One row of table ``reference_profiles``."""

    model: str
    version: str
    reference_id: str
    document: str
    written_ns: int


@dataclass(frozen=True, slots=True)
class Interval:
    """Selects windows.

    Attributes:
        start_ns: only windows that end after this instant; None for no bound.
        end_ns: only windows that start before this instant; None for no bound.
        model: only this model; None for all.
        runtime: select the health of the processes instead of the windows of models.
        after: only parts with a higher number in their store; None for no bound. For one SQLite store, whose numbers ascend.
    """

    start_ns: int | None = None
    end_ns: int | None = None
    model: str | None = None
    runtime: bool = False
    after: int | None = None

    def condition(self) -> tuple[str, list[int | str]]:
        """Return the WHERE clause over ``windows`` and its parameters, for SQLite and DuckDB alike."""
        kind = "model = ?" if self.runtime else "model <> ?"
        bounds = (
            ("end_ns > ?", self.start_ns),
            ("start_ns < ?", self.end_ns),
            ("model = ?", self.model),
            ("window_id > ?", self.after),
        )
        chosen = [(kind, RUNTIME_MODEL), *((clause, value) for clause, value in bounds if value is not None)]
        return " AND ".join(clause for clause, _ in chosen), [value for _, value in chosen]


SUMMARY = f"""
    SELECT model, version, variant, count(DISTINCT cohort) AS cohorts, count(DISTINCT process) AS processes,
           count(*) AS windows, min(start_ns) AS start_ns, max(end_ns) AS end_ns,
           CAST(sum(calls) AS BIGINT) AS calls, CAST(sum(rows) AS BIGINT) AS rows
    FROM windows WHERE model <> '{RUNTIME_MODEL}' GROUP BY model, version, variant ORDER BY model, version, variant
"""  # noqa: S608 - our own text
"""Summary of a store, one row per model, version and variant; runs on SQLite and DuckDB."""


SPANS = "SELECT DISTINCT model, start_ns, end_ns FROM windows"


class SeriesSummary(NamedTuple):
    """One row of `SUMMARY`."""

    model: str
    version: str
    variant: str
    cohorts: int
    processes: int
    windows: int
    start_ns: int
    end_ns: int
    calls: int
    rows: int


LABEL_CELLS = ("label_cells",)
"""The columns with labels per feature cell."""


class StoreReader:
    """Reads the SQLite store at *path*; holds nothing open between calls.

    Args:
        path: the SQLite file.
        sketches: kinds of sketches to read too; True for all. They are most of a store's bytes.
        label_cells: whether to read labels per feature cell, which no check uses and which are most of a part with labels. A part
            that schema 3 or a former one wrote has them in any case.
    """

    def __init__(self, path: str | Path, *, sketches: bool | Sequence[str] = True, label_cells: bool = True) -> None:
        self._path = Path(path)
        self._sketches = sketches
        self._without = () if label_cells else LABEL_CELLS

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self._path

    @property
    def annotations_path(self) -> Path:
        """The SQLite file itself."""
        return self._path

    def parts(self, interval: Interval) -> list[tuple[int, Window]]:
        """Return (id, part) for every stored part in *interval*; ids are unique over all stores.

        Raises:
            StoreError: the store is missing, foreign, damaged or too new.
        """
        with reading(self._path) as connection:
            store = store_number(connection) << STORE_SHIFT
            return [(store | window_id, window) for window_id, window in self._windows(connection, interval)]

    def references(self) -> list[ReferenceRow]:
        """Return every stored reference profile.

        Raises:
            StoreError: the store is missing, foreign, damaged or too new.
        """
        with reading(self._path) as connection:
            return [ReferenceRow(*row) for row in connection.execute("SELECT * FROM reference_profiles")]

    def summaries(self) -> list[SeriesSummary]:
        """Return a summary of the store, per model, version and variant.

        Raises:
            StoreError: the store is missing, foreign, damaged or too new.
        """
        with reading(self._path) as connection:
            return [SeriesSummary(*row) for row in connection.execute(SUMMARY)]

    def held_bytes(self) -> int:
        """Return the size of the file and its write-ahead log."""
        log = self._path.with_name(self._path.name + "-wal")
        return sum(path.stat().st_size for path in (self._path, log) if path.exists())

    def last_written_ns(self) -> int | None:
        """Return when the newest window was written, by the writer's wall clock; None without windows.

        Raises:
            StoreError: the store is missing, foreign, damaged or too new.
        """
        with reading(self._path) as connection:
            (written,) = connection.execute("SELECT max(written_ns) FROM windows").fetchone()
            return None if written is None else int(written)

    def mark(self) -> tuple[int, int]:
        """Return a value that changes when a part is added: the store's number and its last window.

        Raises:
            StoreError: the store is missing, foreign, damaged or too new.
        """
        with reading(self._path) as connection:
            (last,) = connection.execute("SELECT max(window_id) FROM windows").fetchone()
            return store_number(connection), last or 0

    def spans(self) -> set[tuple[str, int, int]]:
        """Return model, start and end of all windows, each once.

        Raises:
            StoreError: the store is missing, foreign, damaged or too new.
        """
        with reading(self._path) as connection:
            return set(connection.execute(SPANS).fetchall())

    def _windows(self, connection: sqlite3.Connection, interval: Interval) -> Iterator[tuple[int, Window]]:
        condition, bounds = interval.condition()
        belonging = f"JOIN windows USING (window_id) WHERE {condition}"
        query = (
            f"SELECT window_id, {features_query(columns_of(connection, 'features'))} "  # noqa: S608
            f"FROM features {belonging} GROUP BY window_id ORDER BY window_id"
        )
        features = groupby(connection.execute(query, bounds), itemgetter(0))
        sketches: Iterator[tuple[int, Iterator[Row]]] = iter(())
        if self._sketches:
            chosen, kinds = chosen_kinds(self._sketches)
            query = f"SELECT window_id, feature, kind, body FROM sketches {belonging}{chosen} ORDER BY window_id"  # noqa: S608 - our own text
            sketches = groupby(connection.execute(query, [*bounds, *kinds]), itemgetter(0))
        feature_groups, sketch_groups = _Ordered(features), _Ordered(sketches)
        names = columns_or_null(connection, "windows", WINDOW_COLUMNS, without=self._without)
        query = f"SELECT {names} FROM windows WHERE {condition} ORDER BY window_id"  # noqa: S608 - our own text
        for row in connection.execute(query, bounds):
            yield row[0], self._window(row, feature_groups.take(row[0]), sketch_groups.take(row[0]))

    def _window(self, row: Row, features: Sequence[Row], sketches: Sequence[Row]) -> Window:
        """Return the window of a row of ``windows``, its row of `features_query`, if any, and its rows of ``sketches``.

        Raises:
            StoreError: it is damaged.
        """
        try:
            return window_from(parsed(dict(zip(WINDOW_COLUMNS, row, strict=True))), feature_part(features, sketches))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{self._path}: window {row[0]} is damaged ({error}): remove it with the sqlite3 shell, "
                f"table windows, window_id {row[0]}"
            ) from error


def chosen_kinds(sketches: Literal[True] | Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the additional condition on table ``sketches``, for SQLite and DuckDB, and its parameters; empty for True."""
    if isinstance(sketches, bool):
        return "", ()
    return f" AND kind IN ({', '.join('?' * len(sketches))})", sketches


class _Ordered:
    """Groups by ascending id, for a caller that requests ascending ids, some of which may be missing."""

    def __init__(self, groups: Iterator[tuple[int, Iterator[Row]]]) -> None:
        self._groups = groups
        self._next = next(groups, None)

    def take(self, window_id: int) -> list[Row]:
        if self._next is None or self._next[0] != window_id:
            return []
        rows = list(self._next[1])
        self._next = next(self._groups, None)
        return rows


def parsed(columns: dict[str, Any]) -> dict[str, Any]:
    """Return a row of ``windows`` with its JSON columns parsed."""
    texts = ["null" if columns[name] is None else unpacked(columns[name]) for name in JSON_COLUMNS]
    documents = json.loads(f"[{','.join(texts)}]")  # in one go, which takes half as long
    columns.update(zip(JSON_COLUMNS, documents, strict=True))
    return columns


def feature_part(features: Sequence[Row], sketches: Sequence[Row]) -> FeaturePart:
    """Return the part of a window that its row of `features_query`, if any, and its rows of ``sketches`` hold."""
    return FeaturePart(
        parsed_group(features[0][1:]) if features else parsed_features(()),
        {(feature, kind): body for _, feature, kind, body in sketches},
    )
