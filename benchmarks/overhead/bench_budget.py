"""Does the CPU budget hold? CPU of all our threads under a steady load, over the budget of 1 % of one core.

A model server that predicts at an even pace: every 10 ms as many calls as the load asks for, rows of 30 floats, with a
reference, a store and default windows. After a few seconds to settle, CPU of each of our threads is read from its own
clock over ten seconds. A window closes once a minute, which ten seconds would miss or hit by chance: it is closed and
stored once after them, in the same threads, and a sixth of what that cost is added.

Beside the share the figure shows the sampled rows per second.
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks._measure import Figure
from benchmarks.workloads import ANSWER, matrix, reference
from radiosonde.testing import fly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from radiosonde.testing import Flight

BUDGET = 0.01
SETTLE_S, MEASURED_S, WINDOW_S = 6.0, 10.0, 60.0
TICK_S = 0.01
LOADS = (("budget-1k", 1000, 1), ("budget-10k", 10_000, 1), ("budget-100k", 100_000, 100))
RUN_ROUNDS = 5
"""Rounds of other parts that one run of this one is worth: it takes twenty seconds and not one."""

BEHIND_RATIO = 0.95
"""A machine that cannot keep the load up says nothing about the budget."""


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the share of one core that all our threads used, over the budget, at each load."""
    for name, rows_a_second, batch in LOADS:
        runs = [_run(rows_a_second, batch) for _ in range(max(1, rounds // RUN_ROUNDS))]
        shares, looked_at, kept_up, lost = zip(*runs, strict=True)
        rows = f"batches of {batch}" if batch > 1 else "single rows"
        yield Figure(
            name,
            f"CPU of all our threads at {rows_a_second} rows/s ({rows}), over the budget of 1 % of a core",
            [share / BUDGET for share in shares],
            unit="x budget",
            absolute=f"{100 * float(np.median(shares)):.2f} % of a core, {float(np.median(looked_at)):.0f} rows/s looked at, "
            f"{sum(lost)} lost",
            raw={"share": list(shares), "looked_at_a_second": list(looked_at)},
            doubt="" if min(kept_up) >= BEHIND_RATIO else "neighbours",
        )


def _run(rows_a_second: int, batch: int) -> tuple[float, float, float, int]:
    """Return (share of one core, sampled rows per second, share of the load that was kept up, rows lost)."""
    answers = np.repeat(ANSWER, batch, axis=0)

    def predict(features: Any) -> Any:  # noqa: ARG001 - answers the same to everything
        return answers

    with (
        tempfile.TemporaryDirectory() as folder,
        fly(cpu_budget=BUDGET, store=Path(folder) / "s.db", window_s=WINDOW_S) as flight,
    ):
        observed = flight.observe("delays", reference=reference())(predict)
        blocks = matrix(20_000).reshape(-1, batch, matrix(20_000).shape[1])
        calls = rows_a_second // batch
        _load(observed, blocks, calls, SETTLE_S)
        before, rows_before = _cpu_s(), _looked_at(flight)
        began_s = time.monotonic()
        sent = _load(observed, blocks, calls, MEASURED_S)
        lasted_s = time.monotonic() - began_s
        share = (_cpu_s() - before) / lasted_s
        looked_at = (_looked_at(flight) - rows_before) / lasted_s
        before = _cpu_s()
        visited_ns = time.thread_time_ns()
        flight.flush(30.0)
        closing_s = _cpu_s() - before + (time.thread_time_ns() - visited_ns) / 1e9
        lost = sum(flight.statistics().losses.values())
    return share + closing_s / WINDOW_S, looked_at, sent / (calls * lasted_s), lost


def _load(predict: Callable[[Any], Any], blocks: NDArray[Any], calls_a_second: int, seconds: float) -> int:
    """Call evenly for *seconds* and return how often."""
    began_s, sent = time.monotonic(), 0
    while (elapsed_s := time.monotonic() - began_s) < seconds:
        # Calls missed by a late wake-up are made at once, as by clients that waited.
        for _ in range(int(elapsed_s * calls_a_second) - sent):
            predict(blocks[sent % len(blocks)])
            sent += 1
        time.sleep(TICK_S)
    return sent


def _cpu_s() -> float:
    """Return the CPU seconds of all our threads, by their own clocks."""
    clocks = [
        time.pthread_getcpuclockid(thread.ident)
        for thread in threading.enumerate()
        if thread.name.startswith("radiosonde") and thread.ident is not None
    ]
    return sum(time.clock_gettime(clock) for clock in clocks)


def _looked_at(flight: Flight) -> int:
    return flight.pipeline()._aggregator.counted_rows
