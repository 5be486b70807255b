"""Memory: the ring, and resident memory per feature and series while windows are open and full.

Resident set of this process, because sketches live outside Python's allocator. One series is one cohort of one model; each
gets enough rows to fill its sketches. Measured in a process of its own, the imports and the ring paid before.
"""

from __future__ import annotations

import gc
import resource
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks._measure import Figure
from benchmarks.workloads import BURST, FEATURES, arrays, model, reference
from radiosonde._join.memory import CAPACITY
from radiosonde.testing import fly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radiosonde.testing import Flight

SERIES = 100
ROWS = 4000
"""Rows per series: a KLL sketch of k = 200 is near its final size, the others are full after 1 024."""


def measure(rounds: int) -> Iterator[Figure]:  # noqa: ARG001 - memory does not vary from round to round
    """Yield KiB per feature and series, and MiB of the ring."""
    cohorts = {"unit": [str(number) for number in range(SERIES + 1)]}
    with fly(references={}, cohorts=cohorts, window_s=3600, max_series=SERIES + 10) as flight:
        pipeline = flight.pipeline()
        pipeline._consumer.stop(5.0)
        predict = flight.observe("delays", reference=reference())(model())
        for _ in range(
            CAPACITY // ROWS + 1
        ):  # the ring and the predictions that wait for labels are at their full size now
            _fill(flight, predict, SERIES)
        before = _resident_kib()
        for series in range(SERIES):
            _fill(flight, predict, series)
        gc.collect()
        grown = _resident_kib() - before
        (consumer,) = pipeline._ring_consumers
        ring_mib = len(consumer.writer.ring.memory) / 2**20
        if (series := flight.statistics().series) != SERIES + 1:
            raise RuntimeError(f"{SERIES + 1} series expected, {series} found")
        flight.windows()
        exported = _resident_kib() - before
    yield Figure("memory-ring", "ring of one model, 30 features", [ring_mib], unit="MiB")
    yield Figure(
        "memory-series", f"per feature and series, open window of {ROWS} rows", [grown / SERIES / FEATURES], unit="KiB",
        absolute=f"{grown / 1024:.1f} MiB for {SERIES} series of {FEATURES}; {exported / 1024:.1f} MiB after a scrape",
    )  # fmt: skip


def _fill(flight: Flight, predict: object, series: int) -> None:
    for _ in range(ROWS // BURST):
        with flight.cohort(unit=series):
            for row in arrays():
                predict(row)  # type: ignore[operator]
        flight.pipeline().take_turn()


def _resident_kib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024
