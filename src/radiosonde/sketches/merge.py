"""Merges windows over processes, hosts, time and cohorts, independent of the order.

Integers add exactly, float sums add, sketches merge within their stated bound. Tables whose rows have names (phases,
classes, label classes) are merged by name: if all parts have the same rows in the same order that order is kept, else the union is sorted,
so that the result is independent of the order of the parts. A part without rows (a window with errors only) is ignored.

Cells add only within one grid, histograms only within one set of edges. `sum_windows` raises `MergeError` on a
mismatch; `merge_windows` keeps such windows apart instead, so one redeployed reference never stops a report.

The merge rule is declared with each field (`radiosonde.model.fields`). All parts of a group are added at once instead of pair by pair: a
sketch is read once instead of once per merge.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from radiosonde.errors import MergeError
from radiosonde.model import Window
from radiosonde.model.addition import add
from radiosonde.model.fields import Merge, declarations
from radiosonde.sketches import is_available, merge_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from radiosonde.model import SeriesKey


def sum_windows(windows: Sequence[Window]) -> Window:
    """Return the sum of one or more windows of one series; a single window is returned as it is.

    The result spans all (start is the earliest, end the latest), and keeps the process if all name the same.

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
    total = add(windows if is_available() else [_without_sketches(window) for window in windows], merge_bytes)
    grids = sorted({grid for window in windows if (grid := _only(_given(window, ALIKE["grids of cells"]))) is not None})
    if len(grids) > 1:
        raise MergeError(f"grids of cells differ: {' and '.join(grids[:2])}; merge the windows of each grid by itself")
    return total


def _without_sketches(window: Window) -> Window:
    """Return *window* without its sketches: what cannot be merged is left out, and the exact counts are kept."""
    if window.features is None or not window.features.sketches:
        return window
    return replace(window, features=replace(window.features, sketches={}))


Geometry = tuple[Hashable, ...]
"""What must be equal for two windows to add, one entry per name in `ALIKE`; None where a window has nothing to compare."""


def geometry(window: Window) -> Geometry:
    """Return the geometry of *window*; windows add up exactly when their geometries fit.

    Late labels come as windows of their own, and must find the features they belong to: both count on grids. A window
    that holds both on two grids (none is ever made) adds up with its like alone.
    """
    return tuple([_only(_given(window, places)) for places in ALIKE.values()])


def _alike_fields() -> dict[str, list[tuple[str, str, bool]]]:
    """Return by name of what must be equal: group, field, and whether it may be left out."""
    found: dict[str, list[tuple[str, str, bool]]] = {}
    for group in declarations(Window):
        for field in declarations(group.group) if group.group is not None else ():
            if field.alike:
                place = (group.name, field.name, field.merge is Merge.GIVEN)
                found.setdefault(field.alike, []).append(place)
    return dict(sorted(found.items()))


ALIKE = _alike_fields()


def _given(window: Window, places: list[tuple[str, str, bool]]) -> list[Any]:
    """Return the distinct values that *window* has of what must be equal, without those that are empty where they may be."""
    found: list[Any] = []
    for group_name, field, may_be_empty in places:
        group = getattr(window, group_name)
        if group is None:
            continue
        value = getattr(group, field)
        if isinstance(value, np.ndarray):
            value = tuple(value.tolist())
        if (value or not may_be_empty) and value not in found:
            found.append(value)
    return found


def _only(values: list[Any]) -> Any:
    return " | ".join(values) if len(values) > 1 else values[0] if values else None


def _fits(ours: Geometry, theirs: Geometry) -> bool:
    return all(one is None or other is None or one == other for one, other in zip(ours, theirs, strict=True))


def _completed(ours: Geometry, theirs: Geometry) -> Geometry:
    """Return *ours* with its missing parts taken from *theirs*."""
    return tuple(other if one is None else one for one, other in zip(ours, theirs, strict=True))


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


def _compatible(group: dict[Geometry, list[Window]]) -> list[list[Window]]:
    """Gather geometries that fit: complete ones first, each partial one with the first that fits, in a fixed order."""
    gathered: list[tuple[Geometry, list[Window]]] = []
    for shape in sorted(group, key=_order):
        for index, (other, parts) in enumerate(gathered):
            if _fits(other, shape):
                gathered[index] = (_completed(other, shape), [*parts, *group[shape]])
                break
        else:
            gathered.append((shape, group[shape]))
    return [parts for _, parts in gathered]


def _order(shape: Geometry) -> tuple[int, str]:
    return (sum(part is None for part in shape), repr(shape))
