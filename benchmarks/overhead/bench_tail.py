"""What draining does to the caller's tail: a function of 10 us in a closed loop, bare and observed, by thread and by agent.

The worst case for a thread in the same process: one caller that never rests, so that the consumer has to take the
interpreter lock from it for every slice it folds. Wall time of each call; the loop's own clock reads are in both arms.

A round is the first quartile over its laps of the observed p99.9, minus that of the bare one: neighbours on a shared
machine only ever add milliseconds to some laps, while the consumer folds in every lap.

With an agent the caller writes into ring files, and another process, niced as the documentation advises where cores are
scarce, drains them: the same laps, as a ratio.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks._measure import Figure
from benchmarks.workloads import ANSWER, arrays, reference
from radiosonde.model import losses
from radiosonde.testing import fly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray


CALLS = 20_000
"""Calls a lap and arm: a quarter of a second, in which the ring fills by a quarter several times, so the consumer folds."""

LAPS = 6

NOISE_US = 200.0
"""With a p99.9 of the bare function above this the machine is too busy to measure 200 us."""

QUANTILES = (0.5, 0.99, 0.999)


RING_BYTES = 32 << 20
NICE = 10
"""How nice the agent is."""


def measure(rounds: int) -> Iterator[Figure]:
    """Yield what the thread adds to p99.9 and loses at that rate, and the same of the agent."""
    yield from _beside_thread(rounds)
    yield from _beside_agent(rounds)


def _beside_thread(rounds: int) -> Iterator[Figure]:
    bare = _model()
    with fly() as flight:
        observed = flight.observe("delays", reference=reference())(_model())
        _quantiles_us(observed)
        without, with_us = [], []
        for _ in range(rounds):
            laps = [_lap(bare, observed, flight.pipeline().take_turn, lap) for lap in range(LAPS)]
            without.append(np.quantile([lap[0] for lap in laps], 0.25, axis=0))
            with_us.append(np.quantile([lap[1] for lap in laps], 0.25, axis=0))
        lost = flight.losses().get(losses.RING_OVERWRITTEN, 0)
        recorded = flight.statistics().records
    low, high = np.array(without), np.array(with_us)
    raw = {
        f"{arm}_p{100 * level:g}_us": values[:, place].tolist()
        for arm, values in (("bare", low), ("observed", high))
        for place, level in enumerate(QUANTILES)
    }
    medians = zip(QUANTILES, np.median(low, axis=0), np.median(high, axis=0), strict=True)
    told = ", ".join(f"p{100 * level:g} {before:.0f} to {after:.0f} us" for level, before, after in medians)
    extra = (high - low)[:, -1].tolist()
    what = "p99.9 of a 10 us function at full rate, beside the consumer thread (first quartile of laps)"
    # A bare function that is itself late by more than the budget was pushed off its core: this run decides nothing.
    doubt = "neighbours" if float(np.median(low[:, -1])) > NOISE_US else ""
    yield Figure("tail-p99_9", what, extra, unit="us over bare", absolute=told, raw=raw, doubt=doubt)
    share = [100 * lost / (lost + recorded)]
    yield Figure(
        "tail-lost",
        "records lost (and counted) at that rate, one caller in a closed loop",
        share,
        unit="%",
        absolute=f"{lost} of {lost + recorded}",
    )


def _beside_agent(rounds: int) -> Iterator[Figure]:
    bare = _model()
    with tempfile.TemporaryDirectory(prefix="radiosonde-bench-") as folder:
        spool = Path(folder, "spool")
        with beside_agent(spool), fly(spool=spool, agent=True, ring_bytes=RING_BYTES) as flight:
            observed = flight.observe("delays", reference=reference())(_model())
            _quantiles_us(observed)
            rest = lambda: time.sleep(0.3)  # noqa: E731 - the agent has nothing to do while the bare one runs
            without, with_us = [], []
            for _ in range(rounds):
                laps = [_lap(bare, observed, rest, lap) for lap in range(LAPS)]
                without.append(np.quantile([lap[0] for lap in laps], 0.25, axis=0))
                with_us.append(np.quantile([lap[1] for lap in laps], 0.25, axis=0))
        called = CALLS * (1 + rounds * LAPS)
        lost = called - calls_in_store(spool)
    low, high = np.array(without), np.array(with_us)
    raw = {
        f"{arm}_p{100 * level:g}_us": values[:, place].tolist()
        for arm, values in (("bare", low), ("observed", high))
        for place, level in enumerate(QUANTILES)
    }
    medians = zip(QUANTILES, np.median(low, axis=0), np.median(high, axis=0), strict=True)
    told = ", ".join(f"p{100 * level:g} {before:.1f} to {after:.1f} us" for level, before, after in medians)
    doubt = "neighbours" if float(np.median(low[:, -1])) > NOISE_US else ""
    what = f"p99.9 of a 10 us function at full rate, ring drained by an agent (nice {NICE}; first quartile of laps)"
    yield Figure("tail-agent", what, (high / low)[:, -1].tolist(), unit="x bare", absolute=told, raw=raw, doubt=doubt)
    yield Figure(
        "tail-agent-lost",
        "records lost at that rate, one caller in a closed loop",
        [100 * lost / called],
        unit="%",
        absolute=f"{lost} of {called}",
        doubt=doubt,
    )


@contextmanager
def beside_agent(spool: Path) -> Iterator[None]:
    """Run a niced agent of a spool; it has counted everything when this ends."""
    command = [sys.executable, "-m", "radiosonde.cli", "agent", "--spool", spool, "--nice", str(NICE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as agent:
        try:
            assert agent.stdout is not None
            agent.stdout.readline()
            yield
        finally:
            agent.terminate()
            agent.wait(30)


def calls_in_store(spool: Path) -> int:
    """Return the calls that the agent of a spool has counted."""
    with sqlite3.connect(spool / "agent.sqlite") as store:
        (calls,) = store.execute("SELECT sum(calls) FROM windows").fetchone()
    store.close()
    return int(calls)


def _lap(
    bare: Callable[[Any], Any], observed: Callable[[Any], Any], rest: Callable[[], object], lap: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the quantiles of both arms; after *rest* the consumer is idle while the bare one runs."""
    if lap % 2:
        second = _quantiles_us(observed)
        rest()
        return _quantiles_us(bare), second
    rest()
    first = _quantiles_us(bare)
    return first, _quantiles_us(observed)


def _model() -> Callable[[Any], Any]:
    def predict(features: Any) -> Any:  # noqa: ARG001 - answers the same to everything
        until_ns = time.perf_counter_ns() + 10_000
        while time.perf_counter_ns() < until_ns:
            pass
        return ANSWER

    return predict


def _quantiles_us(predict: Callable[[Any], Any]) -> NDArray[Any]:
    rows, now_ns = arrays(), time.perf_counter_ns
    durations_ns = np.empty(CALLS)
    for call in range(CALLS):
        row = rows[call % len(rows)]
        began_ns = now_ns()
        predict(row)
        durations_ns[call] = now_ns() - began_ns
    return np.quantile(durations_ns, QUANTILES) / 1e3
