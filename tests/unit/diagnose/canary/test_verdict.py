"""Verdicts on simulated rollouts: each kind of fault under its own name, healthy ones promoted, and laws that hold for all."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.incidents import canary as rollouts
from radiosonde.diagnose.canary import EXIT_CODES, MARGINS, judge_rollout, make_rollout
from radiosonde.model import SeriesKey


def world(minutes, *, calls=600.0, failing=0.01, cohorts=4, share=0.1):
    """Return a steady service."""
    shape = (cohorts, minutes)
    return rollouts.World(np.full(shape, calls / cohorts), np.full(minutes, share), np.full(shape, failing), 1, np.full(minutes, 0.01))  # fmt: skip


def judged(made, **options):
    """Return the report on windows."""
    return judge_rollout(make_rollout(made, None, None), MARGINS, **options)


def verdicts(report):
    """Return the verdict of each measure."""
    return {each.subject: each.verdict for each in report.measures}


FAULTS = {
    "errors": rollouts.Fault(failing=0.05),
    "latency": rollouts.Fault(slower=1.6),
    "labels": rollouts.Fault(wrong=0.15),
    "confidence": rollouts.Fault(unsure=0.2),
}


@pytest.mark.parametrize("cohort", [None, 2])
@pytest.mark.parametrize("subject", FAULTS)
def test_each_fault_is_called_worse_under_its_own_name_and_place(subject, cohort):
    """Failures, slow calls, wrong and unsure answers, of the whole version and of one cohort; the other measures are not blamed."""
    fault = replace(FAULTS[subject], cohort=cohort)
    report = judged(rollouts.windows(np.random.default_rng(1), world(150, calls=1200.0), fault))
    assert [each.subject for each in report.worse] == [subject]
    assert [place.cohort for place in report.worse[0].places] == ["" if cohort is None else "group=g2"]
    assert (report.status, EXIT_CODES[report.status]) == ("worse", 1)


@pytest.mark.parametrize("minutes", [3, 20])
def test_a_young_healthy_rollout_goes_on(minutes):
    """Nothing is decided after minutes, and it is said how much longer it takes."""
    report = judged(rollouts.windows(np.random.default_rng(2), world(minutes)))
    assert (report.status, EXIT_CODES[report.status]) == ("keep going", 3)
    waiting = [each.rows_to_go for each in report.measures if each.verdict == "keep going"]
    assert waiting
    assert all(rows > 0 for rows in waiting if rows is not None)


def test_a_healthy_rollout_is_promoted_with_its_interval_inside_the_margin():
    """With enough rows the difference that matters is ruled out, for failures and latency."""
    report = judged(rollouts.windows(np.random.default_rng(3), world(240, calls=1500.0)))
    assert (report.status, EXIT_CODES[report.status]) == ("promote", 0)
    found = {each.subject: each for each in report.measures}
    assert -0.005 <= found["errors"].low <= 0 <= found["errors"].high <= 0.005
    assert 1 / 1.3 <= found["latency"].low <= 1 <= found["latency"].high <= 1.3


def test_a_service_that_never_fails_is_promoted_too():
    """No failure in either version is evidence that the new one does not fail much more."""
    report = judged(rollouts.windows(np.random.default_rng(4), world(240, calls=1500.0, failing=0.0)))
    assert verdicts(report)["errors"] == "no difference"
    assert report.status == "promote"


def test_a_version_that_fails_less_is_better():
    """From a tenth to a fiftieth."""
    made = rollouts.windows(np.random.default_rng(5), world(120, failing=0.1), rollouts.Fault(failing=-0.08))
    assert verdicts(judged(made))["errors"] == "better"


def test_a_bad_hour_of_both_versions_blames_neither():
    """A third of all calls fails and takes twice as long for a quarter of an hour, three times."""
    rng = np.random.default_rng(6)
    report = judged(rollouts.windows(rng, rollouts.bad_hours(rng, 4, 120)))
    assert not report.worse


@pytest.mark.parametrize(("factor", "first", "minutes"), [(3, 20, 60), (5, 40, 30), (2, 0, 90)], ids=str)
@pytest.mark.parametrize("slower", [1.0, 1.7])
def test_a_slow_hour_of_both_versions_hides_no_slower_version(factor, first, minutes, slower):
    """While all calls are slow for a time, both versions are compared within the same minutes, and the bound comes back when it is over."""
    healthy = world(200)
    median_s = healthy.median_s.copy()
    median_s[first : first + minutes] *= factor
    fault = rollouts.Fault(slower=slower, start=100)
    report = judged(rollouts.windows(np.random.default_rng(11), replace(healthy, median_s=median_s), fault))
    assert [each.subject for each in report.worse] == (["latency"] if slower > 1 else [])


@pytest.mark.parametrize("cohorts", [1, 6])
@pytest.mark.parametrize("factor", [3.0, 8.0, 30.0])
def test_after_a_slow_hour_of_both_versions_a_mild_slowdown_is_named(factor, cohorts):
    """A new version that is 1.4 times as slow from the end of the hour on is named within the hour, of one cohort as of several."""
    rng = np.random.default_rng(51)
    made = world(150, calls=1200.0, cohorts=cohorts)
    median = made.median_s.copy()
    median[30:90] *= factor
    report = judged(rollouts.windows(rng, replace(made, median_s=median), rollouts.Fault(slower=1.4, start=90)))
    assert [each.subject for each in report.worse] == ["latency"]
    assert [place.cohort for place in report.worse[0].places] == [""]


@pytest.mark.parametrize("unsure", [0.0, 0.15])
def test_two_unsure_hours_of_both_versions_hide_no_less_sure_version(unsure):
    """Inputs that nobody is sure of come for two hours; a version that is less sure afterwards is named within 22 minutes."""
    rng = np.random.default_rng(12)
    odd = [
        window
        for window in rollouts.windows(rng, world(120), rollouts.Fault(unsure=0.5), history=0)
        if window.key.version == "v2"
    ]
    both = [
        replace(window, key=window.key._replace(version=name, variant=of))
        for window in odd
        for name, of in (rollouts.NEW, rollouts.OLD)
    ]
    after = rollouts.windows(rng, world(22), rollouts.Fault(unsure=unsure), history=0)
    hours_ns = 7200 * 10**9
    later = [replace(window, start_ns=window.start_ns + hours_ns, end_ns=window.end_ns + hours_ns) for window in after]
    report = judged([*both, *later])
    assert [each.subject for each in report.worse] == (["confidence"] if unsure else [])


def test_a_rollout_over_regions_with_habits_of_their_own_compares_each_with_itself():
    """The new version serves mostly the cohort that fails often: pooled it looks worse, and it is not."""
    shape = (2, 120)
    failing = np.repeat(np.array([[0.2], [0.001]]), 120, axis=1)
    rng = np.random.default_rng(7)
    healthy = rollouts.World(np.full(shape, 300.0), np.full(120, 0.1), failing, 1, np.full(120, 0.01))
    made = rollouts.windows(rng, healthy)
    kept = [w for w in made if not (w.key.version == "v2" and w.key.cohort == "group=g1" and w.start_ns // 60_000_000_000 % 8)]  # fmt: skip
    report = judged(kept, uneven=True)
    assert not report.worse
    assert judged(kept).status == "mismatch"


@pytest.mark.parametrize("required", [("errors",), ("errors", "latency", "labels"), ("confidence",)])
def test_nothing_is_promoted_before_what_is_required_is_decided(required):
    """A gate that insists on labels waits for labels."""
    made = rollouts.windows(np.random.default_rng(8), world(240, calls=1500.0))
    silent = [replace(window, labels=None) for window in made]
    report = judged(silent, required=required)
    assert report.status == ("keep going" if "labels" in required else "promote")
    assert [gap.subject for gap in report.not_judged] == ["labels"]


def test_failures_stand_when_the_split_is_wrong_and_nothing_else_does():
    """Half as many calls as asked for: slow calls are not judged, failures of the same cohort and minute are."""
    made = rollouts.windows(np.random.default_rng(9), world(90, share=0.05), rollouts.Fault(slower=2.0))
    report = judged(made, expected_share=0.1)
    assert (report.status, EXIT_CODES[report.status]) == ("mismatch", 5)
    assert verdicts(report)["latency"] == "worse"
    assert report.worse == ()
    failing = rollouts.windows(np.random.default_rng(9), world(90, share=0.05), rollouts.Fault(failing=0.3))
    assert judged(failing, expected_share=0.1).status == "worse"


@pytest.mark.parametrize("start", [0, 20])
def test_one_look_at_the_end_says_what_a_look_after_every_window_says(start):
    """The look that decided it is the first to call it worse, every later one does, and what decided it stays the same."""
    made = rollouts.windows(np.random.default_rng(21), world(50), rollouts.Fault(failing=0.08, cohort=1, start=start))
    looks = sorted({window.end_ns for window in made if window.key.version == "v2"})
    found = {}
    for look in looks[2::2]:
        report = judged([window for window in made if window.end_ns <= look])
        found[look] = (
            min((place.decided_ns for place in report.worse[0].places), default=None) if report.worse else None
        )
    decided = found[looks[-1] if looks[-1] in found else looks[-2]]
    assert decided is not None
    assert found == {look: decided if look >= decided else None for look in found}


def test_neither_order_nor_parts_nor_names_change_anything():
    """Windows shuffled and split over processes, and versions renamed, give the same verdicts and numbers."""
    made = rollouts.windows(np.random.default_rng(12), world(45), rollouts.Fault(failing=0.1, cohort=3))
    plain = judged(made)
    none = np.zeros_like(made[0].latency.counts)
    empty = [
        replace(w, process="p2", calls=0, rows=0, errors={}, latency=replace(w.latency, counts=none), labels=None)
        for w in made[::3]
    ]
    empty = [replace(w, output=replace(w.output, confidence=w.output.confidence * 0)) for w in empty]
    mixed = [*made, *empty]
    random.Random(1).shuffle(mixed)
    assert judged(mixed).to_json()["measures"] == plain.to_json()["measures"]
    renamed = [replace(w, key=SeriesKey("m", {"v1": "zz", "v2": "aa"}[w.key.version], w.key.variant, w.key.cohort)) for w in made]  # fmt: skip
    assert judged(renamed).to_json()["measures"] == plain.to_json()["measures"]


def test_the_report_is_plain_json():
    """Every number is finite or null, and the exit code is in it."""
    report = judged(rollouts.windows(np.random.default_rng(13), world(10)))
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert document["schema"] == "radiosonde.canary/1"
    assert document["exit_code"] == EXIT_CODES[report.status]
    assert {each["subject"] for each in document["measures"]} == {"errors", "latency", "labels", "confidence"}


def test_the_forecast_is_about_what_it_takes():
    """Rows until no difference is shown, over the rows that were forecast a sixth of the way, in the median of nine rollouts."""
    ratios = []
    for seed in range(9):
        made = rollouts.windows(np.random.default_rng((14, seed)), world(300, calls=900.0, cohorts=2))
        first = min(window.start_ns for window in made if window.key.version == "v2")

        def errors(minute, made=made, first=first):
            return judged([window for window in made if window.start_ns < first + minute * 60_000_000_000]).measures[0]

        early = errors(15)
        if early.rows_to_go is None:
            continue
        done = next(minute for minute in range(20, 301, 20) if errors(minute).verdict != "keep going")
        ratios.append((errors(done).trials - early.trials) / early.rows_to_go)
    assert 0.4 <= np.median(ratios) <= 2.0
