"""For any end of a process, its records are in the store, or the store is at least whole."""

from __future__ import annotations

import pytest

from tests.slow import mostly_slow
from tests.stress._scripts import run, stored_calls


def test_a_script_that_just_ends(tmp_path):
    """No flush, no shutdown: the exit writes all thousand, and is quick about it."""
    store = tmp_path / "store.db"
    ended = run("for _ in range(1000): predict(ROW)", store)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(stored_calls(store).values()) == [1000]


def test_a_script_that_raises(tmp_path):
    """An uncaught exception is the script's own business."""
    store = tmp_path / "store.db"
    ended = run("for _ in range(10): predict(ROW)\nraise SystemError('mine')", store)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "SystemError: mine"
    assert list(stored_calls(store).values()) == [10]


@pytest.mark.parametrize("where", ["predicting", "flushing", "inside"])
def test_sigterm_that_exits(tmp_path, where):
    """A handler that calls sys.exit flushes, whether the signal comes between, in or after predictions."""
    store = tmp_path / "store.db"
    script = """
        done = [0]
        def stop(*_):
            sys.exit(7)
        signal.signal(signal.SIGTERM, stop)
        where = %r
        if where == "inside":
            @rs.observe("slow")
            def slow(rows):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(30)
            for _ in range(100): predict(ROW)
            slow(ROW)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
        try:
            while True:
                predict(ROW)
                done[0] += 1
                time.sleep(0.0002)  # slow enough for the ring: what it overwrites would be counted, but not stored
                if where == "flushing": rs.flush()
        finally:
            print(done[0])
    """
    ended = run(script % where, store)
    assert ended.returncode == 7, ended.stderr
    assert ended.stderr == ""
    calls = sum(stored_calls(store).values())
    if where == "inside":
        assert calls == 101  # the interrupted one ended with SystemExit and counts as an error
    else:
        # The signal may come after a prediction was recorded and before the script counted it.
        assert calls - int(ended.stdout) in (0, 1)


OS_EXITS = {
    "the program": "for _ in range(7): predict(ROW)\nos._exit(3)",
    "after a flush": "predict(ROW)\nrs.flush()\nfor _ in range(6): predict(ROW)\nos._exit(3)",
    "a thread": "for _ in range(7): predict(ROW)\nthreading.Thread(target=os._exit, args=(3,)).start()\ntime.sleep(60)",
    "a handler": """
for _ in range(7): predict(ROW)
signal.signal(signal.SIGALRM, lambda *_: os._exit(3))
signal.raise_signal(signal.SIGALRM)
""",
    "a finally clause": "try:\n  for _ in range(7): predict(ROW)\n  1 / 0\nfinally: os._exit(3)",
    "a forked child": """
child = os.fork()
if not child:
    for _ in range(7): predict(ROW)
    os._exit(3)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""",
    "a child forked after predictions": """
for _ in range(4): predict(ROW)
child = os.fork()
if not child:
    for _ in range(3): predict(ROW)
    os._exit(3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""",
    "a child forked in a thread": """
predict(ROW)
def work():
    child = os.fork()
    if not child:
        for _ in range(6): predict(ROW)
        os._exit(3)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
threading.Thread(target=work).start()
""",
    "a process of multiprocessing": """
import multiprocessing
def work():
    for _ in range(7): predict(ROW)
    os._exit(3)
if __name__ == "__main__":
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    os._exit(process.exitcode)
""",
}


@pytest.mark.parametrize("ending", mostly_slow(list(OS_EXITS), ["a handler", "a child forked after predictions"]))
def test_os_exit_delivers_and_keeps_its_status(tmp_path, ending):
    """Whoever calls ``os._exit``: seven predictions are stored, and the status is the caller's."""
    store = tmp_path / "store.db"
    ended = run(OS_EXITS[ending], store)
    assert (ended.returncode, ended.stderr) == (3, "")
    assert sum(stored_calls(store).values()) == 7


def test_os_exit_of_a_child_that_predicted_nothing_costs_nothing(tmp_path):
    """The parent's predictions are the parent's; its child imports nothing, opens no store and ends at once."""
    store = tmp_path / "store.db"
    ended = run(
        """
        for _ in range(7): predict(ROW)
        child = os.fork()
        if not child:
            sys.addaudithook(lambda event, args: event in ("import", "sqlite3.connect") and os.write(2, f"{event} {args}".encode()))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        """,
        store,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sum(stored_calls(store).values()) == 7


def test_an_exit_in_the_middle_of_a_flush(tmp_path):
    """Another thread is flushing while the main thread ends: nothing hangs, nothing is lost or counted twice."""
    store = tmp_path / "store.db"
    ended = run(
        """
        def flush_for_ever():
            while True:
                rs.flush()
        threading.Thread(target=flush_for_ever, daemon=True).start()
        for _ in range(3000): predict(ROW)
        """,
        store,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sum(stored_calls(store).values()) == 3000


def test_predictions_go_on_during_and_after_shutdown(tmp_path):
    """Threads predict while another shuts down: every result is right, nothing is raised, and each call is stored or counted as lost."""
    store = tmp_path / "store.db"
    ended = run(
        """
        answers = []
        def work():
            for _ in range(20000):
                answers.append(predict(ROW).shape)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        assert rs.shutdown()
        for thread in threads: thread.join()
        assert set(answers) == {(1, 2)} and len(answers) == 80000
        after_end = rs.statistics().losses["calls_after_end"]
        predict(ROW)
        assert rs.statistics().losses["calls_after_end"] == after_end + 1
        print(80000 - after_end)
        assert rs.statistics().guarded == {}, rs.statistics()
        """,
        store,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    # A call that is under way at the shutdown may end after the last turn.
    assert 0 <= int(ended.stdout) - sum(stored_calls(store).values()) <= 4


@pytest.mark.parametrize("what", ["calls", "failures", "completed calls", "another model"])
def test_a_thread_that_predicts_during_the_first_write_of_an_exit(tmp_path, what):
    """While another connection holds the store, the exit waits and goes on recording: what daemon threads do meanwhile is stored."""
    store = tmp_path / "store.db"
    script = """
        import contextlib, sqlite3

        @rs.observe("fails")
        def fails(rows):
            raise KeyError

        what = %r
        def act():
            if what == "failures":
                with contextlib.suppress(KeyError): fails(ROW)
            elif what == "completed calls": rs.record("delays", 0.1)
            elif what == "another model": rs.observe("late")(lambda row: "yes")([1.0])
            else: predict(ROW)

        def go_on():
            while rs.statistics().windows_closed == before: time.sleep(0.002)
            for _ in range(20): act()
            held.execute("ROLLBACK")

        predict(ROW)
        assert rs.flush()
        for _ in range(10): predict(ROW)
        before = rs.statistics().windows_closed
        held = sqlite3.connect(os.environ["RADIOSONDE_STORE"], isolation_level=None, check_same_thread=False)
        held.execute("BEGIN IMMEDIATE")
        threading.Thread(target=go_on, daemon=True).start()
    """
    ended = run(script % what, store, RADIOSONDE_WINDOW_S="3600")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sum(stored_calls(store).values()) == 31


def test_a_hanging_backend_does_not_hold_up_the_exit(tmp_path):
    """The exit waits for its deadline, not for every request's patience; the store has everything."""
    store = tmp_path / "store.db"
    ended = run(
        """
        import socket
        server = socket.socket()
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{server.getsockname()[1]}"
        rs.start(otlp=True)
        for _ in range(100): predict(ROW)
        import atexit
        from radiosonde._pipeline import pipeline
        pipeline.EXIT_TIMEOUT_S = 1.0
        begun = time.monotonic()
        import radiosonde._pipeline._worker as worker
        def told():
            worker._tell_all("at_exit")()
            print(time.monotonic() - begun < 8)
        atexit.register(told)
        """,
        store,
        OTEL_EXPORTER_OTLP_TIMEOUT="30",
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "True\n"
    assert sum(stored_calls(store).values()) == 100
