"""Where the rows of batches wait: one mapping, filled front to back and around, blocks contiguous.

A batch's call takes one slot of the ring like any other; its rows would take hundreds, so they are copied here and the
slot's header holds the position. Positions count up for ever (position modulo size is the place), so a reader knows
that a block is whole when no more than ``size`` values have been reserved since its position. The mapping is made at
the first batch: servers that predict single rows never pay for it. Its first 64 bytes hold the head, for readers in
other processes; with a spool it is a file.
"""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from radiosonde._ring.spool import create_file

_HEAD_BYTES = 64
"""Before the values: the head, alone in its cache line."""


class BatchArena:
    """Contiguous blocks of float64 rows in a circular mapping.

    Args:
        size_bytes: size of the mapping. A block larger than half of it is refused; writers thin such batches first.
        path: file to map; None maps anonymous memory.
    """

    def __init__(self, size_bytes: int, path: Path | None = None) -> None:
        self.size = size_bytes // 8
        self._path = path
        self._values: NDArray[np.float64] | None = None
        self._shared: NDArray[np.int64] | None = None  # one element: the head, as other processes see it
        self._is_attached = False
        self._head = 0  # values ever reserved; guarded by _lock, read without it (one int, atomic)
        self._lock = threading.Lock()
        self._owner = 0

    @property
    def largest(self) -> int:
        """Number of values in the largest block that is accepted."""
        return self.size // 2

    @property
    def reserved(self) -> int:
        """Values ever reserved; grows only."""
        if not self._is_attached:
            return self._head
        self._look()
        return 0 if self._shared is None else int(self._shared[0])

    def reserve(self, values: int) -> int:
        """Return the position of a new block of *values* float64, or -1 when it is refused.

        Refused are blocks above `largest`, and a reservation that interrupts another one on the same thread (a signal
        handler or finaliser that predicts): waiting there would be waiting for oneself.
        """
        thread = threading.get_ident()
        if values > self.largest or self._owner == thread:
            return -1
        with self._lock:
            self._owner = thread
            try:
                if self._shared is None:
                    self._shared = self._map(self._create())
                place = self._head % self.size
                if place + values > self.size:
                    self._head += self.size - place
                position = self._head
                self._head = position + values
                self._shared[0] = self._head
            finally:  # no memory, or an exception raised by a signal handler
                self._owner = 0
        return position

    def block(self, position: int, rows: int, columns: int) -> NDArray[np.float64]:
        """Return the block at *position* as a writable view, shape (rows, columns)."""
        if self._values is None:
            self._look()
        if self._values is None:
            raise IndexError("the arena has no block yet")
        place = position % self.size
        return self._values[place : place + rows * columns].reshape(rows, columns)

    def is_whole(self, position: int) -> bool:
        """Say whether nothing has been written over the block at *position* yet."""
        return self.reserved - position <= self.size

    @classmethod
    def attach(cls, path: Path) -> Self:
        """Open the arena of another process for reading; its file may come later, with the first batch."""
        arena = cls(0, path)
        arena._is_attached = True
        return arena

    def _look(self) -> None:
        if self._is_attached and self._shared is None and self._path is not None:
            try:
                with self._path.open("r+b") as file:
                    mapped = mmap.mmap(file.fileno(), 0)
            except (OSError, ValueError):
                return
            self.size = (len(mapped) - _HEAD_BYTES) // 8
            self._shared = self._map(mapped)

    def _create(self) -> mmap.mmap:
        size_bytes = self.size * 8 + _HEAD_BYTES
        if self._path is None:
            return mmap.mmap(-1, size_bytes)
        descriptor = create_file(self._path, size_bytes)
        try:
            return mmap.mmap(descriptor, size_bytes)
        finally:
            os.close(descriptor)

    def _map(self, mapped: mmap.mmap) -> NDArray[np.int64]:
        self._values = np.frombuffer(mapped, dtype=np.float64, offset=_HEAD_BYTES)
        return np.frombuffer(mapped, dtype=np.int64, count=1)
