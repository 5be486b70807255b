"""Known-bad intervals: ended incidents and excluded time are not in the baseline of any check."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.flight_windows import HOUR_NS, Incident, reference, windows
from benchmarks.quality.incidents.latency import slow, steady, timed
from benchmarks.quality.incidents.service import MINUTE_NS, START_NS, Traffic, calls, failing, plant, series
from radiosonde.diagnose import KnownBad, Policy, check
from radiosonde.diagnose.known_bad import view_without, without
from radiosonde.diagnose.registry import View, all_checks

DAY, NOW, DAYS = 24, 18 * 24, 20
FAULTS = {
    "missing": ("null", 0.1, "wind_speed"),
    "unseen": ("category", 0.02, "carrier"),
    "far": ("stuck", 30.0, "pressure"),
    "unit": ("scale", 0.44704, "wind_speed"),
}
FIRST_NS = min(window.start_ns for window in windows(days=1, cohorts=False))


@functools.cache
def references():
    """Return the reference of both versions."""
    profile = reference()
    return {("delays", "v1"): profile, ("delays", "v2"): profile}


def faulty(fault, *times):
    """Return twenty days of flights in which *fault* happens at each of *times*, (start, hours)."""
    kind, amount, feature = FAULTS[fault]
    incidents = [Incident(kind, start, amount, feature, hours=hours) for start, hours in times]
    return windows(days=DAYS, cohorts=False, incidents=incidents)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_an_incident_of_two_weeks_ago_does_not_hide_the_same_one_today(fault):
    """What is found today is the same finding, whether or not it happened before; its former time is said to be no baseline."""
    alone = check(faulty(fault, (NOW, 10**6)), references())
    twice = check(faulty(fault, (4 * DAY, 30), (NOW, 10**6)), references())
    assert [(found.name, found.severity) for found in twice.findings] == [
        (found.name, found.severity) for found in alone.findings
    ]
    assert twice.findings[0].onset.ended_ns is None
    (left_out,) = twice.left_out
    assert abs(left_out.start_ns - (FIRST_NS + 4 * DAY * HOUR_NS)) <= 12 * HOUR_NS
    assert abs(left_out.end_ns - (FIRST_NS + (4 * DAY + 30) * HOUR_NS)) <= 12 * HOUR_NS
    assert left_out.number == 0


def test_what_both_looks_find_is_told_once():
    """A unit that broke last week, and again two days ago: one finding, dated to now and not to last week."""
    kind, amount, feature = FAULTS["unit"]
    incidents = [Incident(kind, 3 * DAY, amount, feature, hours=30), Incident(kind, 13 * DAY, amount, feature)]
    (finding,) = check(windows(days=15, cohorts=False, incidents=incidents), references()).findings
    assert abs(finding.onset.at_ns - (FIRST_NS + 13 * DAY * HOUR_NS)) <= 6 * HOUR_NS


@pytest.mark.parametrize("fault", ["missing", "unseen"])
def test_time_that_people_excluded_is_no_baseline(fault):
    """Without the exclusion the first days, bad as a whole, are the baseline."""
    bad = faulty(fault, (0, 5 * DAY), (NOW, 10**6))
    excluded = KnownBad(FIRST_NS, FIRST_NS + 5 * DAY * HOUR_NS, "", "replay of another caller", 3)
    diagnosis = check(bad, references(), policy=Policy(known_bad=(excluded,)))
    found = [finding for finding in diagnosis.findings if finding.onset.ended_ns is None]
    assert [finding.where.feature for finding in found] == [FAULTS[fault][2]]
    assert abs(found[0].onset.at_ns - (FIRST_NS + NOW * HOUR_NS)) <= 6 * HOUR_NS
    assert [(each.number, each.why) for each in diagnosis.left_out if each.number] == [(3, "replay of another caller")]


def served(*times, steps=144 * 9, seed=1):
    """Return nine days in steps of ten minutes in which calls are slow and fail at each of *times*, (start, end) in steps."""
    rng = np.random.default_rng(seed)
    keys = series(1, region=2)
    made = calls(rng, steps, keys, 200.0, swing=0.0)
    traffic, tables = Traffic(keys, made, failing(rng, made, 0.001)), steady(rng, steps)
    for start, end in times:
        traffic, tables = plant(rng, traffic, 0.05, start, end), slow(tables, 0.05, 30, start, end)
    return [
        replace(
            window,
            start_ns=START_NS + (window.start_ns - START_NS) * 10,
            end_ns=START_NS + (window.end_ns - START_NS) * 10,
        )
        for window in timed(rng, traffic, tables)
    ]


@pytest.mark.parametrize("former", [(300, 420), (500, 800), (800, 900)])
def test_failures_and_slow_calls_of_last_week_do_not_hide_those_of_today(former):
    """Both are found, with onset and the level before them as if the first had never been."""
    alone, twice = check(served((1200, None)), {}), check(served(former, (1200, None)), {})
    names = {finding.name for finding in alone.findings}
    assert {name.split(".")[0] for name in names} == {"errors", "latency"}
    assert {finding.name for finding in twice.findings} == names
    for finding in twice.findings:
        assert abs(finding.onset.at_ns - (START_NS + 12_000 * MINUTE_NS)) <= 20 * MINUTE_NS


def test_what_is_excluded_is_left_out_for_every_check_alike():
    """By the registry: no check sees a window, a process or the traffic of others in that time."""
    made = served()
    lived = [replace(window, process="p1") for window in made[:500]]
    view = View("m", made, lived, {}, beside=[(window.start_ns, window.end_ns) for window in made])
    bad = KnownBad(START_NS + 1000 * MINUTE_NS, START_NS + 2005 * MINUTE_NS)
    rest = view_without(view, [bad])
    spans = [(window.start_ns, window.end_ns) for part in (rest.windows, rest.runtime) for window in part]
    for start, end in (*spans, *rest.beside):
        assert end <= bad.start_ns or start >= bad.end_ns
    assert rest.table.size == view.table.size - 101  # the window that it only touches, too
    assert len(all_checks()) >= 5


def test_a_gap_made_by_an_exclusion_is_not_silence():
    """Traffic does not stop in time that is left out, whether another model is called beside it or not."""
    made = served()
    others = [replace(window, key=window.key._replace(model="other")) for window in made]
    bad = KnownBad(START_NS + 5000 * MINUTE_NS, START_NS + 6000 * MINUTE_NS, "m", "load test", 1)
    diagnosis = check([*made, *others], {}, policy=Policy(known_bad=(bad,)))
    assert [*diagnosis.findings, *diagnosis.notes] == []
    assert [each.where.model for each in diagnosis.left_out] == ["m"]


def test_an_interval_that_reaches_to_now_is_looked_at():
    """Excluding the present would hide what goes on: it is said, and takes effect later."""
    made = served((1200, None))
    bad = KnownBad(START_NS + 11_000 * MINUTE_NS, START_NS + 10**6 * MINUTE_NS, "", "known", 7)
    diagnosis = check(made, {}, policy=Policy(known_bad=(bad,)))
    assert diagnosis.status == "findings"
    assert diagnosis.left_out == ()
    assert "exclusion 7 reaches to the last window" in " ".join(gap.because for gap in diagnosis.not_checked)


def test_another_model_keeps_its_baseline():
    """An exclusion of one model touches no other."""
    made = served()
    bad = KnownBad(START_NS, START_NS + 3000 * MINUTE_NS, "other", "load test", 1)
    assert check(made, {}, policy=Policy(known_bad=(bad,))) == check(made, {})
    assert without(made, []) == made


def test_incidents_of_most_of_the_time_are_no_exception():
    """If more than half of the time was bad, that is usual for the model: there is no second pass."""
    assert check(served((100, 1000)), {}).left_out == ()
