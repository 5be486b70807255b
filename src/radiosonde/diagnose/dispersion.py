"""Estimates the overdispersion of block counts relative to the forecast from their past.

For blocks of one length: the sum of squared errors over the sum of binomial variances, given all events up to and with the block. So blocks with events
decide, and a past without any gives 1: zero history says nothing against evidence. What it is at the start of a block is known from the
blocks before it. Two cautions: an estimate from *m* blocks is raised by twice its standard error, and with fewer than
`_MIN_BLOCKS` twice the excess of the next finer length is taken, which is what wandering without end would give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

_MIN_BLOCKS = 6
_PRIOR_HITS = 2.0


class Dispersion:
    """Dispersions of blocks of one length, for several places; filled block by block.

    Args:
        places: number of places.
        blocks: number of whole blocks.

    Attributes:
        ratio: dispersion as known at the start of each block, at least 1, shape (places, blocks + 1).
    """

    def __init__(self, places: int, blocks: int) -> None:
        # Single precision: a ratio of sums needs no more, and these are most of the memory of a look at 28 days.
        self.ratio = np.ones((places, blocks + 1), dtype=np.float32)
        self._errors, self._variances, self._blocks = (
            np.zeros((places, blocks + 1), dtype=np.float32) for _ in range(3)
        )

    def fill(
        self, hits: Numbers, trials: Numbers, length: int, blocks: tuple[int, int], finer: Dispersion | None
    ) -> None:
        """Count the blocks from the first to before the second of *blocks*, anew where they were counted before.

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
            sums[:, new] = sums[:, first : first + 1] + part.cumsum(axis=1)
        variances, counted = self._variances[:, new], self._blocks[:, new]
        estimate = (self._errors[:, new] + _PRIOR_HITS) / (variances + _PRIOR_HITS)
        doubt = 1 + 2 * np.sqrt(2 / np.maximum(counted, 1)) * variances / (variances + 5)
        made = np.maximum(estimate * doubt, 1.0)
        if finer is not None:
            below = finer.ratio[:, 2 * (first + 1) : 2 * last + 1 : 2]
            made = np.where(counted < _MIN_BLOCKS, np.maximum(1 + 2 * (below - 1), 1.0), made)
        self.ratio[:, new] = made
