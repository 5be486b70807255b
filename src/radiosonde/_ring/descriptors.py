"""Share of a process's descriptors that rings in a spool may take.

A ring file needs a descriptor for its lock, and Python's mapping of a file keeps another one until version 3.13. A process may have hundreds
of models and a limit of 1024 descriptors, which are the host's. Rings therefore take at most 1 / `SHARE` of the limit; beyond that, rings are
in memory (`radiosonde._record.ring_factory`), and an agent attaches the others as soon as it has removed some.
"""

from __future__ import annotations

import mmap
import sys
import weakref

try:
    import resource
except ImportError:  # Windows, where there is no spool
    resource = None  # type: ignore[assignment]

from radiosonde.errors import SpoolError

IS_LIMITED = hasattr(resource, "getrlimit")
"""Whether this system limits the descriptors of a process."""

SHARE = 4
"""Part of the limit that rings may take. Arbitrary: 85 rings of the usual 1024 descriptors."""

OF_MAPPING = 0 if sys.version_info >= (3, 13) else 1
"""Descriptors that a mapping of a file keeps."""

OF_RING = 1 + 2 * OF_MAPPING
"""Descriptors of a ring in the spool: its lock, and the mappings of the ring and of its arena."""

_HELD: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
"""Mappings of the files of rings, which this process or the parent that forked it has made."""


def map_ring(descriptor: int, size_bytes: int = 0) -> mmap.mmap:
    """Map the file of a ring, and count it among those of this process; 0 maps all of it."""
    mapped = map_file(descriptor, size_bytes)
    _HELD.add(mapped)
    return mapped


def map_file(descriptor: int, size_bytes: int = 0) -> mmap.mmap:
    """Map a file, without keeping a descriptor of it where that is possible."""
    if sys.version_info >= (3, 13):
        return mmap.mmap(descriptor, size_bytes, trackfd=False)
    return mmap.mmap(descriptor, size_bytes)


def most_rings() -> int:
    """Return how many rings may be mapped by this process."""
    if not IS_LIMITED:
        return sys.maxsize
    limit: int = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit // SHARE // OF_RING


def have_room() -> bool:
    """Return whether there are descriptors for another ring."""
    return len(_HELD) < most_rings()


def check_room() -> None:
    """Check that there are descriptors for another ring.

    Raises:
        SpoolError: there are none.
    """
    if not have_room():
        raise SpoolError(
            f"the rings of {len(_HELD)} models take a {SHARE}th of the descriptors of this process; raise the limit (ulimit -n), or observe "
            "fewer models"
        )


def raise_limit() -> None:
    """Raise the limit of this process as far as it may, for a process that is Radiosonde's own."""
    if IS_LIMITED:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
