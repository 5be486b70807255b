"""Adding windows: over processes, hosts, time and cohorts, with one result whatever the order.

Integers add exactly, float sums add, sketches merge within their stated bound. Tables whose rows have names (phases,
classes, label classes) are united by name: if all parts name the same rows in the same order that order is kept, else
the union is sorted, which is what makes the result independent of the order of the parts. A part that names no rows
(a window with errors only) has no say.

Cells add only within one grid, histograms only within one set of edges. `add_windows` raises `MergeError` on a
mismatch; `merge_windows` keeps such windows apart instead, so one redeployed reference never stops a report.

All parts of a group are added at once rather than pair by pair: a sketch is read once instead of once per merge.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.errors import MergeError
from radiosonde.model import Window
from radiosonde.sketches._merge_parts import (
    sum_by_name,
    sum_counts,
    sum_features,
    sum_labels,
    sum_latency,
    sum_output,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from radiosonde.model import SeriesKey


def add_windows(first: Window, second: Window) -> Window:
    """Return the sum of two windows of one series.

    The result spans both (start is the earlier, end the later), and keeps the process if both name the same.

    Raises:
        MergeError: the keys, grids or histogram edges differ, or a sketch is damaged.
    """
    return sum_windows((first, second))


def sum_windows(windows: Sequence[Window]) -> Window:
    """Return the sum of one or more windows of one series; a single window is returned as it is.

    Raises:
        MergeError: there is no window, keys, grids or histogram edges differ, or a sketch is damaged.
    """
    if not windows:
        raise MergeError("there is no window to add; an empty list has no series to count under")
    first = windows[0]
    if len(windows) == 1:
        return first
    for window in windows:
        if window.key != first.key:
            raise MergeError(
                f"cannot add windows of {first.key} and {window.key}; give them one key with with_key first"
            )
    features = [window.features for window in windows if window.features is not None]
    labels = [window.labels for window in windows if window.labels is not None]
    summed = Window(
        key=first.key,
        start_ns=min(window.start_ns for window in windows),
        end_ns=max(window.end_ns for window in windows),
        process=first.process if all(window.process == first.process for window in windows) else "",
        calls=sum(window.calls for window in windows),
        rows=sum(window.rows for window in windows),
        errors=sum_by_name([window.errors for window in windows]),
        batch_sizes=sum_counts([window.batch_sizes for window in windows], "batch_sizes"),
        latency=sum_latency([window.latency for window in windows]),
        output=sum_output([window.output for window in windows]),
        features=sum_features(features) if features else None,
        labels=sum_labels(labels) if labels else None,
    )
    grids = sorted({grid for window in windows if (grid := _grid(window)) is not None})
    if len(grids) > 1:
        raise MergeError(f"grids of cells differ: {' and '.join(grids[:2])}; merge the windows of each grid by itself")
    return summed


class Geometry(NamedTuple):
    """What must be equal for two windows to add; None where a window has nothing to compare."""

    grid: str | None
    edges_s: tuple[float, ...]
    value_edges: tuple[float, ...] | None
    lag_edges_s: tuple[float, ...] | None

    def fits(self, other: Geometry) -> bool:
        """Return whether windows of both geometries add up."""
        return all(ours is None or theirs is None or ours == theirs for ours, theirs in zip(self, other, strict=True))

    def completed(self, other: Geometry) -> Geometry:
        """Return this geometry with what it leaves open taken from *other*."""
        return Geometry(
            grid=other.grid if self.grid is None else self.grid,
            edges_s=self.edges_s,
            value_edges=other.value_edges if self.value_edges is None else self.value_edges,
            lag_edges_s=other.lag_edges_s if self.lag_edges_s is None else self.lag_edges_s,
        )


def geometry(window: Window) -> Geometry:
    """Return the geometry of *window*; windows add up exactly when their geometries fit."""
    value_edges = tuple(np.asarray(window.output.value_edges).tolist())
    return Geometry(
        grid=_grid(window),
        edges_s=tuple(window.latency.edges_s),
        value_edges=value_edges or None,
        lag_edges_s=None if window.labels is None else tuple(window.labels.lag_edges_s),
    )


def _grid(window: Window) -> str | None:
    """Return the grid that rows, or else labelled rows, are counted on; None without cells.

    Labels joined by another process come as windows of their own, and must find the features they belong to. A window
    that holds both on two grids (none is ever made) adds up with its like alone.
    """
    found = [] if window.features is None else [window.features.grid]
    if window.labels is not None and window.labels.grid and window.labels.grid not in found:
        found.append(window.labels.grid)
    return " | ".join(found) if found else None


def key_and_bounds(window: Window) -> Hashable:
    """Group by series, start and end: the default of `merge_windows`."""
    return (window.key, window.start_ns, window.end_ns)


def merge_windows(windows: Iterable[Window], *, by: Callable[[Window], Hashable] = key_and_bounds) -> list[Window]:
    """Return the sum of each group of windows, ordered by start, key and end.

    Args:
        windows: windows in any order.
        by: group of a window. The default merges the parts of a window (late rows, late labels, processes);
            ``lambda window: window.key`` merges over time as well. Windows of one group whose geometry differs are
            kept apart; a window without cells joins any grid.

    Raises:
        MergeError: *by* puts windows of different keys in one group, or a sketch is damaged.
    """
    groups: dict[Hashable, dict[Geometry, list[Window]]] = {}
    for window in windows:
        groups.setdefault(by(window), {}).setdefault(geometry(window), []).append(window)
    merged = [sum_windows(parts) for group in groups.values() for parts in _compatible(group)]
    merged.sort(key=lambda window: (window.start_ns, window.key, window.end_ns, _order(geometry(window))))
    return merged


def with_key(window: Window, key: SeriesKey) -> Window:
    """Return *window* counted under another key; arrays are shared, not copied."""
    return replace(window, key=key)


def drop_cohort(windows: Iterable[Window], *, by: Callable[[Window], Hashable] = key_and_bounds) -> list[Window]:
    """Return *windows* with all cohorts of a series added together; *by* sees the windows without their cohort."""
    return merge_windows((with_key(window, window.key._replace(cohort="")) for window in windows), by=by)


def _compatible(group: dict[Geometry, list[Window]]) -> list[list[Window]]:
    """Gather geometries that fit: complete ones first, each partial one with the first that fits, in a fixed order."""
    gathered: list[tuple[Geometry, list[Window]]] = []
    for shape in sorted(group, key=_order):
        for index, (other, parts) in enumerate(gathered):
            if other.fits(shape):
                gathered[index] = (other.completed(shape), [*parts, *group[shape]])
                break
        else:
            gathered.append((shape, group[shape]))
    return [parts for _, parts in gathered]


def _order(shape: Geometry) -> tuple[int, str]:
    return (sum(part is None for part in shape), repr(shape))
