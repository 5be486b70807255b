"""The tables of a store, and the identification of its files.

A store is one SQLite file that is readable with the ``sqlite3`` shell: unabbreviated names, JSON where a table would be impractical.
``application_id`` identifies the file as a store, ``user_version`` is its schema version. A store of a former version is upgraded in place
by its next writer; until then it is read unchanged.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from radiosonde._sqlite import is_ours
from radiosonde._version import __version__
from radiosonde.store.rows import SQL_TYPES

APPLICATION_ID = 0x52534E44
"""``RSND``; shown by ``file`` and ``PRAGMA application_id``."""

STORE_SHIFT = 32
"""A window's id outside its store is ``store_number << 32 | window_id``: unique over stores, so that rows which are in
Parquet and (after a crash) still in SQLite are known to be the same."""

FIRST_TABLES = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # AUTOINCREMENT: an id is never given twice, not even after its window was sealed away.
    """
    CREATE TABLE windows (
        window_id     INTEGER PRIMARY KEY AUTOINCREMENT,
        process       TEXT    NOT NULL,  -- counting process: service.instance.id
        start_ns      INTEGER NOT NULL,  -- event time since the Unix epoch, inclusive
        end_ns        INTEGER NOT NULL,  -- exclusive
        model         TEXT    NOT NULL,
        version       TEXT    NOT NULL,
        variant       TEXT    NOT NULL,
        cohort        TEXT    NOT NULL,  -- name=value pairs, comma separated
        calls         INTEGER NOT NULL,
        rows          INTEGER NOT NULL,
        errors        TEXT    NOT NULL,  -- {"ValueError": 3}
        batch_sizes   TEXT    NOT NULL,  -- calls with [2**i, 2**(i+1)) rows
        latency       TEXT    NOT NULL,  -- occupied buckets from "offset" on; phases; explicit edges
        output        TEXT    NOT NULL,  -- classes, confidence, values
        labels        TEXT,              -- NULL: no label in this part
        grid          TEXT,              -- NULL: no features in this part
        reference_id  TEXT,
        provisional   INTEGER,
        sketched_rows INTEGER,
        written_ns    INTEGER NOT NULL   -- wall clock; used by retention
    )
    """,
    "CREATE INDEX windows_by_start ON windows (start_ns)",
    "CREATE INDEX windows_by_written ON windows (written_ns)",
    # No foreign keys: each connection would have to enable them, and the three tables are always written together.
    """
    CREATE TABLE features (
        window_id   INTEGER NOT NULL,
        position    INTEGER NOT NULL,    -- column of the model
        feature     TEXT    NOT NULL,
        cells       TEXT    NOT NULL,    -- [bins ..., below, above, null, unseen]
        fingerprint INTEGER NOT NULL,    -- sum of value hashes modulo 2**64, as a signed integer
        PRIMARY KEY (window_id, position)
    ) WITHOUT ROWID
    """,
    # With a rowid: kilobytes of sketch in a primary-key tree would leave a few rows per page.
    "CREATE TABLE sketches (window_id INTEGER NOT NULL, feature TEXT NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX sketches_by_window ON sketches (window_id)",
    """
    CREATE TABLE reference_profiles (
        model        TEXT    NOT NULL,
        version      TEXT    NOT NULL,
        reference_id TEXT    NOT NULL,
        document     TEXT    NOT NULL,   -- the reference profile's JSON file
        written_ns   INTEGER NOT NULL,
        PRIMARY KEY (model, version, reference_id)
    )
    """,
    # Sealed segments. Inserting a row and deleting its windows are one transaction.
    """
    CREATE TABLE sealed (
        process TEXT    NOT NULL,
        hour_ns INTEGER NOT NULL,
        segment INTEGER NOT NULL,
        windows INTEGER NOT NULL,
        folder  TEXT    NOT NULL,
        PRIMARY KEY (process, hour_ns, segment)
    ) WITHOUT ROWID
    """,
    # How far the agent has counted the rings of its spool; replaced with every batch of windows it writes.
    """
    CREATE TABLE drained (
        process    TEXT    NOT NULL,
        nonce      INTEGER NOT NULL,
        cursor     INTEGER NOT NULL,     -- first record not read yet
        stragglers TEXT    NOT NULL,     -- records below it that were still in flight
        PRIMARY KEY (process, nonce)
    ) WITHOUT ROWID
    """,
    # For people: one line per window part.
    """
    CREATE VIEW traffic AS
    SELECT datetime(start_ns / 1000000000, 'unixepoch') AS start_utc, (end_ns - start_ns) / 1e9 AS seconds,
           model, version, variant, cohort, process, calls, rows, errors, window_id
    FROM windows
    """,
)
"""Version 1. Never edited: a new store is made as an old one is, and then takes the same steps."""

STEPS: Mapping[int, tuple[str, ...]] = {
    2: (
        # Additions to `labels`: joint counts, lags in force, labelled cells. NULL: no label, or counted by version 1.
        "ALTER TABLE windows ADD COLUMN label_tables TEXT",
        # Health of the process, in windows of the model `__runtime__` only. NULL: a window of a real model.
        "ALTER TABLE windows ADD COLUMN runtime TEXT",
        "DROP VIEW traffic",
        """
        CREATE VIEW traffic AS
        SELECT datetime(start_ns / 1000000000, 'unixepoch') AS start_utc, (end_ns - start_ns) / 1e9 AS seconds,
               model, version, variant, cohort, process, calls, rows, errors, window_id
        FROM windows WHERE runtime IS NULL
        """,
        # For people: one line per process and window.
        """
        CREATE VIEW health AS
        SELECT datetime(start_ns / 1000000000, 'unixepoch') AS start_utc, start_ns, process,
               json_extract(runtime, '$.cpu_s') / json_extract(runtime, '$.observed_s') AS cpu_cores,
               json_extract(runtime, '$.throttled_periods') * 1.0 / json_extract(runtime, '$.periods') AS throttled_ratio,
               json_extract(runtime, '$.rss_bytes') AS rss_bytes,
               json_extract(runtime, '$.gc_pauses.sum_s') AS gc_pause_s, window_id
        FROM windows WHERE runtime IS NOT NULL
        """,
        # Batches of joined labels whose outcomes are among the windows: a batch acknowledged too late is returned again.
        "CREATE TABLE joined (batch TEXT PRIMARY KEY, written_ns INTEGER NOT NULL) WITHOUT ROWID",
        # For people: outcomes per window part, those that corrections took back subtracted.
        """
        CREATE VIEW outcomes AS
        SELECT datetime(start_ns / 1000000000, 'unixepoch') AS start_utc, start_ns, model, version, variant, cohort, process,
               result, lag, sum(sign * counted) AS rows, window_id
        FROM (
            SELECT window_id, 1 AS sign, json_extract(value, '$.result') AS result, json_extract(value, '$.lag') AS lag,
                   json_extract(value, '$.rows') AS counted
            FROM windows, json_each(labels, '$.outcomes')
            UNION ALL
            SELECT window_id, -1, json_extract(value, '$.result'), json_extract(value, '$.lag'), json_extract(value, '$.rows')
            FROM windows, json_each(label_tables, '$.retractions')
        ) JOIN windows USING (window_id)
        GROUP BY window_id, result, lag
        """,
    ),
    # # Number of rows that the features were sampled from: formerly in the document `output`. A new version, not only a new column, because
    # a reader of version 2 would ignore the weights of sampled rows. Existing windows keep the numbers in place, and readers support both:
    # the time of an upgrade must not depend on the size of the store.
    3: (
        "ALTER TABLE windows ADD COLUMN feature_rows INTEGER",
        "ALTER TABLE windows ADD COLUMN feature_weight_square_sum INTEGER",
    ),
    # Labels per feature cell, packed: formerly `cells` and `residual_cells` in the document `label_tables`, a third of a store. A new
    # version for the same reason: a reader of version 3 would take the labels of new windows for labels without cells.
    4: ("ALTER TABLE windows ADD COLUMN label_cells BLOB",),
}
"""Statements that upgrade a store from the version before, by version. They only add: a reader of a store that was not upgraded treats
missing columns as empty, or reads the former place (`DeclaredField.formerly`)."""

SCHEMA_VERSION = max(STEPS)


def create(connection: sqlite3.Connection) -> None:
    """Make the tables of a store in an empty database; *connection* is in a write transaction."""
    for statement in FIRST_TABLES:
        connection.execute(statement)
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?)",
        [("store_number", str(int.from_bytes(os.urandom(4)) >> 1)), ("made_by", f"radiosonde {__version__}")],
    )
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    upgrade(connection)


def upgrade(connection: sqlite3.Connection) -> None:
    """Upgrade a store to this schema; *connection* is in a write transaction. Only reads the version if it is current."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for step in range(version + 1, SCHEMA_VERSION + 1):
        for statement in STEPS[step]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {step}")
    # A signal that was declared since is a column more: nothing that reads this schema minds it, so the version stays.
    for table, columns in SQL_TYPES.items():
        present = columns_of(connection, table)
        for name, kind in columns.items():
            if name not in present:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")


def columns_or_null(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], *, without: Collection[str] = ()
) -> str:
    """Return the SELECT list of *columns*, with NULL for those that a store of a former version does not have yet, and for *without*."""
    present = columns_of(connection, table).difference(without)
    return ", ".join(name if name in present else f"NULL AS {name}" for name in columns)


def columns_of(connection: sqlite3.Connection, table: str) -> set[str]:
    """Return the names of the columns of *table*."""
    return {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}


def is_store(connection: sqlite3.Connection, path: Path) -> bool:
    """Return True for a store this version reads, False for a database with nothing in it.

    Raises:
        StoreError: the database is something else, or its schema is newer.
    """
    return is_ours(connection, path, application_id=APPLICATION_ID, version=SCHEMA_VERSION)


def store_number(connection: sqlite3.Connection) -> int:
    """Return the unique number of this store."""
    (number,) = connection.execute("SELECT value FROM meta WHERE name = 'store_number'").fetchone()
    return int(number)
