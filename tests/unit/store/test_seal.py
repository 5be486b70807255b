"""Sealing: where the rows go, what other engines see; `tests/stress/test_store_sealer.py` kills it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from radiosonde.errors import StoreError
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.store.seal import SealedHour, seal
from tests.factories import HOUR_NS, START_NS, make_latency, make_reference
from tests.unit.store.strategies import make_part


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store of four hours by two workers, with the row count naming the window."""
    path = tmp_path / "flights.sqlite"
    for worker in ("host/1", "host/2"):
        parts = [make_part(hour + 1, start_ns=START_NS + hour * HOUR_NS, process=worker) for hour in range(4)]
        StoreWriter(path).write(parts, {("delays", "1"): make_reference()})
    return path


def rows(*paths: Path) -> list[int]:
    """Return the row counts of all parts, which identify the windows."""
    return sorted(window.rows for window in open_source(list(paths)).windows())


def select(sql: str, files: Path | str) -> list[tuple]:
    """Return DuckDB's result over *files*, read directly."""
    connection = duckdb.connect()
    try:
        return connection.execute(sql.replace("FILES", f"'{files}'")).fetchall()
    finally:
        connection.close()


def test_closed_hours_leave_and_the_newest_stay(store, tmp_path):
    """With one hour of grace the first two of four hours are sealed, one segment per worker and hour."""
    sealed = seal(store, tmp_path / "sealed")
    assert [(hour.process, hour.hour_ns, hour.segment, hour.windows) for hour in sealed] == [
        ("host/1", START_NS, 1, 1),
        ("host/2", START_NS, 1, 1),
        ("host/1", START_NS + HOUR_NS, 1, 1),
        ("host/2", START_NS + HOUR_NS, 1, 1),
    ]
    assert rows(store) == [3, 3, 4, 4]
    assert rows(tmp_path / "sealed") == [1, 1, 2, 2]
    assert rows(store, tmp_path / "sealed") == [1, 1, 2, 2, 3, 3, 4, 4]


def test_a_segment_is_one_file_per_table_in_the_folder_of_its_process(store, tmp_path):
    """Names hold the hour and the segment; folders are hive style with the process percent-encoded; nothing else is left."""
    seal(store, tmp_path / "sealed", grace_hours=2)
    found = sorted(str(path.relative_to(tmp_path / "sealed")) for path in (tmp_path / "sealed").rglob("*.*"))
    assert [name[:48] for name in found if "host%2F1" in name] == [
        "process=host%2F1/features-2013-03-01T00-" + found[0][40:48],
        "process=host%2F1/windows-2013-03-01T00-" + found[1][39:48],
    ]
    assert all(name.endswith("-0001.parquet") for name in found if name.startswith("process="))
    assert len(found) == 5
    assert found[-1].startswith("references/")


def test_all_seals_the_hour_being_filled(store, tmp_path):
    """With everything sealed the SQLite file is empty and the references are in both."""
    sealed = seal(store, tmp_path / "sealed", everything=True)
    assert sum(hour.windows for hour in sealed) == 8
    assert rows(store) == []
    assert dict(open_source(tmp_path / "sealed").references()) == {("delays", "1"): make_reference()}
    assert dict(open_source(store).references()) == {("delays", "1"): make_reference()}
    assert seal(store, tmp_path / "sealed", everything=True) == []


def test_late_parts_get_the_next_segment(store, tmp_path):
    """Parts that arrive for a sealed hour are sealed beside it, and add to it."""
    seal(store, tmp_path / "sealed", everything=True)
    StoreWriter(store).write([make_part(90, process="host/1"), make_part(91, process="host/1")])
    (segment,) = seal(store, tmp_path / "sealed", everything=True)
    assert (segment.hour_ns, segment.segment, segment.windows) == (START_NS, 2, 2)
    assert rows(tmp_path / "sealed") == [1, 1, 2, 2, 3, 3, 4, 4, 90, 91]


def test_stores_of_several_hosts_share_a_folder(store, tmp_path):
    """Two stores with equal processes, hours and window ids seal into one folder without touching each other's files."""
    other = tmp_path / "other.sqlite"
    StoreWriter(other).write([make_part(50, process="host/1")])
    seal(store, tmp_path / "sealed", everything=True)
    seal(other, tmp_path / "sealed", everything=True)
    assert rows(tmp_path / "sealed") == [1, 1, 2, 2, 3, 3, 4, 4, 50]
    assert [len(window.features.names) for window in open_source(tmp_path / "sealed").windows()] == [2] * 9


def test_any_engine_reads_the_files_as_they_are(tmp_path):
    """DuckDB with its own defaults sees instants, lists, maps, structs and the hive folder; values are the literals."""
    path = tmp_path / "a.sqlite"
    part = make_part(
        5,
        process="worker-1",
        errors={"ValueError": 3},
        latency=make_latency((0.004, 0.02), {"fetch": (0.001, 0.015)}),
        sketches={("wind", "kll"): b"\x00\xff"},
    )
    StoreWriter(path).write([part])
    seal(path, tmp_path / "sealed", everything=True)
    folder = tmp_path / "sealed" / "process=*"
    ask = "SELECT {} FROM read_parquet(FILES)"
    assert select(ask.format("epoch_us(start_time), process, rows, errors['ValueError']"), folder / "windows-*") == [
        (START_NS // 1000, "worker-1", 5, 3)
    ]
    assert select(ask.format("list_sum(latency.counts), list_sum(latency.phases['fetch'])"), folder / "windows-*") == [
        (2, 0.016)
    ]
    assert select(ask.format("feature, cells[1], typeof(cells)"), folder / "features-*") == [
        ("wind", 5, "BIGINT[]"),
        ("carrier", 0, "BIGINT[]"),
    ]
    assert select(ask.format("feature, kind, body"), folder / "sketches-*") == [("wind", "kll", b"\x00\xff")]
    (file,) = (tmp_path / "sealed").glob("process=*/windows-*.parquet")
    assert pq.read_schema(file).field("start_time").type == pa.timestamp("us", tz="UTC")


def test_two_sealers_never_work_at_once(store, tmp_path):
    """While one seals, a second is refused; afterwards the lock is free."""
    seen: list[str] = []

    def second(done: int, total: int) -> None:
        with pytest.raises(StoreError, match="sealed by another process"):
            seal(store, tmp_path / "sealed")
        seen.append(f"{done} of {total}")

    seal(store, tmp_path / "sealed", progress=second)
    assert seen == ["1 of 4", "2 of 4", "3 of 4", "4 of 4"]
    assert seal(store, tmp_path / "sealed") == []


def test_a_folder_that_cannot_be_made_is_named(store, tmp_path):
    """An unusable output folder leaves the store as it was."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot seal into .*: check that the folder is writable"):
        seal(store, tmp_path / "file" / "sealed", everything=True)
    assert len(rows(store)) == 8


def test_what_was_sealed_is_noted_with_its_deletion(store, tmp_path):
    """The store knows each segment that left it, and how many windows it took along."""
    assert isinstance(seal(store, tmp_path / "sealed")[0], SealedHour)
    connection = sqlite3.connect(store)
    noted = connection.execute(
        "SELECT process, hour_ns, segment, windows FROM sealed ORDER BY hour_ns, process"
    ).fetchall()
    connection.close()
    assert noted[0] == ("host/1", START_NS, 1, 1)
    assert len(noted) == 4
