"""The Parquet side of a store: column types, and rows of SQLite turned into Arrow tables.

Chosen so that DuckDB, Spark and ClickHouse read the files as they are: plain lists, maps with string keys, structs with
the field names of the JSON documents, unsigned 64-bit fingerprints (whose ``sum`` wraps in ClickHouse as it should).
Instants are there twice: ``start_time`` in microseconds UTC, because Spark refuses nanoseconds, and ``start_ns``, which is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from radiosonde.store.rows import Row

_COUNTS = pa.list_(pa.int64())
_SUMS = pa.list_(pa.float64())
_NAMES = pa.list_(pa.string())
_INSTANT = pa.timestamp("us", tz="UTC")

_EXEMPLAR = pa.struct(
    {
        "bucket": pa.int64(),
        "value_s": pa.float64(),
        "time_ns": pa.int64(),
        "trace_id": pa.string(),
        "span_id": pa.string(),
    }
)
_LATENCY = pa.struct(
    {
        "scale": pa.int64(),
        "offset": pa.int64(),
        "counts": _COUNTS,
        "sums_s": _SUMS,
        "phases": pa.map_(pa.string(), _SUMS),
        "edges_s": _SUMS,
        "edge_counts": _COUNTS,
        "exemplars": pa.list_(_EXEMPLAR),
    }
)
_OUTPUT = pa.struct(
    {
        "classes": _NAMES,
        "class_counts": _COUNTS,
        "confidence": pa.list_(_COUNTS),
        "confidence_sums": pa.list_(_SUMS),
        "value_edges": _SUMS,
        "value_counts": _COUNTS,
        "value_sum": pa.float64(),
        "unreadable": pa.int64(),
        "sample": pa.struct(
            {
                "rows": pa.int64(),
                "weight_square_sum": pa.int64(),
                "feature_rows": pa.int64(),
                "feature_weight_square_sum": pa.int64(),
            }
        ),
    }
)
_OUTCOMES = pa.list_(pa.struct({"result": pa.string(), "lag": pa.string(), "rows": pa.int64()}))
_LABELS = pa.struct(
    {
        "outcomes": _OUTCOMES,
        "calibration": pa.struct({"labelled": _SUMS, "correct": _SUMS, "confidence_sums": _SUMS}),
        "classes": _NAMES,
        "class_counts": _COUNTS,
        "lag_counts": pa.list_(_COUNTS),
        "lag_edges_s": _SUMS,
        "residual_sum": pa.float64(),
        "residual_square_sum": pa.float64(),
    }
)

_JOINT = pa.struct(
    {
        "predicted": pa.string(),
        "label": pa.string(),
        "bin": pa.int64(),
        "rows": pa.float64(),
        "confidence_sum": pa.float64(),
        "confidence_square_sum": pa.float64(),
    }
)
# A column of its own and not more fields of `labels`: engines add a missing column, but not all of them
# (DuckDB 1.1 refuses) read structs of different fields together.
_LABEL_TABLES = pa.struct(
    {
        "retractions": _OUTCOMES,
        "never": pa.int64(),
        "residual_absolute_sum": pa.float64(),
        "lags": pa.struct({"scale": pa.int64(), "offset": pa.int64(), "counts": pa.list_(_COUNTS)}),
        "joint": pa.list_(_JOINT),
        "grid": pa.string(),
        "features": _NAMES,
        "width": pa.int64(),
        "cells": pa.map_(pa.string(), pa.struct({"places": _COUNTS, "rows": _COUNTS})),
        "residual_cells": pa.struct({"places": _COUNTS, "rows": _SUMS, "sums": _SUMS, "square_sums": _SUMS}),
    }
)

_DURATIONS = pa.struct({"scale": pa.int64(), "offset": pa.int64(), "counts": _COUNTS, "sum_s": pa.float64()})
_RUNTIME = pa.struct(
    {
        "observed_s": pa.float64(),
        "cpu_s": pa.float64(),
        "periods": pa.int64(),
        "throttled_periods": pa.int64(),
        "throttled_s": pa.float64(),
        "rss_bytes": pa.int64(),
        "gpu_bytes": pa.int64(),
        "gc_pauses": _DURATIONS,
        "loop_lags": _DURATIONS,
        "pool_waits": _DURATIONS,
    }
)

WINDOWS = pa.schema(
    {
        "window_id": pa.int64(),
        "process": pa.string(),
        "start_ns": pa.int64(),
        "end_ns": pa.int64(),
        "start_time": _INSTANT,
        "end_time": _INSTANT,
        "model": pa.string(),
        "version": pa.string(),
        "variant": pa.string(),
        "cohort": pa.string(),
        "calls": pa.int64(),
        "rows": pa.int64(),
        "errors": pa.map_(pa.string(), pa.int64()),
        "batch_sizes": _COUNTS,
        "latency": _LATENCY,
        "output": _OUTPUT,
        "labels": _LABELS,
        "grid": pa.string(),
        "reference_id": pa.string(),
        "provisional": pa.bool_(),
        "sketched_rows": pa.int64(),
        "written_ns": pa.int64(),
        "label_tables": _LABEL_TABLES,
        "runtime": _RUNTIME,
    }
)
FEATURES = pa.schema(
    {
        "window_id": pa.int64(),
        "position": pa.int64(),
        "feature": pa.string(),
        "cells": _COUNTS,
        "fingerprint": pa.uint64(),
    }
)
SKETCHES = pa.schema({"window_id": pa.int64(), "feature": pa.string(), "kind": pa.string(), "body": pa.binary()})
REFERENCES = pa.schema(
    {
        "model": pa.string(),
        "version": pa.string(),
        "reference_id": pa.string(),
        "document": pa.string(),
        "written_ns": pa.int64(),
    }
)

_TEXT_FIELDS = frozenset({"classes", "result", "lag", "trace_id", "span_id", "predicted", "label", "grid", "features"})


def windows_table(parts: Sequence[dict[str, Any]]) -> pa.Table:
    """Return table ``windows`` of *parts*: columns by name, documents parsed, ids already unique."""
    try:
        return pa.Table.from_pylist([_record(part) for part in parts], schema=WINDOWS)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # a number that is not finite, which JSON carries as text
        finite = [
            {
                **part,
                **{name: _numbers(part[name]) for name in ("latency", "output", "labels", "label_tables", "runtime")},
            }
            for part in parts
        ]
        return pa.Table.from_pylist([_record(part) for part in finite], schema=WINDOWS)


def rows_table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """Return the table of *rows*, whose cells are in the order of *schema*."""
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(list(column), type=kind.type) for column, kind in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _record(part: dict[str, Any]) -> dict[str, Any]:
    tables = part["label_tables"]
    return {
        **part,
        "start_time": part["start_ns"] // 1000,
        "end_time": part["end_ns"] // 1000,
        "errors": list(part["errors"].items()),
        "latency": {**part["latency"], "phases": list(part["latency"]["phases"].items())},
        "label_tables": None if tables is None else {**tables, "cells": list(tables["cells"].items())},
        "provisional": None if part["provisional"] is None else bool(part["provisional"]),
    }


def _numbers(document: Any) -> Any:
    """Return *document* with texts that stand for numbers as numbers; fields that hold text stay."""
    if isinstance(document, dict):
        return {name: value if name in _TEXT_FIELDS else _numbers(value) for name, value in document.items()}
    if isinstance(document, list):
        return [_numbers(value) for value in document]
    return float(document) if isinstance(document, str) else document
