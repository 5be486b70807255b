"""Replacing attributes of other people's classes and modules, and putting back exactly what was there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_MISSING = object()


class Patches:
    """What was replaced, newest last. Not thread-safe: patching happens under the import lock or in `instrument`."""

    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, object]] = []
        self._done: set[tuple[int, str]] = set()

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> bool:
        """Replace an attribute that *owner* itself holds by ``make(original)``; return whether there was one.

        Inherited attributes are left alone: replaced on a subclass they would stay behind as shadows when undone. The
        original is what lies in the owner's ``__dict__``, a descriptor perhaps, and is put back as that same object.
        """
        if (id(owner), name) in self._done:
            return True
        original = vars(owner).get(name, _MISSING)
        if original is _MISSING:
            return False
        setattr(owner, name, make(original))
        self._done.add((id(owner), name))
        self._undo.append((owner, name, original))
        return True

    def restore(self) -> None:
        """Put everything back, newest first."""
        while self._undo:
            owner, name, original = self._undo.pop()
            setattr(owner, name, original)
        self._done.clear()
