"""Excursions of traffic: where calls left the level that their own past foretells, replayed step by step.

All numbers are logarithms of counts, or of the ratio of two counts, so that half and double are alike. The *forecast* of a span is the
level of the steps before it, or that level extrapolated along the trend of as many before them, whichever is nearer to the actual count.
Where there are two days, both are formed once more with the usual course of the day taken out (from two weeks on, of the day of the week),
and the nearer one counts: neither the evening of every day, nor the opening that a Saturday does not have, is an excursion. Conservative on
purpose: a slow decline over hours is not seen here.

The number of steps depends on their length (`Pace`): thirty of up to ten minutes; six longer ones, for which the level alone is no
forecast, so that there are no alarms before the course of the day is known.

The *scale* of errors is learned from the forecasts so far, trimmed, in units of the counting error; bursts and wandering widen it.
A span counts when its worst step (of a short span), or the median (of a long one), is beyond `DEVIATIONS` of it and beyond a least change.
Excursions are excluded from all later forecasts.

*Bursts*: a rise like one of the last 28 days, or a fall like three of them or like those of the same time on two other days, is how
this model lives; it becomes an incident when it lasts twice as long as those did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

DEVIATIONS = 5.0
MIN_FORECASTS = 30
"""Forecasts from which on it is known how wrong they usually are."""

_OWN_VARIANCE = 0.05**2
_UNSEEN_WEEKDAY = float(np.log(4.0))
"""Tolerance for a weekday without history, and the day after it: on a Saturday a third of the calls, with some margin."""

_LEAST_SHORT, _LEAST_LONG = 0.7, 0.45
"""Least size of the usual error, in units of counting one step: of the worst of a short span, and of the median of a long one."""

_MARGIN, _MARGIN_OF_COURSE = 1.3, 1.5
"""Usual errors of a forecast beyond the limit at which a change is seen nine times in ten; the course of a few days errs more."""

_CHUNK = 1440
_BACK, _NEAR, _PLATEAU = 3, 0.35, 0.35
_DAY_NS, _FINE_NS = 86_400_000_000_000, 600_000_000_000
_MONTH_NS, _SAME_TIME_NS = 28 * _DAY_NS, 2_700_000_000_000
_ALIKE, _LONGER = 0.67, 2


class Pace(NamedTuple):
    """How many steps a forecast takes.

    Attributes:
        base: steps of the level, and as many before them for its trend; an even number.
        short: length of a span whose worst step counts.
        long: length of a span evaluated by its median; an even number.
        slots: number of distinct times of the day.
        needs_course: the level alone is not a forecast.
        surge: steps from which on a rise is actionable by itself.
    """

    base: int
    short: int
    long: int
    slots: int
    needs_course: bool
    surge: int


def pace_of(step_ns: int) -> Pace:
    """Return the pace of steps of *step_ns*."""
    if step_ns <= _FINE_NS:
        return Pace(30, 3, 10, 144, needs_course=False, surge=10)
    return Pace(6, 2, 6, max(_DAY_NS // step_ns, 1), needs_course=True, surge=2)


class Change(NamedTuple):
    """The least change that counts, as logarithms: a fall and a rise, both positive."""

    fall: float
    rise: float


@dataclass(slots=True)
class Excursion:
    """Traffic away from its level.

    Attributes:
        sign: -1 for a fall, 1 for a rise.
        onset: first step.
        alarm: step at which it was seen.
        opened: step from which it is an incident; later than the alarm where bursts like it are known.
        recovered: first step after it; None while it lasts.
        closed: step at which that was seen.
        depth: size of the change at the alarm, as a logarithm, positive.
        deviations: the same in units of the usual error.
    """

    sign: int
    onset: int
    alarm: int
    opened: int
    depth: float
    deviations: float
    recovered: int | None = None
    closed: int | None = None

    @property
    def is_burst(self) -> bool:
        """Whether it was over before it was an incident."""
        return self.closed is not None and self.closed <= self.opened


class Track(NamedTuple):
    """One count over time, of known steps only.

    Attributes:
        at: index of each step on the grid.
        level: logarithm of the count, or of a ratio.
        variance: its variance due to counting only.
        daily: forecast from the time of the day, minus its mean; NaN if unknown.
        least: least relevant change at each step.
        pace: number of steps of a forecast.
    """

    at: NDArray[np.int64]
    level: Numbers
    variance: Numbers
    daily: Numbers
    least: Numbers
    pace: Pace


class Scanned(NamedTuple):
    """Excursions, and the current detection floor.

    Attributes:
        excursions: every time away from the level.
        forecasts: steps at which forecasts could be made.
        floor: the least change over a short span that would be seen, as logarithms; NaN without forecasts.
        lasting: the same over a long span.
    """

    excursions: list[Excursion]
    forecasts: int
    floor: Change
    lasting: Change


def make_track(
    at: NDArray[np.int64], counts: Numbers, rest: Numbers | None, times: tuple[int, int], pace: Pace
) -> Track:
    """Return the track of *counts*, or of their ratio to *rest*.

    Args:
        at: grid index of each known step.
        counts: calls in these steps.
        rest: calls of everything else in these steps; None for the counts themselves.
        times: start of the grid, and its step.
        pace: number of steps of a forecast.
    """
    level = np.log(counts + 0.5) - (0.0 if rest is None else np.log(rest + 0.5))
    variance = 1 / (_trailing_mean(counts, pace) + 0.5)
    if rest is not None:
        variance = variance + 1 / (_trailing_mean(rest, pace) + 0.5)
    days = (times[0] + at * times[1]) // _DAY_NS - times[0] // _DAY_NS
    least = np.where((days < 8) & pace.needs_course, _UNSEEN_WEEKDAY, 0.0)
    return Track(at, level, variance, _daily(at, level, times, pace), least, pace)


def _trailing_mean(counts: Numbers, pace: Pace) -> Numbers:
    """Return the mean of the steps of a level before each, without the nearest, as many as a long span has."""
    total = np.concatenate([[0.0], counts.cumsum()])
    end = np.maximum(np.arange(counts.size) - pace.long, 1)
    begin = np.maximum(end - pace.base, 0)
    return np.asarray((total[end] - total[begin]) / (end - begin), dtype=np.float64)


def _daily(at: NDArray[np.int64], level: Numbers, grid: tuple[int, int], pace: Pace) -> Numbers:
    """Return the forecast of each step from the days before: the median by time of day, from two weeks on of the same weekday.

    Where a level alone foretells nothing, the same weekday of the first week does in the second one, if it is nearer.
    """
    (start_ns, step_ns), slots = grid, pace.slots
    times = start_ns + at * step_ns + step_ns // 2
    day = times // _DAY_NS - start_ns // _DAY_NS
    place = (times % _DAY_NS) / _DAY_NS * slots
    flat = day * slots + place.astype(np.int64)
    days = int(day[-1]) + 1 if day.size else 0
    counted = np.bincount(flat, minlength=days * slots)
    means = np.where(counted > 0, np.bincount(flat, level, minlength=days * slots) / np.maximum(counted, 1), np.nan)
    table = means.reshape(days, slots)
    made = np.full(level.size, np.nan)
    for today in range(2, days):
        mine = np.flatnonzero(day == today)
        before = table[today % 7 : today : 7][-3:] if today >= 14 else table[:today]
        usable = np.isfinite(before).sum(axis=0) >= 2
        if not mine.size or usable.mean() < 0.5:
            continue
        course = np.full(slots, np.nan)
        course[usable] = np.nanmedian(before[:, usable], axis=0)
        if pace.needs_course and 7 <= today < 14:
            week = table[today - 7]
            course = np.where(np.abs(table[today] - week) < np.abs(table[today] - course), week, course)
        known = np.flatnonzero(usable)
        made[mine] = np.interp(place[mine], known + 0.5, course[known], period=slots)
    return made


def scan_track(tracks: tuple[Track, ...], change: Change, step_ns: int) -> Scanned:
    """Return the excursions that all of *tracks* show at once (a cohort: its calls, and their ratio to the rest).

    Args:
        tracks: tracks over the same steps.
        change: the least change.
        step_ns: step of the grid.
    """
    at = tracks[0].at
    size = at.size
    free = np.ones(size, dtype=bool)
    errors: list[list[Numbers]] = [[] for _ in range(4)]
    found: list[Excursion] = []
    cursor, forecasts, floors = 0, 0, np.full(4, np.nan)
    while cursor < size:
        end = min(cursor + min(max(cursor, 64), _CHUNK), size)
        looks = _looks(tracks, free, cursor, end)
        scales = [_scale(part, look, tracks[0].pace) for part, look in zip(errors, looks, strict=True)]
        alarm = _first(looks, scales, change, floors, known=forecasts, needs_course=tracks[0].pace.needs_course)
        last = size if alarm is None else alarm[0] + 1
        for part, values in zip(errors, looks, strict=True):
            kept = values.units[
                np.isfinite(values.units) & (values.position < last - tracks[0].pace.long * (alarm is not None))
            ]
            part.append(kept)
        forecasts = sum(part.size for part in errors[0])
        if alarm is None:
            cursor = end
            continue
        excursion, resume = _follow(tracks, free, alarm, size)
        excursion.opened = _opened(found, excursion, step_ns, tracks[0].pace.base)
        found.append(excursion)
        cursor = max(resume, alarm[0] + 1)
    return Scanned(found, forecasts, Change(*floors[::2].tolist()), Change(*floors[1::2].tolist()))


class _Look(NamedTuple):
    """Forecast errors of one span and one side: where, in units of counting, and as logarithms (positive: away on this side)."""

    position: NDArray[np.int64]
    units: Numbers
    away: Numbers
    unit: Numbers
    least: Numbers
    sign: int
    length: int


def _looks(tracks: tuple[Track, ...], free: NDArray[np.bool_], start: int, end: int) -> list[_Look]:
    """Return the looks that end at the positions from *start* to *end*, for falls and rises and both spans."""
    # Excursions are excluded: the steps before them are used instead, if they are near enough.
    pace = tracks[0].pace
    position = np.flatnonzero(free[:start])[-(2 * pace.base + pace.long) :]
    position = np.concatenate([position, np.arange(start, end)])
    made = []
    # The medians of all steps are most of the cost: once for both sides and spans.
    medians = [
        [_medians(track.level[position], pace.base), _medians((track.level - track.daily)[position], pace.base)]
        for track in tracks
    ]
    for sign in (-1, 1):
        for length in (pace.short, pace.long):
            sides = [
                _away(track, position, start, (sign, length), known)
                for track, known in zip(tracks, medians, strict=True)
            ]
            away = np.minimum.reduce([side[0] for side in sides])
            unit = np.maximum.reduce([side[1] for side in sides])
            made.append(_Look(np.arange(start, end), away / unit, away, unit, tracks[0].least[start:end], sign, length))
    return made


def _medians(level: Numbers, base: int) -> Numbers:
    """Return the median of each *base* steps in a row; NaN where nothing is known."""
    if level.size < base or not np.isfinite(level).any():
        return np.full(max(level.size - base + 1, 0), np.nan)
    return _row_medians(np.lib.stride_tricks.sliding_window_view(level, base))


def _row_medians(rows: Numbers) -> Numbers:
    """Return the median of each row, of an even number of values; NaN where a value is.

    Sorting whole rows takes a seventh of the time of ``np.median``, which parts them at two places.
    """
    ordered = np.sort(rows, axis=1)
    middle = ordered.shape[1] // 2
    medians = (ordered[:, middle - 1] + ordered[:, middle]) / 2
    return np.where(np.isnan(ordered[:, -1]), np.nan, medians)


def _away(
    track: Track, position: NDArray[np.int64], start: int, look: tuple[int, int], medians: list[Numbers]
) -> tuple[Numbers, Numbers]:
    level, daily = track.level[position], track.daily[position]
    count = int((position >= start).sum())
    unit = np.sqrt(track.variance[position[-count:]] + _OWN_VARIANCE)
    away = _beyond(level, track.at[position], (*look, track.pace), medians[0])
    without = _beyond(level - daily, track.at[position], (*look, track.pace), medians[1])
    nearer = without if track.pace.needs_course else np.where(np.isfinite(without), np.minimum(away, without), away)
    made = np.full(count, np.nan)
    taken = nearer[-count:] if nearer.size >= count else nearer
    made[count - taken.size :] = taken
    return made, unit


def _beyond(level: Numbers, at: NDArray[np.int64], look: tuple[int, int, Pace], medians: Numbers) -> Numbers:
    """Return the deviation of a span from its forecast, for each end; *look* is its side, its length and the pace."""
    sign, length, pace = look
    base = pace.base
    made = np.full(level.size, np.nan)
    if level.size < 2 * base + length:
        return made
    older, newer = medians[: -base - length], medians[base:-length]
    spans = np.lib.stride_tricks.sliding_window_view(level, length)[2 * base :]
    trend = newer + (newer - older) * ((base + length) / 2) / base
    mine = (sign * spans).min(axis=1) if length == pace.short else sign * _row_medians(spans)
    # The end of an excursion as long as a level restores the former level.
    returned = np.where(np.abs(newer - older) >= _PLATEAU, sign * older, -np.inf)
    away = mine - np.maximum.reduce([sign * newer, sign * trend, returned])
    reach = at[2 * base + length - 1 :] - at[: -(2 * base + length - 1)]
    made[2 * base + length - 1 :] = np.where(reach <= 3 * base + length, away, np.nan)
    return made


class _Scale(NamedTuple):
    """Usual error of one span and side in units of counting: its middle, and its size above it, trimmed."""

    middle: float
    size: float

    def limit(self, unit: Numbers) -> Numbers:
        """Return the threshold of an error, given the counting error *unit*."""
        return (min(self.middle, 0.0) + DEVIATIONS * self.size) * unit


def _scale(parts: list[Numbers], look: _Look, pace: Pace) -> _Scale:
    """Return the usual error; its size is at least that of counting, and larger while few are known."""
    values = np.concatenate(parts) if parts else np.empty(0)
    if values.size < MIN_FORECASTS:
        return _Scale(0.0, float("inf"))
    high, middle, low = np.quantile(values, [0.98, 0.5, 0.02])
    size = max(
        (high - middle) / 2.05, (middle - low) / 2.05 / 2, _LEAST_SHORT if look.length == pace.short else _LEAST_LONG
    )
    return _Scale(float(middle), float(size * (1 + 2 / np.sqrt(values.size / 10))))


def _first(
    looks: list[_Look], scales: list[_Scale], change: Change, floors: Numbers, *, known: int, needs_course: bool
) -> tuple[int, int, float, float] | None:
    """Return the first alarm (position, sign, depth, deviations) of *looks*; put into *floors* the least change that each sees at its end."""
    best: tuple[int, int, float, float] | None = None
    for index, (look, scale) in enumerate(zip(looks, scales, strict=True)):
        least = change.fall if look.sign < 0 else change.rise
        limit = np.maximum(np.maximum(least, look.least), scale.limit(look.unit))
        if np.isfinite(look.away[-1:]).any() and np.isfinite(scale.size):
            margin = _MARGIN_OF_COURSE if needs_course else _MARGIN
            floors[index] = limit[-1] + (margin * scale.size - scale.middle) * look.unit[-1]
        if known < MIN_FORECASTS:
            continue
        passed = np.flatnonzero(np.nan_to_num(look.away, nan=-1.0) >= limit)
        if passed.size and (best is None or int(look.position[passed[0]]) < best[0]):
            at = passed[0]
            best = int(look.position[at]), look.sign, float(look.away[at]), float(look.units[at] / scale.size)
    return best


def _follow(
    tracks: tuple[Track, ...], free: NDArray[np.bool_], alarm: tuple[int, int, float, float], size: int
) -> tuple[Excursion, int]:
    """Find onset and end of an excursion, exclude it from *free*, and return where to continue."""
    position, sign, depth, deviations = alarm
    at = tracks[0].at
    near, pace = min(depth / 2, _NEAR), tracks[0].pace
    away = np.minimum.reduce([_from_frozen(track, free, position, sign) for track in tracks])
    onset = position
    while onset > 0 and position - onset < 2 * pace.long and free[onset - 1] and away[onset - 1] > near:
        onset -= 1
    back = np.concatenate([[0], (away[position + 1 :] <= near).cumsum()])
    found = np.flatnonzero(back[_BACK:] - back[:-_BACK] == _BACK) + _BACK - 1
    excursion = Excursion(sign, int(at[onset]), int(at[position]), int(at[position]), depth, deviations)
    stop = size
    if found.size:
        closed = position + 1 + int(found[0])
        stop = closed - _BACK + 1
        excursion.recovered, excursion.closed = int(at[stop]), int(at[closed])
        free[onset:stop] = False
        return excursion, closed + 1
    free[onset:] = False
    return excursion, size


def _from_frozen(track: Track, free: NDArray[np.bool_], position: int, sign: int) -> Numbers:
    """Return how far each step is from the level before *position*, or from that level on its usual course of the day: the nearer one."""
    before = np.flatnonzero(free[: max(position - track.pace.long, 1)])[-track.pace.base :]
    plain = sign * (track.level - np.median(track.level[before]))
    shaped = track.level - track.daily
    known = before[np.isfinite(shaped[before])]
    if not known.size:
        return np.asarray(plain, dtype=np.float64)
    course = sign * (shaped - np.median(shaped[known]))
    if track.pace.needs_course:
        return np.where(np.isfinite(course), course, plain)
    return np.where(np.isfinite(course), np.minimum(plain, course), plain)


def _opened(found: list[Excursion], new: Excursion, step_ns: int, base: int) -> int:
    alike = [
        former
        for former in found
        if former.sign == new.sign
        and former.recovered is not None
        and former.depth >= _ALIKE * new.depth
        and (new.onset - former.onset) * step_ns <= _MONTH_NS
    ]

    def is_same_time(former: Excursion) -> bool:
        apart = (new.onset - former.onset) * step_ns % _DAY_NS
        return min(apart, _DAY_NS - apart) <= _SAME_TIME_NS

    if new.sign < 0:
        daily = [former for former in alike if is_same_time(former)]
        short = [former for former in alike if former.recovered is not None and former.recovered - former.onset <= base]
        alike = daily if len(daily) >= 2 else short if len(short) >= 3 else []
    lengths = [former.recovered - former.onset for former in alike if former.recovered is not None]
    return max(new.alarm, new.onset + _LONGER * max(lengths)) if lengths else new.alarm
