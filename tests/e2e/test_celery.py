"""Real Celery workers with a broker of files: however they and their children end, what their tasks predicted is stored."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from radiosonde._ring.spool import AGENT_LOCK, is_held
from radiosonde.errors import StoreError
from radiosonde.store.reader import Interval, StoreReader

pytest.importorskip("celery")
pytestmark = pytest.mark.slow

TASKS = 24

SERVED = """
import os, pathlib, time
import numpy as np
import radiosonde as rs
from celery import Celery

FOLDER = pathlib.Path(os.environ["QUEUE"])
app = Celery("served", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": str(FOLDER), "data_folder_out": str(FOLDER), "control_folder": str(FOLDER / "control"),
}
app.conf.task_ignore_result = True

@rs.observe("delays")
def predict(rows):
    return np.array([[0.3, 0.7]] * len(rows))

@app.task(name="score")
def score(place):
    predict(np.zeros((1, 3)))
    (FOLDER / f"done.{place}").touch()
    time.sleep(float(os.environ["TASK_S"]))
"""


class Case(NamedTuple):
    """One way to run workers, and to end them."""

    options: tuple[str, ...] = ()
    end: int = signal.SIGTERM
    task_s: float = 0.0
    tasks: int = TASKS
    agent: bool = False
    may_hang: bool = False
    starter: bool = False
    needs: str = ""


CASES = {
    "a warm shutdown": Case(),
    "children that are recycled after five tasks": Case(("--max-tasks-per-child", "5"), tasks=20),
    "children that are recycled after each task": Case(("--max-tasks-per-child", "1"), tasks=6),
    "children that are recycled for their memory": Case(("--max-memory-per-child", "1"), tasks=6),
    "a cold shutdown": Case(end=signal.SIGQUIT),
    "a cold shutdown in the midst of tasks": Case(end=signal.SIGQUIT, task_s=60, tasks=2),
    "threads": Case(("-P", "threads")),
    "one process": Case(("-P", "solo")),
    "gevent, Radiosonde imported before it patches": Case(("-P", "gevent"), needs="gevent", starter=True),
    "gevent, a cold shutdown in the midst of tasks": Case(
        ("-P", "gevent"), end=signal.SIGQUIT, task_s=60, tasks=2, needs="gevent"
    ),
    "eventlet, Radiosonde imported before it patches": Case(("-P", "eventlet"), needs="eventlet", starter=True),
    "an agent that a child starts": Case(agent=True),
    # Celery asks the kernel to kill children when their parent ends, and Linux does so when the thread ends that forked them:
    # with a broker like this one, children that replace others are killed by SIGKILL at a warm shutdown. In one of thirty runs, without
    # Radiosonde too, such a child holds the lock of the pool's queue, for which the worker then waits for ever.
    "an agent and children that the kernel kills": Case(("--max-tasks-per-child", "5"), agent=True, may_hang=True),
    "an agent that a recycled child starts": Case(("--max-tasks-per-child", "1"), tasks=6, agent=True),
}


def stored(store: Path) -> int:
    """Return the calls in a store, 0 while there is none."""
    with suppress(StoreError):
        return sum(window.calls for _, window in StoreReader(store, sketches=False).parts(Interval()))
    return 0


def wait_until(holds: Callable[[], bool], what: Callable[[], str]) -> None:
    """Poll until something holds, for two minutes."""
    until_s = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < until_s, what()
        time.sleep(0.1)


@contextmanager
def working(folder: Path, case: Case, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker with two children; it is ended with all of them in any case."""
    starter = [Path(sys.executable).with_name("opentelemetry-instrument")] if case.starter else []
    command = [*starter, sys.executable, "-W", "ignore", "-m", "celery", "-A", "served", "worker", "-c", "2", "--without-gossip",
               "--without-mingle", "--without-heartbeat", *case.options]  # fmt: skip
    with (folder / "log").open("w") as log:
        worker = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            yield worker
        finally:
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


@pytest.mark.parametrize("name", CASES)
def test_what_tasks_predicted_is_stored(tmp_path, name):
    """Each task predicts once; the store has as many calls as tasks ran."""
    case = CASES[name]
    if case.needs:
        pytest.importorskip("opentelemetry.instrumentation")
        if importlib.util.find_spec(case.needs) is None:
            pytest.skip(f"needs {case.needs}")
    queue, store, spool = tmp_path / "queue", tmp_path / "store.sqlite", tmp_path / "spool"
    (queue / "control").mkdir(parents=True)
    (tmp_path / "served.py").write_text(SERVED)
    environment = {
        **os.environ,
        "RADIOSONDE_STORE": str(store),
        "QUEUE": str(queue),
        "PYTHONPATH": str(tmp_path),
        "TASK_S": str(case.task_s),
        "RADIOSONDE_OTLP": "false",
    }
    if case.agent:
        environment |= {"RADIOSONDE_SPOOL": str(spool), "RADIOSONDE_AGENT": "auto"}
    send = f"import served; [served.score.delay(place) for place in range({case.tasks})]"
    log = (tmp_path / "log").read_text
    try:
        with working(tmp_path, case, environment) as worker:
            subprocess.run(
                [sys.executable, "-W", "ignore", "-c", send], cwd=tmp_path, env=environment, check=True, timeout=60
            )
            wait_until(lambda: len(list(queue.glob("done.*"))) == case.tasks, log)
            worker.send_signal(case.end)
            try:
                worker.wait(60)
            except subprocess.TimeoutExpired:  # it is killed; the agent counts all the same
                if not case.may_hang:
                    raise
        if case.agent:
            wait_until(lambda: stored(store) == case.tasks, log)
    finally:
        end_agent(spool)
    assert stored(store) == case.tasks


def end_agent(spool: Path) -> None:
    """End the agent of a spool, if there is one."""
    lock = spool / AGENT_LOCK
    if lock.exists() and is_held(lock):
        with suppress(ProcessLookupError):
            os.kill(int(lock.read_text()), signal.SIGTERM)
        wait_until(lambda: not is_held(lock), lambda: "the agent does not end")
