"""The heat map of features as SVG: a row per feature, the strongest first; opacity is the distance, so it works in light, dark and print."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.desk.words import minute
from radiosonde.diagnose.svg import time_label, time_ticks
from radiosonde.model.notebook import shown
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.desk.charts import ChartMark, TimeRange
    from radiosonde.desk.heat import HeatMap

MOST_FEATURES = 24
_WIDTH, _LEFT, _RIGHT, _ROW, _FOOT = 760, 150, 10, 15, 20
_LEVELS = 5
_FULL = 0.8
"""Distance from which on a cell has the full colour."""


def heat_svg(heat: HeatMap, time: TimeRange, marks: Sequence[ChartMark]) -> str:
    """Return *heat* within *time*; every name in it is escaped."""
    axis = heat.axis
    starts = axis.start_ns + np.arange(axis.size, dtype=np.int64) * axis.step_ns
    inside = np.flatnonzero((starts + axis.step_ns > time.from_ns) & (starts < time.to_ns))
    table = heat.distance[:, inside].astype(np.float64)
    largest = np.where(np.isfinite(table), table, -1.0).max(axis=1) if inside.size else np.zeros(len(heat.features))
    order = sorted(range(len(heat.features)), key=lambda each: (-largest[each], heat.features[each]))[:MOST_FEATURES]
    height = _ROW * len(order) + _FOOT
    span = max(time.to_ns - time.from_ns, 1)

    def x(at_ns: float) -> float:
        return _LEFT + min(max((at_ns - time.from_ns) / span, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)

    label = f"distance of {len(order)} features from their reference; the largest: " + ", ".join(
        f"{shown(heat.features[each], 60)} {largest[each]:.2f}" for each in order[:3] if largest[each] >= 0
    )
    parts = [f'<svg class="heat lines" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}">']
    for line, feature in enumerate(order):
        top = line * _ROW
        name = shown(heat.features[feature], 24)
        parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{top + 11}" text-anchor="end">{escape(name)}</text>')
        for depth, columns in _runs(heat.distance[feature], inside.tolist()):
            values = heat.distance[feature, columns]
            first_ns, last_ns = int(starts[columns[0]]), int(starts[columns[-1]]) + axis.step_ns
            missing = percent(float(np.nanmax(heat.missing[feature, columns])))
            title = f"{name}, {minute(first_ns)} to {minute(last_ns)}: {float(values.max()):.2f}, {missing} missing"
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


def _runs(distance: NDArray[np.float16], columns: Sequence[int]) -> list[tuple[int, list[int]]]:
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
