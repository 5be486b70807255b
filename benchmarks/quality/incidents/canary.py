"""Simulated rollouts: a new version beside an old one, minute by minute, healthy or with one thing wrong with the new one.

A *world* is healthy and says what happens to both versions alike: bad hours, cohorts that differ, a share that is ramped up, requests that are
retried, failures that come in clusters. A fault is planted into the new version alone. All draws are seeded by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.incidents.latency import table_of
from benchmarks.quality.incidents.service import DAY, MINUTE_NS, START_NS, wander
from radiosonde.model import LATENCY, LabelCounts, LatencyCounts, OutputCounts, SeriesKey, Window

if TYPE_CHECKING:
    from collections.abc import Callable

Table = NDArray[np.float64]

OLD, NEW = ("v1", "stable"), ("v2", "canary")
_BOUNDS_S = LATENCY.upper_bounds_s()


@dataclass(frozen=True)
class World:
    """Properties shared by both versions.

    Attributes:
        calls: expected calls, shape (cohorts, minutes).
        share: share of the new version, shape (minutes,).
        failing: failure rate, shape (cohorts, minutes).
        cluster: how many calls fail at once.
        median_s: median duration, shape (minutes,).
    """

    calls: Table
    share: Table
    failing: Table
    cluster: int = 1
    median_s: Table = field(default_factory=lambda: np.empty(0))


def _flat(rng: np.random.Generator, cohorts: int, minutes: int) -> World:
    weights = rng.dirichlet(np.full(cohorts, 3.0))
    calls = float(rng.choice([200, 600, 2000])) * np.repeat(weights[:, None], minutes, axis=1)
    rate = float(rng.choice([0.001, 0.01, 0.05]))
    return World(calls, np.full(minutes, 0.1), np.full((cohorts, minutes), rate), 1, np.full(minutes, 0.01))


def steady(rng: np.random.Generator, cohorts: int, minutes: int) -> World:
    """One rate for all and always."""
    return _flat(rng, cohorts, minutes)


def bad_hours(rng: np.random.Generator, cohorts: int, minutes: int) -> World:
    """Three times both versions fail on a third of the calls of some cohorts for a quarter of an hour, and take twice as long."""
    world = _flat(rng, cohorts, minutes)
    failing, median = world.failing.copy(), world.median_s.copy()
    for start in rng.integers(0, minutes, 3):
        failing[rng.random(cohorts) < 0.5, start : start + 15] += 0.3
        median[start : start + 15] *= 2
    return replace(world, failing=failing, median_s=median)


def unlike(rng: np.random.Generator, cohorts: int, minutes: int) -> World:
    """Every cohort has a rate of its own, from 0.01 to 30 %."""
    world = _flat(rng, cohorts, minutes)
    return replace(world, failing=np.repeat(10 ** rng.uniform(-4, -0.5, (cohorts, 1)), minutes, axis=1))


def ramped(rng: np.random.Generator, cohorts: int, minutes: int) -> World:
    """The new version gets 1, 5, 25 and 50 % of the calls, each for a quarter of the time."""
    world = _flat(rng, cohorts, minutes)
    steps = np.minimum(np.arange(minutes) * 4 // minutes, 3)
    return replace(world, share=np.array([0.01, 0.05, 0.25, 0.5])[steps])


def retried(rng: np.random.Generator, cohorts: int, minutes: int) -> World:
    """What fails is tried four times, by the same version."""
    world = _flat(rng, cohorts, minutes)
    return replace(world, failing=np.full((cohorts, minutes), 0.004), cluster=4)


def seasonal(rng: np.random.Generator, cohorts: int, minutes: int) -> World:
    """Calls, failures and durations follow the day and wander."""
    world = _flat(rng, cohorts, minutes)
    day = 1 + 0.6 * np.sin(2 * np.pi * np.arange(minutes) / DAY + 6 * rng.random())
    level = np.exp(wander(rng, minutes, 0.3, 60))
    return replace(world, calls=world.calls * day, failing=np.clip(world.failing * level, 0, 1), median_s=0.01 * level)


def slow_hour(
    rng: np.random.Generator, cohorts: int, minutes: int, *, factor: float = 0.0, calls: float = 0.0
) -> World:
    """Both versions are three or eight times as slow for an hour, from minute 30 on."""
    world = _flat(rng, cohorts, minutes)
    median = world.median_s.copy()
    median[30:90] *= factor or float(rng.choice([3, 8]))
    served = world.calls * calls / world.calls[:, 0].sum() if calls else world.calls
    return replace(world, calls=served, median_s=median)


WORLDS: dict[str, Callable[[np.random.Generator, int, int], World]] = {
    world.__name__: world for world in (steady, bad_hours, unlike, ramped, retried, seasonal, slow_hour)
}


def counts(
    rng: np.random.Generator, world: World, *, new_failing: Table | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return failed calls and calls of the new version, and of the old one, shape (cohorts, minutes) each.

    Args:
        rng: source of the draws.
        world: what both have in common.
        new_failing: failure rate of the new version where it differs.
    """
    made = []
    for share, rate in (
        (world.share, world.failing if new_failing is None else new_failing),
        (1 - world.share, world.failing),
    ):
        calls = rng.poisson(world.calls * share)
        failed = rng.binomial(calls, np.clip(rate / world.cluster, 0, 1)) * world.cluster
        made += [np.minimum(failed, calls), calls]
    return made[0], made[1], made[2], made[3]


@dataclass(frozen=True)
class Fault:
    """Fault of the new version from a minute on.

    Attributes:
        failing: added failure rate.
        cohort: index of the cohort it is about; None for all.
        slower: factor of the median duration.
        wrong: added share of wrong answers.
        unsure: how much less sure it is of its answers.
        start: first minute.
    """

    failing: float = 0.0
    cohort: int | None = None
    slower: float = 1.0
    wrong: float = 0.0
    unsure: float = 0.0
    start: int = 0


def windows(rng: np.random.Generator, world: World, fault: Fault | None = None, *, history: int = 60) -> list[Window]:
    """Return the windows of a rollout, with failures, durations, confidences and labels; the old version served *history* minutes before."""
    fault = fault or Fault()
    cohorts, minutes = world.calls.shape
    now = np.arange(minutes) >= fault.start
    affected = np.ones(cohorts, dtype=bool) if fault.cohort is None else np.arange(cohorts) == fault.cohort
    rate = np.clip(world.failing + fault.failing * (affected[:, None] & now), 0, 1)
    failed, calls, old_failed, old_calls = counts(rng, world, new_failing=rate)
    made = []
    for arm, table, bad in ((NEW, calls, failed), (OLD, old_calls, old_failed)):
        for minute in range(minutes):
            for cohort in np.flatnonzero(table[:, minute]).tolist():
                is_hit = arm == NEW and bool(now[minute] and affected[cohort])
                served = int(table[cohort, minute]), int(bad[cohort, minute])
                slow = _table(round(float(world.median_s[minute]) * (fault.slower if is_hit else 1.0), 4))
                answers = (0.1 + fault.wrong, fault.unsure) if is_hit else (0.1, 0.0)
                made.append(_window(rng, (arm, cohort, minute + history), served, slow, answers))
    for minute in range(history):
        for cohort, served in enumerate(rng.poisson(world.calls[:, 0]).tolist()):
            if served:
                missed = min(
                    int(rng.binomial(served, world.failing[cohort, 0] / world.cluster)) * world.cluster, served
                )
                made.append(_window(rng, (OLD, cohort, minute), (served, missed), _table(0.01), (0.1, 0.0)))
    return made


@lru_cache(maxsize=1024)
def _table(median_s: float) -> Table:
    return table_of(median_s)


def _window(
    rng: np.random.Generator, where: tuple[tuple[str, str], int, int], served: tuple[int, int], table: Table, answers: tuple[float, float]
) -> Window:  # fmt: skip
    (arm, cohort, minute), (calls, failed), (wrong, unsure) = where, served, answers
    counted = rng.multinomial(calls, table)
    sums = counted * _BOUNDS_S
    right = calls - failed
    bins = np.bincount(np.minimum((20 * np.clip(rng.beta(6, 2, right) - unsure, 0, 1)).astype(int), 19), minlength=20)
    output = OutputCounts(("yes",), np.array([right]), bins[None], bins[None] * 0.5, np.empty(0), np.empty(0, np.int64))
    labelled = rng.binomial(right, 0.5)
    missed = rng.binomial(labelled, wrong)
    outcomes = {}
    for result, count in (("correct", labelled - missed), ("incorrect", missed)):
        soon = int(rng.binomial(count, 0.6))
        outcomes |= {(result, lag): part for lag, part in (("1h", soon), ("1d", int(count) - soon)) if part}
    labels = LabelCounts(outcomes, np.zeros((20, 3)), (), np.empty(0, np.int64), np.zeros((0, 1), np.int64), ())
    start = START_NS + minute * MINUTE_NS
    latency = LatencyCounts(counted, sums, ("work",), sums[None] * 0.9, (0.01,), np.array([calls, 0]))
    return Window(
        SeriesKey("m", *arm, f"group=g{cohort}"), start, start + MINUTE_NS, "p1", calls, right,
        {"ValueError": failed} if failed else {}, np.zeros(21, np.int64), latency, output, None, labels,
    )  # fmt: skip
