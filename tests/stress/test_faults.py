"""System faults: a fork while a lock is held, a full disk, a removed spool, a clock set back."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.stress._scripts import run, stored_calls

LOSSES = "{reason: count for reason, count in rs.statistics().losses.items() if count}"


def test_a_fork_while_the_arena_is_locked(tmp_path: Path) -> None:
    """A child forked while a thread of the parent holds the lock of the arena predicts batches and exits; all are counted."""
    store = tmp_path / "store.db"
    ended = run(
        """
        from radiosonde._api.surface import SURFACE
        batch = np.zeros((50, 3))
        predict(batch)
        (consumer,) = SURFACE.pipeline()._ring_consumers
        held, over = threading.Event(), threading.Event()
        def hold():
            with consumer.ring.arena._lock:
                held.set()
                over.wait()
        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        child = os.fork()
        if child == 0:
            for _ in range(3): predict(batch)
            sys.exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        over.set()
        holder.join()
        predict(batch)
        """,
        store,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(stored_calls(store).values()) == [2, 3]


def test_a_full_disk_costs_the_file_and_not_the_telemetry(tmp_path: Path) -> None:
    """A ring without room on the disk is kept in memory: counted by name, logged with what to do, and everything is counted."""
    store, spool = tmp_path / "store.db", tmp_path / "spool"
    ended = run(
        f"""
        import resource
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        rs.start()
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
        for _ in range(20): predict(ROW)
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        rs.flush()
        print({LOSSES})
        """,
        store,
        RADIOSONDE_SPOOL=str(spool),
    )
    assert (ended.returncode, ended.stdout) == (0, "{'spool_failed': 1}\n"), ended.stderr
    assert "cannot be created" in ended.stderr
    assert "are in memory and are lost if the process is killed" in ended.stderr
    assert list(stored_calls(store).values()) == [20]
    assert list(spool.glob("*.ring*")) == []


def test_a_full_disk_under_a_worker_of_an_agent(tmp_path: Path) -> None:
    """No ring and no page of counts can be created: both are counted and logged, without effect on predictions."""
    ended = run(
        f"""
        import resource
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        rs.start(spool=os.environ["FOLDER"], agent=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limit[1]))
        for _ in range(20): assert predict(ROW).shape == (1, 2)
        from radiosonde._api.surface import SURFACE
        for _ in range(2):
            SURFACE.pipeline()._looked_ns = 0
            assert SURFACE.pipeline()._consumer.ask(20)
        print({LOSSES})
        """,
        tmp_path / "store.db",
        FOLDER=str(tmp_path / "spool"),
    )
    assert (ended.returncode, ended.stdout) == (0, "{'spool_failed': 2}\n"), ended.stderr
    assert "are in memory and are lost if the process is killed" in ended.stderr


def test_a_spool_that_is_taken_away(tmp_path: Path) -> None:
    """Rings that are mapped go on; a model that comes later has its ring in memory, counted; nothing ever raises."""
    store = tmp_path / "store.db"
    ended = run(
        f"""
        rs.start(spool=os.environ["FOLDER"])
        for _ in range(10): predict(ROW)
        os.rename(os.environ["FOLDER"], os.environ["FOLDER"] + ".away")
        open(os.environ["FOLDER"], "w").close()  # so that it cannot be created anew
        for _ in range(10): predict(ROW)
        later = rs.observe("later")(lambda rows: "yes")
        for _ in range(5): later(ROW)
        assert rs.flush()
        print({LOSSES})
        """,
        store,
        FOLDER=str(tmp_path / "spool"),
    )
    assert (ended.returncode, ended.stdout) == (0, "{'spool_failed': 1}\n"), ended.stderr
    assert "choose a writable folder" in ended.stderr
    assert list(stored_calls(store).values()) == [25]


def test_a_clock_that_jumps_back(tmp_path: Path) -> None:
    """Two hours back: later predictions are counted in the earlier hour, none is lost, and no duration is negative."""
    store = tmp_path / "store.db"
    ended = run(
        f"""
        from radiosonde._pipeline import pipeline
        now_ns = time.time_ns()
        shift = [0]
        pipeline.anchor_ns = lambda: time.time_ns() - time.perf_counter_ns() + shift[0]
        pipeline.wall_ns = lambda: time.time_ns() + shift[0]
        for hours in (0, -2, 0):
            shift[0] = hours * 3600 * 10**9
            assert pipeline and rs.flush()
            from radiosonde._api.surface import SURFACE
            SURFACE.pipeline()._step()
            for _ in range(10): predict(ROW)
        assert rs.flush()
        assert rs.statistics().drain_lag_s >= 0
        print({LOSSES})
        """,
        store,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "{}\n", "")
    assert list(stored_calls(store).values()) == [30]
    connection = sqlite3.connect(store)
    hours = dict(connection.execute("SELECT start_ns / 3600000000000, sum(calls) FROM windows GROUP BY 1").fetchall())
    (negative,) = connection.execute(
        "SELECT count(*) FROM windows, json_each(latency -> '$.sums_s') AS spent WHERE spent.value < 0"
    ).fetchone()
    connection.close()
    assert negative == 0
    assert max(hours) - min(hours) >= 2
    assert hours[min(hours)] == 10
