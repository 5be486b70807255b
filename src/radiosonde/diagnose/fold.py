"""Merges incidents with one cause: a finding explained by another becomes a note.

A check declares which checks, or which kinds of findings, it explains. One of those is a symptom when it is about the same versions and
cohorts, began together with the cause (within the uncertainty of both onsets and three windows), and does not outlast the cause by more
than that. The cause is as severe as the worst of its symptoms. Differences to the reference have no known onset, so they neither explain
nor are explained. The findings of a check that counts only with symptoms become notes if they explain none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from radiosonde.diagnose.finding import SEVERITIES, Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from radiosonde.diagnose.finding import Finding
    from radiosonde.diagnose.registry import Check, Report

_SLACK_WINDOWS = 3


def fold(reports: Mapping[Check, Report], window_ns: int) -> None:
    """Turn the symptoms among *reports* into notes, and name them in the evidence of their causes.

    Args:
        reports: reports of the checks on one model; changed in place.
        window_ns: length of its windows.
    """
    slack = _SLACK_WINDOWS * window_ns
    # Checks that count only with symptoms come last: heavy garbage collection uses all the CPU, too, and is the more specific cause.
    for check, report in sorted(reports.items(), key=lambda entry: entry[0].only_with_symptoms):
        others = [(each.name, other) for each, other in reports.items() if each is not check]
        for index, cause in enumerate(report.findings):
            told = cause
            for name, other in others:
                known = [each for each in other.findings if name in check.explains or each.kind in check.explains]
                for symptom in [each for each in known if _explains(cause, each, slack)]:
                    other.findings.remove(symptom)
                    other.notes.append(
                        replace(symptom, severity="info", title=f"{symptom.title} (explained by: {cause.title})")
                    )
                    evidence = Evidence("explains", symptom.name, "", f"explains: {symptom.title}")
                    worst = min(told.severity, symptom.severity, key=SEVERITIES.index)
                    told = replace(told, severity=worst, evidence=(*told.evidence, evidence))
            report.findings[index] = told
        if check.only_with_symptoms:
            idle = [finding for finding in report.findings if not _has_symptoms(finding)]
            report.findings[:] = [finding for finding in report.findings if _has_symptoms(finding)]
            report.notes += [replace(finding, severity="info") for finding in idle]


def _has_symptoms(finding: Finding) -> bool:
    return any(entry.name == "explains" for entry in finding.evidence)


def _explains(cause: Finding, symptom: Finding, slack: int) -> bool:
    place, other = cause.where, symptom.where
    if (place.version, place.cohort) != (other.version, other.cohort):
        return False
    if any(".reference." in each.name for each in (cause, symptom)):
        return False
    began = (
        cause.onset.earliest_ns - slack <= symptom.onset.latest_ns
        and symptom.onset.earliest_ns <= cause.onset.latest_ns + slack
    )
    ended, over = cause.onset.ended_ns, symptom.onset.ended_ns
    return began and (ended is None or (over is not None and over <= ended + slack))
