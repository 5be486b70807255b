"""Totals that a process leaves in the spool, one small file per kind: counts by name, and runtime health.

::

    header   64 bytes: magic, layout, bytes of a record, pid, generation (one byte); the rest is zero
    records  two of the same size

Totals, not increments: a reader that reads late, reads twice or succeeds a killed reader still finds everything.

The writer fills the record that is not in force, then puts it in force by writing the generation, one byte. A process killed
at any instruction therefore leaves its last whole record, and a reader that finds the same generation before and after
has read one; neither needs a lock. The file is locked like a ring (`radiosonde._ring.spool`): once the lock is free, its record is final.

Records are numpy structures and not JSON: their size is known before the first write, so the space is claimed on the disk
once, and writing cannot fail later. The layout is a checksum of the structure. A version of the library with another field
refuses the file instead of misreading it.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from radiosonde._descriptors import Descriptor, abandon
from radiosonde._ring.spool import create_file, is_removed
from radiosonde.errors import SpoolError
from radiosonde.model import RuntimeCounts
from radiosonde.model.fields import FIXED_AXES, FLOAT, INT, declarations

_HEADER: Final = struct.Struct("<8sIIQB39x")
_GENERATION: Final = 24
_TRIES: Final = 100
"""Largest number of retries of a read. A writer writes at most once a second, so few conflicts in a row are possible."""

Value = TypeVar("Value")


class PageKind(NamedTuple, Generic[Value]):
    """Contents of a page of counts.

    Attributes:
        name: of the kind, in messages; also the suffix of its files.
        magic: first 8 bytes of its files.
        record: structure of a record.
        pack: returns the record of a value, shape ().
        unpack: returns the value of a record.
    """

    name: str
    magic: bytes
    record: np.dtype[Any]
    pack: Callable[[Value], NDArray[Any]]
    unpack: Callable[[Any], Value]

    @property
    def suffix(self) -> str:
        """Suffix of its files in the spool."""
        return f".{self.name}"

    @property
    def layout(self) -> int:
        """Checksum of the structure of its records."""
        return zlib.crc32(repr(self.record.descr).encode())

    @property
    def size_bytes(self) -> int:
        """Size of its files."""
        return _HEADER.size + 2 * self.record.itemsize

    def place(self, generation: int) -> slice:
        """Return where the record of a generation lies."""
        start = _HEADER.size + generation % 2 * self.record.itemsize
        return slice(start, start + self.record.itemsize)


# Counts by name ------------------------------------------------------------------------------------------------------

ENTRIES: Final = 127
"""Names a page of counts holds; losses, label results and places of errors together are fewer."""

_COUNTS_RECORD: Final = np.dtype([("entries", [("name", "S56"), ("count", "<u8")], (ENTRIES,))])


def _pack_counts(counts: Mapping[str, int]) -> NDArray[Any]:
    """Return a record of the first `ENTRIES` names, each cut to 56 bytes."""
    record = np.zeros((), _COUNTS_RECORD)
    entries = [(name.encode()[:56], count) for name, count in counts.items()][:ENTRIES]
    record["entries"][: len(entries)] = entries
    return record


def _unpack_counts(record: Any) -> Mapping[str, int]:
    return {name.decode(errors="replace"): int(count) for name, count in record["entries"].tolist() if name}


COUNTS: Final[PageKind[Mapping[str, int]]] = PageKind(
    "counts", b"RADICNTS", _COUNTS_RECORD, _pack_counts, _unpack_counts
)
"""Counts outside of the rings: losses, label results, internal errors."""


# Runtime health ------------------------------------------------------------------------------------------------------


class HealthReading(NamedTuple):
    """Contents of a page of health.

    Attributes:
        time_ns: when the totals were taken, wall clock.
        total: totals since the process began to count; levels as last seen.
    """

    time_ns: int
    total: RuntimeCounts


_TYPES: Final = {FLOAT: "<f8", INT: "<i8"}


def _structure(kind: Any) -> np.dtype[Any]:
    """Return the structure of a group of declared fields, so that a new one needs no line here."""
    return np.dtype(
        [
            (each.name, _TYPES[each.dtype] if each.group is None else _structure(each.group),
             tuple(FIXED_AXES[axis] for axis in each.axes))
            for each in declarations(kind)
        ]
    )  # fmt: skip


def _fill(record: Any, group: Any) -> None:
    kind: Any = type(group)
    for each in declarations(kind):
        value = getattr(group, each.name)
        if each.group is None:
            record[each.name] = value
        else:
            _fill(record[each.name], value)


def _group_of(kind: Any, record: Any) -> Any:
    values = {}
    for each in declarations(kind):
        value = record[each.name]
        values[each.name] = (
            _group_of(each.group, value) if each.group is not None else value.copy() if each.axes else value.item()
        )
    return kind(**values)


_HEALTH_RECORD: Final = np.dtype([("time_ns", "<i8"), ("total", _structure(RuntimeCounts))])


def _pack_health(reading: HealthReading) -> NDArray[Any]:
    record = np.zeros((), _HEALTH_RECORD)
    record["time_ns"] = reading.time_ns
    _fill(record["total"], reading.total)
    return record


def _unpack_health(record: Any) -> HealthReading:
    return HealthReading(int(record["time_ns"]), _group_of(RuntimeCounts, record["total"]))


HEALTH: Final = PageKind("health", b"RADIVITA", _HEALTH_RECORD, _pack_health, _unpack_health)
"""Runtime health of the process, see `radiosonde.model.RuntimeCounts`."""


# The file ------------------------------------------------------------------------------------------------------------


class ProcessPage(Generic[Value]):
    """The writing end.

    Args:
        path: the file to create.
        kind: type of its contents.

    Raises:
        SpoolError: it cannot be created.
    """

    def __init__(self, path: Path, kind: PageKind[Value]) -> None:
        header = _HEADER.pack(kind.magic, kind.layout, kind.record.itemsize, os.getpid(), 0)
        self._path, self._kind = path, kind
        self._held = Descriptor(create_file(path, kind.size_bytes, header))
        self._memory = mmap.mmap(self._held.number, kind.size_bytes)
        self._generation = 0

    @property
    def is_removed(self) -> bool:
        """Whether the file was removed, or the host has closed it and with it the lock."""
        return is_removed(self._path) or not self._held.is_open

    def write(self, value: Value) -> None:
        """Replace the contents; readers find either the previous or the new ones."""
        following = self._generation % 254 + 1  # alternately odd and even; 0: nothing was written yet
        self._memory[self._kind.place(following)] = self._kind.pack(value).tobytes()
        self._memory[_GENERATION] = self._generation = following

    def close(self) -> None:
        """Release the file; its record is final."""
        if not self._held.is_open:
            abandon(self._memory)  # it would close the number of its own descriptor
        self._held.close()


def read_page(path: Path, kind: PageKind[Value]) -> Value | None:
    """Return the contents of the page at *path*; None when nothing was written yet.

    Raises:
        SpoolError: it is gone, torn, foreign or has another layout.
    """
    try:
        content = _stable_content(path, kind.size_bytes)
    except OSError as error:
        raise SpoolError(f"{path} cannot be read: {error.strerror}; remove it if its process is gone") from error
    is_ours = len(content) >= _HEADER.size and content.startswith(kind.magic)
    _, layout, record_bytes, _, generation = _HEADER.unpack_from(content) if is_ours else (b"", 0, 0, 0, 0)
    if is_ours and (layout, record_bytes) != (kind.layout, kind.record.itemsize):
        raise SpoolError(f"{path} was written by another version of Radiosonde; drain it with that version")
    if not is_ours or len(content) != kind.size_bytes:
        raise SpoolError(
            f"{path} is damaged, or not a {kind.name} page of Radiosonde; remove it if its process is gone"
        )
    if not generation:
        return None
    return kind.unpack(np.frombuffer(content[kind.place(generation)], kind.record)[0])


def _stable_content(path: Path, size_bytes: int) -> bytes:
    """Return the content of a page, read between two writes."""
    with path.open("rb", buffering=0) as file:
        for _ in range(_TRIES):
            content = os.pread(file.fileno(), size_bytes + 1, 0)
            if os.pread(file.fileno(), 1, _GENERATION) == content[_GENERATION : _GENERATION + 1]:
                return content
    raise SpoolError(f"{path} changes faster than it can be read; remove it if its process is gone")
