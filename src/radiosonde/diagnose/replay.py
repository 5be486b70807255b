"""Replays incidents of one rate: when they would have been opened and closed, window by window.

A look uses only earlier data, so one pass through the history gives the same incidents as a look after each window (a law,
`tests/unit/diagnose/test_failures.py`), and what is open at the last window is what a look now reports.

* *opened*: the evidence of a span passed its price (`radiosonde.diagnose.spans`). The place is the cover that explains it
  (`radiosonde.diagnose.cover`), the onset is the most likely first window. From the onset on the place is excluded from all later
  baselines: a fault never becomes the baseline of the next one.
* *ongoing*: until the evidence for the old level, against half-way between both levels on the log scale, is as strong as what opened the
  incident had to be (10 is enough), over at least `_LEAST_CALM` windows. One quiet window never closes.
* *bursts*: below the objective, a rise that is over within an hour and ten windows, and is no larger and no longer than two bursts of the
  last 28 days, is usual for this model. So is a rise of any length at the time of day of two of them: a nightly job, the
  opening of a market on Mondays. It is never opened. It is opened when it outlasts them, or when it has outlasted a burst and its rate in a few
  windows is far above that of all known bursts. A rhythm thus hides no fault.
* *second turn*: one rise at the same time yesterday, or a week ago, is no rhythm yet, and may become one. Until it has outlasted that rise,
  or is far above it, an incident has a `Precedent`, and is no page.
* *recovered*: at the first of these windows. If the same place fails again before it has been calm for as long as it was ill, the same
  incident goes on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.cover import Cover, find_cover
from radiosonde.diagnose.spans import Mask, Opening, SpanScan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.places import Places
    from radiosonde.diagnose.spans import Alarm

    Numbers = NDArray[np.float64]

MAX_INCIDENTS = 256
_CHUNK = 2048
_CHECKPOINTS = 16
_LEAST_CALM = 3
_LIKELY = 3.3
_CALM_LN, _DEEPEST, _LEANING_LN = 10.0, 20.0, 2.0
"""Evidence for recovery that closes an incident, and the largest distance of the recovery level below the rate of the incident: without any
earlier failures, recovery would otherwise take very long to detect."""
_DAY_NS, _SAME_TIME_NS = 86_400_000_000_000, 2_700_000_000_000
FEW, LOUD_HITS, _WELL_KNOWN = 3, 10.0, 5
_LARGER, _LONGER = 3, 2
"""Largest ratio of a burst to the known ones: with two known, a third that is the largest so far is ordinary."""


class Precedent(NamedTuple):
    """The rise before an incident of what may be a rhythm that has had one turn.

    Attributes:
        onset: its first step.
        like_until: step from which on the incident is unlike it: it lasts longer, or is louder.
        days: days between the two, 1 or 7.
    """

    onset: int
    like_until: int
    days: int


@dataclass(slots=True, eq=False)
class Incident:
    """A rise of a rate at a place, from its onset to its recovery.

    Attributes:
        alarm: the alarm that opened it.
        cover: its places.
        onset: most likely first step.
        earliest: start of the likelihood set of the onset.
        latest: end of it.
        opened: the look that opened it; later than the alarm where bursts like it are known.
        recovered: first step after it; None while it goes on.
        closed: the look that found it recovered; None while it goes on.
        hits: events from the onset to the alarm.
        last_alarm: the alarm since which calm counts: a later one where it spread or came back.
        series: where it was when it was opened.
        peak: rate above which it is not like those that are known; infinite where none are.
        precedent: the one rise like it at the same time yesterday or a week ago; None without one.
    """

    alarm: Alarm
    cover: Cover
    onset: int
    earliest: int
    latest: int
    opened: int
    recovered: int | None = None
    closed: int | None = None
    hits: float = 0.0
    last_alarm: Alarm | None = None
    series: NDArray[np.bool_] | None = None
    peak: float = float("inf")
    precedent: Precedent | None = None

    def second_turn(self, size: int) -> Precedent | None:
        """Return the precedent, if what a look at the last of *size* steps knows of the incident is still like it."""
        end = size if self.closed is None else min(self.closed, size)
        return self.precedent if self.precedent is not None and end <= self.precedent.like_until else None

    @property
    def is_burst(self) -> bool:
        """Whether it was over before it could be distinguished from known bursts."""
        return self.closed is not None and self.closed <= self.opened

    def is_open_at(self, step: int) -> bool:
        """Return whether it is still open at the look at *step*."""
        return self.closed is None or self.closed > step

    def is_reported_by(self, size: int) -> bool:
        """Return whether a look at the last of *size* steps reports it: it is not a burst, and has been opened by then."""
        return not self.is_burst and self.opened < size


class _Checkpoint(NamedTuple):
    """The state after the first *looked* steps."""

    looked: int
    changes: int
    incidents: tuple[Incident, ...]
    masks: tuple[tuple[int, Mask], ...]


@dataclass
class Replay:
    """The incidents of one rate, step by step.

    `run` checks the steps added to the scan since the last call. Nothing that it decides at a step depends on later ones, so
    one run over everything and a run after each step end in the same state.

    Attributes:
        scan: the rate, of which incidents are left out.
        places: its places.
        burst_steps: largest number of steps of a burst.
        starts: start of each step, in nanoseconds; None if the time of day is unknown.
        incidents: incidents, bursts included, in the order of their alarms.
        looked: number of checked steps; fewer than all after more than `MAX_INCIDENTS` incidents.
        changes: a number that changes whenever an incident is opened or widened; unique per history.
    """

    scan: SpanScan
    places: Places
    burst_steps: int
    starts: NDArray[np.int64] | None = None
    incidents: list[Incident] = field(default_factory=list)
    looked: int = 0
    changes: int = 0
    _serial: int = 0
    _masks: list[tuple[int, Mask]] = field(default_factory=list)
    _checkpoints: deque[_Checkpoint] = field(default_factory=lambda: deque(maxlen=_CHECKPOINTS))

    def run(self) -> Replay:
        """Check all new steps, and return self."""
        kept = tuple(replace(incident) for incident in self.incidents)
        self._checkpoints.append(_Checkpoint(self.looked, self.changes, kept, tuple(self._masks)))
        self._go_on()
        step, scan = self.looked, self.scan
        while step < scan.size:
            end = min(step + _CHUNK, scan.size)
            alarm = scan.first_alarm(step, end)
            if alarm is not None and len(self.incidents) >= MAX_INCIDENTS:
                self.looked = alarm.step
                return self
            if alarm is not None:
                self._take(alarm)
            step = end if alarm is None else alarm.step
        self.looked = scan.size
        return self

    def rewind(self, size: int) -> bool:
        """Drop the steps from *size* on, in order to recount them; return False if that is too long ago."""
        while self._checkpoints and self._checkpoints[-1].looked > size:
            self._checkpoints.pop()
        if not self._checkpoints:
            return False
        kept = self._checkpoints.pop()
        self.incidents, self._masks = list(kept.incidents), list(kept.masks)
        self.looked, self.changes = kept.looked, kept.changes
        self.scan.cut(size)
        self.scan.set_masks([mask for _, mask in self._masks], 0)
        return True

    @property
    def usual(self) -> Incident | None:
        """The last incident that goes on and is not opened, because rises like it are usual; None without one."""
        size = self.scan.size
        return next((each for each in reversed(self.incidents) if each.closed is None and each.opened >= size), None)

    @property
    def opening(self) -> Opening | None:
        """Limits of a rise that begins now to be opened, as in `_opened`; None where too few bursts are known."""
        first = self.scan.size - self.scan.month_steps
        ended = [each for each in self.incidents if each.closed is not None and each.recovered is not None]
        short = [
            each for each in ended if each.onset >= first and (each.recovered or 0) - each.onset <= self.burst_steps
        ]
        if len(short) < 2:
            return None
        hits = sorted(each.hits for each in short)[-2]
        return Opening(_LARGER * hits, _LONGER * max((each.closed or 0) - each.onset for each in short))

    def settled_scan(self) -> SpanScan:
        """Return the scan, without the masks of the time since a recovery that the last look found.

        That time stays masked for later looks; but it is known to be healthy, and detection floors of the present are about it.
        """
        scan = self.scan
        scan.opening = self.opening
        over = {index for index, each in enumerate(self.incidents) if each.closed == scan.size - 1}
        if not over:
            return scan
        made = SpanScan(scan.members, scan.raw_hits, scan.raw_trials, scan.month_steps, scan.rule, scan.opening)
        recovered = {index: self.incidents[index].recovered for index in over}
        made.set_masks([mask._replace(end=recovered.get(index, mask.end)) for index, mask in self._masks], 0)
        return made

    def _go_on(self) -> None:
        """Extend ongoing incidents to the new steps: they are excluded until recovery."""
        is_new = False
        for index, incident in enumerate(self.incidents):
            if incident.closed is not None or incident.last_alarm is None:
                continue
            incident.recovered, incident.closed = recovery(
                incident, incident.last_alarm, self.scan.raw_hits, self.scan.raw_trials
            )
            self._end_masks(index, None if incident.closed is None else incident.closed + 1)
            self._open_louder(incident)
            is_new = True
        if is_new:
            self.scan.set_masks([mask for _, mask in self._masks], self.looked)

    def _end_masks(self, index: int, end: int | None, before: int | None = None) -> None:
        """Let the masks of an incident that go on end with *end*; with *before*, also those that end after it."""
        for number, (whose, mask) in enumerate(self._masks):
            is_later = mask.end is None or (before is not None and mask.end > before)
            if whose == index and is_later:
                self._masks[number] = (whose, mask._replace(end=end))

    def _take(self, alarm: Alarm) -> None:
        """Open an incident by *alarm*, or widen the one that it is a part of."""
        scan, step = self.scan, alarm.step
        incident = _open(scan, self.places, alarm)
        former = _same(self.incidents, incident, self.burst_steps)
        if former is not None:
            wider = incident.cover.series.sum() > former.cover.series.sum()
            former.cover = incident.cover if wider else former.cover
            if former.is_open_at(step):
                # It was excluded up to the previous recovery, which no longer ends it.
                self._end_masks(self.incidents.index(former), step + 1, before=step + 1)
                scan.set_masks([mask for _, mask in self._masks], step + 1)
            incident = former
        incident.last_alarm = alarm
        incident.recovered, incident.closed = recovery(incident, alarm, scan.raw_hits, scan.raw_trials)
        if former is None:
            incident.opened, incident.series = self._opened(incident), incident.cover.series
            self._open_louder(incident)
            self.incidents.append(incident)
        series = incident.cover.series | self.places.members[alarm.place]
        end = None if incident.closed is None else incident.closed + 1
        first = min(incident.onset, step)
        self._masks.append((self.incidents.index(incident), Mask(series, first, end)))
        scan.set_masks([mask for _, mask in self._masks], first)
        self._serial += 1
        self.changes = self._serial

    def _opened(self, new: Incident) -> int:
        """Return the look that opens *new*: its alarm, or the step at which it outlasts the second longest known burst of that size."""
        step = new.alarm.step
        if new.alarm.is_above:
            return step
        known = [
            former
            for former in self.incidents
            if former.closed is not None
            and former.recovered is not None
            and not former.is_open_at(step)
            and new.onset - former.onset <= self.scan.month_steps
            and _LARGER * former.hits >= new.hits
        ]
        short = [each for each in known if (each.recovered or 0) - each.onset <= self.burst_steps]
        looks = [step]
        lengths = sorted((each.closed or 0) - each.onset for each in short)
        looks += [new.onset + _LONGER * lengths[-2]] if len(lengths) >= 2 else []
        same = [each for each in known if self._is_same_time(each, new)]
        rhythm = sorted((each.closed or 0) - each.onset for each in same)
        if len(rhythm) >= _WELL_KNOWN:  # how long it takes is known, too
            looks.append(new.onset + rhythm[-1] + max(rhythm[-1] // 4, FEW))
        elif len(rhythm) >= 2:
            looks.append(new.onset + _LONGER * rhythm[-2])
        if max(looks) == step and len(same) == 1:
            new.precedent = self._precedent(same[0], new)
            known = same
        if max(looks) > step or new.precedent is not None:
            new.peak = _LARGER * max(self._peak(former) for former in known)
        return max(looks)

    def _precedent(self, former: Incident, new: Incident) -> Precedent | None:
        """Return *former* as the precedent of *new*; None if it is not of the day before, or of the week before."""
        if self.starts is None or former.closed is None:
            return None
        days = round(int(self.starts[new.onset] - self.starts[former.onset]) / _DAY_NS)
        until = new.onset + _LONGER * (former.closed - former.onset)
        return Precedent(former.onset, until, days) if days in (1, 7) else None

    def _peak(self, former: Incident) -> float:
        """Return the largest rate in a few windows of an incident that is over."""
        hits, trials = self._in_few(former, former.onset, max(former.recovered or 0, former.onset + FEW))
        return float((hits / np.maximum(trials, 1.0)).max(initial=0.0))

    def _open_louder(self, incident: Incident) -> None:
        """Open *incident* at the first look at which it is far worse than what is known to come, if it has outlasted a burst by then."""
        until = self.scan.size if incident.closed is None else incident.closed
        louder = self._louder(incident, incident.onset + self.burst_steps, min(incident.opened, until))
        if louder is not None:
            incident.opened = louder
        if incident.precedent is not None:
            end = min(incident.precedent.like_until, until)
            louder = self._louder(incident, incident.onset, end)
            if louder is not None:
                incident.precedent = incident.precedent._replace(like_until=louder)

    def _louder(self, incident: Incident, first: int, end: int) -> int | None:
        """Return the step before *end* at which *incident* is far worse than what is known to come; None for none."""
        if not np.isfinite(incident.peak) or end - first < FEW:
            return None
        hits, trials = self._in_few(incident, first, end)
        louder = np.flatnonzero((hits >= LOUD_HITS) & (hits > incident.peak * trials))
        return first + int(louder[0]) + FEW - 1 if louder.size else None

    def _in_few(self, incident: Incident, first: int, end: int) -> tuple[Numbers, Numbers]:
        """Return events and trials of every `FEW` steps in a row from *first* to before *end*, where *incident* was opened."""
        rows = incident.cover.series if incident.series is None else incident.series
        sums = [part[rows, first:end].sum(axis=0) for part in (self.scan.raw_hits, self.scan.raw_trials)]
        hits, trials = (np.convolve(part, np.ones(FEW), mode="valid") for part in sums)
        return hits, trials

    def _is_same_time(self, former: Incident, new: Incident) -> bool:
        """Return whether both came at the same time of the day, on different days."""
        if self.starts is None:
            return False
        apart = int(self.starts[new.onset] - self.starts[former.onset])
        off = (apart + _DAY_NS // 2) % _DAY_NS - _DAY_NS // 2
        return apart > _DAY_NS // 2 and abs(off) <= _SAME_TIME_NS


def replay(
    scan: SpanScan, places: Places, burst_steps: int, starts: NDArray[np.int64] | None = None
) -> tuple[list[Incident], int]:
    """Return the result of one run over *scan*: the incidents, bursts included, and the number of checked steps."""
    made = Replay(scan, places, burst_steps, starts).run()
    scan.opening = made.opening
    return made.incidents, made.looked


def _open(scan: SpanScan, places: Places, alarm: Alarm) -> Incident:
    """Determine onset and place of *alarm*, from unmasked data."""
    first = max(alarm.step + 1 - 2 * alarm.length, 0)
    rates = past_rates(scan.hits, scan.trials, first)
    members = places.members[alarm.place]
    onset, earliest, latest = find_onset(scan.hits[members], scan.trials[members], alarm, rates[members], first)
    inside = slice(onset, alarm.step + 1)
    cover = find_cover(
        places, scan.hits[:, inside].sum(axis=1), scan.trials[:, inside].sum(axis=1), rates, alarm.dispersion
    )
    seen = float(scan.hits[members][:, inside].sum())
    return Incident(alarm, cover, onset, earliest, latest, opened=alarm.step, hits=seen)


def past_rates(hits: Numbers, trials: Numbers, before: int) -> Numbers:
    """Return the rate of each series before step *before*, drawn towards that of the whole model by as many trials as hold two events.

    A series without an event so far may still fail: without shrinkage two failed calls would look like proof.
    """
    mine, all_mine = hits[:, :before].sum(axis=1), trials[:, :before].sum(axis=1)
    whole = (mine.sum() + 0.5) / (all_mine.sum() + 1000.0)
    return np.asarray((mine + 2.0) / (all_mine + 2.0 / whole), dtype=np.float64)


def find_onset(
    hits: Numbers, trials: Numbers, alarm: Alarm, rates: Numbers, first: int, more: Numbers | None = None
) -> tuple[int, int, int]:
    """Return the most likely first step of the rise, and the set of likely ones, by the log-likelihood of what follows it.

    Args:
        hits: events, shape (series, steps).
        trials: trials.
        alarm: what gave the rise away.
        rates: rate of each series before it.
        first: the earliest step that it may have begun with.
        more: log-likelihood ratios of each step that say more than its counts, shape (steps,).
    """
    inside = slice(first, alarm.step + 1)
    span = slice(alarm.step + 1 - alarm.length, alarm.step + 1)
    after = min((hits[:, span].sum() + 0.5) / (trials[:, span].sum() + 1.0), 0.999)
    before = np.clip(rates, 1e-6, 0.9 * after)[:, None]
    score = hits[:, inside] * np.log(after / before) + (trials - hits)[:, inside] * np.log((1 - after) / (1 - before))
    total = score.sum(axis=0) if more is None else score.sum(axis=0) + more[inside]
    suffix = total[::-1].cumsum()[::-1]
    best = int(suffix.argmax())
    counted = trials[:, inside].sum(axis=0) > 0
    while best < suffix.size - 1 and not counted[best]:
        best += 1
    likely = np.flatnonzero(suffix >= suffix.max() - _LIKELY * alarm.dispersion)
    return first + best, first + min(int(likely[0]), best), first + max(int(likely[-1]), best)


def _same(incidents: list[Incident], new: Incident, burst_steps: int) -> Incident | None:
    """Return the earlier incident of which *new* is a part: the same fault spreading, or coming back before it was over for long."""
    for former in reversed(incidents):
        overlaps = bool((former.cover.series & new.cover.series).any())
        if former.recovered is None or former.is_open_at(new.alarm.step):
            if abs(new.onset - former.onset) <= max(2, former.alarm.step - former.onset):
                return former
        elif overlaps:
            # A rise after a known rhythm is a new one, however long the rhythm lasted.
            lasted = (
                min(former.recovered - former.onset, burst_steps)
                if former.is_burst
                else former.recovered - former.onset
            )
            if new.onset - former.recovered <= max(lasted, 10):
                return former
    return None


def recovery(incident: Incident, alarm: Alarm, hits: Numbers, trials: Numbers) -> tuple[int | None, int | None]:
    """Return the first step after the incident and the look that found it; None, None while it goes on."""
    rows, start = incident.cover.series, alarm.step + 1
    mine, all_mine = hits[rows].sum(axis=0), trials[rows].sum(axis=0)
    inside = slice(alarm.step + 1 - alarm.length, start)
    after = min((mine[inside].sum() + 0.5) / (all_mine[inside].sum() + 1.0), 0.99)
    known = alarm.past_rate if np.isfinite(alarm.past_rate) else after / 8
    if alarm.is_objective:
        known = min(known, alarm.objective**2 / after)  # half-way on the log scale is the objective then
    before = min(max(known, after / _DEEPEST, 1e-6), after / 2)
    middle = float(np.sqrt(before * after))
    hit, missed = mine[start:], all_mine[start:] - mine[start:]
    total, against = (
        np.concatenate([[0.0], (hit * np.log(before / level) + missed * np.log((1 - before) / (1 - level))).cumsum()])
        / alarm.dispersion
        for level in (middle, after)
    )
    lowest = np.minimum.accumulate(total)
    at = np.maximum.accumulate(np.where(total <= lowest, np.arange(total.size), 0))
    counted = np.concatenate([[0], (all_mine[start:] > 0).cumsum()])
    needed = min(alarm.price, _CALM_LN)
    # Few calls without failures after all had failed: the half-way level is uncertain, but the incident's level is ruled out.
    far = (total - lowest >= _LEANING_LN) & (against - against[at] >= 2 * needed)
    passed = ((total - lowest >= needed) | far) & (counted - counted[at] >= _LEAST_CALM)
    if not passed.any():
        return None, None
    look = int(passed.argmax())
    return start + int(at[look]), start + look - 1
