"""Healthy models as Prometheus sees them, for the false pages of the alerts that ship: series of counts, sample by sample.

Failures and latency are the worlds of `benchmarks.quality.incidents`, at three loads; each model has the objective that it keeps with a factor of two
to spare, so that a rule has something to mistake. Lives are models whose processes come and go. Features are those of the flight year. A world is summed over
what the paging rules sum over anyway (cohorts, body cells); nothing here knows a rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks.quality import flight_windows
from benchmarks.quality.incidents import latency as latencies
from benchmarks.quality.incidents.service import DAY, WORLDS, calls, series
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOADS = (2.0, 30.0, 1500.0)
"""Calls a minute."""
FIRST_DAY, LAST_DAY = 59, 365
"""Of the flight year: what comes after the two months of the reference."""
SLOW_S = 0.05
"""Objective of the 99th percentile in worlds of latency, whose own is 32 ms."""


class Counted(NamedTuple):
    """One series.

    Attributes:
        metric: dotted name.
        labels: by attribute, and ``le``.
        values: at each step; NaN where there is no sample.
        part: of a histogram.
    """

    metric: str
    labels: dict[str, str]
    values: NDArray[np.float64]
    part: str = ""


class World(NamedTuple):
    """A healthy model.

    Attributes:
        name: of the world.
        model: its name.
        failures: objective: share of calls that may fail.
        series: what it exports.
    """

    name: str
    model: str
    failures: float
    series: list[Counted]


def failing_worlds(minutes: int, seed: int) -> Iterator[World]:
    """Yield every world of failures at every load, a step a minute."""
    for name, world in WORLDS.items():
        for load in LOADS:
            rng = np.random.default_rng((seed, int(load), 7))
            made = calls(rng, minutes, series(2, region=4), load)
            failed = world(rng, made)
            budget = float(f"{2 * max(failed.sum() / made.sum(), 1e-4):.2g}")
            model = f"{name}-{load:g}-{seed}"
            yield World(name, model, budget, _traffic(model, made.sum(axis=0), failed.sum(axis=0)))


def slow_worlds(minutes: int, seed: int) -> Iterator[World]:
    """Yield every world of latency at every load, a step a minute."""
    for name, world in latencies.WORLDS.items():
        for load in LOADS:
            rng = np.random.default_rng((seed, int(load), 8))
            made = calls(rng, minutes, series(1), load).sum(axis=0)
            slow = world(rng, minutes)[:, latencies.BOUNDS_S > SLOW_S].sum(axis=1)
            quick = made - rng.binomial(made.astype(np.int64), np.clip(slow, 0, 1))
            model = f"slow-{name}-{load:g}-{seed}"
            told = _labels(model)
            yield World(
                f"slow {name}", model, 0.01,
                [
                    *_traffic(model, made, np.zeros(minutes)),
                    Counted(metrics.PREDICTION_DURATION, told, made.cumsum(), "count"),
                    Counted(metrics.PREDICTION_DURATION, {**told, "le": repr(SLOW_S)}, quick.cumsum(), "bucket"),
                ],
            )  # fmt: skip


def lives(minutes: int, seed: int) -> Iterator[World]:
    """Yield models whose processes come and go, a step a minute: when each is there."""
    rng = np.random.default_rng((seed, 9))
    minute = np.arange(minutes)
    hour = minute % DAY / 60
    deployed = np.ones(minutes, dtype=bool)
    for day in range(minutes // DAY):
        for start in day * DAY + rng.integers(0, DAY - 10, 3):
            deployed[start : start + 4] = False
    scaled, at = np.zeros(minutes, dtype=bool), 0
    while at < minutes:
        up, down = rng.integers(5, 120), rng.integers(15, 240)
        scaled[at : at + up] = True
        at += up + down
    there = {
        "deployed three times a day": deployed,
        "a job of forty minutes a night": (hour >= 2) & (hour < 2.67),
        "a job of five minutes an hour": minute % 60 < 5,
        "in office hours": (hour >= 8) & (hour < 18) & (minute // DAY % 7 < 5),
        "scaled to nothing when idle": scaled,
    }
    for number, (name, present) in enumerate(there.items()):
        model = f"life-{number}-{seed}"
        told = {names.MODEL_NAME: model, names.MODEL_VERSION: "1", names.VARIANT: "stable"}
        yield World(name, model, 0.01, [Counted(metrics.MODEL_INFO, told, np.where(present, 1.0, np.nan))])


def flown(steps_an_hour: int) -> Iterator[World]:
    """Yield both versions of the flight year, features by body, missing and unseen; the counts of an hour are spread evenly over it."""
    profile = flight_windows.reference(0, FIRST_DAY)
    days = LAST_DAY - FIRST_DAY
    made = flight_windows.windows(FIRST_DAY, days, profile=profile, cohorts=False, sketches=False)
    first_ns = flight_windows.YEAR_START_NS + FIRST_DAY * 24 * flight_windows.HOUR_NS
    for version in ("v1", "v2"):
        mine = [window for window in made if window.key.version == version]
        model = f"flights-{version}"
        rows = []
        for place, feature in enumerate(profile.features):
            hours = np.zeros((days * 24, 3))
            for window in mine:
                cells = window.features.cells[place]
                null, unseen = cells[flight_windows.BODY + 2], cells[flight_windows.BODY + 3]
                hours[(window.start_ns - first_ns) // flight_windows.HOUR_NS] = (
                    cells.sum() - null - unseen,
                    null,
                    unseen,
                )
            steps = np.repeat(hours / steps_an_hour, steps_an_hour, axis=0).cumsum(axis=0)
            null, unseen = feature.p0[-2:]
            shares = (1 - null - unseen, null, unseen)
            told = {
                names.MODEL_NAME: model, names.MODEL_VERSION: version,
                names.REFERENCE_ID: "r", names.FEATURE_NAME: feature.name,
            }  # fmt: skip
            for kind, cell in enumerate(("00", "null", "unseen")):
                at = {**told, names.FEATURE_CELL: cell}
                rows.append(Counted(metrics.FEATURE_CELL, at, np.round(steps[:, kind], 3)))
                rows.append(Counted(metrics.FEATURE_REFERENCE_RATIO, at, np.full(len(steps), shares[kind])))
        yield World("the flight year", model, 0.01, rows)


def _labels(model: str) -> dict[str, str]:
    return {
        names.MODEL_NAME: model, names.MODEL_VERSION: "1", names.VARIANT: "stable",
        names.COHORT: "", names.MODEL_KIND: "model",
    }  # fmt: skip


def _traffic(model: str, made: NDArray[np.float64], failed: NDArray[np.float64]) -> list[Counted]:
    told = _labels(model)
    return [
        Counted(metrics.PREDICTION_CALLS, told, made.cumsum()),
        Counted(metrics.PREDICTION_FAILURES, told, failed.cumsum()),
    ]
