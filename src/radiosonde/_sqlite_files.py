"""The descriptors that SQLite keeps open for one connection, and what follows when the host closes them.

SQLite keeps the numbers of its descriptors and writes to them unchecked. Its tables of open files are shared by all connections of the
process. A connection whose descriptors were closed can therefore not simply be replaced: a new one to the same file would use
the old one's descriptor of the log's index.

Where the numbers are still free, the same files are opened under the same numbers, and the connection is closed in the ordinary way.
Where the host has opened something else under one of them, or a file is gone, the connection is abandoned: it is neither used nor closed, and
this process does not open the file again (`StoreError`, and the caller counts the loss).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where numbers are not closed in ranges
    fcntl = None  # type: ignore[assignment]

from radiosonde._descriptors import Identity, abandon, identity, open_descriptors
from radiosonde.errors import StoreError

_SUFFIXES = ("", "-wal", "-shm")

_ABANDONED: set[Identity] = set()
"""Files that an abandoned connection of this process refers to."""


class SqliteFiles:
    """The open files of one connection.

    Args:
        path: the database.

    Raises:
        StoreError: an abandoned connection of this process refers to the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        check_usable(path)
        self._before = open_descriptors()
        self._held: dict[int, tuple[Path, Identity]] = {}

    def find(self) -> None:
        """Find the descriptors that were opened since this object was made. For a connection that has read something."""
        paths = {each: path for path in self._paths() if (each := _identity_of(path)) is not None}
        self._held = {
            number: (paths[each], each)
            for number, each in open_descriptors().items()
            if each in paths and self._before.get(number) != each
        }
        self._before = {}

    @property
    def are_lost(self) -> bool:
        """Whether the host has closed one of them."""
        return any(identity(number) != each for number, (_, each) in self._held.items())

    def close(self, connection: sqlite3.Connection) -> None:
        """Close the connection, or abandon it."""
        if self.are_lost and not self._restore():
            abandon(connection)
            for _, each in self._held.values():
                _ABANDONED.add(each)
        else:
            connection.close()
        self._held = {}

    def _paths(self) -> list[Path]:
        return [self._path.with_name(self._path.name + suffix) for suffix in _SUFFIXES]

    def _restore(self) -> bool:
        """Open the closed files again under their numbers; return whether all are open."""
        return all(
            identity(number) == each or _open_as(number, path, each) for number, (path, each) in self._held.items()
        )


def check_usable(path: Path) -> None:
    """Check that no abandoned connection of this process refers to the database at *path*.

    Raises:
        StoreError: one does.
    """
    if _ABANDONED and _identity_of(path) in _ABANDONED:
        raise StoreError(
            f"{path}: this process closed descriptors of the store that it had not opened itself, and opened other files under their "
            "numbers; nothing is stored there until the process is restarted. Close such descriptors before the first prediction"
        )


def _identity_of(path: Path) -> Identity | None:
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def _open_as(number: int, path: Path, wanted: Identity) -> bool:
    """Open the file at *path* under a number that is free; return whether that was possible."""
    try:
        opened = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return False
    if opened == number and identity(opened) == wanted:
        return True
    try:
        if identity(opened) != wanted:
            return False
        # Not dup2, which would close a file that another thread opens under the number just now.
        copied = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, number)
        if copied == number:
            return True
        os.close(copied)
    except OSError:
        return False
    finally:
        os.close(opened)
    return False
