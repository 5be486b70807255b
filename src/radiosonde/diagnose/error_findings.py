"""Formulates findings of versions that are wrong more often than others, or than before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.error_signals import RateRise, rows_of_cohort, series_of, shared_rise
from radiosonde.diagnose.finding import Evidence, Finding, Onset, Place, RateTable, Timeline, confidence
from radiosonde.diagnose.next_steps import look_at_outcomes, look_before
from radiosonde.model import parse_cohort
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.arm_search import ArmProblem
    from radiosonde.diagnose.finding import Severity
    from radiosonde.diagnose.panel import Panel

_MAX_TABLE_ROWS = 24
MIN_OUTCOME_RISE = 0.05


def outcome_findings(panel: Panel, problems: Sequence[ArmProblem], *, shared: bool) -> list[Finding]:
    """Return findings on labelled outcomes; a shared rise of wrong answers is a ticket, because hard days are real.

    Args:
        panel: counts by series and step.
        problems: versions that are wrong more often than others, see `outcome_problems`.
        shared: also search for rises common to all versions, in labels as they arrived.
    """
    wrong, labelled = panel.incorrect.sum(axis=0), (panel.incorrect + panel.correct).sum(axis=0)
    rise = shared_rise(panel, wrong, labelled, problems, min_rise=MIN_OUTCOME_RISE) if shared else None
    return [
        *(_version(panel, problem, wrong, labelled) for problem in problems),
        *([_rise(panel, rise, wrong, labelled)] if rise is not None else []),
    ]


def _version(panel: Panel, problem: ArmProblem, hits: NDArray[np.int64], totals: NDArray[np.int64]) -> Finding:
    version, variant = panel.arms[problem.arm]
    name, verdict = panel.arm_name(problem.arm), problem.verdict
    mine = series_of(panel, problem)
    others = (rows_of_cohort(panel, problem.cohort) if problem.cohort else np.ones(len(panel.keys), dtype=bool)) & ~(
        panel.arm_of == problem.arm
    )
    whom = (
        f"{problem.cohort} ({_percent(problem.hits, problem.trials)}"
        if problem.cohort
        else f"all cohorts ({_percent(problem.hits, problem.trials)}"
    )
    title = f"version {name} is wrong on {whom} of labels; others {_percent(problem.rest_hits, problem.rest_trials)})"
    before = slice(None, verdict.start)
    was = (int(hits[mine][:, before].sum()), int(totals[mine][:, before].sum()))
    evidence = [
        Evidence("rate", problem.hits / max(problem.trials, 1), "share", f"version {name}{_of(problem.cohort)}: {problem.hits} of {problem.trials} since the onset"),
        Evidence("rate_others", problem.rest_hits / max(problem.rest_trials, 1), "share", f"the other versions{_of(problem.cohort)}, same time: {problem.rest_hits} of {problem.rest_trials}"),
        Evidence("rate_before", was[0] / max(was[1], 1), "share", f"version {name}{_of(problem.cohort)} before the onset: {was[0]} of {was[1]}"),
    ]  # fmt: skip
    rest = ""
    if problem.cohort:
        elsewhere = (panel.arm_of == problem.arm) & ~mine
        since = slice(verdict.start, None)
        counts = int(hits[elsewhere][:, since].sum()), int(totals[elsewhere][:, since].sum())
        evidence.append(
            Evidence(
                "rate_elsewhere",
                counts[0] / max(counts[1], 1),
                "share",
                f"version {name} in all other cohorts: {counts[0]} of {counts[1]}",
            )
        )
        rest = f" and version {name} serves every other cohort as before" if counts[0] <= 0.01 * counts[1] else ""
    text = (
        f"The model version, not data or infrastructure: in the same hours the other versions serve {problem.cohort or 'the same cohorts'} "
        f"at {_percent(problem.rest_hits, problem.rest_trials)}{rest}."
    )
    size = panel.axis.size
    onset = _onset(panel, (verdict.start, verdict.earliest, verdict.latest), size, has_before=was[1] > 0)
    where = Place(panel.model, version, variant, problem.cohort)
    what = "outcomes"
    steps = (look_at_outcomes(where, onset), look_before(where, onset))
    ln_e = verdict.ln_e - float(np.log(problem.hypotheses))
    figures = (
        _table(panel, hits, totals, verdict.start, problem.cohort, what),
        _timeline(panel, hits, totals, mine, others, name, what),
    )
    return Finding(
        f"version.{what}.{name}.{problem.cohort or 'all'}", "version", "ticket", title, text, where, onset, confidence(ln_e),
        tuple(evidence), steps, figures,
    )  # fmt: skip


def _rise(panel: Panel, rise: RateRise, hits: NDArray[np.int64], totals: NDArray[np.int64]) -> Finding:
    rows = np.ones(len(panel.keys), dtype=bool)
    start, end = rise.onset[0], rise.step.end
    inside = slice(start, end)
    shares = []
    for arm in range(len(panel.arms)):
        mine = panel.arm_of == arm
        shares.append((panel.arm_name(arm), int(hits[mine][:, inside].sum()), int(totals[mine][:, inside].sum())))
    title = f"all cohorts: wrong answers rose from {percent(rise.step.before)} to {percent(rise.step.after)}"
    alike = "all versions alike" if len(panel.arms) > 1 else "there is one version only"
    text = f"{alike.capitalize()}, so not a single model version: check data, infrastructure, or whether inputs became harder."
    evidence = [
        Evidence("rate", hit / max(total, 1), "share", f"version {name}: {hit} of {total} since the onset")
        for name, hit, total in shares
    ]
    onset = _onset(panel, rise.onset, end, has_before=True)
    where = Place(panel.model)
    steps = (look_at_outcomes(where, onset), look_before(where, onset))
    figures = (
        _table(panel, hits, totals, start, "", "outcomes"),
        _timeline(panel, hits, totals, rows, ~rows, "all", "outcomes"),
    )
    severity: Severity = "ticket" if onset.ended_ns is None else "info"
    return Finding(
        "quality.outcomes.all", "quality", severity, title, text, where, onset, confidence(rise.step.ln_e), tuple(evidence),
        steps, figures,
    )  # fmt: skip


def _onset(panel: Panel, steps: tuple[int, int, int], end: int, *, has_before: bool) -> Onset:
    axis = panel.axis
    ended = None if end >= axis.size else axis.at_ns(end)
    start, earliest, latest = (axis.at_ns(step) for step in steps)
    return Onset(start, earliest, latest, ended, whole_span=not has_before)


def _table(
    panel: Panel, hits: NDArray[np.int64], totals: NDArray[np.int64], start: int, cohort: str, what: str
) -> RateTable:
    """Return rates since the onset by version, one row per value of the dimension that matters, the worst rows first."""
    wanted = next(iter(parse_cohort(cohort)), None) if cohort else None
    names: dict[str, NDArray[np.bool_]] = {}
    for row, key in enumerate(panel.keys):
        dimensions = parse_cohort(key.cohort)
        dimension = wanted or next(iter(dimensions), "")
        label = f"{dimension}={dimensions[dimension]}" if dimension in dimensions else "(no cohort)"
        names.setdefault(label, np.zeros(len(panel.keys), dtype=bool))[row] = True
    rows = []
    for label, members in names.items():
        cells = []
        for arm in range(len(panel.arms)):
            mine = members & (panel.arm_of == arm)
            cells.append((int(hits[mine][:, start:].sum()), int(totals[mine][:, start:].sum())))
        rows.append((label, cells))
    rows.sort(key=lambda row: (-max(h / max(t, 1) for h, t in row[1]), row[0]))
    kept = rows[:_MAX_TABLE_ROWS]
    return RateTable(
        f"{what} since the onset, by version",
        "cohort",
        [panel.arm_name(a) for a in range(len(panel.arms))],
        kept,
        cohort,
    )


def _timeline(
    panel: Panel, hits: NDArray[np.int64], totals: NDArray[np.int64], mine: NDArray[np.bool_], others: NDArray[np.bool_], name: str, what: str
) -> Timeline:  # fmt: skip
    """Return the rates in blocks of a 64th of the span or more: a cohort of 2 % has no rate per hour."""
    block = max(1, panel.axis.size // 64)
    edges = np.arange(0, panel.axis.size, block)
    lines = []
    for label, rows in ((name, mine), ("others", others)):
        if not rows.any():
            continue
        hit, total = (np.add.reduceat(table[rows].sum(axis=0), edges) for table in (hits, totals))
        lines.append((label, [float(h / t) if t else None for h, t in zip(hit, total, strict=True)]))
    return Timeline(f"rate of {what}", "share", [panel.axis.at_ns(int(edge)) for edge in edges], lines)


def _of(cohort: str) -> str:
    return f", {cohort}" if cohort else ""


def _percent(hits: int, total: int) -> str:
    if not total:
        return "no traffic"
    return percent(hits / total)
