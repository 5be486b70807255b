"""Windows laid out as dense arrays over event time, the input of every check.

One pass over the windows. Parts of a window (several processes, late labels) land in the same cell of the arrays and
add up there. Steps are as long as the windows, or longer when that would make more than `MAX_STEPS` of them: checks
need a few hundred points, and memory is bounded for any span.

Counts of windows that cover several steps are spread over them (`radiosonde.diagnose.spreading`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.spreading import Spans, add_spread, chunks
from radiosonde.model import LATENCY, Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from radiosonde.model import LatencyCounts, SeriesKey

MAX_STEPS = 1500
_NICE_STEPS_S = (1, 5, 10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Axis:
    """Steps of equal length over event time.

    Attributes:
        start_ns: start of step 0.
        step_ns: length of a step.
        size: number of steps.
    """

    start_ns: int
    step_ns: int
    size: int

    def index(self, time_ns: int) -> int:
        """Return the step that holds *time_ns*."""
        return min(max((time_ns - self.start_ns) // self.step_ns, 0), self.size - 1)

    def span(self, window: Window) -> slice:
        """Return the steps that *window* covers: one, or several where it was added up to an hour or a day."""
        return slice(self.index(window.start_ns), self.index(max(window.end_ns - 1, window.start_ns)) + 1)

    def spans(self, windows: Sequence[Window]) -> Spans:
        """Return the steps that each of *windows* covers, as `span` does."""
        starts = np.fromiter((window.start_ns for window in windows), np.int64, len(windows))
        lasts = np.fromiter((window.end_ns for window in windows), np.int64, len(windows)) - 1
        first, last = (
            np.clip((times - self.start_ns) // self.step_ns, 0, self.size - 1)
            for times in (starts, np.maximum(lasts, starts))
        )
        return Spans(first, last - first + 1)

    def until(self, time_ns: int) -> Axis | None:
        """Return the steps before *time_ns*; None where no step begins there, or the axis does."""
        size, rest = divmod(time_ns - self.start_ns, self.step_ns)
        return None if rest or not 0 < size <= self.size else Axis(self.start_ns, self.step_ns, size)

    def at_ns(self, step: int) -> int:
        """Return the start of *step*."""
        return self.start_ns + int(step) * self.step_ns

    def start_of(self, time_ns: int) -> int:
        """Return the start of the step that holds *time_ns*."""
        return self.at_ns(self.index(time_ns))

    def steps(self, hours: float) -> int:
        """Return the number of steps in *hours*, at least 1."""
        return max(1, round(hours * 3.6e12 / self.step_ns))

    @property
    def hours(self) -> float:
        """Length of the whole axis in hours."""
        return self.size * self.step_ns / 3.6e12

    def starts(self) -> list[int]:
        """Return the start of every step."""
        return [self.start_ns + index * self.step_ns for index in range(self.size)]


@dataclass(frozen=True, slots=True)
class Panel:
    """All windows of one model.

    Attributes:
        model: model name.
        axis: event time.
        keys: the series, the rows of the arrays below.
        calls: shape (series, steps).
        errors: calls that raised, same shape.
        error_types: calls that raised by (series index, type).
        first_error_step: first step of each (series index, type).
        correct: labelled correct rows by lag class, shape (lags, series, steps).
        incorrect: likewise.
        rows: predicted rows, shape (series, steps).
        latency: calls per latency bucket, per arm and not per series to bound memory, shape (arms, steps, 240).
        arms: distinct (version, variant), in order.
        arm_of: arm index of each series.
        phases: phase names.
        phase_sums_s: per arm, shape (arms, phases + 1, steps, 240); the last phase is the unattributed time.
    """

    model: str
    axis: Axis
    keys: tuple[SeriesKey, ...]
    calls: NDArray[np.int64]
    errors: NDArray[np.int64]
    error_types: Mapping[tuple[int, str], NDArray[np.int64]]
    correct: NDArray[np.int64]
    incorrect: NDArray[np.int64]
    rows: NDArray[np.int64]
    latency: NDArray[np.int64]
    arms: tuple[tuple[str, str], ...]
    arm_of: NDArray[np.int64]
    phases: tuple[str, ...]
    phase_sums_s: NDArray[np.float64]

    def arm_name(self, arm: int) -> str:
        """Return the version of *arm*, with its variant where versions alone do not distinguish arms."""
        version, variant = self.arms[arm]
        alone = sum(other == version for other, _ in self.arms) == 1
        return (version or "(no version)") if alone else f"{version or '(no version)'}/{variant}"


def make_axis(windows: Sequence[Window]) -> Axis:
    """Return the axis that fits *windows*: their own length, or the next rounder one that keeps `MAX_STEPS`."""
    start = min(window.start_ns for window in windows)
    end = max(window.end_ns for window in windows)
    lengths = sorted(window.end_ns - window.start_ns for window in windows)
    step = max(lengths[len(lengths) // 2], 1)
    if (end - start) / step > MAX_STEPS:
        step = next(
            (s * 10**9 for s in _NICE_STEPS_S if s * 10**9 >= step and (end - start) / (s * 10**9) <= MAX_STEPS), 0
        )
        step = step or -(-(end - start) // MAX_STEPS)
    start -= start % step
    return Axis(start, step, max(1, -(-(end - start) // step)))


def make_panel(model: str, windows: Sequence[Window], axis: Axis) -> Panel:
    """Lay out the windows of *model* on *axis*; windows are taken as they are, parts included."""
    keys = tuple(sorted({window.key for window in windows}))
    row_of = {key: row for row, key in enumerate(keys)}
    arms = tuple(sorted({(key.version, key.variant) for key in keys}))
    arm_of = np.array([arms.index((key.version, key.variant)) for key in keys])
    phases = tuple(sorted({phase for window in windows for phase in window.latency.phases}))
    row = np.fromiter((row_of[window.key] for window in windows), np.int64, len(windows))
    spans = axis.spans(windows)
    shape = (len(keys), axis.size)
    calls, rows = (np.zeros(shape, dtype=np.int64) for _ in range(2))
    add_spread(calls, row, spans, np.fromiter((window.calls for window in windows), np.int64, len(windows)))
    add_spread(rows, row, spans, np.fromiter((window.rows for window in windows), np.int64, len(windows)))
    error_types = _error_types(windows, row, spans, axis.size)
    errors = np.zeros(shape, dtype=np.int64)
    for (at, _), counted in error_types.items():
        errors[at] += counted
    latency = np.zeros((len(arms), axis.size, LATENCY.size), dtype=np.int64)
    phase_sums = np.zeros((len(arms), len(phases) + 1, axis.size, LATENCY.size))
    for part in chunks(len(windows), LATENCY.size):
        timed = [window.latency for window in windows[part]]
        add_spread(latency, arm_of[row[part]], spans.of(part), np.stack([each.counts for each in timed]))
        _add_phases(phase_sums, phases, timed, arm_of[row[part]], spans.of(part))
    correct, incorrect = _outcomes(windows, row, spans, shape)
    return Panel(
        model, axis, keys, calls, errors, error_types, correct, incorrect, rows, latency, arms, arm_of, phases, phase_sums,
    )  # fmt: skip


def _error_types(
    windows: Sequence[Window], row: NDArray[np.int64], spans: Spans, size: int
) -> dict[tuple[int, str], NDArray[np.int64]]:
    """Return the failed calls by series and type, in the order in which they occur."""
    found: dict[tuple[int, str], list[tuple[int, int]]] = {}
    for index, window in enumerate(windows):
        for name, count in window.errors.items():
            found.setdefault((int(row[index]), name), []).append((index, count))
    made = {}
    for key, counted in found.items():
        members, counts = np.array(counted, dtype=np.int64).T
        table = np.zeros((1, size), dtype=np.int64)
        add_spread(table, np.zeros_like(members), spans.of(members), counts)
        made[key] = table[0]
    return made


def _add_phases(
    total: NDArray[np.float64],
    phases: tuple[str, ...],
    timed: Sequence[LatencyCounts],
    arm: NDArray[np.int64],
    spans: Spans,
) -> None:
    """Add the time of each phase to *total*, and what none of them took to its last line."""
    lines = total.reshape(-1, *total.shape[2:])
    first = arm * total.shape[1]
    add_spread(lines, first + len(phases), spans, np.stack([each.sums_s for each in timed]))
    alike: dict[tuple[str, ...], list[int]] = {}
    for index, each in enumerate(timed):
        if each.phases:
            alike.setdefault(each.phases, []).append(index)
    for named, members in alike.items():
        sums = np.stack([timed[index].phase_sums_s for index in members])
        for column, name in enumerate(named):
            add_spread(lines, first[members] + phases.index(name), spans.of(members), sums[:, column])
        add_spread(lines, first[members] + len(phases), spans.of(members), -sums.sum(axis=1))


def _outcomes(
    windows: Sequence[Window], row: NDArray[np.int64], spans: Spans, shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the correct and the incorrect rows, shape (lags, series, steps).

    A part may subtract counts of another one: only their sum is non-negative.
    """
    results = ("correct", "incorrect")
    labelled = [(index, window.labels) for index, window in enumerate(windows) if window.labels]
    lags = sorted({lag for _, part in labelled for _, lag in (*part.outcomes, *part.retractions)}) or ["inf"]
    line = {(result, lag): (at, lags.index(lag)) for at, result in enumerate(results) for lag in lags}
    tables = []
    for name in ("outcomes", "retractions"):
        table = np.zeros((len(results), len(lags), *shape), dtype=np.int64)
        counted = [
            (*line[key], index, count)
            for index, part in labelled
            for key, count in getattr(part, name).items()
            if key in line
        ]
        if counted:
            result, lag, members, counts = np.array(counted, dtype=np.int64).T
            at = (result * len(lags) + lag) * shape[0] + row[members]
            add_spread(table.reshape(-1, shape[1]), at, spans.of(members), counts)
        tables.append(table)
    correct, incorrect = tables[0] - tables[1]
    return correct, incorrect


def slow_calls(panel: Panel, windows: Sequence[Window], bucket: int) -> NDArray[np.int64]:
    """Return the calls above latency bucket *bucket* per series and step, shape (series, steps)."""
    row_of = {key: row for row, key in enumerate(panel.keys)}
    row = np.fromiter((row_of[window.key] for window in windows), np.int64, len(windows))
    counts = np.fromiter((window.latency.counts[bucket + 1 :].sum() for window in windows), np.int64, len(windows))
    slow = np.zeros((len(panel.keys), panel.axis.size), dtype=np.int64)
    add_spread(slow, row, panel.axis.spans(windows), counts)
    return slow
