"""Connections to a store: opened for one transaction and closed after it; errors include what to do next.

A server keeps no connection. A SQLite connection must not be used across ``fork`` (the child would rely on file locks that only its parent
holds), it detects neither a deleted nor a replaced file, and the exiting thread would have to close it. The cost, once per window: closing
checkpoints the write-ahead log, which waits for the disk.

The agent, which commits every few seconds or faster, keeps one (`KeptConnection`): the log is then copied when it has
grown to `LOG_PAGES`, and a commit waits for no disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from radiosonde._descriptors import abandon
from radiosonde._files import prepare
from radiosonde._sqlite import BUSY_TIMEOUT_S, commit, is_busy, switch_to_wal, told, when_free
from radiosonde._sqlite_gate import BUSY_STATEMENT_S, GATE
from radiosonde.errors import StoreError
from radiosonde.store.schema import create, is_store, upgrade

PAGE_BYTES = 16384
"""A sketch is 1 to 5 kB: at SQLite's usual 4096 a window of 60 sketches takes 252 kB, at 16384 it takes 159 kB."""

Found = TypeVar("Found")

_FREE_RATIO = 0.125
"""Share of free pages from which the file is made smaller."""

LOG_PAGES = 256
"""Pages of the write-ahead log (4 MiB) after which a kept connection copies it into the file."""


class KeptConnection:
    """One writing connection for many transactions. The caller lets one thread in at a time.

    Args:
        path: the SQLite file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        GATE.keep(self)

    def take(self) -> sqlite3.Connection:
        """Return the connection, a new one if the file was removed or replaced."""
        if self._connection is not None and self._file != _identity(self._path):
            self.close()
        if self._connection is None:
            self._connection = _open_to_write(self._path)
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            self._file = _identity(self._path)
        return self._connection

    def close(self) -> None:
        """Close the connection; the next transaction opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def disown(self) -> None:
        """Forget the connection of a parent process."""
        if self._connection is not None:
            abandon(self._connection)
        self._connection = None


@contextmanager
def writing(path: Path, kept: KeptConnection | None = None) -> Iterator[sqlite3.Connection]:
    """Open the store at *path* inside one write transaction, making the file if there is none.

    Commits at the end; an exception rolls everything back.

    Args:
        path: the SQLite file.
        kept: use its connection, and leave it open unless the transaction fails.

    Raises:
        StoreError: the folder is missing, the file is foreign, damaged, too new, locked, or cannot be written.
    """
    if not path.parent.is_dir():
        raise StoreError(f"folder {path.parent} does not exist: create it, or choose another path for the store")
    with told(path), when_free(partial(_begun, path, kept)) as connection:
        is_done = False
        try:
            try:
                if not is_store(connection, path):
                    create(connection)
                upgrade(connection)
                yield connection
                commit(connection)
                _give_back(connection)
                is_done = True
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        finally:
            if kept is None:
                connection.close()
            elif not is_done:
                kept.close()


def _begun(path: Path, kept: KeptConnection | None) -> sqlite3.Connection:
    """Return a connection in a write transaction; a connection opened here is closed if that fails."""
    connection = _open_to_write(path) if kept is None else kept.take()
    try:
        connection.execute("BEGIN IMMEDIATE")
    except BaseException as error:
        if kept is None:
            connection.close()
        elif not is_busy(error):
            kept.close()
        raise
    return connection


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the store at *path* read-only inside one transaction: all queries see the same instant.

    Raises:
        StoreError: there is no such file, or it is foreign, damaged or too new.
    """
    with told(path):
        connection = _begun_to_read(path, BUSY_TIMEOUT_S)
        try:
            yield connection
        finally:
            connection.close()


def look_up(path: Path, find: Callable[[sqlite3.Connection], Found]) -> Found:
    """Return the result of *find* on the store at *path*: `reading` for a process that may be forked meanwhile.

    Raises:
        StoreError: as for `reading`.
    """

    def look() -> Found:
        connection = _begun_to_read(path, BUSY_STATEMENT_S)
        try:
            return find(connection)
        finally:
            connection.close()

    with told(path), when_free(look) as found:
        return found


def _begun_to_read(path: Path, timeout_s: float) -> sqlite3.Connection:
    if not path.is_file():
        raise StoreError(f"no store at {path}: check the path, or start a server that writes one there")
    connection = _open_to_read(path, timeout_s)
    has_tables = False
    try:
        connection.execute("BEGIN")
        has_tables = is_store(connection, path)
    finally:
        if not has_tables:
            connection.close()
    if not has_tables:
        raise StoreError(f"{path} is an empty file: nothing has been written to this store yet")
    return connection


def _open_to_write(path: Path) -> sqlite3.Connection:
    prepare(path)
    connection = sqlite3.connect(path, timeout=BUSY_STATEMENT_S, isolation_level=None, check_same_thread=False)
    try:
        _settle(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the identity of a file, which differs from that of a replacement; None for a missing file."""
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def _settle(connection: sqlite3.Connection, path: Path) -> None:
    """Apply settings that cannot be changed inside a transaction."""
    if not is_store(connection, path):
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table, or never
    switch_to_wal(connection)


def _give_back(connection: sqlite3.Connection) -> None:
    """Return free pages to the disk when they are a notable part of the file; fewer are simply used again."""
    pages, free = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    if free <= pages * _FREE_RATIO:
        return
    # The batch is committed: another process being busy now must not be reported as a failure.
    with suppress(sqlite3.OperationalError):
        # executescript, because execute() steps a statement without columns once, which frees one page.
        connection.executescript("PRAGMA incremental_vacuum")


def _open_to_read(path: Path, timeout_s: float) -> sqlite3.Connection:
    # Not mode=ro: such a connection may not tidy away the write-ahead log that every reader makes beside the store.
    address = f"file:{quote(str(path.absolute()))}?mode=rw"
    connection = sqlite3.connect(address, uri=True, timeout=timeout_s, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise
        # A store in a folder that cannot be written: SQLite cannot make its shared-memory file there, and need not.
        connection = sqlite3.connect(f"{address}&immutable=1", uri=True, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    return connection
