"""Writer side of a full ring: reclaims undrained slots and adds their records to a tally.

A starved consumer (one caller in a closed loop holds the interpreter lock; an agent's core is busy) drains too late. A writer that enters a
segment of the ring therefore frees the next one: slots that the consumer has taken are reused; other records are counted into a tally
(`radiosonde._ring.tally`) that the consumer adds later. The features of these records are not counted, which the window states; everything
else is exact.

A prediction that is still in flight delays no other. Its header and features are moved aside, and when it ends it is written again, with
its original id.

Callers: any thread that records, and a signal handler or finaliser that interrupts one of them here. One of them reclaims, under the ring's
lock; the others continue while there is room and wait when there is none. Code that interrupts its own thread here has one segment of room;
a handler that predicts more than that overwrites records, which are counted.
"""

from __future__ import annotations

import struct
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radiosonde._clock import NS, monotonic_ns
from radiosonde._ring.layout import (
    BATCH_OUTPUTS,
    BEGIN_BARE,
    DONE,
    END,
    END_OFFSET,
    HEADER,
    HEADER_BYTES,
    IN_FLIGHT,
    INPUT_NONE,
    INPUT_ROW,
    MARK_WORD,
    MOVED,
    OUTPUT_CLASS,
    OUTPUT_SCORE,
    PHASE_OFFSET,
    WAKES,
)
from radiosonde._ring.tally import CHUNK, Outputs, Tallier, calls_of, placed, unjoinable
from radiosonde.model import losses

if TYPE_CHECKING:
    from types import FrameType

    from radiosonde._ring.ring import Ring

AGAIN_S = 0.005
"""How long a writer without room waits before it retries."""

PATIENCE_NS = 10 * NS
"""Longest wait of a writer for room, and for the write to an index that was taken. Other threads of the process always finish; with many of
them beside one that is busy in Python it may take a second."""

PROCESS_NS = NS // 4
"""How long a writer without room waits for an agent that is taking records out this moment. Longer is a process that is stopped:
then the oldest records are overwritten, counted."""

RESTED_NS = 5 * NS
"""How long writers do not wait for that process again."""

BUSY_S = 0.02
"""How long a displaced prediction waits to be written; later another thread writes it."""

DISPLACED_BYTES = 4 << 20
"""Bytes of features kept of predictions in flight; those beyond keep only their header."""

JOINABLE_CHUNKS = 64
"""Chunks of headers of reclaimed records that wait for the consumer to remember them for their labels: at most 4 MB."""

_KIND_FIELD = 6
_PHASE = struct.Struct("<f")
_WORDS = HEADER_BYTES // 8
_BATCH = slice(48, 56)


@dataclass(slots=True)
class _Displaced:
    """A prediction in flight whose slot was reclaimed: its header, and its row where there is room."""

    header: bytearray
    row: bytes | None


class _Ended(NamedTuple):
    """A displaced prediction that has ended and waits for its new slot: index and mark there, and the fields to write."""

    place: int
    mark: int
    found: _Displaced


class Reclaimer:
    """Makes room in one ring. Any thread of the writing process.

    Args:
        ring: the ring.
        tallier: counts records whose slots are reclaimed, by the same edges as the consumer of the ring.
        lose: counts a named loss.
        wake: wakes the consumer.
    """

    def __init__(
        self,
        ring: Ring,
        tallier: Tallier,
        lose: Callable[[str, int], None],
        wake: Callable[[], None],
    ) -> None:
        self._ring = ring
        self._lose = lose
        self._wake = wake
        self._is_shared = ring.is_shared
        self._tallier = tallier
        self._joinable: deque[tuple[NDArray[Any], NDArray[np.int64]]] = deque()
        self._displaced: dict[int, _Displaced] = {}
        self._kept_bytes = 0
        self._late: deque[tuple[int, tuple[Any, ...], int, NDArray[Any] | None]] = deque()
        self._waiting: deque[_Ended] = deque()
        self._woken = 0
        self._stuck = -1, 0
        self._resting_ns = 0  # no writer waits before this time
        ring.arena.make_room = self.free_arena

    def succeed(self, former: Reclaimer) -> None:
        """Take over the predictions that wait to be remembered for their labels from the reclaimer of the former writer."""
        self._joinable.extend(former.take_joinable())

    # For writers -----------------------------------------------------------------------------------------------

    def make_room(self, index: int) -> None:
        """See that *index* has a slot, and that the next segment is free when its first index is taken."""
        ring = self._ring
        half = index // (ring.capacity // WAKES)
        if half > self._woken:
            self._woken = half
            self._wake()
        if index < ring.control.given + ring.capacity:
            if ring.lock.acquire(0.0):
                self._advance(index)
        else:
            self._wait_for_room(index)

    def _wait_for_room(self, index: int) -> None:
        """Reclaim, or wait for the thread that does, until *index* has a slot."""
        ring, began_ns = self._ring, monotonic_ns()
        while index >= ring.control.given + ring.capacity and not ring.lock.is_mine:
            # In short waits: the condition is room, not the lock, which sixteen others may wait for, too.
            if ring.lock.acquire(AGAIN_S):
                self._advance(index)
            elif ring.lock.is_refused_by_process and began_ns < self._resting_ns:
                break
            if self._has_waited(began_ns) or self._interrupts(1):
                break
        if index >= ring.control.given + ring.capacity:
            # Records are overwritten; the reader detects and counts this.
            ring.given[0] = max(ring.given[0], index + ring.segment - ring.capacity)
            ring.room[0] = max(ring.room[0], index + ring.segment)

    def free_arena(self, values: int) -> None:
        """Reclaim all records whose batches lie in the arena, before *values* more overwrite them."""
        ring, arena, began_ns = self._ring, self._ring.arena, monotonic_ns()
        while not arena.is_free(values) and not ring.lock.is_mine:
            if ring.lock.acquire(AGAIN_S):
                try:
                    if arena.is_free(values):
                        return
                    head = int(ring.headers["mark"].max()) >> 2
                    self._reclaim(head)
                    if ring.control.given >= head:
                        arena.free()
                finally:
                    ring.lock.release()
            elif ring.lock.is_refused_by_process and began_ns < self._resting_ns:
                return
            if self._has_waited(began_ns) or self._interrupts(0):
                return

    def _has_waited(self, began_ns: int) -> bool:
        """Return whether a wait has lasted too long; then others do not wait at all for a while."""
        waited_ns = monotonic_ns() - began_ns
        if waited_ns < (PROCESS_NS if self._ring.lock.is_refused_by_process else PATIENCE_NS):
            return False
        self._resting_ns = monotonic_ns() + RESTED_NS
        return True

    def _interrupts(self, own: int) -> bool:
        """Return whether this thread has interrupted itself in `make_room`, besides *own* calls of it.

        It has taken an index there that it writes only after the caller has returned: waiting for it would not end. Determined from the
        frames and not from a flag, because a signal handler may run before the first statement of a function.
        """
        code, frame, found = Reclaimer.make_room.__code__, sys._getframe(1), 0  # noqa: SLF001 - there is no other way
        walked: FrameType | None = frame
        while walked is not None:
            found += walked.f_code is code and walked.f_locals.get("self") is self
            walked = walked.f_back
        return found > own

    def end(self, index: int, fields: tuple[Any, ...], position: int, answers: NDArray[Any] | None = None) -> None:
        """End a record that may have lost its slot, or whose answers are counted beside the ring.

        Args:
            index: of the record.
            fields: the fields of `radiosonde._ring.layout.END`, with the state in place of the mark.
            position: arena position + 1 of its batch, 0 for a single row.
            answers: result of `radiosonde._ring.tally.Tallier.answers` for a batch too large for the arena.
        """
        self._late.append((index, fields, position, answers))
        self.settle()

    def settle(self) -> None:
        """Write displaced predictions that have ended, unless the lock is held for long; the consumer calls this, too.

        Not to be called between taking an index and writing it: it may wait for that index.
        """
        ring = self._ring
        if (self._late or self._waiting) and ring.lock.acquire(BUSY_S):
            try:
                while self._late:
                    self._end_late(*self._late.popleft())
                if self._waiting:
                    self._make_room(self._waiting[-1].place)
            finally:
                ring.lock.release()

    def add_phase(self, index: int, code: int, seconds: float) -> None:
        """Add time to a phase of a prediction in flight that may have lost its slot."""
        ring = self._ring
        if not ring.lock.acquire(BUSY_S):
            return
        try:
            found = self._displaced.get(index)
            slot = index & (ring.capacity - 1)
            if found is not None:
                memory: Any = found.header
                at = PHASE_OFFSET + 4 * code
            elif ring.words[slot * _WORDS + MARK_WORD] == index * 4 + 4 + IN_FLIGHT:
                memory, at = ring.memory, ring.header_offset + slot * HEADER_BYTES + PHASE_OFFSET + 4 * code
            else:
                return
            (before_s,) = _PHASE.unpack_from(memory, at)
            _PHASE.pack_into(memory, at, before_s + seconds)
        finally:
            ring.lock.release()

    @property
    def is_in_flight(self) -> bool:
        """Whether a prediction that began in the ring has not ended, or has ended and waits to be written."""
        is_running = (self._ring.headers["mark"] & np.uint64(3)) == IN_FLIGHT
        return bool(self._displaced or self._late or self._waiting or is_running.any())

    @property
    def has_uncounted(self) -> bool:
        """Whether the ring holds ended predictions, or counts of them, that were not taken."""
        control, marks = self._ring.control, self._ring.headers["mark"]
        indices = (marks >> np.uint64(2)).astype(np.int64) - 1
        is_untaken = (indices >= control.given) & ((indices >= control.taken) | control.left)
        return control.has_open_tally or bool(((marks & np.uint64(3) > IN_FLIGHT) & is_untaken).any())

    def hand_over(self, successor: Ring) -> None:
        """Count all ended records of the ring into the tally of *successor*; the ring has no other consumer.

        Records in flight end in this ring, and are handed over by the next call.
        """
        ring = self._ring
        if not ring.lock.acquire(BUSY_S):
            return
        try:
            self._reclaim(int(ring.headers["mark"].max()) >> 2)
            if successor.lock.acquire(BUSY_S):
                kept = [unjoinable(headers) for headers, _ in self.take_joinable()]
                try:
                    uncounted = successor.control.add(np.concatenate([ring.control.open_tally(), *kept]))
                finally:
                    successor.lock.release()
                ring.control.drop_open_tally()
                if uncounted:
                    self._lose(losses.RING_OVERWRITTEN, uncounted)
        finally:
            ring.lock.release()

    def give_up(self) -> int:
        """Return the number of calls in the ring that will never be counted, because it has no consumer any more."""
        ring = self._ring
        if not ring.lock.acquire(BUSY_S):
            return 0
        try:
            self._reclaim(int(ring.headers["mark"].max()) >> 2)
            lost = calls_of(ring.control.open_tally())
            ring.control.drop_open_tally()
        finally:
            ring.lock.release()
        return lost

    # Under the lock --------------------------------------------------------------------------------------------------

    def _advance(self, index: int) -> None:
        """Reclaim the records that block *index* and the segment after its own; release the lock."""
        ring = self._ring
        try:
            if index >= ring.room[0] or index >= ring.control.given + ring.capacity:
                self._make_room(index)
        finally:
            ring.lock.release()

    def _make_room(self, index: int) -> None:
        ring = self._ring
        boundary = (index // ring.segment + 1) * ring.segment
        self._reclaim(boundary + ring.segment - ring.capacity)
        # Never beyond what is copied: writers check nothing else. (`given` is ahead of it.)
        ring.room[0] = max(ring.room[0], min(boundary, ring.control.given + ring.capacity))
        self._write_waiting()

    def _reclaim(self, upto: int) -> None:
        ring, control = self._ring, self._ring.control
        start, taken = control.given, control.taken
        if taken >= upto > start and not control.has_left(start, upto):
            ring.given[0] = max(ring.given[0], upto)
            control.give(upto)
            return
        while start < upto:
            slot = start & (ring.capacity - 1)
            size = min(CHUNK, upto - start, ring.capacity - slot)
            # Before it is inspected: records that end from now on end in `_end_late`.
            ring.given[0] = max(ring.given[0], start + size)
            reclaimed = self._reclaim_chunk(start, slot, size, taken)
            start += reclaimed
            if reclaimed < size:
                ring.given[0] = start
                break

    def _reclaim_chunk(self, start: int, slot: int, size: int, taken: int) -> int:
        """Reclaim *size* records or fewer; return how many."""
        ring, control = self._ring, self._ring.control
        at = ring.header_offset + slot * HEADER_BYTES
        headers = np.frombuffer(ring.memory[at : at + size * HEADER_BYTES], dtype=HEADER)
        wanted = np.arange(start, start + size)
        held = (headers["mark"] >> np.uint64(2)).astype(np.int64) - 1
        is_unwritten = held < wanted
        if is_unwritten.any():
            size = self._written(start, is_unwritten)
            headers, wanted, held, is_unwritten = headers[:size], wanted[:size], held[:size], is_unwritten[:size]
        state = headers["mark"] & np.uint64(3)
        left = control.left[slot : slot + size]
        is_untaken = (wanted >= taken) | left
        is_own = held == wanted
        for place in np.flatnonzero(is_own & (state == IN_FLIGHT)).tolist():
            self._displace(start + place, slot + place, headers[place])
        if not is_own.all():
            self._lose_some(losses.RING_OVERWRITTEN, is_untaken & (held > wanted))
            self._lose_some(losses.RING_ABANDONED, is_untaken & is_unwritten)
        is_ended = is_untaken & is_own & (state > IN_FLIGHT)
        ended = headers[is_ended]
        # An agent could not take them: with an agent, and beyond a bound here, they are counted as no longer joinable.
        is_kept = not self._is_shared and self._keep_joinable(ended, wanted[is_ended])
        uncounted = control.reclaim(start + size, self._tallier.count(ended, self._outputs(ended), is_joinable=is_kept))
        if uncounted:
            self._lose(losses.RING_OVERWRITTEN, uncounted)
        left[:] = False
        return size

    def _written(self, start: int, is_unwritten: NDArray[np.bool_]) -> int:
        """Return how many records of a chunk may be reclaimed: those before the first that has not been written yet.

        It was preempted, and comes soon; one that does not come in `PATIENCE_NS` never will.
        """
        place = int(np.argmax(is_unwritten))
        if self._stuck[0] != start + place:
            self._stuck = start + place, monotonic_ns()
        elif monotonic_ns() - self._stuck[1] > PATIENCE_NS:
            return len(is_unwritten)
        return place

    def _lose_some(self, reason: str, lost: NDArray[np.bool_]) -> None:
        count = int(np.count_nonzero(lost))
        if count:
            self._lose(reason, count)

    def _keep_joinable(self, headers: NDArray[Any], indices: NDArray[np.int64]) -> bool:
        """Keep the headers of single rows that ended with a result, for the labels that may come; return whether there is room."""
        is_joinable = ((headers["mark"] & np.uint64(3)) == DONE) & (headers["batch"] == 0) & (headers["rows"] == 1)
        if len(self._joinable) >= JOINABLE_CHUNKS:
            return False
        if is_joinable.any():
            self._joinable.append((headers[is_joinable], indices[is_joinable]))
        return True

    def take_joinable(self) -> list[tuple[NDArray[Any], NDArray[np.int64]]]:
        """Return headers and indices of reclaimed predictions that may be labelled; for the consumer."""
        return [self._joinable.popleft() for _ in range(len(self._joinable))]

    def _displace(self, index: int, slot: int, header: Any) -> None:
        ring = self._ring
        row_bytes = 8 * ring.features
        row = None
        if self._kept_bytes + row_bytes <= DISPLACED_BYTES:
            at = ring.rows_offset + slot * row_bytes
            row = ring.memory[at : at + row_bytes]
            self._kept_bytes += row_bytes
        self._displaced[index] = _Displaced(bytearray(header.tobytes()), row)
        ring.control.displaced = len(self._displaced)

    def _outputs(self, headers: NDArray[Any]) -> Outputs | None:
        """Return the outputs of the batches among *headers*."""
        ring = self._ring
        places = np.flatnonzero(
            (headers["batch"] > 0)
            & (headers["error"] == 0)
            & ((headers["output_kind"] == OUTPUT_CLASS) | (headers["output_kind"] == OUTPUT_SCORE))
        )
        if not len(places):
            return None
        blocks, records = [], []
        for place in places.tolist():
            values = batch_outputs(ring, headers[place])
            if values is None:
                self._lose(losses.BATCH_OVERWRITTEN, int(headers["rows"][place]))
            else:
                blocks.append(values)
                records.append(np.full(len(values), place))
        return Outputs(np.concatenate(records), np.concatenate(blocks)) if blocks else None

    def _end_late(self, index: int, fields: tuple[Any, ...], position: int, answers: NDArray[Any] | None) -> None:
        """End a prediction that may have lost its slot: in its slot, or else in a new one."""
        ring = self._ring
        found = self._displaced.pop(index, None)
        ring.control.displaced = len(self._displaced)
        if found is None:
            slot = index & (ring.capacity - 1)
            if ring.words[slot * _WORDS + MARK_WORD] == index * 4 + 4 + IN_FLIGHT:  # it was not reclaimed after all
                at = ring.header_offset + slot * HEADER_BYTES
                self._add_answers(answers, ring.headers[slot])
                END.pack_into(ring.memory, at + END_OFFSET, *fields[:-1], index * 4 + 4 + fields[-1])
                if position:
                    ring.arena.release(position - 1)
            return  # overwritten: counted when its slot is reclaimed
        if found.row is not None:
            self._kept_bytes -= len(found.row)
        elif not position and fields[_KIND_FIELD] == INPUT_ROW:
            fields = (*fields[:_KIND_FIELD], INPUT_NONE, *fields[_KIND_FIELD + 1 :])
        END.pack_into(found.header, END_OFFSET, *fields[:-1], 0)
        numbers = np.frombuffer(found.header, dtype=HEADER)
        self._add_answers(answers, numbers[0])
        numbers["series"] |= np.uint32(MOVED)
        numbers["rows_begun"], numbers["batch"] = index & 0xFFFFFFFF, position
        new = next(ring.indices)
        self._waiting.append(_Ended(new, new * 4 + 4 + fields[-1], found))
        self._make_room(new)

    def _add_answers(self, answers: NDArray[Any] | None, header: Any) -> None:
        if answers is not None:
            self._ring.control.add(placed(answers, header))

    def _write_waiting(self) -> None:
        """Write the records of displaced predictions that have a slot by now."""
        ring = self._ring
        while self._waiting and self._waiting[0].place < ring.control.given + ring.capacity:
            index, mark, ended = self._waiting.popleft()
            slot = index & (ring.capacity - 1)
            at = ring.header_offset + slot * HEADER_BYTES
            # In flight first, so that a reader never finds an ended record half written.
            BEGIN_BARE.pack_into(ring.memory, at, 0, index * 4 + 4 + IN_FLIGHT)
            ring.memory[at : at + HEADER_BYTES - 8] = bytes(ended.header[: HEADER_BYTES - 8])
            if ended.row is not None:
                row_at = ring.rows_offset + slot * len(ended.row)
                ring.memory[row_at : row_at + len(ended.row)] = ended.row
            ring.words[slot * _WORDS + MARK_WORD] = mark
            position = int.from_bytes(ended.header[_BATCH], "little")
            if position:
                ring.arena.release(position - 1)


def batch_outputs(ring: Ring, header: Any) -> NDArray[np.float64] | None:
    """Return a copy of the outputs of the batch of *header*, shape (kept, 2); None when they were overwritten."""
    position, kept = int(header["batch"]) - 1, int(header["kept"])
    outputs = ring.arena.block(position + kept * ring.features, kept, BATCH_OUTPUTS).copy()
    return outputs if ring.arena.is_whole(position) else None
