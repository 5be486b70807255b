"""Shared handling of SQLite files: waiting for other processes, identification, WAL mode, and advice for errors.

Loaded only when such a file is opened: `import radiosonde` does not load `sqlite3`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from radiosonde._clock import NS, monotonic_ns, sleep
from radiosonde._sqlite_gate import GATE
from radiosonde.errors import StoreError

BUSY_TIMEOUT_S = 5.0
"""How long a writer waits for another process's transaction, each a few milliseconds, before its batch is refused."""

CACHE_KIB = 512
"""Page cache of a connection. SQLite's default of 2 MiB would be a tenth of Radiosonde's memory in a host. The operating system caches the
file anyway: the rate of joined labels is the same (bench_join)."""

_RETRY_S = 0.01

Result = TypeVar("Result")

_ADVICE = {
    "SQLITE_BUSY": f"another process has held the store for over {BUSY_TIMEOUT_S:g} s; stop it, or write to another file",
    "SQLITE_CANTOPEN": "check that the path is a file this user may read and write",
    "SQLITE_CORRUPT": "the file is damaged; move it aside, and a new one is created at the next write",
    "SQLITE_FULL": "the disk is full; free space, or lower the store's max_bytes",
    "SQLITE_IOERR": "the disk failed or is full; check the system log",
    "SQLITE_NOTADB": "the file is not a Radiosonde store, or is damaged; move it aside or give another path",
    "SQLITE_PERM": "check that this user may write the file and its folder",
    "SQLITE_READONLY": "check that this user may write the file and its folder",
}


@contextmanager
def when_free(begin: Callable[[], Result]) -> Iterator[Result]:
    """Yield the result of *begin*, inside the gate; *begin* is retried while another process is busy.

    Between the calls the gate is open for a fork. *begin* must therefore close what it has opened when it raises.

    Raises:
        sqlite3.OperationalError: the other process was busy for `BUSY_TIMEOUT_S`.
    """
    begun = _enter_when_free(begin)
    try:
        yield begun
    finally:
        GATE.leave()


def _enter_when_free(begin: Callable[[], Result]) -> Result:
    until_ns = monotonic_ns() + round(BUSY_TIMEOUT_S * NS)
    while True:
        GATE.enter()
        try:
            return begin()
        except BaseException as error:
            GATE.leave()
            if not is_busy(error) or monotonic_ns() >= until_ns:
                raise
        sleep(_RETRY_S)


def commit(connection: sqlite3.Connection) -> None:
    """Commit with retries: a file without a write-ahead log is committed only when it has no readers.

    This wait for another process is inside the gate, because the transaction is open. It ends when a fork waits.

    Raises:
        sqlite3.OperationalError: a reader was active for `BUSY_TIMEOUT_S`, or while this process wanted to fork.
    """
    until_ns = monotonic_ns() + round(BUSY_TIMEOUT_S * NS)
    while True:
        try:
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or GATE.is_awaited or monotonic_ns() >= until_ns:
                raise
        else:
            return


def is_busy(error: BaseException) -> bool:
    """Whether *error* says that another process has the file."""
    name = getattr(error, "sqlite_errorname", "")
    return isinstance(error, sqlite3.OperationalError) and name.startswith("SQLITE_BUSY")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Convert any SQLite error in the block to a `StoreError` with what to do next."""
    try:
        yield
    except (sqlite3.Error, OverflowError) as error:  # the latter: an integer beyond 64 bits
        name = getattr(error, "sqlite_errorname", "")
        advice = next(
            (text for code, text in _ADVICE.items() if name.startswith(code)), "nothing was changed; please report this"
        )
        raise StoreError(f"{path}: {error}: {advice}") from error


def is_ours(connection: sqlite3.Connection, path: Path, *, application_id: int, version: int) -> bool:
    """Return True for a file of *application_id* that this version reads, False for a database with nothing in it.

    Raises:
        StoreError: the database is something else, or its schema is newer than *version*.
    """
    # One statement is atomic: with two, a store that another process creates meanwhile would match neither case.
    application, found, tables = connection.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) "
        "FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if application == application_id and found <= version:
        return True
    if application == application_id:
        raise StoreError(
            f"{path} has schema {found}, this version of Radiosonde reads up to {version}: "
            f"upgrade with `pip install --upgrade radiosonde`"
        )
    if application or found or tables:
        raise StoreError(f"{path} is a SQLite database of another application: choose another path for the store")
    return False


def switch_to_wal(connection: sqlite3.Connection) -> None:
    """Set the write-ahead log and the bound of the cache, outside a transaction.

    A failure to switch is harmless: the slower journal is used, and the next writer retries. In WAL mode
    ``synchronous = NORMAL`` loses at most the last transactions on a power cut, none when a process is killed, and never
    breaks the file.
    """
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
