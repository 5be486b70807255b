"""Charts over time, for a page and for its script: SVG that needs no script, and the same numbers as JSON.

All charts of a model share the time axis, so that what happened at one moment lies on one vertical line. Versions, incidents and excluded
intervals are marked in each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from radiosonde.desk.words import grouped, minute, short_duration
from radiosonde.diagnose.svg import ticks, time_label, time_ticks
from radiosonde.model.notebook import shown
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

Unit = Literal["a minute", "share", "s", "", "bytes"]
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 150, 64, 10, 12, 22
_NAME, _STRIP = 60, 4


class TimeRange(NamedTuple):
    """The time that a page shows."""

    from_ns: int
    to_ns: int


class ChartMark(NamedTuple):
    """Something that is marked in every chart.

    Attributes:
        kind: ``version``, ``incident`` or ``excluded``.
        from_ns: start.
        to_ns: end; the start for a moment.
        label: its name.
    """

    kind: Literal["version", "incident", "excluded"]
    from_ns: int
    to_ns: int
    label: str


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """Some lines over time.

    Attributes:
        id: identifies it on its page.
        title: its name.
        unit: unit of its values.
        start_ns: start of each step, shape (steps,).
        step_ns: length of a step.
        lines: (label, values); NaN where there is none.
        is_stacked: whether the lines are added up as areas.
        note: a sentence below it; ``""`` for none.
    """

    id: str
    title: str
    unit: Unit
    start_ns: NDArray[np.int64]
    step_ns: int
    lines: Sequence[tuple[str, NDArray[np.floating[Any]]]]
    is_stacked: bool = False
    note: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(np.isfinite(values).any() for _, values in self.lines)

    def summary(self) -> str:
        """Return the chart in words, for those who cannot see it: range and last value of each line."""
        said = []
        for label, values in self.lines:
            held = values[np.isfinite(values)]
            if held.size:
                name = f"{shown(label, _NAME)}: " if label else ""
                low, high, last = (value_words(float(each), self.unit) for each in (held.min(), held.max(), held[-1]))
                said.append(f"{name}{low} to {high}, last {last}")
        return "; ".join(said) or "no values in this time"

    def to_json(self) -> dict[str, Any]:
        """Return the chart for the script: times in seconds, values in five digits, null where there is none."""
        return {
            "id": self.id,
            "title": self.title,
            "unit": self.unit,
            "stacked": self.is_stacked,
            "labels": [shown(label, _NAME) for label, _ in self.lines],
            "x": ((self.start_ns + self.step_ns // 2) / 1e9).round(3).tolist(),
            "y": [
                [None if not math.isfinite(value) else float(f"{value:.5g}") for value in values.tolist()]
                for _, values in self.lines
            ],
        }


def value_words(value: float, unit: Unit) -> str:
    """Return *value* with its unit."""
    if not math.isfinite(value):
        return "\u2013"
    if unit == "share":
        return percent(value)
    if unit == "s":
        return short_duration(value)
    if unit == "bytes":
        return f"{value / 1e9:.3g} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"
    return f"{grouped(value)} {unit}".strip()


def _tick_words(value: float, unit: Unit) -> str:
    """Return *value* on an axis, where the title names the unit of a rate."""
    return value_words(value, "" if unit == "a minute" else unit)


def chart_svg(chart: Chart, time: TimeRange, marks: Sequence[ChartMark]) -> str:
    """Return *chart* as SVG; every text in it is escaped."""
    lines = _stacked(chart) if chart.is_stacked else [values for _, values in chart.lines]
    held = np.concatenate([values[np.isfinite(values)] for values in lines]) if lines else np.zeros(0)
    title = f"{chart.title}. {chart.summary()}"
    parts = [f'<svg class="lines" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">']
    scale = ticks(min(0.0, float(held.min())) if held.size else 0.0, float(held.max()) if held.size else 1.0)
    low, high = scale[0], max(scale[-1], float(held.max()) if held.size else 1.0)
    bottom = _HEIGHT - _BOTTOM

    def x(at_ns: float) -> float:
        share = (at_ns - time.from_ns) / max(time.to_ns - time.from_ns, 1)
        return _LEFT + min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return bottom - (value - low) / ((high - low) or 1) * (bottom - _TOP)

    parts += [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{escape(_tick_words(tick, chart.unit))}</text>'
        for tick in scale
    ]
    parts += [_time_tick(x(at), at, bottom, index) for index, at in enumerate(time_ticks(*time))]
    parts += [_mark(mark, x, bottom) for mark in marks if mark.to_ns >= time.from_ns and mark.from_ns <= time.to_ns]
    centre = chart.start_ns + chart.step_ns // 2
    inside = (centre >= time.from_ns) & (centre <= time.to_ns)
    places = [(x(float(at)), index) for index, at in enumerate(centre.tolist()) if inside[index]]
    below = np.zeros(centre.size)
    for number, values in enumerate(lines):
        if chart.is_stacked:
            parts.append(_area(places, values, below, y, number))
            below = np.where(np.isfinite(values), values, below)
        else:
            parts.append(_path(places, values, y, number))
    return f"{''.join(parts)}</svg>"


def _stacked(chart: Chart) -> list[NDArray[np.floating[Any]]]:
    """Return the upper bound of each area; a step without any value has none."""
    tables = np.array([values for _, values in chart.lines], dtype=np.float64)
    total = np.nan_to_num(tables).cumsum(axis=0)
    total[:, ~np.isfinite(tables).any(axis=0)] = np.nan
    return list(total)


def _time_tick(at_x: float, at_ns: int, bottom: float, index: int) -> str:
    extra = " extra" if index % 3 else ""
    return f'<text class="tick time{extra}" x="{at_x:.1f}" y="{bottom + 15:.1f}" text-anchor="middle">{time_label(at_ns)}</text>'


def _mark(mark: ChartMark, x: Any, bottom: float) -> str:
    first, last = x(mark.from_ns), x(mark.to_ns)
    title = f"<title>{escape(shown(mark.label, _NAME))}, {minute(mark.from_ns)}</title>"
    if mark.kind == "version":
        return f'<line class="birth" x1="{first:.1f}" x2="{first:.1f}" y1="{_TOP - 6}" y2="{bottom}">{title}</line>'
    # An incident is a strip at the top and a line at its onset: filled areas of several would add up and hide the lines.
    height = _STRIP if mark.kind == "incident" else bottom - _TOP
    width = max(last - first, 1.5)
    strip = f'<rect class="{mark.kind}" x="{first:.1f}" y="{_TOP}" width="{width:.1f}" height="{height}">{title}</rect>'
    if mark.kind == "excluded" or first <= _LEFT:
        return strip
    return f'{strip}<line class="began" x1="{first:.1f}" x2="{first:.1f}" y1="{_TOP}" y2="{bottom}"/>'


def _runs(places: Sequence[tuple[float, int]], values: NDArray[np.floating[Any]]) -> list[list[tuple[float, int]]]:
    """Return the places in runs without a gap."""
    runs: list[list[tuple[float, int]]] = [[]]
    for at, index in places:
        if math.isfinite(float(values[index])):
            runs[-1].append((at, index))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _path(places: Sequence[tuple[float, int]], values: NDArray[np.floating[Any]], y: Any, number: int) -> str:
    commands = []
    for run in _runs(places, values):
        points = [f"{at:.1f} {y(float(values[index])):.1f}" for at, index in run]
        commands.append(f"M{'L'.join(points)}" + ("h.01" if len(points) == 1 else ""))
    return f'<path class="line l{number % 6}" d="{"".join(commands)}"/>'


def _area(
    places: Sequence[tuple[float, int]],
    values: NDArray[np.floating[Any]],
    below: NDArray[np.floating[Any]],
    y: Any,
    number: int,
) -> str:
    commands = []
    for run in _runs(places, values):
        upper = [f"{at:.1f} {y(float(values[index])):.1f}" for at, index in run]
        lower = [f"{at:.1f} {y(float(below[index])):.1f}" for at, index in reversed(run)]
        commands.append(f"M{'L'.join([*upper, *lower])}Z")
    return f'<path class="area s{number % 6}" d="{"".join(commands)}"/>'


def spark_svg(values: NDArray[np.floating[Any]], label: str, *, is_bad: bool = False) -> str:
    """Return a line without axes, for a table; *label* is its text for screen readers."""
    width, height, count = 120, 26, max(values.size - 1, 1)
    held = values[np.isfinite(values)]
    top = float(held.max()) if held.size else 0.0
    low = min(float(held.min()), 0.0) if held.size else 0.0
    places = [(index / count * (width - 2) + 1, index) for index in range(values.size)]

    def y(value: float) -> float:
        return height - 2 - (value - low) / ((top - low) or 1) * (height - 5)

    commands = []
    for run in _runs(places, values):
        points = [f"{at:.1f} {y(float(values[index])):.1f}" for at, index in run]
        commands.append(f"M{'L'.join(points)}" + ("h.01" if len(points) == 1 else ""))
    kind = "spark bad" if is_bad else "spark"
    return (
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(shown(label))}">'
        f'<path d="{"".join(commands)}"/></svg>'
    )
