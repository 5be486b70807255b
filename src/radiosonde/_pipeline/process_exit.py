"""The exit of a process: its counts are delivered within a deadline, then it ends in the original way.

A process that ends by ``os._exit`` or becomes another program by ``os.exec*`` runs neither hooks nor handlers, so these functions are wrapped
(`radiosonde._pipeline.leaving`). An exec may fail and the process continue, so the counts are delivered and nothing is shut down.

An ordinary exit runs `ProcessExit.act` as an `atexit` hook. A signal that ends the process runs no hook, so `ProcessExit.arm`
installs a handler where SIGTERM, SIGHUP or SIGINT would take their default action, which is to end the process. The handler delivers and
ends the process by the same signal, so that its parent sees the expected status.

The host's own handlers stay in charge:

* A handler of the host's and an ignored signal are left as they are. One that raises SystemExit leads to an ordinary exit.
* A handler that the host sets later replaces this one, and gets this one as the previous handler.
* Many servers (uvicorn, and all that follow the manual) restore the default action after a graceful end and send themselves the signal
  again. `signal.signal` is therefore wrapped: the default action of these signals delivers first.
  `loop.remove_signal_handler` of asyncio comes by there, too.

A child that was forked in a thread, and returns from it, ends with its last thread. Threads of Radiosonde would keep it for ever, so the consumer's
thread ends it.

The handler runs in the main thread at any instruction, also while that thread holds a lock of Radiosonde. Therefore another thread
delivers. The handler waits for it, unless it has interrupted code of Radiosonde: then it returns, so that this code can release its locks,
and the process ends as soon as everything is delivered.

A process may go on predicting until it ends: in other threads, or in the main thread after the handler has returned. Delivery is therefore in
two steps. The first one takes long (imports, the first write), and predictions are still recorded. Then the main thread is interrupted
until it waits, and the second step, which is short, ends the recording and delivers the rest.

A repetition within `SAME_SIGNAL_S` is the same signal, sent to a process and to its group; a later one ends the process at
once. Python lets only the main thread set handlers: where another thread decorates and predicts, the main thread sets them at its next
instruction, which does not come while it waits for ever. While native code keeps the main thread, the signal waits for its return. A signal that comes as the main thread
begins to wait is sent once more (`radiosonde._pipeline.pending_signals`). The first process of a container is not
armed either: the default action of a signal does not end it.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from radiosonde._clock import NS, monotonic_ns, sleep
from radiosonde._native import LockType, allocate_lock, get_ident, has_other_threads, start_thread
from radiosonde._pipeline.leaving import wrap_os
from radiosonde._pipeline.pending_signals import PendingSignals, call_in_main_thread, interrupt_main_thread

ENDING_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)
)  # Windows has no SIGHUP
"""Signals that end a process by default and are sent to processes as a matter of course."""

SAME_SIGNAL_S = 1.0
"""Seconds within which the signal again is taken for the same one."""

LONGEST_WAIT_S = 15.0
"""Longest wait of the handler for the delivering thread, which has its own deadline."""

PARK_S = 0.5
"""Longest wait until the main thread has left the code of Radiosonde and waits for the delivery."""

_PARK_RETRY_S = 0.001

_MAIN_THREAD = type(threading.main_thread())


class ProcessExit:
    """Has everything delivered once when the process ends.

    Args:
        deliver: delivers the counts of the process within a deadline.
        flush: the same for a process that may continue.
        flush_first: the same for one that a signal ends, within a shorter deadline; *deliver* follows.
    """

    def __init__(self, deliver: Callable[[], None], flush: Callable[[], None], flush_first: Callable[[], None]) -> None:
        self._deliver = deliver
        self.flush = flush
        self._flush_first = flush_first
        self._pending = PendingSignals()
        self.reset()

    def reset(self) -> None:
        """Reset the state inherited from the parent after a fork."""
        self._acting: LockType | None = None  # held during a delivery
        self._actor = 0
        self._signal = self._signalled_ns = 0
        self._is_delivered = False
        self._is_parking = self._is_parked = False  # the main thread is to wait for the delivery; it does
        self._done: LockType = allocate_lock()
        self._ours: set[int] = set()  # signals whose handler was ours at the last check
        self._untaken: set[int] = set()
        self._pending.reset()
        # After a fork, the thread that forked is the main thread of the child.
        self._is_forked_in_thread = not isinstance(threading.main_thread(), _MAIN_THREAD)

    def act(self) -> None:
        """Deliver; nothing where this has interrupted itself, and a wait where another thread delivers."""
        acting = self._acting
        if acting is not None:
            if self._actor != get_ident() and acting.acquire(True, LONGEST_WAIT_S):
                acting.release()
            return
        self._acting = acting = allocate_lock()
        acting.acquire()
        self._actor = get_ident()
        try:
            self._deliver()
        finally:
            self._acting = None
            acting.release()
            if self._signal:
                self._end()

    def at_exit(self) -> None:
        """Deliver: the `atexit` hook.

        An uncaught KeyboardInterrupt ends Python by SIGINT, so that shells see a Ctrl-C. Python keeps in a flag that it is to,
        and each `eval` of a text clears the flag, as those of `namedtuple` do in what we import now. So it is set again.
        """
        self.act()
        if getattr(sys, "last_type", None) is KeyboardInterrupt and not (hasattr(sys, "ps1") or sys.flags.interactive):
            with suppress(KeyboardInterrupt):
                exec("raise KeyboardInterrupt", {})  # noqa: S102 - a constant; sets the flag

    # Signals -----------------------------------------------------------------------------------------------------------

    def arm(self) -> None:
        """Deliver before ``os._exit``, before the process becomes another program, and before a signal ends it by its default action.

        Handlers are set in the main thread only. Called in another one, this has the main thread set them at its next instruction.
        """
        wrap_os(self.flush, self.act)
        if os.getpid() == 1:
            return
        _wrap_signal(self)
        if threading.current_thread() is threading.main_thread():
            self._arm_signals()
        elif any(signal.getsignal(number) is signal.SIG_DFL for number in ENDING_SIGNALS):
            call_in_main_thread(self._arm_signals)

    def _arm_signals(self) -> None:
        with suppress(ValueError):  # not the main thread of the main interpreter
            self._pending.watch()
        for number in ENDING_SIGNALS:
            self.arm_signal(number)
        self.take_note()  # a forked child inherits the handlers; what arrives before the first check is for them

    def arm_signal(self, number: int) -> None:
        """Deliver before this signal ends the process, if its default action is in force and this is the main thread."""
        if signal.getsignal(number) is signal.SIG_DFL:
            with suppress(ValueError):  # another thread, or another interpreter
                _set_handler(number, self.take)
                self.take_note()

    def look(self) -> None:
        """Interrupt the main thread if it has not run the handler of a signal that arrived before the last check.

        For the consumer's thread, a few times a second. A child that was forked in a thread ends here when that thread has ended.
        """
        if self._is_forked_in_thread and not threading.main_thread().is_alive() and not has_other_threads():
            os._exit(0)  # the status that it has without the threads of Radiosonde; delivers
        waiting = self._untaken
        self.take_note()
        for number in self._untaken & waiting:
            interrupt_main_thread(number)

    def take_note(self) -> None:
        """Record which signals have arrived for our handler, if it was installed both before and after."""
        ours = set() if self._signal else {number for number in ENDING_SIGNALS if signal.getsignal(number) == self.take}
        self._untaken = (self._untaken | self._pending.arrived()) & self._ours & ours
        self._ours = ours

    def take(self, number: int, frame: FrameType | None) -> None:
        """Deliver, and end the process by the signal: the handler."""
        if self._is_delivered:
            self._end()
        if self._is_parking:
            self._park(frame)
            return
        if self._signal and monotonic_ns() - self._signalled_ns > SAME_SIGNAL_S * NS:
            self._end()
        if self._signal:
            return
        self._signal, self._signalled_ns = number, monotonic_ns()
        if self._acting is not None and self._actor == get_ident():
            return  # at the exit already: the process ends by the signal when all is delivered
        self._done.acquire()
        try:
            start_thread(self._deliver_for_signal)
        except RuntimeError:  # the interpreter ends, and allows no threads any more
            self.act()
            return
        self._park(frame)

    def _park(self, frame: FrameType | None) -> None:
        """Wait in the main thread for the delivery and end the process; return if code of Radiosonde was interrupted."""
        if self._is_parked or _is_in_our_code(frame):
            return
        self._is_parked = True
        try:
            self._done.acquire(True, LONGEST_WAIT_S)
        finally:  # also if another handler raises meanwhile
            self._end()

    def _deliver_for_signal(self) -> None:
        try:
            self._flush_first()
            self._park_main_thread()
            self.act()
        finally:
            self._is_delivered = True
            self._done.release()
            self._end()

    def _park_main_thread(self) -> None:
        """Interrupt the main thread until it waits for the delivery."""
        if not hasattr(signal, "pthread_kill"):
            return
        until_ns = monotonic_ns() + round(PARK_S * NS)
        self._is_parking = True
        while not self._is_parked and monotonic_ns() < until_ns:
            interrupt_main_thread(self._signal)
            sleep(_PARK_RETRY_S)
        self._is_parking = False

    def _end(self) -> None:
        """End the process by the signal: in the main thread, which alone can restore the default action."""
        if threading.current_thread() is threading.main_thread():
            _set_handler(self._signal, signal.SIG_DFL)
            os.kill(os.getpid(), self._signal)
            return
        self._is_delivered = True
        if hasattr(signal, "pthread_kill"):
            interrupt_main_thread(self._signal)
        else:
            os.kill(os.getpid(), self._signal)


def _is_in_our_code(frame: FrameType | None) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith("radiosonde"):
            return True
        frame = frame.f_back
    return False


_set_handler: Callable[[int, Any], Any] = signal.signal


def _wrap_signal(leaving: ProcessExit) -> None:
    """Make the default action of an ending signal deliver first, whichever code restores it from now on."""
    current = signal.signal
    if getattr(current, "is_radiosonde", False):
        return

    @functools.wraps(current)
    def set_handler(signalnum: Any, handler: Any) -> Any:
        leaving.take_note()
        previous = current(signalnum, handler)
        leaving.take_note()
        if signalnum in ENDING_SIGNALS and handler in (signal.SIG_DFL, 0) and not sys.is_finalizing():
            leaving.arm_signal(signalnum)
        return previous

    set_handler.is_radiosonde = True  # type: ignore[attr-defined]
    signal.signal = set_handler
