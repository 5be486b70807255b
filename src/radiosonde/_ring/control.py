"""Control block shared by a ring's writer and consumer, and the tallies of reclaimed records.

::

    words    8 x 8 bytes: taken, open, three commits, sealed, displaced, 0
    left     capacity bytes: 1 where a slot's record is below `taken` and was not taken, because it was still in flight
    buffers  3 x `tally_bytes` of entries (`radiosonde._ring.tally.ENTRY`)

``taken``: the consumer has taken all records below it, except pending records and those the writer had reclaimed.
``open``: number of the open tally times 4, plus the buffer it is in. ``commit`` of a buffer: the index below which records are reclaimed,
times 2**24, plus the number of valid entries of the buffer. ``sealed``: like ``open``, the tally that the consumer
counts; 0 for none. ``displaced``: predictions in flight whose slot was reclaimed.

A writer appends entries after the valid ones and then sets the commit: one word publishes both the entries and the records they replace, so
a process killed at any instruction leaves each record to exactly one of the two. The consumer seals a tally, counts it, makes that durable
together with the tally's number, and only then returns the buffer: the successor of a killed consumer knows by the number whether the
sealed tally was counted.

A tally that outgrows its buffer is merged into the spare one, first by second, then by minute, hour and day until it fits: exact counts,
dated by the last second that was counted in that time. Series beyond that are lost and their calls returned, never a part of a series: its
calls, classes and durations agree. Everything here is under the ring's lock (`radiosonde._ring.slot_lock`), except `given`.
"""

from __future__ import annotations

import mmap
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radiosonde._ring.layout import FEWEST_SLOTS
from radiosonde._ring.tally import ENTRY, coarsen, fit, merge

WORDS_BYTES: Final = 64
TALLY_BYTES: Final = 1 << 20
"""Bytes of a buffer: 200 series of 80 durations, classes and confidences each, twice. Pages that are not written take no memory."""
SMALLEST_TALLY_BYTES: Final = 128 << 10
"""The same in a ring of the fewest slots, which hands counts over to an agent and has to find room in a full spool."""

_TAKEN, _OPEN, _COMMITS, _SEALED, _DISPLACED = 0, 1, 2, 5, 6
_COUNT_BITS, _COUNT_MASK = 24, (1 << 24) - 1
_BUFFERS = 3

_COARSER_S = (60, 3600, 86400, 1 << 40)
"""Lengths of time that entries are merged over where they are too many: a minute, an hour, a day, all."""


def size_bytes(capacity: int) -> int:
    """Return the size of the control area of a ring of *capacity* slots."""
    return WORDS_BYTES + _padded(capacity) + _BUFFERS * tally_bytes(capacity)


def tally_bytes(capacity: int) -> int:
    """Return the size of each buffer of a ring of *capacity* slots."""
    return TALLY_BYTES if capacity > FEWEST_SLOTS else SMALLEST_TALLY_BYTES


def _padded(capacity: int) -> int:
    return -(-capacity // 64) * 64


class Tally(NamedTuple):
    """A sealed tally.

    Attributes:
        number: increasing; the consumer remembers the last number it made durable.
        entries: see `radiosonde._ring.tally`.
    """

    number: int
    entries: NDArray[Any]


class Control:
    """The control area of one ring.

    Args:
        memory: the ring's mapping.
        offset: where the area begins.
        capacity: slots of the ring.

    Attributes:
        left: one flag per slot.
    """

    def __init__(self, memory: mmap.mmap, offset: int, capacity: int) -> None:
        self._words = memoryview(memory)[offset : offset + WORDS_BYTES].cast("Q")
        self.left = np.frombuffer(memory, dtype=np.bool_, count=capacity, offset=offset + WORDS_BYTES)
        self._flags = memoryview(memory)[offset + WORDS_BYTES : offset + WORDS_BYTES + capacity]
        first = offset + WORDS_BYTES + _padded(capacity)
        size = tally_bytes(capacity)
        self._most = size // ENTRY.itemsize
        self._buffers = [
            np.frombuffer(memory, dtype=ENTRY, count=self._most, offset=first + number * size)
            for number in range(_BUFFERS)
        ]

    @property
    def given(self) -> int:
        """Index below which slots are reclaimed; may be read without the lock."""
        return self._words[_COMMITS + (self._words[_OPEN] & 3)] >> _COUNT_BITS

    @property
    def taken(self) -> int:
        """Index below which the consumer has taken all finished records."""
        return self._words[_TAKEN]

    @taken.setter
    def taken(self, index: int) -> None:
        self._words[_TAKEN] = index

    @property
    def displaced(self) -> int:
        """Predictions in flight whose slot was reclaimed."""
        return self._words[_DISPLACED]

    @displaced.setter
    def displaced(self, count: int) -> None:
        self._words[_DISPLACED] = count

    # The writer ------------------------------------------------------------------------------------------------------

    def has_left(self, start: int, stop: int) -> bool:
        """Whether the consumer has left a record of these behind that was in flight.

        A caller checks once per segment, which at full rate is its p99.9: on bytes, this takes a tenth of the time of numpy's `any`.
        """
        capacity = len(self._flags)
        first, last = start % capacity, stop % capacity
        if stop - start >= capacity:
            first, last = 0, capacity
        if first <= last:
            return b"\1" in bytes(self._flags[first:last])
        return b"\1" in bytes(self._flags[first:]) or b"\1" in bytes(self._flags[:last])

    def give(self, upto: int) -> None:
        """Take the records below *upto* out of the ring, all of which the consumer has taken: `reclaim` without entries."""
        words = self._words
        opened = words[_OPEN]
        if words[_SEALED] == opened + 4:
            words[_SEALED] = 0  # a consumer was killed while it sealed this tally
        place = _COMMITS + (opened & 3)
        words[place] = upto << _COUNT_BITS | words[place] & _COUNT_MASK

    def reclaim(self, upto: int, entries: NDArray[Any]) -> int:
        """Reclaim the records below *upto*; *entries* count those that the consumer has not taken.

        Returns:
            Number of calls not counted because the tally is full even after merging: its series have more counts than it has entries.
        """
        if self._words[_SEALED] == self._words[_OPEN] + 4:
            self._words[_SEALED] = 0  # a consumer was killed while it sealed this tally
        number = self._words[_OPEN] & 3
        held = self._words[_COMMITS + number] & _COUNT_MASK
        lost = 0
        if held + len(entries) > self._most:
            number, held, lost = self._merge(number, held, self._most - min(len(entries), self._most // 2))
        fitting, uncounted = fit(entries, self._most - held)
        self._buffers[number][held : held + len(fitting)] = fitting
        self._words[_COMMITS + number] = upto << _COUNT_BITS | held + len(fitting)
        return lost + uncounted

    def add(self, entries: NDArray[Any]) -> int:
        """Add entries counted elsewhere; return the number of calls not counted, like `reclaim`."""
        parts = range(0, len(entries), self._most // 2)
        return sum(self.reclaim(self.given, entries[start : start + self._most // 2]) for start in parts)

    def open_tally(self) -> NDArray[Any]:
        """Return a copy of the entries counted by writers since the last tally was sealed."""
        return self._buffers[self._words[_OPEN] & 3][: self._opened].copy()

    def drop_open_tally(self) -> None:
        """Discard the entries returned by `open_tally`: they were counted elsewhere."""
        self._words[_COMMITS + (self._words[_OPEN] & 3)] = self.given << _COUNT_BITS

    def _merge(self, number: int, held: int, wanted: int) -> tuple[int, int, int]:
        """Merge the open tally into the spare buffer, to *wanted* entries at most.

        Returns:
            Number of the buffer, its entries, and the calls of series for which there was no room.
        """
        entries = merge(self._buffers[number][:held])
        for length_s in _COARSER_S:
            if len(entries) <= wanted // 2:
                break
            entries = merge(coarsen(entries, length_s))
        entries, lost = fit(entries, wanted)
        opened, sealed = self._words[_OPEN], self._words[_SEALED]
        spare = next(each for each in range(_BUFFERS) if each != number and not (sealed and each == sealed & 3))
        self._buffers[spare][: len(entries)] = entries
        self._words[_COMMITS + spare] = self.given << _COUNT_BITS | len(entries)
        self._words[_OPEN] = opened & ~3 | spare
        return spare, len(entries), lost

    # The consumer ----------------------------------------------------------------------------------------------------

    def seal(self, counted: int = 0) -> Tally | None:
        """Seal and return the entries counted by writers since the last tally; None if empty, or while one is still sealed.

        Args:
            counted: number of the last tally that is durably counted: one that was sealed and not given back is given back
                if it is not beyond.
        """
        words = self._words
        if words[_SEALED] and words[_SEALED] >> 2 <= counted:
            words[_SEALED] = 0
        if not words[_SEALED]:
            opened = words[_OPEN]
            if not words[_COMMITS + (opened & 3)] & _COUNT_MASK:
                return None
            # Numbers begin at 1: 0 means no tally.
            words[_SEALED] = opened + 4
        sealed = words[_SEALED]
        if sealed == words[_OPEN] + 4:  # else a consumer was killed before this
            fresh = next(each for each in range(_BUFFERS) if each != sealed & 3)
            words[_COMMITS + fresh] = self.given << _COUNT_BITS
            words[_OPEN] = sealed & ~3 | fresh
        held = words[_COMMITS + (sealed & 3)] & _COUNT_MASK
        return Tally(sealed >> 2, self._buffers[sealed & 3][:held].copy())

    def give_back(self, counted: int) -> None:
        """Give the buffer of the sealed tally back if its number is not beyond *counted*."""
        sealed = self._words[_SEALED]
        if sealed and sealed >> 2 <= counted:
            self._words[_SEALED] = 0

    @property
    def has_open_tally(self) -> bool:
        """Whether writers have counted something since the last tally was sealed."""
        return self._opened > 0

    @property
    def is_half_full(self) -> bool:
        """Whether the open tally fills half of its buffer."""
        return self._opened * 2 >= self._most

    @property
    def _opened(self) -> int:
        return self._words[_COMMITS + (self._words[_OPEN] & 3)] & _COUNT_MASK
