"""Hypothesis strategies for windows: small tables, names in any order, float sums that add without rounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from radiosonde.model import (
    CONFIDENCE_BINS,
    DurationCounts,
    Exemplar,
    FeatureCounts,
    LabelCounts,
    LatencyCounts,
    OutputCounts,
    RuntimeCounts,
    SeriesKey,
    Window,
)

KEY = SeriesKey("delays", "1", "stable", "carrier=UA")
EDGES_S = (0.01, 0.1, 1.0)
LAG_EDGES_S = (3600.0, 86400.0)
FEATURES = ("wind", "rain")
COUNT = st.integers(0, 1000)
# Quarters up to 250 add exactly in any order, so sums can be compared for equality.
SUM = st.integers(0, 1000).map(lambda value: value / 4)


def counts(*shape: int) -> st.SearchStrategy[np.ndarray]:
    """Draw an int64 table."""
    size = int(np.prod(shape))
    return st.lists(COUNT, min_size=size, max_size=size).map(lambda v: np.array(v, dtype=np.int64).reshape(shape))


def sums(*shape: int) -> st.SearchStrategy[np.ndarray]:
    """Draw a float64 table of dyadic numbers."""
    size = int(np.prod(shape))
    return st.lists(SUM, min_size=size, max_size=size).map(lambda v: np.array(v, dtype=np.float64).reshape(shape))


def names(*choices: str) -> st.SearchStrategy[tuple[str, ...]]:
    """Draw some of *choices* in any order."""
    return st.lists(st.sampled_from(choices), unique=True).map(tuple)


@st.composite
def latencies(draw: st.DrawFn) -> LatencyCounts:
    """Draw a latency table with any phases; buckets beyond the first four stay empty."""
    phases = draw(names("fetch", "infer", "post"))
    counts_240, sums_240 = np.zeros(240, dtype=np.int64), np.zeros(240)
    phase_sums = np.zeros((len(phases), 240))
    counts_240[:4], sums_240[:4] = draw(counts(4)), draw(sums(4))
    phase_sums[:, :4] = draw(sums(len(phases), 4))
    times = draw(st.dictionaries(st.integers(0, 3), st.integers(0, 5), max_size=2))
    exemplars = {bucket: Exemplar(0.5, time, draw(st.integers(1, 9)), 1) for bucket, time in times.items()}
    return LatencyCounts(counts_240, sums_240, phases, phase_sums, EDGES_S, draw(counts(4)), exemplars)


@st.composite
def outputs(draw: st.DrawFn) -> OutputCounts:
    """Draw output tables with any classes, with or without value bins."""
    classes = draw(names("no", "yes", "maybe"))
    valued = draw(st.booleans())
    return OutputCounts(
        classes=classes,
        class_counts=draw(counts(len(classes))),
        confidence=np.repeat(draw(counts(len(classes), 1)), CONFIDENCE_BINS, axis=1),
        confidence_sums=np.repeat(draw(sums(len(classes), 1)), CONFIDENCE_BINS, axis=1),
        value_edges=np.array([0.0, 1.0]) if valued else np.empty(0),
        value_counts=draw(counts(3)) if valued else np.empty(0, dtype=np.int64),
        value_sum=draw(SUM),
        unreadable=draw(COUNT),
        counted_rows=draw(COUNT),
        weight_square_sum=draw(COUNT),
    )


@st.composite
def features(draw: st.DrawFn, grid: str = "g1") -> FeatureCounts:
    """Draw feature cells of one grid, without sketches."""
    return FeatureCounts(
        grid=grid,
        reference_id=draw(st.sampled_from(("r1", "r2"))),
        provisional=draw(st.booleans()),
        names=FEATURES,
        cells=draw(counts(len(FEATURES), 6)),
        fingerprints=np.array(draw(st.tuples(*[st.integers(0, 2**64 - 1)] * 2)), dtype=np.uint64),
        sketched_rows=draw(COUNT),
        counted_rows=draw(COUNT),
        weight_square_sum=draw(COUNT),
    )


@st.composite
def labels(draw: st.DrawFn, grids: tuple[str, ...] = ("g1",)) -> LabelCounts:
    """Draw outcome tables with any label classes, of this version and the one before, taken back in part or whole."""
    classes = draw(names("no", "yes", "maybe"))
    results = st.tuples(st.sampled_from(("correct", "incorrect")), st.sampled_from(("1h", "1d")))
    pairs = st.tuples(st.sampled_from(("no", "yes")), st.sampled_from(("no", "maybe")))
    former = LabelCounts(
        outcomes=draw(st.dictionaries(results, COUNT, max_size=3)),
        calibration=np.repeat(draw(sums(1, 3)), CONFIDENCE_BINS, axis=0),
        classes=classes,
        class_counts=draw(counts(len(classes))),
        lag_counts=draw(counts(len(classes), 3)),
        lag_edges_s=LAG_EDGES_S,
        residual_sum=draw(SUM),
        residual_square_sum=draw(SUM),
    )
    if draw(st.booleans()):
        return former
    sign = draw(st.sampled_from((-1, 1)))
    grid = draw(st.sampled_from(("", *grids)))
    width = draw(st.integers(4, 6))
    lines = {pair: np.repeat(sign * draw(sums(1, 3)), CONFIDENCE_BINS + 1, axis=0) for pair in draw(st.sets(pairs))}
    cells = {name: sign * draw(counts(len(FEATURES), width)) for name in classes} if grid else {}
    return replace(
        former,
        residual_absolute_sum=draw(SUM),
        retractions=draw(st.dictionaries(results, COUNT, max_size=2)),
        lags=np.repeat(sign * draw(counts(len(classes), 1)), 100, axis=1) if classes else np.zeros((0, 0), np.int64),
        joint=lines,
        grid=grid,
        features=FEATURES if grid else (),
        cells=cells,
        residual_cells=sign * draw(sums(len(FEATURES), width, 3)) if grid else np.zeros((0, 0, 3)),
        never=draw(COUNT),
    )


@st.composite
def windows(draw: st.DrawFn, grids: tuple[str, ...] = ("g1",)) -> Window:
    """Draw a window of one series on one grid; features and labels may be absent."""
    grid = draw(st.sampled_from(grids))
    start = draw(st.integers(0, 3)) * 60
    return Window(
        key=KEY,
        start_ns=start,
        end_ns=start + 60,
        process=draw(st.sampled_from(("p1", "p2"))),
        calls=draw(COUNT),
        rows=draw(COUNT),
        errors=draw(st.dictionaries(st.sampled_from(("ValueError", "KeyError")), COUNT)),
        batch_sizes=draw(counts(21)),
        latency=draw(latencies()),
        output=draw(outputs()),
        features=draw(st.none() | features(grid)),
        labels=draw(st.none() | labels((grid,))),
        runtime=draw(st.none() | runtimes()),
    )


@st.composite
def runtimes(draw: st.DrawFn) -> RuntimeCounts:
    """Draw the health of a process."""
    table = np.zeros(240, dtype=np.int64)
    table[100:104] = draw(counts(4))
    pauses = DurationCounts(table, draw(SUM))
    return RuntimeCounts(draw(SUM), draw(SUM), draw(COUNT), draw(COUNT), draw(SUM), draw(COUNT), draw(COUNT), pauses)


def empty_window(key: SeriesKey = KEY) -> Window:
    """Return a window in which nothing happened."""
    nothing = np.empty(0, dtype=np.int64)
    return Window(
        key=key,
        start_ns=0,
        end_ns=60,
        process="p1",
        calls=0,
        rows=0,
        errors={},
        batch_sizes=np.zeros(21, dtype=np.int64),
        latency=LatencyCounts(
            np.zeros(240, dtype=np.int64), np.zeros(240), (), np.zeros((0, 240)), EDGES_S, np.zeros(4, dtype=np.int64)
        ),
        output=OutputCounts((), nothing, np.zeros((0, 20), dtype=np.int64), np.zeros((0, 20)), np.empty(0), nothing),
    )


def contents(value: object) -> object:
    """Return a window (or a part of one) as plain values that compare by content, tables by row name."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: contents(held) for name, held in value.items()}
    slots = getattr(type(value), "__slots__", None)
    if slots and not isinstance(value, tuple):
        return {name: contents(getattr(value, name)) for name in slots}
    return value
