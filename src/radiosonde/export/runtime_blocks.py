"""Runtime health as blocks: of the exporting process, or of the processes that an agent drains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from radiosonde.export.blocks import Block, Distribution, Unit, distribution, scalar, unit
from radiosonde.export.labels import Attributes, LabelPage
from radiosonde.export.snapshot import Snapshot
from radiosonde.model import LATENCY, DurationCounts, RuntimeCounts
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics

POWERS = range(-13, 2)
EDGES_S = tuple(2.0**power for power in POWERS)
"""0.12 ms to 2 s, doubling: all are bounds of `LATENCY`, so that no count is split."""
_ENDS = [(power << LATENCY.scale) - LATENCY.offset for power in POWERS]


def runtime_blocks(snapshot: Snapshot, page: LabelPage) -> Iterator[Block]:
    """Yield the blocks of the process; none where its health is not counted."""
    if snapshot.runtime is not None:
        yield from _blocks(snapshot.runtime, page, ())


def runtime_units(snapshot: Snapshot, page: LabelPage) -> list[Unit]:
    """Return the blocks of each process of an agent, distinguished by its identity; the first are cut last."""
    return [
        unit((rank,), _blocks(runtime, page, ((names.PROCESS, process),)))
        for rank, (process, runtime) in enumerate(snapshot.runtimes.items())
    ]


def _blocks(runtime: RuntimeCounts, page: LabelPage, of: Attributes) -> Iterator[Block]:
    yield scalar(page, metrics.RUNTIME_CPU_TIME, runtime.cpu_s, of)
    yield scalar(page, metrics.RUNTIME_CPU_PERIODS, runtime.periods, of)
    yield scalar(page, metrics.RUNTIME_CPU_THROTTLED_PERIODS, runtime.throttled_periods, of)
    yield scalar(page, metrics.RUNTIME_CPU_THROTTLED_TIME, runtime.throttled_s, of)
    yield scalar(page, metrics.RUNTIME_MEMORY, runtime.rss_bytes, of)
    if runtime.gpu_bytes:
        yield scalar(page, metrics.RUNTIME_GPU_MEMORY, runtime.gpu_bytes, of)
    yield _durations(page, metrics.RUNTIME_GC_PAUSE, runtime.gc_pauses, of)
    for name, table in ((metrics.RUNTIME_LOOP_LAG, runtime.loop_lags), (metrics.RUNTIME_POOL_WAIT, runtime.pool_waits)):
        if table.counts.any():
            yield _durations(page, name, table, of)


def _durations(page: LabelPage, name: str, table: DurationCounts, of: Attributes) -> Distribution:
    counts = np.add.reduceat(table.counts, [0, *_ENDS]).tolist()
    return replace(distribution(page, name, of, EDGES_S, counts, total=table.sum_s), native=table.counts)
