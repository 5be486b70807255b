"""Windows, references and snapshots built by hand, for tests of everything that is a function of them.

    from tests.factories import make_reference, make_snapshot, make_window

What is counted here is counted one value at a time with plain comparisons, so that it can serve as an oracle for code
that counts in blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from radiosonde.export.snapshot import Snapshot
from radiosonde.model import (
    CONFIDENCE_BINS,
    LATENCY,
    RUNTIME_KEY,
    DurationCounts,
    Exemplar,
    FeatureCounts,
    LabelCounts,
    LatencyCounts,
    OutputCounts,
    RuntimeCounts,
    SeriesKey,
    Statistics,
    Window,
)
from radiosonde.model.watched import IncidentEvent, Watched, WatchedFloor, WatchedIncident
from radiosonde.reference.profile import FeatureProfile, OutputProfile, Reference

START_NS = 1_362_096_000_000_000_000  # 2013-03-01T00:00:00Z
HOUR_NS = 3_600_000_000_000
EDGES_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0)
LAG_EDGES_S = (60.0, 3600.0, 86400.0, 604800.0)
KEY = SeriesKey("delays", "1")


def make_feature(
    name: str, counts: Sequence[int], *, categories: Sequence[str] = (), bounds: Sequence[float] | None = None
) -> FeatureProfile:
    """Return a feature profile whose reference has *counts* rows per cell, specials included.

    Numeric by default, with the bounds 1, 2, 3, ... above a low of 0; categorical when *categories* are given.
    """
    body = len(counts) - (2 if categories else 4)
    p0 = tuple((count + 0.5) / (sum(counts) + 0.5 * len(counts)) for count in counts)
    return FeatureProfile(
        name=name,
        kind="categorical" if categories else "numeric",
        low=0.0,
        bounds=() if categories else tuple(bounds or (float(index + 1) for index in range(body))),
        categories=tuple(categories),
        counts=tuple(counts),
        p0=p0,
    )


def make_reference(
    features: Sequence[FeatureProfile] | None = None, *, model: str = "delays", provisional: bool = False, **output: Any
) -> Reference:
    """Return a reference over *features*; by default wind (two bins) and carrier (two categories), 100 rows."""
    found = tuple(
        features
        if features is not None
        else (
            make_feature("wind", (40, 50, 0, 0, 10, 0)),
            make_feature("carrier", (70, 25, 0, 5), categories=("UA", "AA")),
        )
    )
    return Reference(
        model=model,
        task="regression" if output.get("value_edges") else "classification",
        features=found,
        output=OutputProfile(**output),
        rows=sum(found[0].counts) if found else 0,
        schema_hash="schema",
        data_hash="rows",
        code_version="0.1.0",
        created_at="2013-01-01T00:00:00Z",
        provisional=provisional,
    )


def make_latency(
    durations_s: Sequence[float],
    phases: Mapping[str, Sequence[float]] | None = None,
    exemplars: Mapping[int, Exemplar] | None = None,
) -> LatencyCounts:
    """Return the latency table of calls that took *durations_s*, with the duration of each phase per call."""
    counts, sums = np.zeros(LATENCY.size, np.int64), np.zeros(LATENCY.size)
    names = tuple(phases or {})
    phase_sums = np.zeros((len(names), LATENCY.size))
    edge_counts = np.zeros(len(EDGES_S) + 1, np.int64)
    upper = LATENCY.upper_bounds_s().tolist()
    for call, duration in enumerate(durations_s):
        bucket = next((index for index, bound in enumerate(upper) if duration <= bound), LATENCY.size - 1)
        counts[bucket] += 1
        sums[bucket] += duration
        for row, name in enumerate(names):
            phase_sums[row, bucket] += (phases or {})[name][call]
        edge_counts[sum(duration > edge for edge in EDGES_S)] += 1
    return LatencyCounts(counts, sums, names, phase_sums, EDGES_S, edge_counts, dict(exemplars or {}))


def make_output(
    predictions: Sequence[tuple[str, float | None]] = (),
    *,
    values: Sequence[float] = (),
    value_edges: Sequence[float] = (),
    unreadable: int = 0,
) -> OutputCounts:
    """Return the output table of rows predicted as (class, confidence), or as values between *value_edges*."""
    classes = tuple(dict.fromkeys(name for name, _ in predictions))
    counts = np.zeros(len(classes), np.int64)
    confidence = np.zeros((len(classes), CONFIDENCE_BINS), np.int64)
    sums = np.zeros((len(classes), CONFIDENCE_BINS))
    for name, score in predictions:
        counts[classes.index(name)] += 1
        if score is not None:
            place = (classes.index(name), min(int(score * CONFIDENCE_BINS), CONFIDENCE_BINS - 1))
            confidence[place] += 1
            sums[place] += score
    value_counts = np.zeros(len(value_edges) + 1 if value_edges else 0, np.int64)
    for value in values:
        value_counts[sum(value > edge for edge in value_edges)] += 1
    edges = np.array(value_edges, np.float64)
    parts = np.array([sum(max(value, 0.0) for value in values), sum(max(-value, 0.0) for value in values)], np.float64)
    return OutputCounts(
        classes, counts, confidence, sums, edges, value_counts, float(sum(values)), unreadable, value_parts=parts
    )


def make_features(
    reference: Reference,
    cells: Mapping[str, Sequence[int]],
    sketches: Mapping[tuple[str, str], bytes] | None = None,
    sketched_rows: int = 0,
) -> FeatureCounts:
    """Return the cell table of *reference*'s grid with *cells* per feature, in the order of its profile's counts."""
    width = max(feature.body for feature in reference.features) + 4
    table = np.zeros((len(reference.features), width), np.int64)
    for row, feature in enumerate(reference.features):
        counts = list(cells.get(feature.name, ()))
        if counts:
            table[row, : feature.body] = counts[: feature.body]
            table[row, feature.body - len(counts) :] = counts[feature.body :]
    names = tuple(feature.name for feature in reference.features)
    prints = np.zeros(len(names), np.uint64)
    return FeatureCounts(
        reference.grid_id,
        reference.id,
        reference.provisional,
        names,
        table,
        prints,
        sketched_rows,
        dict(sketches or {}),
    )


def make_labels(
    outcomes: Mapping[tuple[str, str], int] | None = None,
    *,
    calibration: Mapping[int, tuple[float, float, float]] | None = None,
    lags_s: Mapping[str, Sequence[float]] | None = None,
    residuals: Sequence[float] = (),
    **tables: Any,
) -> LabelCounts:
    """Return outcomes by (result, lag), (rows, correct, confidence) by bin, and the lags of the labels of each class.

    Further arguments are fields of `LabelCounts`.
    """
    table = np.zeros((CONFIDENCE_BINS, 3))
    for index, row in (calibration or {}).items():
        table[index] = row
    classes = tuple(lags_s or {})
    lag_counts = np.zeros((len(classes), len(LAG_EDGES_S) + 1), np.int64)
    for row, name in enumerate(classes):
        for lag in (lags_s or {})[name]:
            lag_counts[row, sum(lag > edge for edge in LAG_EDGES_S)] += 1
    return LabelCounts(
        outcomes=dict(outcomes or {}),
        calibration=table,
        classes=classes,
        class_counts=lag_counts.sum(axis=1),
        lag_counts=lag_counts,
        lag_edges_s=LAG_EDGES_S,
        residual_sum=float(sum(residuals)),
        residual_square_sum=float(sum(residual**2 for residual in residuals)),
        residual_absolute_sum=float(sum(abs(residual) for residual in residuals)),
        residuals_counted=np.array(
            [
                sum(max(residual, 0.0) for residual in residuals),
                sum(max(-residual, 0.0) for residual in residuals),
                sum(residual**2 for residual in residuals),
            ],
            np.float64,
        ),
        lag_sums_s=np.array([float(sum((lags_s or {})[name])) for name in classes]),
        **tables,
    )


def make_window(
    key: SeriesKey = KEY,
    *,
    start_ns: int = START_NS,
    end_ns: int = START_NS + HOUR_NS,
    process: str = "worker-1",
    durations_s: Sequence[float] = (0.004, 0.02),
    rows_per_call: Sequence[int] | None = None,
    errors: Mapping[str, int] | None = None,
    latency: LatencyCounts | None = None,
    output: OutputCounts | None = None,
    features: FeatureCounts | None = None,
    labels: LabelCounts | None = None,
) -> Window:
    """Return a window of ``len(durations_s)`` calls; what is not given is empty, one row per call by default."""
    sizes = list(rows_per_call if rows_per_call is not None else [1] * len(durations_s))
    batch_sizes = np.zeros(21, np.int64)
    for size in sizes:
        if size:
            batch_sizes[size.bit_length() - 1] += 1
    return Window(
        key=key,
        start_ns=start_ns,
        end_ns=end_ns,
        process=process,
        calls=len(durations_s),
        rows=sum(sizes),
        errors=dict(errors or {}),
        batch_sizes=batch_sizes,
        latency=latency or make_latency(durations_s),
        output=output or make_output(),
        features=features,
        labels=labels,
    )


def make_durations(durations_s: Sequence[float]) -> DurationCounts:
    """Return the table of *durations_s*."""
    return DurationCounts(make_latency(durations_s).counts, float(sum(durations_s)))


def make_runtime(**fields: Any) -> RuntimeCounts:
    """Return the health of a process that was fine for a minute; *fields* are of `RuntimeCounts`."""
    usual: dict[str, Any] = {"observed_s": 60.0, "cpu_s": 6.0, "periods": 600, "rss_bytes": 100_000_000}
    return RuntimeCounts(**{**usual, "gc_pauses": make_durations([0.001] * 20), **fields})


def make_runtime_window(
    start_ns: int = START_NS, end_ns: int = START_NS + HOUR_NS, *, process: str = "worker-1", **fields: Any
) -> Window:
    """Return a window with the health of *process*."""
    window = make_window(RUNTIME_KEY, start_ns=start_ns, end_ns=end_ns, process=process, durations_s=())
    return replace(window, runtime=make_runtime(**fields))


def make_snapshot(
    *windows: Window,
    references: Mapping[tuple[str, str], Reference] | None = None,
    start_ns: int = START_NS,
    time_ns: int = START_NS + HOUR_NS,
    **statistics: Any,
) -> Snapshot:
    """Return a snapshot of *windows*; further arguments are fields of `Statistics`."""
    return Snapshot(start_ns, time_ns, windows, dict(references or {}), Statistics(**statistics))


def make_full_snapshot(exemplars: Mapping[int, Exemplar] | None = None) -> Snapshot:
    """Return a snapshot with something of everything that carriers export."""
    reference = make_reference()
    window = make_window(
        latency=make_latency([0.004, 0.3], {"fetch": [0.001, 0.2]}, exemplars),
        output=make_output([("yes", 0.9), ("no", 0.7)]),
        features=make_features(reference, {"wind": (1, 2, 3, 4, 5, 6), "carrier": (1, 0, 0, 2)}),
        labels=make_labels({("correct", "1h"): 1}, calibration={18: (1, 1, 0.9)}, lags_s={"yes": [5.0]}),
        errors={"ValueError": 1},
    )
    made = make_snapshot(window, references={("delays", "1"): reference}, losses={"torn": 1})
    return replace(made, runtime=make_runtime(loop_lags=make_durations([0.3]), pool_waits=make_durations([3.0])))


def make_incident(number: int = 1, **changed: Any) -> WatchedIncident:
    """Return an open incident of severity page on model delays."""
    said = {
        "id": f"20130301-{number:06x}", "model": "delays", "version": "", "variant": "", "name": "errors.rise", "kind": "errors",
        "severity": "page", "place": "carrier=UA", "hypothesis": "backend", "ln_e": 27.5, "is_active": True,
    }  # fmt: skip
    return WatchedIncident(**{**said, **changed})


def make_event(
    kind: str = "opened", number: int = 1, incident: WatchedIncident | None = None, **changed: Any
) -> IncidentEvent:
    """Return an event of `make_incident`."""
    incident = incident or make_incident(is_active=kind in ("opened", "changed"))
    said = {
        "event_id": f"{incident.id}-{number}", "kind": kind, "at_ns": START_NS + HOUR_NS, "incident": incident,
        "title": "carrier=UA: failed calls rose from 0.1 % to 30 %", "verdict": "All versions are affected alike.",
        "onset_ns": START_NS, "cohort": "carrier=UA",
    }  # fmt: skip
    return IncidentEvent(**{**said, **changed})


def make_watched() -> Watched:
    """Return the state of a watch after one diagnosis with an incident."""
    return Watched(
        is_leading=True,
        last_look_ns=START_NS + HOUR_NS,
        last_window_ns=START_NS,
        looks={"done": 3, "failed": 1},
        incidents=(make_incident(), make_incident(2, severity="ticket", is_active=False)),
        floors=(WatchedFloor("delays", "failures", "share", "smallest", 0.013),),
        results={("delays", "failures", "passed"): 1, ("delays", "failures", "not_checked"): 0},
        statuses={"delays": "findings"},
        notifications={("slack", "delivered"): 2},
        pending={"slack": 1},
    )
