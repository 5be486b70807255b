"""Predictions by hand, for tests of join stores."""

from __future__ import annotations

from typing import Any

import numpy as np

from radiosonde._join.store import PREDICTION, LaneNames, Predictions

S = 1_000_000_000
BASE_NS = 1_700_000_000 * S
"""Start of the record with index 0; each next one starts a second later."""

CLASSES = LaneNames(
    nonce=7, model="delays", version="2", variant="stable", cohorts=("", "plan=pro"), classes=("no", "yes"), declared=2,
    features=("wind", "rain", "age"), grid="g1",
)  # fmt: skip
VALUES = LaneNames(nonce=9, model="eta", version="", variant="canary")
RECEIPT = LaneNames(
    nonce=7, model="delays", version="2", variant="stable", cohorts=("plan=pro",), classes=("yes",), declared=0
)
"""Contents of a receipt for a prediction of `CLASSES`: its own codes, no cells."""


def start_ns(index: Any, epoch_ns: int = BASE_NS) -> Any:
    """Return when the record with this index started."""
    return epoch_ns + index % 65_536 * S


def id_of(lane: LaneNames, index: int, epoch_ns: int = BASE_NS) -> str:
    """Return the prediction id."""
    return f"{start_ns(index, epoch_ns):016x}{lane.nonce:08x}{index & 0xFFFFFFFF:08x}"


def predictions(lane: LaneNames, indices: list[int], epoch_ns: int = BASE_NS, **fields: object) -> Predictions:
    """Return records: odd ones are class 1 in cohort 1 (or the value 10.5), even ones class 0 (or 10)."""
    rows = np.zeros(len(indices), dtype=PREDICTION)
    index = rows["index"] = np.array(indices, dtype=np.int64)
    rows["start_ns"] = start_ns(index, epoch_ns)
    rows["event_ns"] = rows["start_ns"] - 60 * S
    odd = index % 2
    if lane is VALUES:
        rows["score"], rows["confidence"], rows["class_code"] = 10 + odd / 2, np.nan, -1
    else:
        rows["score"], rows["confidence"] = np.nan, 0.75
        rows["class_code"] = rows["series"] = 0 if lane is RECEIPT else odd
    for name, value in fields.items():
        rows[name] = value
    cells = np.stack([(index + place) % 14 for place in range(len(lane.features))], axis=-1) if lane.features else None
    width = np.zeros((len(indices), 0), dtype=np.uint8)
    return Predictions(lane, rows, width if cells is None else cells.astype(np.uint8))
