"""Functions of `os` that end a program without running its `atexit` hooks, wrapped so that they deliver first.

``os._exit`` ends the forked children of most libraries: `multiprocessing` and billiard, the work horses of RQ, a hand-written
``os.fork()``. ``os.execv`` and ``os.execve``, which the others of their kind call, replace the program by another one.

A child that has recorded nothing has nothing to deliver and ends at once. One that has ends within the deadline of an ordinary exit. An error of
ours never prevents the end. A name that was imported from `os` before the first decoration stays the original, and so do calls from native code.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, NoReturn

BECOME = ("execv", "execve")
"""Functions that replace the program; execl, execlp, execvp and the like call these."""

END = "_exit"


def wrap_os(flush: Callable[[], None], deliver: Callable[[], None]) -> None:
    """Wrap the functions. A second call changes nothing.

    Args:
        flush: delivers what was counted; the program may go on, because an exec can fail.
        deliver: delivers everything, at the end of the process.
    """
    if getattr(os._exit, "is_radiosonde", False):
        return
    for name in BECOME:
        setattr(os, name, _after(flush, getattr(os, name)))
    setattr(os, END, _after(deliver, getattr(os, END)))


def _after(first: Callable[[], None], end: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
    @functools.wraps(end)
    def deliver_and_end(*args: Any, **kwargs: Any) -> NoReturn:
        try:
            first()
        finally:
            end(*args, **kwargs)

    deliver_and_end.is_radiosonde = True  # type: ignore[attr-defined]
    return deliver_and_end
