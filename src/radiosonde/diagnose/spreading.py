"""Adds counts of windows to tables over steps of time: of many windows in one pass.

A store keeps older windows by the hour and by the day. Counts of such a window are spread evenly over the steps it covers: in the first of
them only, they would look like a burst. Counts stay whole numbers that add up to those of the window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_CELLS = 250_000
"""Cells of tables that are worked on at a time. A few arrays of them are in memory at once, of 2 MB each; larger ones are no faster."""
_MOST = 4096


class Spans(NamedTuple):
    """The steps that windows cover.

    Attributes:
        first: the first step of each, shape (windows,).
        size: how many there are, same shape.
    """

    first: NDArray[np.int64]
    size: NDArray[np.int64]

    def of(self, members: Any) -> Spans:
        """Return the spans of some windows, by index or slice."""
        return Spans(self.first[members], self.size[members])


def chunks(count: int, width: int) -> Iterator[slice]:
    """Yield slices of *count* windows whose tables, of *width* cells each, are to be stacked at a time."""
    size = min(max(_CELLS // max(width, 1), 1), _MOST)
    for start in range(0, count, size):
        yield slice(start, start + size)


def add_spread(total: NDArray[Any], line: NDArray[np.int64], spans: Spans, values: NDArray[Any]) -> None:
    """Add *values* to *total*, each spread over the steps of its window.

    Args:
        total: shape (lines, steps, ...), contiguous; whole numbers are spread as such.
        line: the line of each window, shape (windows,).
        spans: its steps.
        values: shape (windows, ...).
    """
    steps, width = total.shape[1], int(np.prod(total.shape[2:]))
    flat = total.reshape(-1, width)
    values = values.reshape(len(values), width)
    for size in np.unique(spans.size).tolist():
        chosen = np.flatnonzero(spans.size == size)
        most = max(_CELLS // (size * width), 1)
        for at in range(0, chosen.size, most):
            members = chosen[at : at + most]
            parts = _parts(values[members], size).reshape(-1, width)
            targets = (line[members] * steps + spans.first[members])[:, None] + np.arange(size)
            _accumulate(flat, targets.reshape(-1), parts)


def _parts(values: NDArray[Any], size: int) -> NDArray[Any]:
    """Return *values* over *size* steps, shape (windows, size, width)."""
    if size == 1:
        return values[:, None]
    if values.dtype.kind == "f":
        return np.repeat(values[:, None] / size, size, axis=1)
    shares = np.arange(size + 1)[None, :, None]
    return np.diff(values[:, None] * shares // size, axis=1)


def _accumulate(flat: NDArray[Any], targets: NDArray[np.int64], parts: NDArray[Any]) -> None:
    if flat.shape[1] == 1:
        np.add.at(flat[:, 0], targets, parts[:, 0])
        return
    order = np.argsort(targets, kind="stable")
    ordered = targets[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    flat[ordered[first]] += np.add.reduceat(parts[order], first, axis=0)
