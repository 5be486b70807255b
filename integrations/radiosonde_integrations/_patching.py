"""Replacing attributes of other people's classes and modules, and putting back exactly what was there.

Two plug-ins may replace the same attribute (a booster's scikit-learn class is a scikit-learn estimator too) and be undone
in any order, so what lies on top of an original is kept in layers: undoing one takes its layer out and leaves the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_MISSING = object()


@dataclass(slots=True)
class _Layers:
    """An attribute that was replaced: what was there, and what makes the replacements, innermost first."""

    owner: Any
    name: str
    original: Any
    makes: list[tuple[Patches, Callable[[Any], Any]]] = field(default_factory=list)
    top: Any = None

    def apply(self) -> None:
        """Put the outermost layer in place; without layers the original."""
        self.top = self.original
        for _, make in self.makes:
            self.top = make(self.top)
        setattr(self.owner, self.name, self.top)


_REPLACED: dict[tuple[int, str], _Layers] = {}
"""By owner (which its layers keep alive) and name."""


class Patches:
    """What one plug-in replaced, newest last. Not thread-safe: patching happens under the import lock or in `instrument`."""

    def __init__(self) -> None:
        self._done: list[tuple[int, str]] = []

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> bool:
        """Replace an attribute that *owner* itself holds by ``make(original)``; return whether there was one.

        Inherited attributes are left alone: replaced on a subclass they would stay behind as shadows when undone. The
        original is what lies in the owner's ``__dict__``, a descriptor perhaps, and is put back as that same object.
        """
        place = (id(owner), name)
        if place in self._done:
            return True
        present = vars(owner).get(name, _MISSING)
        if present is _MISSING:
            return False
        layers = _REPLACED.get(place)
        if layers is None or layers.top is not present:  # somebody else has replaced it since: their work is kept below
            layers = _REPLACED[place] = _Layers(owner, name, present)
        layers.makes.append((self, make))
        layers.apply()
        self._done.append(place)
        return True

    def restore(self) -> None:
        """Take out everything that was put in, newest first."""
        while self._done:
            place = self._done.pop()
            layers = _REPLACED[place]
            layers.makes = [(patches, make) for patches, make in layers.makes if patches is not self]
            layers.apply()
            if not layers.makes:
                del _REPLACED[place]
