"""The fleet: is anything wrong, where, and is green worth something? Open incidents first, then every model with its signals of the last day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from radiosonde.desk.charts import spark_svg, value_words
from radiosonde.desk.rendering import figure, name_of_line
from radiosonde.desk.words import short_duration
from radiosonde.diagnose.quality_figures import quality_words
from radiosonde.diagnose.text import place_words
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.desk.board import Board, ModelState
    from radiosonde.desk.series import Level
    from radiosonde.diagnose import Diagnosis, Finding

    Numbers = NDArray[np.floating[Any]]

DAY_NS, HOUR_NS = 86_400_000_000_000, 3_600_000_000_000
_POINTS = 72
_ORDER = {"findings": 0, "not checked": 1, "stale": 2, "healthy": 3}
_SEVERITY = {"page": 0, "ticket": 1, "info": 2}


class SignalCell(NamedTuple):
    """A signal of a model in the table.

    Attributes:
        now: its value in the last hour, or what is known of it.
        usual: its median over the day; ``""`` if not applicable.
        spark: the day as a line; ``""`` for none.
        title: more words.
        is_bad: a finding is about it.
    """

    now: str
    usual: str = ""
    spark: Any = ""
    title: str = ""
    is_bad: bool = False


class FleetRow(NamedTuple):
    """One model."""

    model: str
    status: str
    said: str
    traffic: SignalCell
    failures: SignalCell
    latency: SignalCell
    data: SignalCell
    quality: SignalCell
    labels: SignalCell
    end_ns: int
    looked_ns: int


def fleet_page(board: Board) -> dict[str, Any]:
    """Return the values of the page."""
    rows = [_row(board, state) for state in board.models.values()]
    rows.sort(key=lambda row: (_ORDER[row.status], row.model))
    found = [each.finding for each in board.incidents.values()]
    open_ones = [each for each in found if each.onset.ended_ns is None and each.severity != "info"]
    open_ones.sort(key=lambda each: (each.state == "muted", _SEVERITY[each.severity], -each.onset.at_ns))
    recent = [each for each in found if each.onset.ended_ns is not None and each.severity != "info"]
    recent.sort(key=lambda each: -(each.onset.ended_ns or 0))
    counts = {status: sum(row.status == status for row in rows) for status in _ORDER}
    return {
        "rows": rows,
        "open": [_incident(board, each) for each in open_ones],
        "recent": [_incident(board, each) for each in recent[:8]],
        "counts": {status: count for status, count in counts.items() if count},
        "waiting": board.waiting,
    }


def _incident(board: Board, finding: Finding) -> dict[str, Any]:
    state = board.models.get(finding.where.model)
    end_ns = state.series.end_ns if state else finding.onset.at_ns
    until_ns = finding.onset.ended_ns or end_ns
    return {
        "finding": finding,
        "place": place_words(finding.where),
        "lasted": short_duration((until_ns - finding.onset.at_ns) / 1e9),
    }


def _row(board: Board, state: ModelState) -> FleetRow:
    diagnosis, series = state.diagnosis, state.series
    level = series.level(max(series.end_ns - DAY_NS, series.start_ns))
    day = _last(level, DAY_NS)
    kinds = {finding.kind for finding in diagnosis.findings}
    calls, failed = level.calls.sum(axis=0), level.failed.sum(axis=0)
    per_minute = calls / (level.axis.step_ns / 6e10)
    share = np.divide(failed, calls, out=np.full(calls.shape, np.nan), where=calls > 0)
    p99 = _largest(level.latency["p99"])
    status = board.status(state)
    return FleetRow(
        state.model,
        status,
        _said(diagnosis, status),
        _signal(per_minute[day], "a minute", "calls a minute", is_bad="traffic" in kinds),
        _signal(share[day], "share", "share of failed calls", is_bad=bool(kinds & {"errors", "version", "cohort"})),
        _signal(p99[day], "s", "p99 of the slowest version", is_bad="latency" in kinds),
        _data(diagnosis, level, day),
        _quality(diagnosis, is_bad=bool(kinds & {"quality", "answers"})),
        _labels(level, day, is_bad="label" in kinds),
        series.end_ns,
        state.looked_ns,
    )


def _last(level: Level, length_ns: int) -> slice:
    steps = max(int(length_ns // level.axis.step_ns), 1)
    return slice(max(level.axis.size - steps, 0), level.axis.size)


def _largest(table: Numbers) -> Numbers:
    """Return the largest value of each column, NaN where there is none."""
    filled = np.where(np.isfinite(table), table, -np.inf).max(axis=0)
    return np.where(np.isfinite(filled), filled, np.nan)


def _signal(values: Numbers, unit: Any, what: str, *, is_bad: bool) -> SignalCell:
    held = values[np.isfinite(values)]
    if not held.size:
        return SignalCell("\u2013", title=f"no {what} in the last day", is_bad=is_bad)
    recent = values[-max(values.size // 24, 1) :]
    recent = recent[np.isfinite(recent)]
    now = float(recent.mean()) if recent.size else float("nan")
    usual = float(np.median(held))
    label = f"{what}, last day: {value_words(float(held.min()), unit)} to {value_words(float(held.max()), unit)}"
    shown_unit: Any = "" if unit == "a minute" else unit
    spark = figure(spark_svg(_thinned(values), label, is_bad=is_bad))
    return SignalCell(value_words(now, shown_unit), value_words(usual, shown_unit), spark, label, is_bad)


def _thinned(values: Numbers) -> Numbers:
    """Return the values in at most `_POINTS` points, each the largest of its steps: a spike is seen."""
    every = -(-values.size // _POINTS)
    padded = np.concatenate([np.full(-values.size % every, np.nan), values]).reshape(-1, every)
    return _largest(padded.T)


def _said(diagnosis: Diagnosis, status: str) -> str:
    """Return the meaning of the status: the findings, the gaps, or the smallest change that would have been reported."""
    if status == "findings":
        return "; ".join(name_of_line(finding.title, 80) for finding in diagnosis.findings[:2])
    if status == "not checked":
        return "; ".join(f"{gap.check}: {gap.because}" for gap in diagnosis.missing[:1])
    floors = [f"{each.subject}: {each.floors[0].text}" for each in diagnosis.checked if each.subject and each.floors]
    return f"would have reported {'; '.join(floors[:2])}" if floors else ""


def _data(diagnosis: Diagnosis, level: Level, day: slice) -> SignalCell:
    found = [finding for finding in diagnosis.findings if finding.kind in ("data", "drift")]
    if found:
        names = list(dict.fromkeys(finding.where.feature or finding.title for finding in found))
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        said = ", ".join(name_of_line(name, 40) for name in names[:2])
        return SignalCell(said + more, title="; ".join(name_of_line(each.title) for each in found[:3]), is_bad=True)
    if level.heat is None:
        return SignalCell("\u2013", title="no features were recorded")
    columns = max(level.heat.axis.size * (day.stop - day.start) // level.axis.size, 1)
    recent = level.heat.distance[:, -columns:].astype(np.float32)
    means = np.array([row[np.isfinite(row)].mean() if np.isfinite(row).any() else np.nan for row in recent])
    if not np.isfinite(means).any():
        return SignalCell("\u2013", title="too few rows in the last day")
    most = int(np.nanargmax(means))
    title = f"largest distance from the reference, last day: {level.heat.features[most]}, {means[most]:.2f} of 1"
    return SignalCell("no finding", name_of_line(f"{level.heat.features[most]} {means[most]:.2f}", 40), title=title)


def _quality(diagnosis: Diagnosis, *, is_bad: bool) -> SignalCell:
    known = [each for each in diagnosis.quality if not each.corrected.refused]
    if not known:
        why = diagnosis.quality[0].corrected.refused if diagnosis.quality else "no labels"
        return SignalCell("unknown", title=why, is_bad=is_bad)
    last = known[-1]
    same = next(each for each in reversed(known) if each.metric == known[0].metric and each.where == last.where)
    value = same.corrected.value
    text = percent(value) if same.metric == "error_rate" else f"{value:.3g}"
    name = {"error_rate": "wrong", "auc": "AUC", "mae": "MAE", "rmse": "RMSE"}.get(same.metric, same.metric)
    return SignalCell(f"{text} {name}", title=quality_words(same), is_bad=is_bad)


def _labels(level: Level, day: slice, *, is_bad: bool) -> SignalCell:
    labels, rows = level.labels[day], level.rows[day]
    if not level.labels.any():
        return SignalCell("none", title="no labels have come", is_bad=is_bad)
    share = float(labels.sum() / rows.sum()) if rows.sum() else float("nan")
    newest = int(np.flatnonzero(level.labels > 0)[-1])
    age = short_duration((level.axis.size - 1 - newest) * level.axis.step_ns / 1e9)
    text = percent(min(share, 1.0)) if np.isfinite(share) else "\u2013"
    return SignalCell(
        text,
        title=f"share of the last day's rows with a label; the newest labelled prediction is {age} old",
        is_bad=is_bad,
    )
