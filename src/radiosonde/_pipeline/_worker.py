"""The consumer thread of a process: starts lazily, stops at a fork, ends within a deadline.

Reentrancy:

* `start` while it runs: nothing.
* `start` from two threads at once: the lock lets one make the thread.
* `start` in a forked child: the parent's thread is not there; `reset_after_fork` has forgotten it, so a new one is made.
* `stop` from `atexit` while a scrape or a flush waits: neither holds a lock while it waits.
* `stop` from the thread itself (a callback that shuts down): joins no thread.

The thread is a daemon: an exit that skips `atexit` (``os._exit``, a signal's default action) must not hang on it.
"""

from __future__ import annotations

import atexit
import functools
import os
import select
import signal
import sys
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from radiosonde._clock import thread_time_ns
from radiosonde._native import Empty, LockType, RLock, SimpleQueue, Thread, allocate_lock, wait_for
from radiosonde._pipeline import hurry
from radiosonde._pipeline.pool_exit import deliver_before_pools_end
from radiosonde._pipeline.process_exit import ProcessExit


class Worker:
    """Calls *step* every *interval_s* seconds, and at once when woken.

    Args:
        step: the function to call; must not raise (the pipeline guards it).
        interval_s: seconds between calls.
        name: name of the thread.

    Attributes:
        cpu_ns: CPU time of the thread up to its last step, or to the last `note_cpu`.
    """

    def __init__(self, step: Callable[[], None], interval_s: float, name: str) -> None:
        self._step = step
        self._interval_s = interval_s
        self._name = name
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Forget the thread and take new locks."""
        # Re-entrant: starting a thread allocates, and a finaliser that predicts may come back here.
        self._lock = RLock()
        # Not an Event, whose lock a signal handler that predicts could find held by the very thread it interrupted;
        # a SimpleQueue is made to be put to at any instruction.
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._asked: deque[LockType] = deque()
        self._is_stopping = False
        self._thread: Thread | None = None
        self.cpu_ns = 0

    def note_cpu(self) -> bool:
        """Take the CPU time of the thread if this is it; return whether it is."""
        thread = self._thread
        if thread is None or not thread.is_current:
            return False
        self.cpu_ns = thread_time_ns()
        return True

    @property
    def is_running(self) -> bool:
        """Whether the thread was started."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread if it does not run."""
        # A thread that starts while the interpreter ends never runs, and its starter would wait for it for ever.
        if self.is_running or sys.is_finalizing():
            return
        with self._lock:
            if self._thread is None and not self._is_stopping:
                self._thread = Thread(self._run, self._name)
                self._thread.start()

    def wake(self) -> None:
        """Make the next step come at once. Safe in a signal handler and in a finaliser."""
        if self._wake.empty():
            self._wake.put(None)

    def ask(self, timeout_s: float) -> bool:
        """Have the thread take a step that begins after this call; return whether the step ended in time.

        A step that hangs is abandoned on its daemon thread, so the caller's deadline always holds.
        """
        done = allocate_lock()
        done.acquire()
        self._asked.append(done)
        self.start()
        self.wake()
        return wait_for(done, timeout_s)

    def stop(self, timeout_s: float) -> bool:
        """End the thread; return whether it ended in time."""
        with self._lock:  # another thread may be starting it just now
            self._is_stopping = True
            thread = self._thread
        self.wake()
        # No ident: this call interrupted `start` in its own thread; the thread will find that it is to stop.
        if thread is None or thread.ident is None or thread.is_current:
            return True
        return thread.join(timeout_s)

    def _run(self) -> None:
        while not self._is_stopping:
            with suppress(Empty):
                self._wake.get(timeout=self._interval_s)
            asked = [self._asked.popleft() for _ in range(len(self._asked))]
            try:
                if asked or not self._is_stopping:
                    self._step()
            finally:
                self.cpu_ns = thread_time_ns()
                for done in asked:
                    done.release()


class Ending:
    """Set by SIGTERM and SIGINT.

    A `threading.Event` would not do: its lock is held at both ends of a wait, and a handler that comes just then and sets
    it in the same thread waits for itself for ever.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def set(self) -> None:
        """Make `wait` return True, now and from now on. Takes no lock, so a signal handler may call it."""
        self._is_set = True
        with suppress(BlockingIOError):  # a pipe full of earlier ones wakes as well
            os.write(self._write, b"\0")

    def wait(self, timeout_s: float) -> bool:
        """Wait for at most *timeout_s*; return whether it is time to end."""
        if not self._is_set:
            select.select([self._read], [], [], timeout_s)
        return self._is_set

    def close(self) -> None:
        """Give the pipe back; no signal may come any more."""
        os.close(self._read)
        os.close(self._write)


def told_to_end() -> Ending:
    """Return an event that SIGTERM and SIGINT set, for a process of Radiosonde only. Call in the main thread."""
    ending = Ending()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    return ending


class ForkHandler(Protocol):
    """Handlers to call around a fork and at exit."""

    def before_fork(self) -> None:
        """Hold still."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Start afresh."""

    def at_exit(self) -> None:
        """Deliver within a deadline."""

    def before_exec(self) -> None:
        """Deliver within a deadline; the process may go on."""

    def before_signal_ends(self) -> None:
        """Deliver what was recorded so far; `at_exit` follows."""


_FORK_HANDLERS: weakref.WeakSet[ForkHandler] = weakref.WeakSet()


def add_fork_handler(handler: ForkHandler) -> None:
    """Call *handler* around every fork and at exit, while another reference to it exists.

    The hooks are registered once per process: they cannot be unregistered, and each would keep its callback alive.
    """
    _register_once()
    _FORK_HANDLERS.add(handler)


def _tell_all(what: str) -> Callable[[], None]:
    def call_all() -> None:
        for handler in list(_FORK_HANDLERS):
            getattr(handler, what)()

    return call_all


_EXIT = ProcessExit(_tell_all("at_exit"), _tell_all("before_exec"), _tell_all("before_signal_ends"))


@functools.cache
def _register_once() -> None:
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(
            before=_tell_all("before_fork"),
            after_in_parent=_tell_all("after_fork_in_parent"),
            after_in_child=_begin_in_child,
        )
    atexit.register(_EXIT.at_exit)


def _begin_in_child() -> None:
    _EXIT.reset()
    hurry.reset_after_fork()
    _tell_all("after_fork_in_child")()


def look_for_signals() -> None:
    """See that a signal whose handler has not run is not forgotten. For the consumer's thread, a few times a second."""
    _EXIT.look()


def deliver_at_any_end() -> None:
    """Deliver before this process ends by a signal or as a child of a pool.

    To be called when something is decorated, and again when something is recorded: a pool's child forgets finalizers when it
    begins, and may have set its signals.
    """
    _EXIT.arm()
    deliver_before_pools_end(_EXIT)
