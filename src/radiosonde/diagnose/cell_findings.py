"""Formulates the findings of breaks of features by place: one finding for features that broke alike, at one place and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.feature_panel import KLL_KIND
from radiosonde.diagnose.finding import Bars, Evidence, Finding, Onset, Place, Timeline, confidence
from radiosonde.diagnose.next_steps import look_at_cells, look_before
from radiosonde.errors import MergeError
from radiosonde.model import NULL, UNSEEN
from radiosonde.model.percent import percent
from radiosonde.sketches.kll import retained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.cell_incidents import Break, Breaks
    from radiosonde.diagnose.cell_table import CellTable
    from radiosonde.diagnose.finding import Severity
    from radiosonde.diagnose.places import PlaceName
    from radiosonde.diagnose.registry import View

    Numbers = NDArray[np.float64]

PAGE_RISE, PAGE_SHARE = 0.1, 0.01
"""Rise of the share at the place, and share of all rows of the model, from which a break is a page."""

LARGE_RISE, _CLUSTERED, _DAY_NS = 0.3, 2.0, 86_400_000_000_000
"""Where values are known to go missing in bursts (dispersion), a rise by less is a note for a day."""

_ALIKE_STEPS, _POINTS, _MOST_SKETCHES = 2, 96, 256
_ALL, _MOST_NAMES, _WORKDAYS = 0.9, 2, 5


def break_findings(view: View, breaks: Breaks) -> list[Finding]:
    """Return the findings of *breaks*; an ended one is a note unless the past was asked for."""
    wants_past = view.wants_past
    reported = [each for each in breaks.reported if is_of_cohort(breaks, each) and not has_unit(view, breaks, each)]
    groups: list[list[Break]] = []
    for each in sorted(reported, key=lambda each: -each.alarm.ln_e):
        for group in groups:
            lead = group[0]
            is_alike = lead.kind == each.kind and bool((lead.cover.series == each.cover.series).all())
            apart = max(abs(lead.onset - each.onset), abs((lead.recovered or 0) - (each.recovered or 0)))
            if is_alike and apart <= _ALIKE_STEPS and each.feature not in {other.feature for other in group}:
                group.append(each)
                break
        else:
            groups.append([each])
    return [_finding(breaks, group, wants_past=wants_past) for group in groups]


def is_of_cohort(breaks: Breaks, each: Break) -> bool:
    """Return whether a break is confined to cohorts that can be named; whole versions and models are those of the check of blocks.

    More than two names, of cohorts and of versions within cohorts, are no place but places that happened to rise together.
    """
    names = [breaks.places.names[index] for index in each.cover.places]
    return all(name.cohort for name in names) and (len(names) <= _MOST_NAMES or all(name.parts == 1 for name in names))


def is_by_place(view: View, finding: Finding) -> bool:
    """Return whether *finding*, on all versions and cohorts together, is a break that is reported where it is.

    A changed unit explains the break. Ended findings stay: their time is excluded from the baselines of checks of blocks.
    """
    is_over = finding.onset.ended_ns is not None and not view.wants_past
    if is_over or finding.name.startswith("data.unit"):
        return False
    return any(
        breaks.table.names[each.feature] == finding.where.feature
        and is_of_cohort(breaks, each)
        and _is_at_once(view, breaks.table, each, finding)
        for breaks in view.breaks
        for each in breaks.reported
    )


def has_unit(view: View, breaks: Breaks, each: Break) -> bool:
    """Return whether a changed unit of the feature was found at the time of a break of its values."""
    if each.kind in ("missing", "unseen") or view.too_short:
        return False
    return any(
        finding.name == f"data.unit.{breaks.table.names[each.feature]}"
        and _is_at_once(view, breaks.table, each, finding)
        for found, _ in view.feature_findings
        for finding in found
    )


def _is_at_once(view: View, table: CellTable, each: Break, finding: Finding) -> bool:
    slack = 2 * view.panel.axis.step_ns
    end_ns = 2**63 - 1 if each.recovered is None else int(table.start_ns[min(each.recovered, table.size - 1)])
    onset = finding.onset
    return (
        int(table.start_ns[each.onset]) - slack <= (onset.ended_ns or 2**63 - 1)
        and onset.earliest_ns <= end_ns + slack
        and onset.latest_ns + slack >= int(table.start_ns[each.earliest])
    )


def _finding(breaks: Breaks, group: Sequence[Break], *, wants_past: bool) -> Finding:
    table, lead = breaks.table, group[0]
    names = [breaks.places.names[index] for index in lead.cover.places]
    feature = table.names[lead.feature]
    where = Place(table.model, names[0].version, names[0].variant, names[0].cohort, feature)
    onset = _onset(table, lead)
    others = [table.names[each.feature] for each in group[1:]]
    what, title, verdict = _words(breaks, lead)
    several = f" (with {', '.join(others)})" if others else ""
    whom = place_words(names, table)
    end = breaks.looked if lead.recovered is None else lead.recovered
    all_rows = float(table.column(lead.feature)[:, lead.onset : max(end, lead.onset + 1)].sum())
    rise = lead.after - lead.before
    severity: Severity = "page" if rise >= PAGE_RISE or rise * lead.rows >= PAGE_SHARE * all_rows else "ticket"
    lasted_ns = int(table.end_ns[max(end - 1, lead.onset)]) - onset.at_ns
    is_usual = lead.alarm.dispersion >= _CLUSTERED and lasted_ns < _DAY_NS and rise < LARGE_RISE
    is_usual |= rise < PAGE_RISE and _is_first_weekend(table, lead)
    if is_usual or (lead.recovered is not None and not wants_past):
        severity = "info"
    evidence = [
        Evidence(f"{what}_after", lead.after, "share", f"{whom}: {percent(lead.after)} of {lead.rows:.0f} rows since the onset"),
        Evidence(f"{what}_before", lead.before, "share", f"{percent(lead.before)} expected of the same series from their past"),
        Evidence("rows_of_all", lead.rows / max(all_rows, 1e-9), "share", f"the place has {percent(min(lead.rows / max(all_rows, 1e-9), 1.0))} of the rows of the model"),
        Evidence("cell", table.cell_name(lead.feature, lead.cell), "", f"counted in the cell {table.cell_name(lead.feature, lead.cell)}"),
    ]  # fmt: skip
    return Finding(
        f"data.{what}.{feature}", "data", severity, f"{feature}{several}{_at(whom)}: {title}", f"{verdict} {_scope(breaks, lead, others)}", where, onset,
        confidence(lead.alarm.ln_e - float(np.log(4 * breaks.shapes.is_watched.sum()))), tuple(evidence),
        (look_at_cells(where, onset), look_before(where, onset)), (_timeline(breaks, lead, whom), _bars(breaks, lead)),
        opened_ns=int(table.end_ns[lead.opened]),
    )  # fmt: skip


def _is_first_weekend(table: CellTable, lead: Break) -> bool:
    """Return whether a break began with the first weekend, or the first workdays, of the period: what these days do at its place is not known."""
    days = table.start_ns[: max(lead.opened + 1, 1)] // _DAY_NS
    is_weekend = (days + 3) % 7 >= _WORKDAYS  # 1970 began on a Thursday
    alike = table.start_ns[: lead.earliest][is_weekend[: lead.earliest] == is_weekend[lead.onset]]
    is_other_before = bool((is_weekend[: lead.earliest] != is_weekend[lead.onset]).any())
    return is_other_before and (not alike.size or int(table.start_ns[lead.onset] - alike[0]) < _DAY_NS)


def _onset(table: CellTable, lead: Break) -> Onset:
    ended = None if lead.recovered is None else int(table.start_ns[min(lead.recovered, table.size - 1)])
    at, earliest, latest = (int(table.start_ns[step]) for step in (lead.onset, lead.earliest, lead.latest))
    return Onset(at, min(earliest, at), max(latest, at), ended)


def place_words(names: Sequence[PlaceName], table: CellTable) -> str:
    """Return the places in words; ``all rows`` for the whole model."""
    arms = {(key.version, key.variant) for key in table.keys}
    said = []
    for name in names:
        alone = sum(version == name.version for version, _ in arms) == 1
        arm = (name.version or "(no version)") if alone else f"{name.version or '(no version)'}/{name.variant}"
        parts = [f"version {arm}"] if name.version or name.variant else []
        said.append(", ".join([*parts, *([name.cohort] if name.cohort else [])]) or "all rows")
    return " and ".join(said)


def _at(whom: str) -> str:
    return "" if whom == "all rows" else f" of {whom}"


def _words(breaks: Breaks, lead: Break) -> tuple[str, str, str]:
    """Return the kind in the finding's name, the title and the verdict."""
    table = breaks.table
    rose = f"rose from {percent(lead.before)} to {percent(lead.after)}"
    cell = table.cell_name(lead.feature, lead.cell)
    if lead.kind == "missing":
        return "missing", f"missing values {rose}", "The pipeline no longer delivers this value."
    if lead.kind == "unseen":
        is_category = table.is_categorical(lead.feature)
        what = "categories that are not in the reference" if is_category else "values that are not numbers"
        verdict = "A value was renamed, added upstream or encoded differently; the model was not trained on it."
        return "unseen", f"{what} {rose}", verdict
    if lead.kind == "recoded":
        source = table.cell_name(lead.feature, lead.source) if lead.source is not None else "others"
        verdict = f"The rows of {source} went away as those of {cell} came, and other categories kept theirs: an encoding changed, not the mix."
        return "recoded", f"{cell} {rose}, in place of {source}", verdict
    if lead.kind == "range":
        title = f"values {cell} the reference range {rose}"
        kept = "" if lead.after >= _ALL else "The other values kept their proportions. "
        verdict = f"{kept}A scale error, a sentinel or a corrupt source; cells cannot distinguish scale from shift."
        return "range", title, verdict
    value = _repeated_value(breaks, lead)
    shown = f"the value {value:.6g}" if value is not None else cell if table.is_categorical(lead.feature) else f"values from {cell}"  # fmt: skip
    if lead.after >= _ALL:
        verdict = "Nearly every row has it: a frozen source, a default, a zero fill" + ("." if value is not None or table.is_categorical(lead.feature) else ", or a scale error that puts all values into one cell.")  # fmt: skip
        return "stuck", f"{shown} {rose}", verdict
    return "filled", f"{shown} {rose}", "The other values kept their proportions: a default or a fill value replaces a part of them."  # fmt: skip


def _scope(breaks: Breaks, lead: Break, others: Sequence[str]) -> str:
    """Return the sentences on what is and is not affected."""
    table, cover = breaks.table, lead.cover
    said = []
    if others:
        said.append("Several features at once: check what they share (a feed, a join).")
    if cover.spared:
        said.append(f"Not affected: {place_words(cover.spared, table)}.")
    elif cover.places == (0,) and len({(key.version, key.variant) for key in table.keys}) > 1:
        said.append("All versions alike: upstream of the model.")
    if breaks.places.names[cover.places[0]].version and not cover.spared:
        said.append("Only this version is affected: its own preprocessing.")
    if cover.untested:
        said.append(f"Too few rows to decide: {place_words(cover.untested, table)}.")
    return " ".join(said)


def _repeated_value(breaks: Breaks, lead: Break) -> float | None:
    """Return the value that most of the rows gained by the cell share; None if they differ, or no values were retained."""
    table = breaks.table
    parts: list[tuple[NDArray[np.float64], NDArray[np.int64]]] = []
    if table.is_categorical(lead.feature):
        return None
    name, end = table.names[lead.feature], table.size if lead.recovered is None else lead.recovered
    for step in range(lead.onset, max(end, lead.onset + 1)):
        for row, window, _, _ in table.steps[step]:
            features = window.features
            body = None if features is None else features.sketches.get((name, KLL_KIND))
            if body is not None and lead.cover.series[row] and len(parts) < _MOST_SKETCHES:
                try:
                    parts.append(retained(body))
                except MergeError:
                    continue
    values, rows = (np.concatenate(part) for part in zip(*parts, strict=True)) if parts else (np.empty(0), np.empty(0))
    if not values.size:
        return None
    distinct, at = np.unique(values, return_inverse=True)
    held = np.bincount(at, rows)
    return float(distinct[held.argmax()]) if held.max() >= 0.5 * (lead.after - lead.before) * held.sum() else None


def _timeline(breaks: Breaks, lead: Break, whom: str) -> Timeline:
    table = breaks.table
    column = table.column(lead.feature)[:, : breaks.looked]
    hits, rows = column[..., lead.cell], column.sum(axis=2)
    if lead.cell - table.width not in (NULL, UNSEEN):
        rows = rows - column[..., NULL] - column[..., UNSEEN]
    edges = np.unique(np.linspace(0, breaks.looked, min(_POINTS, breaks.looked), endpoint=False).astype(np.int64))
    lines = []
    for label, series in ((whom, lead.cover.series), ("the other rows", ~lead.cover.series)):
        if series.any():
            hit, total = (np.add.reduceat(part[series].sum(axis=0), edges) for part in (hits, rows))
            lines.append((label, [float(h / t) if t else None for h, t in zip(hit, total, strict=True)]))
    title = f"share {table.cell_name(lead.feature, lead.cell)}, {table.names[lead.feature]}"
    return Timeline(title, "share", [int(table.start_ns[edge]) for edge in edges], lines)


def _bars(breaks: Breaks, lead: Break) -> Bars:
    """Return the distribution of the feature at the place, before and after."""
    table = breaks.table
    mine = table.column(lead.feature)[lead.cover.series]
    end = breaks.looked if lead.recovered is None else max(lead.recovered, lead.onset + 1)
    profile = table.profiles[lead.feature]
    if profile is None:
        cells = [*range(table.width)]
    elif profile.kind == "categorical":
        cells = [*range(profile.body), table.width + NULL, table.width + UNSEEN]
    else:
        cells = [*range(profile.body), *range(table.width - 4, table.width)]
    groups = []
    for label, part in (("before", mine[:, : lead.onset]), ("after", mine[:, lead.onset : end])):
        counted = part.sum(axis=(0, 1))
        groups.append((label, (counted[cells] / max(float(counted.sum()), 1.0)).tolist()))
    if profile is not None:
        groups.insert(0, ("reference", list(profile.p0)))
    return Bars(
        f"cells of {table.names[lead.feature]}", [table.cell_name(lead.feature, cell) for cell in cells], groups
    )
