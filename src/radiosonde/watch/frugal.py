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

_PART_NS, _PARTS = 12 * 3600 * 1_000_000_000, 5


def frugal_windows(source: StoredSource, model: str, last_ns: int) -> list[Window]:
    """Return all windows of *model* from *source*, of which the newest ends about *last_ns*.

    Raises:
        StoreError: a place has become unreadable.
    """
    bounds = [None, *(last_ns - number * _PART_NS for number in range(_PARTS, 0, -1)), None]
    found: list[Window] = []
    for start_ns, end_ns in pairwise(bounds):
        part = source.windows(start_ns, end_ns, model)
        # A window over the bound is in both parts.
        found += [_narrowed(each) for each in part if start_ns is None or each.start_ns >= start_ns]
    return found


def _narrowed(window: Window) -> Window:
    features = window.features
    if features is None or not features.cells.size:
        return window
    most = int(features.cells.max())
    kind = np.int16 if most <= np.iinfo(np.int16).max else np.int32 if most <= np.iinfo(np.int32).max else np.int64
    return replace(window, features=replace(features, cells=features.cells.astype(kind)))
