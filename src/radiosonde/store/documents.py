"""The nested groups of a window as plain documents, and back, without losing a bit.

A document holds only what both carriers can: in SQLite it is JSON text, in Parquet a struct with the same field names,
so ``latency.counts`` means the same in either. Latency tables are trimmed to the buckets that hold something; *offset*
is the index of the first one in OpenTelemetry's ExponentialHistogram numbering at *scale*. Ids of traces and spans are
hexadecimal text because no SQL engine has a 128-bit integer that all the others can read.

Reading takes lists or numpy arrays alike: the SQLite side hands over parsed JSON, the Parquet side slices of columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde.errors import StoreError
from radiosonde.model import CONFIDENCE_BINS, LATENCY, Exemplar, FeatureCounts, LatencyCounts, OutputCounts

Document = Mapping[str, Any]


def latency_document(latency: LatencyCounts) -> dict[str, Any]:
    """Return the document of *latency*: occupied buckets only, phases by name."""
    occupied = (latency.counts != 0) | (latency.sums_s != 0) | (latency.phase_sums_s != 0).any(axis=0)
    index = np.flatnonzero(occupied)
    first, end = (int(index[0]), int(index[-1]) + 1) if index.size else (0, 0)
    return {
        "scale": LATENCY.scale,
        "offset": LATENCY.offset + first,
        "counts": latency.counts[first:end].tolist(),
        "sums_s": latency.sums_s[first:end].tolist(),
        "phases": dict(zip(latency.phases, latency.phase_sums_s[:, first:end].tolist(), strict=True)),
        "edges_s": [float(edge) for edge in latency.edges_s],
        "edge_counts": latency.edge_counts.tolist(),
        "exemplars": [
            {
                "bucket": int(bucket),
                "value_s": float(exemplar.value_s),
                "time_ns": int(exemplar.time_ns),
                "trace_id": f"{exemplar.trace_id:032x}",
                "span_id": f"{exemplar.span_id:016x}",
            }
            for bucket, exemplar in latency.exemplars.items()
        ],
    }


def latency_from(document: Document) -> LatencyCounts:
    """Return the latency counts of *document*.

    Raises:
        StoreError: the table has another geometry than this version of Radiosonde counts with.
    """
    first = int(document["offset"]) - LATENCY.offset
    size = len(document["counts"])
    if document["scale"] != LATENCY.scale or first < 0 or first + size > LATENCY.size:
        raise StoreError(
            f"a latency table of scale {document['scale']}, offset {document['offset']} does not fit scale "
            f"{LATENCY.scale}; read this store with the version of Radiosonde that wrote it"
        )
    counts = np.zeros(LATENCY.size, dtype=np.int64)
    sums_s = np.zeros(LATENCY.size)
    phases: Mapping[str, Any] = document["phases"]
    phase_sums_s = np.zeros((len(phases), LATENCY.size))
    counts[first : first + size] = document["counts"]
    sums_s[first : first + size] = document["sums_s"]
    for row, values in enumerate(phases.values()):
        phase_sums_s[row, first : first + size] = values
    return LatencyCounts(
        counts=counts,
        sums_s=sums_s,
        phases=tuple(phases),
        phase_sums_s=phase_sums_s,
        edges_s=tuple(float(edge) for edge in document["edges_s"]),
        edge_counts=counts_from(document["edge_counts"]),
        exemplars={
            int(entry["bucket"]): Exemplar(
                float(entry["value_s"]), int(entry["time_ns"]), int(entry["trace_id"], 16), int(entry["span_id"], 16)
            )
            for entry in document["exemplars"]
        },
    )


def output_document(output: OutputCounts, features: FeatureCounts | None) -> dict[str, Any]:
    """Return the document of *output*; its tables are lists in the order of ``classes``.

    ``sample`` says how many rows the counts come from, those of the features included: without a column of its own, so
    that stores from before it existed are read and written as they are.
    """
    return {
        "classes": list(output.classes),
        "class_counts": output.class_counts.tolist(),
        "confidence": output.confidence.tolist(),
        "confidence_sums": output.confidence_sums.tolist(),
        "value_edges": output.value_edges.tolist(),
        "value_counts": output.value_counts.tolist(),
        "value_sum": float(output.value_sum),
        "unreadable": int(output.unreadable),
        "sample": {
            "rows": int(output.counted_rows),
            "weight_square_sum": int(output.weight_square_sum),
            "feature_rows": 0 if features is None else int(features.counted_rows),
            "feature_weight_square_sum": 0 if features is None else int(features.weight_square_sum),
        },
    }


def output_from(document: Document) -> OutputCounts:
    """Return the output counts of *document*."""
    classes = tuple(document["classes"])
    class_counts, value_counts = counts_from(document["class_counts"]), counts_from(document["value_counts"])
    counted_rows, weight_square_sum = _sample(document, "", int(class_counts.sum()) + int(value_counts.sum()))
    return OutputCounts(
        classes=classes,
        class_counts=class_counts,
        confidence=counts_from(document["confidence"]).reshape(len(classes), CONFIDENCE_BINS),
        confidence_sums=sums_from(document["confidence_sums"]).reshape(len(classes), CONFIDENCE_BINS),
        value_edges=sums_from(document["value_edges"]),
        value_counts=value_counts,
        value_sum=float(document["value_sum"]),
        unreadable=int(document["unreadable"]),
        counted_rows=counted_rows,
        weight_square_sum=weight_square_sum,
    )


def feature_sample(document: Document, rows: int) -> tuple[int, int]:
    """Return (counted rows, sum of squared weights) of the features beside an output's *document*.

    Args:
        document: of the output.
        rows: what a feature's cells sum to; taken for rows that each stand for themselves where nothing is said.
    """
    return _sample(document, "feature_", rows)


def _sample(document: Document, group: str, rows: int) -> tuple[int, int]:
    sample = document.get("sample")
    if sample is None:
        return rows, rows
    return int(sample[f"{group}rows"]), int(sample[f"{group}weight_square_sum"])


def counts_from(values: Any) -> NDArray[np.int64]:
    """Return an integer table."""
    return np.array(values, dtype=np.int64)


def sums_from(values: Any) -> NDArray[np.float64]:
    """Return a table of floats."""
    # Accepts the text of a number that is not finite, which is how JSON carries it (`rows.to_json`).
    return np.array(values, dtype=np.float64)
