"""How long `os.fork()` takes in a process that records into a store while it forks: p99, beside forks of the same process before.

The delay of a busy machine is not counted: the time that the forking thread spent runnable but not running, as the kernel reports it
(``/proc/thread-self/schedstat``), is subtracted. Waits for a lock of Radiosonde remain.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._measure import Figure
from benchmarks.workloads import arrays, model, reference
from radiosonde.model import losses
from radiosonde.testing import fly

if TYPE_CHECKING:
    from collections.abc import Iterator

FORKS = 40
"""A round. Between two of them some hundred predictions are made, and now and then a window is stored."""

REST_S = 0.02


def measure(rounds: int) -> Iterator[Figure]:
    """Yield p99 of the forks, in milliseconds."""
    without = [_fork_ms() for _ in range(rounds * FORKS)]
    stop, during = threading.Event(), []
    with (
        tempfile.TemporaryDirectory(prefix="radiosonde-bench-") as folder,
        fly(store=f"{folder}/store.sqlite") as flight,
    ):
        observed = flight.observe("delays", reference=reference())(model())

        def predict() -> None:
            for number, row in enumerate(_endlessly(stop)):
                observed(row)
                if number % 1000 == 999:
                    flight.flush(60)

        thread = threading.Thread(target=predict)
        thread.start()
        try:
            for _ in range(rounds):
                forks = []
                for _ in range(FORKS):
                    time.sleep(REST_S)
                    forks.append(_fork_ms())
                during.append(float(np.quantile(forks, 0.99)))
        finally:
            stop.set()
            thread.join()
        given_up = flight.losses().get(losses.FORK_UNHELD, 0)
    yield Figure(
        "fork-p99", "os.fork() beside predictions and a store, p99 without the wait for a core", during, unit="ms",
        absolute=f"{float(np.quantile(without, 0.99)):.1f} ms without us; {given_up} of {rounds * FORKS} did not wait to the end",
        raw={"without_ms": without},
    )  # fmt: skip


def _endlessly(stop: threading.Event) -> Iterator[object]:
    rows = arrays()
    while not stop.is_set():
        yield from rows[:100]


def _fork_ms() -> float:
    """Fork once, and return how long that took but for the wait for a core."""
    waited_ns, began_ns = _waited_ns(), time.perf_counter_ns()
    child = os.fork()
    if not child:
        os._exit(0)
    taken_ns = time.perf_counter_ns() - began_ns - (_waited_ns() - waited_ns)
    os.waitpid(child, 0)
    return taken_ns / 1e6


def _waited_ns() -> int:
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1])
