"""Lock for taking records out of a ring: held by its consumer or a reclaiming writer.

A lock within the process, and with an agent also a POSIX lock on one byte of the ring's file, which the kernel releases when a process
dies. Held for microseconds, never while waiting for anything else. Recording takes neither.

A thread that holds it can be interrupted by a signal handler or a finaliser that predicts and comes here again: it is
refused at once, because waiting would be waiting for itself.
"""

from __future__ import annotations

import os

try:
    import fcntl
except ImportError:  # Windows, where no other process takes records out
    fcntl = None  # type: ignore[assignment]

from radiosonde._clock import NS, monotonic_ns
from radiosonde._descriptors import Descriptor
from radiosonde._native import OwnedLock, sleep
from radiosonde._ring.spool import is_locked

_PLACE = 1
"""Byte of the ring's file that is locked; byte 0 is locked while the writer lives (`radiosonde._ring.spool`)."""

_AGAIN_S = 0.0002


class SlotLock:
    """The lock of one ring in one process.

    Args:
        descriptor: of the ring's file, where another process takes records too; else None. If the host closes it, the lock is refused.

    Attributes:
        is_refused_by_process: whether the last attempt failed because another process held it.
    """

    def __init__(self, descriptor: Descriptor | None = None) -> None:
        self._descriptor = descriptor
        self._mutex = OwnedLock()
        self.is_refused_by_process = False

    @property
    def is_mine(self) -> bool:
        """Whether this thread holds the lock: the caller has interrupted it."""
        return self._mutex.is_mine

    @property
    def is_written(self) -> bool:
        """Whether the process that writes the ring lives, as seen by another process; also after the file was removed."""
        return self._descriptor is not None and self._descriptor.is_open and is_locked(self._descriptor.number)

    def acquire(self, wait_s: float) -> bool:
        """Take the lock within *wait_s* seconds; return whether it was taken. Never, where this thread holds it."""
        if not self._mutex.acquire(max(0.0, wait_s)):
            return False
        if self._descriptor is None or self._lock_file(self._descriptor, wait_s):
            self.is_refused_by_process = False
            return True
        self.is_refused_by_process = True
        self._mutex.release()
        return False

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None and self._descriptor.is_open:
            fcntl.lockf(self._descriptor.number, fcntl.LOCK_UN, 1, _PLACE, os.SEEK_SET)
        self._mutex.release()

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            self._descriptor.close()
            self._descriptor = None

    @staticmethod
    def _lock_file(descriptor: Descriptor, wait_s: float) -> bool:
        if not descriptor.is_open:
            return False
        until_ns = monotonic_ns() + round(wait_s * NS)
        while True:
            try:
                fcntl.lockf(descriptor.number, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _PLACE, os.SEEK_SET)
            except OSError:
                if monotonic_ns() >= until_ns:
                    return False
                sleep(_AGAIN_S)
            else:
                return True
