"""Cost of sampling the health of the process: a share of one core, added up from its parts.

Beside a server the whole would drown in the noise, so each part is timed by itself and multiplied by how often it happens: one
sample and four beats of an asyncio loop a second, and a hundred runs of the garbage collector, which is a busy server.

Behind an agent a worker also leaves its totals in the spool once a second: ``runtime-agent-cpu``.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks._measure import Figure
from radiosonde._health.health import BEAT_EVERY_S, HealthSampler
from radiosonde._ring.process_pages import HEALTH, HealthReading, ProcessPage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COLLECTIONS_PER_S = 100
CALLS = 500


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the share of a core in percent."""
    health = HealthSampler(60.0, "bench")
    health.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            page = ProcessPage(Path(folder, "bench.health"), HEALTH)
            costs = [asyncio.run(_round(health)) for _ in range(rounds + 1)][1:]
            left_s = [_per_call_s(lambda: page.write(HealthReading(1, health.total))) for _ in range(rounds + 1)][1:]
            page.close()
    finally:
        health.stop()
    shares = [
        100 * (sample_s + beat_s / BEAT_EVERY_S + collection_s * COLLECTIONS_PER_S)
        for sample_s, beat_s, collection_s in costs
    ]
    sample_s, beat_s, collection_s = (sorted(column)[rounds // 2] for column in zip(*costs, strict=True))
    yield Figure(
        "runtime-cpu", "health of the process, share of a core", shares, unit="%",
        absolute=f"{1e6 * sample_s:.0f} us a sample, {1e6 * beat_s:.1f} us a beat, {1e6 * collection_s:.1f} us a collection",
    )  # fmt: skip
    yield Figure(
        "runtime-agent-cpu", "the same behind an agent", [share + 100 * s for share, s in zip(shares, left_s, strict=True)],
        unit="%", absolute=f"{1e6 * sorted(left_s)[rounds // 2]:.0f} us to leave the totals",
    )  # fmt: skip


async def _round(health: HealthSampler) -> tuple[float, float, float]:
    """Return CPU seconds of one sample, one beat and one collection's callbacks."""
    loop = weakref.ref(asyncio.get_running_loop())

    def sample() -> None:
        health._sampled_ns = 0  # a second has passed
        health.sample()

    def collect() -> None:
        health._on_collection("start", {})
        health._on_collection("stop", {})

    return _per_call_s(sample), _per_call_s(lambda: health._beat(loop, time.perf_counter_ns())), _per_call_s(collect)


def _per_call_s(function: Callable[[], object]) -> float:
    began_ns = time.thread_time_ns()
    for _ in range(CALLS):
        function()
    return (time.thread_time_ns() - began_ns) / 1e9 / CALLS
