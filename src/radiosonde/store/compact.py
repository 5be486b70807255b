"""Merges older parts: per minute, then per hour, then per day.

Every label that comes late is a part, and every process makes one a minute; kept as they are, a store reaches its bound in hours.
Parts of one series and one process whose start lies in the same slot are added up exactly (`radiosonde.sketches.merge`), the
slot being a minute, an hour or a day by the age of its oldest part. Age is counted from when that was written, as retention does:
a replay of last year's traffic keeps its minutes. A label that comes late joins the part that holds its prediction, because its
slot is as old as that part.

Sketches are nine tenths of a store and their size does not depend on their rows, so they move to longer slots sooner than counts: into a
separate part that spans the hour, then the day, and holds no counts. The check of units sees them at a resolution of an hour or a day.
Dropping them would disable that check, and merging the counts too would hide the onset of a fault.

Each call of `compact` is one step in the caller's write transaction: exactly one of the parts and their sum exists, even if the process is
killed at any instant, and readers continue with the previous state. A bounded number of parts is merged at a time, so other writers wait
for milliseconds.

While a sealer is at work (or was killed at it) nothing is compacted: parts that are in Parquet already are recognised by their
ids, which a sum does not keep.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from radiosonde.model import Window
from radiosonde.model.addition import emptied
from radiosonde.store.inserting import encoded, insert_parts
from radiosonde.store.reader import feature_part, parsed
from radiosonde.store.retention import DAY_NS, RETENTION_NS, drop_windows
from radiosonde.store.rows import WINDOW_COLUMNS, features_query, window_from
from radiosonde.store.schema import columns_of, columns_or_null

MINUTE_NS = 60 * 1_000_000_000
HOUR_NS = 60 * MINUTE_NS
SETTLED_NS = 2 * MINUTE_NS
"""Age from which the parts of a minute are added up: most that belong to it have come."""

SEALING = "sealing"
"""Name in table ``meta`` that a sealer leaves while it is at work."""

_INDEX = """
    CREATE INDEX IF NOT EXISTS windows_by_slot
    ON windows (model, version, variant, cohort, start_ns, end_ns, process, calls, grid, written_ns)
"""
_SKETCH_INDEX = """
    CREATE INDEX IF NOT EXISTS windows_of_sketches
    ON windows (model, version, variant, cohort, start_ns, end_ns, process, grid, written_ns) WHERE sketched_rows > 0
"""
# Parts whose sketches are to be merged into one of a longer slot; a slot with a single part needs no merge.
_SKETCHED = """
    SELECT group_concat(window_id), start_ns - start_ns % :length AS slot_ns
    FROM windows WHERE sketched_rows > 0 AND end_ns - start_ns < :length
    GROUP BY process, model, version, variant, cohort, grid, slot_ns
    HAVING count(*) > 1 AND min(written_ns) < :older
    ORDER BY random() LIMIT :slots
"""
_LATE_INDEX = """
    CREATE INDEX IF NOT EXISTS windows_of_labels ON windows (written_ns) WHERE calls = 0 AND labels IS NOT NULL
"""
# # The query is covered by the index, so a store of a gigabyte is scanned in milliseconds. A part that is longer than the slot is not
# split: its slot has its length. Unordered: parts that cannot be merged must not block others.
_DUE = """
    SELECT group_concat(window_id), slot_ns
    FROM (SELECT window_id, process, model, version, variant, cohort, grid, written_ns,
                 start_ns - start_ns % max(:length, end_ns - start_ns) AS slot_ns, max(:length, end_ns - start_ns) AS long_ns
          FROM windows)
    GROUP BY process, model, version, variant, cohort, grid, slot_ns, long_ns
    HAVING count(*) > 1 AND min(written_ns) < :older
    ORDER BY random() LIMIT :slots
"""
# Parts with labels only, by the part with the predictions: the joiner may be another process than the predictor.
_LATE = """
    SELECT holder, group_concat(window_id)
    FROM (SELECT window_id,
                 (SELECT held.window_id FROM windows AS held
                  WHERE held.model = late.model AND held.version = late.version AND held.variant = late.variant
                    AND held.cohort = late.cohort AND held.calls > 0
                    AND held.start_ns BETWEEN late.start_ns - :day AND late.start_ns AND held.end_ns >= late.end_ns
                    AND coalesce(json_extract(late.label_tables, '$.grid'), '') IN ('', held.grid)
                  ORDER BY held.written_ns LIMIT 1) AS holder
          FROM windows AS late
          WHERE calls = 0 AND labels IS NOT NULL AND written_ns < :older
          ORDER BY random() LIMIT :parts)
    WHERE holder IS NOT NULL GROUP BY holder
"""
PARTS_PER_SLOT = 20


@dataclass(frozen=True, slots=True)
class Tiers:
    """How old parts may become before they are added up to longer ones, and then removed.

    Attributes:
        minutes_ns: parts per minute are kept so long.
        hours_ns: parts per hour.
        days_ns: parts per day; retention.
    """

    minutes_ns: int = 2 * DAY_NS
    hours_ns: int = 60 * DAY_NS
    days_ns: int = RETENTION_NS

    @classmethod
    def of_days(cls, days: Sequence[float]) -> Tiers:
        """Return the tiers of three ages in days, as the setting ``store_tiers`` holds them."""
        return cls(*(round(age * DAY_NS) for age in days))

    def sketch_slots(self) -> Sequence[tuple[int, int]]:
        """Return the same for sketches: hours from an eighth of the first age on, days from the first one on."""
        return ((DAY_NS, self.minutes_ns), (HOUR_NS, self.minutes_ns // 8))

    def slots(self) -> Sequence[tuple[int, int]]:
        """Return (length of a slot, age from which its parts are added up), longest first."""
        return ((DAY_NS, self.hours_ns), (HOUR_NS, self.minutes_ns), (MINUTE_NS, SETTLED_NS))


def compact(connection: sqlite3.Connection, now_ns: int, tiers: Tiers, slots: int) -> int:
    """Merge the parts of at most *slots* slots and return the decrease in parts; 0 when nothing is due.

    Args:
        connection: in a write transaction.
        now_ns: wall clock.
        tiers: which ages.
        slots: bounds the time it takes.
    """
    if connection.execute("SELECT 1 FROM meta WHERE name = ?", (SEALING,)).fetchone():
        return 0
    connection.execute(_INDEX)
    connection.execute(_LATE_INDEX)
    connection.execute(_SKETCH_INDEX)
    bounds = {"older": now_ns - SETTLED_NS, "day": DAY_NS, "parts": slots * PARTS_PER_SLOT}
    fewer = sum(
        _add_up(connection, [holder, *map(int, late.split(","))])
        for holder, late in connection.execute(_LATE, bounds).fetchall()
    )
    for length_ns, age_ns in tiers.sketch_slots():
        bounds = {"length": length_ns, "older": now_ns - age_ns, "slots": slots}
        for ids, slot_ns in connection.execute(_SKETCHED, bounds).fetchall():
            fewer += _lift_sketches(connection, sorted(map(int, ids.split(","))), (slot_ns, slot_ns + length_ns))
            slots -= 1
    for length_ns, age_ns in tiers.slots():
        bounds = {"length": length_ns, "older": now_ns - age_ns, "slots": slots}
        for ids, slot_ns in connection.execute(_DUE, bounds).fetchall():
            fewer += _add_up(connection, sorted(map(int, ids.split(","))), (slot_ns, slot_ns + length_ns))
            slots -= 1
    return fewer


def _add_up(connection: sqlite3.Connection, window_ids: list[int], slot: tuple[int, int] | None = None) -> int:
    """Replace some parts by their sum; return the decrease in parts.

    Parts whose geometry differs (another grid, other edges) do not add up and stay beside each other.

    Args:
        connection: in a write transaction.
        window_ids: the parts; the sum gets the process of the first.
        slot: smallest start and end of the sum.
    """
    from radiosonde.sketches.merge import merge_windows  # loads datasketches, which a store does not need

    parts, written_ns = _read(connection, window_ids)
    process = parts[0].process
    merged = merge_windows((replace(part, process=process) for part in parts), by=lambda window: window.key)
    if len(merged) == len(parts):
        return 0
    if slot is not None:
        start_ns, end_ns = slot
        merged = [
            replace(each, start_ns=min(each.start_ns, start_ns), end_ns=max(each.end_ns, end_ns)) for each in merged
        ]
    rows = [encoded(window, process, written_ns) for window in merged]
    drop_windows(connection, window_ids)
    insert_parts(connection, [row for row in rows if row is not None])
    return len(parts) - len(merged)


def _lift_sketches(connection: sqlite3.Connection, window_ids: list[int], slot: tuple[int, int]) -> int:
    """Move the sum of the sketches of some parts into a separate part; return the decrease in parts with sketches.

    Args:
        connection: in a write transaction.
        window_ids: parts of one series, process and grid.
        slot: start and end of the part.
    """
    from radiosonde.sketches.merge import merge_windows

    parts, written_ns = _read(connection, window_ids)
    lifted = merge_windows(map(_sketches_alone, parts), by=lambda window: window.key)
    rows = [encoded(replace(each, start_ns=slot[0], end_ns=slot[1]), each.process, written_ns) for each in lifted]
    marks = ", ".join("?" * len(window_ids))
    connection.execute(f"DELETE FROM sketches WHERE window_id IN ({marks})", window_ids)  # noqa: S608
    connection.execute(f"UPDATE windows SET sketched_rows = 0 WHERE window_id IN ({marks})", window_ids)  # noqa: S608
    insert_parts(connection, [row for row in rows if row is not None])
    return len(parts) - len(lifted)


def _sketches_alone(window: Window) -> Window:
    """Return a window that has the sketches of *window* and counts nothing."""
    bare = replace(window, labels=None, runtime=None, lost=None)
    return emptied(bare, keep={"sketches", "sketched_rows"})


def _read(connection: sqlite3.Connection, window_ids: Sequence[int]) -> tuple[list[Window], int]:
    """Return parts, and when the first of them was written."""
    marks = ", ".join("?" * len(window_ids))
    queries = {
        "features": f"SELECT window_id, {features_query(columns_of(connection, 'features'))} FROM features "  # noqa: S608
        f"WHERE window_id IN ({marks}) GROUP BY window_id",
        "sketches": f"SELECT window_id, feature, kind, body FROM sketches WHERE window_id IN ({marks}) ORDER BY window_id",  # noqa: S608
    }
    rows = {
        table: {place: list(group) for place, group in groupby(connection.execute(query, window_ids), itemgetter(0))}
        for table, query in queries.items()
    }
    parts: dict[int, Window] = {}
    written: list[int] = []
    query = f"SELECT {columns_or_null(connection, 'windows', WINDOW_COLUMNS)} FROM windows WHERE window_id IN ({marks})"  # noqa: S608
    for row in connection.execute(query, window_ids):
        found: dict[str, Any] = parsed(dict(zip(WINDOW_COLUMNS, row, strict=True)))
        part = feature_part(rows["features"].get(row[0], []), rows["sketches"].get(row[0], []))
        parts[row[0]] = window_from(found, part)
        written.append(found["written_ns"])
    return [parts[window_id] for window_id in window_ids], min(written)
