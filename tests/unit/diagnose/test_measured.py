"""What an incident is measured by when somebody asks whether it is fixed: traffic, processes and wrong answers, by their rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.incidents.service import MINUTE_NS, START_NS, Traffic, failing, series
from radiosonde.diagnose.finding import Evidence, Finding, Onset, Place, confidence
from radiosonde.diagnose.registry import View, all_checks
from radiosonde.diagnose.verification import verify
from tests.factories import make_durations, make_labels, make_runtime_window, make_window

MINUTES, ONSET, FIX = 420, 300, 360
MEASURED = {check.name: check.measured for check in all_checks()}


def at(minute):
    """Return the nanoseconds of *minute*."""
    return START_NS + minute * MINUTE_NS


def finding_of(name, kind, **where):
    """Return a finding since `ONSET`, of which only name, kind and place matter."""
    return Finding(name, kind, "page", "t", "v", Place("m", **where), Onset(at(ONSET), at(ONSET), at(ONSET)), confidence(30.0), (), ())  # fmt: skip


def answer(measured, finding):
    """Return what a verification of the fix at minute `FIX` says."""
    assert measured is not None
    return verify(measured, finding.onset.at_ns, at(FIX)).answer


def traffic_of(seed, factor, after, *, cohort=""):
    """Return a view of traffic that changes by *factor* at the onset and is *after* times the usual since the fix; and its finding."""
    rng = np.random.default_rng(seed)
    keys = series(1, region=3)
    expected = np.full((len(keys), MINUTES), 150.0)
    for row, key in enumerate(keys):
        if cohort in ("", key.cohort):
            expected[row, ONSET:FIX] *= factor
            expected[row, FIX:] *= after
    made = rng.poisson(expected).astype(float)
    windows = Traffic(keys, made, failing(rng, made, 0.001)).windows()
    told = finding_of("traffic.volume.all", "traffic", cohort=cohort)
    amounts = (("calls_per_minute", factor * 150.0), ("calls_per_minute_before", 150.0))
    evidence = tuple(Evidence(name, value, "calls/min", name) for name, value in amounts)
    beside = [(at(minute), at(minute + 1)) for minute in range(MINUTES)]
    return View("m", windows, [], {}, beside=beside), replace(told, evidence=evidence)


@pytest.mark.parametrize(("factor", "after", "expected"), [
    (0.5, 1.0, "fixed"), (0.5, 0.5, "not fixed"), (0.0, 1.0, "fixed"), (0.3, 0.45, "not fixed"),
    (3.0, 1.0, "fixed"), (3.0, 3.0, "not fixed"), (1.8, 1.0, "fixed"),
])  # fmt: skip
@pytest.mark.parametrize("cohort", ["", "region=r1"])
def test_a_fix_of_traffic_is_verified_by_the_calls_that_are_missing_or_too_many(factor, after, expected, cohort):
    """An hour after the fix: of all calls, and of a cohort alone."""
    made = [traffic_of(seed, factor, after, cohort=cohort) for seed in range(2)]
    said = [answer(MEASURED["traffic"](*each), each[1]) for each in made]
    assert said == [expected] * 2


def test_traffic_that_comes_now_and_then_is_verified_by_its_state():
    """Of a handful of calls there is no number that would be usual in a minute."""
    windows = [make_window(replace_key(), start_ns=at(60 * hour), end_ns=at(60 * hour + 1), durations_s=[0.01]) for hour in range(6)]  # fmt: skip
    view, finding = traffic_of(1, 0.5, 1.0)
    assert MEASURED["traffic"](replace(view, windows=windows, beside=()), finding) is None


def replace_key():
    """Return a series of the model of this file."""
    return series(1)[0]


@pytest.mark.parametrize(("field", "usual", "ill"), [
    ("gc_pauses", [0.001] * 30, [0.001] * 20 + [3.0] * 10),
    ("loop_lags", [0.002] * 100, [0.002] * 80 + [1.5] * 20),
    ("pool_waits", [0.001] * 20, [5.0] * 20),
])  # fmt: skip
@pytest.mark.parametrize("is_fixed", [True, False])
@pytest.mark.parametrize("process", ["all", "p2"])
def test_a_fix_of_a_process_is_verified_by_its_durations(field, usual, ill, is_fixed, process):
    """The share above the bound since the fix, of all processes or of the one that the incident names."""
    windows = [make_window(replace_key(), start_ns=at(minute), end_ns=at(minute + 1), process=name) for minute in range(FIX + 60) for name in ("p1", "p2")]  # fmt: skip

    def health(minute, name):
        is_ill = minute >= ONSET and (minute < FIX or not is_fixed) and process in ("all", name)
        return make_runtime_window(at(minute), at(minute + 1), process=name, **{"gc_pauses": make_durations([]), field: make_durations(ill if is_ill else usual)})  # fmt: skip

    runtime = [health(minute, name) for minute in range(FIX + 60) for name in ("p1", "p2")]
    finding = finding_of(f"runtime.{field}.{process}", "runtime")
    measured = MEASURED["runtime"](View("m", windows, runtime, {}), finding)
    assert answer(measured, finding) == ("fixed" if is_fixed else "not fixed")


@pytest.mark.parametrize("is_fixed", [True, False])
def test_a_fix_of_a_throttled_process_is_verified_by_its_periods(is_fixed):
    """The share of the periods that are throttled since the fix."""
    windows = [make_window(replace_key(), start_ns=at(minute), end_ns=at(minute + 1), process="p1") for minute in range(FIX + 60)]  # fmt: skip
    runtime = [
        make_runtime_window(at(minute), at(minute + 1), process="p1", throttled_periods=480 if minute >= ONSET and (minute < FIX or not is_fixed) else 6)
        for minute in range(FIX + 60)
    ]  # fmt: skip
    finding = finding_of("runtime.throttling.all", "runtime")
    measured = MEASURED["pressure"](View("m", windows, runtime, {}), finding)
    assert answer(measured, finding) == ("fixed" if is_fixed else "not fixed")


@pytest.mark.parametrize("is_fixed", [True, False])
@pytest.mark.parametrize("version", ["", "v1"])
def test_a_fix_of_wrong_answers_is_verified_by_the_labels(is_fixed, version):
    """The share of labelled answers that are wrong since the fix, of all versions or one; what is about labels themselves has no rate."""
    key = replace_key()

    def window(minute):
        wrong = 12 if minute >= ONSET and (minute < FIX or not is_fixed) else 2
        labels = make_labels({("correct", "1h"): 40 - wrong, ("incorrect", "1h"): wrong})
        return make_window(key, start_ns=at(minute), end_ns=at(minute + 1), durations_s=[0.01] * 40, labels=labels)

    view = View("m", [window(minute) for minute in range(FIX + 60)], [], {})
    finding = finding_of("version.outcomes.v1", "version", version=version)
    assert answer(MEASURED["labels"](view, finding), finding) == ("fixed" if is_fixed else "not fixed")
    assert MEASURED["labels"](view, finding_of("label.feed.all", "label")) is None
