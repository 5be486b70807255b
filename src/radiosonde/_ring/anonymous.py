"""Anonymous memory mapped from the operating system, returned to it as a whole regardless of heap fragmentation."""

from __future__ import annotations

import mmap
import sys

import numpy as np
from numpy.typing import NDArray


def anonymous_memory(size_bytes: int) -> mmap.mmap:
    """Map private memory; Windows has no other anonymous mapping. Untouched pages take no memory."""
    if sys.platform == "win32" or not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size_bytes)
    return mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def room_for(rows: int, width: int) -> NDArray[np.float64]:
    """Return an array of *rows* x *width* that is not on the heap; it holds zeros."""
    count = rows * width
    memory = anonymous_memory(8 * max(count, 1))  # nothing of no size can be mapped
    return np.frombuffer(memory, dtype=np.float64, count=count).reshape(rows, width)
