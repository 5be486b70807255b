"""Descriptors that the host may close, and whose numbers may then belong to a file of the host's.

Code that makes a daemon of a process closes all descriptors from 3 on (``os.closerange``), ours included, and the next file that the
host opens takes one of their numbers. Writing to such a number writes into the host's file, reading takes bytes from the host's
socket, closing it closes the host's file. The device and the inode of a descriptor are therefore remembered when it is opened, and
compared before each use: one `os.fstat`, half a microsecond. A host that closes and opens between that check and the use is not
protected; the operating system offers no way to protect it.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Any

_ABANDONED: list[object] = []
"""What could not be made immortal, on a Python without its C interface."""

Identity = tuple[int, int]
"""Device and inode of a file."""


def identity(descriptor: int) -> Identity | None:
    """Return the identity of the file open under a number; None if it is closed."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Descriptor:
    """A descriptor that was just opened by the caller, who uses it only while `is_open`.

    Args:
        number: of the descriptor.

    Attributes:
        number: the same; -1 after `close`.
    """

    __slots__ = ("_identity", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self._identity = identity(number)

    @property
    def is_open(self) -> bool:
        """Whether the number still belongs to the file that was opened."""
        return self.number >= 0 and self._identity is not None and identity(self.number) == self._identity

    def close(self) -> None:
        """Close the file; nothing if the host has done so."""
        number, is_open, self.number = self.number, self.is_open, -1
        if is_open:
            with suppress(OSError):
                os.close(number)


def open_descriptors() -> dict[int, Identity]:
    """Return the descriptors of this process that refer to regular files; empty where the system does not list them."""
    found = {}
    with suppress(OSError):
        for name in os.listdir("/dev/fd"):  # noqa: PTH208 - a link to /proc/self/fd on Linux
            with suppress(OSError):
                status = os.fstat(int(name))
                if stat.S_ISREG(status.st_mode):
                    found[int(name)] = (status.st_dev, status.st_ino)
    return found


def abandon(owner: Any) -> None:
    """Keep an object for the life of the process, its exit included: its finaliser would close numbers that are the host's now."""
    try:
        import ctypes  # numpy has imported it

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner))
    except (ImportError, AttributeError):
        _ABANDONED.append(owner)
