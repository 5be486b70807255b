"""The texts behind a ring's codes, in an append-only file beside it: cohorts, classes, error types, phases, categories.

A record is ``<HHIHI`` (table, feature, code, bytes, CRC-32 of the text) and the text in UTF-8. It is one `os.write` to
a descriptor in append mode, made before the code is first used in the ring, so the text of every code in a slot is found here, also after
``kill -9``: written bytes belong to the kernel. Reading ends at a torn last record (a full disk).

Bounded by the tables' own bounds (`radiosonde._record.intern.Codes`); texts longer than `LONGEST_BYTES` are cut.

New names are rare once a model has been called for a while, so a process keeps only `KEPT_OPEN` files open, the ones written last.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from radiosonde._descriptors import Descriptor
from radiosonde._native import RLock
from radiosonde._ring.spool import remember

COHORTS, CLASSES, ERRORS, PHASES, CATEGORIES = range(5)
"""The tables. Only categories have a feature (its position); the others have 0."""

LONGEST_BYTES: Final = 4096

KEPT_OPEN: Final = 8
"""Files of names that a process keeps open for writing; the others are opened for each name. Arbitrary."""

_RECORD: Final = struct.Struct("<HHIHI")


class Name(NamedTuple):
    """One text."""

    table: int
    feature: int
    code: int
    text: str


class NameWriter:
    """Appends names to the file at *path*; any thread may call it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_closed = False
        self._file = Descriptor(os.open(path, _APPENDING | os.O_CREAT, 0o600))
        remember(path, self._file.number)
        self._lock = RLock()  # the number of a closed descriptor may be reused for another file
        self._keep()

    def _keep(self) -> None:
        """Close the file that was opened first if too many are open. Without waiting for its writer: two could wait for each other."""
        _OPEN[id(self)] = self
        while len(_OPEN) > KEPT_OPEN:
            try:
                _, oldest = _OPEN.popitem(last=False)
            except KeyError:  # another thread was faster
                return
            if not oldest.rest():
                _OPEN[id(oldest)] = oldest
                return

    def rest(self) -> bool:
        """Close the file until the next name; return False if a name is being written."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._file.close()
        finally:
            self._lock.release()
        return True

    def append(self, *names: Name) -> None:
        """Write names, all or none.

        Raises:
            OSError: the disk is full, or the file was removed; the name is missing then, and a reader shows its code.
        """
        records = b"".join(map(_recorded, names))
        with self._lock:
            if self._is_closed:
                return
            if not self._file.is_open:
                self._file = Descriptor(os.open(self._path, _APPENDING))
                self._keep()
            self._write(records)

    def _write(self, records: bytes) -> None:
        number = self._file.number
        written = os.write(number, records)
        if written < len(records):
            # Half a record would hide all that follow it, once there is room again.
            os.ftruncate(number, os.fstat(number).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Close the file; later appends are ignored."""
        with self._lock:
            self._is_closed = True
            _OPEN.pop(id(self), None)
            self._file.close()


_APPENDING: Final = os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)

_OPEN: OrderedDict[int, NameWriter] = OrderedDict()
"""Writers whose files are open, in the order in which they were opened."""


def _recorded(name: Name) -> bytes:
    text = name.text.encode(errors="replace")[:LONGEST_BYTES]
    return _RECORD.pack(name.table, name.feature, name.code, len(text), zlib.crc32(text)) + text


class NameReader:
    """Reads the names of a ring incrementally.

    Args:
        path: the file; a missing one has no names (yet).
        is_kept: keep it open between reads, because it may be removed meanwhile; requires `close`.
    """

    def __init__(self, path: Path, *, is_kept: bool = False) -> None:
        self._path, self._is_kept = path, is_kept
        self._offset = 0
        self._descriptor = -1

    def read(self) -> Iterator[Name]:
        """Yield the names that were added since the last call, up to the first torn record."""
        content = self._read()
        place = 0
        while place + _RECORD.size <= len(content):
            table, feature, code, length, checksum = _RECORD.unpack_from(content, place)
            text = content[place + _RECORD.size : place + _RECORD.size + length]
            if len(text) < length or zlib.crc32(text) != checksum:
                return
            place += _RECORD.size + length
            self._offset += _RECORD.size + length
            yield Name(table, feature, code, text.decode(errors="replace"))

    def _read(self) -> bytes:
        if self._descriptor < 0:
            try:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return b""
        try:
            return os.pread(self._descriptor, os.fstat(self._descriptor).st_size - self._offset, self._offset)
        finally:
            if not self._is_kept:
                self.close()

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
