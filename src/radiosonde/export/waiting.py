"""Bounded buffer of items for a store or a backend, oldest first; every dropped item is counted.

Every item put was delivered, waits, or was dropped and counted: the three add up at any time. One thread puts, another takes and settles;
items taken by an exporter are not dropped, so at most twice the bound is in memory during an export.

A patient queue drops nothing before a delivery has failed: closing a year of windows at once (a backfill, a flush) exceeds the bound
without an outage. The producer checks `is_crowded` and waits for the consumer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from radiosonde._native import RLock
from radiosonde.model.size import held_bytes

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde.model import Window

WAITING_BYTES = 32 << 20
"""Held for a store or backend that does not answer; the oldest windows beyond it are dropped and counted. 32 MiB are 300 windows
of 30 features with their sketches, or 5 000 without features."""

WAITING_SPANS = 1000
"""Spans kept for a backend that does not answer; the oldest beyond it are dropped and counted. 16 minutes at the default
bound, about 1 kB each."""

Item = TypeVar("Item")


class Waiting(Generic[Item]):
    """One such queue.

    Args:
        guard: counts dropped items.
        reason: name of the loss.
        bound: largest total of *size* of waiting items.
        size: returns the size of an item; default: 1.
        patient: drop nothing as long as delivery does not fail.
        dropped: called with the items that were dropped, under the lock.

    Attributes:
        lost: items dropped.
    """

    def __init__(
        self,
        guard: Guard,
        reason: str,
        bound: int,
        *,
        size: Callable[[Item], int] = lambda _: 1,
        patient: bool = False,
        dropped: Callable[[list[Item]], None] = lambda _: None,
    ) -> None:
        self._guard, self._reason, self._most, self._size = guard, reason, bound, size
        # Re-entrant: a signal handler that shuts down may interrupt the thread that puts.
        self._lock = RLock()
        self._waiting: deque[tuple[Item, int]] = deque()  # with its size; guarded by _lock, like all below
        self._in_hand: list[tuple[Item, int]] = []  # taken and not settled
        self._held = 0  # sizes of those that wait
        self._drops = not patient
        self._is_patient = patient
        self._dropped = dropped
        self.lost = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_hand)

    @property
    def is_crowded(self) -> bool:
        """Whether more waits than the bound allows."""
        return self._held > self._most

    def put(self, items: Iterable[Item]) -> None:
        """Add items behind the others. The consumer's."""
        sized = [(item, self._size(item)) for item in items]
        with self._lock:
            self._waiting.extend(sized)
            self._held += sum(size for _, size in sized)
            self._bound()

    def take(self, most: int | None = None) -> list[Item]:
        """Return those that wait, oldest first, as many as are within a size of *most* (one at least); `settle` must follow."""
        taken: list[tuple[Item, int]] = []
        with self._lock:
            left = self._held if most is None else most
            while self._waiting and (left > 0 or not taken):
                entry = self._waiting.popleft()
                left -= entry[1]
                self._held -= entry[1]
                taken.append(entry)
            self._in_hand = taken
        return [item for item, _ in taken]

    def settle(self, delivered: int) -> None:
        """Mark the first *delivered* of the taken items as delivered; the others wait again."""
        with self._lock:
            rest, self._in_hand = self._in_hand[delivered:], []
            self._waiting.extendleft(reversed(rest))
            self._held += sum(size for _, size in rest)
            self._drops = bool(rest) or not self._is_patient
            self._bound()

    def give_up(self) -> None:
        """Treat the consumer as failed: its delivery does not finish."""
        with self._lock:
            self._drops = True
            self._bound()

    def abandon(self) -> None:
        """Count waiting items as lost: they will not be delivered."""
        with self._lock:
            lost = [item for item, _ in (*self._in_hand, *self._waiting)]
            self._waiting.clear()
            self._held = 0
            self._in_hand = []  # an export that hangs may settle later, and then finds nothing to put back
            self._lose(lost)

    def _bound(self) -> None:
        lost = []
        while self._drops and self._held > self._most and self._waiting:
            item, size = self._waiting.popleft()
            self._held -= size
            lost.append(item)
        self._lose(lost)
        if lost:
            self._guard.warn(
                f"dropped {self._reason}",
                "The oldest %d waiting items were dropped (%s): the queue for a store or backend that does not respond is bounded",
                len(lost),
                self._reason,
            )

    def _lose(self, lost: list[Item]) -> None:
        if lost:
            self.lost += len(lost)
            self._guard.lose(self._reason, len(lost))
            self._dropped(lost)


def waiting_windows(
    guard: Guard, reason: str, *, patient: bool = False, dropped: Callable[[list[Window]], None] = lambda _: None
) -> Waiting[Window]:
    """Return a queue of windows, bounded by `WAITING_BYTES`."""
    return Waiting(guard, reason, WAITING_BYTES, size=held_bytes, patient=patient, dropped=dropped)


def newest_within(windows: Sequence[Window], most_bytes: int) -> list[Window]:
    """Return the last of *windows* that *most_bytes* hold."""
    left, first = most_bytes, len(windows)
    while first and (left := left - held_bytes(windows[first - 1])) >= 0:
        first -= 1
    return list(windows[first:])
