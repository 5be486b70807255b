"""Whole healthy models: traffic, failures, latency and the health of the process, each from a world of its own.

A world of traffic is a family; the worlds of failures and of latency are drawn beside it, so that a round meets each volume with other failures and other
latency. A garbage collection of a tenth of a second now and then, turns of the loop that lag and a machine that breathes are healthy, too. All
draws are seeded by the caller.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.quality.incidents import latency, service, traffic
from benchmarks.quality.incidents.catalogue import durations
from benchmarks.quality.incidents.service import DAY, MINUTE_NS, START_NS, Traffic, series
from radiosonde.model import RUNTIME_KEY, RuntimeCounts

if TYPE_CHECKING:
    from radiosonde.model import Window

FAMILIES = tuple(traffic.WORLDS)


def healthy_week(family: str, seed: int, length: int, days: int = 7) -> list[Window]:
    """Return the windows of a healthy model.

    Args:
        family: the world of its traffic.
        seed: draws the rest.
        length: minutes of a window.
        days: how long it serves.
    """
    rng = np.random.default_rng((seed, FAMILIES.index(family), 89))
    keys, minutes = series(2, region=3), days * DAY
    volume = traffic.WORLDS[family](rng, minutes, float(rng.choice([60, 600, 1500])))
    calls = traffic.make_volume_grid(rng, volume, keys, rough=0.05).calls
    fails = str(rng.choice(sorted(service.WORLDS)))
    failed = service.WORLDS[fails](rng, calls)
    tables = latency.WORLDS[str(rng.choice(sorted(latency.WORLDS)))](rng, minutes)
    made = Traffic(keys, _longer(calls, length), _longer(np.minimum(failed, calls), length))
    windows = latency.timed(rng, made, _longer(tables.T, length).T / length) if made.calls.any() else []
    served = [_moved(window, length) for window in windows]
    return [*served, *_lived(rng, served[0], minutes // length, length)]


def _longer(part: service.Table, length: int) -> service.Table:
    return np.asarray(part.reshape(part.shape[0], -1, length).sum(axis=2), dtype=np.float64)


def _moved(window: Window, length: int) -> Window:
    start_ns = START_NS + (window.start_ns - START_NS) * length
    return replace(window, start_ns=start_ns, end_ns=start_ns + length * MINUTE_NS)


def _lived(rng: np.random.Generator, like: Window, steps: int, length: int) -> list[Window]:
    """Return the health of the process that served."""
    latency_of_none = replace(
        like.latency, counts=like.latency.counts * 0, sums_s=like.latency.sums_s * 0,
        phase_sums_s=like.latency.phase_sums_s * 0, edge_counts=like.latency.edge_counts * 0,
    )  # fmt: skip
    seconds, made = 60.0 * length, []
    busy = np.clip(0.3 * np.exp(service.wander(rng, steps, 0.3, 60 / length)), 0.02, 0.9)
    for step in range(steps):
        counted = RuntimeCounts(
            observed_s=seconds, cpu_s=float(busy[step] * seconds), run_delay_s=float(rng.gamma(2, 0.002) * seconds),
            gc_pauses=durations(rng.choice([0.002, 0.02, 0.1], 20 * length, p=[0.9, 0.099, 0.001]).tolist()),
            loop_lags=durations(rng.choice([0.001, 0.02, 0.2], 100 * length, p=[0.98, 0.0198, 0.0002]).tolist()),
        )  # fmt: skip
        start_ns = START_NS + step * length * MINUTE_NS
        made.append(
            replace(
                like, key=RUNTIME_KEY, start_ns=start_ns, end_ns=start_ns + length * MINUTE_NS, calls=0, rows=0, errors={},
                latency=latency_of_none, runtime=counted,
            )
        )  # fmt: skip
    return made
