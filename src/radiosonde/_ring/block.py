"""Records copied out of a ring, and how the pieces that a drain takes are put together.

A drain may take a megabyte or two, which is released after its turn. On the heap of the draining thread that memory would stay with the
process; therefore pieces are small, and the buffer that joins them is mapped and returns to the system as a whole. One small mapping
stays and serves most drains, because a new one costs more than the copy.
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from dataclasses import dataclass
from sys import getrefcount
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from radiosonde._ring.anonymous import anonymous_memory
from radiosonde._ring.layout import HEADER, HEADER_BYTES

_WHOLE = np.dtype(("V", HEADER_BYTES))
"""A header as one thing: copied field by field they would take ten times as long."""

KEPT_BYTES = 640 << 10
"""Memory kept for the next drain: 1 700 records of 30 features, a fifth of a ring. New pages cost 0.25 us a record, more than the rest of a
drain (bench_drain, drain-copy)."""

_kept: list[mmap.mmap] = []
"""At most one mapping per process, for whichever thread drains next."""


def _take_memory(size_bytes: int) -> mmap.mmap:
    """Return a mapping of at least *size_bytes* that nothing else uses: the kept one once the last array over it is gone, else a new one."""
    if size_bytes > KEPT_BYTES:
        return anonymous_memory(size_bytes)
    memory = None
    with suppress(IndexError):
        memory = _kept.pop()  # atomic: a thread that drains at the same time finds none and maps one
    if memory is None or _references(memory) != _ALONE:
        memory = anonymous_memory(KEPT_BYTES)
    _kept[:] = [memory]
    return memory


def _references(memory: object) -> int:
    return getrefcount(memory)


def _references_of_one_name() -> int:
    memory = object()
    return _references(memory)


_ALONE = _references_of_one_name()
"""References to what only one local name refers to. Asked for, because interpreters differ in whether a call counts its argument."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Records copied out of a ring.

    Attributes:
        headers: structured array of `radiosonde._ring.layout.HEADER`, shape (records,). Its trace and span ids are those
            of spans that exist, else 0, and its series is a plain code.
        rows: feature rows, shape (records, features); meaningless where the header's batch is not 0.
        indices: record indices, shape (records,).
        parents: per record the ids (trace id high, low, span id) of the span around a prediction that made none, zeros
            where nothing was around it, shape (records, 3); None when no record has any.
        outputs: per record the outputs of its batch, shape (kept, 2), or None; None when no record is a batch with outputs.
    """

    headers: NDArray[np.void]
    rows: NDArray[np.float64]
    indices: NDArray[np.int64]
    parents: NDArray[np.uint64] | None = None
    outputs: NDArray[np.object_] | None = None

    def __len__(self) -> int:
        return len(self.headers)

    def part(self, chosen: slice | NDArray[Any]) -> Self:
        """Return the records at *chosen*: a slice is a view, a mask or positions are a copy."""
        parents = None if self.parents is None else self.parents[chosen]
        outputs = None if self.outputs is None else self.outputs[chosen]
        return type(self)(self.headers[chosen], self.rows[chosen], self.indices[chosen], parents, outputs)


class Gathering:
    """Pieces on their way into one block, in the order in which they come.

    Args:
        features: values of a row.
        most: records that all pieces together may have.
    """

    def __init__(self, features: int, most: int) -> None:
        self._features, self._most = features, most
        self._first: Block | None = None
        self._whole: Block | None = None
        self._outputs: NDArray[np.object_] | None = None
        self._used = 0

    def add(self, piece: Block | None) -> None:
        """Add a piece; the only one stays as it is."""
        if piece is None or not len(piece):
            return
        if self._first is None:
            self._first = piece
            return
        if self._whole is None:
            self._whole = self._room()
            self._copy(self._whole, self._first)
        self._copy(self._whole, piece)

    def block(self) -> Block:
        """Return all of them as one block."""
        if self._whole is not None:
            used, outputs = slice(self._used), self._outputs
            found = self._whole.part(used)
            return found if outputs is None else Block(found.headers, found.rows, found.indices, None, outputs[used])
        if self._first is not None:
            return self._first
        return Block(np.empty(0, dtype=HEADER), np.empty((0, self._features)), np.empty(0, dtype=np.int64))

    def _room(self) -> Block:
        header_bytes, row_bytes = self._most * HEADER_BYTES, self._most * 8 * self._features
        memory = _take_memory(header_bytes + row_bytes)
        headers = np.frombuffer(memory, dtype=HEADER, count=self._most)
        rows = np.frombuffer(memory, dtype=np.float64, count=self._most * self._features, offset=header_bytes)
        return Block(headers, rows.reshape(self._most, self._features), np.empty(self._most, dtype=np.int64))

    def _copy(self, whole: Block, piece: Block) -> None:
        start, self._used = self._used, self._used + len(piece)
        chosen = slice(start, self._used)
        whole.headers.view(_WHOLE)[chosen] = piece.headers.view(_WHOLE)
        whole.rows[chosen] = piece.rows
        whole.indices[chosen] = piece.indices
        if piece.outputs is not None:
            if self._outputs is None:
                self._outputs = np.full(self._most, None, dtype=np.object_)
            self._outputs[chosen] = piece.outputs
