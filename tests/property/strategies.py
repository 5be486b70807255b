"""Helpers for tests of merging: the empty window, and windows as plain values. They are drawn in `tests.window_strategies`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from radiosonde.model import LatencyCounts, OutputCounts, SeriesKey, Window
from tests.window_strategies import EDGES, KEY


def empty_window(key: SeriesKey = KEY) -> Window:
    """Return a window in which nothing happened."""
    nothing = np.empty(0, dtype=np.int64)
    return Window(
        key=key,
        start_ns=0,
        end_ns=60,
        process="p1",
        calls=0,
        rows=0,
        errors={},
        batch_sizes=np.zeros(21, dtype=np.int64),
        latency=LatencyCounts(
            np.zeros(240, dtype=np.int64), np.zeros(240), (), np.zeros((0, 240)), EDGES, np.zeros(4, dtype=np.int64)
        ),
        output=OutputCounts((), nothing, np.zeros((0, 20), dtype=np.int64), np.zeros((0, 20)), np.empty(0), nothing),
    )


def contents(value: object) -> object:
    """Return a window (or a part of one) as plain values that compare by content, tables by row name."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: contents(held) for name, held in value.items()}
    slots = getattr(type(value), "__slots__", None)
    if slots and not isinstance(value, tuple):
        return {name: contents(getattr(value, name)) for name in slots}
    return value
