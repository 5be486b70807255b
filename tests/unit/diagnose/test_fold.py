"""Folding: symptoms are attached to their causes, and the rest is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from radiosonde.diagnose.finding import Finding, Onset, Place, confidence
from radiosonde.diagnose.fold import fold
from radiosonde.diagnose.registry import Report, all_checks

HOUR_NS = 3_600_000_000_000


def found(name, kind, hour, *, severity="ticket", where=None, ended=None):
    """Return a finding that began at *hour*, with an hour of doubt to both sides."""
    onset = Onset(
        hour * HOUR_NS, (hour - 1) * HOUR_NS, (hour + 1) * HOUR_NS, None if ended is None else ended * HOUR_NS
    )
    return Finding(name, kind, severity, name, "", where or Place("m"), onset, confidence(20.0))


def folded(**findings):
    """Return the findings and the notes after folding the findings of each check."""
    reports = {each: Report() for each in all_checks() if each.name in findings}
    assert len(reports) == len(findings)
    for each, report in reports.items():
        report.findings += findings[each.name]
    fold(reports, HOUR_NS)
    return [[each for report in reports.values() for each in getattr(report, part)] for part in ("findings", "notes")]


FEATURE = found("data.missing.income", "data", 100, severity="page", where=Place("m", feature="income"))
ANSWERS = found("answers.shift.all", "answers", 101)
QUALITY = found("quality.corrected.all", "quality", 102)


@pytest.mark.parametrize(("given", "left", "notes"), [
    ({"features": [FEATURE], "answers": [ANSWERS]}, "data.missing.income", 1),
    ({"features": [FEATURE], "labels": [QUALITY]}, "data.missing.income", 1),
    ({"answers": [ANSWERS], "labels": [QUALITY]}, "answers.shift.all", 1),
    ({"features": [FEATURE], "answers": [ANSWERS], "labels": [QUALITY]}, "data.missing.income", 2),
])  # fmt: skip
def test_features_explain_answers_and_both_explain_wrong_ones(given, left, notes):
    """One cause, one finding; its symptoms are notes that name it."""
    (finding,), symptoms = folded(**given)
    assert finding.name == left
    assert any(entry.name == "explains" for entry in finding.evidence)
    assert len(symptoms) == notes
    assert all(note.severity == "info" and "(explained by: " in note.title for note in symptoms)


@pytest.mark.parametrize("symptom", [
    found("answers.shift.all", "answers", 150),
    found("answers.shift.all", "answers", 60),
    replace(found("answers.reference.all", "answers", 100), onset=Onset(100 * HOUR_NS, 0, 200 * HOUR_NS)),
    found("answers.shift.v2", "answers", 100, where=Place("m", "v2")),
])  # fmt: skip
def test_what_began_at_another_time_or_is_elsewhere_is_no_symptom(symptom):
    """Later, earlier, at an unknown time, or of one version only."""
    findings, notes = folded(features=[FEATURE], answers=[symptom])
    assert (len(findings), notes) == (2, [])


def test_a_fault_of_one_version_explains_the_answers_of_that_version_alone():
    """Those of the same version are its symptom, those of all versions are not."""
    fault = replace(FEATURE, where=Place("m", "v2", feature="income"))
    mine, every = found("answers.shift.v2", "answers", 100, where=Place("m", "v2")), ANSWERS
    assert [len(part) for part in folded(features=[fault], answers=[mine])] == [1, 1]
    assert [len(part) for part in folded(features=[fault], answers=[every])] == [2, 0]


def test_what_goes_on_is_no_symptom_of_what_is_over():
    """The answers stayed different after the feature had recovered."""
    over = replace(FEATURE, onset=replace(FEATURE.onset, ended_ns=120 * HOUR_NS))
    assert [len(part) for part in folded(features=[over], answers=[ANSWERS])] == [2, 0]
    symptom = replace(ANSWERS, onset=replace(ANSWERS.onset, ended_ns=121 * HOUR_NS))
    assert [len(part) for part in folded(features=[over], answers=[symptom])] == [1, 1]


def test_a_label_feed_that_stopped_is_no_symptom_of_answers():
    """Wrong answers are; that labels stopped is another fault, at another place to mend."""
    feed = found("label.feed.all", "label", 101)
    assert [len(part) for part in folded(answers=[ANSWERS], labels=[feed, QUALITY])] == [2, 1]


@pytest.mark.parametrize(("cause", "symptom", "left"), [
    ("ticket", "page", "page"), ("page", "ticket", "page"), ("ticket", "ticket", "ticket"),
])  # fmt: skip
def test_a_cause_is_as_severe_as_its_worst_symptom(cause, symptom, left):
    """Folding never turns a page into a ticket."""
    (finding,), _ = folded(features=[replace(FEATURE, severity=cause)], answers=[replace(ANSWERS, severity=symptom)])
    assert finding.severity == left
