"""From paths to windows: what a path may be, which windows come back, and from where."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from radiosonde.errors import StoreError
from radiosonde.model import SeriesKey
from radiosonde.sources import Source, open_source
from radiosonde.store import StoreWriter
from radiosonde.store.seal import seal
from tests.factories import HOUR_NS, START_NS, make_feature, make_reference
from tests.unit.store.strategies import make_part

OLD = make_reference()
NEW = make_reference([make_feature("rain", (1, 2, 3, 4, 5, 6))])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two stores, and the first hours of one of them sealed beside them."""
    first = StoreWriter(tmp_path / "a.sqlite", clock_ns=lambda: START_NS)
    first.write(
        [
            make_part(hour, start_ns=START_NS + hour * HOUR_NS, end_ns=START_NS + (hour + 1) * HOUR_NS)
            for hour in range(4)
        ]
    )
    first.write([], {("delays", "1"): OLD})
    seal(tmp_path / "a.sqlite", tmp_path / "sealed")
    other = make_part(40, key=SeriesKey("fares", "7"))
    StoreWriter(tmp_path / "b.sqlite", clock_ns=lambda: START_NS + 1).write([other], {("delays", "1"): NEW})
    return tmp_path


def rows(source: Source) -> list[int]:
    """Return the row counts of all parts, which identify the windows."""
    return [window.rows for window in source.windows()]


def test_a_path_may_be_a_store_a_sealed_folder_or_a_folder_of_both(folder):
    """Each form gives what lies there; several paths add up; order is by start, then series."""
    assert rows(open_source(folder / "a.sqlite")) == [2, 3]
    assert rows(open_source(str(folder / "sealed"))) == [0, 1]
    assert rows(open_source([folder / "sealed", folder / "a.sqlite"])) == [0, 1, 2, 3]
    assert rows(open_source(folder)) == [0, 40, 1, 2, 3]


def test_a_place_named_twice_counts_once(folder):
    """Parts are known by their id, so naming a store and its folder does not double anything."""
    assert rows(open_source([folder, folder / "a.sqlite", folder / "sealed"])) == [0, 40, 1, 2, 3]


def test_only_windows_that_overlap_the_interval_come_back(folder):
    """Bounds are half open, may fall inside a window, and hold in both carriers; so does the model."""
    source = open_source(folder)

    def found(**bounds: object) -> list[int]:
        return [window.rows for window in source.windows(**bounds)]

    assert found(start_ns=START_NS + HOUR_NS) == [1, 2, 3]
    assert found(start_ns=START_NS + HOUR_NS - 1) == [0, 40, 1, 2, 3]
    assert found(end_ns=START_NS + 2 * HOUR_NS) == [0, 40, 1]
    assert found(end_ns=START_NS + 2 * HOUR_NS + 1) == [0, 40, 1, 2]
    assert found(start_ns=START_NS + HOUR_NS, end_ns=START_NS + 3 * HOUR_NS) == [1, 2]
    assert found(model="fares") == [40]
    assert found(start_ns=START_NS + 9 * HOUR_NS) == []


def test_the_reference_written_last_is_given(folder):
    """Over all places the newest profile of a model version wins; a sealed folder keeps its own."""
    assert dict(open_source(folder).references()) == {("delays", "1"): NEW}
    assert dict(open_source(folder / "sealed").references()) == {("delays", "1"): OLD}


def test_sketches_are_left_out_when_not_asked_for(tmp_path):
    """With ``sketches=False`` both carriers give windows without sketches, and with them by default."""
    store, out = tmp_path / "a.sqlite", tmp_path / "out"
    StoreWriter(store).write([make_part(sketches={("wind", "kll"): b"k"})])

    def sketches(path: Path, **options: bool) -> object:
        return open_source(path, **options).windows()[0].features.sketches

    assert (sketches(store), sketches(store, sketches=False)) == ({("wind", "kll"): b"k"}, {})
    seal(store, out, everything=True)
    assert (sketches(out), sketches(out, sketches=False)) == ({("wind", "kll"): b"k"}, {})


def test_a_missing_path_is_named(tmp_path):
    """A mistyped path is distinguished from an empty store."""
    with pytest.raises(StoreError, match=r"no store at .*flihgts.sqlite: check the path"):
        open_source(tmp_path / "flihgts.sqlite")


def test_a_folder_without_stores_says_what_was_expected(tmp_path):
    """An unrelated folder is refused with the names that would have been read."""
    with pytest.raises(StoreError, match=r"no store in folder .*expected \*.sqlite files, a subfolder `sealed`"):
        open_source(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1 and nothing else"])
def test_a_damaged_parquet_file_is_named(folder, content):
    """A file under a sealed name that is not ours stops the reading with its name, instead of being left out in silence."""
    (folder / "sealed" / "process=worker-1" / "windows-2013-03-02T00-00000000-0001.parquet").write_bytes(content)
    with pytest.raises(StoreError, match=r"windows-2013-03-02T00.*move the file named away"):
        open_source(folder).windows()


def test_damaged_documents_name_their_window(folder):
    """A row whose JSON does not parse is named with what to do about it."""
    connection = sqlite3.connect(folder / "a.sqlite")
    connection.execute("UPDATE windows SET output = '{' WHERE window_id = 4")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="remove it with the sqlite3 shell, table windows, window_id 4"):
        open_source(folder / "a.sqlite").windows()


@pytest.mark.parametrize("name", ["flights.labels.sqlite", "labels.sqlite"])
def test_a_join_store_in_a_folder_is_no_store_of_windows(name, tmp_path):
    """The file beside a store is skipped by default, alone it is not a store."""
    from radiosonde._join.sqlite import SqliteJoinStore

    StoreWriter(tmp_path / "flights.sqlite").write([make_part(rows=3)])
    SqliteJoinStore(tmp_path / name).close()
    assert [window.rows for window in open_source(tmp_path).windows()] == [3]
    (tmp_path / "flights.sqlite").unlink()
    with pytest.raises(StoreError, match="no store in folder"):
        open_source(tmp_path)


@pytest.mark.parametrize("kinds", [("kll_double",), ("hll",), ("kll_double", "frequent"), ("none",)])
def test_chosen_kinds_of_sketches_are_read_from_sqlite_and_parquet(tmp_path, kinds):
    """And nothing else of a window changes for it."""
    sketches = {("wind", kind): kind.encode() for kind in ("kll_double", "hll", "frequent")}
    StoreWriter(tmp_path / "a.sqlite").write([make_part(sketches=sketches)])
    (window,) = open_source(tmp_path / "a.sqlite", sketches=kinds).windows()
    seal(tmp_path / "a.sqlite", tmp_path / "sealed", everything=True)
    (sealed,) = open_source(tmp_path / "sealed", sketches=kinds).windows()
    for found in (window, sealed):
        assert set(found.features.sketches) == {("wind", kind) for kind in kinds if kind != "none"}
        assert found.features.cells.sum() == 1
