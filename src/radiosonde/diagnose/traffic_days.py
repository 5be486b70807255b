"""Calls of whole days, for models and cohorts that are called too seldom, or in too few hours, for a forecast by steps.

For a nightly job, twenty calls a day, or a cohort of one call in a hundred. Days begin at the time of the fewest calls, so that no job is
split. The calls of the last 1, 2, 4 or 7 days are compared with the least and the most of as many days in a row in the month before, of
which there must be a week:
so weekends are known, and nothing needs to be assumed of how days vary. Today counts as far as it has come, against the days before up to
the same time.

A fall counts when it is below 0.6 of the least, a rise above 1.8 of the most; beyond what counting explains (`_DEVIATIONS` standard errors
of the difference of two counts) and beyond the usual spread of such sums; growth over more than two days is none. A cohort must have moved
against the others, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.model import Window

    Numbers = NDArray[np.float64]

DAY_NS, _HOUR_NS = 86_400_000_000_000, 3_600_000_000_000
MIN_DAYS, _MOST_DAYS = 7, 28
_SPANS, _LONGEST_RISE = (1, 2, 4, 7), 2
_FALL, _RISE = 0.6, 1.8
_DEVIATIONS = 4.5
_LEAST_TODAY = 0.5


class Days(NamedTuple):
    """Calls by day.

    Attributes:
        start_ns: start of each day, ascending; the last may be today.
        calls: calls of each day.
        so_far: calls of each day up to the current time of day.
        until_ns: end of the written data.
    """

    start_ns: NDArray[np.int64]
    calls: Numbers
    so_far: Numbers
    until_ns: int

    def without_today(self) -> Days:
        """Return the days that are over."""
        over = self.start_ns + DAY_NS <= self.until_ns
        return self._replace(start_ns=self.start_ns[over], calls=self.calls[over], so_far=self.calls[over])

    @property
    def is_today_whole(self) -> bool:
        """Whether the last day is over."""
        return self.until_ns >= int(self.start_ns[-1]) + DAY_NS


class DayChange(NamedTuple):
    """The last days held fewer or more calls than ever.

    Attributes:
        start_ns: start of the first of them.
        days: number of days.
        calls: their calls.
        usual: median of as many days in a row before.
        extreme: the least such sum for a fall, the most for a rise.
        deviations: difference from it in standard errors.
    """

    start_ns: int
    days: int
    calls: float
    usual: float
    extreme: float
    deviations: float

    @property
    def is_fall(self) -> bool:
        """Whether there were fewer."""
        return self.calls < self.extreme


def quietest_ns(windows: Sequence[Window]) -> int:
    """Return the time of the day, a whole hour, around which the fewest calls of *windows* come."""
    at = np.array([window.start_ns for window in windows], dtype=np.int64) // _HOUR_NS % 24
    hours = np.bincount(at, [window.calls for window in windows], minlength=24)
    apart = np.abs((np.arange(24) + 0.5 - np.arange(24)[:, None] + 12) % 24 - 12)
    near = (np.maximum(7 - apart, 0) * hours).sum(axis=1)
    return int(near.argmin()) * _HOUR_NS


def lay_out_days(
    windows: Sequence[Window], cut_ns: int, spans: Sequence[tuple[int, int]], until_ns: int
) -> Days | None:
    """Return the calls of *windows* by day; None without a whole day.

    Args:
        windows: windows of one model or of one place.
        cut_ns: time of the day at which days begin.
        spans: start and end of all other written windows: a day without any is unknown.
        until_ns: end of the written data.
    """
    starts = np.array([window.start_ns for window in windows], dtype=np.int64)
    calls = np.array([window.calls for window in windows], dtype=np.float64)
    written = np.array([start for start, _ in spans], dtype=np.int64)
    first, last = (
        int(at - cut_ns) // DAY_NS for at in (min(starts.min(), written.min(initial=starts.min())), until_ns - 1)
    )
    first = max(first + 1, last - _MOST_DAYS - _SPANS[-1])  # the first day began before anything was written
    if first > last:
        return None
    size = last - first + 1
    day = (starts - cut_ns) // DAY_NS - first
    kept = (day >= 0) & (day < size)
    offset = (starts - cut_ns) % DAY_NS
    today = until_ns - (last * DAY_NS + cut_ns)
    total = np.bincount(day[kept], calls[kept], minlength=size).astype(np.float64)
    early = kept & (offset < today)
    so_far = np.bincount(day[early], calls[early], minlength=size).astype(np.float64)
    alive = np.zeros(size, dtype=bool)
    alive[day[kept]] = True
    beside = (written - cut_ns) // DAY_NS - first
    alive[beside[(beside >= 0) & (beside < size)]] = True
    at = np.flatnonzero(alive)
    if not at.size:
        return None
    return Days((at + first) * DAY_NS + cut_ns, total[at], so_far[at], until_ns)


def day_change(days: Days, others: Days | None = None) -> DayChange | None:
    """Return how the last days differ from all before, with today or without; the longest span that differs, None where none does.

    Args:
        days: calls of a model or a place.
        others: calls of everything else on the same days; None for the whole model.
    """
    found = _last_change(days, others)
    if found is None and not days.is_today_whole:
        found = _last_change(days.without_today(), None if others is None else others.without_today())
    return found


def _last_change(days: Days, others: Days | None) -> DayChange | None:
    found = None
    for length in _SPANS:
        now, before = _sums(days, length)
        if now is None or before.size < MIN_DAYS:
            continue
        change = _compared(days, length, now, before)
        if change is not None and not change.is_fall and length > _LONGEST_RISE:
            change = None
        if change is not None and others is not None:
            beside, usual = _sums(others, length)
            moved = np.log((change.calls + 0.5) / (change.usual + 0.5))
            if beside is None or abs(moved - np.log((beside + 0.5) / (np.median(usual) + 0.5))) < np.log(1 / _FALL):
                change = None
        found = change or found
    return found


def floor_of(days: Days) -> tuple[float, float, int] | None:
    """Return the bounds of sums that would be reported for the last days, over the median, and the number of days."""
    days = days.without_today()
    for length in _SPANS:
        _, before = _sums(days, length)
        if before.size < MIN_DAYS:
            break
        usual, spread = float(np.median(before)), _spread(before)
        low = min(_FALL, np.exp(-spread)) * before.min()
        high = max(_RISE, np.exp(spread)) * before.max()
        low = min(low, before.min() - _difference(before.min(), -1))
        high = max(high, before.max() + _difference(before.max(), 1))
        # nine in ten: the expectation lies 1.3 standard errors beyond the threshold
        low -= 1.3 * np.sqrt(max(low, 0.0) + 0.42) + 0.85
        if low > 0:
            return float(low / usual), float((high + 1.3 * np.sqrt(high) + 0.85) / usual), length
    return None


def _difference(count: float, sign: int) -> float:
    """Return the least difference to *count*, upwards or downwards, of `_DEVIATIONS` standard errors."""
    square = _DEVIATIONS**2
    return float((sign * square + np.sqrt(square**2 + 4 * square * (2 * count + 1))) / 2)


def _sums(days: Days, length: int) -> tuple[float | None, Numbers]:
    """Return the calls of the last *length* days including today, and of as many days in a row before, up to the same time of day."""
    if days.calls.size < 2 * length:
        return None, np.empty(0)
    whole = days.is_today_whole
    last = days.calls[-1] if whole else days.so_far[-1]
    enough = whole or days.so_far[:-1].sum() >= _LEAST_TODAY * days.calls[:-1].sum() or length > 1
    total = np.concatenate([[0.0], days.calls.cumsum()])
    ends = np.arange(length, days.calls.size - length + 1)
    partial = days.calls if whole else days.so_far
    before = np.array([total[end - 1] - total[end - length] + partial[end - 1] for end in ends.tolist()])
    before = before[-_MOST_DAYS:]
    if not enough:
        return None, before
    return float(total[-2] - total[-1 - length] + last), before


def _compared(days: Days, length: int, now: float, before: Numbers) -> DayChange | None:
    usual, spread = float(np.median(before)), _spread(before)
    least, most = float(before.min()), float(before.max())
    start_ns = int(days.start_ns[-length])
    for extreme, is_far in (
        (least, now <= min(_FALL, np.exp(-spread)) * least),
        (most, now >= max(_RISE, np.exp(spread)) * most and most > 0),
    ):
        deviations = abs(now - extreme) / float(np.sqrt(now + extreme + 1))
        if is_far and deviations >= _DEVIATIONS:
            return DayChange(start_ns, length, now, usual, extreme, deviations)
    return None


def _spread(before: Numbers) -> float:
    """Return the robust deviation of the logarithms of *before*."""
    logs = np.log(before + 0.5)
    return float(1.4826 * np.median(np.abs(logs - np.median(logs))))
