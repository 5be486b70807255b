"""Answers: shares of classes, confidences and values against the own past and the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radiosonde.diagnose.checks.answers import look
from radiosonde.diagnose.incidents import is_incident
from radiosonde.diagnose.own_past import OwnPast
from radiosonde.diagnose.registry import Report, View
from radiosonde.model import CONFIDENCE_BINS, OutputCounts, SeriesKey
from tests.factories import make_reference, make_window

HOUR_NS = 3_600_000_000_000
START_NS = 1_767_225_600_000_000_000  # a Thursday, midnight UTC


def answered(rng, rows, yes, *, sure=0.5):
    """Return the output of *rows* rows, a share *yes* of them ``yes``, a share *sure* of these and of the others at a confidence of 0.97."""
    counts = rng.multinomial(rows, [1 - yes, yes])
    confidence = np.zeros((2, CONFIDENCE_BINS), np.int64)
    for row in range(2):
        confidence[row, 19] = rng.binomial(counts[row], sure)
        confidence[row, 14] = counts[row] - confidence[row, 19]
    return OutputCounts(
        ("no", "yes"), counts.astype(np.int64), confidence, confidence * 0.9, np.empty(0), np.empty(0, np.int64)
    )


def valued(rng, rows, mean):
    """Return the output of *rows* rows of a regression around *mean*."""
    edges = np.arange(1.0, 10.0)
    counts = np.bincount(np.searchsorted(edges, rng.normal(mean, 2.0, rows)), minlength=10)
    return OutputCounts((), np.empty(0, np.int64), np.zeros((0, CONFIDENCE_BINS)), np.zeros((0, CONFIDENCE_BINS)), edges, counts.astype(np.int64))  # fmt: skip


def served(output_at, *, hours=480, versions=("v1",), step_ns=HOUR_NS):
    """Return windows of which *output_at* gives the output, by step and version."""
    return [
        make_window(SeriesKey("m", version, "stable"), start_ns=START_NS + at * step_ns, end_ns=START_NS + (at + 1) * step_ns, output=output_at(at, version))
        for at in range(hours)
        for version in versions
    ]  # fmt: skip


def said(windows, references=None, *, past=False):
    """Return the report of the check on *windows*."""
    report = Report()
    look(View("m", windows, [], references or {}, past), report)
    return report


def steady(seed=1, rows=500, yes=0.2):
    """Return a function that gives the output of a model that is always the same."""
    rng = np.random.default_rng(seed)
    return lambda at, version: answered(rng, rows, yes)


FAULTS = {
    "every answer is no, and sure": lambda rng: answered(rng, 500, 0.0, sure=1.0),
    "every answer is yes": lambda rng: answered(rng, 500, 1.0),
    "the classes are swapped": lambda rng: answered(rng, 500, 0.8),
    "the confidence collapsed": lambda rng: answered(rng, 500, 0.2, sure=0.0),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("hours", [60, 480])
def test_answers_that_changed_are_found_and_dated(fault, hours):
    """After two days and after twenty, in two steps; nearly alike answers are a page at once, others a ticket after a day."""
    rng, usual = np.random.default_rng(2), steady()
    onset = hours - 30
    report = said(served(lambda at, version: FAULTS[fault](rng) if at >= onset else usual(at, version), hours=hours))
    (finding,) = report.findings
    assert finding.severity == ("ticket" if "swapped" in fault else "page")
    assert abs(finding.onset.at_ns - (START_NS + onset * HOUR_NS)) <= HOUR_NS
    assert finding.opened_ns - finding.onset.at_ns <= 3 * HOUR_NS
    assert finding.where.version == ""
    assert said(served(usual, hours=hours)).findings == []


def test_values_of_a_regression_are_looked_at_too():
    """A mean that moves by one and a half standard deviations."""
    rng = np.random.default_rng(3)
    report = said(served(lambda at, _: valued(rng, 300, 8.0 if at >= 200 else 5.0), hours=240))
    (finding,) = report.findings
    assert "values of at most" in finding.title
    assert abs(finding.onset.at_ns - (START_NS + 200 * HOUR_NS)) <= HOUR_NS


def weekly(at):
    """Return the share of yes at an hour: more by day, and much more at weekends."""
    return 0.2 + 0.2 * (8 <= at % 24 < 20) + 0.3 * ((at // 24 + 3) % 7 >= 5)


def test_the_usual_course_of_the_week_is_usual():
    """In the fourth week neither days nor weekends depart, and a value usual at noon is detected at night."""
    rng = np.random.default_rng(4)
    counts = [answered(rng, 400, weekly(at)) for at in range(28 * 24)]
    report = said(served(lambda at, _: counts[at], hours=28 * 24), past=True)
    late = [each for each in (*report.findings, *report.notes) if each.onset.at_ns >= START_NS + 15 * 24 * HOUR_NS]
    assert late == []
    night = 27 * 24 + 1
    moved = said(
        served(lambda at, _: answered(rng, 400, weekly(at) + 0.2) if at >= night - 24 else counts[at], hours=28 * 24)
    )
    (note,) = [each for each in (*moved.findings, *moved.notes) if each.onset.ended_ns is None]
    assert abs(note.onset.at_ns - (START_NS + (night - 24) * HOUR_NS)) <= 3 * HOUR_NS


@pytest.mark.parametrize("memory", [3, 24])
def test_answers_that_wander_call_for_nobody(memory):
    """Log-odds with a memory of hours, as inputs that follow the weather make them: no page, and hardly a ticket in a year."""
    pages = tickets = 0
    for seed in range(12):
        rng = np.random.default_rng((seed, memory))
        level, outputs = 0.0, []
        for _ in range(28 * 24):
            level = level * np.exp(-1 / memory) + rng.normal(0, 0.6 * np.sqrt(1 - np.exp(-2 / memory)))
            outputs.append(answered(rng, 300, 1 / (1 + np.exp(1.4 - level))))
        report = said(served(lambda at, _, outputs=outputs: outputs[at], hours=28 * 24), past=True)
        pages += sum(finding.severity == "page" for finding in report.findings)
        tickets += sum(finding.severity == "ticket" for finding in report.findings)
    assert (pages, tickets <= 2) == (0, True)


@pytest.mark.parametrize(("days", "seed", "share", "severity"), [
    (7, 8, 0.55, "info"), (7, 10, 0.9, "info"), (28, 8, 0.65, "info"), (28, 10, 0.55, "info"), (28, 8, 0.9, "ticket"),
    (28, 10, 0.9, "ticket"),
])  # fmt: skip
def test_a_day_is_a_ticket_only_if_it_is_unusual_among_days(days, seed, share, severity):
    """Answers differ from day to day, by 0.7 on the log-odds scale: a further day is a note until enough days are known to call it unusual."""
    rng = np.random.default_rng(seed)
    usual = np.repeat(1 / (1 + np.exp(1.4 - rng.normal(0, 0.7, days))), 24)
    outputs = [answered(rng, 500, yes) for yes in (*usual, *[share] * 26)]
    report = said(served(lambda at, _: outputs[at], hours=len(outputs)))
    (last,) = [each for each in (*report.findings, *report.notes) if each.onset.ended_ns is None]
    assert last.severity == severity


def test_the_version_that_changed_is_named():
    """One of two; where both change, it is the model."""
    rng, usual = np.random.default_rng(5), steady()
    one = said(
        served(
            lambda at, version: answered(rng, 500, 0.99) if at >= 100 and version == "v2" else usual(at, version),
            hours=130,
            versions=("v1", "v2"),
        )
    )
    assert [finding.where.version for finding in one.findings] == ["v2"]
    both = said(
        served(
            lambda at, version: answered(rng, 500, 0.99) if at >= 100 else usual(at, version),
            hours=130,
            versions=("v1", "v2"),
        )
    )
    assert [finding.where.version for finding in both.findings] == [""]
    assert both.findings[0].title.startswith("all versions: ")


@pytest.mark.parametrize(("yes", "hours"), [(1.0, 30), (0.0, 5), (0.8, 30)])
def test_what_is_over_is_a_note(yes, hours):
    """It has an end, is an incident that recovered, and a finding of the past."""
    rng, usual = np.random.default_rng(6), steady()
    windows = served(
        lambda at, version: answered(rng, 500, yes) if 100 <= at < 100 + hours else usual(at, version), hours=200
    )
    assert said(windows).findings == []
    (note,) = said(windows).notes
    assert is_incident(note)
    (finding,) = said(windows, past=True).findings
    assert abs(finding.onset.ended_ns - (START_NS + (100 + hours) * HOUR_NS)) <= HOUR_NS


@pytest.mark.parametrize(("yes", "hours"), [(0.5, 10), (0.8, 10), (0.38, 40)])
def test_what_called_for_nobody_is_no_incident_when_it_is_over(yes, hours):
    """Too short, or too small: a note while it went on, and a note after it."""
    rng, usual = np.random.default_rng(6), steady()
    outputs = [answered(rng, 500, yes) if 100 <= at < 100 + hours else usual(at, "") for at in range(200)]
    during, after = (said(served(lambda at, _: outputs[at], hours=last)) for last in (100 + hours, 200))
    assert (during.findings, after.findings) == ([], [])
    assert [(note.kind, is_incident(note)) for note in (*during.notes, *after.notes)] == [("drift", False)] * 2


@pytest.mark.parametrize("output", [
    {"classes": ("no", "yes"), "predicted_counts": (800, 200)},
    {"classes": ("no", "yes"), "priors": (0.8, 0.2)},
])  # fmt: skip
def test_the_reference_finds_what_was_so_from_the_first_call_on(output):
    """Nothing changed; the reference knows how it should be. A provisional one knows nothing."""
    profile = replace(make_reference(**output), provisional=False)
    turned = served(steady(yes=0.9), hours=60)
    (finding,) = said(turned, {("m", "v1"): profile}).findings
    assert (finding.name, finding.severity) == ("answers.reference.all", "ticket")
    assert said(turned, {("m", "v1"): replace(profile, provisional=True)}).findings == []
    assert said(turned).findings == []
    assert said(served(steady(yes=0.25), hours=60), {("m", "v1"): profile}).findings == []


def test_looking_once_equals_having_looked_at_every_step():
    """Incidents opened until a step do not depend on later data."""
    rng = np.random.default_rng(7)
    trials = np.full((3, 300), 200.0)
    share = np.full(300, 0.2)
    share[120:160], share[250:] = 0.6, 0.02
    hits = rng.binomial(trials.astype(int), share).astype(float)
    starts = START_NS + np.arange(300) * HOUR_NS
    whole = OwnPast(starts, hits, trials).run().departures
    assert [(each.onset, each.ended) for each in whole] == [(120, 160), (250, None)]
    for last in range(110, 300, 9):
        seen = OwnPast(starts[:last], hits[:, :last], trials[:, :last]).run().departures
        assert [each[:6][:1] + each[1:5] for each in seen] == [
            each[:6][:1] + each[1:5] for each in whole if each.opened < last
        ]


def test_a_passed_check_says_its_floor_and_an_empty_one_is_a_gap():
    """A healthy result includes its detection floors; missing data is not health."""
    report = said(served(steady(), hours=200))
    (checked,) = report.checked
    assert checked.floors
    assert 0.02 <= min(floor.value for floor in checked.floors) < 0.1
    none = said(
        served(
            lambda at, _: OutputCounts(
                (), np.empty(0, np.int64), np.zeros((0, 20)), np.zeros((0, 20)), np.empty(0), np.empty(0, np.int64)
            ),
            hours=50,
        )
    )
    assert (none.checked, len(none.gaps)) == ([], 1)
