"""Whether every call is counted at full rate: callers in closed loops, drained by a thread and by an agent, beside a busy core.

Each case runs in this process, one after the other: models of 0, 10 and 100 us, one caller and four, with the thread of the same
process and with an agent. A process that does nothing but compute keeps a core busy meanwhile. A figure is the calls that were
counted over those that were made. Of all cases the worst is shown: the one farthest from 1, above or below.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks._measure import Figure
from benchmarks.overhead.bench_tail import beside_agent, calls_in_store
from benchmarks.workloads import ANSWER, arrays, reference
from radiosonde.testing import fly

if TYPE_CHECKING:
    from collections.abc import Iterator

MODELS_US = (0, 10, 100)
CALLERS = (1, 4)
CASE_US = 1_000_000
"""About how long a case takes without contention: rings are filled several times by all but the slowest model."""

CALL_US = 5
MOST_ROUNDS = 3
"""A count is exact or it is not: further rounds would only take longer."""


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the share of calls that were counted, worst case of each round."""
    shares: dict[str, list[float]] = {}
    made = 0
    for _ in range(min(rounds, MOST_ROUNDS)):
        for drained_by, model_us, callers in itertools.product(("thread", "agent"), MODELS_US, CALLERS):
            calls = CASE_US // (model_us + CALL_US) // callers * callers
            count = _counted_by_thread if drained_by == "thread" else _counted_by_agent
            with _hog():
                counted = count(model_us, callers, calls)
            made += calls
            shares.setdefault(f"{drained_by}, {model_us} us, callers: {callers}", []).append(counted / calls)
    worst = [max(of_round, key=lambda share: abs(share - 1)) for of_round in zip(*shares.values(), strict=True)]
    inexact = [case for case, each in shares.items() if set(each) != {1.0}]
    yield Figure(
        "full-rate-counted",
        "calls counted over calls made at full rate, beside a busy core (worst of 12 cases)",
        worst,
        unit="of calls",
        absolute=f"{made} calls; not exact: {'; '.join(inexact) or 'none'}",
        raw=shares,
    )


def _counted_by_thread(model_us: int, callers: int, calls: int) -> int:
    with fly() as flight:
        _call(flight.observe("delays", reference=reference())(_model(model_us)), callers, calls)
        return sum(window.calls for window in flight.windows())


def _counted_by_agent(model_us: int, callers: int, calls: int) -> int:
    with tempfile.TemporaryDirectory(prefix="radiosonde-bench-") as folder:
        spool = Path(folder, "spool")
        with beside_agent(spool), fly(spool=spool, agent=True) as flight:
            _call(flight.observe("delays", reference=reference())(_model(model_us)), callers, calls)
        return calls_in_store(spool)


def _model(model_us: int) -> Any:
    def predict(features: Any) -> Any:  # noqa: ARG001 - answers the same to everything
        until_ns = time.perf_counter_ns() + 1000 * model_us
        while time.perf_counter_ns() < until_ns:
            pass
        return ANSWER

    return predict


def _call(observed: Any, callers: int, calls: int) -> None:
    rows = arrays()

    def work() -> None:
        for number in range(calls // callers):
            observed(rows[number % len(rows)])

    threads = [threading.Thread(target=work) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def _hog() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()
