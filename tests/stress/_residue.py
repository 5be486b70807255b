"""What a Radiosonde leaves in its process after its shutdown: objects, contents of what modules keep, types, descriptors, memory."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections import Counter, deque
from pathlib import Path
from typing import Any, NamedTuple

from radiosonde._record.later import SETTLED
from radiosonde._record.shapes import TYPES_KNOWN

PACKAGE = "radiosonde"

SLACK = 4
"""How much more there must be to count as a rise."""

MOST_RISES = 2
"""Rises that are no growth: what is made once from declarations, as the readers of a store's documents are at its first compaction,
whenever that comes, is there for good and rises once or twice. What is kept for each model, call or Radiosonde rises again and again."""


class Residue(NamedTuple):
    """What is left after a collection.

    Attributes:
        objects: living objects of classes of Radiosonde, by class.
        kept: sizes of containers and caches that modules of Radiosonde keep, by name; without the bounded one of types.
        types: types of the application that are remembered.
        descriptors: open file descriptors.
        resident_bytes: resident memory, without what the allocator could give back.
    """

    objects: Counter[str]
    kept: dict[str, int]
    types: int
    descriptors: int
    resident_bytes: int

    def counts(self) -> dict[str, int]:
        """Return everything counted but memory and types, by name."""
        return {**self.objects, **self.kept, "descriptors": self.descriptors}


class Growth:
    """What rises from round to round."""

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}
        self._rises = Counter[str]()
        self._is_first = True

    def add(self, left: Residue) -> None:
        """Take what is left after a round."""
        for name, count in left.counts().items():
            if self._is_first or count > self._highest.get(name, 0) + SLACK:
                self._highest[name] = count
                self._rises[name] += not self._is_first
        self._is_first = False

    def growing(self) -> dict[str, int]:
        """Return what has risen more often than caches do, with how much there is."""
        return {name: self._highest[name] for name, rises in self._rises.items() if rises > MOST_RISES}


def residue() -> Residue:
    """Inspect this process (Linux)."""
    gc.collect()
    objects = Counter[str]()
    for each in gc.get_objects():
        module = getattr(type(each), "__module__", None)  # a property, of some of the application's metaclasses
        if isinstance(module, str) and module.startswith(PACKAGE):
            objects[f"{module}.{type(each).__qualname__}"] += 1
    return Residue(objects, _kept(), len(SETTLED), len(list(Path("/proc/self/fd").iterdir())), _resident_bytes())


def _kept() -> dict[str, int]:
    """Return the sizes of containers and caches at the level of modules, by name."""
    found: dict[str, int] = {}
    for name, module in list(sys.modules.items()):
        if not name.startswith(PACKAGE):
            continue
        for attribute, value in list(vars(module).items()):
            if value is not SETTLED and not attribute.startswith("__") and (size := _size(value)) is not None:
                found[f"{name}.{attribute}"] = size
    return found


def _size(value: Any) -> int | None:
    if isinstance(value, (dict, list, set, deque)):
        return len(value)
    if hasattr(value, "cache_info"):
        info = value.cache_info()
        return int(info.currsize) if info.maxsize is None else 0  # one with a bound fills up to it
    return None


def _resident_bytes() -> int:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's only
    if trim is not None:
        trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


MOST_TYPES = TYPES_KNOWN
"""Types of the application that are remembered at most."""
