"""Writes the rows of a call: one row into its slot, more into a block of the arena, sampled to fit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radiosonde._guard import Guard
from radiosonde._ring.layout import BATCH_OUTPUTS, INPUT_NONE, INPUT_ROW
from radiosonde._ring.ring import Ring
from radiosonde.model.losses import BATCH_REFUSED, FEATURES_LEARNING, FEATURES_UNREADABLE, FEATURES_WIDTH
from radiosonde.reference.containers import EVERY, Rows


class Recorded(NamedTuple):
    """The result of recording the features of one call.

    Attributes:
        rows: rows of the call.
        position: arena position + 1 of the batch's block; 0 for a single row.
        kept: rows in the block.
        step: one of every *step* rows is kept.
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

_NO_ROWS = slice(0, 0)

_MIX_FIRST, _MIX_SECOND, _WORD = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, (1 << 64) - 1
"""Two multiplications with a fold between: spread record indices over the seeds of thinned batches."""

_MIXES = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
"""Shifts and factors of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014)."""


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
        """Reserve a block of the arena for a batch, at most one of every *least_step* rows; features are written later.

        Raises:
            ValueError: no batch has so many rows.
        """
        return self._choose(rows, index, least_step)[1]

    def _choose(self, rows: int, index: int, least_step: int) -> tuple[Rows, Recorded]:
        if not 0 <= rows <= MOST_ROWS:
            raise ValueError("a batch has from 0 to 4 294 967 295 rows")
        if rows == 0:
            return EVERY, EMPTY
        if rows == 1:
            return EVERY, NO_ROW
        arena = self._ring.arena
        values_a_row = self._width + BATCH_OUTPUTS
        fitting = arena.largest // values_a_row
        step = max(least_step, -(-rows // fitting) if fitting else 1)
        chosen = kept_rows(index, rows, step)
        kept = rows if isinstance(chosen, slice) else len(chosen)
        position = arena.reserve(kept * values_a_row)
        if position < 0:
            self._guard.lose(BATCH_REFUSED, rows)
            return _NO_ROWS, Recorded(rows, 0, 0, 1, INPUT_NONE)
        return chosen, Recorded(rows, position + 1, kept, step, INPUT_NONE)

    def plan(self, rows: int, index: int, least_step: int) -> tuple[Rows, Recorded]:
        """Reserve, and return which rows are kept too; none of a batch that found no room."""
        return self._choose(rows, index, least_step)

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


def kept_rows(index: int, rows: int, step: int) -> Rows:
    """Return which of *rows* rows are kept of batch *index*, thinned to one of every *step* rows.

    One row is drawn from each stratum of *step* rows, independent of all others, so a batch is represented for any period of its order
    (groups that alternate, a loop over test cases). Every *step*-th row from a random one on would be of one group.
    Each row is kept with probability 1/*step*. The draws are hashes of the index and the stratum: the same for the same batch, and
    uniform for any pattern of batches, for example every tenth record.
    """
    if step == 1:
        return EVERY
    starts = np.arange(0, rows, step)
    seed = (index + 1) * _MIX_FIRST & _WORD
    mixed = np.arange(1, len(starts) + 1, dtype=np.uint64) * np.uint64(_MIX_FIRST) + np.uint64(
        (seed ^ seed >> 32) * _MIX_SECOND & _WORD
    )
    for shift, factor in _MIXES:
        mixed = (mixed ^ mixed >> np.uint64(shift)) * np.uint64(factor)
    starts += ((mixed >> np.uint64(32)) % np.uint64(step)).astype(np.intp)
    # The last stratum may be short; a draw beyond it is a draw of none.
    return starts[:-1] if len(starts) and starts[-1] >= rows else starts
