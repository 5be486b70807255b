"""Whether a thread is inside an import that Radiosonde began. A fork must not come then.

A child that is forked while another thread imports inherits the lock of that module for ever: its own first import of it, at the
latest the one at its exit, would wait for a thread that is not there. Python frees only the lock of imports as a whole. Imports
of the host are the host's own; one of them may run for as long as the process does.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_OURS = str(Path(__file__).resolve().parents[1])
_IMPORTING = "<frozen importlib"


def is_importing() -> bool:
    """Return whether another thread than this is in an import that a module of Radiosonde began."""
    mine = threading.get_ident()
    return any(_is_in_import(frame) for ident, frame in sys._current_frames().items() if ident != mine)  # noqa: SLF001 - the documented way to see other threads' frames


def _is_in_import(frame: FrameType | None) -> bool:
    """Return whether a frame of ours stands right outside one of the import machinery."""
    is_inside = False
    while frame is not None:
        name = frame.f_code.co_filename
        if is_inside and name.startswith(_OURS):
            return True
        is_inside = name.startswith(_IMPORTING)
        frame = frame.f_back
    return False
