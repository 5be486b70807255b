"""Windows of every shape, and what it means that two are equal."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from hypothesis import strategies as st

from radiosonde.model import (
    CONFIDENCE_BINS,
    LAG,
    LAGS,
    LATENCY,
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
from tests.factories import make_features, make_reference, make_window

HOUR_NS = 3600 * 10**9
INT64 = np.iinfo(np.int64)

NUMBERS = st.one_of(st.floats(), st.sampled_from([0.0, 1 / 3, 1e-310, np.nan, np.inf, -np.inf]))
# Lone surrogates cannot be stored as they are; `test_rows` says what becomes of them.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAMES = st.lists(TEXTS, unique=True, max_size=3)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Draw a window; the bulk of its numbers comes from one seed, the awkward ones from hypothesis."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    start_ns = draw(st.integers(0, 2**62))
    return Window(
        key=SeriesKey(draw(TEXTS), draw(TEXTS), draw(TEXTS), draw(TEXTS)),
        start_ns=start_ns,
        end_ns=start_ns + draw(st.integers(1, 10**15)),
        process=draw(TEXTS),
        calls=draw(st.integers(0, INT64.max)),
        rows=draw(st.integers(0, INT64.max)),
        errors=draw(st.dictionaries(TEXTS, st.integers(0, INT64.max), max_size=3)),
        batch_sizes=counts(rng, 21),
        latency=draw(latencies(rng)),
        output=draw(outputs(rng)),
        features=draw(st.none() | features(rng)),
        labels=draw(st.none() | labels(rng)),
        runtime=draw(st.none() | runtimes(rng)),
    )


@st.composite
def runtimes(draw: st.DrawFn, rng: np.random.Generator) -> RuntimeCounts:
    """Draw the health of a process, its tables with any run of occupied buckets."""
    tables = []
    for _ in range(3):
        first, end = sorted(draw(st.tuples(st.integers(0, LATENCY.size), st.integers(0, LATENCY.size))))
        occupied = np.zeros(LATENCY.size, dtype=np.int64)
        occupied[first:end] = 1
        tables.append(DurationCounts(counts(rng, LATENCY.size) * occupied, float(rng.random())))
    periods, throttled, rss, gpu = draw(st.tuples(*[st.integers(0, INT64.max)] * 4))
    return RuntimeCounts(*rng.random(2).tolist(), periods, throttled, float(rng.random()), rss, gpu, *tables)


@st.composite
def latencies(draw: st.DrawFn, rng: np.random.Generator) -> LatencyCounts:
    """Draw latency counts with any run of occupied buckets, the first and the last one included."""
    phases = tuple(draw(NAMES))
    first, end = sorted(draw(st.tuples(st.integers(0, LATENCY.size), st.integers(0, LATENCY.size))))
    occupied = np.zeros(LATENCY.size, dtype=np.int64)
    occupied[first:end] = 1
    edges = tuple(sorted(rng.random(draw(st.integers(0, 15))).tolist()))
    bits = {"trace_id": 2**128 - 1, "span_id": 2**64 - 1}
    return LatencyCounts(
        counts=counts(rng, LATENCY.size) * occupied,
        sums_s=rng.random(LATENCY.size) * occupied,
        phases=phases,
        phase_sums_s=rng.random((len(phases), LATENCY.size)) * occupied,
        edges_s=edges,
        edge_counts=counts(rng, len(edges) + 1),
        exemplars=draw(
            st.dictionaries(
                st.integers(0, 15),
                st.builds(
                    Exemplar,
                    value_s=st.floats(0, 1e9),
                    time_ns=st.integers(0, INT64.max),
                    **{name: st.integers(0, top) for name, top in bits.items()},
                ),
                max_size=3,
            )
        ),
    )


@st.composite
def outputs(draw: st.DrawFn, rng: np.random.Generator) -> OutputCounts:
    """Draw output counts of a classifier, a regression, or nothing at all."""
    classes = tuple(draw(NAMES))
    edges = np.sort(rng.normal(size=draw(st.integers(0, 9))))
    return OutputCounts(
        classes=classes,
        class_counts=counts(rng, len(classes)),
        confidence=counts(rng, len(classes), CONFIDENCE_BINS),
        confidence_sums=rng.random((len(classes), CONFIDENCE_BINS)),
        value_edges=edges,
        value_counts=counts(rng, len(edges) + 1) if len(edges) else np.zeros(0, dtype=np.int64),
        value_sum=draw(NUMBERS),
        unreadable=draw(st.integers(0, INT64.max)),
        counted_rows=draw(st.integers(0, INT64.max)),
        weight_square_sum=draw(st.integers(0, INT64.max)),
    )


@st.composite
def features(draw: st.DrawFn, rng: np.random.Generator) -> FeatureCounts:
    """Draw feature cells with extreme fingerprints and sketches of any bytes."""
    names = tuple(draw(NAMES))
    width = draw(st.integers(4, 16)) if names else 4
    fingerprints = rng.integers(0, 2**64, len(names), dtype=np.uint64)
    fingerprints[:1] = 2**64 - 1
    return FeatureCounts(
        grid=draw(TEXTS),
        reference_id=draw(TEXTS),
        provisional=draw(st.booleans()),
        names=names,
        cells=counts(rng, len(names), width),
        fingerprints=fingerprints,
        sketched_rows=draw(st.integers(0, INT64.max)),
        counted_rows=draw(st.integers(0, INT64.max)),
        weight_square_sum=draw(st.integers(0, INT64.max)),
        sketches=draw(st.dictionaries(st.tuples(TEXTS, TEXTS), st.binary(max_size=30), max_size=3)),
    )


@st.composite
def labels(draw: st.DrawFn, rng: np.random.Generator) -> LabelCounts:
    """Draw label counts, with all tables, with those of the first schema version only, or something between."""
    classes = tuple(draw(NAMES))
    edges = tuple(sorted((rng.random(draw(st.integers(0, 5))) * 1e6).tolist()))
    results = st.tuples(st.sampled_from(["correct", "incorrect"]), st.sampled_from(LAGS))
    with_lags = classes and draw(st.booleans())
    first, end = sorted(draw(st.tuples(st.integers(0, LAG.size), st.integers(0, LAG.size))))
    occupied = np.zeros(LAG.size, dtype=np.int64)
    occupied[first:end] = draw(st.sampled_from([-1, 1]))
    grid = draw(st.text("0123456789abcdef", max_size=16))
    names = (draw(TEXTS), *draw(NAMES)) if grid else ()
    shape = (len(names), draw(st.integers(4, 16)))
    missed = rng.normal(size=(*shape, 3)) * rng.integers(0, 2, (*shape, 1))
    if grid:
        missed[0, 0] = draw(st.tuples(*[NUMBERS] * 3))
    return LabelCounts(
        outcomes=draw(st.dictionaries(results, st.integers(0, INT64.max))),
        calibration=rng.random((CONFIDENCE_BINS, 3)) * 1e6,
        classes=classes,
        class_counts=counts(rng, len(classes)),
        lag_counts=counts(rng, len(classes), len(edges) + 1),
        lag_edges_s=edges,
        residual_sum=draw(NUMBERS),
        residual_square_sum=draw(NUMBERS),
        residual_absolute_sum=draw(NUMBERS),
        retractions=draw(st.dictionaries(results, st.integers(0, INT64.max))),
        lags=counts(rng, len(classes), LAG.size) * occupied if with_lags else np.zeros((0, 0), dtype=np.int64),
        joint={
            pair: rng.normal(size=(CONFIDENCE_BINS + 1, 3)) * rng.integers(0, 2, (CONFIDENCE_BINS + 1, 1))
            for pair in draw(st.sets(st.tuples(TEXTS, TEXTS), max_size=3))
        },
        grid=grid,
        features=names,
        cells={name: -counts(rng, *shape) for name in classes} if grid else {},
        residual_cells=missed if grid else np.zeros((0, 0, 3)),
        never=draw(st.integers(0, INT64.max)),
    )


def counts(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return counts of all magnitudes, zeros included."""
    drawn: np.ndarray = rng.integers(0, 2 ** rng.integers(1, 62, shape), dtype=np.int64)
    return drawn


def assert_same(left: Any, right: Any, place: str = "window") -> None:
    """Fail unless two windows (or parts of them) agree in every field, type, shape and bit; NaN equals NaN."""
    if dataclasses.is_dataclass(left):
        assert type(left) is type(right), place
        for field in dataclasses.fields(left):
            assert_same(getattr(left, field.name), getattr(right, field.name), f"{place}.{field.name}")
    elif isinstance(left, np.ndarray):
        assert (left.dtype, left.shape) == (right.dtype, right.shape), place
        np.testing.assert_array_equal(left, right, err_msg=place)
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), place
        for name, value in left.items():
            assert_same(value, right[name], f"{place}[{name!r}]")
    elif isinstance(left, float) and np.isnan(left):
        assert np.isnan(right), place
    else:
        assert type(left) is type(right), place
        assert left == right, place


def make_part(rows: int = 1, *, sketches: dict[tuple[str, str], bytes] | None = None, **fields: Any) -> Window:
    """Return a small window of *rows* rows with two features; *fields* replace fields of the window."""
    reference = fields.pop("reference", None) or make_reference()
    features = make_features(reference, {"wind": (rows, 0, 0, 0, 0, 0)}, sketches)
    return dataclasses.replace(make_window(features=features), **{"calls": rows, "rows": rows, **fields})
