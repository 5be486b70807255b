"""Reads the pages that worker processes leave in a spool, for whoever adds them up."""

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
    """Yield each page of *kind* that can be read: its path, whether its process lives, and what it holds.

    A page that cannot be read is logged and left out. Whether the process lives is asked before the page is read, so what it wrote
    before it died is in the page.
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
