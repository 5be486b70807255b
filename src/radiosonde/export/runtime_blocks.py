"""The health of the process as blocks; no bound cuts them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from radiosonde.export.blocks import Block, Distribution, distribution, scalar
from radiosonde.export.labels import LabelPage
from radiosonde.export.snapshot import Snapshot
from radiosonde.model import LATENCY, DurationCounts
from radiosonde.semconv import metrics

POWERS = range(-13, 2)
EDGES_S = tuple(2.0**power for power in POWERS)
"""0.12 ms to 2 s, doubling: all are bounds of `LATENCY`, so that no count is split."""
_ENDS = [(power << LATENCY.scale) - LATENCY.offset for power in POWERS]


def runtime_blocks(snapshot: Snapshot, page: LabelPage) -> Iterator[Block]:
    """Yield the blocks of the process; none where its health is not counted."""
    runtime = snapshot.runtime
    if runtime is None:
        return
    yield scalar(page, metrics.RUNTIME_CPU_TIME, runtime.cpu_s)
    yield scalar(page, metrics.RUNTIME_CPU_PERIODS, runtime.periods)
    yield scalar(page, metrics.RUNTIME_CPU_THROTTLED_PERIODS, runtime.throttled_periods)
    yield scalar(page, metrics.RUNTIME_CPU_THROTTLED_TIME, runtime.throttled_s)
    yield scalar(page, metrics.RUNTIME_MEMORY, runtime.rss_bytes)
    if runtime.gpu_bytes:
        yield scalar(page, metrics.RUNTIME_GPU_MEMORY, runtime.gpu_bytes)
    yield _durations(page, metrics.RUNTIME_GC_PAUSE, runtime.gc_pauses)
    for name, table in ((metrics.RUNTIME_LOOP_LAG, runtime.loop_lags), (metrics.RUNTIME_POOL_WAIT, runtime.pool_waits)):
        if table.counts.any():
            yield _durations(page, name, table)


def _durations(page: LabelPage, name: str, table: DurationCounts) -> Distribution:
    counts = np.add.reduceat(table.counts, [0, *_ENDS]).tolist()
    return distribution(page, name, (), EDGES_S, counts, total=table.sum_s)
