"""A share compared with its own past: the usual course of the week, robust dispersion, and a replay of departures.

*Usual* is forecast step by step from the past: the level; from two days of history on adjusted to the same hour of the day, from two weeks
on to the same hour of the week. Incidents are excluded: from onset to recovery the forecast is frozen.

*Dispersion* is that of the residuals of earlier spans of the same length, so shares that wander, follow the weather or come in bursts are
compared with their usual variation. It is the larger of the mean square without the largest hundredth (an outage is a state, not noise)
and what the largest that is left says of the tail.

A departure is a log e-value (Gaussian, mixed over its size) above the price of all looks of 28 days, scales, measures and both directions,
of a relevant size. It is open until the evidence for the forecast, against half of the departure on the log-odds scale, passes its
threshold. A look uses only earlier data, so one look over everything equals a look at every step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

_HOUR_NS, _DAY_NS = 3_600_000_000_000, 86_400_000_000_000
_MONTH_NS = 28 * _DAY_NS
_CELLS = ((24, 2 * _DAY_NS), (168, 14 * _DAY_NS))
"""Hours of the day, and of the week, and from which age of the history on they are usual."""

_DRAWN_ROWS = 50.0
_LEAST_ROWS, _LEAST_BLOCKS, _LEAST_CALM = 30.0, 8, 3
_LEAST_ODDS, _LEAST_SHARE = 0.7, 0.02
_CALM_LN, _LIKELY = 10.0, 3.3
_BUDGET = 0.1
"""False alarms allowed per 28 days and version."""


class ShareDeparture(NamedTuple):
    """A period in which a share was unusual.

    Attributes:
        measure: which share.
        onset: most likely first step.
        earliest: start of the likelihood set of the onset.
        latest: end of it.
        opened: the step with which the evidence passed its price.
        ended: first step after it; None while it goes on.
        usual: share that was forecast.
        share: share since the onset, when it was opened.
        odds: departure on the log-odds scale.
        ln_e: evidence, corrected for all looks except those over time.
        is_lasting: it is unusual even for spans of its length in days.
    """

    measure: int
    onset: int
    earliest: int
    latest: int
    opened: int
    ended: int | None
    usual: float
    share: float
    odds: float
    ln_e: float
    is_lasting: bool = False


@dataclass
class OwnPast:
    """The replay over one version's shares.

    Attributes:
        start_ns: start of each step, ascending.
        hits: shape (measures, steps).
        trials: same shape.
    """

    start_ns: NDArray[np.int64]
    hits: Numbers
    trials: Numbers
    departures: list[ShareDeparture] = field(default_factory=list)
    _level: Numbers = field(init=False)
    _cells: dict[int, Numbers] = field(init=False)
    _blocks: dict[int, tuple[list[Numbers], ...]] = field(init=False)
    _spread: dict[int, tuple[int, int, Numbers]] = field(init=False)
    _era: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        measures = self.hits.shape[0]
        self._level = np.zeros((2, measures))
        self._cells = {24: np.zeros((24, 2, measures)), 168: np.zeros((168, 2, measures))}
        size = self.start_ns.size
        self.scales = [1 << power for power in range(max(size // _LEAST_BLOCKS, 1).bit_length())]
        self._blocks = {length: tuple([] for _ in range(len(_CELLS) + 1)) for length in self.scales}
        self._spread = {}
        distance = float(np.median(np.diff(self.start_ns))) if size > 1 else float(_MONTH_NS)
        self.month_steps = max(_MONTH_NS / max(distance, 1.0), 1.0)
        self.usual, self._errors, self._variances = (np.zeros((measures, size)) for _ in range(3))

    def run(self) -> OwnPast:
        """Go through all steps once, and return self."""
        step = free_from = 0
        while step < self.start_ns.size:
            self._forecast(step)
            found = self._best(step, free_from)
            if found is None:
                self._learn(step)
                step += 1
                continue
            departure, era = self._opened(step, *found, free_from), self._era
            for other in range(departure.onset, step):
                self._learn(other, -1.0)
            for other in range(step + 1, self.start_ns.size):
                self._forecast(other)
            self._era = era  # the forecast when it was opened, regardless of later windows
            ended, closed = self._recovered(departure, self.dispersion(1)[found[0]])
            departure = departure._replace(ended=ended)
            self.departures.append(departure._replace(is_lasting=self._lasts(departure)))
            if ended is None or closed is None:
                break
            for other in range(ended, closed + 1):
                self._learn(other)
            step = free_from = closed + 1
        return self

    def price(self, length: int) -> float:
        """Return the price of evidence in spans of *length*."""
        looks = 1 + 16 * self.month_steps / length
        return float(np.log(looks * self._choices / _BUDGET))

    @property
    def _choices(self) -> float:
        """Correction of every look: scales of 28 days, measures and directions, independent of the history's length."""
        return float(2 * self.hits.shape[0] * (1 + np.log2(self.month_steps)))

    def dispersion(self, length: int) -> Numbers:
        """Return the dispersion of spans of *length*, per measure; at least 1."""
        blocks = self._known_blocks(length)
        known = len(blocks)
        held = self._spread.get(length)
        if held is None or held[0] != self._era or not held[1] <= known <= 1.1 * held[1]:
            squares = np.sort(np.stack(blocks) ** 2, axis=0)
            kept = squares[: known - known // 100]
            tail = kept[-1] / (2 * np.log(kept.shape[0]) + 2)
            doubt = (1 + 1 / np.sqrt(kept.shape[0])) ** 2
            held = self._spread[length] = (
                self._era,
                known,
                np.maximum(np.maximum(kept.mean(axis=0), tail) * doubt, 1.0),
            )
        return held[2]

    def is_known(self, length: int) -> bool:
        """Return whether there were enough spans of *length* to estimate their variance."""
        return len(self._known_blocks(length)) >= _LEAST_BLOCKS

    def _known_blocks(self, length: int) -> list[Numbers]:
        """Return the residuals of the spans of *length* with the current kind of forecast, or of all if those are too few."""
        eras = self._blocks[length]
        if len(eras[self._era]) >= 2 * _LEAST_BLOCKS:
            return eras[self._era]
        return [residual for era in eras for residual in era]

    def _forecast(self, step: int) -> None:
        level_hits, level_trials = self._level
        share = (level_hits + 0.5) / (level_trials + 1.0)
        age = self.start_ns[step] - self.start_ns[0]
        self._era = 0
        for cells, needed in _CELLS:
            if age >= needed:
                self._era += 1
                hits, trials = self._cells[cells][self._cell(step, cells)]
                share = (hits + _DRAWN_ROWS * share) / (trials + _DRAWN_ROWS)
        share = np.clip(share, 1e-5, 1 - 1e-5)
        known = self.trials[:, step] * (level_trials > 0)
        self.usual[:, step] = share
        self._errors[:, step] = np.where(known > 0, self.hits[:, step] - self.trials[:, step] * share, 0.0)
        # A forecast from few rows is not exact.
        doubt = 1 + self.trials[:, step] / np.maximum(level_trials, 1.0)
        self._variances[:, step] = known * share * (1 - share) * doubt

    def _learn(self, step: int, sign: float = 1.0) -> None:
        counts = sign * np.stack([self.hits[:, step], self.trials[:, step]])
        self._level += counts
        for cells, table in self._cells.items():
            table[self._cell(step, cells)] += counts
        if sign > 0:
            for length in self.scales:
                if (step + 1) % length == 0 and step + 1 - length >= 0:
                    self._blocks[length][self._era].append(self._residual(step, length))

    def _cell(self, step: int, cells: int) -> int:
        return int(self.start_ns[step] // _HOUR_NS) % cells

    def _residual(self, step: int, length: int) -> Numbers:
        span = slice(step + 1 - length, step + 1)
        variance = self._variances[:, span].sum(axis=1)
        return np.where(variance > 0, self._errors[:, span].sum(axis=1) / np.sqrt(np.maximum(variance, 1e-12)), 0.0)

    def _best(self, step: int, free_from: int) -> tuple[int, int, float] | None:
        """Return measure, length and evidence of the strongest departure that ends with *step*; None without one."""
        best: tuple[float, int, int, float] | None = None
        for length in self.scales:
            if length > step + 1 - free_from or (step + 1) % max(1, length // 8) or not self.is_known(length):
                continue
            squares = self._residual(step, length) ** 2 / self.dispersion(length)
            ln_e = squares / 2 - 0.5 * np.log1p(squares)
            excess = ln_e - self.price(length)
            if excess.max() < 0:
                continue
            excess = np.where(self._matters(step, length), excess, -np.inf)
            measure = int(excess.argmax())
            if excess[measure] >= 0 and (best is None or excess[measure] > best[0]):
                best = (float(excess[measure]), measure, length, float(ln_e[measure]))
        return None if best is None else best[1:]

    def _matters(self, step: int, length: int) -> NDArray[np.bool_]:
        span = slice(step + 1 - length, step + 1)
        trials = self.trials[:, span].sum(axis=1)
        share = (self.hits[:, span].sum(axis=1) + 0.5) / (trials + 1.0)
        usual = (self.usual * self.trials)[:, span].sum(axis=1) / np.maximum(trials, 1e-12)
        usual = np.clip(usual, 1e-6, 1 - 1e-6)
        far = np.abs(_logit(share) - _logit(usual)) >= _LEAST_ODDS
        return np.asarray(far & (np.abs(share - usual) >= _LEAST_SHARE) & (trials >= _LEAST_ROWS), dtype=np.bool_)

    def _opened(self, step: int, measure: int, length: int, ln_e: float, free_from: int) -> ShareDeparture:
        first = max(step + 1 - 2 * length, free_from)
        inside = slice(step + 1 - length, step + 1)
        trials = self.trials[measure, inside].sum()
        share = float((self.hits[measure, inside].sum() + 0.5) / (trials + 1.0))
        usual = float((self.usual * self.trials)[measure, inside].sum() / max(trials, 1e-12))
        odds = float(_logit(share) - _logit(usual))
        score = -self._for_usual(measure, slice(first, step + 1), odds)
        suffix = score[::-1].cumsum()[::-1]
        best = int(suffix.argmax())
        likely = np.flatnonzero(suffix >= suffix.max() - _LIKELY * self.dispersion(length)[measure])
        paid = ln_e - float(np.log(self._choices))
        return ShareDeparture(
            measure, first + best, first + int(likely[0]), first + int(likely[-1]), step, None, usual, share, odds, paid
        )

    def _for_usual(self, measure: int, span: slice, odds: float) -> Numbers:
        """Return the log-likelihood ratio per step of the forecast to one that departs from it by *odds*."""
        usual = self.usual[measure, span]
        other = 1 / (1 + np.exp(-(_logit(usual) + odds)))
        other = np.clip(other, 1e-6, 1 - 1e-6)
        hits, trials = self.hits[measure, span], self.trials[measure, span]
        return np.asarray(hits * np.log(usual / other) + (trials - hits) * np.log((1 - usual) / (1 - other)))

    def _recovered(self, departure: ShareDeparture, dispersion: float) -> tuple[int | None, int | None]:
        """Return the first step after *departure* and the step that shows it; None, None while it goes on."""
        start = departure.opened + 1
        gain = self._for_usual(departure.measure, slice(start, self.start_ns.size), departure.odds / 2) / dispersion
        total = np.concatenate([[0.0], gain.cumsum()])
        lowest = np.minimum.accumulate(total)
        at = np.maximum.accumulate(np.where(total <= lowest, np.arange(total.size), 0))
        passed = (total - lowest >= _CALM_LN) & (np.arange(total.size) - at >= _LEAST_CALM)
        if not passed.any():
            return None, None
        look = int(passed.argmax())
        return start + int(at[look]), start + look - 1

    def _lasts(self, departure: ShareDeparture) -> bool:
        """Return whether the first 1, 2, 4, ... days of *departure* are unusual among spans of that length.

        A day of storm is unusual among hours and usual among days. Where spans of that length are not known, the dispersion of the longest
        known ones grows with the length, as it does at most: when the steps of a span err all alike. A dispersion known from few spans may
        be too small by chance, so the likelihood is that of Student's t with as many degrees of freedom.
        """
        measure, first, ended = departure.measure, departure.onset, departure.ended
        starts = self.start_ns
        step_ns = int(np.median(np.diff(starts)))
        end_ns = int(starts[-1]) + step_ns if ended is None or ended >= starts.size else int(starts[ended])
        length_ns = _DAY_NS
        while starts[first] + length_ns <= end_ns:
            span = slice(first, int(np.searchsorted(starts, starts[first] + length_ns)))
            length = span.stop - first
            known = max((each for each in self.scales if each <= length and self.is_known(each)), default=1)
            spread = float(self.dispersion(known)[measure]) * length / known
            variance = max(float(self._variances[measure, span].sum()), 1e-12)
            square = float(self._errors[measure, span].sum()) ** 2 / variance / spread
            spans = len(self._known_blocks(known))
            if spans / 2 * np.log1p(square / spans) - 0.5 * np.log1p(square) >= self.price(length):
                return True
            length_ns *= 2
        return False


def _logit(share: Numbers | float) -> Numbers:
    return np.asarray(np.log(share) - np.log1p(-np.asarray(share)), dtype=np.float64)
