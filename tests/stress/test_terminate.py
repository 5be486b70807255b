"""Terminated processes: their records are stored, and they end as without Radiosonde."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from radiosonde.store.reader import Interval, StoreReader
from tests.e2e._receivers import wait_for

MODEL = """
import os, sys, threading, time
import numpy as np
import radiosonde as rs

@rs.observe("delays")
def predict(rows):
    return np.array([[0.3, 0.7]] * len(rows))

def predict_some(count):
    for _ in range(count):
        predict(np.zeros((1, 3)))

def told():
    print("ready", flush=True)
"""

PROGRAMS = {
    "a loop in the main thread": "predict_some(500); told()\nwhile True: time.sleep(0.01)",
    "a main thread that waits for another": """
        def work():
            predict_some(500); told()
            threading.Event().wait()
        thread = threading.Thread(target=work, daemon=True); thread.start(); thread.join()
        """,
    "a server of the standard library": """
        from http.server import BaseHTTPRequestHandler, HTTPServer
        class Handler(BaseHTTPRequestHandler):
            pass
        predict_some(500)
        server = HTTPServer(("127.0.0.1", 0), Handler); told(); server.serve_forever()
        """,
    "predictions in other threads only": """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(predict_some, [125] * 4)); told()
            threading.Event().wait()
        """,
    "a child of os.fork": """
        if os.fork() == 0:
            predict_some(500); told(); time.sleep(60)
        else:
            import signal
            signal.signal(signal.SIGTERM, lambda *_: None)
            print(os.getpid(), flush=True); os.wait(); os.kill(os.getpid(), 9)
        """,
}


def stored(store: Path) -> int:
    """Return the calls in a store."""
    return sum(window.calls for _, window in StoreReader(store, sketches=False).parts(Interval()))


def start(program: str, store: Path, **options: object) -> subprocess.Popen[str]:
    """Start a program with a store."""
    environment = {**os.environ, "RADIOSONDE_STORE": str(store)}
    command = [sys.executable, "-c", MODEL + textwrap.dedent(program)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("program", [name for name in PROGRAMS if "fork" not in name])
def test_a_program_that_is_terminated_delivers_and_dies_of_the_signal(tmp_path, program):
    """A plain program without a SIGTERM handler stores all predictions, and its status names the signal."""
    process = start(PROGRAMS[program], tmp_path / "store.sqlite")
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.wait(30) == -signal.SIGTERM
    process.stdout.close()
    assert stored(tmp_path / "store.sqlite") == 500


def test_a_forked_child_that_is_terminated_delivers(tmp_path):
    """A child of `os.fork` inherits the SIGTERM handler, and stores its own predictions."""
    process = start(PROGRAMS["a child of os.fork"], tmp_path / "store.sqlite", start_new_session=True)
    lines = {process.stdout.readline().strip(), process.stdout.readline().strip()}
    assert "ready" in lines
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(30) == -signal.SIGKILL
    process.stdout.close()
    assert stored(tmp_path / "store.sqlite") == 500


GOING_ON = {
    "a tight loop": "while True: predict(ROW); count()",
    "batches": "rows = np.zeros((50, 3))\nwhile True: predict(rows); count()",
    "a stage in between": """
        while True:
            with rs.stage("features"): time.sleep(0.0005)
            predict(ROW); count()
        """,
    "a generator": """
        @rs.observe("stream")
        def stream(row):
            for _ in range(3): yield 0.5
        while True:
            list(stream(ROW)); count()
        """,
}
COUNTED = """
from radiosonde._pipeline import process_exit
process_exit.PARK_S = process_exit.LONGEST_WAIT_S = 60.0  # on a busy machine too
ROW, log = np.zeros((1, 3)), os.open(os.environ["LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def count():
    os.write(log, b".")

told()
"""


@pytest.mark.parametrize("program", GOING_ON)
def test_a_main_thread_that_goes_on_predicting_loses_nothing(tmp_path, program, monkeypatch):
    """A signal that interrupts code of ours cannot stop the main thread; what it predicts until the process ends is stored."""
    log = tmp_path / "log"
    monkeypatch.setenv("LOG", str(log))
    process = start(COUNTED + textwrap.dedent(GOING_ON[program]), tmp_path / "store.sqlite")
    assert process.stdout.readline() == "ready\n"
    wait_for(lambda: log.stat().st_size > 20, "predictions")
    process.terminate()
    assert process.wait(120) == -signal.SIGTERM
    process.stdout.close()
    made = log.stat().st_size
    assert made <= stored(tmp_path / "store.sqlite") <= made + 1  # the last one may not have come to its line


@pytest.mark.parametrize("sets", ["before", "after"])
def test_a_handler_of_the_hosts_stays_in_charge(tmp_path, sets):
    """Who says what SIGTERM does, before or after the first prediction, is not asked and not replaced."""
    mine = "import signal; signal.signal(signal.SIGTERM, lambda *_: os._exit(7))\n"
    body = "predict_some(5)\n"
    program = (mine + body if sets == "before" else body + mine) + "told()\ntime.sleep(60)"
    process = start(program, tmp_path / "store.sqlite")
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.wait(30) == 7
    process.stdout.close()


POOL = """
import billiard
if __name__ == "__main__":
    pool = billiard.Pool(2, maxtasksperchild=recycled)
    pool.map(predict_some, [1] * 40, 1)
    pool.close(); pool.join()
"""


@pytest.mark.slow
@pytest.mark.parametrize("recycled", [None, 1, 5])
def test_workers_of_billiards_pool_deliver(tmp_path, recycled):
    """Children that end by ``os._exit``, recycled or at the pool's end, store what they predicted."""
    pytest.importorskip("billiard")
    process = start(f"recycled = {recycled}\n" + POOL, tmp_path / "store.sqlite")
    assert process.wait(120) == 0
    process.stdout.close()
    assert stored(tmp_path / "store.sqlite") == 40
