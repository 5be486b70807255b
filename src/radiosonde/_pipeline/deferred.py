"""Functions deferred to the consumer thread, with the cohort and event time of their caller.

`put` is for any thread and costs an append; `run` is the consumer's. Nothing is lost: when too much waits, for the
consumer is stuck or was never started, the caller does it itself. Nothing else of the caller's context is kept: a copy would retain, for
seconds, all context variables of the application, such as a request's body.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from radiosonde._clock import sleep
from radiosonde._guard import Guard
from radiosonde._record.ambient import AMBIENT, Ambient

MOST = 10_000
"""Largest number of pending functions; a request with its context is a kilobyte or two."""

SLICE = 64
"""Functions called without offering the interpreter lock, some 10 us each. Few and long holds, bounded: a server that waits
for the lock loses more to being woken, several hundred times a second in slices of eight or with pauses in between, than to the
wait (bench_served)."""


class Deferred:
    """Functions to be called soon.

    Args:
        guard: handles their exceptions.
        start: starts the consumer that calls `run`; called at the first `put`.
    """

    def __init__(self, guard: Guard, start: Callable[[], None]) -> None:
        self._guard = guard
        self._start: Callable[[], None] | None = start
        self._waiting: deque[tuple[Ambient | None, Callable[[], object]]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, function: Callable[[], object]) -> None:
        """Leave *function* to the next `run`; or call it now, if too many wait."""
        if len(self._waiting) < MOST:
            self._waiting.append((AMBIENT.get(), function))
        else:
            with self._guard("deferred_late"):
                function()
        start = self._start
        if start is not None:
            self._start = None
            start()

    def run(self) -> None:
        """Call the pending functions, in order."""
        for number in range(len(self._waiting)):
            try:
                ambient, function = self._waiting.popleft()
            except IndexError:  # another thread, which flushes, was faster
                return
            if number % SLICE == SLICE - 1:
                sleep(0)  # offers the interpreter lock: a thousand requests and more are described at once
            token = AMBIENT.set(ambient)
            try:
                function()
            except Exception as error:  # noqa: BLE001 - no block: two calls less for each request of a server
                self._guard.swallow("deferred", error)
            finally:
                AMBIENT.reset(token)
