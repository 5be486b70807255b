"""Servers whose threads are greenlets: gunicorn with gevent, eventlet's own; Radiosonde imported before and after they patch.

The load is real: forty connections at once, requests that wait in the middle of a prediction.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from radiosonde.store.reader import Interval, StoreReader
from tests.e2e._receivers import free_port
from tests.slow import mostly_slow

APPLICATION = """
import time
import numpy as np
import radiosonde as rs

ROW = np.zeros((1, 3))

@rs.observe("delays")
def predict(rows):
    time.sleep(0.005)
    return np.array([[0.3, 0.7]] * len(rows))

def application(environ, start_response):
    if environ["PATH_INFO"] == "/flush":
        answer = str(rs.flush())
    elif environ["PATH_INFO"] == "/cpu":
        until = time.perf_counter() + 0.01
        while time.perf_counter() < until:
            pass
        answer = str(rs.statistics().consumer_cpu_s)
    else:
        answer = str(predict(ROW)[0, 1])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer.encode()]
"""

PATCHES = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
REQUESTS = 200


EVENTLET = """
{imports}
from served import application
import eventlet.wsgi
eventlet.wsgi.server(eventlet.listen(("127.0.0.1", {port})), application, log_output=False)
"""


def command_of(library: str, order: str, port: int) -> list[str]:
    """Return the command of a server, which imports Radiosonde before or after it patches."""
    if library == "gevent":
        early = ["--preload"] if order == "before" else []
        return [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-w", "1", "-k", "gevent", *early,
                "served:application"]  # fmt: skip
    lines = [PATCHES[library], "import radiosonde"]
    imports = "\n".join(lines if order == "after" else lines[::-1])
    return [sys.executable, "-W", "ignore", "-c", EVENTLET.format(imports=imports, port=port)]


@contextmanager
def served(folder: Path, library: str, order: str) -> Iterator[int]:
    """Serve the application; yield the port."""
    port = free_port()
    (folder / "served.py").write_text(APPLICATION)
    command = command_of(library, order, port)
    environment = {**os.environ, "RADIOSONDE_STORE": str(folder / "store.sqlite"), "PYTHONPATH": str(folder)}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        until_s = time.monotonic() + 60
        while True:
            try:
                ask(port, "/")
                break
            except OSError:
                is_late = process.poll() is not None or time.monotonic() > until_s
                assert not is_late, (folder / "log").read_text()
                time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGTERM if library == "gevent" else signal.SIGINT)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def needs(library: str) -> None:
    """Skip if the library is absent. Searched without importing: this process is unchanged."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"needs {library}")


def ask(port: int, path: str) -> str:
    """Return the answer to a request."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
        return response.read().decode()


def stored(store: Path) -> int:
    """Return the calls in a store."""
    return sum(window.calls for _, window in StoreReader(store, sketches=False).parts(Interval()))


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("library", mostly_slow(list(PATCHES), ["gevent"]))
def test_a_server_of_greenlets_answers_and_counts(tmp_path, library, order):
    """All requests are answered and stored, whether Radiosonde was imported before or after the patches; flush works."""
    needs(library)
    with served(tmp_path, library, order) as port, ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: ask(port, "/"), range(REQUESTS)))
        assert set(answers) == {"0.7"}
        flushed = list(pool.map(lambda _: ask(port, "/flush"), range(3)))
        assert "True" in flushed
        for _ in range(60):
            ask(port, "/cpu")
        assert float(ask(port, "/cpu")) < 0.5 * 60 * 0.01 + 2.0
    assert stored(tmp_path / "store.sqlite") == REQUESTS + 1


SCRIPT = """
import sys, threading, time
{first}
{second}
import numpy as np
ROW = np.zeros((1, 3))

@rs.observe("delays")
def predict(rows):
    time.sleep(0.001)
    return np.array([[0.3, 0.7]] * len(rows))

def work():
    for _ in range(50):
        predict(ROW)
        rs.statistics()

threads = [threading.Thread(target=work) for _ in range(20)]
for thread in threads:
    thread.start()
began, naps = time.monotonic(), 0
while any(thread.is_alive() for thread in threads):
    time.sleep(0.002)
    naps += 1
assert naps > 3, "nobody else ran"
assert rs.flush()
began = time.thread_time()
while time.thread_time() - began < 0.3:  # the host's own work, which is not ours
    pass
time.sleep(0.3)
spent = rs.statistics().consumer_cpu_s
print(rs.statistics().records, spent)
rs.shutdown()
"""


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("library", mostly_slow(list(PATCHES), ["gevent"]))
def test_a_script_of_greenlets_ends_and_counts(tmp_path, library, order):
    """Twenty greenlets predict while others run; nothing waits for ever, and the host's CPU time is not booked on us."""
    needs(library)
    lines = [PATCHES[library], "import radiosonde as rs"]
    first, second = lines if order == "after" else lines[::-1]
    script = textwrap.dedent(SCRIPT).format(first=first, second=second)
    environment = {**os.environ, "RADIOSONDE_STORE": str(tmp_path / "store.sqlite")}
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    records, spent_s = done.stdout.split()
    assert int(records) == stored(tmp_path / "store.sqlite") == 1000
    assert float(spent_s) < 1.0
