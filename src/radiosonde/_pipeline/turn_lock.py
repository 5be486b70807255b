"""The lock around a turn: one thread at a time drains, folds and closes windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde._native import allocate_lock, get_ident

if TYPE_CHECKING:
    from types import TracebackType


class TurnLock:
    """A lock that knows its owner.

    A signal handler that flushes in the middle of its own thread's turn would wait for itself: it is refused at once.
    """

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._owner = 0

    @property
    def is_mine(self) -> bool:
        """Whether the calling thread holds it."""
        return self._owner == get_ident()

    def acquire(self, timeout: float = -1) -> bool:
        """Take the lock; return whether it was taken within *timeout* seconds (negative: however long it takes)."""
        if self.is_mine or not self._lock.acquire(timeout=timeout):
            return False
        self._owner = get_ident()
        return True

    def release(self) -> None:
        """Give it back."""
        self._owner = 0
        self._lock.release()

    def __enter__(self) -> None:
        """Take the lock."""
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        self.release()
