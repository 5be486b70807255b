"""Simulated features of a model with several versions and cohorts, as windows that a store would hold, with faults planted into a place.

A *world* is healthy: it says how the distributions of the features wander, differ between cohorts, follow the hour or the week, come in readings that
many rows share, or how the mix of cohorts changes. A *fault* replaces values of one feature in some rows of one place. All draws are seeded by the caller. Nothing here
knows how diagnosis works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.incidents.service import DAY, MINUTE_NS, START_NS, Table, Traffic, is_member, series, wander
from radiosonde.model import ABOVE, BELOW, NULL, SPECIAL_CELLS, UNSEEN, FeatureCounts, SeriesKey, Window
from radiosonde.reference.profile import FeatureProfile, OutputProfile, Reference

BODY, ROWS = 10, 50_000
WIDTH = BODY + len(SPECIAL_CELLS)
CATEGORIES = ("a", "b", "c", "d", "e", "f")
_CATEGORY_SHARES = (0.4, 0.25, 0.15, 0.1, 0.07, 0.03)
_NORMAL = NormalDist()
_EDGES = np.array([_NORMAL.inv_cdf(part / BODY) for part in range(1, BODY)])
_LOW, _HIGH = _NORMAL.inv_cdf(0.0002), _NORMAL.inv_cdf(0.9998)
_BOUNDS = np.array([-np.inf, _LOW, *_EDGES, _HIGH, np.inf])
REGION_SHARES = (0.4, 0.25, 0.15, 0.1, 0.08, 0.02)
PLACES = (("", ""), ("v2", ""), ("", "region=r1"), ("", "region=r5"), ("v1", "region=r2"))


def make_profiles(features: int) -> tuple[FeatureProfile, ...]:
    """Return the reference of *features* features; every fourth is categorical."""
    made = []
    for number in range(features):
        if number % 4 == 3:
            counts = (*(round(share * ROWS) for share in _CATEGORY_SHARES), round(0.01 * ROWS), 0)
            made.append(_profile(f"c{number}", "categorical", counts, (), CATEGORIES))
        else:
            counts = (*[ROWS // BODY] * BODY, 10, 10, round(0.01 * ROWS), 0)
            made.append(_profile(f"x{number}", "numeric", counts, (*_EDGES.tolist(), _HIGH), ()))
    return tuple(made)


def _profile(
    name: str, kind: str, counts: tuple[int, ...], bounds: tuple[float, ...], categories: tuple[str, ...]
) -> FeatureProfile:
    p0 = np.array(counts) + 0.5
    return FeatureProfile(name, kind, _LOW, bounds, categories, counts, tuple((p0 / p0.sum()).tolist()))  # type: ignore[arg-type]


def make_reference(features: int) -> Reference:
    """Return the reference profile that the cells are counted on."""
    return Reference(
        model="m", task="classification", features=make_profiles(features), output=OutputProfile(), rows=ROWS,
        schema_hash="schema", data_hash="rows", code_version="1", created_at="2025-12-01T00:00:00Z",
    )  # fmt: skip


class Fault(NamedTuple):
    """Values of a feature that are replaced in some rows.

    Attributes:
        kind: ``missing``, ``unseen``, ``stuck`` (one value), ``scaled`` (all far above the reference), ``recoded`` (the two first categories become the last).
        share: share of the rows.
        feature: index of the feature.
        version: version it is confined to; ``""`` for all.
        cohort: cohort it is confined to; ``""`` for all.
        start: first minute.
        end: first minute after it; None while it goes on.
    """

    kind: str
    share: float
    feature: int
    version: str = ""
    cohort: str = ""
    start: int = 0
    end: int | None = None


@dataclass
class Cohorts:
    """Traffic and distributions of a model.

    Attributes:
        keys: the series.
        rows: rows of each series and minute, shape (series, minutes).
        levels: mean of each numeric feature, in standard deviations of the reference, shape (minutes, features) or (series, minutes, features).
        missing: share of missing values, shape (minutes, features) or (series, minutes, features); 0.01 where None.
        readings: rows that share one reading of a feature: all of a series in an hour where True.
        features: number of features.
    """

    keys: list[SeriesKey]
    rows: Table
    levels: Table
    missing: Table | None = None
    readings: bool = False
    features: int = 8
    length: int = 1

    def windows(self, rng: np.random.Generator, faults: tuple[Fault, ...] = ()) -> list[Window]:
        """Return the windows, with *faults*."""
        reference = make_reference(self.features)
        names = tuple(profile.name for profile in reference.features)
        traffic = Traffic(self.keys, self.rows, np.zeros_like(self.rows))
        held: dict[tuple[int, int, int], float] = {}
        made = []
        row_of = {key: row for row, key in enumerate(self.keys)}
        for window in traffic.windows():
            minute, row = (window.start_ns - START_NS) // MINUTE_NS, row_of[window.key]
            cells = self._cells(rng, held, row, minute)
            for fault in faults:
                end = self.rows.shape[1] if fault.end is None else fault.end
                if fault.start <= minute < end and is_member(window.key, fault.version, fault.cohort):
                    cells[fault.feature] = broken(rng, cells[fault.feature], fault)
            counted = FeatureCounts(
                reference.grid_id, reference.id, False, names, cells, np.zeros(len(names), np.uint64), counted_rows=window.calls, weight_square_sum=window.calls
            )  # fmt: skip
            start_ns = START_NS + minute * self.length * MINUTE_NS
            made.append(replace(window, features=counted, start_ns=start_ns, end_ns=start_ns + self.length * MINUTE_NS))
        return made

    def _cells(
        self, rng: np.random.Generator, held: dict[tuple[int, int, int], float], row: int, minute: int
    ) -> NDArray[np.int64]:
        levels = self.levels[minute] if self.levels.ndim == 2 else self.levels[row, minute]
        rows = int(self.rows[row, minute])
        shares = np.zeros((self.features, WIDTH))
        for feature, level in enumerate(levels):
            if feature % 4 == 3:
                odds = np.log(_CATEGORY_SHARES) + level * np.linspace(-0.5, 0.5, len(CATEGORIES))
                part = np.exp(odds)
                shares[feature, : len(CATEGORIES)] = part / part.sum()
            else:
                shares[feature] = _numeric(level)
        if self.readings:
            hour = minute * self.length // 60
            for feature in range(0, self.features, 4):
                reading = held.setdefault((row, feature, hour), float(levels[feature] + rng.normal()))
                shares[feature] = _numeric(reading, point=True)
        lost = np.full(self.features, 0.01) if self.missing is None else self.missing[minute] if self.missing.ndim == 2 else self.missing[row, minute]  # fmt: skip
        shares *= (1 - lost)[:, None]
        shares[:, NULL] += lost
        return rng.multinomial(rows, shares / shares.sum(axis=1, keepdims=True)).astype(np.int64)


def _numeric(level: float, *, point: bool = False) -> Table:
    row = np.zeros(WIDTH)
    if point:
        parts = np.zeros(_BOUNDS.size - 1)
        parts[int(np.searchsorted(_BOUNDS, level)) - 1] = 1.0
    else:
        parts = np.diff([_NORMAL.cdf(float(bound) - level) for bound in _BOUNDS])
    row[BELOW], row[:BODY], row[ABOVE] = parts[0], parts[1:-1], parts[-1]
    return row


def broken(rng: np.random.Generator, cells: NDArray[np.int64], fault: Fault) -> NDArray[np.int64]:
    """Return the *cells* of a feature with *fault* in them."""
    made = cells.copy()
    if fault.kind == "recoded":
        moved = rng.binomial(made[:2], fault.share)
        made[:2] -= moved
        made[len(CATEGORIES) - 1] += moved.sum()
        return made
    taken = made.copy() if fault.kind != "scaled" else np.where(np.isin(np.arange(WIDTH) - WIDTH, (NULL, UNSEEN)), 0, made)  # fmt: skip
    moved = rng.binomial(taken, fault.share)
    to = {"missing": NULL, "unseen": UNSEEN, "stuck": 3, "zero": 0, "scaled": ABOVE}[fault.kind]
    made -= moved
    made[to] += moved.sum()
    return made


def cohorts(
    rng: np.random.Generator, minutes: int, *, per_minute: float = 1500.0, features: int = 8, length: int = 1
) -> Cohorts:
    """Return healthy rows of two versions in six regions, one of which has 2 % of the traffic; features stay as they are."""
    keys = series(2, region=len(REGION_SHARES))
    shares = np.array([(0.9 if key.version == "v1" else 0.1) * REGION_SHARES[int(key.cohort[-1])] for key in keys])
    swing = 1 + 0.3 * np.sin(2 * np.pi * np.arange(minutes) * length / DAY)
    rows = rng.poisson(per_minute * length * shares[:, None] * swing[None]).astype(np.float64)
    return Cohorts(keys, rows, np.zeros((minutes, features)), features=features, length=length)


World = Callable[[np.random.Generator, Cohorts], Cohorts]


def steady(_: np.random.Generator, made: Cohorts) -> Cohorts:
    """Nothing changes."""
    return made


def autoregressive(rng: np.random.Generator, made: Cohorts) -> Cohorts:
    """Levels wander by half a standard deviation, with a memory of fifty windows (AR .98)."""
    size = made.levels.shape[0]
    return replace(made, levels=np.stack([wander(rng, size, 0.5, 50) for _ in range(made.features)], axis=1))


def daily(rng: np.random.Generator, made: Cohorts) -> Cohorts:
    """Levels, and the shares of missing values, follow the hour of the day."""
    minutes = np.arange(made.levels.shape[0])[:, None] * made.length
    phase, depth = 2 * np.pi * rng.random(made.features), rng.uniform(0.1, 1.0, made.features)
    wave = np.sin(2 * np.pi * minutes / DAY + phase)
    return replace(made, levels=depth * wave, missing=0.02 + 0.015 * wave)


def weekly(_: np.random.Generator, made: Cohorts) -> Cohorts:
    """At weekends levels are two standard deviations higher, and three times as many values are missing."""
    day = np.arange(made.levels.shape[0]) * made.length // DAY % 7
    is_weekend = (day >= 5)[:, None] * np.ones(made.features)
    return replace(made, levels=2.0 * is_weekend, missing=0.01 + 0.02 * is_weekend)


def read(rng: np.random.Generator, made: Cohorts) -> Cohorts:
    """All rows of a series in an hour share one reading of every fourth feature, as of the weather."""
    size = made.levels.shape[0]
    return replace(made, levels=np.stack([wander(rng, size, 0.7, 600 / made.length) for _ in range(made.features)], axis=1), readings=True)  # fmt: skip


def unlike(rng: np.random.Generator, made: Cohorts) -> Cohorts:
    """Cohorts differ by a standard deviation, and their mix changes: one grows five-fold in the middle of the time, and others come and go."""
    levels = rng.normal(0, 1, (len(made.keys), 1, made.features)) * np.ones((1, made.levels.shape[0], 1))
    rows = made.rows.copy()
    half = rows.shape[1] // 2
    grown = np.array([key.cohort == "region=r4" for key in made.keys])
    rows[grown, half:] *= 5
    for row in range(rows.shape[0]):
        rows[row] = np.rint(rows[row] * np.exp(wander(rng, rows.shape[1], 0.3, 200)))
    return replace(made, rows=rows, levels=levels)


def arriving(rng: np.random.Generator, made: Cohorts) -> Cohorts:
    """A version and a region that are new after a third and two thirds of the time, with distributions of their own."""
    rows, size = made.rows.copy(), made.rows.shape[1]
    levels = rng.normal(0, 0.5, (len(made.keys), 1, made.features)) * np.ones((1, size, 1))
    for row, key in enumerate(made.keys):
        if key.version == "v2":
            rows[row, : size // 3] = 0
        if key.cohort == "region=r3":
            rows[row, : 2 * size // 3] = 0
            levels[row] = 1.5
    return replace(made, rows=rows, levels=levels)


def gusty(rng: np.random.Generator, made: Cohorts) -> Cohorts:
    """The share of missing values is that of the window: mostly below 1 %, now and then several times as much."""
    return replace(made, missing=np.minimum(rng.gamma(0.5, 0.01, made.levels.shape), 0.5))


def gusty_apart(rng: np.random.Generator, made: Cohorts) -> Cohorts:
    """The share of missing values is that of the window and the series: gusts that no other cohort shares."""
    return replace(made, missing=np.minimum(rng.gamma(0.5, 0.01, (len(made.keys), *made.levels.shape)), 0.5))


def wandering_apart(rng: np.random.Generator, made: Cohorts) -> Cohorts:
    """Levels and shares of missing values wander in each series by itself, with a memory of fifty windows (AR .98)."""
    size = made.levels.shape[0]
    levels, lost = (
        np.stack([[wander(rng, size, depth, 50) for _ in range(made.features)] for _ in made.keys]).swapaxes(1, 2)
        for depth in (0.5, 0.5)
    )
    return replace(made, levels=levels, missing=np.minimum(0.02 * np.exp(lost), 0.5))


def weekly_apart(rng: np.random.Generator, made: Cohorts) -> Cohorts:
    """Weekends move levels of each series its own way, and in some three times as many values are missing."""
    day = np.arange(made.levels.shape[0]) * made.length // DAY % 7
    is_weekend = (day >= 5)[None, :, None] * np.ones((len(made.keys), 1, made.features))
    levels = rng.normal(0, 1.5, (len(made.keys), 1, made.features)) * is_weekend
    rises = rng.choice([0.0, 0.02], (len(made.keys), 1, made.features)) * is_weekend
    return replace(made, levels=levels, missing=0.01 + rises)


def daily_apart(rng: np.random.Generator, made: Cohorts) -> Cohorts:
    """Each series has its own hours: of levels, and of missing values."""
    minutes = np.arange(made.levels.shape[0])[None, :, None] * made.length
    shape = len(made.keys), 1, made.features
    wave = np.sin(2 * np.pi * (minutes / DAY + rng.random(shape)))
    return replace(made, levels=rng.uniform(0.1, 1.0, shape) * wave, missing=0.02 + 0.015 * wave)


def outage_over(rng: np.random.Generator, made: Cohorts) -> Cohorts:
    """All rows of all cohorts lost two features for an hour once."""
    missing = np.full((len(made.keys), *made.levels.shape), 0.01)
    hour = max(60 // made.length, 1)
    start = int(rng.integers(made.levels.shape[0] // 3, made.levels.shape[0] // 2))
    missing[:, start : start + hour, :2] = 0.9
    return replace(made, missing=missing)


WORLDS: dict[str, World] = {
    world.__name__: world
    for world in (
        steady, autoregressive, daily, weekly, read, unlike, arriving, gusty, gusty_apart, wandering_apart, weekly_apart, daily_apart, outage_over,
    )
}  # fmt: skip

FAULTS = (
    ("missing", 0.03), ("missing", 0.3), ("missing", 1.0), ("unseen", 0.02), ("unseen", 0.2), ("unseen", 1.0),
    ("stuck", 0.3), ("stuck", 1.0), ("zero", 0.3), ("zero", 1.0), ("scaled", 0.1), ("scaled", 1.0), ("recoded", 0.6), ("recoded", 1.0),
)  # fmt: skip
EXPECTED = {
    "missing": "missing", "unseen": "unseen", "stuck": "one_value", "zero": "one_value", "scaled": "range", "recoded": "recoded",
}  # fmt: skip


def catalogue(start: int) -> Iterator[Fault]:
    """Yield every fault of one feature at every place, from minute *start* on."""
    for version, cohort in PLACES:
        for kind, share in FAULTS:
            feature = 3 if kind == "recoded" else 1
            yield Fault(kind, share, feature, version, cohort, start)
