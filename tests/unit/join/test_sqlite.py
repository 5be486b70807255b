"""A join store in SQLite: its file, its bounds, its fork."""

from __future__ import annotations

import os
import sqlite3

import pytest

from radiosonde._join.sqlite import SqliteJoinStore
from radiosonde._join.store import Label
from radiosonde._sqlite_gate import GATE
from radiosonde.errors import StoreError
from radiosonde.store import StoreWriter
from tests.unit.join.predictions import BASE_NS, CLASSES, S, id_of, predictions

NOW_NS = BASE_NS + 100_000 * S


@pytest.fixture
def path(tmp_path):
    """Return where the store is."""
    return tmp_path / "join.sqlite"


def joined(store, *ids):
    """Label predictions; return the results."""
    store.receive([Label(each, 1, NOW_NS) for each in ids])
    batch = store.join("me", now_ns=NOW_NS)
    if batch is None:
        return {}
    store.acknowledge(batch.id)
    return batch.results


def test_only_the_owner_may_read_the_file(path):
    """Its log neither: labels are private."""
    store = SqliteJoinStore(path)
    store.remember([predictions(CLASSES, [1])])
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()}
    assert modes == {"join.sqlite": 0o600, "join.sqlite-wal": 0o600, "join.sqlite-shm": 0o600}
    store.close()
    assert [entry.name for entry in path.parent.iterdir()] == ["join.sqlite"]


def test_other_files_are_refused(tmp_path):
    """The windows' store, what is no database, what is newer, and a folder that is not there."""
    StoreWriter(tmp_path / "windows")
    (tmp_path / "text").write_text("carrier,flight\n" * 100)
    SqliteJoinStore(tmp_path / "newer").close()
    connection = sqlite3.connect(tmp_path / "newer")
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    for name, says in (
        ("windows", "database of another application"), ("text", "not a database: .* move it aside"),
        ("newer", "schema 2, this version"), ("nowhere/a", "folder .*nowhere does not exist: create it"), ("", "check that the path"),
    ):  # fmt: skip
        with pytest.raises(StoreError, match=says):
            SqliteJoinStore(tmp_path / name)


def test_a_closed_store_opens_itself_again(path):
    """Its contents are kept."""
    store = SqliteJoinStore(path)
    store.remember([predictions(CLASSES, [1])])
    store.close()
    assert joined(store, id_of(CLASSES, 1)) == {"joined": 1}
    store.close()


def test_a_file_that_was_moved_away_is_made_anew(path):
    """A rotation by hand: the open connection does not continue to write to the removed file."""
    store = SqliteJoinStore(path)
    store.remember([predictions(CLASSES, [1])])
    for entry in list(path.parent.iterdir()):
        entry.rename(entry.with_name(f"old-{entry.name}"))
    store.remember([predictions(CLASSES, [2])])
    assert joined(store, id_of(CLASSES, 1), id_of(CLASSES, 2)) == {"joined": 1}
    assert store.waiting == 1
    store.close()


def test_the_oldest_predictions_make_room(path):
    """The file stays within its bound; labels of dropped predictions are expired, the rest is joined."""
    store = SqliteJoinStore(path, max_bytes=1 << 20)
    for first in range(0, 60_000, 1000):
        store.remember([predictions(CLASSES, list(range(first, first + 1000)))])
        if first == 1000:
            assert joined(store, id_of(CLASSES, 5)) == {"joined": 1}
    assert path.stat().st_size < 1.5 * (1 << 20)
    assert 30_000 < store.pruned < 50_000
    assert joined(store, id_of(CLASSES, 5), id_of(CLASSES, 6), id_of(CLASSES, 59_000)) == {"expired": 2, "joined": 1}
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM labelled").fetchone() == (1,)
    connection.close()
    store.close()


def test_labels_that_nobody_joins_are_refused_in_the_end(path):
    """Rather than filling the disk; with what to do."""
    store = SqliteJoinStore(path, max_bytes=1 << 20)
    labels = [Label(f"order-{number}-{'x' * 200}", "yes", 1) for number in range(1000)]
    connection = sqlite3.connect(path)
    while sum(connection.execute("SELECT count(*) FROM received").fetchone()) < 8000:
        store.receive(labels)
    connection.close()
    with pytest.raises(StoreError, match="full of labels that no process joins: configure the model server"):
        store.receive(labels)
    assert path.stat().st_size < 4 << 20
    store.close()


def test_a_store_that_is_locked_says_so(path, monkeypatch):
    """And nothing is half done."""
    monkeypatch.setattr("radiosonde._sqlite.BUSY_TIMEOUT_S", 0.05)
    store = SqliteJoinStore(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="database is locked"):
        store.receive([Label("order", 1, 1)])
    other.execute("ROLLBACK")
    other.close()
    assert store.waiting == 0
    store.close()


@pytest.mark.parametrize("held", [True, False])
def test_a_child_uses_a_connection_of_its_own(path, held):
    """Whether or not the fork was announced; parent and child both go on, and nothing is lost."""
    store = SqliteJoinStore(path)
    store.remember([predictions(CLASSES, [1, 2])])
    if held:
        assert GATE.hold(10)
    pid = os.fork()
    if not pid:
        try:
            GATE.reset_in_child()
            store.receive([Label(id_of(CLASSES, 1), 1, NOW_NS)])
            os._exit(0)
        finally:
            os._exit(1)
    GATE.release()
    assert os.waitpid(pid, 0)[1] == 0
    assert joined(store, id_of(CLASSES, 2)) == {"joined": 2}
    store.close()


def test_names_of_lanes_go_with_their_predictions(path):
    """Workers come and go for years."""
    store = SqliteJoinStore(path)
    store.remember([predictions(CLASSES, [1])])
    store.alias([("order", id_of(CLASSES, 1))])
    while (batch := store.join("me", now_ns=NOW_NS + 31 * 86_400 * S)) is not None:
        store.acknowledge(batch.id)
    connection = sqlite3.connect(path)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}
    connection.close()
    assert {name for name, count in counts.items() if count} == {"sqlite_sequence"}
    store.remember([predictions(CLASSES, [200_000])])
    assert joined(store, id_of(CLASSES, 200_000)) == {"joined": 1}
    store.close()


def test_labels_that_wait_are_bounded(path, monkeypatch):
    """Those that have waited longest are unknown."""
    monkeypatch.setattr("radiosonde._join.sqlite.WAITING", 3)
    store = SqliteJoinStore(path)
    assert joined(store, *(f"order-{number}" for number in range(3))) == {}
    store.receive([Label(f"order-{number}", 1, NOW_NS) for number in range(3, 5)])
    assert store.join("me", now_ns=NOW_NS + S).results == {"unknown": 2}
    assert store.waiting == 3
    store.close()
