"""Windows laid out as dense arrays over event time, the input of every check.

One pass over the windows. Parts of a window (several processes, late labels) land in the same cell of the arrays and
add up there. Steps are as long as the windows, or longer when that would make more than `MAX_STEPS` of them: checks
need a few hundred points, and memory is bounded for any span.

A store keeps older windows by the hour and by the day. Counts of such a window are spread evenly over the steps it covers: in the first of
them only, they would look like a burst.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.model import LATENCY, Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from radiosonde.model import SeriesKey

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
    labels = [window.labels for window in windows if window.labels]
    lags = sorted({lag for part in labels for _, lag in (*part.outcomes, *part.retractions)}) or ["inf"]
    shape = (len(keys), axis.size)
    calls, errors, rows = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    outcomes = {name: np.zeros((len(lags), *shape), dtype=np.int64) for name in ("correct", "incorrect")}
    latency = np.zeros((len(arms), axis.size, LATENCY.size), dtype=np.int64)
    phase_sums = np.zeros((len(arms), len(phases) + 1, axis.size, LATENCY.size))
    error_types: dict[tuple[int, str], NDArray[np.int64]] = {}
    for window in windows:
        row, steps = row_of[window.key], axis.span(window)
        size = steps.stop - steps.start
        calls[row, steps] += spread(window.calls, size)
        rows[row, steps] += spread(window.rows, size)
        for name, count in window.errors.items():
            errors[row, steps] += spread(count, size)
            error_types.setdefault((row, name), np.zeros(axis.size, dtype=np.int64))[steps] += spread(count, size)
        if window.labels:
            # A part may subtract counts of another one: only their sum is non-negative.
            for sign, counted in ((1, window.labels.outcomes), (-1, window.labels.retractions)):
                for (result, lag), count in counted.items():
                    if result in outcomes:
                        outcomes[result][lags.index(lag), row, steps] += sign * spread(count, size)
        latency[arm_of[row], steps] += spread(window.latency.counts, size)
        sums = phase_sums[arm_of[row]]
        sums[-1, steps] += window.latency.sums_s / size
        for name, part in zip(window.latency.phases, window.latency.phase_sums_s, strict=True):
            sums[phases.index(name), steps] += part / size
            sums[-1, steps] -= part / size
    return Panel(
        model, axis, keys, calls, errors, error_types, outcomes["correct"], outcomes["incorrect"], rows, latency, arms,
        arm_of, phases, phase_sums,
    )  # fmt: skip


def slow_calls(panel: Panel, windows: Sequence[Window], bucket: int) -> NDArray[np.int64]:
    """Return the calls above latency bucket *bucket* per series and step, shape (series, steps)."""
    row_of = {key: row for row, key in enumerate(panel.keys)}
    slow = np.zeros((len(panel.keys), panel.axis.size), dtype=np.int64)
    for window in windows:
        steps = panel.axis.span(window)
        count = int(window.latency.counts[bucket + 1 :].sum())
        slow[row_of[window.key], steps] += spread(count, steps.stop - steps.start)
    return slow


def spread(counts: int | NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return *counts* over *size* steps, whole numbers that add up to them; shape (size, *shape of counts*)."""
    counts = np.asarray(counts, dtype=np.int64)
    if size == 1:
        return counts[None]
    shares = np.arange(size + 1).reshape(-1, *[1] * counts.ndim)
    return np.diff(counts * shares // size, axis=0)
