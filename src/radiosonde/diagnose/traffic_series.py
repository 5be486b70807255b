"""Calls on a regular grid of time, including windows without calls: the input of the traffic check.

A window without calls is not written, so silence can only be seen beside something that goes on: *companions* are the health windows of
processes and the windows of other models. They count when they covered most of the model's own windows (`covering`, asked once for the whole
model and all its parts); a replay of another year has none.
With companions, a step in which anything was written and the model was not is a step without calls. Where nothing was written, or without
companions, such a step is *unknown* and takes part in nothing: a restart and a store that was away are no loss of traffic.

Steps are as long as one window, or as several where calls are few, so that a step usually holds at least `MIN_CALLS` calls: at most six
hours, and part a day evenly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.status import window_length_ns
from radiosonde.diagnose.traffic_scan import Pace, pace_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from radiosonde.model import SeriesKey, Window

MIN_CALLS = 10.0
_MERGED, _MERGED_MOST_NS = (2, 3, 5, 10), 600_000_000_000
_LONG_STEPS_NS = tuple(minutes * 60_000_000_000 for minutes in (30, 60, 120, 180, 360))
_MOST_STEPS = 45_000
_DAY_NS, _HOUR_NS = 86_400_000_000_000, 3_600_000_000_000
_MONTH_NS = 28 * _DAY_NS
_COVERED = 0.8
_LONGER, _SLACK_STEPS, _CHANCE = 1.5, 3, 7.0


class TrafficGrid(NamedTuple):
    """Calls of a model on a regular grid.

    Attributes:
        start_ns: start of step 0, a multiple of *step_ns*.
        step_ns: length of a step.
        keys: the series, the rows of *calls*.
        calls: shape (series, steps); whole steps only.
        known: whether the number of calls of a step is known, shape (steps,).
        failures: failed calls of the model by step.
        seconds: latency of the model's calls, summed by step.
    """

    start_ns: int
    step_ns: int
    keys: tuple[SeriesKey, ...]
    calls: NDArray[np.float64]
    known: NDArray[np.bool_]
    failures: NDArray[np.float64]
    seconds: NDArray[np.float64]

    @property
    def pace(self) -> Pace:
        """How many steps a forecast takes."""
        return pace_of(self.step_ns)


class Rhythm(NamedTuple):
    """When a model is called that has long pauses: its distinct starts of windows, the end of the last, and the end of all that was written."""

    start_ns: NDArray[np.int64]
    last_ns: int
    until_ns: int
    step_ns: int

    @property
    def pauses(self) -> NDArray[np.int64]:
        """Times between the starts of successive windows with calls."""
        return np.diff(self.start_ns)

    def allowed_ns(self, places: int) -> int:
        """Return the longest allowed pause: longer than any former one, with a margin for random arrivals at *places* places."""
        pauses = self.pauses
        chance = (_CHANCE + float(np.log(places))) * float(pauses.std())
        return int(max(_LONGER * pauses.max(), pauses.max() + chance)) + _SLACK_STEPS * self.step_ns


def written_until(windows: Sequence[Window], beside: Sequence[tuple[int, int]]) -> int:
    """Return the end of the data: of *windows* and of those that cover them."""
    return max([*(window.end_ns for window in windows), *(end for _, end in beside)])


def covering(windows: Sequence[Window], beside: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Return *beside* where it was written while *windows* were, else nothing: of a replay, health is of another time than calls."""
    if not beside:
        return ()
    starts, ends = (np.array(part, dtype=np.int64) for part in zip(*sorted(beside), strict=True))
    ends = np.maximum.accumulate(ends)
    own = np.unique([window.start_ns for window in windows])
    at = np.searchsorted(starts, own + window_length_ns(windows) // 2, side="right") - 1
    is_covered = float(((at >= 0) & (ends[np.maximum(at, 0)] > own)).mean()) >= _COVERED
    return beside if is_covered else ()


def make_rhythm(windows: Sequence[Window], beside: Sequence[tuple[int, int]]) -> Rhythm:
    """Return when the model of *windows* was called, or when a part of it was, of which *windows* are."""
    called = [window for window in windows if window.calls] or list(windows)
    starts = np.unique([window.start_ns for window in called])
    last = max(window.end_ns for window in called)
    return Rhythm(starts, last, max(last, written_until(windows, beside)), max(window_length_ns(windows), 1))


def make_grid(windows: Sequence[Window], beside: Sequence[tuple[int, int]]) -> TrafficGrid | None:
    """Lay out *windows*; None where they cannot be.

    Windows longer than six hours cannot, nor too few calls for steps of six hours, nor windows that are all a month older than
    the last write.

    Args:
        windows: windows of one model.
        beside: start and end of the windows that cover them (`covering`).
    """
    length = max(window_length_ns(windows), 1)
    until = written_until(windows, beside)
    first = max(min(window.start_ns for window in windows), until - _MONTH_NS)
    kept = [window for window in windows if window.start_ns >= first]
    if not kept:  # no calls for a month
        return None
    for step in _steps(length):
        grid = _laid_out(kept, beside, step, until)
        if grid is None or _usual(grid) >= MIN_CALLS:
            return grid
    return None


def without_spans(grid: TrafficGrid, spans: Iterable[tuple[int, int]]) -> TrafficGrid:
    """Return *grid* with the steps that overlap *spans* unknown: how many calls they had cannot be said."""
    known = grid.known.copy()
    for start_ns, end_ns in spans:
        first, last = (start_ns - grid.start_ns) // grid.step_ns, (end_ns - grid.start_ns - 1) // grid.step_ns
        known[max(first, 0) : max(last + 1, 0)] = False
    return grid._replace(known=known)


def _steps(length: int) -> list[int]:
    """Return the lengths of steps that are tried for windows of *length*, ascending."""
    short = [merged * length for merged in _MERGED if merged * length <= _MERGED_MOST_NS]
    longer = [step for step in _LONG_STEPS_NS if step > length and step % length == 0]
    is_even = _DAY_NS % length == 0 and length <= _LONG_STEPS_NS[-1]
    first = [length] if length <= _MERGED_MOST_NS or is_even else []
    return [*first, *short, *longer]


def _usual(grid: TrafficGrid) -> float:
    """Return the calls in most steps of a quiet hour: the lower fifth, over the hours with calls, of their medians. A batch job has none.

    Of steps that are longer than ten minutes it is the lower fifth of all, those without calls too.
    """
    if grid.step_ns > _MERGED_MOST_NS:
        return float(np.quantile(grid.calls.sum(axis=0)[grid.known], 0.2)) if grid.known.any() else 0.0
    per_hour = max(_HOUR_NS // grid.step_ns, 1)
    known = np.flatnonzero(grid.known)
    total = grid.calls.sum(axis=0)[known]
    edges = np.flatnonzero(np.diff(known // per_hour, prepend=-1))
    hours = [part for part in np.split(total, edges[1:]) if part.any()]
    return float(np.quantile([float(np.median(part)) for part in hours], 0.2)) if hours else 0.0


def _laid_out(
    windows: Sequence[Window], beside: Sequence[tuple[int, int]], step: int, until: int
) -> TrafficGrid | None:
    first = min(window.start_ns for window in windows)
    first = max(first - first % step, until - until % step - _MOST_STEPS * step)
    size = (until - first) // step
    keys = tuple(sorted({window.key for window in windows}))
    if size < 1:
        return None
    row_of = {key: row for row, key in enumerate(keys)}
    calls = np.zeros((len(keys), size))
    failures, seconds = np.zeros(size), np.zeros(size)
    alive, coarse = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    for window in windows:
        at = (window.start_ns - first) // step
        if not 0 <= at < size:
            continue
        if window.end_ns - window.start_ns > step:
            coarse[at : (window.end_ns - first - 1) // step + 1] = True
            continue
        alive[at] = True
        calls[row_of[window.key], at] += window.calls
        failures[at] += sum(window.errors.values())
        seconds[at] += float(window.latency.sums_s.sum())
    if beside:
        for start, end in beside:
            alive[max((start - first) // step, 0) : max((end - first - 1) // step + 1, 0)] = True
        known = alive & ~coarse
    else:
        known = (calls.sum(axis=0) > 0) & ~coarse
    return TrafficGrid(first, step, keys, calls, known, failures, seconds)
