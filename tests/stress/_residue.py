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

MOST_OBJECTS, MOST_ENTRIES = 4, 16
"""Objects of a class, and entries of a container, that there may be more of: caches over small domains, which are not full from the start.
What is kept for each model or each call is soon more; what is kept for each Radiosonde, after some rounds."""


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

    def gained(self, before: Residue) -> dict[str, int]:
        """Return what there is more of than *before*, memory and types aside, beyond what caches of small domains take."""
        grown = {name: more for name, more in (self.objects - before.objects).items() if more > MOST_OBJECTS}
        entries = {name: size - before.kept.get(name, 0) for name, size in self.kept.items()}
        grown.update({name: more for name, more in entries.items() if more > MOST_ENTRIES})
        if self.descriptors > before.descriptors:
            grown["descriptors"] = self.descriptors - before.descriptors
        return grown


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
