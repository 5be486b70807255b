"""Answers of single cohorts: what is found, at which place, and what belongs to the whole model or to nobody."""

from __future__ import annotations

import numpy as np
import pytest

from radiosonde.diagnose.answer_places import MOST_PLACES
from radiosonde.diagnose.checks.answers import look
from radiosonde.diagnose.registry import Report, View
from radiosonde.model import SeriesKey
from tests.factories import make_window
from tests.unit.diagnose.test_answers import START_NS, answered, valued

MINUTE_NS = 60_000_000_000
SHARES = {"region=r0": 0.5, "region=r1": 0.3, "region=r2": 0.18, "region=r3": 0.02}
VERSIONS = {"v1": 0.8, "v2": 0.2}


def world(output, *, steps=200, step_ns=MINUTE_NS, per_minute=1500.0, seed=1):
    """Return windows of two versions and four cohorts; *output* gives the output from a generator, step, version, cohort and rows."""
    rng = np.random.default_rng(seed)
    return [
        make_window(
            SeriesKey("m", version, "stable", cohort), start_ns=START_NS + at * step_ns, end_ns=START_NS + (at + 1) * step_ns,
            output=output(rng, at, version, cohort, rng.poisson(per_minute * part * share * step_ns / MINUTE_NS)),
        )
        for at in range(steps)
        for cohort, share in SHARES.items()
        for version, part in VERSIONS.items()
    ]  # fmt: skip


def usual(cohort):
    """Return the share of yes in *cohort*: they differ."""
    return 0.2 + 0.1 * list(SHARES).index(cohort)


def said(windows, *, past=False):
    """Return the report of the check on *windows*."""
    report = Report()
    look(View("m", windows, [], {}, past), report)
    return report


def is_at(version, cohort, place):
    """Return whether a series is at *place*, a version and a cohort."""
    return place[0] in ("", version) and place[1] in ("", cohort)


FAULTS = {
    "nearly all no": lambda rng, rows, yes: answered(rng, rows, 0.01),
    "all yes": lambda rng, rows, yes: answered(rng, rows, 1.0),
    "never sure": lambda rng, rows, yes: answered(rng, rows, yes, sure=0.0),
}


@pytest.mark.parametrize("place", [("", "region=r1"), ("", "region=r3"), ("v1", "region=r2"), ("v2", "region=r0")], ids="-".join)  # fmt: skip
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_cohort_whose_answers_changed_is_named(fault, place):
    """One page of the true place and onset, of a cohort of 2 % of the rows too, and nothing on the whole model."""
    onset = 180

    def output(rng, at, version, cohort, rows):
        if at >= onset and is_at(version, cohort, place):
            return FAULTS[fault](rng, rows, usual(cohort))
        return answered(rng, rows, usual(cohort))

    (finding,) = said(world(output)).findings
    assert (finding.severity, finding.where.version, finding.where.cohort) == ("page", *place)
    assert abs(finding.onset.at_ns - (START_NS + onset * MINUTE_NS)) <= MINUTE_NS


@pytest.mark.parametrize("place", [("", ""), ("v2", ""), ("v1", "")], ids="-".join)
def test_what_all_cohorts_do_is_of_the_model_or_of_its_version(place):
    """No cohort is named where all moved alike."""

    def output(rng, at, version, cohort, rows):
        return answered(rng, rows, 0.01 if at >= 180 and is_at(version, cohort, place) else usual(cohort))

    report = said(world(output))
    assert {(each.where.version, each.where.cohort) for each in (*report.findings, *report.notes)} == {place}


@pytest.mark.parametrize("rows", [1500.0, 300.0])
def test_an_answer_that_nearly_all_rows_of_a_cohort_have_is_found_within_two_windows(rows):
    """At .98, a day after the start."""

    def output(rng, at, version, cohort, rows):
        return answered(rng, rows, 0.02 if at >= 720 and cohort == "region=r1" else usual(cohort))

    (finding,) = said(world(output, steps=722, per_minute=rows)).findings
    assert (finding.severity, finding.where.cohort) == ("page", "region=r1")


@pytest.mark.parametrize(("windows", "severity"), [(1, "ticket"), (2, "page"), (5, "page")])
def test_one_window_of_a_cohort_is_not_yet_a_page(windows, severity):
    """A single caller can fill a window of a small cohort; the next window decides."""

    def output(rng, at, version, cohort, rows):
        return answered(rng, rows, 0.0 if at >= 180 and cohort == "region=r1" else usual(cohort))

    (finding,) = said(world(output, steps=180 + windows)).findings
    assert (finding.severity, finding.where.cohort) == (severity, "region=r1")


def test_values_of_a_regression_are_checked_by_cohort():
    """A mean that moves by one and a half standard deviations in one cohort for more than a day."""

    def output(rng, at, version, cohort, rows):
        return valued(rng, rows, 8.0 if at >= 200 and cohort == "region=r1" else 5.0)

    report = said(world(output, steps=240, step_ns=60 * MINUTE_NS, per_minute=10.0))
    (finding,) = report.findings
    assert finding.where.cohort == "region=r1"
    assert "values of at most" in finding.title


def _odds(at, cohort, levels, kind):
    z = -1.4 + 0.3 * list(SHARES).index(cohort)
    if "season" in kind:
        z += 0.8 * np.sin(2 * np.pi * at / 24) * (1 if cohort in ("region=r0", "region=r2") else -1)
    return z + (levels[0] if "common" in kind else 0.0) + (levels[1 + list(SHARES).index(cohort)] if "apart" in kind else 0.0)  # fmt: skip


@pytest.mark.parametrize("kind", ["steady", "season", "common", "apart", "season apart common", "growing"])
def test_cohorts_that_wander_follow_the_hour_or_grow_call_for_nobody(kind):
    """Two weeks by the hour: no page and no ticket in three seeds."""
    for seed in range(3):
        rng = np.random.default_rng((seed, 5))
        noise = rng.normal(0, 0.5 * np.sqrt(1 - np.exp(-2 / 8)), (14 * 24, 5))
        levels = np.zeros_like(noise)
        for at in range(1, len(levels)):
            levels[at] = levels[at - 1] * np.exp(-1 / 8) + noise[at]

        def output(rng, at, version, cohort, rows, levels=levels):
            z = _odds(at, cohort, levels[at], kind)
            more = 6 if kind == "growing" and cohort == "region=r3" and at > 200 else 1
            return answered(rng, rows * more, 1 / (1 + np.exp(-z)), sure=1 / (1 + np.exp(z)))

        report = said(world(output, steps=14 * 24, step_ns=60 * MINUTE_NS, per_minute=20.0, seed=seed), past=True)
        assert report.findings == []


def test_cohorts_beyond_the_bound_are_said():
    """The cohorts with the least rows are left out, and named in a gap."""
    windows = [
        make_window(
            SeriesKey("m", "v1", "stable", f"shop={number:02d}"),
            start_ns=START_NS + at * MINUTE_NS,
            end_ns=START_NS + (at + 1) * MINUTE_NS,
            output=answered(np.random.default_rng((at, number)), 20 + number, 0.2),
        )
        for at in range(40)
        for number in range(MOST_PLACES + 3)
    ]
    report = said(windows)
    (gap,) = [each for each in report.gaps if each.check.startswith("answers of single cohorts")]
    assert all(f"shop={number:02d}" in gap.because for number in range(3))
    assert "shop=03" not in gap.because
