"""The reading side: takes what is done, remembers what is in flight, counts what is gone.

Predictions end in another order than they begin. The reader takes every record that is done in ``[cursor, head)``,
moves the cursor to the head, and keeps the few that were still running as stragglers to look at again. So a prediction
of 800 ms holds nobody up, and the number of stragglers is the number of predictions in flight.

Bounds: at most ``capacity`` records a drain; the scan reads one word a slot (about 10 us for 8192 slots).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from radiosonde._ring.layout import IN_FLIGHT, LIVE_SPAN, MARK_WORD
from radiosonde._ring.ring import Ring

STALE_DRAINS = 600
"""Drains after which a slot that was reserved and never marked is given up (about a minute at the default cadence)."""


LOOK_AHEAD = 8
"""Slots that are looked at in place of one: as many writers may be interrupted between taking a slot and marking it."""


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
    """

    headers: NDArray[np.void]
    rows: NDArray[np.float64]
    indices: NDArray[np.int64]
    parents: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.headers)

    def part(self, chosen: slice | NDArray[Any]) -> Self:
        """Return the records at *chosen*: a slice is a view, a mask or positions are a copy."""
        parents = None if self.parents is None else self.parents[chosen]
        return type(self)(self.headers[chosen], self.rows[chosen], self.indices[chosen], parents)


class RingReader:
    """The single consumer of a ring. Owner: the consumer thread."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._cursor = 0
        self._stragglers: dict[int, int] = {}  # index -> drains it has been looked at without a mark
        self.overwritten = 0
        self.abandoned = 0
        self.in_flight = 0

    def progress(self) -> tuple[int, tuple[int, ...]]:
        """Return the cursor and the stragglers: what `resume` takes, in another process perhaps."""
        return self._cursor, tuple(sorted(self._stragglers))

    def resume(self, cursor: int, stragglers: Iterable[int]) -> None:
        """Go on where another reader of this ring has left off."""
        self._cursor = cursor
        self._stragglers = dict.fromkeys(stragglers, 0)

    def waiting(self) -> int:
        """Return the number of records begun since the last drain, whether done or not."""
        marks = self._ring.headers["mark"]
        return max(0, (int(marks.max()) >> 2) - self._cursor)

    def has_waiting(self, count: int) -> bool:
        """Say whether at least about *count* records have begun since the last drain; reads a few words.

        The consumer asks this fifty times a second, and to look at all marks instead would wash the host's own memory out
        of the processor's caches: a served model lost 10 % of its throughput to that (bench_served). Records fill the
        slots in order, so the slot of the *count*-th tells, or one of those after it where its writer was interrupted.
        """
        words, mask, first = self._ring.words, self._ring.capacity - 1, self._cursor + count
        return any(words[((first + ahead - 1) & mask) * 16 + MARK_WORD] >> 2 >= first for ahead in range(LOOK_AHEAD))

    def drain(self) -> Block:
        """Return the records that are done and have not been returned yet, in the order of their indices."""
        ring = self._ring
        # Strided field of the mapping: copied once, so that every decision below is about one moment.
        marks = ring.headers["mark"].copy()
        head = int(marks.max()) >> 2  # numpy 1 shifts no unsigned scalar
        first = max(self._cursor, head - ring.capacity)
        self.overwritten += first - self._cursor
        wanted = np.concatenate(
            [np.fromiter(self._stragglers, dtype=np.int64, count=len(self._stragglers)), np.arange(first, head)]
        )
        self._cursor = head
        slots = wanted & (ring.capacity - 1)
        found = marks[slots]
        held = (found >> 2).astype(np.int64) - 1
        is_done = (held == wanted) & ((found & 3) > IN_FLIGHT)
        self._keep_stragglers(wanted, held, is_done)
        return self._copy(wanted[is_done], slots[is_done], found[is_done])

    def _keep_stragglers(self, wanted: NDArray[np.int64], held: NDArray[np.int64], is_done: NDArray[np.bool_]) -> None:
        self.overwritten += int(np.count_nonzero(held > wanted))
        kept = {}
        self.in_flight = 0
        for index, holder in zip(wanted[~is_done].tolist(), held[~is_done].tolist(), strict=True):
            if holder == index:
                kept[index] = 0
                self.in_flight += 1
            elif holder < index:
                looked = self._stragglers.get(index, 0) + 1
                if looked < STALE_DRAINS:
                    kept[index] = looked
                else:
                    self.abandoned += 1
        self._stragglers = kept

    def _copy(self, indices: NDArray[np.int64], slots: NDArray[np.int64], marks: NDArray[np.uint64]) -> Block:
        ring = self._ring
        order = np.argsort(indices, kind="stable") if self._stragglers else slice(None)
        indices, slots, marks = indices[order], slots[order], marks[order]
        block = Block(ring.headers[slots], ring.rows[slots], indices)
        # A slot that was overwritten while it was copied has another mark now: its copy may be torn.
        torn = ring.headers["mark"][slots] != marks
        if torn.any():
            self.overwritten += int(np.count_nonzero(torn))
            block = block.part(~torn)
        return _parted(block)


def _parted(block: Block) -> Block:
    """Leave in the headers the ids of live spans only, and put those of surrounding spans into `Block.parents`.

    Once, right here, so that whoever finds a span id in a header may point to it.
    """
    headers = block.headers
    if not headers["span_id"].any():
        return block
    is_live = headers["series"] >= LIVE_SPAN
    headers["series"] &= np.uint32(LIVE_SPAN - 1)
    if is_live.all():
        return block
    parents = np.zeros((len(block), 3), dtype=np.uint64)
    for column, name in enumerate(("trace_hi", "trace_lo", "span_id")):
        parents[:, column] = np.where(is_live, np.uint64(0), headers[name])
        headers[name][~is_live] = 0
    return Block(headers, block.rows, block.indices, parents)
