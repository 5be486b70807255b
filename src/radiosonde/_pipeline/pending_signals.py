"""Finds signals that have come and whose handler has not run, and interrupts the main thread once more.

Python runs handlers in the main thread, between two instructions. A signal that arrives when the main thread has released the
interpreter lock and is just about to wait does not interrupt the wait: its handler runs when the wait is over, an hour later
perhaps. A process that reports ready and is terminated at once is affected, on a busy machine one in ten. With the default action it would
have ended.

Python writes the number of each signal to a file descriptor, which is a pipe here unless the host has one of its own
(`signal.set_wakeup_fd`). An event loop that sets one is woken by it, and need not be interrupted. Code that sets one does not see ours, and
ours is restored when that one is removed.

A host may close the pipe and open something else under its numbers (`radiosonde._descriptors`). That is seen at the next look, a fraction of
a second later, and the main thread makes a new pipe; a signal in between writes its number, one byte, to what the host has opened.

Where the main thread is in native code, it is interrupted in vain until that returns.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from radiosonde._descriptors import Descriptor
from radiosonde._native import read

_READ_BYTES = 4096


class PendingSignals:
    """The pipe, and the signals read from it.

    Attributes:
        is_hosts: whether the host has set a descriptor of its own.
    """

    def __init__(self) -> None:
        self._read = self._write = _NONE
        self._pid = 0
        self.is_hosts = False

    def watch(self) -> None:
        """Have Python write down signals. For the main thread; nothing where another descriptor is in force, or again."""
        if not hasattr(signal, "pthread_kill") or (self._pid == os.getpid() and not self._is_lost):
            return
        self._discard()
        self._pid = os.getpid()
        self._read, self._write = map(Descriptor, os.pipe())
        os.set_blocking(self._read.number, False)
        os.set_blocking(self._write.number, False)
        previous = _set_wakeup_fd(self._write.number, warn_on_full_buffer=False)
        if previous != -1:
            _set_wakeup_fd(previous)
        _conceal(self)

    def arrived(self) -> set[int]:
        """Return the numbers of the signals that arrived since the last call. Any thread."""
        found: set[int] = set()
        if self._pid != os.getpid():
            return found
        if self._is_lost:
            call_in_main_thread(self._watch_again)
            return found
        with suppress(OSError):  # BlockingIOError: none has
            while part := read(self._read.number, _READ_BYTES):
                found.update(part)
        return found

    def reset(self) -> None:
        """Discard the parent's pipe in a forked child: bytes written to it would be read as the parent's signals."""
        if self._pid in (0, os.getpid()):
            return
        self._discard()
        self._pid = 0

    def owns(self, descriptor: int) -> bool:
        """Whether *descriptor* is the end of the pipe that Python writes to."""
        return descriptor != -1 and descriptor == self._write.number and self._write.is_open

    def renew(self) -> None:
        """Set the pipe again after another descriptor was removed."""
        if self._pid == os.getpid() and not self._is_lost:
            _set_wakeup_fd(self._write.number, warn_on_full_buffer=False)

    @property
    def _is_lost(self) -> bool:
        """Whether the host has closed an end of the pipe."""
        return not (self._read.is_open and self._write.is_open)

    def _watch_again(self) -> None:
        with suppress(OSError, ValueError):  # no descriptors are left; not the main thread of the main interpreter
            self.watch()

    def _discard(self) -> None:
        """Close the pipe and have Python not write to it; in the main thread."""
        if self._write is _NONE:
            return
        previous = _set_wakeup_fd(-1)
        # A number that the host has set stays in force, also the same one. One that is left over from the pipe does not.
        if previous != -1 and (self.is_hosts or previous != self._write.number):
            _set_wakeup_fd(previous)
        self._read.close()
        self._write.close()
        self._read = self._write = _NONE


def interrupt_main_thread(number: int) -> None:
    """Send a signal to the main thread, which interrupts its wait."""
    main = threading.main_thread().ident
    if main is not None:
        with suppress(ProcessLookupError):
            signal.pthread_kill(main, number)


def call_in_main_thread(function: Callable[[], None]) -> None:
    """Have the main thread call *function* between two of its instructions; never, if it waits for ever or Python is not CPython."""
    with suppress(ImportError, AttributeError):
        import ctypes  # numpy has imported it

        ctypes.pythonapi.Py_AddPendingCall(_callback(function), None)


@functools.lru_cache(maxsize=8)  # it must outlive the call
def _callback(function: Callable[[], None]) -> Any:
    import ctypes

    def call(_: object) -> int:
        function()
        return 0

    return ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(call)


_NONE = Descriptor(-1)

_set_wakeup_fd = signal.set_wakeup_fd


def _conceal(pending: PendingSignals) -> None:
    """Hide our descriptor: Trio warns about a descriptor it finds, and other code would restore it as its own."""
    current = signal.set_wakeup_fd
    if getattr(current, "is_radiosonde", False):
        return

    @functools.wraps(current)
    def set_wakeup_fd(fd: int, **options: Any) -> int:
        previous = current(fd, **options)
        pending.is_hosts = fd != -1
        if fd == -1:
            pending.renew()
        return -1 if pending.owns(previous) else previous

    set_wakeup_fd.is_radiosonde = True  # type: ignore[attr-defined]
    signal.set_wakeup_fd = set_wakeup_fd
