"""State that a new agent resumes from: one row per series, and counts outside of windows.

Both are written in the transaction that writes the windows they include and the progress in the rings, so the three never
disagree. An agent starts in a time that does not grow with the store, and its cumulative metrics do not go back when
retention or ``radiosonde store seal`` takes windows out.

The tables are created when first needed: a store of a version without them is upgraded in place, and for one without rows (an empty list)
its windows are summed once.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from radiosonde.model import SeriesKey, Window
from radiosonde.store.connection import reading
from radiosonde.store.reader import parsed
from radiosonde.store.rows import (
    FEATURE_COLUMNS,
    WINDOW_COLUMNS,
    FeaturePart,
    Row,
    feature_rows,
    parsed_features,
    readable,
    unpacked,
    window_from,
    window_row,
)

_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS totals (
        process  TEXT    NOT NULL,
        model    TEXT    NOT NULL,
        version  TEXT    NOT NULL,
        variant  TEXT    NOT NULL,
        cohort   TEXT    NOT NULL,
        number   INTEGER NOT NULL,     -- a series counted on several grids has a row for each
        document TEXT    NOT NULL,     -- columns of a row of windows by name, and its features
        PRIMARY KEY (process, model, version, variant, cohort, number)
    )
    """,
    "CREATE TABLE IF NOT EXISTS carried (process TEXT PRIMARY KEY, document TEXT NOT NULL)",
)
_COLUMNS = WINDOW_COLUMNS[1:]


@dataclass(frozen=True, slots=True)
class CumulativeState:
    """The state that one agent passes to the next.

    Attributes:
        totals: cumulative windows; when writing: all of every series that changed.
        counts: counts that are in no window, as the agent likes them; JSON.
    """

    totals: Sequence[Window] = ()
    counts: Mapping[str, Any] = field(default_factory=dict)


def total_rows(totals: Iterable[Window], process: str) -> list[Row]:
    """Return the rows of *totals*; encoding is done here, before a transaction begins."""
    numbers: dict[SeriesKey, int] = {}
    rows: list[Row] = []
    for window in totals:
        if not all(isinstance(name, str) for name in window.key):
            continue  # no row can hold it (`radiosonde.store.writer.REFUSALS`); its windows are counted as refused
        number = numbers[window.key] = numbers.get(window.key, -1) + 1
        row = window_row(window, process=process, written_ns=0)
        document = dict(
            zip(_COLUMNS, [unpacked(cell) if isinstance(cell, bytes) else cell for cell in row], strict=True)
        )
        document["features"] = [] if window.features is None else feature_rows(window.features)
        rows.append((process, *window.key, number, json.dumps(document, ensure_ascii=False)))
    return rows


def write_cumulative_state(
    connection: sqlite3.Connection, process: str, rows: Sequence[Row], counts: Mapping[str, Any]
) -> None:
    """Replace the totals of every series in *rows*, and the counts. *connection* is in a transaction."""
    for statement in _TABLES:
        connection.execute(statement)
    rows = readable(rows)
    connection.executemany(
        "DELETE FROM totals WHERE process = ? AND model = ? AND version = ? AND variant = ? AND cohort = ?",
        sorted({row[:5] for row in rows}),
    )
    connection.executemany("INSERT INTO totals VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.execute("INSERT OR REPLACE INTO carried VALUES (?, ?)", (process, json.dumps(counts)))


def read_cumulative_state(path: Path, process: str) -> CumulativeState:
    """Return the state of former agents; empty if there is none.

    Raises:
        StoreError: the store cannot be read.
    """
    with reading(path) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'carried'").fetchone():
            return CumulativeState()
        documents = connection.execute(
            "SELECT document FROM totals WHERE process = ? ORDER BY rowid", (process,)
        ).fetchall()
        counts = connection.execute("SELECT document FROM carried WHERE process = ?", (process,)).fetchone()
    return CumulativeState(
        [_window(json.loads(text)) for (text,) in documents], json.loads(counts[0]) if counts else {}
    )


def _window(document: dict[str, Any]) -> Window:
    # Rows of an agent of a former version lack the columns that were declared since.
    features = [(*row, *[None] * (len(FEATURE_COLUMNS) - len(row))) for row in document.pop("features")]
    document = dict.fromkeys(WINDOW_COLUMNS) | document
    return window_from(parsed(document), FeaturePart(parsed_features([row[1:] for row in features])))
