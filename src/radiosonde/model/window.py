"""A window: all counts of one series between two instants, as a frozen value of arrays and bytes.

Everything downstream (exporters, store, diagnosis) is a function of windows. All counts are integers and add exactly;
sums are float64; sketches are serialized bytes with their own merge law (`radiosonde.sketches`). A cumulative snapshot
is a window too: one that starts when the process did.

Arrays are never written to after construction; they are not made read-only because a flag per array costs more than
the window itself on the drain path.

Each field is declared here once, with its axes, its merge rule and its place in a store (`radiosonde.model.fields`); addition,
storage and reading back are derived from that. A new field needs a default, which is used when reading older stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radiosonde.model.evidence import evidence_ratio
from radiosonde.model.fields import BYTES, FLAG, FLOAT, INT, TEXT, UINT, Merge, Pool, Stored, counted_group, declared
from radiosonde.model.fingerprints import DEFINITION
from radiosonde.model.lost import LostCounts
from radiosonde.model.runtime import RuntimeCounts
from radiosonde.model.series import SeriesKey
from radiosonde.model.window_words import window_html, window_words

LAGS = ("1h", "1d", "7d", "inf")
"""Coarse label-lag classes: a label that came within 1 hour, 1 day, 7 days, or later."""

Counts = NDArray[np.int64]
Sums = NDArray[np.float64]


def _answers(output: Mapping[str, Any]) -> int:
    """Return the rows whose class or value was counted; all rows in a store of a version without sampling counts."""
    return int(output["class_counts"].sum()) + int(output["value_counts"].sum())


def _first_row(features: Mapping[str, Any]) -> int:
    """Return the rows that the cells of the first feature hold, likewise."""
    cells = features["cells"]
    return int(cells[0].sum()) if len(cells) else 0


class Exemplar(NamedTuple):
    """One prediction in a latency bucket that has a span, live or created afterwards."""

    value_s: float
    time_ns: int
    trace_id: int
    span_id: int


@dataclass(frozen=True, slots=True, eq=False)
class LatencyCounts:
    """Durations of predictions, and where the time went, per total-latency bucket.

    Keeping the phase sums *per bucket of the total* is what lets a p99 be attributed: the expected shortfall above a
    quantile is the sum over phases of E[phase | total > q], exactly (Euler allocation).

    Attributes:
        counts: predictions per bucket of `LATENCY`, shape (240,).
        sums_s: sum of total durations per bucket in seconds, shape (240,).
        phases: names of the phases, in the order of *phase_sums_s*.
        phase_sums_s: sum of each phase's duration per bucket of the total, shape (phases, 240).
        edges_s: upper bounds of the explicit histogram in seconds, inclusive.
        edge_counts: predictions per explicit bucket, shape (len(edges_s) + 1,).
        exemplars: at most one per explicit bucket, by bucket index.
    """

    counts: Counts = field(metadata=declared(INT, "bucket", stored=Stored.TRIMMED, read_by="export, diagnose"))
    sums_s: Sums = field(metadata=declared(FLOAT, "bucket", stored=Stored.TRIMMED, read_by="export, diagnose"))
    phases: tuple[str, ...] = field(
        metadata=declared(TEXT, "phase", merge=Merge.UNION, stored=Stored.KEYS, read_by="export, diagnose")
    )
    phase_sums_s: Sums = field(
        metadata=declared(FLOAT, "phase", "bucket", stored=Stored.ROWS, at="latency.phases", read_by="export, diagnose")
    )
    edges_s: tuple[float, ...] = field(metadata=declared(FLOAT, "edge", merge=Merge.COMMON, read_by="export"))
    edge_counts: Counts = field(metadata=declared(INT, "edge+1", read_by="export"))
    exemplars: Mapping[int, Exemplar] = field(
        default_factory=dict,
        metadata=declared("exemplar", merge=Merge.LATEST, stored=Stored.EXEMPLARS, read_by="export, diagnose"),
    )


@dataclass(frozen=True, slots=True, eq=False)
class OutputCounts:
    """Outputs of the model.

    Attributes:
        classes: names of the predicted classes (``str`` of the label), in the order of the tables below.
        class_counts: rows per predicted class, shape (classes,).
        confidence: rows per predicted class and confidence bin, shape (classes, CONFIDENCE_BINS); rows whose output
            carries no confidence are in *class_counts* only.
        confidence_sums: sum of the confidence of the same rows, same shape.
        value_edges: ascending edges of a regression value or raw score, shape (edges,); empty for classification.
        value_counts: rows per bin ``(-inf, e0], (e0, e1], ..., (en, inf)``, shape (edges + 1,), or (0,).
        value_sum: sum of the finite values.
        unreadable: rows with an unreadable output.
        counted_rows: rows whose class or value was read; under load rows are sampled and weighted. 0: unknown, from a version that counted
            all.
        weight_square_sum: sum over these of the squared weight.
        value_parts: the sum of the finite values in two parts that only grow, shape (2,): of the positive ones, and of the
            negative ones' absolute values. Values that a writer has added up in a bin count with the sign of their sum, so
            the difference is exact and the parts may both be smaller.
    """

    classes: tuple[str, ...] = field(metadata=declared(TEXT, "class", merge=Merge.UNION, read_by="export, diagnose"))
    class_counts: Counts = field(
        metadata=declared(INT, "class", pool=Pool.ESTIMATE, read_by="export, diagnose, quality")
    )
    confidence: Counts = field(
        metadata=declared(INT, "class", "confidence", pool=Pool.ESTIMATE, read_by="export, diagnose, quality")
    )
    confidence_sums: Sums = field(
        metadata=declared(FLOAT, "class", "confidence", pool=Pool.ESTIMATE, read_by="export, quality")
    )
    value_edges: Sums = field(
        metadata=declared(
            FLOAT, "value edge", merge=Merge.GIVEN, alike="output value edges", read_by="export, diagnose"
        )
    )
    value_counts: Counts = field(metadata=declared(INT, "value edge+1", pool=Pool.ESTIMATE, read_by="export, diagnose"))
    value_sum: float = field(default=0.0, metadata=declared(FLOAT, pool=Pool.ESTIMATE, read_by="people: SQL"))
    unreadable: int = field(default=0, metadata=declared(INT, pool=Pool.ESTIMATE, read_by="export"))
    counted_rows: int = field(
        default=0, metadata=declared(INT, at="output.sample.rows", absent=_answers, read_by="diagnose")
    )
    weight_square_sum: int = field(
        default=0, metadata=declared(INT, at="output.sample.weight_square_sum", absent=_answers, read_by="diagnose")
    )
    value_parts: Sums = field(
        default_factory=lambda: np.zeros(2),
        metadata=declared(FLOAT, "sign", pool=Pool.ESTIMATE, at="output.sample.value_parts", read_by="export"),
    )

    @property
    def evidence_ratio(self) -> float:
        """Number of independent rows per counted row, at most 1; see `evidence_ratio`."""
        estimated = int(self.class_counts.sum()) + int(self.value_counts.sum())
        return evidence_ratio(estimated, self.weight_square_sum)


@dataclass(frozen=True, slots=True, eq=False)
class FeatureCounts:
    """Feature cells and sketches.

    Attributes:
        grid: identity of the cell geometry (hash of kinds, edges and categories). Counts add only within one grid.
        reference_id: identity of the reference profile the grid came from.
        provisional: True when the grid was made from the first rows seen, not from training data.
        names: feature names, in the order of the rows of *cells*.
        cells: rows per feature and cell, shape (features, body + 4); see `radiosonde.model.cells`.
        fingerprints: per feature the sum modulo 2**64 of a hash of every value (`radiosonde.model.fingerprints`), shape (features,)
            uint64; 0 for a feature whose values are hidden.
        sketched_rows: rows that were fed to the sketches (at most `rows`; the rest was thinned to bound the cost).
        sketches: serialized sketches by (feature, kind); kinds are listed in `radiosonde.sketches.KINDS`. They see the
            sampled rows, unweighted.
        counted_rows: rows that were read. Under load rows are sampled, and the sum of a feature's cells divided by this is the average
            weight. 0: unknown, from a version without it.
        weight_square_sum: sum over these rows of the squared weight.
        failed_cells: rows of failed calls, included in *cells*; same shape, or empty if none failed. Many are sampled and weighted.
        row_fingerprint: likewise of each row: it changes if rows exchange values.
        fingerprinted_rows: rows in the fingerprints: those of weight one.
        fingerprint_definition: how they were hashed; ``""``: by a former version, or in different ways, so that they cannot be compared.
    """

    grid: str = field(
        metadata=declared(TEXT, merge=Merge.ALIKE, at="grid", alike="grids of cells", read_by="diagnose, export")
    )
    reference_id: str = field(metadata=declared(TEXT, merge=Merge.SAME, at="reference_id", read_by="store, export"))
    provisional: bool = field(
        metadata=declared(FLAG, merge=Merge.LARGEST, at="provisional", read_by="diagnose, export")
    )
    names: tuple[str, ...] = field(
        metadata=declared(TEXT, "feature", merge=Merge.ALIKE, at="features.feature", read_by="diagnose, export")
    )
    cells: Counts = field(
        metadata=declared(INT, "feature", "cell", pool=Pool.ESTIMATE, at="features.cells", read_by="diagnose, export")
    )
    fingerprints: NDArray[np.uint64] = field(
        metadata=declared(UINT, "feature", at="features.fingerprint", read_by="forensics")
    )
    sketched_rows: int = field(default=0, metadata=declared(INT, at="sketched_rows", read_by="export"))
    sketches: Mapping[tuple[str, str], bytes] = field(
        default_factory=dict,
        metadata=declared(
            BYTES,
            merge=Merge.SKETCH,
            pool=Pool.ADD,
            keys=("feature", "kind"),
            at="sketches.body",
            read_by="kll: export, diagnose; hll, frequent: report (to come)",
        ),
    )
    counted_rows: int = field(
        default=0,
        metadata=declared(
            INT, at="feature_rows", formerly="output.sample.feature_rows", absent=_first_row, read_by="diagnose"
        ),
    )
    weight_square_sum: int = field(
        default=0,
        metadata=declared(
            INT,
            at="feature_weight_square_sum",
            formerly="output.sample.feature_weight_square_sum",
            absent=_first_row,
            read_by="diagnose",
        ),
    )
    failed_cells: Counts = field(
        default_factory=lambda: np.zeros((0, 0), dtype=np.int64),
        metadata=declared(
            INT,
            "feature",
            "cell",
            merge=Merge.EXTEND,
            pool=Pool.ESTIMATE,
            stored=Stored.SPARSE,
            moments=("rows",),
            at="failed_features.cells",
            read_by="diagnose",
        ),
    )
    row_fingerprint: int = field(default=0, metadata=declared(UINT, at="row_fingerprint", read_by="forensics"))
    fingerprinted_rows: int = field(default=0, metadata=declared(INT, at="fingerprinted_rows", read_by="forensics"))
    fingerprint_definition: str = field(
        default="", metadata=declared(TEXT, merge=Merge.SAME, at="fingerprint_definition", read_by="forensics")
    )

    @property
    def is_exact(self) -> bool:
        """Whether every row was read: then cells are counts, not estimates."""
        return self.weight_square_sum == self.counted_rows

    @property
    def evidence_ratio(self) -> float:
        """Number of independent rows per counted row, at most 1; see `evidence_ratio`."""
        estimated = int(self.cells[0].sum()) if len(self.cells) else 0
        return evidence_ratio(estimated, self.weight_square_sum)


@dataclass(frozen=True, slots=True, eq=False)
class LabelCounts:
    """Outcomes of predictions *made* in this window, whenever their labels came.

    A corrected label is counted again in *outcomes* and its former count in *retractions*, so that both only grow (a
    counter downstream must), and *lag_counts* keeps each prediction's first label. All other tables are net: a part of a
    window may hold negative counts, the sum of all parts does not.

    Attributes:
        outcomes: labelled rows by (result, lag): result is ``correct`` or ``incorrect`` (classification), lag one of
            `LAGS`.
        calibration: per confidence bin (labelled rows, correct rows, sum of confidence), shape (CONFIDENCE_BINS, 3).
        classes: names of the label classes; ``value`` for a regression.
        class_counts: labels per class, shape (classes,).
        lag_counts: first labels per class and bucket of *lag_edges_s*, for carriers; shape
            (classes, len(lag_edges_s) + 1).
        lag_edges_s: upper bounds in seconds, inclusive.
        residual_sum: regression: sum of (label - value).
        residual_square_sum: regression: sum of (label - value)**2.
        residual_absolute_sum: regression: sum of abs(label - value).
        retractions: rows of *outcomes* that a correction took back, by the same keys.
        lags: labels in force per class and bucket of `radiosonde.model.LAG`, shape (classes, 100); or (0, 0)
            where there are no classes, or a former version of Radiosonde counted.
        joint: per (predicted class, label class): per confidence bin (rows, sum of confidence, sum of its squares), shape
            (CONFIDENCE_BINS + 1, 3); the last line is for predictions that carried no confidence (sums 0).
        grid: identity of the grid of *cells*; ``""`` without any.
        features: feature names, in the order of the rows of *cells*.
        cells: labelled rows per feature and cell, by label class; each shape (features, columns). Rows labelled with a
            receipt carry no cells. The columns are those of `FeatureCounts.cells`, or fewer where the process that
            joined the labels did not know the grid: `radiosonde.model.widened` adds the body cells that never occurred.
        residual_cells: per feature and cell (rows, sum of the residual, sum of its squares), shape
            (features, columns, 3); or (0, 0, 3). The residual is label minus value; for two classes it is
            (label is the second class) minus its probability; for more (or when the classes are not known), (label is
            the predicted class) minus confidence. Rows without a confidence have none.
        never: predictions whose label did not come within the join's age limit.
        correct_retractions: per confidence bin the correct rows of *calibration* subtracted by corrections, shape
            (CONFIDENCE_BINS,). A table and its retractions add up to the total count, which only grows: carriers
            export that, and the retractions, as two counters.
        joint_retractions: counts of *joint* subtracted by corrections, in the same form.
        residuals_counted: regression: of all labels ever counted, the sum of (label - value) where it is positive, of its
            absolute value where it is negative, and of its square, shape (3,).
        residuals_retracted: amounts of *residuals_counted* subtracted by corrections, shape (3,).
        odds: per (predicted class, label class) of two classes: rows per bin of the log-odds of the confidence, shape (LOG_ODDS_BINS, 1). Rows
            without a confidence are in none; a former version counted none.
        lag_sums_s: sum of the lags of *lag_counts* in seconds, per class, shape (classes,), or (0,) from a former version. A
            lag that is not known, or below zero, adds nothing.
    """

    outcomes: Mapping[tuple[str, str], int] = field(
        metadata=declared(INT, keys=("result", "lag"), stored=Stored.PAIRS, read_by="export, diagnose, quality")
    )
    calibration: Sums = field(
        metadata=declared(
            FLOAT,
            "confidence",
            "moment",
            pool=Pool.NET,
            stored=Stored.COLUMNS,
            moments=("labelled", "correct", "confidence_sums"),
            read_by="export",
        )
    )
    classes: tuple[str, ...] = field(
        metadata=declared(TEXT, "label", merge=Merge.UNION, read_by="export, diagnose, quality")
    )
    class_counts: Counts = field(metadata=declared(INT, "label", pool=Pool.NET, read_by="export, diagnose, quality"))
    lag_counts: Counts = field(metadata=declared(INT, "label", "lag edge+1", read_by="export"))
    lag_edges_s: tuple[float, ...] = field(metadata=declared(FLOAT, "lag edge", merge=Merge.COMMON, read_by="export"))
    residual_sum: float = field(default=0.0, metadata=declared(FLOAT, pool=Pool.NET, read_by="export, quality"))
    residual_square_sum: float = field(default=0.0, metadata=declared(FLOAT, pool=Pool.NET, read_by="export, quality"))
    retractions: Mapping[tuple[str, str], int] = field(
        default_factory=dict,
        metadata=declared(
            INT, keys=("result", "lag"), stored=Stored.PAIRS, at="label_tables.retractions", read_by="export, diagnose"
        ),
    )
    never: int = field(default=0, metadata=declared(INT, at="label_tables.never", read_by="export, quality"))
    residual_absolute_sum: float = field(
        default=0.0,
        metadata=declared(FLOAT, pool=Pool.NET, at="label_tables.residual_absolute_sum", read_by="quality"),
    )
    lags: Counts = field(
        default_factory=lambda: np.zeros((0, 0), dtype=np.int64),
        metadata=declared(
            INT, "label", "lag", pool=Pool.NET, stored=Stored.SPAN, at="label_tables.lags", read_by="diagnose, quality"
        ),
    )
    joint: Mapping[tuple[str, str], Sums] = field(
        default_factory=dict,
        metadata=declared(
            FLOAT,
            "confidence or none",
            "moment",
            pool=Pool.NET,
            stored=Stored.LINES,
            keys=("predicted", "label"),
            moments=("rows", "confidence_sum", "confidence_square_sum"),
            at="label_tables.joint",
            read_by="export, diagnose, quality",
        ),
    )
    odds: Mapping[tuple[str, str], Counts] = field(
        default_factory=dict,
        metadata=declared(
            INT,
            "log-odds",
            "row",
            pool=Pool.NET,
            stored=Stored.LINES,
            keys=("predicted", "label"),
            moments=("rows",),
            at="label_tables.odds",
            read_by="quality",
        ),
    )
    correct_retractions: Counts = field(
        default_factory=lambda: np.zeros(20, dtype=np.int64),
        metadata=declared(INT, "confidence", at="label_tables.correct_retractions", read_by="export"),
    )
    joint_retractions: Mapping[tuple[str, str], Sums] = field(
        default_factory=dict,
        metadata=declared(
            FLOAT,
            "confidence or none",
            "moment",
            stored=Stored.LINES,
            keys=("predicted", "label"),
            moments=("rows", "confidence_sum", "confidence_square_sum"),
            at="label_tables.joint_retractions",
            read_by="export",
        ),
    )
    residuals_counted: Sums = field(
        default_factory=lambda: np.zeros(3),
        metadata=declared(FLOAT, "moment", at="label_tables.residuals_counted", read_by="export"),
    )
    residuals_retracted: Sums = field(
        default_factory=lambda: np.zeros(3),
        metadata=declared(FLOAT, "moment", at="label_tables.residuals_retracted", read_by="export"),
    )
    lag_sums_s: Sums = field(
        default_factory=lambda: np.zeros(0),
        metadata=declared(FLOAT, "label", at="label_tables.lag_sums_s", read_by="export"),
    )
    grid: str = field(
        default="",
        metadata=declared(TEXT, merge=Merge.GIVEN, alike="grids of cells", at="label_tables.grid", read_by="diagnose"),
    )
    features: tuple[str, ...] = field(
        default=(),
        metadata=declared(TEXT, "feature", merge=Merge.GIVEN, at="label_tables.features", read_by="diagnose"),
    )
    cells: Mapping[str, Counts] = field(
        default_factory=dict,
        metadata=declared(
            INT,
            "feature",
            "cell",
            merge=Merge.EXTEND,
            pool=Pool.NET,
            stored=Stored.SPARSE,
            keys=("label",),
            moments=("rows",),
            at="label_cells.cells",
            formerly="label_tables.cells",
            read_by="people: Python, Parquet",
        ),
    )
    residual_cells: Sums = field(
        default_factory=lambda: np.zeros((0, 0, 3)),
        metadata=declared(
            FLOAT,
            "feature",
            "cell",
            "moment",
            merge=Merge.EXTEND,
            pool=Pool.NET,
            stored=Stored.SPARSE,
            moments=("rows", "sums", "square_sums"),
            at="label_cells.residual_cells",
            formerly="label_tables.residual_cells",
            read_by="people: Python, Parquet",
        ),
    )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Window:
    """Everything counted for one series in ``[start_ns, end_ns)`` of event time by one process.

    A window may arrive in several parts with the same key and bounds (late rows, late labels, several processes):
    parts are deltas and merge by addition.

    Attributes:
        key: the series.
        start_ns: start in nanoseconds since the Unix epoch, inclusive.
        end_ns: end in nanoseconds since the Unix epoch, exclusive.
        process: identity of the process that counted (``service.instance.id``); ``""`` after a merge over processes.
        calls: calls of the observed function (a batch is one call), errors included.
        rows: predicted rows.
        errors: calls that raised, by exception type name.
        batch_sizes: calls per batch-size bucket: bucket *i* holds sizes in [2**i, 2**(i+1)), shape (21,); empty
            batches are in *calls* only.
        latency: durations and phases.
        output: classes, confidence, values.
        features: cells and sketches; None when no features were recorded.
        labels: outcomes; None when no label arrived.
        runtime: health of the process; None but in windows of `RUNTIME_KEY`.
        lost: windows that the process could not store; None but in some of `RUNTIME_KEY`.
    """

    key: SeriesKey = field(metadata=declared(TEXT, "key", merge=Merge.ALIKE, at="key", read_by="everything"))
    start_ns: int = field(metadata=declared(INT, merge=Merge.SMALLEST, read_by="everything"))
    end_ns: int = field(metadata=declared(INT, merge=Merge.LARGEST, pool=Pool.APART, read_by="everything"))
    process: str = field(metadata=declared(TEXT, merge=Merge.SAME, read_by="diagnose, export"))
    calls: int = field(metadata=declared(INT, read_by="export, diagnose"))
    rows: int = field(metadata=declared(INT, read_by="export, diagnose"))
    errors: Mapping[str, int] = field(metadata=declared(INT, keys=("error",), read_by="export, diagnose"))
    batch_sizes: Counts = field(metadata=declared(INT, "batch size", read_by="export"))
    latency: LatencyCounts = field(metadata=counted_group(LatencyCounts))
    output: OutputCounts = field(metadata=counted_group(OutputCounts))
    features: FeatureCounts | None = field(default=None, metadata=counted_group(FeatureCounts))
    labels: LabelCounts | None = field(default=None, metadata=counted_group(LabelCounts))
    runtime: RuntimeCounts | None = field(default=None, metadata=counted_group(RuntimeCounts))
    lost: LostCounts | None = field(default=None, metadata=counted_group(LostCounts))

    @property
    def is_fingerprinted(self) -> bool:
        """Whether the fingerprints are of the present definition and cover every row: no row was sampled, and none was unreadable."""
        features = self.features
        if features is None or features.fingerprint_definition != DEFINITION:
            return False
        return features.fingerprinted_rows == _first_row({"cells": features.cells}) >= self.rows

    @property
    def is_of_sketches(self) -> bool:
        """Whether this part holds only sketches: a store keeps those of many windows in one (`radiosonde.store.compact`)."""
        features = self.features
        return self.calls == 0 and self.labels is None and features is not None and not features.cells.any()

    def __repr__(self) -> str:
        return f"<{window_words(self)}>"

    def _repr_html_(self) -> str:
        return window_html(self)
