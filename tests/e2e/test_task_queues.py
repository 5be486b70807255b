"""Real workers of RQ and Dramatiq over a real Redis, with nothing but `observe` in the tasks: each task's prediction is stored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import NamedTuple

import pytest

from tests.e2e.test_celery import end_agent, stored, wait_until
from tests.redis_server import running_redis

pytestmark = pytest.mark.slow

TASKS = 8

PREDICT = """
import os, pathlib
import numpy as np
import radiosonde as rs

@rs.observe("delays")
def predict(rows):
    return np.array([[0.3, 0.7]] * len(rows))

def score(place):
    predict(np.zeros((1, 3)))
    pathlib.Path(os.environ["DONE"], f"done.{place}").touch()
"""
DRAMATIQ = """
import dramatiq
from dramatiq.brokers.redis import RedisBroker
dramatiq.set_broker(RedisBroker(url=os.environ["REDIS"]))
score = dramatiq.actor(score)
"""
SEND_RQ = "import os, redis, rq, served; send = rq.Queue(connection=redis.Redis.from_url(os.environ['REDIS'])).enqueue"


class Queue(NamedTuple):
    """One way to run workers."""

    library: str
    arguments: tuple[str, ...]
    agent: bool = False


QUEUES = {
    "a work horse for each job": Queue("rq", ("-m", "rq.cli", "worker")),
    "a spawned work horse for each job": Queue("rq", ("-m", "rq.cli", "worker", "-w", "rq.worker.SpawnWorker")),
    "jobs in the worker": Queue("rq", ("-m", "rq.cli", "worker", "-w", "rq.SimpleWorker")),
    "a pool of workers": Queue("rq", ("-m", "rq.cli", "worker-pool", "-n", "2")),
    "work horses and an agent": Queue("rq", ("-m", "rq.cli", "worker"), agent=True),
    "processes and threads": Queue("dramatiq", ("-m", "dramatiq", "served", "-p", "2", "-t", "2")),
    "spawned processes": Queue("dramatiq", ("-m", "dramatiq", "served", "-p", "2", "-t", "2", "--use-spawn")),
}


@pytest.mark.parametrize("name", QUEUES)
def test_what_tasks_predicted_is_stored(require_program, tmp_path, name):
    """Each task predicts once; after SIGTERM to the worker the store has as many calls as tasks ran."""
    case = QUEUES[name]
    pytest.importorskip(case.library)
    store, spool = tmp_path / "store.sqlite", tmp_path / "spool"
    (tmp_path / "served.py").write_text(PREDICT + (DRAMATIQ if case.library == "dramatiq" else ""))
    send = SEND_RQ if case.library == "rq" else "import served; send = lambda task, place: task.send(place)"
    with running_redis(require_program("redis-server"), tmp_path) as url:
        environment = {
            **os.environ,
            "REDIS": url,
            "DONE": str(tmp_path),
            "RADIOSONDE_STORE": str(store),
            "PYTHONPATH": str(tmp_path),
        }
        if case.agent:
            environment |= {"RADIOSONDE_SPOOL": str(spool), "RADIOSONDE_AGENT": "auto"}
        command = [sys.executable, "-W", "ignore", *case.arguments, *(("--url", url) if case.library == "rq" else ())]
        with (tmp_path / "log").open("w") as log:
            worker = subprocess.Popen(
                command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            subprocess.run(
                [sys.executable, "-W", "ignore", "-c", f"{send}\nfor place in range({TASKS}): send(served.score, place)"],
                cwd=tmp_path, env=environment, check=True, timeout=120,
            )  # fmt: skip
            log_text = (tmp_path / "log").read_text
            wait_until(lambda: len(list(tmp_path.glob("done.*"))) == TASKS, log_text)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(60) == 0, log_text()
            if case.agent:
                wait_until(lambda: stored(store) == TASKS, log_text)
        finally:
            kill_group(worker)
            end_agent(spool)
    assert stored(store) == TASKS


def kill_group(worker: subprocess.Popen[bytes]) -> None:
    """End a worker and its children in any case."""
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
