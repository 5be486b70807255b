"""Processes ended by a signal, in any way: their records are stored, and they end as without Radiosonde."""

from __future__ import annotations

import os
import signal

import pytest

from tests.default_signals import start_programs_with_default_signals
from tests.stress._scripts import run, stored_calls

PREDICTED = "for _ in range(500): predict(ROW)\n"

ENDED_BY_THE_SIGNAL = {
    "a graceful end that restores what was before and sends the signal again": """
        ended = threading.Event()
        before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
        {predicted}
        os.kill(os.getpid(), signal.SIGTERM)
        assert ended.wait(30)
        signal.signal(signal.SIGTERM, before)
        signal.raise_signal(signal.SIGTERM)
        print("not reached")
        """,
    "a handler that restores the default action and sends the signal again": """
        def stop(number, frame):
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        signal.signal(signal.SIGTERM, stop)
        {predicted}
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
        """,
    "the signal twice, to a process and to its group": """
        {predicted}
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        print("not reached")
        """,
    "twice while it is delivered": """
        from radiosonde.export.store_exporter import StoreExporter
        write = StoreExporter.write
        def write_slowly(self, references):
            os.kill(os.getpid(), signal.SIGTERM)
            return write(self, references)
        StoreExporter.write = write_slowly
        {predicted}
        os.kill(os.getpid(), signal.SIGTERM)
        print("not reached")
        """,
    "in the midst of a flush in the main thread": """
        from radiosonde.export.store_exporter import StoreExporter
        write = StoreExporter.write
        def write_slowly(self, references):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)
            return write(self, references)
        StoreExporter.write = write_slowly
        {predicted}
        rs.flush()
        while True: time.sleep(0.01)
        """,
    "in the midst of a prediction": """
        @rs.observe("slow")
        def slow(rows):
            os.kill(os.getpid(), signal.SIGTERM)
            while True: time.sleep(0.01)
        {predicted}
        slow(ROW)
        """,
    "in the midst of columns of labels": """
        {predicted}
        from radiosonde._labels.label_queue import LabelQueue
        deliver = LabelQueue._deliver_labels
        def deliver_slowly(self, labels):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)
            return deliver(self, labels)
        LabelQueue._deliver_labels = deliver_slowly
        rs.label(["mine"] * 3, [1, 0, 1])
        while True: time.sleep(0.01)
        """,
    "while the program exits": """
        import atexit
        {predicted}
        atexit.register(os.kill, os.getpid(), signal.SIGTERM)
        """,
    "while a thread predicts and the main thread waits for it": """
        done = threading.Event()
        def work():
            {predicted}
            done.set()
            while True: time.sleep(0.01)
        threading.Thread(target=work).start()
        done.wait(30)
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        """,
    "a model that another thread decorates": """
        def work():
            @rs.observe("others")
            def others(rows):
                return np.array([0.5] * len(rows))
            for _ in range(500): others(ROW)
        thread = threading.Thread(target=work); thread.start(); thread.join()
        os.kill(os.getpid(), signal.SIGTERM)
        print("not reached")
        """,
    "an event loop whose handler of the signal was removed": """
        import asyncio
        async def serve():
            loop, ended = asyncio.get_running_loop(), asyncio.Event()
            loop.add_signal_handler(signal.SIGTERM, ended.set)
            {predicted}
            os.kill(os.getpid(), signal.SIGTERM)
            await ended.wait()
        asyncio.run(serve())
        os.kill(os.getpid(), signal.SIGTERM)
        print("not reached")
        """,
}


@pytest.mark.parametrize("how", ENDED_BY_THE_SIGNAL)
def test_a_process_that_the_signal_ends_delivers_and_dies_of_it(tmp_path, how):
    """All 500 predictions are stored, the status names the signal, and nothing after it is reached."""
    store = tmp_path / "store.sqlite"
    ended = run(ENDED_BY_THE_SIGNAL[how].replace("{predicted}", PREDICTED.strip()), store)
    assert (ended.returncode, ended.stdout) == (-signal.SIGTERM, ""), ended.stderr
    assert sum(stored_calls(store).values()) == 500


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGTERM"])
def test_other_signals_that_end_by_default(tmp_path, name):
    """A terminal that closes and an interrupt that Python does not handle are ends like the others."""
    store = tmp_path / "store.sqlite"
    script = (
        f"signal.signal(signal.{name}, signal.SIG_DFL)\n{PREDICTED}os.kill(os.getpid(), signal.{name})\ntime.sleep(30)"
    )
    ended = run(script, store)
    assert ended.returncode == -getattr(signal, name), ended.stderr
    assert sum(stored_calls(store).values()) == 500


HOSTS_OWN_ENDS = {
    "a handler that exits, set before": ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))", "", 7),
    "a handler that exits, set after": ("", "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))", 7),
    "a handler that exits at once": ("", "signal.signal(signal.SIGTERM, lambda *_: (rs.flush(), os._exit(8)))", 8),
    "the signal is ignored, before": ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "", 0),
    "the signal is ignored, after": ("", "signal.signal(signal.SIGTERM, signal.SIG_IGN)", 0),
}


@pytest.mark.parametrize("how", HOSTS_OWN_ENDS)
def test_the_hosts_own_handlers_are_in_charge(tmp_path, how):
    """The host's handler of the signal runs, and an ordinary exit stores everything."""
    store = tmp_path / "store.sqlite"
    before, after, status = HOSTS_OWN_ENDS[how]
    ended = run(f"{before}\n{PREDICTED}{after}\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.1)", store)
    assert ended.returncode == status, ended.stderr
    assert sum(stored_calls(store).values()) == 500


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGTERM"])
def test_a_signal_ignored_from_the_start_stays_ignored(tmp_path, name):
    """A program that inherits an ignored signal, as `nohup` starts one, goes on after it, and an ordinary exit stores all."""
    store = tmp_path / "store.sqlite"
    ended = run(
        f"""
        if signal.getsignal(signal.{name}) is not signal.SIG_IGN:
            signal.signal(signal.{name}, signal.SIG_IGN)
            os.execv(sys.executable, [sys.executable, *sys.argv])  # what is ignored stays so in the other program
        {PREDICTED.strip()}
        os.kill(os.getpid(), signal.{name})
        time.sleep(0.5)  # the consumer looks for pending signals meanwhile
        assert signal.getsignal(signal.{name}) is signal.SIG_IGN
        print("went on")
        """,
        store,
    )
    assert (ended.returncode, ended.stdout) == (0, "went on\n"), ended.stderr
    assert sum(stored_calls(store).values()) == 500


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGTERM"])
def test_programs_of_tests_start_with_default_signals(tmp_path, name):
    """A signal that is ignored where the tests run ends the programs that they start, and is still ignored there."""
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_IGN)
    try:
        start_programs_with_default_signals()
        os.kill(os.getpid(), number)
        ended = run(f"os.kill(os.getpid(), signal.{name})\ntime.sleep(30)", tmp_path / "store.sqlite")
    finally:
        signal.signal(number, before)
    assert ended.returncode == -number, ended.stderr


def test_a_loop_that_handles_the_signal_ends_as_it_wants_to(tmp_path):
    """`loop.add_signal_handler` and `asyncio.run` work as without us: the loop ends, and the program exits with its status."""
    store = tmp_path / "store.sqlite"
    ended = run(
        """
        import asyncio
        async def serve():
            loop, ended = asyncio.get_running_loop(), asyncio.Event()
            loop.add_signal_handler(signal.SIGTERM, ended.set)
            for _ in range(500): predict(ROW)
            loop.call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
            await ended.wait()
            return 5
        sys.exit(asyncio.run(serve()))
        """,
        store,
    )
    assert (ended.returncode, ended.stderr) == (5, "")
    assert sum(stored_calls(store).values()) == 500


def test_a_keyboard_interrupt_stays_one(tmp_path):
    """SIGINT raises KeyboardInterrupt as ever, the exit that follows stores all, and the status names the signal."""
    store = tmp_path / "store.sqlite"
    ended = run(f"{PREDICTED}os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(30)", store)
    assert ended.returncode == -signal.SIGINT
    assert ended.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert sum(stored_calls(store).values()) == 500


def test_a_keyboard_interrupt_that_is_handled_is_no_end_by_a_signal(tmp_path):
    """A program that catches KeyboardInterrupt and goes on exits with its own status."""
    store = tmp_path / "store.sqlite"
    script = (
        f"{PREDICTED}try: os.kill(os.getpid(), signal.SIGINT); time.sleep(30)\nexcept KeyboardInterrupt: sys.exit(3)"
    )
    ended = run(script, store)
    assert (ended.returncode, ended.stderr) == (3, "")
    assert sum(stored_calls(store).values()) == 500


def test_a_switched_off_library_touches_no_signal(tmp_path):
    """Off, decorating and predicting leave `signal.signal` and its handlers as they were."""
    ended = run(
        "predict(ROW)\nassert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
        "assert not hasattr(signal.signal, 'is_radiosonde')",
        tmp_path / "store.sqlite",
        RADIOSONDE_DISABLED="true",
    )
    assert (ended.returncode, ended.stderr) == (0, "")
