"""Simulated traffic of a served model, minute by minute: calls and failures per series, as tables and as windows.

A *world* is healthy and says by how much its failure rate wanders, clusters or differs; a *fault* is planted into it. All draws are
seeded by the caller. Nothing here knows how diagnosis works.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from radiosonde.diagnose.measures import MeasureTable
from radiosonde.model import LATENCY, LatencyCounts, OutputCounts, SeriesKey, Window, cohort_text, parse_cohort

MINUTE_NS, DAY = 60_000_000_000, 1440
START_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
Table = NDArray[np.float64]


def series(versions: int = 2, **dimensions: int) -> list[SeriesKey]:
    """Return the series of *versions* versions and every combination of the given numbers of values, in order."""
    combined: list[dict[str, str]] = [{}]
    for name, count in dimensions.items():
        combined = [{**cell, name: f"{name[0]}{value}"} for cell in combined for value in range(count)]
    arms = [(f"v{number + 1}", "canary" if number else "stable") for number in range(versions)]
    return sorted(SeriesKey("m", version, variant, cohort_text(cell)) for version, variant in arms for cell in combined)


@dataclass
class Traffic:
    """Calls and failures per series and minute.

    Attributes:
        keys: the series.
        calls: shape (series, minutes).
        failures: same shape.
        error_types: failures by type; all others are ``ValueError``.
    """

    keys: list[SeriesKey]
    calls: Table
    failures: Table
    error_types: dict[str, Table] = field(default_factory=dict)

    def table(self, last: int | None = None) -> MeasureTable:
        """Return the measures of the minutes before *last*, as `make_table` lays out the windows of `windows`."""
        made, failed = self.calls[:, :last], self.failures[:, :last]
        used = np.flatnonzero(made.sum(axis=0) > 0)
        types = dict(self.error_types)
        types["ValueError"] = self.failures - sum(self.error_types.values(), np.zeros_like(self.failures))
        cells = {}
        for name, counted in sorted(types.items()):
            row, at = np.nonzero(counted[:, used])
            if row.size:
                cells[name] = np.stack([row, at, counted[:, used][row, at]], axis=1).astype(np.int64)
        starts = START_NS + used * MINUTE_NS
        return MeasureTable("m", tuple(self.keys), starts, starts + MINUTE_NS, made[:, used], failed[:, used], cells)

    def windows(self, first: int = 0, last: int | None = None) -> list[Window]:
        """Return the windows of the minutes from *first* to *last*; series without calls have none."""
        made = []
        for minute in range(first, self.calls.shape[1] if last is None else last):
            for row, key in enumerate(self.keys):
                if self.calls[row, minute]:
                    made.append(self._window(key, row, minute))
        return made

    def _window(self, key: SeriesKey, row: int, minute: int) -> Window:
        calls, failed = int(self.calls[row, minute]), int(self.failures[row, minute])
        errors = {name: int(table[row, minute]) for name, table in self.error_types.items() if table[row, minute]}
        rest = failed - sum(errors.values())
        if rest:
            errors["ValueError"] = rest
        counts, sums = np.zeros(LATENCY.size, np.int64), np.zeros(LATENCY.size)
        counts[100], sums[100] = calls, 0.005 * calls
        edges = np.array([calls, 0])
        start_ns = START_NS + minute * MINUTE_NS
        empty = np.empty(0)
        output = OutputCounts((), np.empty(0, np.int64), np.zeros((0, 20), np.int64), np.zeros((0, 20)), empty, np.empty(0, np.int64))  # fmt: skip
        latency = LatencyCounts(counts, sums, (), np.zeros((0, LATENCY.size)), (0.01,), edges)
        return Window(
            key,
            start_ns,
            start_ns + MINUTE_NS,
            "p1",
            calls,
            calls - failed,
            errors,
            np.zeros(21, np.int64),
            latency,
            output,
        )


def calls(
    rng: np.random.Generator, minutes: int, keys: list[SeriesKey], per_minute: float, *, swing: float = 0.8
) -> Table:
    """Return Poisson calls with a daily swing, spread unevenly over the series."""
    day = 1 + swing * np.sin(2 * np.pi * np.arange(minutes) / DAY)
    share = rng.dirichlet(np.full(len(keys), 3.0))
    return rng.poisson(per_minute * day[None] * share[:, None]).astype(np.float64)


def failing(rng: np.random.Generator, made: Table, rate: Table | float) -> Table:
    """Return binomial failures of *made* calls."""
    rates = np.broadcast_to(np.clip(rate, 0, 1), made.shape)
    return rng.binomial(made.astype(np.int64), rates).astype(np.float64)


World = Callable[[np.random.Generator, Table], Table]


def wander(rng: np.random.Generator, minutes: int, deviation: float, minutes_of_memory: float) -> Table:
    """Return a first-order autoregressive series of mean 0."""
    keep = float(np.exp(-1 / minutes_of_memory))
    steps = rng.normal(size=minutes) * deviation * np.sqrt(1 - keep * keep)
    level, made = rng.normal() * deviation, np.empty(minutes)
    for minute, step in enumerate(steps):
        level = keep * level + step
        made[minute] = level
    return made


def steady(rng: np.random.Generator, made: Table) -> Table:
    """One rate for all and always."""
    return failing(rng, made, rng.choice([1e-4, 1e-3, 1e-2]))


def rare(rng: np.random.Generator, made: Table) -> Table:
    """One call in a hundred thousand fails."""
    return failing(rng, made, 1e-5)


def daily(rng: np.random.Generator, made: Table) -> Table:
    """Three times as many fail at the worst hour as at the best."""
    return failing(rng, made, 0.004 * (1 + 0.5 * np.sin(2 * np.pi * np.arange(made.shape[1]) / DAY + 6 * rng.random())))


def uneven(rng: np.random.Generator, made: Table) -> Table:
    """Each minute has a rate of its own."""
    return failing(rng, made, rng.gamma(2, 0.0015, made.shape[1]))


def wandering(rng: np.random.Generator, made: Table) -> Table:
    """The rate wanders with a memory of half an hour."""
    return failing(rng, made, 0.003 * np.exp(wander(rng, made.shape[1], 0.4, 30)))


def drifting(rng: np.random.Generator, made: Table) -> Table:
    """The rate wanders with a memory of ten hours."""
    return failing(rng, made, 0.003 * np.exp(wander(rng, made.shape[1], 0.3, 600)))


def retried(rng: np.random.Generator, made: Table) -> Table:
    """What fails is tried three times."""
    return np.minimum(3 * failing(rng, made, 1e-4), made)


def clustered(rng: np.random.Generator, made: Table) -> Table:
    """Twenty times a day one caller sends a handful of bad requests."""
    failed = failing(rng, made, 5e-4)
    count = rng.poisson(made.shape[1] / DAY * 20)
    at = rng.integers(0, made.shape[0], count), rng.integers(0, made.shape[1], count)
    np.add.at(failed, at, rng.geometric(0.25, count))
    return np.minimum(failed, made)


def bursting(rng: np.random.Generator, made: Table) -> Table:
    """Three times a day up to one call in a hundred fails for up to three minutes."""
    rate = np.full(made.shape[1], 0.001)
    for _ in range(rng.poisson(made.shape[1] / DAY * 3)):
        start = rng.integers(0, made.shape[1])
        rate[start : start + rng.integers(1, 4)] += rng.uniform(0.002, 0.01)
    return failing(rng, made, rate)


def unlike(rng: np.random.Generator, made: Table) -> Table:
    """Every series has a rate of its own, from 0.01 to 2 %; versions serve a cohort alike."""
    half = made.shape[0] // 2
    return failing(rng, made, np.tile(10 ** rng.uniform(-4, -1.7, half), 2)[:, None])


WORLDS: dict[str, World] = {
    world.__name__: world
    for world in (steady, rare, daily, uneven, wandering, drifting, retried, clustered, bursting, unlike)
}


def is_member(key: SeriesKey, version: str, cohort: str) -> bool:
    """Return whether *key* is of *version* (``""``: any) and has every dimension of *cohort*."""
    return version in ("", key.version) and parse_cohort(cohort).items() <= parse_cohort(key.cohort).items()


def plant(
    rng: np.random.Generator, traffic: Traffic, rate: float, start: int, end: int | None = None, *, version: str = "", cohort: str = ""
) -> Traffic:  # fmt: skip
    """Let *rate* of the calls at a place fail from minute *start* to *end*, with a ``TimeoutError``, beside those that fail anyhow."""
    rows = np.array([is_member(key, version, cohort) for key in traffic.keys])
    added = np.zeros_like(traffic.calls)
    inside = np.ix_(rows, np.arange(start, traffic.calls.shape[1] if end is None else end))
    added[inside] = rng.binomial((traffic.calls - traffic.failures)[inside].astype(np.int64), rate)
    return Traffic(traffic.keys, traffic.calls, traffic.failures + added, {"TimeoutError": added})
