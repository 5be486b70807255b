"""What waits for a store or a backend: bounded, oldest first, and every item accounted for.

What was put is delivered, waits, or was dropped and counted: the three add up at any time. One thread puts, another takes
and settles; what is in the hands of an exporter is not dropped, so at most twice the bound is in memory while an export
is under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from radiosonde._guard import Guard

WAITING_WINDOWS = 2000
"""Closed windows kept for a store or backend that does not answer; the oldest beyond it are dropped and counted."""

WAITING_SPANS = 1000
"""Spans kept for a backend that does not answer; the oldest beyond it are dropped and counted. 16 minutes at the default
bound, about 1 kB each."""

Item = TypeVar("Item")


class Waiting(Generic[Item]):
    """One such queue.

    Args:
        guard: counts what is dropped.
        reason: under this name.
        bound: items that may wait.
    """

    def __init__(self, guard: Guard, reason: str, bound: int) -> None:
        self._guard, self._reason, self._most = guard, reason, bound
        self._waiting: deque[Item] = deque()
        self._in_hand: list[Item] = []  # taken and not settled

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_hand)

    def put(self, items: Iterable[Item]) -> None:
        """Add items behind the others. The consumer's."""
        self._waiting.extend(items)
        self._bound()

    def take(self) -> list[Item]:
        """Return all that wait, oldest first; `settle` must follow."""
        self._in_hand = [self._waiting.popleft() for _ in range(len(self._waiting))]
        return self._in_hand

    def settle(self, delivered: int) -> None:
        """Say how many of those taken were delivered, counted from the first; the others wait again."""
        rest, self._in_hand = self._in_hand[delivered:], []
        self._waiting.extendleft(reversed(rest))
        self._bound()

    def abandon(self) -> None:
        """Count what still waits as lost: there is nobody left to deliver it."""
        lost = len(self)
        self._waiting.clear()
        self._in_hand = []  # an export that hangs may settle later, and then finds nothing to put back
        if lost:
            self._guard.lose(self._reason, lost)

    def _bound(self) -> None:
        excess = len(self._waiting) - self._most
        for _ in range(excess):
            self._waiting.popleft()
        if excess > 0:
            self._guard.lose(self._reason, excess)
