"""A view: its name, its columns, and a query that both engines run; and how queries name other views."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

PREFIX = "radiosonde_"
"""Prefix of the names of all views."""

KLL = "kll_double"
"""The kind of sketches that views read."""

_CALL = re.compile(r"@(\w+)")


class SqlView(NamedTuple):
    """A query over the interval ``[t0, t1)``.

    Attributes:
        name: name without `PREFIX`.
        summary: the meaning of its rows, in one sentence.
        columns: as it returns them, in order.
        query: SQL; ``@name`` reads another view over the same interval.
    """

    name: str
    summary: str
    columns: tuple[str, ...]
    query: str


def expanded(view: SqlView, call: Callable[[str], str]) -> str:
    """Return the query of *view* with every ``@name`` replaced by *call* of the name."""
    return _CALL.sub(lambda found: call(found[1]), view.query.strip())


def summary_lines(view: SqlView) -> str:
    """Return the comment above a view in a file."""
    return f"-- {view.summary}\n-- Columns: {', '.join(view.columns)}."
