"""Storage for the rows of batches: one mapping, used as a circular buffer of contiguous blocks.

A batch's call takes one slot of the ring like any other; its rows would take hundreds, so they are copied here and the
slot's header holds the position. Positions count up for ever (position modulo size is the place), so a reader knows
that a block is whole when no more than ``size`` values have been reserved since its position. The mapping is made at
the first batch: servers that predict single rows never pay for it. Its first 64 bytes hold the head, the floor and the oldest block in use,
for other processes; with a spool it is a file.

The floor is the position below which blocks are no longer needed. Before a writer overwrites blocks above it, their outputs are counted
(`radiosonde._ring.reclaim`); only features are lost. A block is in use from its reservation until its record has ended; the position of the
oldest block in use is shared too, and the consumer keeps the floor below it.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from radiosonde._descriptors import abandon
from radiosonde._native import RLock, get_ident
from radiosonde._ring.descriptors import map_file
from radiosonde._ring.spool import create_file

_HEAD_BYTES = 64
"""Before the values: the head, alone in its cache line."""


class BatchArena:
    """Contiguous blocks of float64 rows in a circular mapping.

    Args:
        size_bytes: size of the mapping. A block larger than half of it is refused; writers thin such batches first.
        path: file to map; None maps anonymous memory.

    Attributes:
        make_room: called before a block of that many values would overwrite blocks that are still needed.
    """

    def __init__(self, size_bytes: int, path: Path | None = None) -> None:
        self.size = size_bytes // 8
        self._path = path
        self._values: NDArray[np.float64] | None = None
        self._shared: NDArray[np.int64] | None = None  # head, floor, oldest in use + 1, as other processes see them
        self._used: dict[
            int, bool
        ] = {}  # positions of blocks in use, and whether they are to be kept; each step atomic
        self._is_attached = False
        self._head = 0  # values ever reserved; guarded by _lock, read without it (one int, atomic)
        self._lock = RLock()
        self._owner = 0  # the thread inside `_reserve`
        self.make_room: Callable[[int], None] = _make_no_room

    def let_go(self) -> None:
        """Forget `make_room`, whose object holds the ring, which holds this arena. No block is reserved afterwards."""
        self.make_room = _make_no_room

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

    @property
    def floor(self) -> int:
        """Position below which blocks may be overwritten; grows only."""
        self._look()
        return 0 if self._shared is None else int(self._shared[1])

    @floor.setter
    def floor(self, position: int) -> None:
        if self._shared is not None and position > self._shared[1]:
            self._shared[1] = position

    @property
    def oldest_used(self) -> int:
        """Position of the oldest block in use; the position of the next block if there is none."""
        reserved = self.reserved  # first: blocks reserved after this lie beyond
        used = 0 if self._shared is None else int(self._shared[2])
        return min(reserved, used - 1) if used else reserved

    def release(self, position: int) -> None:
        """Release the block at *position*, whose record has ended or has moved to another block."""
        self._used.pop(position, None)
        self._share_oldest()

    def free(self) -> None:
        """Let writers go over all blocks but those that are to be kept."""
        for position, is_kept in list(self._used.items()):
            if not is_kept:
                self._used.pop(position, None)
        self._share_oldest()
        self.floor = self.oldest_used

    def _share_oldest(self) -> None:
        """Share the oldest position in use. Without a lock: a signal handler that ends a batch may interrupt the holder of one."""
        shared = self._shared
        while shared is not None:
            oldest = min(list(self._used), default=-1) + 1
            shared[2] = oldest
            if (
                oldest == min(list(self._used), default=-1) + 1
            ):  # else another thread may have shared a newer one before
                return

    def is_free(self, values: int) -> bool:
        """Return whether a block of *values* overwrites nothing that is still needed."""
        place = self._head % self.size
        skipped = self.size - place if place + values > self.size else 0
        return self._head + skipped + values - self.floor <= self.size

    def reserve(self, values: int, *, keep: bool = False) -> int:
        """Return the position of a new block of *values* float64, or -1 when it is refused.

        It is in use until `release`. With *keep* it is not overwritten meanwhile; without, overwriting loses its features only.

        Refused are blocks above `largest`, and a reservation that interrupts another one on the same thread (a signal
        handler or finaliser that predicts): waiting there would be waiting for oneself.
        """
        thread = get_ident()
        if values > self.largest or self._owner == thread:
            return -1
        for may_ask_again in (True, True, False):
            if not self.is_free(values):
                self.make_room(values)
            position = self._reserve(values, keep=keep, may_wait=may_ask_again)
            if position >= 0:
                break
        return position

    def _reserve(self, values: int, *, keep: bool, may_wait: bool) -> int:
        """Reserve a block; with *may_wait*, return -1 where it would go over one in use, because others were faster."""
        thread = get_ident()
        with self._lock:
            if self._owner:  # held by this thread: a signal handler interrupted it since the check in `reserve`
                return -1
            self._owner = thread
            try:
                if self._shared is None:
                    self._shared = self._map(self._create())
                if may_wait and not self.is_free(values):
                    return -1
                place = self._head % self.size
                if place + values > self.size:
                    self._head += self.size - place
                position = self._head
                self._used[position] = keep
                self._share_oldest()  # before the head: a reader of the new head finds this block in use
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
        """Return whether nothing has been written over the block at *position* yet."""
        return self.reserved - position <= self.size

    @classmethod
    def attach(cls, path: Path) -> Self:
        """Open the arena of another process for reading; its file may come later, with the first batch."""
        arena = cls(0, path)
        arena._is_attached = True
        return arena

    def abandon(self) -> None:
        """Keep the mapping of a file for the life of the process, whose host has closed its descriptor."""
        if self._shared is not None and self._path is not None:
            abandon(self._shared)

    def _look(self) -> None:
        if self._is_attached and self._shared is None and self._path is not None:
            try:
                with self._path.open("r+b") as file:
                    mapped = map_file(file.fileno())
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
            return map_file(descriptor, size_bytes)
        finally:
            os.close(descriptor)

    def _map(self, mapped: mmap.mmap) -> NDArray[np.int64]:
        self._values = np.frombuffer(mapped, dtype=np.float64, offset=_HEAD_BYTES)
        return np.frombuffer(mapped, dtype=np.int64, count=3)


def _make_no_room(values: int) -> None:
    """No-op for an arena without a writer."""
