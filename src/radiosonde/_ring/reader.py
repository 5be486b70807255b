"""Reader side of a ring: takes finished records and tallies, and tracks records in flight.

Predictions end in another order than they begin. The reader takes every record that is done in ``[taken, head)``,
moves on to the head, and keeps the few that were still running as stragglers for later drains. A prediction of 800 ms therefore delays no
other, and the number of stragglers is the number of predictions in flight. Records that a writer had to reclaim arrive as a tally
(`radiosonde._ring.tally`): counts, no rows.

Records are taken under the ring's lock, `PIECE` at a time, and copied as bytes: numpy keeps the interpreter lock over so
few, and a caller that needs room waits for one piece.

Bounds: at most ``capacity`` records per drain. Marks lie a cache line apart, so reading all of them (8192 slots) would cost 50 us per idle
poll; `glance` reads a few, and a drain reads those of the slots in question.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde._ring.block import Block, Gathering
from radiosonde._ring.layout import (
    HEADER,
    HEADER_BYTES,
    IN_FLIGHT,
    LIVE_SPAN,
    MARK_WORD,
    MOVED,
    OUTPUT_CLASS,
    OUTPUT_SCORE,
    SERIES_MASK,
)
from radiosonde._ring.reclaim import batch_outputs
from radiosonde._ring.ring import Ring

PIECE = 500
"""Records taken under one hold of the lock."""

WAIT_S = 1.0
"""How long a drain waits for a writer that reclaims; one that is stopped meanwhile is drained the next time."""

_SCANNED = 1024
"""Slots scanned at a time for the end of the records."""


class RingReader:
    """The single consumer of a ring. Owner: the consumer thread.

    Attributes:
        overwritten: records that were overwritten before anybody took them.
        abandoned: indices that were taken and never written.
        in_flight: predictions in progress at the last drain.
        tallies: counts of reclaimed records since the last `take_tallies`.
        batch_rows_lost: rows of batches whose outputs were overwritten.
    """

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._cursor = 0
        self._stragglers: set[int] = set()
        self._tallied = self._durable = 0
        self.tallies: list[NDArray[Any]] = []
        self.overwritten = 0
        self.abandoned = 0
        self.in_flight = 0
        self.batch_rows_lost = 0

    def progress(self) -> tuple[int, tuple[int, ...], int]:
        """Return the cursor, the stragglers and the last tally, for `resume`, possibly in another process."""
        return self._cursor, tuple(sorted(self._stragglers)), self._tallied

    def resume(self, cursor: int, stragglers: Iterable[int], tallied: int = 0) -> None:
        """Go on where another reader of this ring has left off.

        Records that it took and did not make durable are taken again, unless writers have reused their slots since.
        """
        ring, control = self._ring, self._ring.control
        if not ring.lock.acquire(WAIT_S):
            return
        try:
            given, taken = control.given, control.taken
            self.overwritten += max(0, min(given, taken) - cursor)
            self._cursor = control.taken = max(cursor, given)
            self._stragglers = {index for index in stragglers if index >= given}
            control.left[:] = False
            for index in self._stragglers:
                control.left[index & (ring.capacity - 1)] = True
            self._tallied = self._durable = tallied
            control.give_back(tallied)
        finally:
            ring.lock.release()

    def mark_durable(self, tallied: int) -> None:
        """Return the buffers of the tallies up to number *tallied*, which are no longer needed."""
        self._durable = tallied
        self._ring.control.give_back(tallied)

    def joined(self, parts: Iterable[tuple[NDArray[Any], NDArray[np.int64]]]) -> list[Block]:
        """Return headers and indices that a writer has kept as blocks without rows."""
        return [
            _parted(self._in_order(Block(headers, np.empty((len(headers), 0)), indices))) for headers, indices in parts
        ]

    def take_tallies(self) -> list[NDArray[Any]]:
        """Return the counts of reclaimed records since the last call."""
        taken, self.tallies = self.tallies, []
        return taken

    def waiting(self) -> int:
        """Return the number of records begun since the last drain, whether done or not."""
        marks = self._ring.headers["mark"]
        return max(0, (int(marks.max()) >> 2) - max(self._cursor, self._ring.control.given))

    def glance(self) -> int:
        """Estimate how many records have begun since the last drain, from a dozen marks where `waiting` reads all.

        Slots are marked in the order of their indices, but for the few that were just reserved, so bisection finds the
        newest to within a sixteenth; never more than there are.
        """
        words, mask, cursor = self._ring.words, self._ring.capacity - 1, max(self._cursor, self._ring.control.given)
        stride = HEADER_BYTES // 8
        # Doubling first, because most polls find few.
        enough, above = 0, 32
        while above <= mask and words[(cursor + above - 1 & mask) * stride + MARK_WORD] >> 2 >= cursor + above:
            enough, above = above, 2 * above
        while above - enough > max(1, enough // 16):
            trial = (enough + above) // 2
            if words[(cursor + trial - 1 & mask) * stride + MARK_WORD] >> 2 >= cursor + trial:
                enough = trial
            else:
                above = trial
        return enough

    def _find_head(self) -> int:
        """Return the index after the newest record; records behind a gap of `_SCANNED` slots are found by a later drain."""
        capacity, marks = self._ring.capacity, self._ring.headers["mark"]
        cursor = max(self._cursor, self._ring.control.given)
        head = start = cursor
        while start < cursor + capacity:
            low = start & (capacity - 1)
            high = min(low + _SCANNED, capacity, low + cursor + capacity - start)
            newest = int(marks[low:high].max()) >> 2
            if newest <= start:
                break
            head, start = max(head, newest), start + high - low
        # Apparently nothing new, but slots that were taken and never marked may precede new records.
        return head if head > cursor else max(head, int(marks.max()) >> 2)  # numpy 1 shifts no unsigned scalar

    def drain(self) -> Block:
        """Return the records that are done and have not been returned yet, in the order of their indices."""
        # In this order: untaken records below the head are in use by now, and records that begin later lie beyond it.
        floor = self._ring.arena.oldest_used
        head = self._find_head()
        gathering = Gathering(self._ring.features, len(self._stragglers) + max(0, head - self._cursor))
        gathering.add(self._take_stragglers())
        for _ in range(self._ring.capacity):
            before = self._cursor
            if before >= head:
                break
            gathering.add(self._take_piece(head))
            if self._cursor == before:
                break  # a writer holds the lock and does not come to an end
        self._take_tally()
        if self._cursor >= head:
            self._ring.arena.floor = floor
        return _parted(self._in_order(gathering.block()))

    def _take_tally(self) -> None:
        ring = self._ring
        if not ring.lock.acquire(WAIT_S):
            return
        try:
            tally = ring.control.seal(self._durable)
        finally:
            ring.lock.release()
        if tally is not None and tally.number > self._tallied:
            self._tallied = tally.number
            self.tallies.append(tally.entries)

    def _take_stragglers(self) -> Block | None:
        """Take stragglers of earlier drains that have ended; those reclaimed meanwhile are counted by the writer."""
        ring, left = self._ring, self._ring.control.left
        self.in_flight = 0
        if not self._stragglers or not ring.lock.acquire(WAIT_S):
            self.in_flight = len(self._stragglers)
            return None
        try:
            given, mask = ring.control.given, ring.capacity - 1
            running = {index for index in self._stragglers if index >= given}
            ended = []
            for index in sorted(running):
                holder, state = divmod(ring.words[(index & mask) * (HEADER_BYTES // 8) + MARK_WORD], 4)
                if holder == index + 1 and state > IN_FLIGHT:
                    ended.append(index)
                elif holder > index + 1:
                    self.overwritten += 1
                    running.discard(index)
                elif holder == index + 1:
                    self.in_flight += 1
            self._stragglers = running.difference(ended)
            if not ended:
                return None
            indices = np.array(ended)
            slots = indices & mask
            left[slots] = False
            return self._copied(ring.headers[slots].copy(), ring.rows[slots].copy(), indices)
        finally:
            ring.lock.release()

    def _take_piece(self, head: int) -> Block | None:
        """Take the next records up to *head*, at most `PIECE` and not beyond the end of the ring."""
        ring, control = self._ring, self._ring.control
        if not ring.lock.acquire(WAIT_S):
            return None
        try:
            start = max(self._cursor, control.given)
            if start >= head:
                self._cursor = start
                return None
            slot = start & (ring.capacity - 1)
            size = min(PIECE, head - start, ring.capacity - slot)
            # Marks first: a record done before the copy is whole in it. One that ends meanwhile is taken by the next drain.
            marks = ring.headers["mark"][slot : slot + size].copy()
            at, row_at = ring.header_offset + slot * HEADER_BYTES, ring.rows_offset + slot * 8 * ring.features
            headers = np.frombuffer(bytearray(ring.memory[at : at + size * HEADER_BYTES]), dtype=HEADER)
            rows = np.frombuffer(ring.memory[row_at : row_at + size * 8 * ring.features]).reshape(size, ring.features)
            wanted = np.arange(start, start + size)
            held = (marks >> np.uint64(2)).astype(np.int64) - 1
            is_done = (held == wanted) & ((marks & np.uint64(3)) > IN_FLIGHT)
            # Records being taken are overwritten only by a signal handler that predicts more than there is room for.
            is_torn = is_done & (ring.headers["mark"][slot : slot + size] != marks)
            is_done &= ~is_torn
            if not is_done.all():
                self.overwritten += int(np.count_nonzero((held > wanted) | is_torn))
                running = wanted[~is_done & ~is_torn & (held <= wanted)]
                self.in_flight += int(np.count_nonzero((held == wanted) & ~is_done & ~is_torn))
                self._stragglers.update(running.tolist())
                control.left[running & (ring.capacity - 1)] = True
                headers, rows, wanted = headers[is_done], rows[is_done], wanted[is_done]
            self._cursor = control.taken = start + size
            return self._copied(headers, rows, wanted)
        finally:
            ring.lock.release()

    def _copied(self, headers: NDArray[Any], rows: NDArray[np.float64], indices: NDArray[np.int64]) -> Block:
        """Return a block with the outputs of its batches, still under the lock: afterwards writers may go over them."""
        places = np.flatnonzero(
            (headers["batch"] > 0)
            & (headers["error"] == 0)
            & ((headers["output_kind"] == OUTPUT_CLASS) | (headers["output_kind"] == OUTPUT_SCORE))
        )
        if not len(places):
            return Block(headers, rows, indices)
        outputs = np.full(len(headers), None, dtype=np.object_)
        for place in places.tolist():
            outputs[place] = batch_outputs(self._ring, headers[place])
            if outputs[place] is None:
                self.batch_rows_lost += int(headers["rows"][place])
        return Block(headers, rows, indices, None, outputs)

    def _in_order(self, block: Block) -> Block:
        """Return the records in the order of the indices predictions began with."""
        if not len(block):
            return block
        is_moved = (block.headers["series"] & np.uint32(MOVED)) > 0
        if is_moved.any():
            block.indices[is_moved] = _first_indices(block.indices[is_moved], block.headers["rows_begun"][is_moved])
        if len(block) > 1 and not (np.diff(block.indices) > 0).all():
            block = block.part(np.argsort(block.indices, kind="stable"))
        return block


def _first_indices(indices: NDArray[np.int64], low: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return the indices that predictions began with, from those they ended with and the low 32 bits of the former."""
    found = (indices & ~0xFFFFFFFF) | low.astype(np.int64)
    return np.where(found > indices, found - (1 << 32), found)


def _parted(block: Block) -> Block:
    """Leave in the headers the ids of live spans only, and put those of surrounding spans into `Block.parents`.

    Done once, here, so that any span id in a header may be referenced.
    """
    headers = block.headers
    if not len(headers) or (not headers["span_id"].any() and not (headers["series"] > SERIES_MASK).any()):
        return block
    is_live = headers["series"] >= LIVE_SPAN
    headers["series"] &= np.uint32(SERIES_MASK)
    if is_live.all() or not headers["span_id"].any():
        return block
    parents = np.zeros((len(block), 3), dtype=np.uint64)
    for column, name in enumerate(("trace_hi", "trace_lo", "span_id")):
        parents[:, column] = np.where(is_live, np.uint64(0), headers[name])
        headers[name][~is_live] = 0
    return Block(headers, block.rows, block.indices, parents, block.outputs)
