"""How far counts of cells usually are from what is expected: dispersion of blocks, and readings that many rows share.

Errors are those that peers and neighbouring cells leave unexplained, so that a season of all rows makes no cell noisy. Errors of single blocks
beyond five standard deviations count as five, so that one outage does not hide later faults. What is known at a block is at least `_LAG` blocks
old: a fault does not raise its own dispersion. Of single steps every other one is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.model import NULL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.cell_shapes import CellShapes

    Numbers = NDArray[np.float64]
    Counts = NDArray[np.float32]
    Indices = NDArray[np.int64]

_CLIPPED, _LEAST_VARIANCE, _LAG, _EVERY = 25.0, 0.04, 4, 2
_FEW_BLOCKS, _PRIOR_HITS = 6, 2.0
_SHARED_ROWS = 50.0


class _Spread:
    """Squared errors and variances of blocks of one length; the newest *lag* of them are not known yet."""

    def __init__(self, shape: tuple[int, int], lag: int) -> None:
        self._lag = lag
        # Single precision suffices for a ratio of sums.
        self._errors, self._variances, self._largest = (np.zeros(shape, np.float32) for _ in range(3))
        self._counted = 0
        self._waiting = self._known = (self._errors, self._variances, self._largest, 0)

    @property
    def blocks(self) -> int:
        """Number of blocks that it knows of."""
        return self._known[3]

    def ratio(self, place: Indices, flat: Indices) -> Numbers:
        """Return the dispersion at some places and cells, at least 1, raised by one and a half of its standard errors."""
        errors, variances, largest, blocks = self._known
        if not blocks:
            return np.ones(place.size)
        variance = variances[place, flat]
        estimate = (errors[place, flat] + _PRIOR_HITS) / (variance + _PRIOR_HITS)
        doubt = 1 + 1.5 * np.sqrt(2 / blocks) * variance / (variance + 5)
        tail = largest[place, flat] / (2 * np.log(blocks) + 2)
        return np.asarray(np.maximum(np.maximum(estimate, tail) * doubt, 1.0), dtype=np.float64)

    def add(self, error: Counts, variance: Counts) -> None:
        """Add a block."""
        if self._counted % self._lag == 0:
            self._known = self._waiting
            self._waiting = (self._errors.copy(), self._variances.copy(), self._largest.copy(), self._counted)
        most = self._errors + _PRIOR_HITS
        most /= self._variances + _PRIOR_HITS
        np.maximum(most, 1.0, out=most)
        most *= np.maximum(variance, _LEAST_VARIANCE)
        most *= _CLIPPED
        np.minimum(error, most, out=error)
        self._errors += error
        self._variances += variance
        error /= np.maximum(variance, 1.0)
        np.maximum(self._largest, error, out=self._largest)
        self._counted += 1


class Spreads:
    """Dispersions of blocks of 1, 4, 16, ... steps, by place and cell.

    Args:
        shape: numbers of places and of cells.
        shapes: the neighbours of each cell.
    """

    def __init__(self, shape: tuple[int, int], shapes: CellShapes) -> None:
        self._shape, self._shapes = shape, shapes
        self._of: dict[int, _Spread] = {}
        self._seen: dict[int, int] = {}

    def blocks(self, length: int) -> int:
        """Return the number of known blocks of *length* steps."""
        return self._of[length].blocks if length in self._of else 0

    def learn(self, hits: Counts, mean: Counts, length: int) -> None:
        """Count the errors of a block, if its length is kept."""
        power = length.bit_length() - 1
        seen = self._seen.get(length, 0)
        self._seen[length] = seen + 1
        if power % 2 or (length == 1 and seen % _EVERY):
            return
        # Of the peers, the whole model less the place.
        others = hits[:1] + 1.0 - hits
        usual = mean[:1] + 1.0 - mean
        np.divide(mean, usual, out=usual)
        variance = 1.0 + usual
        usual *= others
        variance *= usual
        usual[0], variance[0] = mean[0], mean[0]
        if length not in self._of:
            self._of[length] = _Spread(self._shape, _LAG if length > 1 else _LAG // _EVERY)
        error = hits - usual
        error *= error
        self._of[length].add(error, variance)

    def of(self, length: int, place: Indices, flat: Indices) -> Numbers:
        """Return the dispersion of spans of *length*; from shorter ones, as it grew from those before, where too few are known."""
        made, growth = np.ones(place.size), np.ones(place.size)
        reached = 1
        for known in sorted(self._of):
            spread = self._of[known]
            if known <= length and spread.blocks:
                ratio = spread.ratio(place, flat)
                if spread.blocks < _FEW_BLOCKS:
                    ratio = np.maximum(ratio, made * growth ** np.log2(known / reached))
                if known > reached:
                    growth = np.clip((ratio / made) ** (1 / np.log2(known / reached)), 1.0, 2.0)
                made, reached = ratio, known
        made = made * growth ** np.log2(max(length / reached, 1))
        return np.asarray(made, dtype=np.float64)


class Sharing:
    """How far the rows of a window share one value, by place and feature.

    Of two rows of a window, the share that is in one cell; of two rows of different windows it is that of the reference. Weather and clocks are the
    same for all rows of an hour: each hour is then one reading, and many rows in one cell are no evidence of anything.

    Args:
        places: number of places.
        expected: reference share of each cell, shape (features, columns).
    """

    def __init__(self, places: int, expected: Numbers) -> None:
        shape = (places, expected.shape[0])
        self._usual = (expected[:, :NULL] ** 2).sum(axis=1)
        self._pairs, self._alike = np.zeros(shape), np.zeros(shape)
        self._counted = self._seen = 0
        self._waiting = self._known = (self._pairs, self._alike)

    def add(self, hits: Counts, rows: Numbers) -> None:
        """Add a window: *hits* by place and cell, and *rows* with a readable value by place and feature; at most `_SHARED_ROWS` rows of weight."""
        self._seen += 1
        if (self._seen - 1) % _EVERY:
            return
        if self._counted % (_LAG // _EVERY) == 0:
            self._known = self._waiting
            self._waiting = (self._pairs.copy(), self._alike.copy())
        table = hits.reshape(*rows.shape, -1)[..., :NULL]
        alike = np.maximum(np.einsum("pfc,pfc->pf", table, table) - rows, 0.0)
        pairs = rows * (rows - 1)
        weight = np.where(pairs > 0, np.minimum(rows, _SHARED_ROWS), 0.0)
        self._alike += weight * alike / np.maximum(pairs, 1e-9)
        self._pairs += weight
        self._counted += 1

    def among(self, place: Indices | int, feature: Indices | int) -> Numbers:
        """Return the share of pairs alike beyond that expected of independent rows, 0 to 1; 1 where unknown."""
        pairs, alike = (part[place, feature] for part in self._known)
        expected = self._usual[feature]
        seen = np.where(pairs > 0, alike / np.maximum(pairs, 1e-9), 1.0)
        return np.asarray(np.clip((seen - expected) / np.maximum(1 - expected, 1e-9), 0.0, 1.0), dtype=np.float64)
