"""Bounds the store: windows are removed by age, and the oldest first if the file grows.

Age is counted from ``written_ns`` and not from event time, so that a replay of last year's traffic is kept.
Every function runs inside the caller's transaction and returns how many windows it removed.
"""

from __future__ import annotations

import math
import sqlite3

DAY_NS = 86_400 * 1_000_000_000
RETENTION_NS = 730 * DAY_NS
MAX_BYTES = 1 << 30

_HEADROOM_RATIO = 0.9
"""A store that reached its bound is cut to this share of it, so that not every write has to cut."""


def drop_older(connection: sqlite3.Connection, older_than_ns: int) -> int:
    """Remove the windows written before *older_than_ns*."""
    (expired,) = connection.execute("SELECT count(*) FROM windows WHERE written_ns < ?", (older_than_ns,)).fetchone()
    if expired:
        _drop(connection, "SELECT window_id FROM windows WHERE written_ns < ?", older_than_ns)
    return int(expired)


def drop_beyond(connection: sqlite3.Connection, max_bytes: int) -> int:
    """Remove the windows written first until the store holds less than *max_bytes*."""
    dropped = 0
    while (held := held_bytes(connection)) > max_bytes:
        (windows,) = connection.execute("SELECT count(*) FROM windows").fetchone()
        if not windows:
            break
        share = 1 - _HEADROOM_RATIO * max_bytes / held
        excess = min(windows, math.ceil(windows * share))
        _drop(connection, "SELECT window_id FROM windows ORDER BY written_ns, window_id LIMIT ?", excess)
        dropped += excess
    return dropped


def held_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the pages in use."""
    page_bytes, pages, free = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    return int(page_bytes * (pages - free))


def drop_windows(connection: sqlite3.Connection, window_ids: list[int]) -> None:
    """Remove these windows with their features and sketches."""
    rows = [(window_id,) for window_id in window_ids]
    for table in ("features", "sketches", "windows"):
        connection.executemany(f"DELETE FROM {table} WHERE window_id = ?", rows)  # noqa: S608 - a literal above


def _drop(connection: sqlite3.Connection, chosen: str, bound: int) -> None:
    """Remove the windows selected by the query *chosen*, their features and sketches, and references no longer in use."""
    window_ids = [window_id for (window_id,) in connection.execute(chosen, (bound,))]
    drop_windows(connection, window_ids)
    # The newest reference of a model version stays: it may have been fitted long before the first window.
    connection.execute(
        """
        DELETE FROM reference_profiles
        WHERE reference_id NOT IN (SELECT reference_id FROM windows WHERE reference_id IS NOT NULL)
          AND EXISTS (SELECT 1 FROM reference_profiles AS newer
                      WHERE newer.model = reference_profiles.model AND newer.version = reference_profiles.version
                        AND newer.written_ns > reference_profiles.written_ns)
        """
    )
