"""Evidence that the share of a cell rose at a place, step by step, for all features, cells and places at once.

*Expected* is the sum over the series of a place of their rows times their own past share. The difference from what was counted is therefore
the change within series, exactly: a new mix of series changes both sides alike. (The other part, the change of the mix, is
``sum((w' - w) u)`` over weights *w* and shares *u*; see `radiosonde.diagnose.mix`.) A series counts from `_MATURE_ROWS` rows on, and in a span of at most half
its past.

*Spans* of 1, 2, 4, ... steps end at every step, at every second one of those of 4 steps, and so on: the sums of the last two blocks of each
power of two. A step costs three passes over the table of cells, for any length of the history.

*Evidence* is that of a conditional binomial test against the past (`radiosonde.diagnose.evidence`), in which the past is as many rows as
its variance says, and its share is raised by what neighbouring cells rose and by a tolerance (`radiosonde.diagnose.cell_shapes`). It is divided by the dispersion of
earlier blocks: values that come in readings shared by many rows, or in bursts, are weak evidence. Errors of single
blocks beyond five standard deviations count as five, so that one outage does not hide later faults. It must exceed
the logarithm of all looks of 28 days, cells, and places, half of the budget being that of the whole model, over the false alarms allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.evidence import MIN_HITS, RATIO, rise_ln_e
from radiosonde.model import NULL, UNSEEN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.cell_shapes import CellShapes

    Numbers = NDArray[np.float64]

BUDGET = 0.05
"""False alarms allowed per 28 days and model."""

_MATURE_ROWS, _LEAST_STEPS = 200.0, 20
_PRIOR_ROWS = 20.0
"""Rows of the reference that a series begins with: readings that many rows share differ from it at once, so their dispersion is known early."""

_CLIPPED, _LEAST_VARIANCE, _LAG = 25.0, 0.04, 8
_FEW_BLOCKS, _PRIOR_HITS = 6, 2.0
_LEVEL_STRIDE = 2
_SHARED_ROWS, SHARED, _INDEPENDENT, _LONG_KNOWN = 50.0, 0.15, 1.5, 48
_NINE_IN_TEN = 1.2816


class CellAlarm(NamedTuple):
    """Evidence that passed its price.

    Attributes:
        step: last step of the span.
        length: steps in the span.
        place: index of the place.
        watched: index of the cell among those watched.
        ln_e: evidence.
        price: threshold.
        dispersion: of the cell at the place, for spans of that length.
        usual: expected share.
    """

    step: int
    length: int
    place: int
    watched: int
    ln_e: float
    price: float
    dispersion: float
    usual: float


class _Spread:
    """Squared errors and variances of blocks of one length.

    The ratio is at least `_LAG` blocks old, so that a fault does not raise its own dispersion.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._errors, self._variances, self._largest = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._counted = 0
        self._waiting = self._known = (np.zeros(shape), np.zeros(shape), np.zeros(shape), 0)

    @property
    def blocks(self) -> int:
        """Number of blocks that it knows of."""
        return self._known[3]

    def ratio(self, place: NDArray[np.int64], cell: NDArray[np.int64]) -> Numbers:
        """Return the dispersion at some places and cells, at least 1, raised by twice its standard error."""
        errors, variances, largest, blocks = self._known
        variance = variances[place, cell]
        estimate = (errors[place, cell] + _PRIOR_HITS) / (variance + _PRIOR_HITS)
        doubt = 1 + 2 * np.sqrt(2 / max(blocks, 1)) * variance / (variance + 5)
        tail = largest[place, cell] / (2 * np.log(max(blocks, 1)) + 2)
        return np.asarray(np.maximum(np.maximum(estimate, tail) * doubt, 1.0), dtype=np.float64)

    def add(self, error: Numbers, variance: Numbers) -> None:
        """Add a block."""
        if self._counted % _LAG == 0:
            self._known = self._waiting
            self._waiting = (self._errors.copy(), self._variances.copy(), self._largest.copy(), self._counted)
        usual = np.maximum((self._errors + _PRIOR_HITS) / (self._variances + _PRIOR_HITS), 1.0)
        np.minimum(error, _CLIPPED * usual * np.maximum(variance, _LEAST_VARIANCE), out=error)
        self._errors += error
        self._variances += variance
        np.maximum(self._largest, error / np.maximum(variance, 1.0), out=self._largest)
        self._counted += 1


class _Sharing:
    """How far the rows of a window share one value, by place and feature.

    Of two rows of a window, the share that is in one cell; of two rows of different windows it is that of the reference. Weather and clocks are the
    same for all rows of an hour: each hour is then one reading, and many rows in one cell are no evidence of anything.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._pairs, self._alike = np.zeros(shape), np.zeros(shape)
        self._counted = 0
        self._waiting = self._known = (np.zeros(shape), np.zeros(shape), 0)

    def add(self, hits: Numbers, rows: Numbers, feature: NDArray[np.int64], is_body: NDArray[np.bool_]) -> None:
        """Add a window: *hits* by place and cell, and *rows* with a readable value by place and feature; at most `_SHARED_ROWS` rows of weight."""
        if self._counted % _LAG == 0:
            self._known = self._waiting
            self._waiting = (self._pairs.copy(), self._alike.copy(), self._counted)
        squares = hits * (hits - 1) * is_body
        ends = np.flatnonzero(np.diff(feature, prepend=-1))
        alike = np.maximum(np.add.reduceat(squares, ends, axis=1), 0.0)
        pairs = rows * (rows - 1)
        weight = np.where(pairs > 0, np.minimum(rows, _SHARED_ROWS), 0.0)
        self._alike += weight * alike / np.maximum(pairs, 1e-9)
        self._pairs += weight
        self._counted += 1

    def among(self, expected: Numbers) -> Numbers:
        """Return the share of pairs alike beyond that *expected* of independent rows, by place and feature: 0 to 1; 1 where unknown."""
        pairs, alike, _ = self._known
        seen = np.where(pairs > 0, alike / np.maximum(pairs, 1e-9), 1.0)
        return np.asarray(np.clip((seen - expected) / np.maximum(1 - expected, 1e-9), 0.0, 1.0), dtype=np.float64)


@dataclass
class CellScan:
    """The state after some steps.

    Attributes:
        shapes: the watched cells.
        members: series of each place, shape (places, series); the first place is the whole model.
        month_steps: steps in 28 days.
        expected: reference share of each watched cell; 0 without a reference.
    """

    shapes: CellShapes
    members: NDArray[np.bool_]
    month_steps: float
    expected: Numbers
    steps: int = 0
    _weights: Numbers = field(init=False)
    _past: Numbers = field(init=False)
    _blocks: list[list[Numbers]] = field(init=False, default_factory=list)
    _spreads: dict[int, _Spread] = field(init=False, default_factory=dict)
    _trials: NDArray[np.int64] = field(init=False)
    _near: tuple[NDArray[np.int64], NDArray[np.int64]] = field(init=False)
    _features: int = field(init=False)
    _sharing: _Sharing = field(init=False)
    _alike: Numbers = field(init=False)

    def __post_init__(self) -> None:
        shapes = self.shapes
        self._features, size = int(shapes.feature.max()) + 1, shapes.flat.size
        self._weights = self.members.astype(np.float64)
        self._past = np.zeros((self.members.shape[1], size + 2 * self._features))
        self._trials = size + shapes.feature + np.where(shapes.is_of_all, 0, self._features)
        ends = np.flatnonzero(np.diff(shapes.feature, prepend=-1))
        self._alike = np.add.reduceat(self.expected**2 * ~shapes.is_of_all, ends)
        self._sharing = _Sharing((self.members.shape[0], self._features))
        at = {int(flat): index for index, flat in enumerate(shapes.flat)}
        self._near = tuple(np.array([at[int(flat)] for flat in part]) for part in (shapes.first, shapes.second))  # type: ignore[assignment]

    def counts_of(self, slab: Numbers) -> Numbers:
        """Return the watched cells and the trials of a *slab* of cells, shape (series, cells + 2 features)."""
        series = slab.shape[0]
        rows = slab.sum(axis=2)
        readable = rows - slab[..., NULL] - slab[..., UNSEEN]
        return np.concatenate([slab.reshape(series, -1)[:, self.shapes.flat], rows, readable], axis=1)

    def price(self, place: NDArray[np.int64] | int) -> Numbers:
        """Return the price of evidence at *place*: looks of 28 days at all scales, cells and places."""
        others = max(self.members.shape[0] - 1, 1)
        shared = np.where(np.asarray(place) == 0, 2.0, 2.0 * others)
        return np.asarray(np.log(4 * self.month_steps * self.shapes.flat.size / BUDGET * shared))

    @property
    def shared(self) -> Numbers:
        """How far the rows of a window share one value, by place and feature, 0 to 1; above `SHARED` only missing and unseen values are checked."""
        return self._sharing.among(self._alike)

    def advance(self, counts: Numbers) -> list[CellAlarm]:
        """Add a step and return the strongest alarm of each feature."""
        self._past += counts
        self.steps += 1
        alarms: list[CellAlarm] = []
        span, level = counts, 0
        while True:
            if level == len(self._blocks):
                self._blocks.append([])
            held = self._blocks[level]
            is_aligned = self.steps % (1 << level) == 0
            if level == 0:
                alarms += self._look(span, 1, is_aligned=True)
            held.append(span)
            if len(held) > 2:
                del held[0]
            if len(held) < 2:
                break
            span, level = held[0] + held[1], level + 1
            is_aligned = self.steps % (1 << level) == 0
            alarms += self._look(span, 1 << level, is_aligned=is_aligned)
            if not is_aligned:
                break
        best: dict[int, CellAlarm] = {}
        for alarm in sorted(alarms, key=lambda each: each.ln_e - each.price):
            best[int(self.shapes.feature[alarm.watched])] = alarm
        return list(best.values())

    def forget(self, feature: int, series: NDArray[np.bool_], counted: Numbers) -> None:
        """Leave out a feature of some *series*, of which *counted* rows (as `counts_of`) belong to an incident."""
        columns = np.flatnonzero(np.concatenate([self.shapes.feature == feature, *[np.arange(self._features) == feature] * 2]))  # fmt: skip
        rows = np.flatnonzero(series)
        at = np.ix_(rows, columns)
        self._past[at] = np.maximum(self._past[at] - counted[at], 0.0)
        for held in self._blocks:
            for block in held:
                block[at] = 0.0

    def floors(self, place: NDArray[np.int64], cell: NDArray[np.int64], length: int, rises: Numbers) -> Numbers:
        """Return the smallest of *rises* that a span of *length* steps would have shown with probability 0.9 by now; NaN where none.

        Args:
            place: places, shape (n,).
            cell: watched cells, same shape.
            length: a power of two.
            rises: ascending shares of rows that are replaced.
        """
        size = self.shapes.flat.size
        level = length.bit_length() - 1
        held = self._blocks[level] if level < len(self._blocks) else []
        if not held or self.steps < max(2 * length, _LEAST_STEPS):
            return np.full(place.size, np.nan)
        rows, past_rows = held[-1][:, size:], np.maximum(self._past - held[-1], 0.0)[:, size:]
        is_mature = past_rows >= np.maximum(2 * rows, _MATURE_ROWS)
        trial = self._trials[cell] - size
        trials = (self._weights @ (rows * is_mature))[place, trial]
        known = (self._weights @ (rows**2 * is_mature / np.maximum(past_rows, 1e-9)))[place, trial]
        past_trials = trials**2 / np.maximum(known, 1e-9)
        past = (self._weights @ self._past)[place]
        usual = past[np.arange(place.size), cell] / np.maximum(past[np.arange(place.size), self._trials[cell]], 1e-9)
        spread = self._dispersion(length, place, cell)
        after = usual[:, None] + (1 - usual[:, None]) * rises
        deviation = np.sqrt(spread[:, None] * np.maximum(trials, 1e-9)[:, None] * after * (1 - after))
        hits = trials[:, None] * after - _NINE_IN_TEN * deviation
        ln_e = rise_ln_e(
            hits, (trials * self.shapes.tolerated[cell] / RATIO)[:, None], (usual * past_trials)[:, None], past_trials[:, None], spread[:, None]
        )  # fmt: skip
        is_seen = (ln_e >= self.price(place)[:, None]) & (after - usual[:, None] >= self.shapes.least[cell][:, None])
        is_seen &= hits > (self.shapes.tolerated[cell] * usual * trials)[:, None]
        return np.where(is_seen.any(axis=1), rises[is_seen.argmax(axis=1)], np.nan)

    def _look(self, span: Numbers, length: int, *, is_aligned: bool) -> list[CellAlarm]:
        before = self.steps - length
        if before < max(length, 1):
            return []
        size = self.shapes.flat.size
        past = self._past - span
        rows, past_rows = span[:, size:], past[:, size:]
        is_mature = past_rows >= np.maximum(2 * rows, _MATURE_ROWS)
        exposed = rows * is_mature
        share = (past[:, :size] + _PRIOR_ROWS * self.expected) / (past_rows + _PRIOR_ROWS * (self.expected.any()))[:, self._trials - size].clip(1e-9)  # fmt: skip
        used = exposed[:, self._trials - size]
        hits = self._weights @ (span[:, :size] * (used > 0))
        expected = self._weights @ (used * share)
        if length == 1:
            whole = self._weights @ span
            self._sharing.add(
                whole[:, :size], whole[:, size + self._features :], self.shapes.feature, ~self.shapes.is_of_all
            )
        if is_aligned and self._level(length) == length:
            self._learn(hits, expected, length)
        if before < _LEAST_STEPS:
            return []
        place, cell = np.nonzero(hits >= RATIO * expected + MIN_HITS)
        if not place.size:
            return []
        return self._weigh(place, cell, hits, expected, (exposed, past_rows), length)

    def _weigh(
        self, place: NDArray[np.int64], cell: NDArray[np.int64], hits: Numbers, expected: Numbers, rows: tuple[Numbers, Numbers], length: int
    ) -> list[CellAlarm]:  # fmt: skip
        shapes, size = self.shapes, self.shapes.flat.size
        trial = self._trials[cell] - size
        trials = (self._weights @ rows[0])[place, trial]
        hit, mean = hits[place, cell], expected[place, cell]
        factor = np.where(shapes.has_neighbours[cell], self._rise(hits, expected, place, cell), 1.0)
        is_shared = (self.shared > SHARED)[place, shapes.feature[cell]] & ~shapes.is_of_all[cell]
        kept = np.flatnonzero(
            ~is_shared
            & (hit - mean * factor >= shapes.least[cell] * trials)
            & (hit > shapes.tolerated[cell] * factor * mean)
        )
        if not kept.size:
            return []
        place, cell, trial = place[kept], cell[kept], trial[kept]
        hit, mean, trials, factor = (part[kept] for part in (hit, mean, trials, factor))
        doubt = self._weights @ (rows[0] ** 2 / np.maximum(rows[1], 1e-9))
        past_trials = trials**2 / np.maximum(doubt[place, trial], 1e-9)
        dispersion = self._dispersion(length, place, cell)
        ln_e = rise_ln_e(
            hit, trials * factor * shapes.tolerated[cell] / RATIO, mean / np.maximum(trials, 1e-9) * past_trials, past_trials, dispersion
        )  # fmt: skip
        # A dispersion that is known from few windows may be too small by chance: the shape of Student's t, unless rows have long been independent.
        known = max(self._spreads[1].blocks, 1)
        is_clean = (dispersion <= _INDEPENDENT) & (known >= _LONG_KNOWN)
        ln_e = np.where(is_clean, ln_e, known / 2 * np.log1p(2 * np.maximum(ln_e, 0.0) / known))
        price = self.price(place)
        is_alone = length == 1
        is_large = (hit >= 0.5 * trials) & (trials >= 30)
        passed = np.flatnonzero((ln_e >= price) & (is_large | (not is_alone)))
        return [
            CellAlarm(
                self.steps - 1, length, int(place[index]), int(cell[index]), float(ln_e[index]), float(price[index]),
                float(dispersion[index]), float(mean[index] / max(trials[index], 1e-9)),
            )
            for index in passed
        ]  # fmt: skip

    def _rise(self, hits: Numbers, expected: Numbers, place: NDArray[np.int64], cell: NDArray[np.int64]) -> Numbers:
        """Return by how much the neighbours of each cell rose at most; at least 1."""
        seen, mean = (part[place, self._near[0][cell]] + part[place, self._near[1][cell]] for part in (hits, expected))
        most = (seen + 2 * np.sqrt(seen) + 2) / (mean + 1e-9)
        rise: Numbers = np.maximum(np.minimum(most, 1e6), 1.0) ** self.shapes.steepness[cell]
        return rise

    def _learn(self, hits: Numbers, expected: Numbers, length: int) -> None:
        """Count the errors of a block."""
        near, mean = (part[:, self._near[0]] + part[:, self._near[1]] for part in (hits, expected))
        has = self.shapes.has_neighbours & (mean > 0)
        ratio = np.where(has, (near + 1) / (mean + 1), 1.0) ** self.shapes.steepness
        usual = expected * ratio
        doubt = np.where(has, usual**2 / (near + 1), 0.0)
        error, variance = (hits - usual) ** 2, usual + doubt * self.shapes.steepness**2
        spread = self._spreads.get(length)
        if spread is None:
            spread = self._spreads[length] = _Spread(hits.shape)
        spread.add(error, variance)

    def _level(self, length: int) -> int:
        """Return the longest length of which dispersions are kept that is not above *length*: every second power of two."""
        power = length.bit_length() - 1
        return 1 << (power - power % _LEVEL_STRIDE)

    def _dispersion(self, length: int, place: NDArray[np.int64], cell: NDArray[np.int64]) -> Numbers:
        """Return the dispersion of spans of *length*; from shorter ones, as it grew from those before, where too few are known."""
        made, growth = np.ones(place.size), np.ones(place.size)
        reached = 1
        for known in sorted(self._spreads):
            spread = self._spreads[known]
            if known <= length and spread.blocks:
                ratio = spread.ratio(place, cell)
                if spread.blocks < _FEW_BLOCKS:
                    ratio = np.maximum(ratio, made * growth ** np.log2(known / reached))
                if known > reached:
                    growth = np.clip((ratio / made) ** (1 / np.log2(known / reached)), 1.0, 2.0)
                made, reached = ratio, known
        made = made * growth ** np.log2(max(length / reached, 1))
        return np.asarray(made, dtype=np.float64)

    def together(self, place: int, feature: int) -> float:
        """Return the dispersion of rows that lose a shared reading together: 1 plus what they share times the other rows of a window (design effect)."""
        shared = float(self.shared[place, feature])
        rows = float((self._weights[place] @ self._past[:, self.shapes.flat.size + feature]) / max(self.steps, 1))
        return 1 + shared * max(rows - 1, 0.0) if shared > SHARED else 1.0
