"""Series and releases as blocks: traffic, latency and phases, output; blocks of labels are in `outcome_blocks`.

Windows of one series on two grids are added up: only cells depend on the grid. The explicit bounds of histograms are the
same for all windows of a series in one process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from radiosonde.export.blocks import Block, Distribution, Scalars, Unit, distribution, scalar, scalars, unit
from radiosonde.export.labels import Attributes, LabelPage, Labels, release_attributes, series_attributes
from radiosonde.export.outcome_blocks import (
    ShownClasses,
    add_up,
    arrival_blocks,
    calibration_blocks,
    is_regression,
    joint_blocks,
    known_labels,
    lag_blocks,
    outcome_blocks,
    residual_blocks,
)
from radiosonde.export.snapshot import Snapshot
from radiosonde.model import CONFIDENCE_BINS, LATENCY, SeriesKey, Window
from radiosonde.model.addition import add
from radiosonde.model.bins import VALUE_CLASS
from radiosonde.model.window import Counts, Sums
from radiosonde.reference.profile import Reference
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics
from radiosonde.semconv.catalogue import METRICS

CONFIDENCE_EDGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_BATCH_POWERS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20)
BATCH_EDGES = tuple(float(2**power - 1) for power in _BATCH_POWERS)
"""Inclusive upper bounds of batch sizes: bucket *i* of a window holds [2**i, 2**(i+1)), that is up to 2**(i+1) - 1."""

_OCTAVE = 1 << LATENCY.scale
_LOWEST_OCTAVE = 7
"""Octaves of `LATENCY` that the first ``total_le`` holds: everything up to 2**-13 s, where tails do not matter."""
_OCTAVE_STARTS = [0, *range(_LOWEST_OCTAVE * _OCTAVE, LATENCY.size, _OCTAVE)]
_OCTAVE_ENDS = [*_OCTAVE_STARTS[1:], LATENCY.size]
TOTAL_LE = (*(repr(float(LATENCY.upper_bounds_s()[end - 1])) for end in _OCTAVE_ENDS[:-1]), "+Inf")
"""The 24 values of ``radiosonde.total_le``; the last octave of `LATENCY` also holds longer durations, therefore ``+Inf``."""
TOTAL_PHASE = "total"

BORN_CLASSES = 20
"""Predicted classes of a reference whose series are born at zero; of a model with more, those that occurred are exported."""


def series_units(snapshot: Snapshot, page: LabelPage) -> list[Unit]:
    """Return one unit per series key, ranked by traffic."""
    groups: dict[SeriesKey, list[Window]] = {}
    for window in snapshot.windows:
        groups.setdefault(window.key, []).append(window)
    return [
        unit(
            (-sum(window.calls for window in windows), key),
            _series_blocks(page, series_attributes(key), windows, snapshot.references.get((key.model, key.version))),
        )
        for key, windows in groups.items()
    ]


def release_units(snapshot: Snapshot, page: LabelPage, shown: ShownClasses) -> list[Unit]:
    """Return one unit per model, version and variant, ranked by traffic."""
    groups: dict[SeriesKey, list[Window]] = {}
    for window in snapshot.windows:
        groups.setdefault(window.key._replace(cohort=""), []).append(window)
    shown.keep(groups)
    units = []
    for key, windows in groups.items():
        base, reference = release_attributes(key), snapshot.references.get((key.model, key.version))
        is_value = is_regression(windows, reference)
        known = ((VALUE_CLASS,) if is_value else known_labels(reference)) if reference is not None else ()
        told_apart = shown.of(key, windows, known)
        blocks = [
            *_release_blocks(page, base, windows),
            *lag_blocks(page, base, windows, told_apart, known),
        ]
        if not is_value:
            blocks += calibration_blocks(page, base, windows)
            blocks += joint_blocks(page, base, windows, told_apart, known)
        units.append(unit((-sum(window.calls for window in windows), key), blocks))
    return units


def _series_blocks(
    page: LabelPage, base: Attributes, windows: Sequence[Window], reference: Reference | None
) -> Iterator[Block]:
    yield scalar(page, metrics.PREDICTION_CALLS, sum(window.calls for window in windows), base)
    yield scalar(page, metrics.PREDICTION_ROWS, sum(window.rows for window in windows), base)
    errors = add_up(window.errors.items() for window in windows)
    yield scalar(page, metrics.PREDICTION_FAILURES, sum(errors.values()), base)
    yield scalars(page, metrics.PREDICTION_ERRORS, base, names.ERROR_TYPE, errors)
    yield _duration(page, base, windows)
    outputs = [window.output for window in windows]
    yield scalars(
        page,
        metrics.PREDICTION_CLASS,
        base,
        names.PREDICTION_CLASS,
        _with_known_classes(
            add_up(zip(output.classes, output.class_counts.tolist(), strict=True) for output in outputs), reference
        ),
    )
    yield scalar(page, metrics.PREDICTION_UNREADABLE, sum(output.unreadable for output in outputs), base)
    if is_regression(windows, reference):
        yield from _values(page, base, windows)
        yield from residual_blocks(page, base, windows)
    else:
        yield _confidence(page, base, windows)
        yield from outcome_blocks(page, base, windows)
    yield from arrival_blocks(page, base, windows)


def _with_known_classes(counts: Mapping[str, int], reference: Reference | None) -> Mapping[str, int]:
    """Return *counts* with zeros for the classes of the reference, unless they are many."""
    known = reference.output.classes if reference is not None else ()
    return {**dict.fromkeys(known, 0), **counts} if len(known) <= BORN_CLASSES else counts


def _release_blocks(page: LabelPage, base: Attributes, windows: Sequence[Window]) -> Iterator[Block]:
    yield from _phases(page, base, windows)
    sizes = _stack(window.batch_sizes for window in windows)
    starts = [0, *_BATCH_POWERS[:-1]]
    counts = [*np.add.reduceat(sizes[: _BATCH_POWERS[-1]], starts).tolist(), int(sizes[_BATCH_POWERS[-1] :].sum())]
    rows = float(sum(window.rows for window in windows))
    yield distribution(page, metrics.PREDICTION_BATCH_SIZE, base, BATCH_EDGES, counts, total=rows)
    yield from _value_bounds(page, base, windows)


def _duration(page: LabelPage, base: Attributes, windows: Sequence[Window]) -> Distribution:
    edges_s = windows[0].latency.edges_s
    if any(window.latency.edges_s != edges_s for window in windows):
        latency = add(
            [window.latency for window in windows]
        )  # labels alone have no durations; an agent's workers may differ
        edges_s, counts, exemplars = latency.edges_s, latency.edge_counts, dict(latency.exemplars)
    else:
        counts = _stack(window.latency.edge_counts for window in windows)
        exemplars = {}
        for window in windows:
            for bucket, exemplar in window.latency.exemplars.items():
                if bucket not in exemplars or exemplar.time_ns > exemplars[bucket].time_ns:
                    exemplars[bucket] = exemplar
    total = float(sum(window.latency.sums_s.sum() for window in windows))
    block = distribution(
        page, metrics.PREDICTION_DURATION, base, edges_s, counts.tolist(), total=total, exemplars=exemplars
    )
    return replace(block, native=_stack(window.latency.counts for window in windows))


def _phases(page: LabelPage, base: Attributes, windows: Sequence[Window]) -> Iterator[Block]:
    calls = np.add.reduceat(_stack(window.latency.counts for window in windows), _OCTAVE_STARTS).cumsum().tolist()
    by_bound = dict(zip(TOTAL_LE, calls, strict=True))
    yield scalars(page, metrics.PREDICTION_PHASE_CALLS, base, names.TOTAL_LE, by_bound)
    sums: dict[str, Sums] = {}
    for window in windows:
        latency = window.latency
        for phase, row in (*zip(latency.phases, latency.phase_sums_s, strict=True), (TOTAL_PHASE, latency.sums_s)):
            sums[phase] = sums[phase] + row if phase in sums else row
    phases = tuple(sums)
    labels = page.get(
        (metrics.PREDICTION_PHASE_DURATION, base, phases),
        lambda: Labels(
            tuple((*base, (names.PHASE, phase), (names.TOTAL_LE, bound)) for phase in phases for bound in TOTAL_LE)
        ),
    )
    seconds: list[float] = []
    for row in sums.values():
        seconds += np.add.reduceat(row, _OCTAVE_STARTS).cumsum().tolist()
    yield Scalars(METRICS[metrics.PREDICTION_PHASE_DURATION], labels, seconds)


def _confidence(page: LabelPage, base: Attributes, windows: Sequence[Window]) -> Distribution:
    bins = sum((window.output.confidence.sum(axis=0) for window in windows), np.zeros(CONFIDENCE_BINS, np.int64))
    total = float(sum(window.output.confidence_sums.sum() for window in windows))
    counts = [*bins.reshape(len(CONFIDENCE_EDGES), -1).sum(axis=1).tolist(), 0]
    return distribution(page, metrics.PREDICTION_CONFIDENCE, base, CONFIDENCE_EDGES, counts, total=total)


def _values(page: LabelPage, base: Attributes, windows: Sequence[Window]) -> Iterator[Block]:
    edges, counts = _value_table(windows)
    if edges:  # a process that only joins labels has none
        bins = dict(zip(_bin_names(len(counts)), counts.tolist(), strict=True))
        yield scalars(page, metrics.PREDICTION_VALUE_ROWS, base, names.VALUE_BIN, bins)
    parts = sum((window.output.value_parts for window in windows), np.zeros(2)).tolist()
    signs = dict(zip(names.SIGN_VALUES, parts, strict=True))
    yield scalars(page, metrics.PREDICTION_VALUE_DISTANCE, base, names.SIGN, signs)


def _value_bounds(page: LabelPage, base: Attributes, windows: Sequence[Window]) -> Iterator[Block]:
    edges, _ = _value_table(windows)
    if edges:
        bounds = dict(zip(_bin_names(len(edges)), edges, strict=True))
        yield scalars(page, metrics.PREDICTION_VALUE_UPPER_BOUND, base, names.VALUE_BIN, bounds)


def _value_table(windows: Sequence[Window]) -> tuple[tuple[float, ...], Counts]:
    """Return the edges of predicted values and the rows between them; none where no value was predicted.

    A bin has one meaning at a time: that of the newest grid, whose window comes last.
    """
    by_edges: dict[tuple[float, ...], Counts] = {}
    for output in (window.output for window in windows if window.output.value_edges.size):
        edges = tuple(output.value_edges.tolist())
        by_edges[edges] = by_edges[edges] + output.value_counts if edges in by_edges else output.value_counts
    return next(reversed(by_edges.items())) if by_edges else ((), np.zeros(0, np.int64))


@lru_cache(maxsize=32)
def _bin_names(bins: int) -> tuple[str, ...]:
    return tuple(f"{index:02d}" for index in range(bins))


def _stack(tables: Iterable[Counts]) -> Counts:
    first, *rest = tables
    return sum(rest, first)
