"""Checks the outputs of a model, its versions and cohorts: classes, confidences and values, against their past, their peers and the reference."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.answer_counts import count_answers
from radiosonde.diagnose.answer_findings import AnswerArm, departure_finding, moves_with, reference_finding
from radiosonde.diagnose.answer_places import find_by_place
from radiosonde.diagnose.finding import Floor, Place
from radiosonde.diagnose.own_past import OwnPast
from radiosonde.diagnose.registry import MIN_CALLS, Check, count
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from radiosonde.diagnose.finding import Finding
    from radiosonde.diagnose.registry import Report, View

_TOGETHER_STEPS = 3


def look(view: View, report: Report) -> None:
    """Check the answers of the model of *view*."""
    arms = _arms(view)
    if not arms:
        report.gap(view, "answers", "no classes, confidences or values were recorded")
        return
    rows = round(sum(float(arm.counts.trials.max(axis=0).sum()) for arm in arms))
    if rows < MIN_CALLS or max(arm.past.start_ns.size for arm in arms) < 2 * len(arms[0].past.scales):
        report.gap(
            view, "answers", f"there are {count(rows, 'answered row')}; at least {MIN_CALLS} are needed, over some time"
        )
        return
    step_ns = view.panel.axis.step_ns
    by_place = find_by_place(view.model, view.windows, view.panel.axis)
    cohorts = [
        departure_finding(arm, each, step_ns=step_ns, wants_past=view.wants_past) for arm, each in by_place.found
    ]
    moved = _departures(view, arms, step_ns)
    found = [each for each in moved if not any(_is_of_cohort(each, other, step_ns) for other in cohorts)]
    found += [each for each in cohorts if not any(_is_part(each, other, step_ns) for other in found)]
    told = {finding.where for finding in moved if finding.onset.ended_ns is None}
    if Place(view.model) not in told:
        for arm in arms:
            reference = view.references.get((view.model, arm.version))
            against = None if reference is None or arm.where in told else reference_finding(arm, reference)
            found += [] if against is None else [against]
    report.add(*found)
    names = sum(len(arm.counts.names) for arm in arms)
    at_places = f", and at {count(by_place.watched, 'cohort')}" if by_place.watched else ""
    report.passed(
        view, f"answers: {count(names, 'share')} of {count(rows, 'row')}{at_places}", "", _floors(arms, step_ns)
    )
    if by_place.left_out:
        because = (
            f"only the {by_place.watched} with the most rows are checked; left out: {'; '.join(by_place.left_out[:5])}"
        )
        report.gap(view, "answers of single cohorts", because)
    short = [arm for arm in arms if not arm.past.is_known(arm.past.scales[0])]
    if short and len(short) < len(arms):
        because = (
            f"too short a past to know how much they vary: version {', '.join(arm.version or '?' for arm in short[:5])}"
        )
        report.gap(view, f"answers of {count(len(short), 'version')}", because)


def _arms(view: View) -> list[AnswerArm]:
    axis = view.panel.axis
    parts: dict[tuple[str, str], list[int]] = {}
    for index, window in enumerate(view.windows):
        parts.setdefault((window.key.version, window.key.variant), []).append(index)
    made = []
    for version, variant in sorted(parts):
        counts = count_answers([view.windows[index] for index in parts[version, variant]], axis)
        if counts is not None:
            starts = axis.start_ns + counts.steps * axis.step_ns
            past = OwnPast(starts, counts.hits, counts.trials).run()
            made.append(AnswerArm(view.model, version, variant, len(parts) == 1, counts, past))
    return made


def _departures(view: View, arms: list[AnswerArm], step_ns: int) -> list[Finding]:
    """Return the departures from the past, for the whole model where no version is demonstrably unaffected."""
    made: list[Finding] = []
    every = [(arm, each) for arm in arms for each in arm.past.departures]
    for arm, departure in sorted(every, key=lambda pair: -pair[1].ln_e):
        finding = departure_finding(arm, departure, step_ns=step_ns, wants_past=view.wants_past)
        if len(arms) > 1 and all(moves_with(other, arm, departure) is not False for other in arms if other is not arm):
            title = f"all versions: {finding.title.partition(': ')[2]}"
            finding = replace(finding, name="answers.shift.all", where=Place(view.model), title=title)
        if not any(_is_part(finding, other, step_ns) for other in made):
            made.append(finding)
    return made


def _is_part(finding: Finding, other: Finding, step_ns: int) -> bool:
    """Return whether *other* already covers *finding*: for the same version or all, at overlapping times."""
    if other.where not in (finding.where, Place(finding.where.model)):
        return False
    ends = [each.onset.ended_ns or 2**63 - 1 for each in (finding, other)]
    slack = _TOGETHER_STEPS * step_ns
    return finding.onset.at_ns <= ends[1] + slack and other.onset.at_ns <= ends[0] + slack


def _is_of_cohort(finding: Finding, cohort: Finding, step_ns: int) -> bool:
    """Return whether *finding*, on a version or all, is what a part of its rows did: those of *cohort*, whose peers did not move."""
    rank = {"info": 0, "ticket": 1, "page": 2}
    is_at_once = _is_part(replace(cohort, where=finding.where), finding, step_ns)
    is_inside = cohort.where.version in ("", finding.where.version) or not finding.where.version
    return is_at_once and is_inside and rank[cohort.severity] >= rank[finding.severity]


def _floors(arms: list[AnswerArm], step_ns: int) -> list[Floor]:
    """Return the smallest change of the first share that would have been reported now, of the version that answers most."""
    arm = max(arms, key=lambda each: float(each.counts.trials.sum()))
    past = arm.past
    if any(each.ended is None for each in past.departures):
        return []
    made = []
    for length in {past.scales[len(past.scales) // 2], past.scales[-1]}:
        if not past.is_known(length):
            continue
        trials = past.trials[0, -length:]
        if not trials.sum():
            continue
        usual = float((past.usual[0, -length:] * trials).sum() / trials.sum())
        spread = float(past.dispersion(length)[0])
        reach = np.sqrt(2 * (past.price(length) + 3.0)) + 1.2816
        change = max(float(reach * np.sqrt(spread * usual * (1 - usual) / trials.sum())), 0.02)
        at = usual + change if usual + change < 1 else usual - change
        span = f"for {length * step_ns / 6e10:.3g} min"
        is_seen = 0 < at < 1
        text = f"{arm.counts.names[0]} in {percent(at)} of the rows {span}" if is_seen else f"nothing yet {span}"
        made.append(Floor(change if is_seen else float("nan"), "share", text))
    return made


CHECK = Check(
    name="answers",
    watches="shares of classes, confidences and values in what the model answers, by version and cohort",
    subject="",
    measures=("class share", "share of confidences below a bound", "share of values below a bound"),
    baselines=("past", "reference", "peers"),
    scales="windows",
    severity="page when nearly all answers are alike; ticket when a quarter of them moved for a day that is unusual among days, or they differ from the reference; else a note",
    look=look,
    explains=("quality",),
    spoils=False,  # answers follow the weather of their inputs, which is usual for every other check
)
