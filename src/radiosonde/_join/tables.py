"""The tables of a join store in SQLite, and its one connection.

Unlike the windows' store (`radiosonde.store.connection`) it keeps a connection open: it is written at every turn of the
consumer, and closing the last connection of a file in WAL mode checkpoints it to the disk each time. So this file does what an open
connection requires: it is closed before a fork (`radiosonde._sqlite_gate`), a connection inherited through an unannounced fork is neither
used nor closed in the child, it is reopened when the file was moved or replaced, and one whose descriptors the host has closed is not used
(`radiosonde._sqlite_files`).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from radiosonde._descriptors import abandon
from radiosonde._files import prepare
from radiosonde._sqlite import commit, is_ours, switch_to_wal, told, when_free
from radiosonde._sqlite_files import SqliteFiles
from radiosonde._sqlite_gate import BUSY_STATEMENT_S, GATE
from radiosonde.errors import StoreError

APPLICATION_ID = 0x52534E4A
"""``RSNJ``; shown by ``file`` and ``PRAGMA application_id``."""

SCHEMA_VERSION = 1

PAGE_BYTES = 16384
"""A fragment of a thousand predictions is 44 to 100 kB."""

TABLES = (
    # Names of the codes of a fragment.
    """
    CREATE TABLE lanes (
        lane     INTEGER PRIMARY KEY AUTOINCREMENT,
        nonce    INTEGER NOT NULL,   -- of the ring; the middle of its prediction ids
        document TEXT    NOT NULL
    )
    """,
    "CREATE INDEX lanes_by_nonce ON lanes (nonce)",
    # Predictions that wait for their labels, up to 1024 of one page of indices in a row.
    """
    CREATE TABLE fragments (
        fragment  INTEGER PRIMARY KEY,
        nonce     INTEGER NOT NULL,
        page      INTEGER NOT NULL,  -- low 32 bits of the index, divided by 1024
        lane      INTEGER NOT NULL,
        newest_ns INTEGER NOT NULL,  -- start of the youngest
        rows      BLOB    NOT NULL,  -- 44 bytes each
        cells     BLOB    NOT NULL   -- one byte per feature each
    )
    """,
    "CREATE INDEX fragments_by_place ON fragments (nonce, page)",
    "CREATE INDEX fragments_by_age ON fragments (newest_ns)",
    # Labels in order of arrival; since_ns: first unsuccessful lookup. NULL: unreadable.
    "CREATE TABLE received (seq INTEGER PRIMARY KEY, id TEXT, value TEXT, time_ns INTEGER NOT NULL, since_ns INTEGER NOT NULL)",
    # Labels whose prediction is not there yet; nonce and page are NULL when the id is a caller's own.
    """
    CREATE TABLE waiting (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL, value TEXT NOT NULL, time_ns INTEGER NOT NULL, since_ns INTEGER NOT NULL,
        nonce INTEGER, page INTEGER
    )
    """,
    "CREATE INDEX waiting_by_place ON waiting (nonce, page)",
    "CREATE INDEX waiting_by_id ON waiting (id)",
    "CREATE INDEX waiting_by_age ON waiting (since_ns)",
    # Statements for a prediction: [has cells, [value, first ns, last ns], ...], the one in force first.
    """
    CREATE TABLE labelled (
        nonce    INTEGER NOT NULL,
        low      INTEGER NOT NULL,   -- low 32 bits of the index
        start_ns INTEGER NOT NULL,
        stated   TEXT    NOT NULL,
        PRIMARY KEY (nonce, low, start_ns)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE aliases (name TEXT PRIMARY KEY, target TEXT NOT NULL, start_ns INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX aliases_by_age ON aliases (start_ns)",
    # Joined and not yet acknowledged.
    """
    CREATE TABLE batches (
        id        TEXT    PRIMARY KEY,
        owner     TEXT    NOT NULL,
        leased_ns INTEGER NOT NULL,
        document  TEXT    NOT NULL,
        cells     BLOB    NOT NULL
    )
    """,
    # Per lane the youngest prediction that was dropped for lack of room.
    "CREATE TABLE horizons (nonce INTEGER PRIMARY KEY, start_ns INTEGER NOT NULL)",
)

LOG_PAGES = 256
"""Pages of the write-ahead log (4 MiB) after which it is checkpointed; a fork waits for the rest of it."""


class JoinFile:
    """One SQLite file and the connection to it. Guarded by its owner's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._files: SqliteFiles | None = None
        self._pid = self._inode = 0
        GATE.keep(self)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection inside one write transaction; an exception rolls everything back.

        Raises:
            StoreError: the file cannot be made, opened or written, or is something else.
        """
        with told(self.path), when_free(self._begun) as connection:
            try:
                yield connection
                if self._is_lost:
                    raise StoreError(
                        f"{self.path}: the descriptors of the store were closed by another part of this process during a transaction; "
                        "it is repeated"
                    )
                commit(connection)
            finally:
                if not self._is_lost and connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection for reading, outside a transaction.

        Raises:
            StoreError: as for `writing`.
        """
        with told(self.path), when_free(self._opened) as connection:
            yield connection

    def close(self) -> None:
        """Close the connection, if there is one; the next use opens another. Inside the gate, or while it is held."""
        if self._pid != os.getpid():
            self.disown()
        connection, self._connection = self._connection, None
        files, self._files = self._files, None
        if connection is not None and files is not None:
            files.close(connection)

    def disown(self) -> None:
        """Forget the connection of a parent process."""
        if self._connection is not None:
            abandon(self._connection)
        self._connection = self._files = None

    def _begun(self) -> sqlite3.Connection:
        connection = self._opened()
        connection.execute("BEGIN IMMEDIATE")
        return connection

    def _opened(self) -> sqlite3.Connection:
        connection = self._connection
        if connection is not None and self._pid == os.getpid() and self._is_in_place() and not self._is_lost:
            return connection
        self.close()
        if not self.path.parent.is_dir():
            raise StoreError(
                f"folder {self.path.parent} does not exist: create it, or choose another path for the join store"
            )
        prepare(self.path)  # SQLite gives its log the mode of the file
        files = SqliteFiles(self.path)
        connection = sqlite3.connect(self.path, timeout=BUSY_STATEMENT_S, isolation_level=None, check_same_thread=False)
        try:
            self._settle(connection)
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            self._inode = self.path.stat().st_ino
            files.find()
        except BaseException:
            connection.close()
            raise
        self._connection, self._files, self._pid = connection, files, os.getpid()
        return connection

    @property
    def _is_lost(self) -> bool:
        return self._files is not None and self._files.are_lost

    def _is_in_place(self) -> bool:
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def _settle(self, connection: sqlite3.Connection) -> None:
        if not self._is_made(connection):
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        switch_to_wal(connection)
        if self._is_made(connection):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not self._is_made(connection):  # another process may have been first
                for statement in TABLES:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _is_made(self, connection: sqlite3.Connection) -> bool:
        return is_ours(connection, self.path, application_id=APPLICATION_ID, version=SCHEMA_VERSION)
