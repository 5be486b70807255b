"""Waits less for the interpreter lock: for a turn whose ring fills faster than it is drained, for a flush and for an exit.

numpy releases the lock in every longer operation and then waits a whole switch interval for it, if the other threads are
busy in Python: sixty times 5 ms for one turn, in which a caller at full rate writes 30 000 records, and seconds for the last
turn of an exit, which has five. The interval is the interpreter's, so it is shortened only meanwhile and put back
afterwards; callers lose the lock for the same few dozen microseconds, more often (bench_tail).

It can be entered by several threads at once, and by a signal handler that interrupts one of them: the last to leave puts the
interval back, unless other code has changed it meanwhile. A child that is forked meanwhile restores it itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from radiosonde._native import RLock

HURRIED_INTERVAL_S = 0.0005
"""Switch interval meanwhile: a tenth of the default."""

_HALF_MICROSECOND_S = 5e-7
"""The interpreter cuts an interval to whole microseconds: without half of one more, 100 ms would come back as 99.999."""


class _Hurry:
    def __init__(self) -> None:
        self._lock = RLock()
        self._inside = 0
        self._before_s = self._set_s = 0.0

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._before_s = sys.getswitchinterval()
                sys.setswitchinterval(min(self._before_s, HURRIED_INTERVAL_S))
                self._set_s = sys.getswitchinterval()

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and sys.getswitchinterval() == self._set_s:
                sys.setswitchinterval(self._before_s + _HALF_MICROSECOND_S)

    def reset_after_fork(self) -> None:
        self._lock = RLock()
        if self._inside:
            self._inside = 1
            self.leave()


_HURRY = _Hurry()
reset_after_fork = _HURRY.reset_after_fork


@contextmanager
def in_a_hurry() -> Iterator[None]:
    """Shorten the switch interval of the interpreter inside."""
    _HURRY.enter()
    try:
        yield
    finally:
        _HURRY.leave()
