"""Estimates the overdispersion of block counts relative to the forecast from their past.

For blocks of one length: the sum of squared errors over the sum of binomial variances, given all events up to and including the block. Only
blocks with events contribute, and a past without events gives 1: an empty history does not reduce evidence. The value at the start of a
block is computed from the blocks before it. Two cautions: an estimate from *m* blocks is raised by twice its standard error, and with fewer
than
`_MIN_BLOCKS` twice the excess of the next finer length is taken, which is what wandering without end would give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

Number = TypeVar("Number", bound=np.generic)

_MIN_BLOCKS = 6
_PRIOR_HITS = 2.0


def widened(table: NDArray[Number], columns: int) -> NDArray[Number]:
    """Return *table* with at least *columns* columns, the new ones zero; with room to spare, so that growing by one is cheap."""
    made = np.zeros((*table.shape[:-1], max(columns, table.shape[-1] + table.shape[-1] // 2)), dtype=table.dtype)
    made[..., : table.shape[-1]] = table
    return made


class Dispersion:
    """Dispersions of blocks of one length, for several places; filled block by block.

    Args:
        places: number of places.
        blocks: number of whole blocks.

    Attributes:
        ratio: dispersion as known at the start of each block, at least 1, shape (places, blocks + 1).
    """

    def __init__(self, places: int, blocks: int) -> None:
        # Single precision suffices for a ratio. The sums need more: incremental sums must equal those computed at once.
        self.ratio = np.ones((places, blocks + 1), dtype=np.float32)
        self._errors, self._variances = (np.zeros((places, blocks + 1)) for _ in range(2))
        self._blocks = np.zeros((places, blocks + 1), dtype=np.float32)

    def reserve(self, blocks: int) -> None:
        """Make room for *blocks* blocks."""
        if blocks + 1 > self.ratio.shape[1]:
            for name in ("ratio", "_errors", "_variances", "_blocks"):
                setattr(self, name, widened(getattr(self, name), blocks + 1))
            self.ratio = np.maximum(self.ratio, 1.0)

    def fill(
        self, hits: Numbers, trials: Numbers, length: int, blocks: tuple[int, int], finer: Dispersion | None
    ) -> None:
        """Count the blocks from the first to before the second of *blocks*, again where they were counted before.

        Args:
            hits: cumulative events, shape (places, steps + 1).
            trials: cumulative trials, same shape.
            length: steps in a block.
            blocks: which blocks.
            finer: the dispersions of blocks of half the length; None for single steps.
        """
        first, last = blocks
        if last <= first:
            return
        edges = np.arange(first, last + 1) * length
        events, tried = hits[:, edges], trials[:, edges]
        past_hits, past_trials = events[:, :-1], tried[:, :-1]
        own, mine = np.diff(events, axis=1), np.diff(tried, axis=1)
        share = mine / np.maximum(tried[:, 1:], 1e-300)
        is_known = past_trials > 0
        total = past_hits + own
        error = np.where(is_known, (own - total * share) ** 2, 0.0)
        variance = np.where(is_known, total * share * (1 - share), 0.0)
        new = slice(first + 1, last + 1)
        for sums, part in (
            (self._errors, error),
            (self._variances, variance),
            (self._blocks, (is_known & (mine > 0)).astype(np.float64)),
        ):
            sums[:, new] = np.concatenate([sums[:, first : first + 1], part], axis=1).cumsum(axis=1)[:, 1:]
        variances, counted = self._variances[:, new], self._blocks[:, new]
        estimate = (self._errors[:, new] + _PRIOR_HITS) / (variances + _PRIOR_HITS)
        doubt = 1 + 2 * np.sqrt(2 / np.maximum(counted, 1)) * variances / (variances + 5)
        made = np.maximum(estimate * doubt, 1.0)
        if finer is not None:
            below = finer.ratio[:, 2 * (first + 1) : 2 * last + 1 : 2]
            made = np.where(counted < _MIN_BLOCKS, np.maximum(1 + 2 * (below - 1), 1.0), made)
        self.ratio[:, new] = made
