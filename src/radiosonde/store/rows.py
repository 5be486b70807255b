"""A window as table rows, and back: the one place that knows which column holds which field.

JSON columns are strict JSON (any ``json_each`` or ``JSON_EXTRACT`` reads them): a sum that is not finite is written as
the text ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``. Floats are written with the digits that give the same double
back. Fingerprints are the same 64 bits read as a signed integer, because that is what SQLite has.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde.model import SPECIAL_CELLS, FeatureCounts, SeriesKey, Window
from radiosonde.store.documents import feature_sample, latency_document, latency_from, output_document, output_from
from radiosonde.store.label_documents import label_tables_document, labels_document, labels_from
from radiosonde.store.runtime_documents import runtime_document, runtime_from

WINDOW_COLUMNS = (
    "window_id",
    "process",
    "start_ns",
    "end_ns",
    "model",
    "version",
    "variant",
    "cohort",
    "calls",
    "rows",
    "errors",
    "batch_sizes",
    "latency",
    "output",
    "labels",
    "grid",
    "reference_id",
    "provisional",
    "sketched_rows",
    "written_ns",
    "label_tables",
    "runtime",
)
"""Columns of table ``windows``, in the order of `window_row`."""

JSON_COLUMNS = ("errors", "batch_sizes", "latency", "output", "labels", "label_tables", "runtime")

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode

_SURROGATES = re.compile("[\ud800-\udfff]")

Row = tuple[Any, ...]


@dataclass(slots=True)
class FeaturePart:
    """The rows of tables ``features`` and ``sketches`` that belong to one window, as columns."""

    names: Sequence[str] = ()
    cells: Any = ()
    fingerprints: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    sketches: Mapping[tuple[str, str], bytes] = field(default_factory=dict)


def to_json(document: Any) -> str:
    """Return compact strict JSON; numbers that are not finite become text."""
    try:
        return _encode(document)
    except ValueError:  # NaN or infinity somewhere: rare, so only then is the document walked
        return _encode(_finite(document))


def window_row(window: Window, *, process: str, written_ns: int) -> Row:
    """Return the columns of *window* after ``window_id``; *process* stands in where the window names none."""
    features, labels, key = window.features, window.labels, window.key
    return (
        window.process or process,
        int(window.start_ns),
        int(window.end_ns),
        key.model,
        key.version,
        key.variant,
        key.cohort,
        int(window.calls),
        int(window.rows),
        to_json({name: int(count) for name, count in window.errors.items()}),
        to_json(window.batch_sizes.tolist()),
        to_json(latency_document(window.latency)),
        to_json(output_document(window.output, features)),
        None if labels is None else to_json(labels_document(labels)),
        None if features is None else features.grid,
        None if features is None else features.reference_id,
        None if features is None else int(features.provisional),
        None if features is None else int(features.sketched_rows),
        written_ns,
        None if labels is None else to_json(label_tables_document(labels)),
        None if window.runtime is None else to_json(runtime_document(window.runtime)),
    )


def feature_rows(features: FeatureCounts) -> list[Row]:
    """Return (position, feature, cells, fingerprint) per feature."""
    fingerprints = features.fingerprints.view(np.int64).tolist()
    return [
        (position, name, _encode(cells), fingerprint)
        for position, (name, cells, fingerprint) in enumerate(
            zip(features.names, features.cells.tolist(), fingerprints, strict=True)
        )
    ]


def sketch_rows(features: FeatureCounts) -> list[Row]:
    """Return (feature, kind, body) per sketch."""
    return [(feature, kind, body) for (feature, kind), body in features.sketches.items()]


def window_from(columns: Mapping[str, Any], part: FeaturePart) -> Window:
    """Return the window of one row of ``windows`` and the rows that belong to it.

    Args:
        columns: values by column name, documents parsed.
        part: its features and sketches; not looked at when the row has no grid.
    """
    labels = columns["labels"]
    return Window(
        key=SeriesKey(columns["model"], columns["version"], columns["variant"], columns["cohort"]),
        start_ns=columns["start_ns"],
        end_ns=columns["end_ns"],
        process=columns["process"],
        calls=columns["calls"],
        rows=columns["rows"],
        errors=columns["errors"],
        batch_sizes=np.array(columns["batch_sizes"], dtype=np.int64),
        latency=latency_from(columns["latency"]),
        output=output_from(columns["output"]),
        features=None if columns["grid"] is None else _features_from(columns, part),
        labels=None if labels is None else labels_from(labels, columns["label_tables"]),
        runtime=None if columns["runtime"] is None else runtime_from(columns["runtime"]),
    )


def readable(rows: Iterable[Row]) -> list[Row]:
    """Return *rows* with the characters that UTF-8 cannot hold (lone surrogates) spelled out: ``U+D800``."""
    # No backslash in it: inside a JSON document that would be an escape for the very same character.
    return [tuple(_SURROGATES.sub(_spelled, cell) if isinstance(cell, str) else cell for cell in row) for row in rows]


def payload_bytes(rows: Iterable[Row]) -> int:
    """Return what *rows* hold, in bytes: text and blobs by length, numbers as eight."""
    return sum(0 if cell is None else len(cell) if isinstance(cell, str | bytes) else 8 for row in rows for cell in row)


def _features_from(columns: Mapping[str, Any], part: FeaturePart) -> FeatureCounts:
    cells = np.array(part.cells, dtype=np.int64)
    if not part.names:  # nothing was counted, so no row says how wide the table was
        cells = cells.reshape(0, len(SPECIAL_CELLS))
    rows = int(cells[0].sum()) if len(cells) else 0
    counted_rows, weight_square_sum = feature_sample(columns["output"], rows)
    return FeatureCounts(
        grid=columns["grid"],
        reference_id=columns["reference_id"],
        provisional=bool(columns["provisional"]),
        names=tuple(part.names),
        cells=cells,
        fingerprints=part.fingerprints,
        sketched_rows=columns["sketched_rows"],
        sketches=part.sketches,
        counted_rows=counted_rows,
        weight_square_sum=weight_square_sum,
    )


def _spelled(character: re.Match[str]) -> str:
    return f"U+{ord(character.group()):04X}"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return value
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return value
