"""Locks, threads, waits and reads of the operating system, independent of monkey-patching.

gevent and eventlet replace those of the standard library by ones that switch to other greenlets of the same thread, before
Radiosonde is imported or afterwards. Radiosonde's threads must be real threads, or their waits would stop every greenlet of the server; and
locks shared with greenlets must be kernel locks, because the replacements belong to one thread.

This module therefore imports the originals: directly if nothing has been patched yet, else from a second instance of the built-in module. A
greenlet never switches while it holds a lock of Radiosonde: nothing under these locks waits for patched objects, and
`radiosonde._clock.sleep` is the original, too. Therefore no greenlet waits for a lock that another greenlet of its thread holds.
"""

from __future__ import annotations

import _thread
import sys
import threading
import time
import weakref
from _queue import Empty, SimpleQueue  # in C, and not patched
from collections.abc import Callable
from types import BuiltinFunctionType, ModuleType
from typing import Any, Protocol

try:
    from posix import read  # eventlet's own in `os` waits where nothing is to be read, on a non-blocking descriptor too
except ImportError:  # Windows
    from os import read

__all__ = [
    "Empty",
    "LockType",
    "OwnedLock",
    "RLock",
    "SimpleQueue",
    "Thread",
    "allocate_lock",
    "get_ident",
    "has_other_threads",
    "read",
    "sleep",
    "start_thread",
    "wait_for",
]


def is_patched() -> bool:
    """Whether threads are greenlets by now."""
    return not isinstance(_thread.start_new_thread, BuiltinFunctionType)


def _original(module: ModuleType, name: str) -> Any:
    """Return the original attribute of *module*, before any patching."""
    found = getattr(module, name)
    if isinstance(found, (BuiltinFunctionType, type)) and found.__module__ in (module.__name__, "_thread"):
        return found
    import importlib.util  # only where something has been patched

    spec = importlib.util.find_spec(module.__name__)
    if spec is None or spec.loader is None:
        return found
    fresh = importlib.util.module_from_spec(spec)
    registered = sys.modules.get(module.__name__)
    spec.loader.exec_module(fresh)
    if registered is not None:
        sys.modules[module.__name__] = registered
    return getattr(fresh, name)


allocate_lock: Callable[[], LockType] = _original(_thread, "allocate_lock")
RLock: Callable[[], Any] = _original(_thread, "RLock")
get_ident: Callable[[], int] = _original(_thread, "get_ident")
sleep: Callable[[float], None] = _original(time, "sleep")
_start_new_thread: Callable[..., int] = _original(_thread, "start_new_thread")


def start_thread(target: Callable[[], None]) -> None:
    """Start a thread of the operating system without taking a lock, so that a signal handler may do it.

    Raises:
        RuntimeError: the interpreter ends.
    """
    _start_new_thread(target, ())


class LockType(Protocol):
    """A lock of the kernel's."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - as in `_thread`
        """Take it."""

    def release(self) -> None:
        """Give it back."""

    def __enter__(self) -> bool: ...
    def __exit__(self, *failure: object) -> None: ...


class OwnedLock:
    """A lock that refuses the thread that holds it, at once.

    A signal handler or a finaliser that acquires it in the middle of its own thread's work would deadlock. It may interrupt after any call,
    including the acquisition itself, before the owner is set. The underlying lock is therefore reentrant: interrupting code acquires and
    releases it before the interrupted code continues.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._owner = 0  # written by the holder of the lock

    @property
    def is_mine(self) -> bool:
        """Whether the calling thread holds it."""
        return self._owner == get_ident()

    def acquire(self, timeout: float = -1) -> bool:
        """Take the lock; return whether it was taken within *timeout* seconds (negative: however long it takes)."""
        thread = get_ident()
        if self._owner == thread or not self._lock.acquire(timeout=timeout):
            return False
        if self._owner:  # held by this thread, which was interrupted since the check above
            self._lock.release()
            return False
        self._owner = thread
        return True

    def release(self) -> None:
        """Give it back."""
        self._owner = 0
        self._lock.release()

    def __enter__(self) -> None:
        """Take the lock.

        Raises:
            RuntimeError: the calling thread holds it.
        """
        if not self.acquire():
            raise RuntimeError("this thread holds the lock already; ask is_mine first")

    def __exit__(self, *failure: object) -> None:
        """Give it back."""
        self.release()


_POLL_S = 0.002


def wait_for(lock: LockType, timeout_s: float) -> bool:
    """Take *lock* within *timeout_s*; where threads are greenlets, the others of this thread go on meanwhile."""
    if not is_patched():
        return lock.acquire(True, max(0.0, timeout_s))
    until_s = time.monotonic() + timeout_s
    while not lock.acquire(False):
        if time.monotonic() >= until_s:
            return False
        time.sleep(_POLL_S)  # theirs: it switches
    return True


_OWN_THREADS: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def has_other_threads() -> bool:
    """Whether the process has threads beside its main thread and those of Radiosonde."""
    return any(thread is not threading.main_thread() and thread not in _OWN_THREADS for thread in threading.enumerate())


class Thread:
    """A daemon thread of the operating system.

    Args:
        target: the function to run.
        name: its name.
    """

    def __init__(self, target: Callable[[], None], name: str) -> None:
        self._target, self._name = target, name
        self._running = allocate_lock()
        self._thread: threading.Thread | None = None
        self.ident: int | None = None

    def start(self) -> None:
        """Start it."""
        self._running.acquire()
        if is_patched():
            self.ident = _start_new_thread(self._run, ())
            return
        # Where it can be, a thread that debuggers and `threading.enumerate` know by its name.
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        _OWN_THREADS.add(self._thread)
        self._thread.start()
        self.ident = self._thread.ident

    def _run(self) -> None:
        self.ident = get_ident()
        try:
            self._target()
        finally:
            self._running.release()

    @property
    def is_current(self) -> bool:
        """Whether this is the current thread."""
        return self.ident == get_ident()

    def join(self, timeout_s: float) -> bool:
        """Wait for its end; return whether it has ended."""
        if not wait_for(self._running, timeout_s):
            return False
        self._running.release()
        if self._thread is not None and not is_patched():
            self._thread.join(max(0.0, timeout_s))
        return True
