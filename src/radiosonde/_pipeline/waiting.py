"""Windows that wait for a store or a backend: bounded, oldest first, and every one of them accounted for.

What was put is delivered, waits, or was dropped and counted: the three add up at any time. One thread puts, another takes
and settles; a window in the hands of an exporter is not dropped, so at most twice the bound is in memory while an export
is under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde.model import Window

WAITING_WINDOWS = 2000
"""Closed windows kept for a store or backend that does not answer; the oldest beyond it are dropped and counted."""


class WaitingWindows:
    """One such queue.

    Args:
        guard: counts what is dropped.
        reason: under this name.
    """

    def __init__(self, guard: Guard, reason: str) -> None:
        self._guard, self._reason = guard, reason
        self._waiting: deque[Window] = deque()
        self._in_hand: list[Window] = []  # taken and not settled

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_hand)

    def put(self, windows: Iterable[Window]) -> None:
        """Add windows behind the others. The consumer's."""
        self._waiting.extend(windows)
        self._bound()

    def take(self) -> list[Window]:
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
        excess = len(self._waiting) - WAITING_WINDOWS
        for _ in range(excess):
            self._waiting.popleft()
        if excess > 0:
            self._guard.lose(self._reason, excess)
