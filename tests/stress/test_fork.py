"""A forked child starts empty, records on its own, and neither side loses or doubles anything."""

from __future__ import annotations

import json

import pytest

from tests.slow import mostly_slow
from tests.stress._scripts import run, stored_calls


def test_the_child_starts_empty_under_a_new_identity(tmp_path):
    """No records, no losses, no labels, another process id in its windows; the parent goes on counting."""
    store = tmp_path / "store.db"
    ended = run(
        """
        for _ in range(50): predict(ROW)
        rs.label(rs.current().id, "1")
        with rs.stage("outside"): pass
        child = os.fork()
        if child == 0:
            found = rs.statistics()
            assert (found.records, found.losses["stage_outside"], found.series) == (0, 0, 0), found
            for _ in range(30): predict(ROW)
            rs.flush()
            assert rs.statistics().records == 30
            sys.exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        for _ in range(5): predict(ROW)
        rs.flush()
        found = rs.statistics()
        assert (found.records, found.labels["joined"], found.losses["stage_outside"]) == (55, 1, 1), found
        """,
        store,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(stored_calls(store).values()) == [30, 55]


def test_forking_while_threads_predict_and_flush(tmp_path):
    """Every lock of Radiosonde is busy when the forks happen; no child hangs and all totals are exact."""
    store = tmp_path / "store.db"
    ended = run(
        """
        import json
        predict(ROW)
        rs.flush()  # else each child loads the exporters at its exit: all at once, on a busy machine, that exceeds its deadline
        done, stop = [1, 0, 0], threading.Event()
        def work(place):
            while not stop.is_set():
                predict(ROW)
                done[place] += 1
                if place == 2: rs.flush()
                time.sleep(0.0005)  # the ring must not run over on a busy machine: totals are to be exact
        threads = [threading.Thread(target=work, args=(place,)) for place in range(3)]
        for thread in threads: thread.start()
        children = []
        for count in range(1, 13):
            child = os.fork()
            if child == 0:
                for _ in range(10 * count): predict(ROW)
                sys.exit(0)
            children.append(child)
            predict(ROW)
            time.sleep(0.01)
        stop.set()
        for thread in threads: thread.join()
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 12
        rs.flush()
        # A fork waits no longer than its bound for a write that a busy machine holds up; it says so, and loses nothing.
        lost = {reason: count for reason, count in rs.statistics().losses.items() if count and reason != "fork_unheld"}
        assert lost == {}, rs.statistics()
        print(json.dumps(sum(done) + 12))
        """,
        store,
        timeout_s=100,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    calls = sorted(stored_calls(store).values())
    parent = json.loads(ended.stdout)
    assert sorted(calls) == sorted([*(10 * count for count in range(1, 13)), parent]), ended.stderr


def test_a_fork_inside_a_prediction(tmp_path):
    """A function that forks and lets its child end: one call in the parent, nothing in the child."""
    store = tmp_path / "store.db"
    ended = run(
        """
        @rs.observe("forking")
        def forking(rows):
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
            return "yes"
        for _ in range(5): assert forking(ROW) == "yes"
        """,
        store,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(stored_calls(store).values()) == [5]


def test_grandchildren(tmp_path):
    """A child of a child has its own identity too."""
    store = tmp_path / "store.db"
    ended = run(
        """
        for depth in range(3):
            for _ in range(depth + 1): predict(ROW)
            if os.fork():
                os.wait()
                break
        else:
            for _ in range(4): predict(ROW)
        """,
        store,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(stored_calls(store).values()) == [1, 2, 3, 4]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(tmp_path, method):
    """Workers of multiprocessing deliver at their exit, though forked ones run no atexit hooks."""
    store = tmp_path / "store.db"
    ended = run(
        f"""
        import multiprocessing
        def work(count):
            for _ in range(count): predict(ROW)
        if __name__ == "__main__":
            predict(ROW)
            rs.flush()
            context = multiprocessing.get_context({method!r})
            workers = [context.Process(target=work, args=(count,)) for count in (10, 20, 30)]
            for worker in workers: worker.start()
            for worker in workers: worker.join()
            assert [worker.exitcode for worker in workers] == [0, 0, 0]
        """,
        store,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(stored_calls(store).values()) == [1, 10, 20, 30]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_that_are_terminated(tmp_path, method):
    """A pool ends its workers by SIGTERM as soon as it has its answers; each delivers first, and dies of that signal."""
    store = tmp_path / "store.db"
    ended = run(
        f"""
        import multiprocessing
        def work(count, done):
            for _ in range(count): predict(ROW)
            done.set()
            while True: time.sleep(0.05)  # not one long sleep: a signal just before it would wait for its end
        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            told = [context.Event(), context.Event()]
            workers = [context.Process(target=work, args=(10 * n + 10, done)) for n, done in enumerate(told)]
            for worker in workers: worker.start()
            for done in told: assert done.wait(40)
            for worker in workers: worker.terminate()
            for worker in workers: worker.join()
            assert [worker.exitcode for worker in workers] == [-signal.SIGTERM] * 2
        """,
        store,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(stored_calls(store).values()) == [10, 20]


def test_a_worker_that_is_terminated_while_it_ends(tmp_path):
    """A worker that is asked to stop and terminated a moment later, as LitServe does, delivers, and then dies of the signal."""
    store = tmp_path / "store.db"
    ended = run(
        """
        import multiprocessing
        from radiosonde.export.store_exporter import StoreExporter
        write = StoreExporter.write
        def write_slowly(self, references):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)
            write(self, references)
        def work():
            StoreExporter.write = write_slowly
            for _ in range(10): predict(ROW)
        if __name__ == "__main__":
            worker = multiprocessing.get_context("spawn").Process(target=work)
            worker.start()
            worker.join()
            assert worker.exitcode == -signal.SIGTERM, worker.exitcode
        """,
        store,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(stored_calls(store).values()) == [10]


def test_a_handler_of_the_workers_own_stays(tmp_path):
    """A process with its own SIGTERM handler ends by that handler."""
    store = tmp_path / "store.db"
    ended = run(
        """
        import multiprocessing
        def work(done):
            signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
            predict(ROW)
            done.set()
            while True: time.sleep(0.05)  # not one long sleep: a signal just before it would wait for its end
        if __name__ == "__main__":
            done = multiprocessing.Event()
            worker = multiprocessing.Process(target=work, args=(done,))
            worker.start()
            assert done.wait(40)
            worker.terminate()
            worker.join()
            assert worker.exitcode == 7
        """,
        store,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_parents_registry_is_not_the_childs(tmp_path):
    """After a fork the child's default registry answers with the child's counts only."""
    ended = run(
        """
        import prometheus_client
        rs.start(store=None)
        def calls():
            text = prometheus_client.generate_latest().decode()
            return [line.split()[-1] for line in text.splitlines() if line.startswith("radiosonde_prediction_calls_total")]
        for _ in range(3): predict(ROW)
        assert calls() == ["3.0"], calls()
        if os.fork() == 0:
            predict(ROW)
            rs.flush()
            assert calls() == ["1.0"], calls()
            sys.exit(0)
        assert os.wait()[1] == 0
        assert calls() == ["3.0"], calls()
        """,
        tmp_path / "store.db",
    )
    assert (ended.returncode, ended.stderr) == (0, "")


HOLD = """
import sqlite3, sys
connections = [sqlite3.connect(path, isolation_level=None, timeout=60) for path in sys.argv[2:]]
for connection in connections:
    connection.execute("BEGIN " + sys.argv[1])
print(1, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("held", "lock"), [("store", "IMMEDIATE"), ("labels", "EXCLUSIVE"), ("both", "EXCLUSIVE")])
def test_forks_do_not_wait_for_another_process_that_holds_a_store(tmp_path, held, lock):
    """Threads of Radiosonde wait for its lock, and forty forks continue; every call and label of parent and children is stored after it."""
    store = tmp_path / "store.db"
    ended = run(
        f"""
        import sqlite3, subprocess
        store = os.environ["RADIOSONDE_STORE"]
        labels = store + ".labels"
        held = {{"store": [store], "labels": [labels], "both": [store, labels]}}[{held!r}]
        predict(ROW)
        rs.label(rs.current().id, "1")
        assert rs.flush(60)
        holder = subprocess.Popen([sys.executable, "-c", {HOLD!r}, {lock!r}, *held], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        holder.stdout.readline()
        done, stop = [1, 1], threading.Event()
        def work():
            while not stop.is_set():
                predict(ROW)
                rs.label(rs.current().id, "1")
                done[0] += 1
                rs.flush(0.05)
        worker = threading.Thread(target=work)
        worker.start()
        go, told = os.pipe()
        children = []
        for number in range(40):
            child = os.fork()
            if child == 0:
                if number % 8: os._exit(0)
                os.close(told)
                holder.stdin.close()
                for _ in range(3): predict(ROW)
                os.read(go, 1)  # until the lock is free: at its end each has a few seconds to store
                sys.exit(0)
            children.append(child)
        assert holder.poll() is None
        holder.communicate()
        stop.set()
        worker.join()
        os.close(told)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 40
        assert rs.flush(60)
        lost = {{reason: count for reason, count in rs.statistics().losses.items() if count and reason != "fork_unheld"}}
        assert not lost, lost
        assert rs.statistics().labels["joined"] == done[0], (rs.statistics(), done)
        for path in (store, labels):
            connection = sqlite3.connect(path)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        print(done[0])
        """,
        store,
        timeout_s=150,
        RADIOSONDE_LABELS=str(store) + ".labels",
    )
    assert ended.returncode == 0, ended.stderr
    parent = int(ended.stdout)
    assert sorted(stored_calls(store).values()) == sorted([parent, *[3] * 5])


def test_a_child_of_a_stalled_write_says_what_it_cannot_store(tmp_path):
    """A write that the disk does not let end within a fork's patience: the child counts its windows as lost, the parent none."""
    store = tmp_path / "store.db"
    ended = run(
        """
        from radiosonde._pipeline import pipeline
        from radiosonde.store import writer
        pipeline.SQLITE_S = 0.05
        predict(ROW)
        rs.flush()
        stalled, go = threading.Event(), threading.Event()
        insert = writer.insert_parts
        def insert_slowly(*args):
            stalled.set()
            go.wait(60)
            return insert(*args)
        writer.insert_parts = insert_slowly
        predict(ROW)
        flushing = threading.Thread(target=rs.flush, args=(60,))
        flushing.start()
        assert stalled.wait(60)
        child = os.fork()
        if child == 0:
            writer.insert_parts = insert
            for _ in range(3): predict(ROW)
            assert not rs.flush()
            rs.shutdown()
            lost = rs.statistics().losses
            sys.exit(0 if lost["store_failed"] and lost["predictions_unjoinable"] == 3 else 1)
        status = os.waitpid(child, 0)[1]
        go.set()
        flushing.join()
        assert status == 0
        assert rs.flush(60)
        lost = {reason: count for reason, count in rs.statistics().losses.items() if count}
        assert lost == {"fork_unheld": 1}, lost
        """,
        store,
    )
    assert ended.returncode == 0, ended.stderr
    assert "forked while another thread of its parent was writing" in ended.stderr
    assert list(stored_calls(store).values()) == [2]


RETURNS = {
    "sys.exit": "sys.exit(5)",
    "a return": "return",
    "an exception": "sys.stderr.close(); raise ValueError",
}


@pytest.mark.parametrize("way", mostly_slow(list(RETURNS), ["a return"]))
def test_a_child_forked_in_a_thread_ends_with_that_thread(tmp_path, way):
    """Threads of Radiosonde do not keep it: its status is 0, as without them, and its calls are stored."""
    store = tmp_path / "store.db"
    ended = run(
        f"""
        def work():
            for _ in range(3): predict(ROW)
            child = os.fork()
            if not child:
                for _ in range(4): predict(ROW)
                {RETURNS[way]}
            ended.append(os.waitpid(child, 0)[1])
        ended = []
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert ended == [0], ended
        """,
        store,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(stored_calls(store).values()) == [3, 4]


def test_a_child_forked_in_a_thread_waits_for_threads_of_the_host(tmp_path):
    """It goes on while a thread of its own does, and records what that thread predicts."""
    store = tmp_path / "store.db"
    ended = run(
        """
        def later():
            time.sleep(1.5)
            predict(ROW)
        def work():
            child = os.fork()
            if not child:
                predict(ROW)
                threading.Thread(target=later).start()
                return
            ended.append(os.waitpid(child, 0)[1])
        ended = []
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert ended == [0], ended
        """,
        store,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sum(stored_calls(store).values()) == 2
