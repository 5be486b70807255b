"""Keeps `os.fork` apart from SQLite: a process forks while no thread of Radiosonde uses a SQLite file.

A child inherits SQLite's process-wide state: its mutexes, its record of file locks, the index of a write-ahead log. The locks themselves
stay with the parent. A child that is forked while a thread is in a transaction deadlocks on the mutexes, or writes without holding the
locks and damages the file.

Every use of a file is therefore inside `SqliteGate.enter` and `leave`. A fork closes the gate, waits for the threads inside, and closes
connections that are kept open. The wait is for this process's own work, a few milliseconds of writing plus the disk's time. A lock of
another process is never waited for inside: statements give up after `BUSY_STATEMENT_S`, and are retried from outside
(`radiosonde._sqlite.when_free`).

If a thread is still inside when the fork cannot wait any longer, the child must not use SQLite at all: entering raises.
The child's windows then wait in memory and are counted as lost at its end, ``store_failed``.
"""

from __future__ import annotations

import weakref
from typing import Protocol

from radiosonde._clock import NS, monotonic_ns, sleep
from radiosonde._native import RLock, get_ident
from radiosonde.errors import StoreError

BUSY_STATEMENT_S = 0.05
"""How long SQLite itself waits for another process's lock, inside the gate."""

_POLL_S = 0.001


class Kept(Protocol):
    """Keeps a connection open between transactions."""

    def close(self) -> None:
        """Close the connection; the next transaction opens another. Called while no thread is inside the gate."""

    def disown(self) -> None:
        """Forget a connection of the parent's without closing it, in a forked child."""


class SqliteGate:
    """Counts the threads inside, and admits others. One per process, like SQLite's own state."""

    def __init__(self) -> None:
        self._kept: weakref.WeakSet[Kept] = weakref.WeakSet()
        self._begin()

    def _begin(self, *, is_unusable: bool = False) -> None:
        # Re-entrant: a signal handler or a finaliser may interrupt its own thread at the door.
        self._door = RLock()
        self._inside: dict[int, int] = {}  # depth by thread; each thread writes its own
        self._holds = self._holder = self._until_ns = 0  # guarded by _door
        self._is_unusable = is_unusable

    def enter(self) -> None:
        """Begin to use SQLite; `leave` must follow. Waits while a fork is under way.

        Raises:
            StoreError: this process was forked while its parent was inside.
        """
        thread = get_ident()
        if thread not in self._inside:
            with self._door:
                if self._is_unusable:
                    raise StoreError(
                        "this process was forked while another thread of its parent was writing to a SQLite file, which the disk "
                        "kept from ending, so nothing can be stored here: fork before the first prediction, or set RADIOSONDE_AGENT"
                    )
                self._inside[thread] = 1
        else:
            self._inside[thread] += 1

    def leave(self) -> None:
        """Leave the section begun by `enter`."""
        thread = get_ident()
        self._inside[thread] -= 1
        if not self._inside[thread]:
            del self._inside[thread]

    def keep(self, connection: Kept) -> None:
        """Have a kept connection closed before every fork."""
        self._kept.add(connection)

    # Fork ----------------------------------------------------------------------------------------------------------------

    def hold(self, timeout_s: float) -> bool:
        """Close the gate and wait until no thread is inside; return whether that succeeded in time. `release` must follow.

        Several may hold it in one thread, one for each pipeline of the process. They wait for the same writers, so none waits
        longer than the first of them. A thread that is inside itself, and was interrupted, does not wait for itself.
        """
        until_ns = monotonic_ns() + round(timeout_s * NS)
        if not self._door.acquire(timeout=timeout_s):
            return False
        if not self._holds:
            self._until_ns = until_ns
        until_ns = min(until_ns, self._until_ns)
        self._holds, self._holder = self._holds + 1, get_ident()
        while self._is_another_inside():
            if monotonic_ns() >= until_ns:
                return False
            sleep(_POLL_S)
        if not self._inside:
            for each in list(self._kept):
                each.close()
        return not self._inside

    @property
    def is_awaited(self) -> bool:
        """Whether a fork waits for the threads inside. What can be retried must end then."""
        return self._holds > 0

    def release(self) -> None:
        """Let others in again, in the parent. Nothing if this thread does not hold it."""
        if self._holds and self._holder == get_ident():
            self._holds -= 1
            self._door.release()

    def reset_in_child(self) -> None:
        """Begin afresh, in a forked child."""
        for each in list(self._kept):
            each.disown()
        self._begin(is_unusable=self._is_unusable or bool(self._inside))

    def _is_another_inside(self) -> bool:
        mine = get_ident()
        return any(thread != mine for thread in list(self._inside))


GATE = SqliteGate()
