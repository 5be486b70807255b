"""Breaks of features by place: when and where values were replaced, from the first window to the last.

One pass over the steps, so what is found at a step depends on earlier ones only: a look after each window gives the same incidents as one look at
all. The first alarm of a feature opens a break: its onset is the most likely first step, its place is the cover that explains it
(`radiosonde.diagnose.cover`). From there to its recovery the feature is left out of the past of these series; a fault never becomes the baseline of the next.

An alarm of a numeric cell is a break only if the other cells kept their proportions, or hardly any row is left in them: a level that moved
by two standard deviations piles up in the outermost cell, too, and is drift. A category must have come in place of one or two others that went away.

Breaks of one kind that come and go are usual: from two earlier ones on, a third is reported when it outlasts twice the second longest.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.cell_scan import CellAlarm, CellScan, Rise
from radiosonde.diagnose.cell_shapes import KINDS, CellShapes, make_shapes
from radiosonde.diagnose.cover import Cover, find_cover
from radiosonde.diagnose.evidence import RATIO, rise_ln_e
from radiosonde.diagnose.measures import MONTH_NS
from radiosonde.diagnose.places import Places, make_places
from radiosonde.diagnose.replay import Incident, find_onset, past_rates, recovery
from radiosonde.diagnose.spans import Alarm
from radiosonde.model import NULL, UNSEEN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.cell_table import CellTable

    Numbers = NDArray[np.float64]

MAX_BREAKS, MOST_CELLS = 256, 150_000
"""Breaks after which no more are searched for; places times watched cells, beyond which the places with the least rows are left out."""

_ALL, _APART, _WENT, _KEPT = 0.9, 0.2, 0.4, 0.15
_LONGEST_CLUSTERED, _LEAST_WINDOWS = 64, 4
_CONFIRMED_LN, _FRESH_STEPS, _FRESH_SPANS = float(np.log(1000.0)), 16, 4
"""Evidence of rows after the alarm that confirms it, and the steps and lengths of the alarm that it is waited for."""

_CERTAIN_RISE, _CERTAIN_ROWS = 0.3, 30.0
"""Rise of the share, in so many rows, that needs no confirmation."""

_DAY_NS, _HOUR_NS, _LEAST_THEN = 86_400_000_000_000, 3_600_000_000_000, 0.5
_KNOWN_ROWS = 200.0
_REST_STEPS, _BACK_STEPS, _ONSET_STEPS = 4, 10, 16


@dataclass(slots=True, eq=False)
class Break:
    """Values of a feature that were replaced at a place.

    Attributes:
        alarm: evidence that opened it.
        feature: the feature.
        cell: the column that rose.
        kind: one of `radiosonde.diagnose.cell_shapes.KINDS`.
        cover: its places.
        onset: most likely first step.
        earliest: start of the likelihood set.
        latest: end of it.
        opened: the step that opened it.
        recovered: first step after it; None while it goes on.
        closed: the step that showed the recovery.
        before: expected share of the cell.
        after: its share since the onset.
        rows: rows since the onset, at its place.
        source: column of the category that went away, of a recoded feature; None for others.
    """

    alarm: CellAlarm
    feature: int
    cell: int
    kind: str
    cover: Cover
    onset: int
    earliest: int
    latest: int
    opened: int
    recovered: int | None = None
    closed: int | None = None
    before: float = 0.0
    after: float = 0.0
    rows: float = 0.0
    source: int | None = None

    @property
    def is_burst(self) -> bool:
        """Whether it was over before it could be distinguished from usual ones."""
        return self.closed is not None and self.closed <= self.opened


@dataclass
class Breaks:
    """All breaks of one table.

    Attributes:
        table: the cells.
        shapes: the watched cells.
        places: all places, for naming.
        watched: indices of the places that are watched.
        scan: the state after the last step.
        found: breaks, in the order of their alarms.
        looked: number of checked steps.
    """

    table: CellTable
    shapes: CellShapes
    places: Places
    watched: NDArray[np.int64]
    scan: CellScan
    found: list[Break] = field(default_factory=list)
    looked: int = 0
    _rest: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def left_out(self) -> int:
        """Number of places that are not watched."""
        return len(self.places.names) - int(self.watched.size)

    @property
    def reported(self) -> list[Break]:
        """Breaks that a look at the last step reports."""
        return [each for each in self.found if not each.is_burst and each.opened < self.looked]

    def run(self) -> Breaks:
        """Check every step, and return self; a model without cohorts has no place that is reported."""
        if not any(key.cohort for key in self.table.keys):
            self.looked = self.table.size
            return self
        for step in range(self.table.size):
            slab = self.table.slab(step)
            self._hide(slab, step)
            for alarm in self.scan.advance(slab):
                self._take(alarm)
            self.looked = step + 1
            if len(self.found) >= MAX_BREAKS:
                break
        self.found = [self._settled(each) for each in self.found]
        return self

    def _hide(self, slab: Numbers, step: int) -> None:
        """Take out of *slab* what belongs to a break that goes on."""
        for each in self.found:
            if each.closed is None or step <= each.closed:
                slab[each.cover.series, each.feature] = 0.0

    def _take(self, alarm: CellAlarm) -> None:
        """Open a break by *alarm*, or widen the one that it is a part of."""
        feature, cell = self.shapes.where(alarm.flat)
        if self._rest.get((feature, alarm.place), -1) >= alarm.step:
            return
        made = self._opened(alarm, feature, cell)
        if made is None:
            self._rest[feature, alarm.place] = alarm.step + max(_REST_STEPS, alarm.length // 2)
            return
        former = self._same(made)
        if former is not None and former.opened > alarm.step:
            if former.closed is None or former.closed > alarm.step:
                self.found.remove(former)
            former = None
        if former is None:
            made.opened = max(self._opening(made), self._confirmed(made))
            self.found.append(made)
        else:
            series = former.cover.series | made.cover.series
            wider = made.cover if made.cover.series.sum() >= former.cover.series.sum() else former.cover
            former.cover = wider._replace(series=series)
            former.recovered, former.closed = made.recovered, made.closed
            made = former
        hidden = self._column(feature, skip=made)[:, min(made.onset, alarm.step) : alarm.step + 1].sum(axis=1)
        self.scan.forget(feature, made.cover.series, hidden)

    def _column(self, feature: int, skip: Break | None = None) -> Numbers:
        """Return the cells of *feature* over time, without what belongs to breaks other than *skip*."""
        column = self.table.column(feature)
        others = [each for each in self.found if each.feature == feature and each is not skip]
        if not others:
            return column
        column = column.copy()
        for each in others:
            column[each.cover.series, each.onset : None if each.closed is None else each.closed + 1] = 0.0
        return column

    def _events(self, column: Numbers, cell: int) -> tuple[Numbers, Numbers]:
        """Return hits and trials of *cell*, shape (series, steps)."""
        trials = column.sum(axis=2)
        if cell - self.table.width not in (NULL, UNSEEN):
            trials = trials - column[..., NULL] - column[..., UNSEEN]
        return column[..., cell], trials

    def _opened(self, alarm: CellAlarm, feature: int, cell: int) -> Break | None:
        """Return the break that *alarm* shows, from what was counted up to it; None if it shows drift, or one window only."""
        column = self._column(feature)[:, : alarm.step + 1]
        hits, trials = self._events(column, cell)
        place = int(self.watched[alarm.place])
        members = self.places.members[place]
        if not _is_spread(hits[members], trials[members], alarm):
            return None
        if self._was_so_before(hits[members].sum(axis=0), trials[members].sum(axis=0), alarm):
            return None
        first = _first_onset(alarm)
        rates = past_rates(hits, trials, first)
        given = _as_alarm(alarm, place)
        onset, earliest, latest = find_onset(hits[members], trials[members], given, rates[members], first)
        inside = slice(onset, alarm.step + 1)
        hit, tried = hits[:, inside].sum(axis=1), trials[:, inside].sum(axis=1)
        cover = find_cover(self.places, hit, tried, _risen(rates, hit, tried, ~members), alarm.dispersion)
        if not (cover.series & members).any():
            cover = Cover((place,), members, (), ())
        together = min(
            self.scan.together(alarm.place, feature), _clustering(hits[members][:, inside], trials[members][:, inside])
        )
        if alarm.ln_e * min(alarm.dispersion / together, 1.0) < alarm.price:
            return None
        kind = KINDS[int(self.shapes.kind[alarm.flat])]
        source = None
        if kind not in ("missing", "unseen"):
            kind, source = self._judged(feature, column, cell, (cover, onset), alarm.dispersion)
            if not kind:
                return None
        made = Break(alarm, feature, cell, kind, cover, onset, earliest, latest, alarm.step, source=source)
        return self._with_recovery(made)

    def _was_so_before(self, hits: Numbers, trials: Numbers, alarm: CellAlarm) -> bool:
        """Return whether the share of the cell at the place was as high at the same time of the day before, or of the week before."""
        span = slice(alarm.step + 1 - alarm.length, alarm.step + 1)
        starts, ends = self.table.start_ns, self.table.end_ns
        hit, rows = float(hits[span].sum()), float(trials[span].sum())
        for lag in (_DAY_NS, 7 * _DAY_NS):
            # An hour more on either side: mornings begin a little earlier or later.
            first, end = np.searchsorted(
                starts, [starts[span.start] - lag - _HOUR_NS, ends[alarm.step] - lag + _HOUR_NS]
            )
            held, held_rows = float(hits[first:end].sum()), float(trials[first:end].sum())
            if end > span.start or held_rows < _LEAST_THEN * rows:
                continue
            tolerated = float(self.shapes.tolerated[alarm.flat])
            ln_e = rise_ln_e(*(np.array(part) for part in (hit, rows * tolerated / RATIO, held, held_rows, alarm.dispersion)))  # fmt: skip
            if ln_e < 0.5 * alarm.price:
                return True
        return False

    def _confirmed(self, made: Break) -> int:
        """Return the step at which rows after the alarm show the break again: a burst that the alarm happened to meet does not.

        Of a break that is not confirmed in time, the step is that of its end, which is set; of one that may still be, the next one.
        """
        alarm, series = made.alarm, made.cover.series
        hits, trials = self._events(self._column(made.feature, skip=made), made.cell)
        start = min(alarm.step + 1, self.table.size)
        span = slice(alarm.step + 1 - alarm.length, alarm.step + 1)
        rows = float(trials[series, span].sum())
        rates = past_rates(hits, trials, _first_onset(alarm))[:, None]
        if rows >= _CERTAIN_ROWS and float((hits - trials * rates)[series, span].sum()) >= _CERTAIN_RISE * rows:
            return alarm.step
        end = start + max(_FRESH_STEPS, _FRESH_SPANS * alarm.length)
        fresh = slice(start, min(end, self.table.size))
        hit, mean, tried = (part[:, fresh].cumsum(axis=1) for part in (hits, trials * rates, trials))
        known = float(trials[series, : made.onset].sum())
        mine = Rise(*(part[series].sum(axis=0) for part in (hit, mean, tried)))
        common = mine.common(Rise(*(part[~series].sum(axis=0) for part in (hit, mean, tried))))
        usual = np.maximum(mine.mean, 1e-9) / np.maximum(mine.trials, 1e-9)
        ln_e = rise_ln_e(
            mine.hits, mine.trials * common / np.maximum(mine.mean, 1e-9) * self.shapes.tolerated[alarm.flat] / RATIO, usual * known,
            np.full(usual.size, known), np.full(usual.size, alarm.dispersion),
        )  # fmt: skip
        passed = np.flatnonzero(ln_e >= _CONFIRMED_LN)
        if passed.size:
            return start + int(passed[0])
        if end <= self.table.size:
            made.recovered = made.recovered if made.recovered is not None and made.recovered < end else end
            made.closed = made.closed if made.closed is not None and made.closed < end else end - 1
            return end
        return self.table.size

    def _with_recovery(self, made: Break) -> Break:
        hits, trials = self._events(self._column(made.feature, skip=made), made.cell)
        given = _as_alarm(made.alarm, made.cover.places[0])
        incident = Incident(given, made.cover, made.onset, made.earliest, made.latest, made.opened)
        made.recovered, made.closed = recovery(incident, given, hits, trials)
        return made

    def _judged(
        self, feature: int, column: Numbers, cell: int, where: tuple[Cover, int], dispersion: float
    ) -> tuple[str, int | None]:
        """Return the kind of a change of readable values, and the category that went away; ``""`` for drift."""
        cover, onset = where
        mine = column[cover.series]
        readable = np.ones(self.table.width, dtype=bool)
        readable[[NULL, UNSEEN]] = False
        before, after = mine[:, :onset].sum(axis=1) * readable, mine[:, onset:].sum(axis=(0, 1)) * readable
        rows = mine[:, onset:].sum(axis=1) @ readable
        moved = self._moved(column[~cover.series] * readable, onset)
        shares = before * moved / np.maximum((before * moved).sum(axis=1, keepdims=True), 1e-9)
        expected = rows @ shares
        total = max(float(after.sum()), 1e-9)
        is_outside = cell - self.table.width in (-4, -3)
        alike = "range" if is_outside else "one_value"
        if after[cell] >= _ALL * total:
            return alike, None
        if self.table.is_categorical(feature):
            source = _moved_from(after, expected, cell)
            if source is not None:
                return "recoded", source
        others = np.delete(np.arange(self.table.width), cell)
        left, was = (mine[:, onset:].sum(axis=1) * readable)[:, others], (rows[:, None] * shares)[:, others]
        if self._apart(left, was, dispersion) <= _APART:
            return alike, None
        return "", None

    def _moved(self, peers: Numbers, onset: int) -> Numbers:
        """Return the ratio of the shares of each cell after and before *onset* among *peers*, which is expected elsewhere, too."""
        before, after = peers[:, :onset].sum(axis=(0, 1)), peers[:, onset:].sum(axis=(0, 1))
        if min(before.sum(), after.sum()) < _KNOWN_ROWS:
            return np.ones(self.table.width)
        one, other = ((part + 1) / (part.sum() + part.size) for part in (after, before))
        return np.asarray(one / other, dtype=np.float64)

    def _apart(self, left: Numbers, was: Numbers, dispersion: float) -> float:
        """Return how far the proportions of the other cells moved within series, beyond noise: the mean over their rows.

        Within series: cohorts that drift in opposite directions keep their sum.
        """
        kept, known = left.sum(axis=1, keepdims=True), was.sum(axis=1, keepdims=True)
        apart = 0.5 * np.abs(left / np.maximum(kept, 1e-9) - was / np.maximum(known, 1e-9)).sum(axis=1)
        noise = 0.5 * np.sqrt(dispersion * (was > 0).sum(axis=1) / np.maximum(kept[:, 0], 1e-9))
        weight = kept[:, 0] / max(float(kept.sum()), 1e-9)
        return float(np.maximum(apart - noise, 0.0) @ weight)

    def _same(self, made: Break) -> Break | None:
        """Return the earlier break of which *made* is a part: the same fault spreading, or coming back before it was over for long."""
        for former in reversed(self.found):
            if (former.feature, former.kind) != (made.feature, made.kind) or former.cell != made.cell:
                continue
            if former.closed is None or former.closed >= made.alarm.step:
                return former
            lasted = (former.recovered or former.closed) - former.onset
            overlaps = bool((former.cover.series & made.cover.series).any())
            if overlaps and made.onset - (former.recovered or former.closed) <= max(min(lasted, _BACK_STEPS), 2):
                return former
        return None

    def _opening(self, made: Break) -> int:
        """Return the step that opens *made*: that of its alarm, or when it has outlasted twice the second longest known one."""
        known = sorted(
            (each.closed - each.onset)
            for each in self.found
            if (each.feature, each.cell) == (made.feature, made.cell)
            and each.closed is not None
            and each.closed < made.alarm.step
            and (each.cover.series & made.cover.series).any()
        )
        return max(made.alarm.step, made.onset + 2 * known[-2]) if len(known) >= 2 else made.alarm.step

    def _settled(self, made: Break) -> Break:
        """Return *made* with place, onset and shares from all that was counted while it lasted."""
        hits, trials = self._events(self._column(made.feature, skip=made), made.cell)
        first = _first_onset(made.alarm)
        rates = past_rates(hits, trials, first)
        end = self.looked if made.recovered is None else made.recovered
        inside = slice(made.onset, max(end, made.onset + 1))
        hit, rows = hits[:, inside].sum(axis=1), trials[:, inside].sum(axis=1)
        cover = find_cover(self.places, hit, rows, _risen(rates, hit, rows, ~made.cover.series), made.alarm.dispersion)
        if not hit[cover.series].sum() or not (cover.series & made.cover.series).any():
            cover = made.cover
        series = cover.series
        given = _as_alarm(made.alarm, cover.places[0])
        last = slice(None, made.alarm.step + 1)
        onset, earliest, latest = find_onset(
            hits[series][:, last], trials[series][:, last], given, rates[series], first
        )
        total = max(float(rows[series].sum()), 1e-9)
        return replace(
            made, cover=cover, onset=onset, earliest=earliest, latest=latest, before=float((rows * rates)[series].sum()) / total,
            after=float(hit[series].sum()) / total, rows=total,
        )  # fmt: skip


def find_breaks(table: CellTable, most: int = MOST_CELLS) -> Breaks:
    """Return the breaks of the features in *table*, by place.

    Args:
        table: the cells.
        most: places times watched cells, beyond which the places with the least rows are left out.
    """
    shapes = make_shapes(table)
    places = make_places(table.keys, table.rows())
    weights = places.members @ table.rows()
    kept = max(most // shapes.kind.size, 1)
    watched = np.sort(np.argsort(-weights, kind="stable")[:kept])
    expected = np.zeros((len(table.names), table.width))
    for feature, profile in enumerate(table.profiles):
        if profile is not None and not table.provisional:
            expected[feature, : profile.body] = profile.p0[: profile.body]
            special = len(profile.p0) - profile.body
            expected[feature, table.width - special :] = profile.p0[profile.body :]
    distance = float(np.median(np.diff(table.start_ns))) if table.size > 1 else float(MONTH_NS)
    scan = CellScan(shapes, places.members[watched], max(MONTH_NS / max(distance, 1.0), 1.0), expected.ravel())
    return Breaks(table, shapes, places, watched, scan).run()


def _as_alarm(alarm: CellAlarm, place: int) -> Alarm:
    """Return *alarm* in the words of the replay of rates."""
    return Alarm(
        alarm.step, alarm.length, place, alarm.ln_e, alarm.price, alarm.ln_e, alarm.dispersion, alarm.usual, is_objective=False
    )  # fmt: skip


def _risen(rates: Numbers, hits: Numbers, trials: Numbers, peers: NDArray[np.bool_]) -> Numbers:
    """Return the *rates* of series, raised by what those of the *peers* rose."""
    seen, mean, tried = float(hits[peers].sum()), float((trials * rates)[peers].sum()), float(trials[peers].sum())
    factor = max((seen + 2) / (mean + 2), 1.0)
    added = max(seen - mean, 0.0) / max(tried, 1.0)
    return np.asarray(np.minimum(np.maximum(rates * factor, rates + added * (1 - rates)), 1.0), dtype=np.float64)


def _clustering(hits: Numbers, trials: Numbers) -> float:
    """Return the dispersion of the windows of single series about their common share; infinite where too few are known."""
    counted = trials >= 2
    share = hits[counted].sum() / max(trials[counted].sum(), 1e-9)
    if counted.sum() < _LEAST_WINDOWS or not 0 < share < 1:
        return float("inf")
    rows = trials[counted]
    square = (hits[counted] - rows * share) ** 2 / (rows * share * (1 - share))
    return float(square.mean() * (1 + 2 * np.sqrt(2 / counted.sum())))


def _first_onset(alarm: CellAlarm) -> int:
    """Return the earliest step that the onset is searched in."""
    return max(alarm.step + 1 - max(2 * alarm.length, _ONSET_STEPS), 1)


def _is_spread(hits: Numbers, trials: Numbers, alarm: CellAlarm) -> bool:
    """Return whether a span is more than its largest step; one step alone is judged before."""
    if alarm.length == 1 or alarm.length > _LONGEST_CLUSTERED:
        return True
    span = slice(alarm.step + 1 - alarm.length, alarm.step + 1)
    hit, rows = hits[:, span].sum(axis=0), trials[:, span].sum(axis=0)
    largest = int(hit.argmax())
    left, left_rows = float(hit.sum() - hit[largest]), float(rows.sum() - rows[largest])
    return left >= 2 and left > 2 * alarm.usual * left_rows


def _moved_from(after: Numbers, expected: Numbers, cell: int) -> int | None:
    """Return the category whose rows *cell* got, while other categories kept theirs; None if there is none."""
    gain = float(after[cell] - expected[cell])
    lost = 1 - after / np.maximum(expected, 1e-9)
    others = (np.arange(after.size) != cell) & (expected > 0)
    gone, kept = others & (lost >= _WENT), others & (lost <= _KEPT)
    taken = float((expected - after)[gone].sum())
    if not gone.any() or expected[kept].sum() < 0.05 * expected.sum() or not 0.7 * gain <= taken <= 1.5 * gain:
        return None
    return int(np.argmax(np.where(gone, expected - after, -np.inf)))
