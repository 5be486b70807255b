"""Heat maps as SVG: features by their distance, the strongest first, and the cells of one feature by their share.

Opacity is the value, so they work in light, dark and print.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from radiosonde.desk.words import minute
from radiosonde.diagnose.svg import time_label, time_ticks
from radiosonde.model.notebook import shown
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from radiosonde.desk.charts import ChartMark, TimeRange
    from radiosonde.desk.heat import HeatMap
    from radiosonde.diagnose.panel import Axis

MOST_FEATURES = 24
_WIDTH, _LEFT, _RIGHT, _ROW, _FOOT = 760, 150, 10, 15, 20
_LEVELS = 5
_FULL = 0.8
"""Distance from which on a cell has the full colour."""
_FULL_SHARE = 0.4
"""Share of the rows from which on: a feature has about ten cells."""


class _Line(NamedTuple):
    """A row of a heat map.

    Attributes:
        name: its label.
        link: address behind the label; ``""`` for none.
        values: shape (columns,), NaN where nothing is shown.
        words: returns what columns hold, for their title.
    """

    name: str
    link: str
    values: NDArray[np.floating[Any]]
    words: Callable[[Sequence[int]], str]


def heat_svg(heat: HeatMap, time: TimeRange, marks: Sequence[ChartMark], link: Callable[[str], str]) -> str:
    """Return *heat* within *time*, each feature with its *link*; every name in it is escaped."""
    inside = _inside(heat.axis, time)
    table = heat.distance[:, inside].astype(np.float64)
    largest = np.where(np.isfinite(table), table, -1.0).max(axis=1) if inside.size else np.zeros(len(heat.features))
    order = sorted(range(len(heat.features)), key=lambda each: (-largest[each], heat.features[each]))[:MOST_FEATURES]

    def line(feature: int) -> _Line:
        def words(columns: Sequence[int]) -> str:
            missing = percent(float(np.nanmax(heat.missing[feature, columns])))
            return f"{float(heat.distance[feature, columns].max()):.2f}, {missing} missing"

        return _Line(heat.features[feature], link(heat.features[feature]), heat.distance[feature], words)

    label = f"distance of {len(order)} features from their reference; the largest: " + ", ".join(
        f"{shown(heat.features[each], 60)} {largest[each]:.2f}" for each in order[:3] if largest[each] >= 0
    )
    return _svg(label, [line(feature) for feature in order], heat.axis, time, marks)


def cells_svg(
    cells: Sequence[tuple[str, NDArray[np.float64]]], axis: Axis, time: TimeRange, marks: Sequence[ChartMark]
) -> str:
    """Return the share of each of *cells* over *axis*, within *time*; every name in it is escaped."""

    def line(name: str, shares: NDArray[np.float64]) -> _Line:
        return _Line(
            name,
            "",
            shares * (_FULL / _FULL_SHARE),
            lambda columns: f"{percent(float(shares[columns].mean()))} of the rows",
        )

    label = f"share of the rows in each of {len(cells)} cells over time"
    return _svg(label, [line(*each) for each in cells], axis, time, marks)


def _inside(axis: Axis, time: TimeRange) -> NDArray[np.int64]:
    starts = axis.start_ns + np.arange(axis.size, dtype=np.int64) * axis.step_ns
    return np.flatnonzero((starts + axis.step_ns > time.from_ns) & (starts < time.to_ns))


def _svg(label: str, lines: Sequence[_Line], axis: Axis, time: TimeRange, marks: Sequence[ChartMark]) -> str:
    columns = _inside(axis, time).tolist()
    height = _ROW * len(lines) + _FOOT
    span = max(time.to_ns - time.from_ns, 1)

    def x(at_ns: float) -> float:
        return _LEFT + min(max((at_ns - time.from_ns) / span, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)

    # An image has no parts that a reader can follow: with links, it is a group.
    role = "group" if any(line.link for line in lines) else "img"
    parts = [f'<svg class="heat lines" viewBox="0 0 {_WIDTH} {height}" role="{role}" aria-label="{escape(label)}">']
    for index, line in enumerate(lines):
        top = index * _ROW
        name = shown(line.name, 24)
        text = f'<text class="tick" x="{_LEFT - 6}" y="{top + 11}" text-anchor="end">{escape(name)}</text>'
        parts.append(f'<a href="{escape(line.link)}">{text}</a>' if line.link else text)
        for depth, run in _runs(line.values, columns):
            first_ns, last_ns = axis.at_ns(run[0]), axis.at_ns(run[-1]) + axis.step_ns
            title = f"{name}, {minute(first_ns)} to {minute(last_ns)}: {line.words(run)}"
            left, right = x(first_ns), x(last_ns)
            parts.append(
                f'<rect class="h{depth}" x="{left:.1f}" y="{top + 1}" width="{max(right - left, 0.5):.1f}" height="{_ROW - 2}">'
                f"<title>{escape(title)}</title></rect>"
            )
    parts += [
        f'<line class="birth" x1="{x(mark.from_ns):.1f}" x2="{x(mark.from_ns):.1f}" y1="0" y2="{height - _FOOT}"/>'
        for mark in marks
        if mark.kind != "excluded" and time.from_ns <= mark.from_ns <= time.to_ns
    ]
    parts += [
        f'<text class="tick time{" extra" if index % 3 else ""}" x="{x(at):.1f}" y="{height - 5}" text-anchor="middle">{time_label(at)}</text>'
        for index, at in enumerate(time_ticks(*time))
    ]
    return f"{''.join(parts)}</svg>"


def _runs(distance: NDArray[np.floating[Any]], columns: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Return the columns in runs of one depth, without those that hold nothing: few rectangles for a calm feature."""
    runs: list[tuple[int, list[int]]] = []
    for column in columns:
        value = float(distance[column])
        if not np.isfinite(value):
            continue
        depth = min(int(value / _FULL * _LEVELS), _LEVELS)
        if runs and runs[-1][0] == depth and runs[-1][1][-1] == column - 1:
            runs[-1][1].append(column)
        else:
            runs.append((depth, [column]))
    return runs
