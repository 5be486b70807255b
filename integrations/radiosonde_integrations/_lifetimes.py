"""Tracks the lifetime of objects, for tables keyed by identity, because an identity may be reused."""

from __future__ import annotations

import weakref
from collections.abc import Callable


class Lifetimes:
    """Tells of each object that is gone, once, however often it was watched; it keeps nothing alive.

    Args:
        gone: called with the identity of a deleted object, in the thread that releases it.
    """

    def __init__(self, gone: Callable[[int], object]) -> None:
        self._tell = gone
        self._watched: set[int] = set()

    def watch(self, thing: object) -> None:
        """Tell when *thing* is gone.

        Raises:
            TypeError: it takes no weak reference.
        """
        if id(thing) not in self._watched:
            weakref.finalize(thing, self._gone, id(thing)).atexit = False
            self._watched.add(id(thing))

    def _gone(self, identity: int) -> None:
        self._watched.discard(identity)
        self._tell(identity)
