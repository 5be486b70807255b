"""A feature: how do its values differ, since when, and for whom? Its cells before and after one moment, by version, by cohort and over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from radiosonde.desk.charts import Chart, TimeRange, chart_svg
from radiosonde.desk.feature_tables import RANKS
from radiosonde.desk.heat import distances, reference_shares
from radiosonde.desk.heat_svg import cells_svg
from radiosonde.desk.pages.model import LENGTHS, choose_time, marks_of, moved, time_ns
from radiosonde.desk.rendering import figure, name_of_line
from radiosonde.desk.words import iso_minute, minute, short_duration
from radiosonde.diagnose.feature_panel import cell_table
from radiosonde.diagnose.finding import Bars
from radiosonde.diagnose.svg import bar_chart
from radiosonde.model import NULL, UNSEEN
from radiosonde.model.names import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from radiosonde.desk.board import Board, ModelState
    from radiosonde.desk.feature_tables import FeatureTables
    from radiosonde.desk.pages.model import ChosenTime
    from radiosonde.diagnose import Finding
    from radiosonde.reference.profile import FeatureProfile

    Rows = NDArray[np.float64]

MOST_BARS, MOST_CELLS = 14, 60
"""Cells of a bar chart, and of the table and the heat map: the largest of a feature with more."""


def feature_names(state: ModelState) -> tuple[str, ...]:
    """Return the features of the model in any of its levels, in their order."""
    return tuple(
        dict.fromkeys(name for level in state.series.levels if level.versions for name in level.versions.names)
    )


def feature_page(board: Board, state: ModelState, name: str, query: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the page of the feature *name*, one of `feature_names`."""
    chosen = choose_time(query, state.series)
    level = state.series.level(chosen.time.from_ns)
    findings = _findings(board, state, name)
    split_ns = _split(query, chosen.time, findings)
    tables = level.versions if level.versions is not None and name in level.versions.names else None
    length_ns = chosen.time.to_ns - chosen.time.from_ns
    values: dict[str, Any] = {
        "state": state,
        "feature": name,
        "names": feature_names(state),
        "findings": findings,
        "chosen": chosen,
        "lengths": [*LENGTHS, "all"],
        "from_text": iso_minute(chosen.time.from_ns),
        "to_text": iso_minute(chosen.time.to_ns),
        "split_text": iso_minute(split_ns),
        "split_ns": split_ns,
        "earlier": moved(chosen, -length_ns),
        "later": moved(chosen, length_ns),
        "quantiles": _quantiles(board, state, name, chosen),
        "cells": [],
    }
    if tables is None:
        return values
    index = tables.names.index(name)
    rows, profile = tables.of(index), tables.profiles[index]
    before, after = _inside(tables, rows, chosen.time, split_ns)
    parts = _parts(profile, before.sum(axis=0), after.sum(axis=0))
    marks = marks_of(board, state)
    cohorts = level.cohorts
    return values | {
        "step": short_duration(tables.axis.step_ns / 1e9),
        "reference": _reference_words(tables, profile),
        "rows": (float(before.sum()), float(after.sum())),
        "distance": [_distance(each.sum(axis=0), profile) for each in (before, after)],
        "cells": parts[:MOST_CELLS],
        "more": max(len(parts) - MOST_CELLS, 0),
        "bars": _bars(name, parts),
        "versions": _lines(tables, rows, profile, chosen.time, split_ns),
        "cohorts": []
        if cohorts is None or name not in cohorts.names
        else _lines(cohorts, cohorts.of(cohorts.names.index(name)), profile, chosen.time, split_ns),
        "cohort_step": "" if cohorts is None else short_duration(cohorts.axis.step_ns / 1e9),
        "over_time": figure(cells_svg(_shares(rows.sum(axis=0), profile), tables.axis, chosen.time, marks)),
        "special": _special(tables, rows.sum(axis=0), chosen.time, marks),
    }


def _findings(board: Board, state: ModelState, name: str) -> list[Finding]:
    """Return the incidents of the feature, the newest first."""
    mine = [
        each.finding
        for each in board.incidents.values()
        if each.finding.where.model == state.model and each.finding.where.feature == name
    ]
    return sorted(mine, key=lambda each: -each.onset.at_ns)


def _split(query: Mapping[str, str], time: TimeRange, findings: Sequence[Finding]) -> int:
    """Return the moment between before and after: that of the address, else the newest onset within the time shown, else its middle."""
    given = time_ns(query.get("split", ""))
    onsets = [each.onset.at_ns for each in findings]
    middle_ns = (time.from_ns + time.to_ns) // 2
    for at_ns in ([] if given is None else [given], onsets):
        found = next((each for each in at_ns if time.from_ns < each < time.to_ns), None)
        if found is not None:
            return found
    return middle_ns


def _starts(tables: FeatureTables) -> NDArray[np.int64]:
    return tables.axis.start_ns + np.arange(tables.axis.size, dtype=np.int64) * tables.axis.step_ns


def _inside(tables: FeatureTables, rows: Rows, time: TimeRange, split_ns: int) -> tuple[Rows, Rows]:
    """Return the rows before and after, each of shape (lines, cells); a step belongs to the side of its middle."""
    middle = _starts(tables) + tables.axis.step_ns // 2
    early = (middle >= time.from_ns) & (middle < split_ns)
    late = (middle >= split_ns) & (middle < time.to_ns)
    return rows[:, early].sum(axis=1), rows[:, late].sum(axis=1)


def _parts(profile: FeatureProfile | None, before: Rows, after: Rows) -> list[tuple[str, float, float, float]]:
    """Return cells as (name, share of the reference, before, after), in their order; NaN where nothing is known."""
    names, early = cell_table(profile, before)
    _, late = cell_table(profile, after)
    nothing = [float("nan")] * len(names)
    reference = list(profile.p0) if profile is not None and len(profile.p0) == len(names) else nothing
    sides = [early if before.sum() else nothing, late if after.sum() else nothing]
    whole = list(zip(names, reference, *sides, strict=True))
    if len(whole) <= MOST_CELLS:
        return whole
    largest = np.nanmax(np.nan_to_num([each[1:] for each in whole]), axis=1)
    kept = sorted(np.argsort(-largest, kind="stable")[:MOST_CELLS].tolist())
    dropped = [index for index in range(len(whole)) if index not in set(kept)]
    return [whole[index] for index in kept] + [whole[index] for index in dropped]


def _bars(name: str, parts: Sequence[tuple[str, float, float, float]]) -> Any:
    """Return the largest cells as bars, in their order."""
    table = np.nan_to_num([each[1:] for each in parts])
    kept = sorted(np.argsort(-table.max(axis=1), kind="stable")[:MOST_BARS].tolist())
    groups = [("reference", 0)] if np.isfinite([each[1] for each in parts]).any() else []
    groups += [("before", 1), ("after", 2)]
    labels = [name_of_line(parts[index][0], 24) for index in kept]
    drawn = Bars(
        f"{name_of_line(name, 60)}: share of rows by cell",
        labels,
        [(label, table[kept, column].tolist()) for label, column in groups],
    )
    return figure(bar_chart(drawn))


def _distance(rows: Rows, profile: FeatureProfile | None) -> float:
    """Return the distance from the reference; NaN without one, or without rows."""
    if profile is None or not rows.sum():
        return float("nan")
    table = rows[None]
    return float(distances(table, reference_shares(table, profile))[0])


def _lines(
    tables: FeatureTables, rows: Rows, profile: FeatureProfile | None, time: TimeRange, split_ns: int
) -> list[dict[str, Any]]:
    """Return versions or cohorts with rows, distances and missing shares before and after."""
    made = []
    for line, sides in zip(tables.lines, zip(*_inside(tables, rows, time, split_ns), strict=True), strict=True):
        counted = [float(side.sum()) for side in sides]
        if any(counted):
            made.append(
                {
                    "name": line,
                    "rows": counted,
                    "distance": [_distance(side, profile) for side in sides],
                    "apart": _apart(*sides),
                    "missing": [side[NULL] / total if total else float("nan") for side, total in zip(sides, counted, strict=True)],
                    "unseen": [side[UNSEEN] / total if total else float("nan") for side, total in zip(sides, counted, strict=True)],
                }
            )  # fmt: skip
    return made


def _apart(before: Rows, after: Rows) -> float:
    """Return the total variation distance between before and after, NaN without rows on a side."""
    if not before.sum() or not after.sum():
        return float("nan")
    return float(np.abs(before / before.sum() - after / after.sum()).sum() / 2)


def _shares(rows: Rows, profile: FeatureProfile | None) -> list[tuple[str, Rows]]:
    """Return the share of each cell over the steps, shape (steps,), the highest cell on top; cells that never hold anything are left out."""
    names, _ = cell_table(profile, rows.sum(axis=0))
    total = rows.sum(axis=1)
    columns = np.array([cell_table(profile, step)[1] for step in rows])
    columns[total == 0] = np.nan
    largest = np.nan_to_num(columns).max(axis=0)
    kept = np.flatnonzero(largest > 0)
    if kept.size > MOST_CELLS:
        kept = np.sort(kept[np.argsort(-largest[kept], kind="stable")[:MOST_CELLS]])
    return [(names[cell], columns[:, cell]) for cell in kept.tolist()]


def _special(tables: FeatureTables, rows: Rows, time: TimeRange, marks: Any) -> Any:
    total = rows.sum(axis=1)
    lines = [
        (label, np.divide(rows[:, cell], total, out=np.full(total.shape, np.nan), where=total > 0))
        for label, cell in (("missing", NULL), ("unseen", UNSEEN))
    ]
    chart = Chart("special", "Missing and unseen values", "share", _starts(tables), tables.axis.step_ns, lines)
    return None if chart.is_empty else figure(chart_svg(chart, time, marks))


def _quantiles(board: Board, state: ModelState, name: str, chosen: ChosenTime) -> dict[str, Any] | None:
    """Return the quantiles with the time for which there are any; None without."""
    held = state.series.quantiles
    if held is None or name not in held.values:
        return None
    axis = held.axis
    start = axis.start_ns + np.arange(axis.size, dtype=np.int64) * axis.step_ns
    lines = [(label, values) for (label, _), values in zip(RANKS, held.values[name], strict=True)]
    chart = Chart("quantiles", "Quantiles", "", start, axis.step_ns, lines)
    time = TimeRange(max(chosen.time.from_ns, axis.start_ns), min(chosen.time.to_ns, axis.at_ns(axis.size)))
    is_there = time.from_ns < time.to_ns and any(
        np.isfinite(values[(start >= time.from_ns) & (start < time.to_ns)]).any() for _, values in lines
    )
    drawn = figure(chart_svg(chart, time, marks_of(board, state))) if is_there else None
    return {"drawn": drawn, "since": minute(axis.start_ns), "labels": [label for label, _ in RANKS]}


def _reference_words(tables: FeatureTables, profile: FeatureProfile | None) -> str:
    if profile is None:
        return "There is no reference of this feature."
    made_from = "the first rows that came" if tables.provisional else "training data"
    return f"The reference is {tables.reference_rows:,} rows of {made_from}.".replace(",", "\u202f")


def feature_of(state: ModelState, name: str) -> str | None:
    """Return the feature with the safe name *name*, None without one."""
    return next((each for each in feature_names(state) if each == name or name_of(each) == name), None)
