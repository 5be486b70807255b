"""A store of the first schema version is read as it is, brought to this version by its next writer, and sealed from either."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import duckdb
import numpy as np
import pytest

from radiosonde.model import Window
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.store.seal import seal
from tests.factories import START_NS, make_labels, make_reference
from tests.unit.store.strategies import assert_same, make_part

FIRST_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE windows (
    window_id     INTEGER PRIMARY KEY AUTOINCREMENT,
    process       TEXT    NOT NULL,
    start_ns      INTEGER NOT NULL,
    end_ns        INTEGER NOT NULL,
    model         TEXT    NOT NULL,
    version       TEXT    NOT NULL,
    variant       TEXT    NOT NULL,
    cohort        TEXT    NOT NULL,
    calls         INTEGER NOT NULL,
    rows          INTEGER NOT NULL,
    errors        TEXT    NOT NULL,
    batch_sizes   TEXT    NOT NULL,
    latency       TEXT    NOT NULL,
    output        TEXT    NOT NULL,
    labels        TEXT,
    grid          TEXT,
    reference_id  TEXT,
    provisional   INTEGER,
    sketched_rows INTEGER,
    written_ns    INTEGER NOT NULL
);
CREATE INDEX windows_by_start ON windows (start_ns);
CREATE INDEX windows_by_written ON windows (written_ns);
CREATE TABLE features (
    window_id   INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    feature     TEXT    NOT NULL,
    cells       TEXT    NOT NULL,
    fingerprint INTEGER NOT NULL,
    PRIMARY KEY (window_id, position)
) WITHOUT ROWID;
CREATE TABLE sketches (window_id INTEGER NOT NULL, feature TEXT NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX sketches_by_window ON sketches (window_id);
CREATE TABLE reference_profiles (
    model        TEXT    NOT NULL,
    version      TEXT    NOT NULL,
    reference_id TEXT    NOT NULL,
    document     TEXT    NOT NULL,
    written_ns   INTEGER NOT NULL,
    PRIMARY KEY (model, version, reference_id)
);
CREATE TABLE sealed (
    process TEXT    NOT NULL,
    hour_ns INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    windows INTEGER NOT NULL,
    folder  TEXT    NOT NULL,
    PRIMARY KEY (process, hour_ns, segment)
) WITHOUT ROWID;
CREATE TABLE drained (
    process    TEXT    NOT NULL,
    nonce      INTEGER NOT NULL,
    cursor     INTEGER NOT NULL,
    stragglers TEXT    NOT NULL,
    PRIMARY KEY (process, nonce)
) WITHOUT ROWID;
CREATE VIEW traffic AS
SELECT datetime(start_ns / 1000000000, 'unixepoch') AS start_utc, (end_ns - start_ns) / 1e9 AS seconds,
       model, version, variant, cohort, process, calls, rows, errors, window_id
FROM windows;
PRAGMA application_id = 1381191236;
PRAGMA user_version = 1;
INSERT INTO meta VALUES ('store_number', '77'), ('made_by', 'radiosonde 0.1.0');
INSERT INTO features VALUES (1, 0, 'wind', '[3,0,0,0,0,0]', 0), (1, 1, 'carrier', '[0,0,0,0,0,0]', 0);
"""
"""What version 1 made, word for word, but for comments."""

LATENCY = {
    "scale": 3, "offset": -160, "counts": [], "sums_s": [], "phases": {}, "edges_s": [0.001], "edge_counts": [0, 3],
    "exemplars": [],
}  # fmt: skip
OUTPUT = {
    "classes": ["no"], "class_counts": [3], "confidence": [[0] * 20], "confidence_sums": [[0.0] * 20],
    "value_edges": [], "value_counts": [], "value_sum": 0.0, "unreadable": 0,
}  # fmt: skip
LABELS = {
    "outcomes": [{"result": "incorrect", "lag": "1d", "rows": 2}],
    "calibration": {"labelled": [2.0] + [0.0] * 19, "correct": [0.0] * 20, "confidence_sums": [0.05] + [0.0] * 19},
    "classes": ["yes"], "class_counts": [2], "lag_counts": [[0, 0, 2, 0, 0]],
    "lag_edges_s": [60.0, 3600.0, 86400.0, 604800.0], "residual_sum": 0.0, "residual_square_sum": 0.0,
}  # fmt: skip


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a store that version 1 made, with one part."""
    path = tmp_path / "old.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(FIRST_SCHEMA)
    grid = make_reference().grid_id
    row = (1, "host/1", START_NS, START_NS + 10**9, "delays", "1", "stable", "", 3, 3, "{}", json.dumps([0] * 21),
           json.dumps(LATENCY), json.dumps(OUTPUT), json.dumps(LABELS), grid, "r", 0, 0, 9 * 10**18)  # fmt: skip
    connection.execute(f"INSERT INTO windows VALUES ({', '.join('?' * len(row))})", row)
    connection.commit()
    connection.close()
    return path


def select(path: Path, sql: str) -> list[tuple]:
    """Return SQLite's result."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def statements(path: Path) -> list[tuple[str, str]]:
    """Return the statement behind each table, index and view, without comments and spaces."""
    rows = select(path, "SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name")
    return [(name, "".join("".join(line.split("--")[0] for line in sql.splitlines()).split())) for name, sql in rows]


def assert_old_part(window: Window) -> None:
    """Fail unless *window* is the part of the old store, its later tables empty."""
    assert (window.rows, window.process, window.features.cells.tolist()) == (3, "host/1", [[3, 0, 0, 0, 0, 0], [0] * 6])
    labels = window.labels
    assert labels.outcomes == {("incorrect", "1d"): 2}
    assert labels.calibration[0].tolist() == [2.0, 0.0, 0.05]
    assert labels.lag_counts.tolist() == [[0, 0, 2, 0, 0]]
    assert (labels.lags.shape, labels.joint, labels.grid, labels.features, labels.cells) == ((0, 0), {}, "", (), {})
    assert (labels.residual_cells.shape, labels.retractions, labels.never) == ((0, 0, 3), {}, 0)


def test_reading_leaves_an_old_store_as_it_is(old):
    """Windows come back with what version 1 did not count empty; the file is not touched."""
    before = old.read_bytes()
    (window,) = open_source(old).windows()
    assert_old_part(window)
    assert old.read_bytes() == before


def test_the_next_writer_brings_it_to_this_version(old):
    """A write adds the column and the view once; old parts and new ones come back, the number of the store stays."""
    labels = make_labels({("correct", "1h"): 1}, lags_s={"yes": [5.0]})
    for _ in range(2):
        StoreWriter(old).write([make_part(7, labels=labels)])
    assert select(old, "PRAGMA user_version") == [(4,)]
    assert select(old, "SELECT value FROM meta WHERE name = 'store_number'") == [("77",)]
    windows = sorted(open_source(old).windows(), key=lambda window: window.rows)
    assert [window.rows for window in windows] == [3, 7, 7]
    assert_old_part(windows[0])
    assert_same(windows[1].labels, labels)
    assert select(old, "SELECT result, lag, rows FROM outcomes ORDER BY window_id") == [
        ("incorrect", "1d", 2), ("correct", "1h", 1), ("correct", "1h", 1),
    ]  # fmt: skip


def test_a_new_store_is_what_an_upgraded_one_is(old, tmp_path):
    """Both have the same tables and views, statement for statement."""
    StoreWriter(old)
    StoreWriter(tmp_path / "new.sqlite")
    assert statements(old) == statements(tmp_path / "new.sqlite")


def test_an_old_store_is_sealed(old, tmp_path):
    """Hours counted by version 1 go to Parquet and come back the same."""
    assert [hour.windows for hour in seal(old, tmp_path / "sealed", everything=True)] == [1]
    (window,) = open_source(tmp_path / "sealed").windows()
    assert_old_part(window)


def test_parquet_without_the_later_column_is_read(old, tmp_path):
    """Files that version 1 sealed are read, alone and beside files of this version."""
    seal(old, tmp_path / "sealed", everything=True)
    (file,) = (tmp_path / "sealed").glob("process=*/windows-*.parquet")
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE kept AS SELECT * EXCLUDE (label_tables) FROM '{file}'")
    connection.execute(f"COPY kept TO '{file}'")
    connection.close()
    (window,) = open_source(tmp_path / "sealed").windows()
    assert_old_part(window)
    later = make_part(9, process="host/2", labels=make_labels(lags_s={"yes": [5.0]}, residuals=[0.5]))
    StoreWriter(tmp_path / "new.sqlite").write([later])
    seal(tmp_path / "new.sqlite", tmp_path / "sealed", everything=True)
    windows = sorted(open_source(tmp_path / "sealed").windows(), key=lambda found: found.rows)
    assert_old_part(windows[0])
    assert_same(windows[1].labels, later.labels)


def test_sql_reads_joint_counts_from_either_carrier(tmp_path):
    """Confidence bin by predicted class by label: rows that SQLite and DuckDB list with their own functions."""
    table = np.zeros((21, 3))
    table[19] = (2.0, 1.95, 1.9)
    table[20, 0] = 1.0
    labels = make_labels({("correct", "1h"): 3}, joint={("yes", "yes"): table})
    StoreWriter(tmp_path / "a.sqlite").write([make_part(3, labels=labels)])
    rows = [("yes", "yes", 19, 2.0, 1.95), ("yes", "yes", 20, 1.0, 0.0)]
    fields = [f"json_extract(value, '$.{name}')" for name in ("predicted", "label", "bin", "rows", "confidence_sum")]
    sql = f"SELECT {', '.join(fields)} FROM windows, json_each(label_tables, '$.joint')"
    assert select(tmp_path / "a.sqlite", sql) == rows
    seal(tmp_path / "a.sqlite", tmp_path / "sealed", everything=True)
    connection = duckdb.connect()
    sql = f"""SELECT j.predicted, j.label, j.bin, j.rows, j.confidence_sum
              FROM (SELECT unnest(label_tables.joint) AS j FROM '{tmp_path}/sealed/process=*/windows-*.parquet')"""
    assert connection.execute(sql).fetchall() == rows
    connection.close()


def test_an_upgrade_that_fails_leaves_the_old_store(old, monkeypatch):
    """A step that breaks takes back the steps before it; the store stays readable."""
    before = select(old, "SELECT name FROM sqlite_schema ORDER BY name")
    monkeypatch.setattr("radiosonde.store.schema.STEPS", {2: ("ALTER TABLE windows ADD COLUMN a", "broken")})
    with pytest.raises(Exception, match="syntax error"):
        StoreWriter(old)
    assert select(old, "SELECT name FROM sqlite_schema ORDER BY name") == before
    assert select(old, "PRAGMA user_version") == [(1,)]
    monkeypatch.undo()
    (window,) = open_source(old).windows()
    assert_old_part(window)
