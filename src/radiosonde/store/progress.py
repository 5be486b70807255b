"""Read positions of rings and ids of label batches that were counted into this store.

Written in the transaction that writes the windows counted from it, so the two can never disagree: an agent that is
killed between two of them resumes after the last one, and the records it had drained since are still in the ring.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from radiosonde._clock import NS
from radiosonde.store.connection import reading


class RingProgress(NamedTuple):
    """Progress in one ring.

    Attributes:
        process: identity of the process that writes the ring.
        nonce: the ring's nonce.
        cursor: index of the first record that has not been read.
        stragglers: indices below the cursor that were still in flight.
        tally: number of the last tally of reclaimed records that was counted.
    """

    process: str
    nonce: int
    cursor: int
    stragglers: tuple[int, ...]
    tally: int = 0


# # The column `stragglers` holds the list of them, as in the first stores, or with the number of the tally ``{"tally": 7, "stragglers":
# [9]}`` once a ring has had one: another column would require an upgrade of every store.


def write_progress(connection: sqlite3.Connection, rings: Iterable[RingProgress]) -> None:
    """Replace all progress by *rings*; a ring that is not among them is gone. *connection* is in a transaction."""
    connection.execute("DELETE FROM drained")
    connection.executemany(
        "INSERT INTO drained VALUES (?, ?, ?, ?)",
        [(ring.process, ring.nonce, ring.cursor, _document(ring)) for ring in rings],
    )


def _document(ring: RingProgress) -> str:
    if not ring.tally:
        return json.dumps(list(ring.stragglers))
    return json.dumps({"tally": ring.tally, "stragglers": list(ring.stragglers)})


_JOINED_KEPT_NS = 30 * 86_400 * NS
"""Age at which a batch's id is forgotten: one that comes again later was not acknowledged for a month."""


def write_joined(connection: sqlite3.Connection, batch_ids: Iterable[str], written_ns: int) -> None:
    """Remember batches of labels; *connection* is in the transaction that writes the windows counted from them."""
    rows = [(batch_id, written_ns) for batch_id in batch_ids]
    if rows:
        connection.execute("DELETE FROM joined WHERE written_ns < ?", (written_ns - _JOINED_KEPT_NS,))
        connection.executemany("INSERT OR IGNORE INTO joined VALUES (?, ?)", rows)


def has_joined(connection: sqlite3.Connection, batch_id: str) -> bool:
    """Return whether a batch is recorded; false in a store of a version without batches."""
    known = "SELECT 1 FROM sqlite_schema WHERE name = 'joined'"
    if connection.execute(known).fetchone() is None:
        return False
    return connection.execute("SELECT 1 FROM joined WHERE batch = ?", (batch_id,)).fetchone() is not None


def read_progress(path: Path) -> dict[tuple[str, int], RingProgress]:
    """Return the progress by (process, nonce).

    Raises:
        StoreError: the store cannot be read.
    """
    with reading(path) as connection:
        rows = connection.execute("SELECT process, nonce, cursor, stragglers FROM drained").fetchall()
    found = {}
    for process, nonce, cursor, document in rows:
        read = json.loads(document)
        stragglers, tally = (read, 0) if isinstance(read, list) else (read["stragglers"], read["tally"])
        found[process, nonce] = RingProgress(process, nonce, cursor, tuple(stragglers), tally)
    return found
