"""Model-server processes that write into a spool, controlled step by step by a test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from radiosonde._agent.agent import Agent
from radiosonde._guard import Guard
from radiosonde._ring.spool import Spool
from radiosonde.model import Window
from radiosonde.sketches.merge import merge_windows
from radiosonde.store.reader import Interval, StoreReader

_SERVER = """
import json, os, sys, threading
import numpy as np
import radiosonde as rs

rs.start(prometheus=False, **json.loads(sys.argv[1]))
begun, go_on, held, ids = threading.Event(), threading.Event(), [], []

@rs.observe("delays", version="1")
def predict(row, answer, phase):
    if phase == "hold":
        begun.set()
        go_on.wait()
    elif phase:
        with rs.stage(phase):
            pass
    if answer == "error":
        raise ValueError
    return answer

@rs.observe("batches", version="1")
def predict_batch(rows, answers):
    return answers

for line in sys.stdin:
    order = json.loads(line)
    if order["do"] == "predict":
        for row, answer, phase in order["calls"] * order["times"]:
            with rs.cohort(**order["cohort"]):
                try:
                    predict(row, answer, phase)
                except ValueError:
                    pass
                ids.append(rs.current().id)
    elif order["do"] == "batch":
        predict_batch(np.full((order["rows"], 2), order["value"]), [order["answer"]] * order["rows"])
    elif order["do"] == "hold":
        begun.clear()
        held.append(threading.Thread(target=predict, args=(order["row"], "late", "hold"), daemon=True))
        held[-1].start()
        begun.wait()
    elif order["do"] == "lose":
        from radiosonde._api.surface import SURFACE
        pipeline = SURFACE.pipeline()
        pipeline.guard.lose("features_unreadable", order["count"])
        pipeline._looked_ns = 0  # the consumer's look is due
        assert pipeline._consumer.ask(20)
    elif order["do"] == "flush":
        assert rs.flush(20)
    elif order["do"] == "label":
        for prediction in ids[order["first"]:order["last"]]:
            rs.label(prediction, order["value"])
    elif order["do"] == "release":
        go_on.set()
        for thread in held:
            thread.join()
    print("done", flush=True)
"""


class Server:
    """One such process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, what: str, **order: Any) -> None:
        """Have it do one thing, and wait until it is done."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"do": what, **order}) + "\n")
        stdin.flush()
        assert stdout.readline() == "done\n"

    def predict(self, *calls: tuple[Any, str, str], times: int = 1, **cohort: str) -> None:
        """Predict: each call is a row, the answer (``"error"`` raises) and the phase it goes through (``""`` none)."""
        self.do("predict", calls=calls, times=times, cohort=cohort)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait(20)

    def end(self) -> None:
        """Let it exit by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(20) == 0


@contextmanager
def serving(spool: Path, **settings: Any) -> Iterator[Server]:
    """Run a server that leaves its rings to the agent."""
    told = json.dumps({"spool": str(spool), "agent": True, **settings})
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, told],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with process:
        try:
            yield Server(process)
        finally:
            process.kill()


@contextmanager
def draining(spool: Path, guard: Guard | None = None, **options: Any) -> Iterator[Agent]:
    """Make an agent; afterwards it is gone like one that was killed: nothing is committed, its lock is free."""
    agent = Agent(Spool(spool), guard or Guard(reraise=True), **options)
    try:
        yield agent
    finally:
        agent._lock.close()


def stored(spool: Path, model: str = "delays") -> Window:
    """Return everything the agents of a spool have made durable of a model, as one window."""
    parts = StoreReader(spool / "agent.sqlite", sketches=False).parts(Interval())
    (total,) = merge_windows((w for _, w in parts if w.key.model == model), by=lambda window: window.key.model)
    return total


def rings(spool: Path) -> list[str]:
    """Return the suffixes of the files of rings that are there."""
    return sorted(path.suffix for path in spool.iterdir() if path.suffix in {".ring", ".arena", ".names"})
