"""Blocks and streams built by hand, and a monotonic clock that is set explicitly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from radiosonde._aggregate.stream import Stream
from radiosonde._ring.arena import BatchArena
from radiosonde._ring.block import Block
from radiosonde._ring.layout import DONE, HEADER, INPUT_ROW
from radiosonde.reference.profile import Reference

NS = 1_000_000_000
MINUTE_NS = 60 * NS
START_NS = 1_362_096_000 * NS


@dataclass
class Clock:
    """A clock for ``_aggregate``."""

    now_ns: int = 0

    def __call__(self) -> int:
        return self.now_ns

    def pass_s(self, seconds: float) -> None:
        self.now_ns += round(seconds * NS)


def stream(reference: Reference | None = None, categories: Sequence[list[str] | None] = (None,)) -> Stream:
    """Return a stream of features ``f0``, ``f1``, ...; with *reference*, of its features."""
    made = Stream(
        model="delays",
        version="1",
        variant="stable",
        cohorts=["", "plan=pro"],
        classes=["no", "yes"],
        errors=["", "ValueError"],
        phases=["fetch"],
        features=tuple(f"f{place}" for place in range(len(categories))),
        categories=tuple(categories),
        arena=BatchArena(65_536),
    )
    if reference is not None:
        made.features = tuple(feature.name for feature in reference.features)
        made.adopt(reference)
    return made


def block(events_s: Sequence[float], rows: Sequence[Sequence[float]] | None = None, series: int = 0) -> Block:
    """Return single-row records of event times *events_s* after the start, with no output."""
    headers = np.zeros(len(events_s), dtype=HEADER)
    headers["event_ns"] = [START_NS + round(event * NS) for event in events_s]
    headers["start_ns"] = START_NS
    headers["series"], headers["rows"], headers["kept"], headers["step"] = series, 1, 1, 1
    headers["class_code"], headers["confidence"], headers["score"] = -1, np.nan, np.nan
    headers["duration_ns"] = NS
    headers["mark"] = (np.arange(len(events_s)) + 1) * 4 + DONE
    if rows is not None:
        headers["input_kind"] = INPUT_ROW
    values = np.zeros((len(events_s), 1)) if rows is None else np.array(rows, dtype=np.float64)
    return Block(headers, values, np.arange(len(events_s)))
