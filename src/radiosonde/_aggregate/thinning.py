"""Samples rows: one of every *step*, each with probability 1/step, independent of their order.

Rows are cut into strata of *step* in the order of arrival and one is drawn from each, every draw independent of all
others. Beside the obvious other ways:

* every step-th row from one random row on is unbiased too, but where the order of rows is periodic in the step
  (round-robin clients, a loop over test cases) a whole drain sees one phase of it: right on average, useless in a window;
* a coin per row has the variance of the binomial, this has less: strata are the order of time, and what is near in time
  is alike; and the weights of strata add up to the actual number of rows, to within one step, where those of coins scatter;
* a hash of the record's index is a coin that could agree with the order of rows.

Rows of one batch are often alike (one user, one request), and opening a batch costs as much as reading a few rows. Of many batches some are
therefore selected, and of those some rows: about `ROWS_A_BATCH`, the optimal size for a
correlation of 0.05 within batches at a cost of eight rows a batch (sqrt(8 * 0.95 / 0.05) = 12; Cochran, "Sampling
Techniques", chapter 10).
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

ROWS_A_BATCH = 16


class Thinner:
    """Draws samples. Owner: the consumer thread.

    Args:
        seed: of the draws; None takes one from the operating system, at the first draw.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed

    @functools.cached_property
    def _draw(self) -> np.random.Generator:
        return np.random.default_rng(self._seed)

    def positions(self, rows: int, step: int) -> NDArray[np.int64]:
        """Return ascending positions below *rows*, each of which is there with probability 1/step."""
        starts = np.arange(0, rows, step)
        if step == 1:
            return starts
        starts += self._draw.integers(0, step, len(starts))
        # The last stratum may be short; a draw beyond it is a draw of none.
        return starts[:-1] if len(starts) and starts[-1] >= rows else starts

    def batches(self, sizes: NDArray[np.int64], step: int) -> list[tuple[int, int]]:
        """Return (position, step within it) of the chosen ones of batches of *sizes* rows.

        A batch whose inner step is *i* was selected with probability i/j, where j is *step* rounded down to a multiple of i: each of its
        rows has weight j.
        """
        if step == 1:
            return [(position, 1) for position in range(len(sizes))]
        if len(sizes) and (sizes == sizes[0]).all():  # the usual case, without the hundred microseconds of the other
            within = int(inner_steps(sizes[:1], step)[0])
            return [(position, within) for position in self.positions(len(sizes), step // within).tolist()]
        inner = inner_steps(sizes, step)
        chosen: list[tuple[int, int]] = []
        for within in np.unique(inner).tolist():
            members = np.flatnonzero(inner == within)
            kept = members[self.positions(len(members), step // within)]
            chosen += [(position, within) for position in kept.tolist()]
        return chosen


def inner_steps(sizes: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Return by which step rows of chosen batches are thinned: a power of two that leaves `ROWS_A_BATCH` rows or more."""
    wanted = np.clip(sizes // ROWS_A_BATCH, 1, step)
    powers: NDArray[np.int64] = np.left_shift(1, np.frexp(wanted)[1].astype(np.int64) - 1)
    return powers
