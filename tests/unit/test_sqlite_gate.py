"""A fork finds no thread of Radiosonde inside SQLite: it waits for this process's work, never for another process's lock."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager, suppress

import pytest

from radiosonde import _sqlite
from radiosonde._clock import sleep
from radiosonde._join.sqlite import SqliteJoinStore
from radiosonde._join.store import Label
from radiosonde._sqlite_gate import GATE, SqliteGate
from radiosonde.errors import StoreError
from radiosonde.store import StoreWriter
from radiosonde.store.connection import KeptConnection, writing
from radiosonde.testing import fly
from tests.e2e._receivers import wait_for
from tests.unit.store.strategies import make_part

PATIENCE_S = 60


def written(path):
    """Return a writer of a window."""
    writer = StoreWriter(path)
    return lambda: writer.write([make_part()])


def written_by_an_agent(path):
    """Return a writer of a window over a kept connection."""
    writer = StoreWriter(path, is_kept=True)
    return lambda: writer.write([make_part()])


def looked_up(path):
    """Return a query for counted labels."""
    writer = StoreWriter(path)
    return lambda: writer.was_joined("batch")


def labelled(path):
    """Return a receiver of a label."""
    store = SqliteJoinStore(path)
    return lambda: store.receive([Label("order", 1, 1)])


def joined(path):
    """Return a joiner of labels."""
    store = SqliteJoinStore(path)
    store.receive([Label("order", 1, 1)])
    return lambda: store.join("me", now_ns=10**18)


def counted(path):
    """Return a counter of waiting labels."""
    store = SqliteJoinStore(path)
    return lambda: store.waiting


USES = [written, written_by_an_agent, looked_up, labelled, joined, counted]
WRITES = [written, written_by_an_agent, labelled, joined]


@contextmanager
def beside(use):
    """Run *use* in another thread; give an event that is set at its end."""
    done = threading.Event()

    def run():
        use()
        done.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield done
    finally:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@pytest.mark.parametrize("made", USES)
def test_nobody_enters_while_a_fork_is_under_way(made, tmp_path):
    """A use of SQLite that begins while the gate is held ends after it."""
    use = made(tmp_path / "a.sqlite")
    assert GATE.hold(PATIENCE_S)
    with beside(use) as done:
        try:
            assert not done.wait(0.05)
        finally:
            GATE.release()
    assert done.is_set()


@pytest.mark.parametrize("made", WRITES)
def test_a_fork_does_not_wait_for_another_process(made, tmp_path):
    """A wait for a foreign lock is outside: the gate is free, and the kept connection is closed."""
    path = tmp_path / "a.sqlite"
    use = made(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with beside(lambda: suppressed(use)) as done:
        for _ in range(10):
            assert GATE.hold(PATIENCE_S)
            GATE.release()
            sleep(0.002)
        assert not done.is_set()
        other.execute("ROLLBACK")
        other.close()
    assert done.is_set()


@pytest.mark.parametrize("made", WRITES)
def test_a_fork_does_not_wait_for_a_reader_of_a_file_without_a_log(made, tmp_path, monkeypatch):
    """Where the write-ahead log is not possible, a commit waits for readers inside the gate; it gives up when a fork waits."""
    monkeypatch.setattr(_sqlite, "BUSY_TIMEOUT_S", 3600.0)
    path = tmp_path / "a.sqlite"
    use = made(path)
    assert GATE.hold(PATIENCE_S)  # closes the connection that is kept
    GATE.release()
    reader = sqlite3.connect(path, isolation_level=None)
    assert reader.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    with beside(lambda: suppressed(use)) as done:
        for _ in range(5):
            # The journal is there from the first change until the transaction ends.
            wait_for((tmp_path / "a.sqlite-journal").exists, "a write transaction")
            assert GATE.hold(PATIENCE_S)
            GATE.release()
        assert not done.is_set()
        reader.execute("ROLLBACK")
        reader.close()
    assert done.is_set()


def suppressed(use):
    """Wait for the other as long as it takes."""
    while True:
        with suppress(StoreError):
            use()
            return


def test_a_fork_waits_for_a_write_of_our_own(tmp_path):
    """And for no longer than its timeout."""
    begun, end = threading.Event(), threading.Event()

    def write():
        with writing(tmp_path / "a.sqlite"):
            begun.set()
            end.wait(PATIENCE_S)

    with beside(write):
        assert begun.wait(PATIENCE_S)
        assert not GATE.hold(0.01)
        GATE.release()
        end.set()
        assert GATE.hold(PATIENCE_S)
        GATE.release()


def test_only_the_first_hold_of_a_fork_waits():
    """Each pipeline of a process holds the gate; all of them together wait for a write as long as one does."""
    gate, begun, end = SqliteGate(), threading.Event(), threading.Event()

    def write():
        gate.enter()
        begun.set()
        end.wait(PATIENCE_S / 2)  # a hold that waits on its own sees the end of this
        gate.leave()

    with beside(write):
        assert begun.wait(PATIENCE_S)
        assert not gate.hold(0.01)
        assert not gate.hold(PATIENCE_S)
        end.set()
        gate.release()
        gate.release()
    assert gate.hold(PATIENCE_S)
    gate.release()


@pytest.fixture(params=[0, 8], ids=["alone", "beside eight pipelines"])
def pipelines(request):
    """Return pipelines that have been shut down and are still there: each takes part in a fork."""
    kept = []
    for _ in range(request.param):
        with fly() as rs:
            kept.append(rs.pipeline())
    return kept


@pytest.mark.parametrize("made", [written, looked_up, labelled])
@pytest.mark.usefixtures("pipelines")
def test_a_child_that_was_forked_amid_a_write_stores_nothing(made, tmp_path):
    """It says so; its parent's write ends, and the file is whole."""
    begun, end = threading.Event(), threading.Event()
    path = tmp_path / "a.sqlite"

    def write():
        with writing(path):
            begun.set()
            end.wait(PATIENCE_S)

    use = made(tmp_path / "b.sqlite")
    with beside(write):
        assert begun.wait(PATIENCE_S)
        assert not GATE.hold(0.01)
        child = os.fork()
        if not child:
            code = 1
            try:
                GATE.reset_in_child()
                with pytest.raises(StoreError, match="forked while another thread"):
                    use()
                code = 0
            finally:
                os._exit(code)
        GATE.release()
        end.set()
    assert os.waitpid(child, 0)[1] == 0
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_kept_connection_is_closed_before_a_fork(tmp_path):
    """SQLite's log and its index are gone with the last connection; the next transaction opens another."""
    path = tmp_path / "a.sqlite"
    kept = KeptConnection(path)
    with writing(path, kept):
        pass
    assert path.with_name("a.sqlite-wal").exists()
    assert GATE.hold(PATIENCE_S)
    GATE.release()
    assert not path.with_name("a.sqlite-wal").exists()
    with writing(path, kept):
        pass
    kept.close()


def test_several_hold_the_gate_in_one_thread():
    """It is free when the last one has released it, and one that did not get it releases nothing."""
    gate = SqliteGate()
    assert gate.hold(1)
    assert gate.hold(1)
    gate.release()
    with beside(lambda: gate.hold(0.01) or gate.release()) as done:
        assert done.wait(PATIENCE_S)
    with beside(gate.enter) as done:
        assert not done.wait(0.02)
        gate.release()
    gate.release()


def test_a_thread_does_not_wait_for_itself():
    """A signal handler that forks inside SQLite continues at once, and gets the result that it was inside."""
    gate = SqliteGate()
    gate.enter()
    gate.enter()
    assert not gate.hold(PATIENCE_S)
    gate.release()
    gate.leave()
    gate.leave()
    assert gate.hold(0)
    gate.release()
