"""Bounded, append-only tables from values to small codes: what the hot path writes instead of text.

Looking up is one `dict.get` on `codes`; adding takes a lock, which is re-entrant because a finaliser may predict while
it is held. Codes are never reused or removed, so a reader may index `names` with any code it has seen.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any


class Codes:
    """Codes for hashable values.

    Args:
        bound: number of codes handed out; everything after that gets `overflow`.
        first: names that take the codes from 0 on.
        overflow: code for what no longer fits; None takes the last code and names it *overflow_name*.
        overflow_name: name of the overflow code.
    """

    def __init__(self, bound: int, *, first: Iterable[str] = (), overflow_name: str = "__other__") -> None:
        self._lock = threading.RLock()
        self._bound = bound
        self._overflow_name = overflow_name
        self._overflow = -1
        self.codes: dict[Any, int] = {}
        self.names: list[str] = []
        for name in first:
            self.codes[name] = len(self.names)
            self.names.append(name)

    def add(self, value: object, name: str) -> tuple[int, bool]:
        """Return the code of *value* and whether it had to share the overflow code.

        Two values of the same *name* (the integer 1 and the text ``"1"``) share a code.
        """
        with self._lock:
            code = self.codes.get(value)
            if code is None:
                code = self.codes.get(name)
            if code is None and len(self.names) < self._bound:
                code = len(self.names)
                self.names.append(name)
                self.codes[name] = code
            if code is not None:
                self.codes[value] = code
                return code, False
            if self._overflow < 0:
                self._overflow = len(self.names)
                self.names.append(self._overflow_name)
            return self._overflow, True
