"""Reads the pages that worker processes leave in a spool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from radiosonde._ring.process_pages import PageKind, read_page
from radiosonde._ring.spool import Spool, is_held
from radiosonde.errors import SpoolError

if TYPE_CHECKING:
    from radiosonde._guard import Guard

Value = TypeVar("Value")


def read_pages(spool: Spool, kind: PageKind[Value], guard: Guard) -> Iterator[tuple[Path, bool, Value | None]]:
    """Yield each readable page of *kind*: its path, whether its process lives, and its contents.

    An unreadable page is logged and skipped. Whether the process lives is checked before the page is read, so the page of a dead process is
    final.
    """
    for path in spool.pages(kind.suffix):
        is_alive = is_held(path)
        try:
            value = read_page(path, kind)
        except SpoolError as error:
            if path.exists():
                guard.warn(str(path), "%s", error)
            continue
        yield path, is_alive, value
