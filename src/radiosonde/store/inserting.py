"""Rows of windows into the tables of a store: as a whole or, where SQLite refuses one, part by part."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from radiosonde.model import Window
from radiosonde.store.rows import (
    FEATURE_COLUMNS,
    WINDOW_COLUMNS,
    Row,
    feature_rows,
    readable,
    sketch_rows,
    window_row,
)

_INSERTS = (
    f"INSERT INTO windows ({', '.join(WINDOW_COLUMNS)}) VALUES ({', '.join('?' * len(WINDOW_COLUMNS))})",  # noqa: S608
    f"INSERT INTO features (window_id, {', '.join(FEATURE_COLUMNS)}) VALUES (?{', ?' * len(FEATURE_COLUMNS)})",  # noqa: S608
    "INSERT INTO sketches (window_id, feature, kind, body) VALUES (?, ?, ?, ?)",
)

REFUSALS = (
    TypeError,
    ValueError,
    AttributeError,
    KeyError,
    OverflowError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
"""Exceptions for a row that no store can hold, as opposed to failures of the store."""

Part = tuple[list[Row], list[Row], list[Row]]
"""Rows of the three tables that belong to one window, in the order of `_INSERTS`."""


def encoded(window: Window, process: str, written_ns: int) -> Part | None:
    """Return the rows of *window*; None for one that no row can hold, so that its neighbours are kept."""
    features = window.features
    try:
        return (
            [window_row(window, process=process, written_ns=written_ns)],
            [] if features is None else feature_rows(features),
            [] if features is None else sketch_rows(features),
        )
    except REFUSALS:
        return None


def insert_parts(connection: sqlite3.Connection, parts: list[Part]) -> list[int]:
    """Insert *parts* and return the places of those that SQLite refuses: all at once or, if there are some, one by one."""
    refused = []
    try:
        _insert_all(connection, parts)
    except REFUSALS:
        for place, part in enumerate(parts):
            try:
                _insert_all(connection, [part])
            except REFUSALS:
                refused.append(place)
    return refused


def _insert_all(connection: sqlite3.Connection, parts: list[Part]) -> None:
    first = next_window_id(connection)
    with savepoint(connection):
        for table, insert in enumerate(_INSERTS):
            insert_rows(connection, insert, [(first + i, *row) for i, part in enumerate(parts) for row in part[table]])


@contextmanager
def savepoint(connection: sqlite3.Connection) -> Iterator[None]:
    """Roll back the inserts of the block when a row is refused; the exception propagates."""
    connection.execute("SAVEPOINT part")
    try:
        yield
    except REFUSALS:
        connection.execute("ROLLBACK TO part")
        connection.execute("RELEASE part")
        raise
    connection.execute("RELEASE part")


def next_window_id(connection: sqlite3.Connection) -> int:
    """Return the id that the next window gets; ids are never given twice."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'windows'").fetchone()
    return 1 if row is None else int(row[0]) + 1


def insert_rows(connection: sqlite3.Connection, statement: str, rows: list[Row]) -> None:
    """Execute *statement* with each of *rows*, characters that UTF-8 cannot hold spelled out."""
    connection.execute("SAVEPOINT batch")
    try:
        connection.executemany(statement, rows)
    except UnicodeEncodeError:  # a lone surrogate in some name; rare, so not checked beforehand
        connection.execute("ROLLBACK TO batch")
        connection.executemany(statement, readable(rows))
    connection.execute("RELEASE batch")
