"""Bounded, append-only tables from values to small codes: what the hot path writes instead of text.

Looking up is one `dict.get` on `codes`; adding takes a lock, which is re-entrant because a finaliser may predict while
it is held. Codes are never reused or removed, so a reader may index `names` with any code it has seen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any


class Codes:
    """Codes for hashable values.

    Args:
        bound: number of codes handed out; everything after that gets `overflow`.
        first: names that take the codes from 0 on.
        overflow_name: name of the overflow code.

    Attributes:
        codes: code by value.
        names: name by code.
        overflow: code of what no longer fits, -1 while everything does.
    """

    def __init__(self, bound: int, *, first: Iterable[str] = (), overflow_name: str = "__other__") -> None:
        self._lock = threading.RLock()
        self._bound = bound
        self._overflow_name = overflow_name
        self.overflow = -1
        self.codes: dict[Any, int] = {}
        self.names: list[str] = []
        self._listeners: list[Callable[[int, str], None]] = []
        for name in first:
            self.codes[name] = len(self.names)
            self.names.append(name)

    def tell(self, listener: Callable[[int, str], None]) -> None:
        """Call *listener* with every code and its name: those there are now, and each new one before it is handed out."""
        with self._lock:
            for code, name in enumerate(self.names):
                listener(code, name)
            self._listeners.append(listener)

    def _new(self, name: str) -> int:
        code = len(self.names)
        for listener in self._listeners:
            listener(code, name)
        self.names.append(name)
        return code

    def add(self, value: object, name: str) -> tuple[int, bool]:
        """Return the code of *value* and whether it had to share the overflow code.

        Two values of the same *name* (the integer 1 and the text ``"1"``) share a code.
        """
        with self._lock:
            code = self.codes.get(value)
            if code is None:
                code = self.codes.get(name)
            if code is None and len(self.names) < self._bound:
                code = self._new(name)
                self.codes[name] = code
            if code is not None:
                self.codes[value] = code
                return code, False
            if self.overflow < 0:
                self.overflow = self._new(self._overflow_name)
            return self.overflow, True
