"""The one door to locks, threads and waits of the operating system, whatever has been patched.

gevent and eventlet replace those of the standard library by ones that switch to other greenlets of the same thread. What a
thread of our own waits for must be the kernel's, and what it shares with a greenlet must be held without a switch in between.
"""

from __future__ import annotations

from _thread import LockType, allocate_lock, get_ident
from time import sleep

__all__ = ["LockType", "allocate_lock", "get_ident", "sleep"]
