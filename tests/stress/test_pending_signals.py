"""A signal that comes as the main thread begins to wait ends the process all the same.

The moment is made by sending the signal to another thread: Python notes it, and nothing interrupts the main thread's wait.
"""

from __future__ import annotations

import pytest

from tests.stress._scripts import run, stored_calls

WAITS = {
    "sleep": "time.sleep(3000)",
    "lock": "threading.Lock().acquire() and (lock := threading.Lock()).acquire() and lock.acquire(timeout=3000)",
    "event": "threading.Event().wait(3000)",
    "queue": "import queue; queue.Queue().get(timeout=3000)",
    "select": "import select; select.select([], [], [], 3000)",
    "socket": "import socket; socket.create_server(('127.0.0.1', 0)).accept()",
}

MISSED = """
        def send():
            time.sleep(0.3)  # the main thread waits by then, or its handler runs, which is no harm
            signal.pthread_kill(threading.get_ident(), signal.{name})
        threading.Thread(target=send, daemon=True).start()
"""


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_does_not_outlast_the_signal(tmp_path, wait):
    """Records are stored, and the process ends by the signal, for any wait of its main thread."""
    store = tmp_path / "store.db"
    ended = run(
        f"""
        for _ in range(7): predict(ROW)
        {MISSED.format(name="SIGTERM").strip()}
        {WAITS[wait]}
        """,
        store,
    )
    assert ended.returncode == -15, ended.stderr
    assert list(stored_calls(store).values()) == [7]


@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM"])
def test_every_signal_that_ends_a_process(tmp_path, name):
    """SIGHUP as well as SIGTERM."""
    ended = run(
        f"""
        import signal as numbers
        predict(ROW)
        {MISSED.format(name=name).strip()}
        time.sleep(3000)
        """,
        tmp_path / "store.db",
    )
    assert ended.returncode == -{"SIGHUP": 1, "SIGTERM": 15}[name], ended.stderr


@pytest.mark.parametrize("how", ["signal.signal", "originally"])
def test_a_handler_of_the_hosts_is_not_called_again(tmp_path, how):
    """A signal that the host handles is handled once, and not sent again when the former handler is restored."""
    ended = run(
        f"""
        from _signal import signal as originally  # as those have it who took it before
        predict(ROW)
        seen = []
        before = {how}(signal.SIGTERM, lambda *_: seen.append(1))
        from radiosonde._pipeline._worker import _EXIT
        while signal.SIGTERM in _EXIT._ours: time.sleep(0.05)  # until the consumer has looked: who goes past us is seen then
        os.kill(os.getpid(), signal.SIGTERM)
        {how}(signal.SIGTERM, before)
        time.sleep(2)
        assert seen == [1]
        """,
        tmp_path / "store.db",
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_descriptor_of_the_hosts_is_its_own(tmp_path):
    """Code that sets a descriptor for signals sees none before it, gets the bytes written, and sees none after it."""
    ended = run(
        """
        import socket
        predict(ROW)
        here, there = socket.socketpair()
        there.setblocking(False)
        assert signal.set_wakeup_fd(there.fileno()) == -1
        signal.signal(signal.SIGUSR1, lambda *_: None)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert here.recv(10) == bytes([signal.SIGUSR1])
        assert signal.set_wakeup_fd(-1) == there.fileno()
        assert signal.set_wakeup_fd(-1) == -1
        def send():
            time.sleep(0.3)
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        threading.Thread(target=send, daemon=True).start()
        time.sleep(3000)  # ours is there again
        """,
        tmp_path / "store.db",
    )
    assert ended.returncode == -15, ended.stderr


def test_a_signal_of_a_child_is_not_its_parents(tmp_path):
    """A forked child that is terminated ends, having predicted or not, and its parent goes on."""
    store = tmp_path / "store.db"
    ended = run(
        """
        predict(ROW)
        for predicts in (False, True):
            ready, told = os.pipe()
            child = os.fork()
            if child == 0:
                if predicts: predict(ROW)
                os.write(told, b"1")
                while True: time.sleep(0.05)
            os.read(ready, 1)
            os.kill(child, signal.SIGTERM)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
        time.sleep(1)
        """,
        store,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(stored_calls(store).values()) == [1, 1]
