"""Calls a model bare and observed in turns and times each call (in the process of `radiosonde.bench._child`).

A round is a bare block and an observed block, each a fraction of a second, in an order that changes from round to round. After an
observed block the consumer drains its records, and that CPU time counts for the block. The overhead is the median over the rounds of the
differences of their medians.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from radiosonde.bench.results import MeasuredArm, Results
from radiosonde.bench.rows import Call
from radiosonde.bench.target import Target

BLOCK_S: Final = 0.2
MOST_CALLS: Final = 200_000
"""Calls of a block: bounds the memory of its times."""
LEAST_CALLS: Final = 3
WARM_UP_S: Final = 0.3
RECORDS: Final = 2_000
"""Of `Histogram.record`, a round."""


@dataclass
class CallBlock:
    """Blocks of one arm.

    Attributes:
        took_ns: wall time of each call, by block.
        cpu_ns: CPU of all threads, by block.
        wall_ns: wall time of all blocks.
    """

    took_ns: list[NDArray[np.int64]] = field(default_factory=list)
    cpu_ns: list[int] = field(default_factory=list)
    wall_ns: int = 0

    @property
    def calls(self) -> int:
        """Calls so far."""
        return sum(map(len, self.took_ns))

    def arm(self) -> MeasuredArm:
        """Return all of it."""
        return MeasuredArm.of(np.concatenate(self.took_ns), float(sum(self.cpu_ns)), float(self.wall_ns))


Runner = Callable[[Callable[..., Any], Sequence[Call], int, int], NDArray[np.int64]]


def runner_for(function: Callable[..., Any]) -> Runner:
    """Return a function that calls *function* repeatedly and returns the duration of each call."""
    if inspect.isasyncgenfunction(function) or inspect.iscoroutinefunction(function):
        run = _async_items if inspect.isasyncgenfunction(function) else _async_calls
        return lambda *block: asyncio.run(run(*block))
    return _items if inspect.isgeneratorfunction(function) else _calls


def _calls(function: Callable[..., Any], calls: Sequence[Call], first: int, least: int) -> NDArray[np.int64]:
    took, until_ns, count, clock = [], time.perf_counter_ns() + round(BLOCK_S * 1e9), len(calls), time.perf_counter_ns
    for place in range(MOST_CALLS):
        args, kwargs = calls[(first + place) % count]
        began_ns = clock()
        function(*args, **kwargs)
        ended_ns = clock()
        took.append(ended_ns - began_ns)
        if ended_ns > until_ns and place + 1 >= least:
            break
    return np.array(took, dtype=np.int64)


def _items(function: Callable[..., Any], calls: Sequence[Call], first: int, least: int) -> NDArray[np.int64]:
    return _calls(lambda *args, **kwargs: list(function(*args, **kwargs)), calls, first, least)


async def _async_calls(
    function: Callable[..., Any], calls: Sequence[Call], first: int, least: int
) -> NDArray[np.int64]:
    took, until_ns, count, clock = [], time.perf_counter_ns() + round(BLOCK_S * 1e9), len(calls), time.perf_counter_ns
    for place in range(MOST_CALLS):
        args, kwargs = calls[(first + place) % count]
        began_ns = clock()
        await function(*args, **kwargs)
        ended_ns = clock()
        took.append(ended_ns - began_ns)
        if ended_ns > until_ns and place + 1 >= least:
            break
    return np.array(took, dtype=np.int64)


async def _async_items(
    function: Callable[..., Any], calls: Sequence[Call], first: int, least: int
) -> NDArray[np.int64]:
    async def whole(*args: Any, **kwargs: Any) -> list[Any]:
        return [item async for item in function(*args, **kwargs)]

    return await _async_calls(whole, calls, first, least)


class Rounds:
    """The measurement of one target.

    Args:
        target: bare and observed.
        calls: arguments of the calls, used in turn.
        drain: drains the records of the observed calls.
    """

    def __init__(self, target: Target, calls: Sequence[Call], drain: Callable[[], object]) -> None:
        self._target, self._calls, self._drain = target, calls, drain
        self._run = runner_for(target.bare)
        self._arms = {"bare": CallBlock(), "observed": CallBlock()}
        self._histogram_us: list[float] = []
        self._warm = 0
        self._memory_mib: float | None = None
        self._histogram = Histogram()
        self.rounds = 0

    def warm_up(self) -> None:
        """Call both arms until caches, branch prediction and the reference are in a steady state."""
        until_ns = time.perf_counter_ns() + round(WARM_UP_S * 1e9)
        self._run(self._target.bare, self._calls, 0, 1)
        before = resident_mib()
        while self._warm == 0 or time.perf_counter_ns() < until_ns:
            self._warm += len(self._run(self._target.observed, self._calls, self._warm, 1))
            self._drain()
        self._run(self._target.bare, self._calls, 0, 1)
        self._before_mib = before

    def measure(self) -> None:
        """Measure one round."""
        order = ("bare", "observed") if self.rounds % 2 == 0 else ("observed", "bare")
        for name in order:
            self._measure_block(name)
        self._histogram_us.append(self._histogram.once_us())
        self.rounds += 1
        now = resident_mib()
        self._memory_mib = None if now is None or self._before_mib is None else now - self._before_mib

    def _measure_block(self, name: str) -> None:
        arm = self._arms[name]
        function = self._target.bare if name == "bare" else self._target.observed
        cpu_ns, began_ns = time.process_time_ns(), time.perf_counter_ns()
        took_ns = self._run(function, self._calls, arm.calls, LEAST_CALLS)
        arm.wall_ns += time.perf_counter_ns() - began_ns
        if name == "observed":
            self._drain()
        arm.cpu_ns.append(time.process_time_ns() - cpu_ns)
        arm.took_ns.append(took_ns)

    @property
    def made(self) -> int:
        """Observed calls so far, including the warm-up."""
        return self._warm + self._arms["observed"].calls

    def results(self, name: str, counted: int | None, losses: dict[str, int], *, was_interrupted: bool) -> Results:
        """Return the results."""
        bare, observed = self._arms["bare"], self._arms["observed"]
        added_us, noise_us = difference(bare.took_ns, observed.took_ns)
        cpu = [
            (after / len(calls) - before / len(others)) / 1000
            for before, others, after, calls in zip(
                bare.cpu_ns, bare.took_ns, observed.cpu_ns, observed.took_ns, strict=False
            )
        ]
        return Results(
            name, bare.arm(), observed.arm(), added_us, float(np.median(cpu)), noise_us, self._memory_mib,
            self.made, counted, losses, typical_us(self._histogram_us), self.rounds, was_interrupted,
        )  # fmt: skip


def difference(bare: Sequence[NDArray[np.int64]], observed: Sequence[NDArray[np.int64]]) -> tuple[float, float]:
    """Return the overhead of observing on a median call, and its margin of error, in microseconds.

    The median over rounds, and half of its 95 % interval, by the interquartile range, which is robust against a few disturbed rounds. For a
    normal distribution the standard error of a median is 1.253 sd / sqrt(n) and the range is 1.349 sd, so it is
    1.96 * 1.253 / 1.349 = 1.82 ranges over the root of their number (McGill, Tukey, Larsen 1978).
    """
    rounds = [
        (float(np.median(after)) - float(np.median(before))) / 1000
        for before, after in zip(bare, observed, strict=False)
    ]
    low, middle, high = np.quantile(rounds, [0.25, 0.5, 0.75])
    return float(middle), 1.82 * float(high - low) / len(rounds) ** 0.5


def resident_mib() -> float | None:
    """Return the resident memory of this process; None if unknown."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    import resource

    return pages * resource.getpagesize() / 2**20


def typical_us(histogram_us: Sequence[float]) -> float | None:
    """Return the median of what `Histogram.once_us` said; None where it could not be measured."""
    found = float(np.median(histogram_us))
    return None if math.isnan(found) else found


class Histogram:
    """A histogram of OpenTelemetry's SDK, as a familiar reference for costs. Without the SDK there is none."""

    def __init__(self) -> None:
        self._histogram: Any = None
        try:
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        except ModuleNotFoundError:  # the extra `otel`
            return

        provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
        self._histogram = provider.get_meter("radiosonde.bench").create_histogram("duration", "s")
        self._said = {"model.name": "delays", "model.version": "1", "model.variant": "stable"}

    def once_us(self) -> float:
        """Return the mean of some records with three attributes, in microseconds; not a number without the SDK."""
        if self._histogram is None:
            return float("nan")
        began_ns = time.perf_counter_ns()
        for _ in range(RECORDS):
            self._histogram.record(0.003, self._said)
        return (time.perf_counter_ns() - began_ns) / 1000 / RECORDS
