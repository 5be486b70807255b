"""Detection of stores, and errors for other files."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from radiosonde.errors import StoreError
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from tests.unit.store.strategies import make_part


def foreign(path: Path) -> None:
    """Make a database of another application."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE songs (title)")
    connection.commit()
    connection.close()


def newer(path: Path) -> None:
    """Make a store of a schema to come."""
    StoreWriter(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 5")
    connection.close()


def no_database(path: Path) -> None:
    """Create a file that is not a database."""
    path.write_text("carrier,flight\nUA,1545\n" * 100)


def damaged(path: Path) -> None:
    """Make a store and overwrite the pages after the first."""
    StoreWriter(path).write([make_part()] * 200)
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(16384)
        file.write(b"\xff" * (size - 16384))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (foreign, "database of another application: choose another path for the store"),
        (newer, "schema 5, this version of Radiosonde reads up to 4: upgrade"),
        (no_database, "file is not a database: .* move it aside"),
        (damaged, "malformed: the file is damaged; move it aside"),
    ],
)
@pytest.mark.parametrize("action", ["write", "read"])
def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path, make, says, action):
    """Foreign, too new, damaged: both ends say what the file is and what to do, and change nothing in it."""
    path = tmp_path / "some.sqlite"
    make(path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=says):
        StoreWriter(path).write([make_part()]) if action == "write" else open_source(path).windows()
    assert path.read_bytes() == before


def test_a_missing_folder_is_named(tmp_path):
    """The writer does not make folders: a mistyped path would be served without a word."""
    with pytest.raises(StoreError, match=r"folder .*nowhere does not exist: create it"):
        StoreWriter(tmp_path / "nowhere" / "a.sqlite")


def test_a_folder_is_no_store_to_write_to(tmp_path):
    """A path that cannot be opened is refused with what to check."""
    with pytest.raises(StoreError, match="unable to open database file: check that the path is a file"):
        StoreWriter(tmp_path)


def test_an_empty_file_becomes_a_store(tmp_path):
    """A file of zero bytes, as `mktemp` or a killed writer leaves it, is filled; before that a reader says it is empty."""
    path = tmp_path / "a.sqlite"
    path.touch()
    with pytest.raises(StoreError, match="nothing has been written"):
        open_source(path)
    StoreWriter(path).write([make_part()])
    assert len(open_source(path).windows()) == 1


def test_a_reader_leaves_no_trace(tmp_path):
    """Reading makes no file beside the store and does not change it."""
    path = tmp_path / "a.sqlite"
    StoreWriter(path).write([make_part()])
    before = path.read_bytes()
    open_source(path).windows()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.sqlite"]
    assert path.read_bytes() == before


def test_a_writer_locked_out_says_so(tmp_path, monkeypatch):
    """A batch that another process's transaction keeps waiting too long is refused, and nothing of it is stored."""
    path = tmp_path / "a.sqlite"
    writer = StoreWriter(path)
    monkeypatch.setattr("radiosonde._sqlite.BUSY_TIMEOUT_S", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="database is locked: another process has held the store"):
        writer.write([make_part()])
    other.close()
    assert open_source(path).windows() == []
