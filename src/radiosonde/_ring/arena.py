"""Where the rows of batches wait: one mapping, filled front to back and around, blocks contiguous.

A batch's call takes one slot of the ring like any other; its rows would take hundreds, so they are copied here and the
slot's header holds the position. Positions count up for ever (position modulo size is the place), so a reader knows
that a block is whole when no more than ``size`` bytes have been reserved since its position. The mapping is made at
the first batch: servers that predict single rows never pay for it.
"""

from __future__ import annotations

import mmap
import threading

import numpy as np
from numpy.typing import NDArray


class BatchArena:
    """Contiguous blocks of float64 rows in a circular mapping.

    Args:
        size_bytes: size of the mapping. A block larger than half of it is refused; writers thin such batches first.
    """

    def __init__(self, size_bytes: int) -> None:
        self.size = size_bytes // 8
        self._values: NDArray[np.float64] | None = None
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
        return self._head

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
            if self._values is None:
                self._values = np.frombuffer(mmap.mmap(-1, self.size * 8), dtype=np.float64)
            place = self._head % self.size
            if place + values > self.size:
                self._head += self.size - place
            position = self._head
            self._head = position + values
            self._owner = 0
        return position

    def block(self, position: int, rows: int, columns: int) -> NDArray[np.float64]:
        """Return the block at *position* as a writable view, shape (rows, columns)."""
        if self._values is None:
            raise IndexError("the arena has no block yet")
        place = position % self.size
        return self._values[place : place + rows * columns].reshape(rows, columns)

    def is_whole(self, position: int) -> bool:
        """Say whether nothing has been written over the block at *position* yet."""
        return self._head - position <= self.size
