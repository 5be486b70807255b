"""Evidence that the share of a cell rose at a place, step by step, for all features, cells and places at once.

*Expected* is the sum over the series of a place of their rows times their own past share. The difference from what was counted is therefore
the change within series, exactly: a new mix of series changes both sides alike. (The other part, the change of the mix, is
``sum((w' - w) u)`` over weights *w* and shares *u*.) A series counts from `_MATURE_ROWS` rows on, and in a span of at most half its past.

*Peers* are the rows of the model outside the place, in the same span. What they rose, by a factor or by added rows, whichever is more, is
expected of the place too: a weekend, a gust or an outage of all rows is no break of a cohort. Breaks of the whole model have no peers and
are left to the check of blocks.

*Spans* are blocks of 1, 2, 4, ... steps. A block of one step is compared in one pass over the table of cells, those of *n* steps in one pass every
*n* steps, so a step costs two passes for any length of the history. Only what passes a bound on the evidence, from the counts alone, is weighed.

*Evidence* is that of a conditional binomial test against the past (`radiosonde.diagnose.evidence`), in which the past is as many rows as
its variance says, and its share is raised by what peers and neighbouring cells rose and by a tolerance (`radiosonde.diagnose.cell_shapes`).
It is divided by the dispersion of earlier blocks (`radiosonde.diagnose.cell_spread`). It must exceed the logarithm of all looks of 28
days, cells, and places, over the false alarms allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.cell_spread import Sharing, Spreads
from radiosonde.diagnose.evidence import MIN_HITS, RATIO, rise_ln_e
from radiosonde.model import NULL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.cell_shapes import CellShapes

    Numbers = NDArray[np.float64]
    Indices = NDArray[np.int64]

BUDGET = 1.0
"""False alarms allowed per 28 days and model, before they are confirmed on fresh rows."""

_MATURE_ROWS, _LEAST_STEPS = 200.0, 20
_PRIOR_ROWS = 20.0
"""Rows of the reference that a series begins with: readings that many rows share differ from it at once, so their dispersion is known early."""

SHARED, _INDEPENDENT, _LONG_KNOWN = 0.15, 1.5, 24
_LARGE, _LARGE_ROWS = 0.5, 30
"""Share of a single window that is one value, and its rows, from which one window is weighed alone."""
_WEAKEST = 20.0
"""Squared excess over its variance that any alarm has at least, for it is more than twice its log-likelihood ratio."""
_DOUBT, _LEAST_SPREAD = 1.645, 1.2
"""Quantile of chance by which counts fall short at a floor, since alarm and confirmation must both come, and the dispersion that noise alone may give."""


class CellAlarm(NamedTuple):
    """Evidence that passed its price.

    Attributes:
        step: last step of the span.
        length: steps in the span.
        place: index of the place.
        flat: position of the cell, of a flattened table of features and columns.
        ln_e: evidence.
        price: threshold.
        dispersion: of the cell at the place, for spans of that length.
        usual: expected share.
    """

    step: int
    length: int
    place: int
    flat: int
    ln_e: float
    price: float
    dispersion: float
    usual: float


class _Span(NamedTuple):
    """A span of steps against the past: counts and expectations of all places.

    Attributes:
        hits: counted rows, shape (places, cells), in single precision: each block is subtracted from the past before.
        mean: rows expected from the past of the same series, same shape.
        trials: rows of all values, and of readable ones, shape (2, places, features).
        past: trials squared over the trials that their past is worth, same shape: the larger, the less is known.
    """

    hits: NDArray[np.float32]
    mean: NDArray[np.float32]
    trials: Numbers
    past: Numbers


class Rise(NamedTuple):
    """Counted rows of a cell, those expected from the past, and all rows that might be in it."""

    hits: Numbers
    mean: Numbers
    trials: Numbers

    def common(self, peers: Rise) -> Numbers:
        """Return the rows expected here if they rose as those of *peers* did: by a factor or by added rows, whichever is more."""
        most = peers.hits + 2 * np.sqrt(peers.hits)
        factor = np.maximum((most + 2) / (peers.mean + 2), 1.0)
        added = np.clip((most - peers.mean) / np.maximum(peers.trials, 1e-9), 0.0, 1.0) * np.maximum(
            self.trials - self.mean, 0.0
        )
        return np.asarray(
            np.maximum(self.mean * factor, self.mean + np.where(peers.hits > 0, added, 0.0)), dtype=np.float64
        )


@dataclass
class CellScan:
    """The state after some steps.

    Attributes:
        shapes: the watched cells.
        members: series of each place, shape (places, series); the first place is the whole model.
        month_steps: steps in 28 days.
        expected: reference share of each cell, flattened; 0 without a reference.
    """

    shapes: CellShapes
    members: NDArray[np.bool_]
    month_steps: float
    expected: Numbers
    steps: int = 0
    _weights: NDArray[np.float32] = field(init=False)
    _counting: Numbers = field(init=False)
    _past: Numbers = field(init=False)
    _waiting: list[Numbers | None] = field(init=False, default_factory=list)
    _last: list[Numbers] = field(init=False, default_factory=list)
    _tolerated: NDArray[np.float32] = field(init=False)
    _spreads: Spreads = field(init=False)
    _sharing: Sharing = field(init=False)

    def __post_init__(self) -> None:
        self._weights = self.members.astype(np.float32)
        width = self.shapes.width
        self._counting = np.ones((width, 2))
        self._counting[NULL:, 1] = 0.0
        share = self.expected.reshape(-1, width)
        self._past = np.tile(_PRIOR_ROWS * share, (self.members.shape[1], 1, 1))
        self._spreads = Spreads((self.members.shape[0], self.expected.size), self.shapes)
        self._tolerated = self.shapes.tolerated.astype(np.float32)
        self._sharing = Sharing(self.members.shape[0], share)

    def price(self, place: Indices | int) -> Numbers:
        """Return the price of evidence at *place*: looks of 28 days at all scales, cells and places."""
        shared = 2.0 * max(self.members.shape[0] - 1, 1) * int(self.shapes.is_watched.sum())
        return np.full(np.shape(place), np.log(4 * self.month_steps * shared / BUDGET))

    def advance(self, slab: Numbers) -> list[CellAlarm]:
        """Add a step, cells of shape (series, features, columns), and return the strongest alarm of each feature."""
        self._past += slab
        self.steps += 1
        alarms = self._look(slab, 1)
        span, level = slab, 0
        while True:
            if level == len(self._waiting):
                self._waiting.append(None)
                self._last.append(span)
            self._last[level] = span
            held, self._waiting[level] = self._waiting[level], span
            if held is None:
                break
            # Blocks of 4 steps and more overlap by half: a fault that begins in the middle of one fills the next.
            is_aligned = self.steps % (2 << level) == 0
            if not is_aligned and level == 0:
                break
            span, level = held + span, level + 1
            alarms += self._look(span, 1 << level, is_aligned=is_aligned)
            if not is_aligned:
                break
        best: dict[int, CellAlarm] = {}
        for alarm in sorted(alarms, key=lambda each: each.ln_e - each.price):
            best[alarm.flat // self.shapes.width] = alarm
        return list(best.values())

    def forget(self, feature: int, series: NDArray[np.bool_], counted: Numbers) -> None:
        """Leave out a feature of some *series*, of which *counted* rows, shape (series, columns), belong to an incident."""
        self._past[series, feature] = np.maximum(self._past[series, feature] - counted[series], 0.0)
        for held in self._waiting:
            if held is not None:
                held[series, feature] = 0.0

    def floors(self, place: Indices, flat: Indices, length: int, rises: Numbers) -> Numbers:
        """Return the smallest of *rises* that a span of *length* steps would have shown with probability 0.9 by now; NaN where none.

        Args:
            place: places, shape (n,).
            flat: positions of cells, same shape.
            length: a power of two.
            rises: ascending shares of rows that are replaced.
        """
        level = length.bit_length() - 1
        if level >= len(self._last) or self.steps < max(2 * length, _LEAST_STEPS):
            return np.full(place.size, np.nan)
        span = self._against_past(self._last[level])
        trials, past_trials = self._trials(span, place, flat)
        usual = span.mean[place, flat] / np.maximum(trials, 1e-9)
        spread = np.maximum(self._spreads.of(length, place, flat), _LEAST_SPREAD)
        after = usual[:, None] + (1 - usual[:, None]) * rises
        deviation = np.sqrt(spread[:, None] * np.maximum(trials, 1e-9)[:, None] * after * (1 - after))
        hits = trials[:, None] * after - _DOUBT * deviation
        tolerated = self.shapes.tolerated[flat][:, None] * self._common(span, place, flat)[:, None] / np.maximum(span.mean[place, flat], 1e-9)[:, None]  # fmt: skip
        ln_e = rise_ln_e(
            hits, trials[:, None] * tolerated / RATIO, (usual * past_trials)[:, None], past_trials[:, None], spread[:, None]
        )  # fmt: skip
        is_seen = (ln_e >= self.price(place)[:, None]) & (after - usual[:, None] >= self.shapes.least[flat][:, None])
        is_seen &= hits > tolerated * (usual * trials)[:, None]
        return np.where(is_seen.any(axis=1), rises[is_seen.argmax(axis=1)], np.nan)

    def shared(self, place: Indices | int, feature: Indices | int) -> Numbers:
        """Return how far the rows of a window share one value, 0 to 1; above `SHARED` only missing and unseen values are checked."""
        return self._sharing.among(place, feature)

    def together(self, place: int, feature: int) -> float:
        """Return the dispersion of rows that lose a shared reading together: 1 plus what they share times the other rows of a window (design effect)."""
        shared = float(self.shared(place, feature))
        rows = float(self._weights[place] @ self._past[:, feature, :NULL].sum(axis=1)) / max(self.steps, 1)
        return 1 + shared * max(rows - 1, 0.0) if shared > SHARED else 1.0

    def _against_past(self, span: Numbers) -> _Span:
        """Return the counts of *span*, and those expected from the past before it."""
        series, features, width = span.shape
        past = self._past - span
        rows = span.reshape(-1, width) @ self._counting
        known = past.reshape(-1, width) @ self._counting
        is_mature = known[:, 0] >= np.maximum(2 * rows[:, 0], _MATURE_ROWS)
        rows *= is_mature[:, None]
        ratio = rows / np.maximum(known, 1e-9)
        table = past.reshape(-1, width)
        table[:, :NULL] *= ratio[:, 1:]
        table[:, NULL:] *= ratio[:, :1]
        hits = span.reshape(-1, width)
        hits = hits if is_mature.all() else hits * is_mature[:, None]
        flat = series, features * width
        return _Span(
            self._weights @ hits.reshape(flat).astype(np.float32), self._weights @ past.reshape(flat).astype(np.float32),
            *(np.moveaxis(np.tensordot(self._weights, part.reshape(series, features, 2), 1), 2, 0) for part in (rows, rows * ratio)),
        )  # fmt: skip

    def _trials(self, span: _Span, place: Indices, flat: Indices) -> tuple[Numbers, Numbers]:
        """Return the trials of cells at places, and the trials that their past is worth."""
        at = (self.shapes.kind[flat] >= 2).astype(np.int64), place, flat // self.shapes.width
        trials = span.trials[at]
        return trials, trials**2 / np.maximum(span.past[at], 1e-9)

    def _look(self, counted: Numbers, length: int, *, is_aligned: bool = True) -> list[CellAlarm]:
        if self.steps - length < max(length, 1):
            return []
        span = self._against_past(counted)
        if is_aligned:
            self._spreads.learn(span.hits, span.mean, length)
        if length == 1:
            self._sharing.add(span.hits, span.trials[1])
        if self.steps - length < _LEAST_STEPS or not self.members[1:].any():
            return []
        mean = span.mean * self._tolerated
        excess = span.hits - mean
        excess -= MIN_HITS
        np.maximum(excess, 0.0, out=excess)
        excess *= excess
        mean *= _WEAKEST
        is_above = excess > mean
        is_above &= self.shapes.is_watched
        is_above[0] = False
        place, flat = np.divmod(np.flatnonzero(is_above), is_above.shape[1])
        return self._weigh(place, flat, span, length) if place.size else []

    def _weigh(self, place: Indices, flat: Indices, span: _Span, length: int) -> list[CellAlarm]:
        shapes = self.shapes
        feature = flat // shapes.width
        hits, mean = (part[place, flat].astype(np.float64) for part in (span.hits, span.mean))
        mean = np.maximum(mean, 1e-9)
        trials, past_trials = self._trials(span, place, flat)
        common = np.maximum(self._common(span, place, flat), mean * self._rise(span, place, flat))
        kept = np.flatnonzero(
            ((shapes.kind[flat] < 2) | (self.shared(place, feature) <= SHARED))
            & (hits - common >= shapes.least[flat] * trials)
            & (hits > shapes.tolerated[flat] * common)
            & ((length > 1) | ((hits >= _LARGE * trials) & (trials >= _LARGE_ROWS)))
        )
        if not kept.size:
            return []
        place, flat = place[kept], flat[kept]
        hits, mean, trials, past_trials, common = (part[kept] for part in (hits, mean, trials, past_trials, common))
        dispersion = self._spreads.of(length, place, flat)
        usual = mean / np.maximum(trials, 1e-9)
        ln_e = rise_ln_e(
            hits, trials * common / mean * shapes.tolerated[flat] / RATIO, usual * past_trials, past_trials, dispersion
        )
        # A dispersion that is known from few windows may be too small by chance: the shape of Student's t, unless rows have long been independent.
        known = max(self._spreads.blocks(1), 1)
        is_clean = (dispersion <= _INDEPENDENT) & (known >= _LONG_KNOWN)
        ln_e = np.where(is_clean, ln_e, known / 2 * np.log1p(2 * np.maximum(ln_e, 0.0) / known))
        price = self.price(place)
        return [
            CellAlarm(
                self.steps - 1, length, int(place[index]), int(flat[index]), float(ln_e[index]), float(price[index]),
                float(dispersion[index]), float(usual[index]),
            )
            for index in np.flatnonzero(ln_e >= price)
        ]  # fmt: skip

    def _common(self, span: _Span, place: Indices, flat: Indices) -> Numbers:
        """Return the rows expected at places if they rose as all other rows of the model did: by a factor or by added rows."""
        everywhere = np.zeros_like(place)
        mine, whole = (
            Rise(span.hits[at, flat].astype(np.float64), np.maximum(span.mean[at, flat].astype(np.float64), 1e-9), self._trials(span, at, flat)[0])
            for at in (place, everywhere)
        )  # fmt: skip
        return mine.common(
            Rise(*(np.maximum(all_rows - part, 0.0) for all_rows, part in zip(whole, mine, strict=True)))
        )

    def _rise(self, span: _Span, place: Indices, flat: Indices) -> Numbers:
        """Return by how much the neighbours of each cell rose at most; at least 1."""
        near = self.shapes.first[flat], self.shapes.second[flat]
        seen, mean = (
            (part[place, near[0]] + part[place, near[1]]).astype(np.float64) for part in (span.hits, span.mean)
        )
        most = (seen + np.sqrt(seen) + 1) / (mean + 1e-9)
        rise: Numbers = np.clip(most, 1.0, 1e6) ** self.shapes.steepness[flat]
        return rise
