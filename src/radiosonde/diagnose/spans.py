"""Tests a rate in spans of 1, 2, 4, ... windows that end now, at every place, and reports where and when evidence passes its price.

A look at window *t* compares, for each scale *s* and place, the *s* windows that end with *t* with up to 28 days before them. The detection
delay does not depend on the length of the history: a fault of two windows is in the span of two windows. Spans of *s* windows are tested
every *s / 8* windows, so all scales together cost about eight times the finest.

Evidence is corrected for every look. It must exceed the logarithm of: the number of scales, the number of places (half of the
budget belongs to the whole model), the looks of 28 days at that scale, and one over the false alarms allowed in that time.

A place whose own past is shorter than twice the span (a new caller, a new version) has no past to be compared with. It is held against the
objective here, and versions against each other by `radiosonde.diagnose.arm_search`. Cohorts differ from each other in health, too.

*Clusters.* One bad request retried twenty times is one event. Against the past a span must hold more than its largest window explains, so
two windows is the least; a single window is enough against the objective. A place is taken to cluster at least as much as single windows of
the whole model do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.dispersion import Dispersion, widened
from radiosonde.diagnose.evidence import MIN_HITS, RATIO, above_ln_e, rise_ln_e

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

_LOOKS_PER_SPAN = 8
_MATURE_CALLS = 200.0
_MANY_HITS = 50.0
_LONGEST_CLUSTERED, SPREAD_LN = 64, 4.0
_NO_OBJECTIVE = 2.0
_OBJECTIVE_LN = 3.0
"""Price of an objective beside places and scales. Healthy rates stay far below it, so its looks cost next to nothing."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Criteria of a reportable rise.

    Attributes:
        min_rise: least rise of the rate over the past.
        objective: rate that is a fault without any history; None for no such rate.
        slo: objective that the model's owners declared, for the whole model; it takes the place of *objective* there, and elsewhere
            where it is higher. A healthy service may live just below it, so its looks are paid for like those at the past.
        objective_trials: trials from which it is one whenever it is seen. Of fewer trials, as those of a nightly job, evidence
            against the objective pays for every look, and one window is not enough.
        false_alarms: allowed false alarms per 28 days.
        measures: number of measures that share the budget.
    """

    min_rise: float
    objective: float | None = None
    slo: float | None = None
    objective_trials: float = 20.0
    false_alarms: float = 0.25
    measures: int = 1


class Alarm(NamedTuple):
    """The first look whose evidence passed its price.

    Attributes:
        step: the look: index of the last window of the span.
        length: windows in the span.
        place: index of the place with the largest evidence.
        ln_e: uncorrected evidence.
        price: threshold of the evidence: scales, places, and the looks of 28 days.
        ln_report: evidence corrected for the scales and places of one look.
        dispersion: dispersion of the place at that scale.
        past_rate: rate of the place before; NaN where it has no past.
        is_objective: the objective decided, not the past.
        objective: the objective of the place; above 1 for none.
        is_above: the objective is passed as well, whichever decided.
    """

    step: int
    length: int
    place: int
    ln_e: float
    price: float
    ln_report: float
    dispersion: float
    past_rate: float
    is_objective: bool
    objective: float = _NO_OBJECTIVE
    is_above: bool = False


class Latest(NamedTuple):
    """The last span of some length at a place: its trials, its past, its dispersion, and whether the past is long enough."""

    trials: float
    past_hits: float
    past_trials: float
    dispersion: float
    is_mature: bool


class Opening(NamedTuple):
    """Limits that a rise must exceed, either of them, to be reported where short bursts are usual.

    Attributes:
        hits: its events; of fewer, it is taken for one of the known bursts.
        steps: or its length, in windows.
    """

    hits: float
    steps: int


class Candidates(NamedTuple):
    """Spans of one scale that may hold a rise: the arrays have one entry each."""

    place: NDArray[np.int64]
    end: NDArray[np.int64]
    hits: Numbers
    trials: Numbers
    past_hits: Numbers
    past_trials: Numbers
    dispersion: Numbers


def scale_of(length: int) -> int:
    """Return the best scale for a change of *length* windows: a tenth longer still covers it."""
    return 1 << (int(length * 1.1).bit_length() - 1)


class Mask(NamedTuple):
    """Series that are left out of all counts for some time, because they belong to an incident that is known.

    Attributes:
        series: which series.
        start: first step.
        end: first step after it; None while it goes on.
    """

    series: NDArray[np.bool_]
    start: int
    end: int | None


@dataclass
class SpanScan:
    """Counts of all places over time, and the looks at them. Steps can be added at the end (`append`) and taken off it (`cut`).

    Attributes:
        members: series of each place, shape (places, series); the first place is the whole model.
        hits: events per series and step, shape (series, steps); explained data are excluded by `set_masks`.
        trials: trials, same shape.
        month_steps: steps in 28 days.
        rule: criteria of a rise.
        opening: what a rise must exceed, beside its price, to be reported; None for nothing.
    """

    members: NDArray[np.bool_]
    hits: Numbers
    trials: Numbers
    month_steps: float
    rule: Rule
    opening: Opening | None = None
    raw_hits: Numbers = field(init=False)
    raw_trials: Numbers = field(init=False)
    size: int = field(init=False)
    _weights: Numbers = field(init=False)
    _hits: Numbers = field(init=False)
    _trials: Numbers = field(init=False)
    _dispersion: dict[int, Dispersion] = field(init=False)
    _filled: dict[int, int] = field(init=False, default_factory=dict)
    _known: int = field(init=False, default=0)
    _tables: tuple[Numbers, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.size = int(self.hits.shape[1])
        self._tables = tuple(part.astype(np.float64) for part in (self.hits, self.trials, self.hits, self.trials))
        self._show()
        self._weights = self.members.astype(np.float64)
        count = self.members.shape[0]
        self._hits, self._trials = np.zeros((count, self.size + 1)), np.zeros((count, self.size + 1))
        self._dispersion = {length: Dispersion(count, self.size // length) for length in self.scales}

    def _show(self) -> None:
        self.hits, self.trials, self.raw_hits, self.raw_trials = (part[:, : self.size] for part in self._tables)

    def append(self, hits: Numbers, trials: Numbers) -> None:
        """Add steps at the end, of which nothing is masked; shapes (series, new steps)."""
        old, self.size = self.size, self.size + hits.shape[1]
        if self.size > self._tables[0].shape[1]:
            self._tables = tuple(widened(part, self.size) for part in self._tables)
        if self.size + 1 > self._hits.shape[1]:
            self._hits, self._trials = widened(self._hits, self.size + 1), widened(self._trials, self.size + 1)
        for table, new in zip(self._tables, (hits, trials, hits, trials), strict=True):
            table[:, old : self.size] = new
        self._show()
        for length in self.scales:
            if length not in self._dispersion:
                self._dispersion[length] = Dispersion(self.members.shape[0], 0)
            self._dispersion[length].reserve(self.size // length)

    def cut(self, size: int) -> None:
        """Take the steps from *size* on off."""
        self.size, self._known = size, min(self._known, size)
        for length in self._filled:
            self._filled[length] = min(self._filled[length], size // length)
        self._show()

    def set_masks(self, masks: Iterable[Mask], first: int) -> None:
        """Exclude exactly the data in *masks*, from step *first* on."""
        self.hits[:, first:], self.trials[:, first:] = self.raw_hits[:, first:], self.raw_trials[:, first:]
        for mask in masks:
            start, end = max(mask.start, first), self.size if mask.end is None else mask.end
            self.hits[mask.series, start:end] = 0
            self.trials[mask.series, start:end] = 0
        self._sum_up(min(first, self._known), self._known)

    def extend(self, end: int) -> None:
        """Sum the counts before step *end*: later steps are not read, so changing their mask is cheap."""
        self._sum_up(self._known, max(end, self._known))

    def _sum_up(self, start: int, end: int) -> None:
        for total, table in ((self._hits, self.hits), (self._trials, self.trials)):
            total[:, start + 1 : end + 1] = total[:, start : start + 1] + (self._weights @ table[:, start:end]).cumsum(
                axis=1
            )
        self._known = end
        for length in self._filled:
            self._filled[length] = min(self._filled[length], start // length)

    def _fill(self, length: int) -> None:
        """Update the dispersion of spans of *length* on first use: most steps need none."""
        first, last = self._filled.get(length, 0), self._known // length
        if first >= last:
            return
        finer = self._dispersion.get(length // 2)
        if finer is not None:
            self._fill(length // 2)
        self._dispersion[length].fill(self._hits, self._trials, length, (first, last), finer)
        self._filled[length] = last

    @property
    def scales(self) -> list[int]:
        """Lengths of the spans: powers of two up to the whole history, or 28 days."""
        most = max(1, min(self.size, int(self.month_steps)))
        return [1 << power for power in range(most.bit_length())]

    def price(self, length: NDArray[np.int64] | int, place: NDArray[np.int64] | int) -> Numbers:
        """Return the price of evidence in spans of *length* at *place*."""
        looks = 1 + 2 * self.month_steps / length
        scales = 1 + np.log2(max(self.month_steps, 1.0))
        budget = self.rule.false_alarms / self.rule.measures
        return np.asarray(np.log(looks * scales / budget) + self._place_price(place))

    def objective(self, place: NDArray[np.int64] | int) -> Numbers:
        """Return the rate that is a fault at *place* without any history; above 1 where there is none."""
        usual = _NO_OBJECTIVE if self.rule.objective is None else self.rule.objective
        if self.rule.slo is None:
            return np.full(np.shape(place), usual)
        return np.where(np.asarray(place) == 0, self.rule.slo, max(usual, self.rule.slo))

    def objective_price(self, length: NDArray[np.int64] | int, place: NDArray[np.int64] | int) -> Numbers:
        """Return the price of evidence in spans of *length* against the objective."""
        cheap = np.asarray(_OBJECTIVE_LN + np.log(self.rule.measures) + self._place_price(place))
        if self.rule.slo is None:
            return cheap
        return np.where(np.asarray(place) == 0, self.price(length, place), cheap)

    def _report_price(self, place: int) -> float:
        """Return the correction of one look for its scales, places and measures."""
        scales = 1 + np.log2(max(self.month_steps, 1.0))
        return float(np.log(scales * self.rule.measures) + self._place_price(place))

    def _place_price(self, place: NDArray[np.int64] | int) -> Numbers:
        others = max(self.members.shape[0] - 1, 1)
        return np.asarray(np.where(np.asarray(place) == 0, np.log(2.0), np.log(2.0 * others)), dtype=np.float64)

    def first_alarm(self, start: int, end: int) -> Alarm | None:
        """Return the first look in ``[start, end)`` with evidence above its price, and its strongest span; None without."""
        self.extend(end)
        if self._hits[0, end] - self._hits[0, max(0, start - int(self.month_steps))] < MIN_HITS:
            return None
        if end == start + 1 and not self._may_alarm(end):
            return None
        best: Alarm | None = None
        for length in self.scales:
            found = self._first_of(length, start, end if best is None else best.step + 1)
            if found is not None and (
                best is None or (found.step, best.ln_e - best.price) < (best.step, found.ln_e - found.price)
            ):
                best = found
        return best

    def _may_alarm(self, end: int) -> bool:
        """Return whether a span that ends before step *end* may pass its price: all scales and places at once, as if nothing clustered.

        A look at one new window is mostly a healthy one, and this is most of what it costs. Evidence never grows with the dispersion where it is
        above a half, so it is exact to leave that out, and what else a span must satisfy.
        """
        lengths = np.array([each for each in self.scales if each <= end and end % max(1, each // _LOOKS_PER_SPAN) == 0])
        begins = end - lengths
        hits = self._hits[:, end, None] - self._hits[:, begins]
        place, at = np.nonzero(hits >= MIN_HITS)
        if not place.size:
            return False
        begin = begins[at]
        oldest = np.maximum(begin - int(self.month_steps), 0)
        hits, trials = hits[place, at], self._trials[place, end] - self._trials[place, begin]
        past_hits = self._hits[place, begin] - self._hits[place, oldest]
        past_trials = self._trials[place, begin] - self._trials[place, oldest]
        objective, length, alone = self.objective(place), lengths[at], np.ones(1)
        is_above = hits > objective * trials
        rising = np.flatnonzero(((past_trials > 0) & (hits * past_trials > RATIO * past_hits * trials)) | is_above)
        if not rising.size:
            return False
        place, length = place[rising], length[rising]
        hits, trials = hits[rising], trials[rising]
        past_hits, past_trials = past_hits[rising], past_trials[rising]
        price = self.price(length, place)
        if bool((rise_ln_e(hits, trials, past_hits, past_trials, alone) >= price)[length > 1].any()):
            return True
        if not is_above.any():
            return False
        cheap = np.where(trials < self.rule.objective_trials, price, self.objective_price(length, place))
        return bool((above_ln_e(hits, trials, objective[rising], alone) >= cheap).any())

    def _first_of(self, length: int, start: int, end: int) -> Alarm | None:
        spans = self.candidates(length, start, end)
        if spans is None:
            return None
        price = self.price(length, spans.place)
        excess = self._over_past(spans, length) - price
        by_objective = np.full(excess.shape, -np.inf)
        limit, objective = self.objective_price(length, spans.place), self.objective(spans.place)
        if self.rule.objective is not None or self.rule.slo is not None:
            ln_e = above_ln_e(spans.hits, spans.trials, objective, spans.dispersion)
            is_few = spans.trials < self.rule.objective_trials
            limit = np.where(is_few, price, limit)
            enough = (~is_few | (length > 1)) & self._is_no_cluster(spans, length)
            by_objective = np.where(enough, ln_e - limit, -np.inf)
        above = np.flatnonzero(excess >= 0)
        if above.size:
            excess[above[~self._is_spread(spans, above, length)]] = -np.inf
        strongest = np.maximum(excess, by_objective)
        passed = strongest >= 0
        if not passed.any():
            return None
        first = spans.end[passed].min()
        index = int(np.where(spans.end == first, strongest, -np.inf).argmax())
        is_objective = bool(by_objective[index] >= excess[index])
        paid = float(limit[index] if is_objective else price[index])
        known = bool(spans.past_trials[index] > 0)
        return Alarm(
            int(first) - 1,
            length,
            int(spans.place[index]),
            float(strongest[index]) + paid,
            paid,
            float(strongest[index]) + paid - self._report_price(int(spans.place[index])),
            float(spans.dispersion[index]),
            float(spans.past_hits[index] / spans.past_trials[index]) if known else float("nan"),
            is_objective,
            float(objective[index]),
            bool(by_objective[index] >= 0),
        )

    def _over_past(self, spans: Candidates, length: int) -> Numbers:
        """Return the evidence that the rates are above those of the past; minus infinity without a past."""
        ln_e = rise_ln_e(spans.hits, spans.trials, spans.past_hits, spans.past_trials, spans.dispersion)
        rise = spans.hits / spans.trials - spans.past_hits / np.maximum(spans.past_trials, 1e-300)
        is_mature = spans.past_trials >= np.maximum(2 * spans.trials, _MATURE_CALLS)
        return np.where(is_mature & (rise >= self.rule.min_rise) & (length > 1), ln_e, -np.inf)

    def _is_no_cluster(self, spans: Candidates, length: int) -> NDArray[np.bool_]:
        """Return which spans are more than one request that was retried: several windows, many or most calls, or all there is."""
        if length > 1:
            return self._is_spread(spans, np.arange(spans.end.size), length, rates=self.objective(spans.place))
        many = (spans.hits >= _MANY_HITS) | (spans.hits >= 0.5 * spans.trials) | (spans.past_trials < _MATURE_CALLS)
        return np.asarray((spans.place == 0) & many, dtype=np.bool_)

    def _is_spread(
        self, spans: Candidates, chosen: NDArray[np.int64], length: int, *, rates: Numbers | None = None
    ) -> NDArray[np.bool_]:
        """Return which of the *chosen* spans have enough evidence without their largest window, against their past or given *rates*."""
        if length > _LONGEST_CLUSTERED:
            return np.ones(chosen.size, dtype=bool)
        place, end = spans.place[chosen][:, None], spans.end[chosen][:, None]
        at = end - length + np.arange(length)
        hits = self._hits[place, at + 1] - self._hits[place, at]
        trials = self._trials[place, at + 1] - self._trials[place, at]
        largest = hits.argmax(axis=1)
        rows = np.arange(chosen.size)
        left, left_trials = hits.sum(axis=1) - hits[rows, largest], trials.sum(axis=1) - trials[rows, largest]
        if rates is not None:
            return np.asarray((left >= 2) & (left >= rates * left_trials), dtype=np.bool_)
        past_hits, past_trials = spans.past_hits[chosen], spans.past_trials[chosen]
        ln_e = rise_ln_e(left, left_trials, past_hits, past_trials, spans.dispersion[chosen], least=2.0)
        return np.asarray(ln_e >= SPREAD_LN, dtype=np.bool_)

    def candidates(self, length: int, start: int, end: int) -> Candidates | None:
        """Return the spans of *length* windows, ending in ``[start, end)``, with enough events and a rate above the past's."""
        stride = max(1, length // _LOOKS_PER_SPAN)
        ends = np.arange(-(-max(start + 1, length) // stride) * stride, end + 1, stride)
        if not ends.size:
            return None
        begins = ends - length
        hits = self._hits[:, ends] - self._hits[:, begins]
        place, at = np.nonzero(hits >= MIN_HITS)
        if not place.size:
            return None
        return self._with_past(place, ends[at], hits[place, at], length)

    def _with_past(
        self, place: NDArray[np.int64], ends: NDArray[np.int64], hits: Numbers, length: int
    ) -> Candidates | None:
        begins = ends - length
        oldest = np.maximum(begins - int(self.month_steps), 0)
        trials = self._trials[place, ends] - self._trials[place, begins]
        past_hits = self._hits[place, begins] - self._hits[place, oldest]
        past_trials = self._trials[place, begins] - self._trials[place, oldest]
        is_rise = (past_trials > 0) & (hits * past_trials >= RATIO * past_hits * trials)
        is_rise |= hits >= self.objective(place) * np.maximum(trials, 1e-300)
        kept = np.flatnonzero(is_rise & (trials > 0))
        if not kept.size:
            return None
        place, ends, begins = place[kept], ends[kept], begins[kept]
        return Candidates(
            place, ends, hits[kept], trials[kept], past_hits[kept], past_trials[kept],
            self._dispersion_at(length, place, begins),
        )  # fmt: skip

    def latest(self, length: int, place: int) -> Latest:
        """Return the last span of *length* windows at *place*."""
        length = min(length, self.size)
        self.extend(self.size)
        begin = self.size - length
        oldest = max(begin - int(self.month_steps), 0)
        trials = float(self._trials[place, self.size] - self._trials[place, begin])
        past_trials = float(self._trials[place, begin] - self._trials[place, oldest])
        at = np.array([place]), np.array([begin])
        return Latest(
            trials,
            float(self._hits[place, begin] - self._hits[place, oldest]),
            past_trials,
            float(self._dispersion_at(min(scale_of(length), self.scales[-1]), *at)[0]),
            past_trials >= max(2 * trials, _MATURE_CALLS),
        )

    def _dispersion_at(self, length: int, place: NDArray[np.int64], begins: NDArray[np.int64]) -> Numbers:
        self._fill(1)
        self._fill(length)
        own, clusters = self._dispersion[length].ratio[place, begins // length], self._dispersion[1].ratio[0, begins]
        return np.asarray(np.maximum(own, clusters), dtype=np.float64)
