"""A store that holds a copy of windows from elsewhere, each once, however often it is delivered.

Where windows come from, each has a process and a number, which counts up from 1 within the process. The numbers that were copied are kept as
spans, one row for a process in the usual case, and are written in the transaction that writes their windows: a copy that is killed at any
instant goes on where it was, and copies no window twice.

The bound of time from which on a source is listed never decreases. So the spans of a process can be forgotten as soon as none of its windows
is listed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from radiosonde.errors import StoreError
from radiosonde.model import Window
from radiosonde.store.compact import Tiers, compact
from radiosonde.store.connection import KeptConnection, writing
from radiosonde.store.inserting import encoded, insert_parts
from radiosonde.store.reader import ReferenceRow
from radiosonde.store.retention import MAX_BYTES, drop_beyond, drop_older

Span = tuple[int, int]
"""First and last of numbers that follow each other."""

COMPACTED_SLOTS = 50
"""Slots added up in one transaction."""

_TABLES = """
CREATE TABLE IF NOT EXISTS copied (
    source   TEXT    NOT NULL,  -- address
    process  TEXT    NOT NULL,
    first    INTEGER NOT NULL,  -- numbers of windows
    last     INTEGER NOT NULL,
    PRIMARY KEY (source, process, first)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS copied_until (
    source    TEXT PRIMARY KEY,
    newest_ns INTEGER NOT NULL,  -- end of the newest window of a copy that was complete
    floor_ns  INTEGER NOT NULL   -- windows that end before are listed no more
) WITHOUT ROWID
"""


class NumberedWindow(NamedTuple):
    """A window as a source delivers it.

    Attributes:
        process: identity of the process that numbered it.
        number: its number there.
        written_ns: when it was closed, by the wall clock of its process.
        window: the window.
    """

    process: str
    number: int
    written_ns: int
    window: Window


class CopyProgress(NamedTuple):
    """How far a copy has come.

    Attributes:
        newest_ns: end of the newest window when the copy was complete for the last time; 0 for never.
        floor_ns: windows that end before are listed no more; 0 for no bound.
    """

    newest_ns: int = 0
    floor_ns: int = 0


def spans_of(numbers: Iterable[int]) -> list[Span]:
    """Return *numbers*, in any order and with duplicates, as spans."""
    return joined((number, number) for number in numbers)


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return *spans* in ascending order, those that touch or overlap as one."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def without(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """Return the numbers of *spans* that are not in *others*; both as `joined` returns them."""
    found: list[Span] = []
    for first, last in spans:
        begin = first
        for other_first, other_last in others:
            if other_last < begin or other_first > last:
                continue
            if other_first > begin:
                found.append((begin, other_first - 1))
            begin = other_last + 1
        if begin <= last:
            found.append((begin, last))
    return found


class StoreCopy:
    """Writes the copy of one source into the store at *path*.

    Args:
        path: the SQLite file; made when missing, its folder must exist.
        source: name of the source.
        tiers: ages at which parts are added up and removed.
        max_bytes: beyond this the windows written first are removed.

    Raises:
        StoreError: no store can be opened or made at *path*.
    """

    def __init__(self, path: Path, source: str, *, tiers: Tiers | None = None, max_bytes: int = MAX_BYTES) -> None:
        self._path, self._source, self._tiers, self._max_bytes = path, source, tiers or Tiers(), max_bytes
        self._kept = KeptConnection(path)
        with writing(path, self._kept) as connection:
            for statement in _TABLES.split(";"):  # executescript would commit
                connection.execute(statement)

    def progress(self) -> CopyProgress:
        """Return how far the copy has come.

        Raises:
            StoreError: the store cannot be read.
        """
        with writing(self._path, self._kept) as connection:
            found = connection.execute(
                "SELECT newest_ns, floor_ns FROM copied_until WHERE source = ?", (self._source,)
            ).fetchone()
            return CopyProgress(*(found or ()))

    def copied(self) -> dict[str, list[Span]]:
        """Return the numbers that were copied, by process.

        Raises:
            StoreError: the store cannot be read.
        """
        with writing(self._path, self._kept) as connection:
            return self._copied(connection)

    def write(self, windows: Sequence[NumberedWindow]) -> int:
        """Write those of *windows* that are not there yet, in one transaction; return how many.

        Raises:
            StoreError: nothing was written; a window that no store can hold is named.
        """
        rows = [(each, encoded(each.window, each.process, each.written_ns)) for each in windows]
        with writing(self._path, self._kept) as connection:
            known = self._copied(connection, {each.process for each in windows})
            fresh = {
                (each.process, each.number): (each, part)
                for each, part in rows
                if without([(each.number, each.number)], known.get(each.process, []))
            }
            refused = [each for each, part in fresh.values() if part is None]
            parts = [(each, part) for each, part in fresh.values() if part is not None]
            refused += [parts[place][0] for place in insert_parts(connection, [part for _, part in parts])]
            if refused:
                raise StoreError(
                    f"{self._source}: window {refused[0].number} of process {refused[0].process} has numbers that no store can hold; "
                    f"delete the event"
                )
            added: dict[str, list[Span]] = {}
            for process, number in fresh:
                added.setdefault(process, []).append((number, number))
            for process, spans in added.items():
                self._replace(connection, process, joined([*known.get(process, []), *spans]))
        return len(fresh)

    def write_references(self, rows: Iterable[ReferenceRow]) -> None:
        """Write references; of one that is known, when it was written last.

        Raises:
            StoreError: nothing was written.
        """
        with writing(self._path, self._kept) as connection:
            connection.executemany(
                "INSERT INTO reference_profiles VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET written_ns = max(written_ns, excluded.written_ns)",
                list(rows),
            )

    def complete(self, progress: CopyProgress, listed: Collection[str] | None = None) -> None:
        """Note that everything that was listed is copied.

        Args:
            progress: how far the copy has come.
            listed: the processes of all windows that end after ``progress.floor_ns``: others are forgotten. None to forget none.

        Raises:
            StoreError: nothing was noted.
        """
        with writing(self._path, self._kept) as connection:
            connection.execute("INSERT OR REPLACE INTO copied_until VALUES (?, ?, ?)", (self._source, *progress))
            if listed is not None:
                gone = [(self._source, process) for process in self._copied(connection).keys() - set(listed)]
                connection.executemany("DELETE FROM copied WHERE source = ? AND process = ?", gone)

    def tidy(self, now_ns: int) -> None:
        """Add up and remove what is old, in steps of milliseconds, each of which is a transaction.

        Raises:
            StoreError: the store cannot be written; earlier steps stay.
        """
        step = 1
        while step:
            with writing(self._path, self._kept) as connection:
                drop_older(connection, now_ns - self._tiers.days_ns)
                drop_beyond(connection, self._max_bytes)
                step = compact(connection, now_ns, self._tiers, COMPACTED_SLOTS)

    def close(self) -> None:
        """Close the connection."""
        self._kept.close()

    def _copied(
        self, connection: sqlite3.Connection, processes: Collection[str] | None = None
    ) -> dict[str, list[Span]]:
        found: dict[str, list[Span]] = {}
        query = "SELECT process, first, last FROM copied WHERE source = ?"
        if processes is None:
            rows: Iterable[tuple[str, int, int]] = connection.execute(query, (self._source,))
        else:
            rows = (
                row
                for process in processes
                for row in connection.execute(f"{query} AND process = ?", (self._source, process))
            )
        for process, first, last in rows:
            found.setdefault(process, []).append((first, last))
        return {process: joined(spans) for process, spans in found.items()}

    def _replace(self, connection: sqlite3.Connection, process: str, spans: Sequence[Span]) -> None:
        connection.execute("DELETE FROM copied WHERE source = ? AND process = ?", (self._source, process))
        connection.executemany(
            "INSERT INTO copied VALUES (?, ?, ?, ?)", [(self._source, process, *span) for span in spans]
        )


def missing(listed: Mapping[str, Sequence[Span]], copied: Mapping[str, Sequence[Span]]) -> dict[str, list[Span]]:
    """Return the numbers of *listed* that are not in *copied*, by process."""
    found = {process: without(spans, copied.get(process, [])) for process, spans in listed.items()}
    return {process: spans for process, spans in found.items() if spans}
