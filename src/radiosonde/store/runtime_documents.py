"""The health of a process as a plain document, and back, without losing a bit; tables are trimmed like latencies'."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from radiosonde.errors import StoreError
from radiosonde.model import LATENCY, DurationCounts, RuntimeCounts
from radiosonde.store.documents import Document


def runtime_document(runtime: RuntimeCounts) -> dict[str, Any]:
    """Return the document of *runtime*; its fields have the names of `RuntimeCounts`."""
    values = {each.name: getattr(runtime, each.name) for each in fields(runtime)}
    return {name: _trimmed(value) if isinstance(value, DurationCounts) else value for name, value in values.items()}


def runtime_from(document: Document) -> RuntimeCounts:
    """Return the counts of *document*.

    Raises:
        StoreError: a table has another geometry than this version of Radiosonde counts with.
    """
    return RuntimeCounts(
        observed_s=float(document["observed_s"]),
        cpu_s=float(document["cpu_s"]),
        periods=int(document["periods"]),
        throttled_periods=int(document["throttled_periods"]),
        throttled_s=float(document["throttled_s"]),
        rss_bytes=int(document["rss_bytes"]),
        gpu_bytes=int(document["gpu_bytes"]),
        gc_pauses=_whole(document["gc_pauses"]),
        loop_lags=_whole(document["loop_lags"]),
        pool_waits=_whole(document["pool_waits"]),
    )


def _trimmed(table: DurationCounts) -> dict[str, Any]:
    occupied = np.flatnonzero(table.counts)
    first, end = (int(occupied[0]), int(occupied[-1]) + 1) if occupied.size else (0, 0)
    counts = table.counts[first:end].tolist()
    return {"scale": LATENCY.scale, "offset": LATENCY.offset + first, "counts": counts, "sum_s": float(table.sum_s)}


def _whole(document: Document) -> DurationCounts:
    first, size = int(document["offset"]) - LATENCY.offset, len(document["counts"])
    if document["scale"] != LATENCY.scale or first < 0 or first + size > LATENCY.size:
        raise StoreError(
            f"a table of durations of scale {document['scale']}, offset {document['offset']} does not fit scale "
            f"{LATENCY.scale}; read this store with the version of Radiosonde that wrote it"
        )
    counts = np.zeros(LATENCY.size, dtype=np.int64)
    counts[first : first + size] = document["counts"]
    return DurationCounts(counts, float(document["sum_s"]))
