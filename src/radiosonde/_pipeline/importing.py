"""Imports of Radiosonde in progress in another thread: a fork waits for them, and the child undoes those that take too long.

A child that is forked while another thread imports inherits the lock of that module for ever: its own first import of it, at the
latest the one at its exit, would wait for a thread that is not there. Python frees only the lock of imports as a whole. So a
child whose parent did not wait discards these locks and the partly imported modules, and imports them again. Imports of the host are left
alone; one of them may run for as long as the process does.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_OURS = str(Path(__file__).resolve().parents[1])
_MACHINERY = "<frozen importlib"
_IMPORTING = "_find_and_load"
"""Function of the machinery in which a module's lock is held; its argument ``name`` is the module."""


def imports_of_ours() -> frozenset[str]:
    """Return the modules that other threads than this are importing because a module of Radiosonde began to."""
    mine = threading.get_ident()
    frames = sys._current_frames()  # noqa: SLF001 - the documented way to read other threads' frames
    return frozenset(name for ident, frame in frames.items() if ident != mine for name in _begun_by_us(frame))


def _begun_by_us(frame: FrameType | None) -> list[str]:
    """Return the modules that a thread is importing, from the innermost to the outermost that Radiosonde requested."""
    names: list[str] = []
    ours = 0
    is_inside = False
    while frame is not None:
        code = frame.f_code
        if is_inside and code.co_filename.startswith(_OURS):
            ours = len(names)
        is_inside = code.co_filename.startswith(_MACHINERY)
        if is_inside and code.co_name == _IMPORTING:
            names.append(str(frame.f_locals.get("name", "")))
        frame = frame.f_back
    return names[:ours]


def forget_imports(names: Iterable[str]) -> None:
    """Make modules importable again whose import was cut off by a fork. In the child, before it imports anything."""
    locks = getattr(importlib._bootstrap, "_module_locks", {})  # noqa: SLF001 - there is no other way
    for name in names:
        locks.pop(name, None)
        spec = getattr(sys.modules.get(name), "__spec__", None)
        if getattr(spec, "_initializing", False):
            del sys.modules[name]
