"""Counts of a process outside of its rings: losses, label results, internal errors. One small file in the spool.

::

    page     64 bytes: magic, version, entries, pid; the rest is zero
    entries  127 x 64 bytes: name (56 bytes of UTF-8, padded with zeros), count (u64)

Only counts grow, only the writer writes, and a count is one aligned word, so a reader in another process needs no lock: it
finds a count as it was a moment ago. A name is written before its count. The file is locked like a ring
(`radiosonde._ring.spool`): when nobody holds it any more its counts are final. It is made when there is something to count.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from radiosonde._ring.spool import create_file, is_removed
from radiosonde.errors import SpoolError

MAGIC: Final = b"RADICNTS"
VERSION: Final = 1
ENTRIES: Final = 127

_PAGE: Final = struct.Struct("<8sIIQ40x")
_ENTRY: Final = struct.Struct("<56sQ")
_COUNT: Final = struct.Struct("<Q")
_SIZE_BYTES: Final = _PAGE.size + ENTRIES * _ENTRY.size


class CountsPage:
    """The writing end.

    Args:
        path: the file to make.

    Raises:
        SpoolError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = create_file(path, _SIZE_BYTES, _PAGE.pack(MAGIC, VERSION, ENTRIES, os.getpid()))
        self._memory = mmap.mmap(self._descriptor, _SIZE_BYTES)
        self._places: dict[str, int] = {}

    @property
    def is_removed(self) -> bool:
        """Whether somebody removed the file."""
        return is_removed(self._path)

    def write(self, counts: Mapping[str, int]) -> None:
        """Set the counts of these names; names beyond the last entry are left out (there are not that many)."""
        for name, count in counts.items():
            place = self._places.get(name)
            if place is None:
                if len(self._places) == ENTRIES:
                    continue
                place = self._places[name] = _PAGE.size + len(self._places) * _ENTRY.size
                self._memory[place : place + 56] = name.encode()[:56].ljust(56, b"\0")
            _COUNT.pack_into(self._memory, place + 56, count)

    def close(self) -> None:
        """Let go of the file: its counts are final."""
        os.close(self._descriptor)


def read_counts(path: Path) -> dict[str, int]:
    """Return the counts in a file by name.

    Raises:
        SpoolError: it is gone, torn, foreign or from a newer version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SpoolError(f"{path} cannot be read: {error.strerror}; remove it if its process is gone") from error
    if len(content) != _SIZE_BYTES or not content.startswith(MAGIC):
        raise SpoolError(f"{path} is torn or no page of counts of Radiosonde's; remove it if its process is gone")
    _, version, entries, _ = _PAGE.unpack_from(content)
    if (version, entries) != (VERSION, ENTRIES):
        raise SpoolError(f"{path} has layout {version}, this version reads {VERSION}; drain it with its own version")
    found = (_ENTRY.unpack_from(content, _PAGE.size + place * _ENTRY.size) for place in range(entries))
    return {name.rstrip(b"\0").decode(errors="replace"): count for name, count in found if name[0]}
