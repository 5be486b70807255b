"""Reads the windows of a model in a half to a quarter of the memory: their cells in numbers as small as hold them.

A cell of a minute is counted in 64 bits and seldom above some thousands; with 200 features and two days of minutes that is 64 MiB. A diagnosis
adds cells up as floats, so nothing can overflow that fits at first. They are read in parts, each narrowed before the next is read.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from radiosonde.model import Window
    from radiosonde.sources import StoredSource

_PART_NS, _PARTS = 3600 * 1_000_000_000, 60
_LONG_NS = 10 * 86_400 * 1_000_000_000
"""Length of a part, and number of parts: minutes of two days and more. Before that are hours, and parts are this long."""


def frugal_windows(source: StoredSource, model: str, first_ns: int, last_ns: int) -> list[Window]:
    """Return all windows of *model* from *source*, of which the oldest begins and the newest ends about the instants given.

    Raises:
        StoreError: a place has become unreadable.
    """
    recent_ns = last_ns - _PARTS * _PART_NS
    early = range(first_ns + _LONG_NS, recent_ns, _LONG_NS)
    bounds = [None, *early, *(recent_ns + number * _PART_NS for number in range(_PARTS)), None]
    found: list[Window] = []
    for start_ns, end_ns in pairwise(bounds):
        part = source.windows(start_ns, end_ns, model)
        # A window over the bound is in both parts.
        found += [_narrowed(each) for each in part if start_ns is None or each.start_ns >= start_ns]
    return found


def _narrowed(window: Window) -> Window:
    latency, features = window.latency, window.features
    if latency.counts.max(initial=0) <= np.iinfo(np.int32).max:
        window = replace(window, latency=replace(latency, counts=latency.counts.astype(np.int32)))
    if features is None or not features.cells.size:
        return window
    most = int(features.cells.max())
    kind = np.int16 if most <= np.iinfo(np.int16).max else np.int32 if most <= np.iinfo(np.int32).max else np.int64
    return replace(window, features=replace(features, cells=features.cells.astype(kind)))
