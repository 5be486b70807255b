"""A model: what changed, when, and in which signal? One time range for all charts, in the order of triage."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from radiosonde.desk.charts import Chart, ChartMark, TimeRange, chart_svg
from radiosonde.desk.heat_svg import heat_svg
from radiosonde.desk.rendering import figure
from radiosonde.desk.words import iso_minute, minute, page_url, short_duration
from radiosonde.diagnose.quality_figures import quality_words
from radiosonde.diagnose.text import checked_words, gap_words, reasons

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from radiosonde.desk.board import Board, ModelState
    from radiosonde.desk.series import Level, ModelSeries

_HOUR_NS = 3_600_000_000_000
LENGTHS = {"1h": 1, "6h": 6, "24h": 24, "7d": 168, "30d": 720}
"""Lengths of time to choose from, in hours."""
DEFAULT = "24h"
_YEAR = (-(2**63), 2**63 - 1)


class ChosenTime(NamedTuple):
    """The time range that a query asks for.

    Attributes:
        time: the range.
        last: name of its length, one of `LENGTHS` or ``all``; ``""`` for other ranges.
        problem: why another range is shown than was asked for; ``""`` if it is not.
    """

    time: TimeRange
    last: str
    problem: str = ""


def choose_time(query: Mapping[str, str], series: ModelSeries) -> ChosenTime:
    """Return the time range of *query*: ``from`` and ``to`` in ISO 8601 (UTC), or ``last``, a length that ends with the last window."""
    first, end = series.start_ns, series.end_ns
    problem = ""
    if query.get("from") or query.get("to"):
        given = {name: time_ns(query[name]) for name in ("from", "to") if query.get(name)}
        from_ns, to_ns = given.get("from", first), given.get("to", end)
        if from_ns is not None and to_ns is not None and from_ns < to_ns:
            return ChosenTime(TimeRange(from_ns, to_ns), "")
        problem = (
            "The time range in the address is not one. Write from=2026-03-01T06:00 and to=2026-03-01T18:00, in UTC."
        )
    last = query.get("last") or (DEFAULT if end - first > LENGTHS[DEFAULT] * _HOUR_NS else "all")
    if last in LENGTHS:
        return ChosenTime(TimeRange(end - LENGTHS[last] * _HOUR_NS, end), last, problem)
    if last != "all":
        problem = f"There is no length {last[:20]}. Choose from {', '.join(LENGTHS)}, all."
    return ChosenTime(TimeRange(first, end), "all", problem)


def time_ns(text: str) -> int | None:
    """Return the moment *text*, ISO 8601, UTC unless it says otherwise; None if it is none."""
    try:
        moment = datetime.fromisoformat(text[:40])
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    try:
        at_ns = round(moment.timestamp()) * 10**9
    except (OverflowError, ValueError):
        return None
    return at_ns if _YEAR[0] < at_ns < _YEAR[1] else None


def model_page(board: Board, state: ModelState, query: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the page."""
    chosen = choose_time(query, state.series)
    level = state.series.level(chosen.time.from_ns)
    marks = marks_of(board, state)
    sections = []
    for heading, question, charts in charts_of(level):
        drawn = [(chart, figure(chart_svg(chart, chosen.time, marks))) for chart in charts if not chart.is_empty]
        if drawn or heading in ("Traffic", "Failures", "Latency"):
            sections.append({"heading": heading, "question": question, "charts": drawn})

    def link(feature: str) -> str:
        given = {"from_": iso_minute(chosen.time.from_ns), "to": iso_minute(chosen.time.to_ns)}
        return page_url("/feature", model=state.model, name=feature, **given)

    diagnosis, length_ns = state.diagnosis, chosen.time.to_ns - chosen.time.from_ns
    return {
        "state": state,
        "status": board.status(state),
        "reasons": reasons(diagnosis),
        "chosen": chosen,
        "from_text": iso_minute(chosen.time.from_ns),
        "to_text": iso_minute(chosen.time.to_ns),
        "lengths": [*LENGTHS, "all"],
        "earlier": moved(chosen, -length_ns),
        "later": moved(chosen, length_ns),
        "step": short_duration(level.axis.step_ns / 1e9),
        "sections": sections,
        "heat": None if level.heat is None else figure(heat_svg(level.heat, chosen.time, marks, link)),
        "features": () if level.versions is None else level.versions.names,
        "heat_is_from_reference": level.heat is not None and level.heat.has_reference,
        "arms": _arms(level, chosen.time),
        "incidents": [each.finding for each in _incidents(board, state)],
        "births": state.series.births,
        "quality": [quality_words(each) for each in diagnosis.quality],
        "checked": [line.partition(": ")[2] for check in diagnosis.checked for line in checked_words(check)],
        "gaps": [gap_words(gap) for gap in diagnosis.not_checked],
        "left_out": diagnosis.left_out,
    }


def moved(chosen: ChosenTime, by_ns: int) -> dict[str, str]:
    """Return the time range for an address, *by_ns* later."""
    return {"from": iso_minute(chosen.time.from_ns + by_ns), "to": iso_minute(chosen.time.to_ns + by_ns)}


def _incidents(board: Board, state: ModelState) -> list[Any]:
    mine = [each for each in board.incidents.values() if each.finding.where.model == state.model]
    return sorted(mine, key=lambda each: (each.finding.onset.ended_ns is not None, -each.finding.onset.at_ns))


def marks_of(board: Board, state: ModelState) -> list[ChartMark]:
    """Return the marks of every chart: excluded intervals, incidents, and the first windows of versions."""
    series = state.series
    marks = [
        ChartMark("excluded", each.start_ns, each.end_ns, f"no baseline: {each.why}")
        for each in state.diagnosis.left_out
    ]
    marks += [
        ChartMark(
            "incident", each.finding.onset.at_ns, each.finding.onset.ended_ns or series.end_ns, each.finding.title
        )
        for each in _incidents(board, state)
        if each.finding.severity != "info"
    ]
    marks += [
        ChartMark("version", at_ns, at_ns, f"version {version or '(none)'}")
        for version, at_ns in series.births
        if at_ns > series.start_ns
    ]
    return marks


Section = tuple[str, str, list[Chart]]
"""Heading, question, and charts."""


def charts_of(level: Level) -> list[Section]:
    """Return the charts of a level by section, in the order of triage."""
    axis = level.axis
    start = axis.start_ns + np.arange(axis.size, dtype=np.int64) * axis.step_ns

    def chart(name: str, title: str, unit: Any, lines: Any, **more: Any) -> Chart:
        return Chart(name, title, unit, start, axis.step_ns, list(lines), **more)

    return [*_of_calls(level, chart), *_of_answers(level, chart), _of_host(level, chart)]


def _of_calls(level: Level, chart: Callable[..., Chart]) -> list[Section]:
    arms = level.arms if len(level.arms) > 1 else ("",)
    share = _ratio(level.failed, level.calls)
    per_minute = level.calls / (level.axis.step_ns / 6e10)
    phases = [name or "outside phases" for name in level.phases]
    latency = [
        chart("p99", "p99 of the duration", "s", zip(arms, level.latency["p99"], strict=True)),
        chart("p50", "Median of the duration", "s", zip(arms, level.latency["p50"], strict=True)),
        chart("phases", "Mean duration by phase", "s", zip(phases, level.phase_s, strict=True), is_stacked=True),
    ]
    return [
        (
            "Traffic",
            "Do calls come?",
            [chart("traffic", "Calls a minute", "a minute", zip(arms, per_minute, strict=True))],
        ),
        (
            "Failures",
            "Do calls fail?",
            [chart("failures", "Share of failed calls", "share", zip(arms, share, strict=True))],
        ),
        ("Latency", "Are calls slow, and in which phase?", latency),
    ]


def _of_answers(level: Level, chart: Callable[..., Chart]) -> list[Section]:
    is_number = level.classes == ("mean value",)
    title, unit = ("Mean answer", "") if is_number else ("Share of each answer", "share")
    lines = zip([""] if is_number else level.classes, level.answers, strict=True)
    wrong = _ratio(level.incorrect, level.correct + level.incorrect)
    labelled = _ratio(level.labels, level.rows)
    return [
        ("Answers", "Does the model answer as before?", [chart("answers", title, unit, lines)]),
        (
            "Quality",
            "Are the answers right?",
            [chart("wrong", "Share of wrong answers, of the labels that came", "share", [("", wrong)])],
        ),
        ("Labels", "Do labels arrive?", [chart("labels", "Share of rows with a label", "share", [("", labelled)])]),
    ]


def _of_host(level: Level, chart: Callable[..., Chart]) -> Section:
    host = level.host
    waits = [("GC pause", "gc_pauses"), ("event-loop lag", "loop_lags"), ("thread-pool wait", "pool_waits")]
    charts = [
        chart("cores", "Cores used by a process", "", [("", host["cores"])] if host else []),
        chart("waits", "p99 of pauses and waits", "s", [(name, host[key]) for name, key in waits if key in host]),
        chart("memory", "Resident memory", "bytes", [("", host["memory"])] if host else []),
    ]
    return ("Host", "Is it the machine?", charts)


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[Any]:
    """Return *part* / *whole*, NaN where there is nothing."""
    ratio: NDArray[Any] = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return ratio


def _arms(level: Level, time: TimeRange) -> list[dict[str, Any]]:
    """Return versions side by side: calls, share of failures and the largest p99 in the time shown."""
    axis = level.axis
    first = max((time.from_ns - axis.start_ns) // axis.step_ns, 0)
    last = min(-(-(time.to_ns - axis.start_ns) // axis.step_ns), axis.size)
    inside = slice(int(first), int(max(last, first)))
    made = []
    for index, name in enumerate(level.arms):
        calls, failed = float(level.calls[index, inside].sum()), float(level.failed[index, inside].sum())
        p50, p99 = (level.latency[rank][index, inside] for rank in ("p50", "p99"))
        held = np.isfinite(p99)
        made.append(
            {
                "name": name,
                "calls": calls,
                "failed": failed / calls if calls else float("nan"),
                "p50": float(np.median(p50[held])) if held.any() else float("nan"),
                "p99": float(np.median(p99[held])) if held.any() else float("nan"),
            }
        )
    return made


def series_json(board: Board, state: ModelState, query: Mapping[str, str]) -> dict[str, Any]:
    """Return the charts of the page as numbers, for its script."""
    chosen = choose_time(query, state.series)
    level = state.series.level(chosen.time.from_ns)
    marks = [{"kind": mark.kind, "from": mark.from_ns / 1e9, "to": mark.to_ns / 1e9} for mark in marks_of(board, state)]
    charts = [chart.to_json() for _, _, charts in charts_of(level) for chart in charts if not chart.is_empty]
    return {
        "from": chosen.time.from_ns / 1e9,
        "to": chosen.time.to_ns / 1e9,
        "label": f"{minute(chosen.time.from_ns)} to {minute(chosen.time.to_ns)} UTC",
        "marks": marks,
        "charts": charts,
    }
