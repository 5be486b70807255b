"""The one background thread of a process: starts lazily, dies in a fork, ends within a deadline.

It can be entered twice, and what happens then:

* `start` while it runs: nothing.
* `start` from two threads at once: the lock lets one make the thread.
* `start` in a forked child: the parent's thread is not there; `reset_after_fork` has forgotten it, so a new one is made.
* `stop` from `atexit` while a scrape or a flush waits: both hold no lock while they wait.
* `stop` from the thread itself (a callback that shuts down): joins nobody.

The thread is a daemon: an exit that skips `atexit` (``os._exit``, a signal's default action) must not hang on it.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable


class Worker:
    """Calls *step* every *interval_s* seconds, and at once when woken.

    Args:
        step: what to do; must not raise (the pipeline guards it).
        interval_s: seconds between calls.
        name: name of the thread.
    """

    def __init__(self, step: Callable[[], None], interval_s: float, name: str = "radiosonde") -> None:
        self._step = step
        self._interval_s = interval_s
        self._name = name
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Forget the thread and take new locks."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread if it does not run."""
        with self._lock:
            if self._thread is None and not self._is_stopping:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def wake(self) -> None:
        """Make the next step come at once."""
        self._wake.set()

    def stop(self, timeout_s: float) -> bool:
        """End the thread; return whether it ended in time."""
        self._is_stopping = True
        self._wake.set()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def _run(self) -> None:
        while not self._is_stopping:
            self._wake.wait(self._interval_s)
            self._wake.clear()
            if not self._is_stopping:
                self._step()


def register_hooks(
    before_fork: Callable[[], None],
    in_parent: Callable[[], None],
    in_child: Callable[[], None],
    at_exit: Callable[[], None],
) -> None:
    """Call these around every fork and at the interpreter's exit, for the life of the process."""
    os.register_at_fork(before=before_fork, after_in_parent=in_parent, after_in_child=in_child)
    atexit.register(at_exit)
