"""Writes the rows of a call: one row into its slot, more into a block of the arena, sampled to fit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radiosonde._guard import Guard
from radiosonde._ring.layout import BATCH_OUTPUTS, INPUT_NONE, INPUT_ROW
from radiosonde._ring.ring import Ring
from radiosonde.model.losses import BATCH_REFUSED, FEATURES_LEARNING, FEATURES_UNREADABLE, FEATURES_WIDTH
from radiosonde.reference.containers import EVERY


class Recorded(NamedTuple):
    """The result of recording the features of one call.

    Attributes:
        rows: rows of the call.
        position: arena position + 1 of the batch's block; 0 for a single row.
        kept: rows in the block.
        step: every step-th row is kept.
        kind: `INPUT_ROW` when features were recorded, else `INPUT_NONE`.
    """

    rows: int
    position: int
    kept: int
    step: int
    kind: int


MOST_ROWS = (1 << 32) - 1
"""Largest number of rows that a slot can hold. A value that claims more (``range(10**12)``, a broadcast array) is not a batch."""

ONE_ROW = Recorded(1, 0, 1, 1, INPUT_ROW)
FLAT_ROW = Recorded(1, 0, 1, 1, INPUT_ROW)
"""The same for a flat sequence that may be many rows of one value; compared by identity."""

NO_ROW = Recorded(1, 0, 1, 1, INPUT_NONE)


class Unread(Recorded):
    """The same of an input that does not show how many rows it has; its answers do.

    Attributes:
        loss: the loss counted for the single row that it was assumed to be; empty if the call had no input.
    """

    loss: str


def _unread(loss: str) -> Unread:
    made = Unread(1, 0, 1, 1, INPUT_NONE)
    made.loss = loss
    return made


class Doubtful(Unread):
    """The same of an input that reads as one row, or a few, and may hold a batch.

    Attributes:
        lost: rows of which the loss has been counted.
        sizes: how many rows the batch may have; another number of answers belongs to the rows as they were read.
        within: rows of the only container of rows in it, where as many answers show that it is an envelope; else None.
    """

    lost: int
    sizes: set[int]
    within: int | None


def doubtful(recorded: Recorded, sizes: set[int], loss: str, lost: int) -> Doubtful:
    """Return *recorded* as a result that the number of answers may change."""
    made = Doubtful(*recorded)
    made.sizes, made.loss, made.lost, made.within = sizes, loss, lost, None
    return made


NOT_GIVEN = _unread("")
UNREAD = _unread(FEATURES_UNREADABLE)
OTHER_WIDTH = _unread(FEATURES_WIDTH)
LEARNED_FROM = _unread(FEATURES_LEARNING)

EMPTY = Recorded(0, 0, 0, 1, INPUT_NONE)

_MIX_FIRST, _MIX_SECOND, _WORD = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, (1 << 64) - 1
"""Two multiplications with a fold between: spread record indices over the offsets of a thinned batch, so no row is favoured."""


class RowBlocks:
    """Places for the rows of one model's calls.

    Args:
        ring: whose slots and arena.
        width: values of a row.
        guard: counts rows that do not fit.
    """

    def __init__(self, ring: Ring, width: int, guard: Guard) -> None:
        self._ring = ring
        self._width = width
        self._guard = guard

    def reserve(self, rows: int, index: int, least_step: int = 1) -> Recorded:
        """Reserve a block of the arena for a batch, at most every *least_step*-th row; features are written later.

        Raises:
            ValueError: no batch has so many rows.
        """
        if not 0 <= rows <= MOST_ROWS:
            raise ValueError("a batch has from 0 to 4 294 967 295 rows")
        if rows == 0:
            return EMPTY
        if rows == 1:
            return NO_ROW
        arena = self._ring.arena
        values_a_row = self._width + BATCH_OUTPUTS
        fitting = arena.largest // values_a_row
        step = max(least_step, -(-rows // fitting) if fitting else 1)
        kept = len(range(first_row(index, step), rows, step))
        position = arena.reserve(kept * values_a_row)
        if position < 0:
            self._guard.lose(BATCH_REFUSED, rows)
            return Recorded(rows, 0, 0, 1, INPUT_NONE)
        return Recorded(rows, position + 1, kept, step, INPUT_NONE)

    def plan(self, rows: int, index: int, least_step: int) -> tuple[slice, Recorded]:
        """Reserve, and return which rows are kept too; none of a batch that found no room."""
        recorded = self.reserve(rows, index, least_step)
        if rows > 1 and not recorded.position:
            return slice(0, 0), recorded
        if recorded.step == 1:
            return EVERY, recorded
        return slice(first_row(index, recorded.step), rows, recorded.step), recorded

    def target(self, recorded: Recorded, slot: int) -> NDArray[np.float64]:
        """Return where the kept rows go, shape (kept, features)."""
        if recorded.rows == 1:
            return self._ring.rows[slot : slot + 1]
        if not recorded.position:
            return np.empty((0, self._width))
        return self._ring.arena.block(recorded.position - 1, recorded.kept, self._width)

    def store(self, block: NDArray[Any], recorded: Recorded, slot: int) -> Recorded:
        """Write the kept rows and mark the block complete."""
        with np.errstate(all="ignore"):
            self.target(recorded, slot)[:] = block
        return self.stored(recorded)

    @staticmethod
    def stored(recorded: Recorded) -> Recorded:
        """Return the result for a call whose kept rows have been written."""
        if recorded.rows == 1:
            return ONE_ROW
        return recorded._replace(kind=INPUT_ROW) if recorded.position else recorded


def first_row(index: int, step: int) -> int:
    """Return the first kept row of batch *index* thinned to every *step*-th row: uniform over ``range(step)``.

    Uniform for any pattern of batches, for example every tenth record: one multiplication is not enough, a second one after a fold is.
    """
    if step == 1:
        return 0
    mixed = (index + 1) * _MIX_FIRST & _WORD
    mixed = (mixed ^ mixed >> 32) * _MIX_SECOND & _WORD
    return (mixed >> 32) % step
