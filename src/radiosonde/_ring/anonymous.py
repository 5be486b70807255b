"""Memory of our own from the operating system, which returns to it as a whole, whatever the heap looks like by then."""

from __future__ import annotations

import mmap
import sys


def anonymous_memory(size_bytes: int) -> mmap.mmap:
    """Map memory that is nobody else's; Windows knows no other anonymous mapping. Pages that are not written take none."""
    if sys.platform == "win32" or not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size_bytes)
    return mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
