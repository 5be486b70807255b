"""The cells of a feature: bins of the reference, plus four for all other values.

Drift tests run on cell counts because counts are exact and additive: over processes, hosts, time and cohorts. A row of
a cell table is ``[body ..., below, above, null, unseen]``; the body has as many columns as the widest feature needs
and the four special cells are always the last four columns, so one integer matrix holds all features of a model.

* numeric feature: body cell *j* is bin *j* between reference quantiles (named ``00``, ``01``, ...), ascending;
  ``below``/``above`` are values outside the reference's range;
* categorical feature: body cell *j* is the *j*-th most frequent category of the reference (named ``c00``, ...);
  ``below`` and ``above`` stay zero;
* ``null`` is a missing value (``None``, NaN); ``unseen`` is a category the reference does not list, or a value that is
  not a number where one is due (a string, an infinity).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPECIAL_CELLS = ("below", "above", "null", "unseen")
BELOW, ABOVE, NULL, UNSEEN = -4, -3, -2, -1
"""Column offsets from the end of a cell row."""

MOST_BODY_CELLS = 256 - len(SPECIAL_CELLS)
"""Largest number of body cells in a one-byte ordinal. The special cells are counted from the end there too (252 is below, 255 unseen), so
that a row of bytes does not depend on the width of the table."""

Number = TypeVar("Number", np.int64, np.float64)


def cell_names(body: int, *, categorical: bool) -> tuple[str, ...]:
    """Return the carrier names of a feature's cells: *body* body cells and the special ones that can occur.

    Args:
        body: number of body cells of this feature (not of the widest one).
        categorical: name the body ``c00``... instead of ``00``..., and leave out ``below`` and ``above``.
    """
    if categorical:
        return (*(f"c{index:02d}" for index in range(body)), "null", "unseen")
    return (*(f"{index:02d}" for index in range(body)), *SPECIAL_CELLS)


def widened(table: NDArray[Number], width: int) -> NDArray[Number]:
    """Return a cell table with empty body columns added until it has *width* columns; the special ones stay last.

    Tables that were counted from ordinals know no body cell beyond the highest one that occurred. One that is as wide
    already is returned as it is.

    Args:
        table: shape (features, columns, ...).
        width: number of columns of the result.
    """
    missing = width - table.shape[1]
    if missing <= 0:
        return table
    body = table.shape[1] - len(SPECIAL_CELLS)
    empty = np.zeros((table.shape[0], missing, *table.shape[2:]), dtype=table.dtype)
    return np.concatenate([table[:, :body], empty, table[:, body:]], axis=1)


def cells_text(cells: NDArray[np.integer[Any]], width: int) -> str:
    """Return one character per feature of a row: ``0``-``9`` then ``a``... for body cells, ``<`` ``>`` ``-`` ``?`` for the rest."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    alphabet = digits[: width - 4].ljust(width - 4, "z") + "<>-?"
    return "".join(alphabet[cell] for cell in cells.tolist())
