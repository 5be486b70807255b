"""Charts as inline SVG: a line over time, grouped or stacked bars. Colours are CSS variables, so a page may be light or dark.

Each function returns one ``<svg>`` element as text; every piece of foreign text goes through `escape`.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde.diagnose.finding import Bars, Onset, Timeline

_WIDTH, _LEFT, _RIGHT, _TOP = 760, 58, 14, 26


def line_chart(timeline: Timeline, onset: Onset) -> str:
    """Return the lines of *timeline* with the onset, its interval and the affected time marked."""
    height = 210
    bottom = height - 30
    starts = list(timeline.start_ns)
    points = [value for _, line in timeline.lines for value in line if value is not None]
    if len(starts) < 2 or not points:
        return ""
    step = starts[1] - starts[0]
    first, last = starts[0], starts[-1] + step
    low = min(0.0, *points) if timeline.unit == "share" else min(points)
    marks = ticks(low, max(points))
    low, high = min(low, marks[0]), max(*points, marks[-1])

    def x(time_ns: float) -> float:
        return _LEFT + (time_ns - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return bottom - (value - low) / ((high - low) or 1) * (bottom - _TOP)

    parts = [_open(height, timeline.title, "lines"), _grid(marks, y, timeline.unit)]
    end = last if onset.ended_ns is None else onset.ended_ns
    parts.append(
        f'<rect class="affected" x="{x(onset.at_ns):.1f}" y="{_TOP}" width="{max(x(end) - x(onset.at_ns), 1):.1f}" height="{bottom - _TOP}"/>'
    )
    parts.extend(
        # On a narrow screen every third is shown.
        f'<text class="tick time{" extra" if index % 3 else ""}" x="{x(day):.1f}" y="{bottom + 16}" text-anchor="middle">{time_label(day)}</text>'
        for index, day in enumerate(time_ticks(first, last))
    )
    for index, (_, line) in enumerate(timeline.lines):
        parts.append(
            _polyline(
                [
                    (x(start + step / 2), None if value is None else y(value))
                    for start, value in zip(starts, line, strict=True)
                ],
                index,
            )
        )
    parts.append(
        f'<line class="onset" x1="{x(onset.at_ns):.1f}" x2="{x(onset.at_ns):.1f}" y1="{_TOP - 8}" y2="{bottom}"/>'
    )
    anchor, shift = ("end", -5) if x(onset.at_ns) > _WIDTH * 0.75 else ("start", 5)
    parts.append(
        f'<text class="onset-label" x="{x(onset.at_ns) + shift:.1f}" y="{_TOP - 8}" text-anchor="{anchor}">onset {_moment(onset.at_ns)}</text>'
    )
    labels = [label for label, _ in timeline.lines] if len(timeline.lines) > 1 else []
    return "".join(parts) + "</svg>" + _legend(labels)


def bar_chart(bars: Bars) -> str:
    """Return *bars*: stacked as one horizontal bar per group, else side by side per category."""
    return _stacked(bars) if bars.stacked else _grouped(bars)


def _grouped(bars: Bars) -> str:
    # Long category names are rotated and need the room below.
    slanted = max(len(name) for name in bars.categories) * len(bars.categories) > 95
    height = 250 if slanted else 210
    bottom = height - (64 if slanted else 30)
    top = max((value for _, values in bars.groups for value in values), default=0.0) or 1.0
    marks = ticks(0.0, top)
    high = max(top, marks[-1])

    def y(value: float) -> float:
        return bottom - value / high * (bottom - _TOP + 10)

    slot = (_WIDTH - _LEFT - _RIGHT) / max(len(bars.categories), 1)
    width = slot * 0.8 / max(len(bars.groups), 1)
    parts = [_open(height, bars.title, "bars"), _grid(marks, y, bars.unit)]
    for column, name in enumerate(bars.categories):
        left = _LEFT + slot * (column + 0.1)
        for index, (label, values) in enumerate(bars.groups):
            value = values[column]
            parts.append(
                f'<rect class="{_group_class(label, index)}" x="{left + index * width:.1f}" y="{y(value):.1f}" width="{max(width - 1, 1):.1f}" '
                f'height="{max(bottom - y(value), 0):.1f}"><title>{escape(name)}, {escape(label)}: {_number(value, bars.unit)}</title></rect>'
            )
        middle = _LEFT + slot * (column + 0.5)
        if slanted:
            parts.append(
                f'<text class="tick" transform="translate({middle + 4:.1f} {bottom + 12}) rotate(-38)" text-anchor="end">{escape(name[:14])}</text>'
            )
        else:
            parts.append(
                f'<text class="tick" x="{middle:.1f}" y="{bottom + 16}" text-anchor="middle">{escape(name)}</text>'
            )
    return (
        "".join(parts)
        + "</svg>"
        + _legend(
            [label for label, _ in bars.groups], classes=[_group_class(g, i) for i, (g, _) in enumerate(bars.groups)]
        )
    )


def _stacked(bars: Bars) -> str:
    row = 44
    height = _TOP + row * len(bars.groups) + 26
    longest = max((sum(values) for _, values in bars.groups), default=0.0) or 1.0
    left = _LEFT + 50
    room = _WIDTH - left - _RIGHT - 62
    parts = [_open(height, bars.title, "bars")]
    for line, (label, values) in enumerate(bars.groups):
        top = _TOP + line * row
        parts.append(f'<text class="row" x="{left - 10}" y="{top + 20}" text-anchor="end">{escape(label)}</text>')
        at = float(left)
        for index, (name, value) in enumerate(zip(bars.categories, values, strict=True)):
            width = max(value, 0.0) / longest * room
            parts.append(
                f'<rect class="series s{index % 6}" x="{at:.1f}" y="{top + 4}" width="{width:.1f}" height="26">'
                f"<title>{escape(name)}: {_number(value, bars.unit)}</title></rect>"
            )
            if width > 46:
                parts.append(
                    f'<text class="inside" x="{at + width / 2:.1f}" y="{top + 21}" text-anchor="middle">{_number(value, bars.unit)}</text>'
                )
            at += width
        parts.append(f'<text class="row" x="{at + 6:.1f}" y="{top + 21}">{_number(sum(values), bars.unit)}</text>')
    return (
        "".join(parts)
        + "</svg>"
        + _legend(list(bars.categories), classes=[f"series s{index % 6}" for index in range(len(bars.categories))])
    )


def _open(height: int, title: str, kind: str) -> str:
    return f'<svg class="{kind}" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>'


def _grid(ticks: Sequence[float], y: object, unit: str) -> str:
    assert callable(y)  # noqa: S101
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{_number(tick, unit)}</text>'
        for tick in ticks
    )


def _polyline(points: Sequence[tuple[float, float | None]], index: int) -> str:
    """Return one path. Fine lines bridge a night without traffic; coarse ones (rates of a small cohort) show gaps and dots."""
    held = [(x, y) for x, y in points if y is not None]
    step = (points[-1][0] - points[0][0]) / max(len(points) - 1, 1)
    reach = (12.5 if len(points) > 200 else 1.5) * step
    commands, before = [], -math.inf
    for x, y in held:
        # A zero-length stroke with round caps is a dot: a lone point is seen.
        commands.append(f"L{x:.1f} {y:.1f}" if x - before <= reach else f"M{x:.1f} {y:.1f}h.01")
        before = x
    return f'<path class="line l{index % 6}" d="{" ".join(commands)}"/>'


def _legend(labels: Sequence[str], classes: Sequence[str] | None = None) -> str:
    if not labels:
        return ""
    chosen = classes or [f"series s{index % 6}" for index in range(len(labels))]
    items = "".join(
        f'<span><svg viewBox="0 0 10 10"><rect class="{name}" width="10" height="10"/></svg>{escape(label)}</span>'
        for name, label in zip(chosen, labels, strict=True)
    )
    return f'<p class="legend">{items}</p>'


def _group_class(label: str, index: int) -> str:
    return (
        "series reference"
        if label == "reference"
        else "series before"
        if label == "before"
        else "series after"
        if label == "after"
        else f"series s{index % 6}"
    )


def ticks(low: float, high: float) -> list[float]:
    """Return three to six round numbers from at or below *low* to at or above *high*."""
    span = (high - low) or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / 3))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def _number(value: float, unit: str) -> str:
    if unit == "share":
        return percent(value, 3)
    return f"{value:.3g} {unit}" if unit == "ms" else f"{value:,.4g}".replace(",", " ")


def time_ticks(first: int, last: int) -> list[int]:
    """Return at most a dozen round times between *first* and *last*."""
    minute, day = 60 * 10**9, 86_400 * 10**9
    minutes = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)
    steps = [*(count * minute for count in minutes), *(count * day for count in (1, 2, 4, 7, 14, 30))]
    every = next((step for step in steps if (last - first) / step <= 11), 90 * day)
    start = -(-first // every) * every
    return list(range(start, last, every))


def time_label(time_ns: int) -> str:
    """Return the text of a tick: the day at midnight, else the time of day."""
    moment = datetime.fromtimestamp(time_ns / 1e9, UTC)
    return moment.strftime("%H:%M") if moment.hour or moment.minute else moment.strftime("%b %-d")


def _moment(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%b %-d %H:%M")
