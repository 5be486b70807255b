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

from radiosonde.diagnose.cell_scan import CellAlarm, CellScan
from radiosonde.diagnose.cell_shapes import KINDS, CellShapes, make_shapes
from radiosonde.diagnose.cover import Cover, find_cover
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
        """Check every step, and return self."""
        for step in range(self.table.size):
            counts = self.scan.counts_of(self.table.slab(step))
            self._hide(counts, step)
            for alarm in self.scan.advance(counts):
                self._take(alarm)
            self.looked = step + 1
            if len(self.found) >= MAX_BREAKS:
                break
        self.found = [self._settled(each) for each in self.found]
        return self

    def _hide(self, counts: Numbers, step: int) -> None:
        """Take out of *counts* what belongs to a break that goes on."""
        size, features = self.shapes.flat.size, len(self.table.names)
        for each in self.found:
            if each.closed is None or step <= each.closed:
                rows = np.flatnonzero(each.cover.series)[:, None]
                counts[rows, np.flatnonzero(self.shapes.feature == each.feature)] = 0.0
                counts[rows, [size + each.feature, size + features + each.feature]] = 0.0

    def _take(self, alarm: CellAlarm) -> None:
        """Open a break by *alarm*, or widen the one that it is a part of."""
        feature, cell = int(self.shapes.feature[alarm.watched]), int(self.shapes.cell[alarm.watched])
        if self._rest.get((feature, alarm.place), -1) >= alarm.step:
            return
        made = self._opened(alarm, feature, cell)
        if made is None:
            self._rest[feature, alarm.place] = alarm.step + max(_REST_STEPS, alarm.length // 2)
            return
        former = self._same(made)
        if former is None:
            made.opened = self._opening(made)
            self.found.append(made)
        else:
            series = former.cover.series | made.cover.series
            wider = made.cover if made.cover.series.sum() >= former.cover.series.sum() else former.cover
            former.cover = wider._replace(series=series)
            former.recovered, former.closed = made.recovered, made.closed
            made = former
        hidden = self._counted(made, min(made.onset, alarm.step), alarm.step + 1)
        self.scan.forget(feature, made.cover.series, hidden)

    def _counted(self, made: Break, first: int, end: int) -> Numbers:
        """Return the rows of the feature of *made* in some steps, in the layout of the scan."""
        slab = np.zeros((len(self.table.keys), len(self.table.names), self.table.width))
        slab[:, made.feature] = self._column(made.feature, skip=made)[:, first:end].sum(axis=1)
        return self.scan.counts_of(slab)

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
        first = _first_onset(alarm)
        rates = past_rates(hits, trials, first)
        given = _as_alarm(alarm, place)
        onset, earliest, latest = find_onset(hits[members], trials[members], given, rates[members], first)
        inside = slice(onset, alarm.step + 1)
        cover = find_cover(
            self.places, hits[:, inside].sum(axis=1), trials[:, inside].sum(axis=1), rates, alarm.dispersion
        )
        if not (cover.series & members).any():
            cover = Cover((place,), members, (), ())
        together = min(
            self.scan.together(alarm.place, feature), _clustering(hits[members][:, inside], trials[members][:, inside])
        )
        if alarm.ln_e * min(alarm.dispersion / together, 1.0) < alarm.price:
            return None
        kind = KINDS[int(self.shapes.kind[alarm.watched])]
        source = None
        if kind not in ("missing", "unseen"):
            kind, source = self._judged(feature, column, cell, (cover, onset), alarm.dispersion)
            if not kind:
                return None
        made = Break(alarm, feature, cell, kind, cover, onset, earliest, latest, alarm.step, source=source)
        return self._with_recovery(made)

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
        shares = before / np.maximum(before.sum(axis=1, keepdims=True), 1e-9)
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
        left, was = after[others], expected[others]
        apart = 0.5 * float(np.abs(left / max(left.sum(), 1e-9) - was / max(was.sum(), 1e-9)).sum())
        if apart <= _APART + 0.5 * np.sqrt(dispersion * (was > 0).sum() / max(left.sum(), 1e-9)):
            return alike, None
        return "", None

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
        cover = find_cover(self.places, hit, rows, rates, made.alarm.dispersion)
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
    kept = max(most // shapes.flat.size, 1)
    watched = np.sort(np.argsort(-weights, kind="stable")[:kept])
    expected = np.zeros(shapes.flat.size)
    for index, (feature, cell) in enumerate(zip(shapes.feature.tolist(), shapes.cell.tolist(), strict=True)):
        profile = table.profiles[feature]
        if profile is not None and not table.provisional:
            counts = profile.p0
            expected[index] = counts[cell] if cell < profile.body else counts[cell - table.width]
    distance = float(np.median(np.diff(table.start_ns))) if table.size > 1 else float(MONTH_NS)
    scan = CellScan(shapes, places.members[watched], max(MONTH_NS / max(distance, 1.0), 1.0), expected)
    return Breaks(table, shapes, places, watched, scan).run()


def _as_alarm(alarm: CellAlarm, place: int) -> Alarm:
    """Return *alarm* in the words of the replay of rates."""
    return Alarm(
        alarm.step, alarm.length, place, alarm.ln_e, alarm.price, alarm.ln_e, alarm.dispersion, alarm.usual, is_objective=False
    )  # fmt: skip


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
