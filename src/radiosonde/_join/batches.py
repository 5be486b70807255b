"""Serialises batches and stated values for stores on disk or on a server.

What many outcomes share (series, classes, features, grid) is written once; their cells follow each other in one blob.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from radiosonde._join.matching import Stated, Statement
from radiosonde._join.store import Batch
from radiosonde.model import Outcome, SeriesKey


def encode_batch(batch: Batch) -> tuple[str, bytes]:
    """Return a batch as a JSON document and the cells of its outcomes."""
    shared: dict[tuple[object, ...], int] = {}
    sharing: list[tuple[object, ...]] = []
    rows = []
    for each in batch.outcomes:
        # Told apart by identity: outcomes of one join share their tuples, and hashing 30 names each would cost more.
        same = (each.key, id(each.classes), id(each.features), each.grid, len(each.cells))
        place = shared.setdefault(same, len(shared))
        if place == len(sharing):
            sharing.append((each.key, each.classes, each.features, each.grid, len(each.cells)))
        rows.append((
            place, each.event_ns, each.predicted, each.confidence, each.value, each.label, each.lag_s, each.former,
            each.former_lag_s,
        ))  # fmt: skip
    document = json.dumps({"results": dict(batch.results), "shared": sharing, "outcomes": rows}, separators=(",", ":"))
    return document, b"".join([each.cells for each in batch.outcomes])


def decode_batch(batch_id: str, document: str | bytes, cells: bytes) -> Batch:
    """Decode the result of `encode_batch`."""
    written = json.loads(document)
    sharing = [
        (SeriesKey(*key), tuple(classes), tuple(features), grid, width)
        for key, classes, features, grid, width in written["shared"]
    ]
    outcomes, at = [], 0
    for place, event_ns, predicted, confidence, value, label, lag_s, former, former_lag_s in written["outcomes"]:
        key, classes, features, grid, width = sharing[place]
        own = cells[at : at + width]
        outcomes.append(
            Outcome(
                key,
                event_ns,
                predicted,
                confidence,
                value,
                label,
                lag_s,
                former,
                former_lag_s,
                classes,
                own,
                grid,
                features,
            )
        )
        at += width
    return Batch(batch_id, outcomes, written["results"])


def encode_stated(all_stated: Iterable[Stated]) -> list[str]:
    """Return each as JSON."""
    encode: Any = json.JSONEncoder(separators=(",", ":")).encode
    return [encode((stated.has_cells, *stated.statements)) for stated in all_stated]


def decode_stated(document: str | bytes) -> Stated:
    """Decode the result of `encode_stated`."""
    has_cells, *statements = json.loads(document)
    return Stated(tuple(Statement(*statement) for statement in statements), has_cells)
