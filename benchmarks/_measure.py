"""How things are measured: in turns with what they are compared with, so that a noisy neighbour hits both.

An *arm* is a function that runs one burst and returns seconds per operation. A lap runs every arm once, each lap from
another arm on (A B C, B C A, ...); a round is a few laps and says the median of each arm; what a round says of an arm beside
its yardstick is one sample. A figure is the median over the rounds, its spread the range between the quartiles. The first
round is thrown away.

Times are CPU times of the thread (a caller: it waits for nothing, so that is its wall time without what the neighbours
took) or of the process (a pipeline with its threads); `bench_tail` alone reads the wall clock (and `bench_budget` divides by it). The
garbage collector stays on, as it does in a server.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.workloads import ATTRIBUTES, BURST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        id: permanent; the key in ``budgets.toml``.
        what: name of the figure.
        rounds: what each round says, in *unit*.
        unit: of the figure: ``x Histogram.record``, ``ms``, ``KiB``, ...
        absolute: the same in absolute terms, for people.
        raw: the distributions behind it, for ``results/<id>.json``.
        doubt: reason for an inconclusive run; empty otherwise.
    """

    id: str
    what: str
    rounds: Sequence[float]
    unit: str = "x Histogram.record"
    absolute: str = ""
    raw: Mapping[str, Sequence[float]] = field(default_factory=dict)
    doubt: str = ""

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return float(np.median(self.rounds))

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles of the rounds."""
        low, high = np.quantile(self.rounds, [0.25, 0.75])
        return float(low), float(high)


first_seed = 0
"""The first seed of simulations; set by ``--first-seed``, for draws that nothing was developed with."""


def seeds(count: int) -> range:
    """Return the seeds of *count* draws."""
    return range(first_seed, first_seed + count)


def interleave(arms: Mapping[str, Callable[[], float]], rounds: int, *, laps: int = 5) -> dict[str, list[float]]:
    """Run the arms in turns; return what each said, round by round."""
    order = list(arms)
    samples: dict[str, list[float]] = {name: [] for name in order}
    for number in range(rounds + 1):
        gc.collect()  # what one round left behind is not the next one's to clean up
        said: dict[str, list[float]] = {name: [] for name in order}
        for lap in range(laps):
            turn = lap % len(order)
            for name in order[turn:] + order[:turn]:
                said[name].append(arms[name]())
        if number:
            for name in order:
                samples[name].append(float(np.median(said[name])))
    return samples


def over(samples: Mapping[str, Sequence[float]], arm: str, bare: str, yardstick: str) -> list[float]:
    """Return (arm - bare) / yardstick, round by round."""
    return [
        (observed - without) / unit
        for observed, without, unit in zip(samples[arm], samples[bare], samples[yardstick], strict=True)
    ]


def per_call_s(function: Callable[[Any], object], arguments: Sequence[Any]) -> float:
    """Return the thread's CPU time of a call in seconds, over one burst."""
    began_ns = time.thread_time_ns()
    for argument in arguments:
        function(argument)
    return (time.thread_time_ns() - began_ns) / 1e9 / len(arguments)


def histogram() -> Callable[[float, dict[str, str]], None]:
    """Return `record` of a histogram of a plain OpenTelemetry SDK: default buckets, default exemplars, one reader."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    instrument = provider.get_meter("yardstick").create_histogram("prediction.duration", "s")
    record: Callable[[float, dict[str, str]], None] = instrument.record
    record.__self__.provider = provider  # type: ignore[attr-defined]  # the provider must outlive its instrument
    return record


def yardstick() -> Callable[[], float]:
    """Return the arm of the yardstick: CPU seconds of one `Histogram.record` with three attributes."""
    record = histogram()

    def arm() -> float:
        began_ns = time.thread_time_ns()
        for _ in range(BURST // 2):
            record(0.01, ATTRIBUTES)
        return (time.thread_time_ns() - began_ns) / 1e9 / (BURST // 2)

    return arm


def microseconds(seconds: Sequence[float]) -> str:
    """Return the median in microseconds, for people."""
    return f"{1e6 * float(np.median(seconds)):.2f} us"
