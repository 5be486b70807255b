"""Bounded iteration over containers that a caller passes.

A class of the caller's may have an iterator that never ends, or a length of 10**12. A loop over one would never return, and the
wait cannot be interrupted where it is in C (``in``, `list`, `sum`). Every loop over such a container goes through `items_of`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final, TypeVar

T = TypeVar("T")

MOST_ITEMS: Final = 1 << 18
"""Items read of a container that is not one of Python's own: some 15 ms, and 2 MiB of references."""

_NAMES: dict[str, None] = {}
_FINITE = frozenset(
    {list, tuple, dict, set, frozenset, str, type(_NAMES.keys()), type(_NAMES.values()), type(_NAMES.items())}
)
"""Types that hold all their items in memory."""


def items_of(items: Iterable[T]) -> Iterable[T]:
    """Return an iterable: *items* of one of Python's own types, else the first `MOST_ITEMS` of them."""
    return items if type(items) in _FINITE else islice(items, MOST_ITEMS)
