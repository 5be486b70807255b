"""Which changes of a cell's share are breaks: columns, neighbours and tolerances of every cell of a table.

A break replaces the values of some rows by another one, independently of what they were, so one cell rises and the others keep their
proportions. Drift moves neighbouring cells together. The share of a numeric cell is therefore compared with its past times the rise of its
two neighbours: a level that wanders, a season or a warm day raises both. The outermost cells have neighbours on one side only, and rise more
than these: for a normal variable that moves by *d* the density ratio at *z* is ``exp(d z - d d / 2)``, so the logarithm of the ratio of
``below`` and ``above`` (*z* about 3.5) is at most 2.5 times that of the next cell (*z* about 1.75).

Missing and unseen values, and categories, have no neighbours: they are compared with their own past only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.model import ABOVE, BELOW, NULL, UNSEEN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.cell_table import CellTable

    Numbers = NDArray[np.float64]

KINDS = ("missing", "unseen", "range", "one_value", "recoded")
"""Kinds of breaks: missing values, unseen values, values outside the reference range, one value, one category in place of others."""

LEAST_RISE = (0.01, 0.003, 0.02, 0.1, 0.1)
"""Least rise of the share, by kind."""

_TOLERATED = (1.5, 1.5, 2.0, 2.0, 3.0)
"""Tolerated ratio of the share to the one expected, by kind."""

_STEEPNESS = (1.0, 1.0, 2.5, 1.0, 1.0)
_EDGE, _LEAST_CELLS = 1.75, 3
"""The first and the last cell of the body rise as the next ones do, and by so much more."""


class CellShapes(NamedTuple):
    """How the cells of each feature are watched, as flattened tables of features times columns.

    Attributes:
        width: number of columns.
        is_watched: whether a rise of the cell may be a break.
        kind: index into `KINDS`, of those that are watched.
        first: position of one neighbour; its own where it has none.
        second: position of the other.
        steepness: exponent of the rise of the neighbours; 0 where it has none.
        tolerated: tolerated ratio.
        least: least rise.
    """

    width: int
    is_watched: NDArray[np.bool_]
    kind: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    steepness: Numbers
    tolerated: Numbers
    least: Numbers

    def where(self, flat: int) -> tuple[int, int]:
        """Return the feature and the column of a position."""
        return divmod(flat, self.width)


def make_shapes(table: CellTable) -> CellShapes:
    """Return the watched cells of *table*: without a reference only missing and unseen values.

    A provisional reference covers the categories of an hour only, so unseen categories are not evidence.
    """
    width = table.width
    kind = np.full((len(table.names), width), -1)
    first = np.tile(np.arange(width), (len(table.names), 1))
    second, steepness = first.copy(), np.zeros(kind.shape)
    for feature, profile in enumerate(table.profiles):
        kind[feature, NULL] = 0
        if not (table.provisional and table.is_categorical(feature)):
            kind[feature, UNSEEN] = 1
        if profile is not None and profile.kind == "categorical":
            kind[feature, : profile.body] = 4
        elif profile is not None and profile.body >= _LEAST_CELLS:
            order = [width + BELOW, *range(profile.body), width + ABOVE]
            for at, cell in enumerate(order):
                one, other, steepness[feature, cell] = _neighbours(at, len(order) - 1)
                first[feature, cell], second[feature, cell] = order[one], order[other]
                kind[feature, cell] = 2 if at in (0, len(order) - 1) else 3
    base = np.arange(len(table.names))[:, None] * width
    flat = kind.ravel()
    return CellShapes(
        width, flat >= 0, flat, (first + base).ravel(), (second + base).ravel(), steepness.ravel(), np.array(_TOLERATED)[flat],
        np.array(LEAST_RISE)[flat],
    )  # fmt: skip


def _neighbours(at: int, last: int) -> tuple[int, int, float]:
    """Return the two neighbours of cell *at* of an order that ends with *last*, and how much steeper it rises than they do.

    Cells outside the reference are rare, so no other cell has them as neighbours.
    """
    if at in (0, last):
        near = 1 if at == 0 else last - 1
        return near, near, _STEEPNESS[2]
    if at in (1, last - 1):
        near = 2 if at == 1 else last - 2
        return near, near, _EDGE
    return at - 1, at + 1, 1.0
