"""Latency of simulated traffic: windows whose calls are drawn from log-normal tables, with slow calls planted into them."""

from __future__ import annotations

from dataclasses import replace
from math import erf, log, sqrt

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.incidents.service import DAY, MINUTE_NS, START_NS, Table, Traffic, wander
from radiosonde.model import LATENCY, LatencyCounts, Window

BOUNDS_S = LATENCY.upper_bounds_s()
MEDIAN_S, SPREAD = 0.010, 0.5


def table_of(median_s: float, spread: float = SPREAD) -> NDArray[np.float64]:
    """Return the probability of each latency bucket."""
    below = np.array([0.5 * (1 + erf((log(bound) - log(median_s)) / spread / sqrt(2))) for bound in BOUNDS_S])
    below[-1] = 1.0
    return np.diff(below, prepend=0.0)


def steady(_: np.random.Generator, minutes: int) -> Table:
    """Return the tables of a service that is always the same, shape (minutes, 240)."""
    return np.tile(table_of(MEDIAN_S), (minutes, 1))


def _medians(medians_s: NDArray[np.float64]) -> Table:
    rounded = np.round(medians_s, 4)
    made = {median: table_of(median) for median in np.unique(rounded)}
    return np.stack([made[median] for median in rounded])


def daily(_: np.random.Generator, minutes: int) -> Table:
    """Load makes calls slower by day and faster by night, by a quarter."""
    return _medians(MEDIAN_S * (1 + 0.25 * np.sin(2 * np.pi * np.arange(minutes) / DAY)))


def wandering(rng: np.random.Generator, minutes: int) -> Table:
    """The median wanders by a tenth with a memory of an hour."""
    return _medians(MEDIAN_S * np.exp(wander(rng, minutes, 0.1, 60)))


def stalling(rng: np.random.Generator, minutes: int) -> Table:
    """Once an hour something stops the process for a moment: a twentieth of the calls of one minute takes a second."""
    share = np.where(rng.random(minutes) < 1 / 60, 0.05, 0.0)[:, None]
    return np.asarray((1 - share) * table_of(MEDIAN_S) + share * table_of(1.0, 0.3))


WORLDS = {world.__name__: world for world in (steady, daily, wandering, stalling)}


def slow(tables: Table, share: float, factor: float, start: int, end: int | None = None) -> Table:
    """Return *tables* in which *share* of the calls takes *factor* times as long from minute *start* to *end*."""
    made = tables.copy()
    made[start:end] = (1 - share) * made[start:end] + share * table_of(factor * MEDIAN_S)
    return made


def timed(
    rng: np.random.Generator, traffic: Traffic, tables: Table, others: dict[str, Table] | None = None
) -> list[Window]:
    """Return the windows of *traffic* with the latency of *tables*; of versions in *others* with theirs."""
    first = int(traffic.windows(0, 1)[0].start_ns)
    made = []
    for window in traffic.windows():
        minute = (window.start_ns - first) // 60_000_000_000
        counts = rng.multinomial(window.calls, (others or {}).get(window.key.version, tables)[minute])
        sums = counts * BOUNDS_S
        latency = LatencyCounts(counts, sums, ("work",), sums[None] * 0.9, (0.01,), np.array([window.calls, 0]))
        made.append(replace(window, latency=latency))
    return made


def tiered(rng: np.random.Generator, traffic: Traffic, minutes: int = DAY) -> list[Window]:
    """Return *traffic* as a store keeps it: the last *minutes* by the minute, and what is older by the hour; whole hours, steady latency."""
    made: list[Window] = []
    table, size = table_of(MEDIAN_S), traffic.calls.shape[1]
    old = max(size - minutes, 0)
    for first, last, length in ((0, old, 60), (old, size, 1)):
        summed = [part[:, first:last].reshape(len(traffic.keys), -1, length).sum(axis=2) for part in (traffic.calls, traffic.failures)]  # fmt: skip
        part = Traffic(traffic.keys, *summed)
        for window in part.windows():
            step = (window.start_ns - START_NS) // MINUTE_NS
            start_ns = START_NS + (first + step * length) * MINUTE_NS
            counts = rng.multinomial(window.calls, table)
            sums = counts * BOUNDS_S
            edges = np.array([window.calls, 0])
            latency = LatencyCounts(counts, sums, ("work",), sums[None] * 0.9, (0.01,), edges)
            made.append(replace(window, latency=latency, start_ns=start_ns, end_ns=start_ns + length * MINUTE_NS))
    return made
