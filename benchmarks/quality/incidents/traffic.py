"""Simulated traffic whose volume lives: worlds with seasons, bursts and deploys, and what can happen to them.

A world gives the expected calls of each minute and whether the store was written then. Real arrivals are rougher than Poisson: every world has a
gamma-distributed factor per minute and one with a memory of half an hour. All draws are seeded by the caller.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.incidents.service import DAY, MINUTE_NS, START_NS, wander
from radiosonde.diagnose.traffic_series import TrafficGrid
from radiosonde.model import SeriesKey

Table = NDArray[np.float64]


class Volume(NamedTuple):
    """Expected calls per minute, and in which minutes anything was written; both of shape (minutes,)."""

    mean: Table
    written: NDArray[np.bool_]


def _day(minutes: int) -> Table:
    return np.arange(minutes) / DAY


def _always(mean: Table) -> Volume:
    return Volume(mean, np.ones(mean.size, dtype=bool))


def season(_: np.random.Generator, minutes: int, rate: float) -> Volume:
    """Twice as much by day as by night."""
    return _always(rate * (1 + 0.35 * np.sin(2 * np.pi * _day(minutes))))


def lull(rng: np.random.Generator, minutes: int, rate: float) -> Volume:
    """At night a tenth of the calls of the day."""
    return _always(rate * np.exp(1.15 * np.sin(2 * np.pi * (_day(minutes) + rng.random())) - 0.3))


def weekend(rng: np.random.Generator, minutes: int, rate: float) -> Volume:
    """On two of seven days half the calls, from midnight to midnight."""
    volume = season(rng, minutes, rate)
    return _always(volume.mean * np.where(_day(minutes) // 1 % 7 >= 5, 0.5, 1.0))


def office(_: np.random.Generator, minutes: int, rate: float) -> Volume:
    """Three times the calls from 8 to 18 h on working days; both edges take an hour."""
    hour = _day(minutes) % 1 * 24
    open_ = np.clip(hour - 7.5, 0, 1) * np.clip(18.5 - hour, 0, 1) * (_day(minutes) // 1 % 7 < 5)
    return _always(rate * (1 + 2 * open_) / 2)


def bursts(rng: np.random.Generator, minutes: int, rate: float) -> Volume:
    """Three times a day two to five times the calls for one to nine minutes."""
    factor = np.ones(minutes)
    for _ in range(rng.poisson(3 * minutes / DAY)):
        start = int(rng.integers(minutes))
        factor[start : start + int(rng.integers(1, 10))] *= rng.uniform(2, 5)
    return _always(season(rng, minutes, rate).mean * factor)


def batches(rng: np.random.Generator, minutes: int, rate: float) -> Volume:
    """At about two at night a job calls four times as often for half an hour."""
    mean = season(rng, minutes, rate).mean
    for day in range(minutes // DAY + 1):
        start = day * DAY + 120 + int(rng.integers(-5, 6))
        mean[max(start, 0) : max(start, 0) + int(rng.integers(25, 36))] += 3 * rate
    return _always(mean)


def growth(rng: np.random.Generator, minutes: int, rate: float) -> Volume:
    """A tenth more every day."""
    return _always(lull(rng, minutes, rate).mean * 1.1 ** _day(minutes))


def deploys(rng: np.random.Generator, minutes: int, rate: float) -> Volume:
    """Twice a day one to three minutes without a call, in half of them because nothing lives; the first minute after is fuller."""
    volume = season(rng, minutes, rate)
    for start in rng.integers(0, minutes, rng.poisson(2 * minutes / DAY)):
        length = int(rng.integers(1, 4)) if rng.random() < 0.5 else 2
        stop = int(start) + length
        volume.mean[start:stop] = 0
        volume.mean[stop : stop + 1] *= 1.5
        volume.written[start:stop] = length == 2
    return volume


def holiday(rng: np.random.Generator, minutes: int, rate: float) -> Volume:
    """One day in the middle with two fifths of the calls; it comes and goes within two hours."""
    day = _day(minutes)
    middle = float(minutes // DAY // 2)
    depth = np.clip((day - middle) * 12, 0, 1) * np.clip((middle + 1 - day) * 12, 0, 1)
    return _always(lull(rng, minutes, rate).mean * (1 - 0.6 * depth))


WORLDS = {world.__name__: world for world in (season, lull, weekend, office, bursts, batches, growth, deploys, holiday)}


def make_volume_grid(
    rng: np.random.Generator, volume: Volume, keys: list[SeriesKey], *, rough: float = 0.1, factors: Table | None = None
) -> TrafficGrid:
    """Return the calls of *volume*, divided over *keys*, as the grid that the windows of it give.

    Args:
        rng: source of the draws.
        volume: what is expected.
        keys: the series; some have ten times the calls of others.
        rough: deviation of the factor of each minute, and of the one that has a memory.
        factors: of each series and minute, shape (keys, minutes); what is planted.
    """
    minutes = volume.mean.size
    share = rng.dirichlet(np.full(len(keys), 2.0)) if len(keys) > 1 else np.ones(1)
    common = rng.gamma(1 / rough**2, rough**2, minutes) * np.exp(wander(rng, minutes, rough, 30))
    mean = volume.mean * common * share[:, None] * (1.0 if factors is None else factors)
    calls = rng.poisson(mean).astype(np.float64)
    calls[:, ~volume.written] = 0
    return TrafficGrid(
        START_NS, MINUTE_NS, tuple(keys), calls, volume.written.copy(), np.zeros(minutes), 0.01 * calls.sum(axis=0)
    )


def in_longer_steps(grid: TrafficGrid, steps: int) -> TrafficGrid:
    """Return *grid* with *steps* steps in one, as longer windows would count them."""
    size = grid.known.size // steps * steps

    def summed(table: Table) -> Table:
        return np.asarray(table[..., :size].reshape(*table.shape[:-1], -1, steps).sum(axis=-1), dtype=np.float64)

    known = grid.known[:size].reshape(-1, steps).any(axis=1)
    return TrafficGrid(
        grid.start_ns, grid.step_ns * steps, grid.keys, summed(grid.calls), known, summed(grid.failures), summed(grid.seconds)
    )  # fmt: skip
