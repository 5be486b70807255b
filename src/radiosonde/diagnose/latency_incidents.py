"""Detects slower calls over time: shares of calls above data-driven bounds, scanned in spans.

Bounds are edges of the latency buckets on a fixed grid (half octaves, or octaves where that makes too many) from the 95th percentile of all
calls up to the slowest, and the median: the boundary between ordinary and slow calls is not known beforehand, and a count is most
informative there. Each bound has a separate rate; all share one budget of false alarms. A rise above several bounds at the same time and
place is one incident, reported at the bound that best separates before and after. A mild slowdown masks only the bounds it crossed, so it
does not hide a later, larger one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.places import PlaceName, make_places
from radiosonde.diagnose.replay import Incident, Replay, find_onset, past_rates, recovery
from radiosonde.diagnose.spans import Rule, SpanScan
from radiosonde.diagnose.tail import bucket_at
from radiosonde.model import LATENCY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.measures import MeasureTable
    from radiosonde.diagnose.places import Places
    from radiosonde.diagnose.replay import Precedent
    from radiosonde.model import SeriesKey, Window

    Numbers = NDArray[np.float64]

MAX_BOUNDS = 8
_MAX_CELLS = 2_000_000
_CHUNK = 2048
_BURST_STEPS = 10
_SAME_STEPS, _SAME_PART = 3, 0.05
_MIN_RISE = 0.003
_TAIL_FALL, _CHANCE_CALLS, _DOUBT = 0.25, 10.0, 0.5


class SlowSpan(NamedTuple):
    """Calls that are slower than before, since when and where.

    Attributes:
        bucket: the latency bucket above which calls are counted.
        place: where; the whole model, a version, a cohort, or both.
        start_ns: most likely start.
        earliest_ns: start of the likelihood set of the start.
        latest_ns: end of it.
        end_ns: end; None while it goes on.
        judged_ns: end of the part used for its severity: the start of a later one within it, or None.
        ln_e: evidence, corrected for every look, bound and place.
        opened_ns: end of the window in which the evidence passed its price.
        second_turn: the one slowdown like it at the same time yesterday or a week ago, and when that began; None without one.
    """

    bucket: int
    place: PlaceName
    start_ns: int
    earliest_ns: int
    latest_ns: int
    end_ns: int | None
    judged_ns: int | None
    ln_e: float
    opened_ns: int | None = None
    second_turn: tuple[Precedent, int] | None = None


class Above(NamedTuple):
    """The calls above one bound, incidents left out.

    Attributes:
        bound_s: the bound, in seconds.
        scan: the calls above it.
    """

    bound_s: float
    scan: SpanScan


class SlowCalls(NamedTuple):
    """All results on slow calls.

    Attributes:
        spans: when and where calls were slower than before, strongest first.
        above: the calls above each bound, lowest bound first; empty without calls.
        places: the places that were checked; None without calls.
    """

    spans: list[SlowSpan]
    above: tuple[Above, ...]
    places: Places | None


def slow_spans(table: MeasureTable, windows: Sequence[Window]) -> SlowCalls:
    """Return when and where calls were slower than before; *windows* are those of *table*."""
    counts = np.zeros(LATENCY.size, np.int64)
    for window in windows:
        counts += window.latency.counts
    buckets = choose_bounds(counts)
    if not buckets:
        return SlowCalls([], (), None)
    keys = series_looked_at(table, len(buckets))
    calls, slow = count_above(windows, keys, table.start_ns, buckets)
    return SlowReplay(table, keys, buckets, (calls, slow)).found(table)


def series_looked_at(table: MeasureTable, bounds: int) -> list[SeriesKey]:
    """Return the series of *table* that are distinguished: versions only if *bounds* of all cohorts would not fit into memory."""
    if len(table.keys) * table.size * bounds > _MAX_CELLS:
        return sorted({key._replace(cohort="") for key in table.keys})
    return list(table.keys)


class SlowReplay:
    """The slow calls of a model whose table grows: a replay for each bound, kept up step by step.

    Args:
        table: the measures of the model so far.
        keys: the distinguished series.
        buckets: the bounds, as latency buckets above which calls are counted.
        counted: calls per series and step, and for each bound those above it.
    """

    def __init__(
        self,
        table: MeasureTable,
        keys: Sequence[SeriesKey],
        buckets: Sequence[int],
        counted: tuple[Numbers, Sequence[Numbers]],
    ) -> None:
        calls, slow = counted
        self.keys, self.buckets = tuple(keys), tuple(buckets)
        self._places = make_places(self.keys, calls.sum(axis=1))
        self._month_steps = table.steps_per_month
        rule = Rule(min_rise=_MIN_RISE, measures=len(self.buckets))
        scans = [SpanScan(self._places.members, part, calls, self._month_steps, rule) for part in slow]
        self.replays = [Replay(scan, self._places, _BURST_STEPS, table.start_ns).run() for scan in scans]
        self._told: tuple[tuple[int, ...], list[SlowSpan]] | None = None

    @property
    def size(self) -> int:
        """Number of steps so far."""
        return self.replays[0].scan.size

    def advance(self, table: MeasureTable, first: int, counted: tuple[Numbers, Sequence[Numbers]]) -> bool:
        """Take over what was *counted* from step *first* of *table* on; return False if the replays must be rebuilt."""
        calls, slow = counted
        if table.steps_per_month != self._month_steps or first > self.size:
            return False
        if first < self.size:
            self._told = None  # what was counted of a span may be another number now
            if not all(each.rewind(first) for each in self.replays):
                return False
        for each, part in zip(self.replays, slow, strict=True):
            each.starts = table.start_ns
            each.scan.append(part, calls)
            each.run()
        return True

    def spans(self, table: MeasureTable) -> list[SlowSpan]:
        """Return when and where calls were slower than before, strongest first; *table* is the one that was taken over last."""
        size, state = table.size, tuple(each.changes for each in self.replays)
        if self._told is not None and self._told[0] == state:
            return self._told[1]
        chosen = self._chosen(size)
        told = [self._tell(table, number, incident) for number, incident in chosen]
        made = [self._judged(table, span, told, each) for span, each in zip(told, chosen, strict=True)]
        incidents = [incident for each in self.replays for incident in each.incidents]
        is_settled = all(not each.is_open_at(size - 1) and each.opened < size for each in incidents)
        self._told = (state, made) if is_settled else None
        return made

    def found(self, table: MeasureTable) -> SlowCalls:
        """Return everything that is known; *table* is the one that was taken over last."""
        bounds = LATENCY.upper_bounds_s()[list(self.buckets)].tolist()
        above = tuple(Above(bound, each.settled_scan()) for bound, each in zip(bounds, self.replays, strict=True))
        return SlowCalls(self.spans(table), above, self._places)

    def _chosen(self, size: int) -> list[tuple[int, Incident]]:
        """Return the incidents, each at the bound that separates before and after best, with its number."""
        found = [
            (_separation(incident, each.scan.raw_hits, each.scan.raw_trials), number, incident)
            for number, each in enumerate(self.replays)
            for incident in each.incidents
            if incident.is_reported_by(size)
        ]
        found.sort(key=lambda entry: -entry[0])
        chosen: list[tuple[int, Incident]] = []
        for _, number, incident in found:
            if not any(_is_same(incident, other, size) for _, other in chosen):
                chosen.append((number, incident))
        return chosen

    def _tell(self, table: MeasureTable, number: int, incident: Incident) -> SlowSpan:
        slow = [each.scan.raw_hits for each in self.replays[number:]]
        told = _told(table, self._places, self.replays[number].scan.raw_trials, slow, incident)
        return told._replace(bucket=self.buckets[number])

    def _judged(
        self, table: MeasureTable, span: SlowSpan, told: Sequence[SlowSpan], chosen: tuple[int, Incident]
    ) -> SlowSpan:
        """Return *span* with the start of the first later one within it, and its end where that is before then."""
        judged_ns, (number, incident) = _next_start(span, told), chosen
        if judged_ns is None:
            return span
        until, scan = int(np.searchsorted(table.start_ns, judged_ns)), self.replays[number].scan
        end = _end_before(incident, scan.raw_hits, scan.raw_trials, until)
        end_ns = span.end_ns if end is None else int(table.start_ns[end])
        return span._replace(judged_ns=judged_ns, end_ns=end_ns)


def _next_start(span: SlowSpan, others: Sequence[SlowSpan]) -> int | None:
    """Return the start of the first span that begins within *span*."""
    later = [other.start_ns for other in others if other.start_ns > span.start_ns]
    return min((at for at in later if span.end_ns is None or at < span.end_ns), default=None)


def _end_before(incident: Incident, slow: Numbers, calls: Numbers, until: int) -> int | None:
    """Return the first step after *incident* by what was before step *until*; None if it went on until then.

    From *until* on another incident keeps calls above the bound. That explains them, so this one is not going on because of them.
    """
    if incident.alarm.step >= until:
        return None
    return recovery(incident, incident.alarm, slow[:, :until], calls[:, :until])[0]


def choose_bounds(counts: NDArray[np.int64]) -> list[int]:
    """Return the latency buckets above which calls are counted: the median's, and a grid from the 95th percentile to the slowest of *counts*."""
    if not counts.any():
        return []
    first, last = bucket_at(counts, 0.95), int(np.flatnonzero(counts)[-1])
    stride = (1 << LATENCY.scale) // 2
    while (last - first) / stride > MAX_BOUNDS - 2:
        stride *= 2
    grid = range(-(-first // stride) * stride, last + 1, stride)
    return sorted({bucket_at(counts, 0.5), *grid})


def count_above(
    windows: Sequence[Window], keys: Sequence[SeriesKey], start_ns: NDArray[np.int64], buckets: Sequence[int]
) -> tuple[Numbers, list[Numbers]]:
    """Return calls per series and step, and for each bucket those above it; windows of cohorts add up where *keys* have none."""
    row_of = {key: row for row, key in enumerate(keys)}
    shape = (len(keys), start_ns.size)
    totals = [np.zeros(shape[0] * shape[1]) for _ in range(len(buckets) + 1)]
    for first in range(0, len(windows), _CHUNK):
        part = windows[first : first + _CHUNK]
        rows = np.array([row_of.get(window.key, row_of.get(window.key._replace(cohort=""), 0)) for window in part])
        starts = np.array([window.start_ns for window in part])
        flat = rows * shape[1] + np.searchsorted(start_ns, starts, side="right") - 1
        counts = np.stack([window.latency.counts for window in part])
        above = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
        for total, bucket in zip(totals, (-1, *buckets), strict=True):
            if bucket + 1 < LATENCY.size:
                np.add.at(total, flat, above[:, bucket + 1])
    calls, *slow = (total.reshape(shape) for total in totals)
    return calls, slow


def _inside(incident: Incident, size: int) -> slice:
    return slice(incident.onset, size if incident.recovered is None else incident.recovered)


def _separation(incident: Incident, slow: Numbers, calls: Numbers) -> float:
    """Return the log-likelihood ratio of the rates inside and before *incident*, over its dispersion."""
    rows, inside = incident.cover.series, _inside(incident, calls.shape[1])
    hits, trials = float(slow[rows][:, inside].sum()), float(calls[rows][:, inside].sum())
    before = float(slow[rows][:, : incident.onset].sum()), float(calls[rows][:, : incident.onset].sum())
    rate, was = (hits + 0.5) / (trials + 1), (before[0] + 0.5) / (before[1] + 1)
    gain = hits * np.log(rate / was) + (trials - hits) * np.log((1 - rate) / (1 - was)) if rate > was else 0.0
    return float(gain / incident.alarm.dispersion)


def _is_same(one: Incident, other: Incident, size: int) -> bool:
    """Return whether two incidents of two bounds are one: at overlapping places and times, begun together within their doubt."""
    if not (one.cover.series & other.cover.series).any():
        return False
    mine, theirs = _inside(one, size), _inside(other, size)
    overlap = min(mine.stop, theirs.stop) - max(mine.start, theirs.start)
    apart = max(one.earliest - other.latest, other.earliest - one.latest)
    return bool(overlap > 0 and apart <= max(_SAME_STEPS, _SAME_PART * overlap))


def _told(table: MeasureTable, places: Places, calls: Numbers, slow: Sequence[Numbers], incident: Incident) -> SlowSpan:
    """Return *incident* with its onset from everything that is known by now; *slow* are calls above its bound and above each higher one."""
    alarm, rows = incident.alarm, incident.cover.series
    first = max(alarm.step + 1 - 2 * alarm.length, 0)
    rates = past_rates(slow[0], calls, first)
    above = np.stack([part[rows].sum(axis=0) for part in slow])
    more = _how_far_above(above, first, incident.latest, alarm.step + 1, _inside(incident, table.size).stop)
    onset, earliest, latest = find_onset(slow[0][rows], calls[rows], alarm, rates[rows], first, more)
    name = places.names[incident.cover.places[0]] if len(incident.cover.places) == 1 else PlaceName()
    end = None if incident.recovered is None else int(table.start_ns[min(incident.recovered, table.size - 1)])
    starts, second = table.start_ns, incident.second_turn(table.size)
    return SlowSpan(
        -1,
        name,
        int(starts[onset]),
        int(starts[earliest]),
        int(starts[latest]),
        end,
        None,
        alarm.ln_report,
        int(table.end_ns[alarm.step]),
        None if second is None else (second, int(starts[second.onset])),
    )


def _how_far_above(above: Numbers, first: int, latest: int, alarmed: int, end: int) -> Numbers:
    """Return the evidence of each step from the durations of its slow calls.

    This is the log-likelihood ratio of the incident's slow calls to those before.

    A call that is slow by chance is so by little; of a fault that adds a third of a second, each is. Without this the first
    odd call above the bound would date an incident that began hours later.

    Args:
        above: calls above the bound of the incident and above each higher one, shape (bounds, steps).
        first: the earliest step that the incident may have begun with.
        latest: the latest likely one.
        alarmed: one past the step of the alarm. What came since is surely of the incident, if that is enough to go by.
        end: one past the last step of the incident.
    """
    between = above - np.concatenate([above[1:], np.zeros((1, above.shape[1]))])
    # By chance three in four lie below the next bound: the tails of healthy models fall by a factor of four an octave and more.
    chance = _TAIL_FALL ** np.arange(len(above))
    chance /= chance.sum()
    usual = between[:, :first].sum(axis=1) + _CHANCE_CALLS * chance
    since = between[:, alarmed:end].sum(axis=1)
    now = since if since.sum() >= _CHANCE_CALLS else between[:, latest:end].sum(axis=1)
    now = now + _DOUBT * chance
    ratios = np.log(now / now.sum()) - np.log(usual / usual.sum())
    return np.asarray(ratios @ between, dtype=np.float64)
