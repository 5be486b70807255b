"""Slow calls: detected within five windows for any history, in their version, and not for ordinary variation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.incidents.latency import WORLDS, slow, timed
from benchmarks.quality.incidents.latency import steady as steady_latency
from benchmarks.quality.incidents.service import MINUTE_NS, START_NS, Traffic, calls, series
from benchmarks.quality.incidents.slowness import Slow, Slowness
from radiosonde.diagnose import check
from radiosonde.diagnose.latency_incidents import slow_spans
from radiosonde.diagnose.measures import make_table
from radiosonde.diagnose.places import PlaceName
from tests.factories import HOUR_NS, KEY, make_window

HOUR = 60


def traffic_of(seed, minutes, *, per_minute=1500.0, versions=2):
    """Return traffic without failures."""
    rng = np.random.default_rng(seed)
    keys = series(versions)
    made = calls(rng, minutes, keys, per_minute)
    return rng, Traffic(keys, made, np.zeros_like(made))


def spans_of(windows):
    """Return the slower places."""
    return slow_spans(make_table("m", windows), windows).spans


@pytest.mark.parametrize("history", [3 * HOUR, 12 * HOUR])
@pytest.mark.parametrize(("share", "factor", "within"), [(0.02, 10, 5), (0.1, 5, 5), (0.5, 3, 5)])
def test_slow_calls_are_found_within_five_windows_whatever_the_history(share, factor, within, history):
    """Two calls in a hundred at about three times the p99, or half of them at three times the median."""
    for seed in range(3):
        rng, traffic = traffic_of(seed, history + within)
        tables = slow(WORLDS["wandering"](rng, history + within), share, factor, history)
        found = [span for span in spans_of(timed(rng, traffic, tables)) if span.end_ns is None]
        assert found
        assert abs(found[0].start_ns - (START_NS + history * MINUTE_NS)) <= MINUTE_NS


@pytest.mark.parametrize("world", sorted(WORLDS))
def test_latency_that_only_breathes_calls_for_nobody(world):
    """A day of each healthy world, checked after every window, has no finding and no note."""
    rng, traffic = traffic_of(1, 24 * HOUR, per_minute=400.0)
    diagnosis = check(timed(rng, traffic, WORLDS[world](rng, 24 * HOUR)), {})
    assert (diagnosis.findings, diagnosis.notes) == ((), ())


def test_one_version_that_is_slow_is_named():
    """The other version's calls of the same minutes are as fast as ever."""
    rng, traffic = traffic_of(2, 6 * HOUR)
    healthy = steady_latency(rng, 6 * HOUR)
    windows = timed(rng, traffic, healthy, {"v2": slow(healthy, 0.2, 8, 5 * HOUR)})
    assert spans_of(windows)[0].place == PlaceName("v2", "canary")
    (finding,) = check(windows, {}).findings
    assert (finding.kind, finding.where.version) == ("latency", "v2")
    assert abs(finding.onset.at_ns - (START_NS + 5 * HOUR * MINUTE_NS)) <= 2 * MINUTE_NS


def test_a_mild_slowdown_does_not_swallow_a_later_one():
    """Calls take 40 % longer for hours; then two in a hundred take ten times as long: that is dated to its own start."""
    rng, traffic = traffic_of(3, 10 * HOUR)
    tables = slow(slow(steady_latency(rng, 10 * HOUR), 1.0, 1.4, 3 * HOUR), 0.02, 15, 9 * HOUR)
    (finding,) = check(timed(rng, traffic, tables), {}).findings
    assert abs(finding.onset.at_ns - (START_NS + 9 * HOUR * MINUTE_NS)) <= MINUTE_NS


def test_a_slow_version_that_was_mended_is_a_note():
    """Version 2 was slow for two hours and is as fast as the other since: there is no page."""
    rng, traffic = traffic_of(5, 9 * HOUR)
    healthy = steady_latency(rng, 9 * HOUR)
    windows = timed(rng, traffic, healthy, {"v2": slow(healthy, 0.2, 8, 4 * HOUR, 6 * HOUR)})
    diagnosis = check(windows, {})
    assert diagnosis.findings == ()
    assert [note.where.version for note in diagnosis.notes] == ["v2"]


def test_a_version_that_was_slow_from_its_first_call_is_found_beside_the_others():
    """It has no past of its own."""
    rng, traffic = traffic_of(6, 6 * HOUR)
    young = np.array([key.version == "v2" for key in traffic.keys])
    traffic.calls[young, : 5 * HOUR] = 0
    healthy = steady_latency(rng, 6 * HOUR)
    (finding,) = check(timed(rng, traffic, healthy, {"v2": slow(healthy, 0.3, 8, 0)}), {}).findings
    assert (finding.where.version, finding.onset.whole_span) == ("v2", True)
    assert "The model version, not infrastructure" in finding.verdict


def test_what_has_become_fast_again_is_a_note():
    """An hour of slow calls this morning is a note in the afternoon; for the past interval it is a finding."""
    rng, traffic = traffic_of(4, 8 * HOUR)
    windows = timed(rng, traffic, slow(steady_latency(rng, 8 * HOUR), 0.05, 10, 3 * HOUR, 4 * HOUR))
    now = check(windows, {})
    assert now.findings == ()
    (note,) = now.notes
    assert abs(note.onset.ended_ns - (START_NS + 4 * HOUR * MINUTE_NS)) <= 2 * MINUTE_NS
    assert [finding.name for finding in check(windows, {}, past=True).findings] == [note.name]


def nightly(nights, **fault):
    """Return windows of ten minutes in which a share of the calls is slow from two to five each night, and perhaps at another time."""
    slow_nights = tuple(Slow(0.1, 6, night * 144 + 12, night * 144 + 30) for night in range(nights))
    others = (Slow(0.1, 6, **fault),) if fault else ()
    member = Slowness("nightly", (*slow_nights, *others), nights * 144, 10, 900.0)
    return member.windows(np.random.default_rng(7))


def test_calls_that_are_slow_every_night_are_usual_from_the_third_night_on():
    """A backup at two in the morning slows calls down: two nights are incidents, the third and fourth are how this service lives."""
    began = sorted((span.start_ns - START_NS) // (600 * 10**9) for span in spans_of(nightly(4)))
    assert began == pytest.approx([12, 156], abs=1)


def test_calls_that_are_slow_at_noon_are_found_however_slow_the_nights_are():
    """The same slowness at another time of the day is none of the nights'."""
    (now,) = [span for span in spans_of(nightly(4, start=3 * 144 + 72)) if span.end_ns is None]
    assert (now.start_ns - START_NS) // (600 * 10**9) == pytest.approx(3 * 144 + 72, abs=1)


@pytest.mark.parametrize("milder", [Slow(1.0, 1.25, 200), Slow(0.02, 4, 180), Slow(0.3, 1.6, 100, 160)])
def test_a_later_fault_is_dated_to_its_own_start_after_days_of_a_milder_one(milder):
    """Three weeks of hours: what was a little slower for days, and may be so still, does not date what became much slower since."""
    member = Slowness("after a milder one", (milder, Slow(0.02, 12, 340)), 504, 60, 700.0)
    windows = member.windows(np.random.default_rng(8))
    open_since = [finding.onset.at_ns for finding in check(windows, {}).findings if finding.kind == "latency"]
    assert min(abs(at - member.onset_ns()) for at in open_since) <= 60 * MINUTE_NS


@pytest.mark.parametrize(("share", "factor"), [(0.5, 30), (0.8, 10)])
def test_callers_that_are_new_and_slow_are_found_and_said_to_be_new(share, factor):
    """A cohort that did not exist before has no past; what its calls do to the tail of all is still reported."""
    rng = np.random.default_rng(31)
    keys, minutes, born = series(1, region=4), 400, 300
    made = calls(rng, minutes, keys, 600.0, swing=0.0)
    made[3, :born] = 0
    traffic = Traffic(keys, made, np.zeros_like(made))
    usual = steady_latency(rng, minutes)
    newcomers = slow(usual, share, factor, born)
    windows = [
        *timed(rng, Traffic(keys[:3], made[:3], np.zeros_like(made[:3])), usual),
        *(window for window in timed(rng, traffic, newcomers) if window.key == keys[3]),
    ]
    (finding,) = [each for each in check(windows, {}).findings if each.kind == "latency"]
    assert finding.severity == "ticket"
    assert "These callers are new" in finding.verdict
    assert (finding.where.cohort, finding.onset.at_ns) == ("region=r3", START_NS + born * MINUTE_NS)


@pytest.mark.parametrize("odd_s", [0.14, 0.18, 0.22])
@pytest.mark.parametrize("earlier", [2, 5, 9])
def test_a_call_that_is_a_little_slow_does_not_date_a_fault_that_makes_calls_very_slow(odd_s, earlier):
    """One call in fifty takes 400 ms from an hour on; hours before, a busy machine held up a single call."""
    rng, onset = np.random.default_rng(9), 190
    windows = []
    for hour in range(280):
        durations = list(0.01 * np.exp(rng.normal(0, 0.5, 50)))
        if hour == onset - earlier:
            durations[0] = odd_s
        if hour >= onset:
            durations[0] = 0.4
        start_ns = START_NS + hour * HOUR_NS
        windows.append(make_window(KEY, start_ns=start_ns, end_ns=start_ns + HOUR_NS, durations_s=durations))
    (span,) = spans_of(windows)
    assert span.start_ns == START_NS + onset * HOUR_NS


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (Slow(0.15, 8, 100, 160, phase="predict"), Slow(0.02, 40, 214)),
        (Slow(0.3, 6, 120, 170, phase="predict"), Slow(0.05, 40, 212)),
        (Slow(0.15, 8, 100, 150, phase="predict"), Slow(0.02, 40, 196)),
    ],
    ids=["two in a hundred later", "one in twenty later", "soon after"],
)
def test_a_slowdown_that_was_over_is_not_going_on_because_another_one_began(earlier, later):
    """Two days of a slow phase end; less time later another phase makes a few calls far slower: only that one goes on."""
    member = Slowness("after one that is over", (earlier, later), 400, 60, 60.0)
    windows = member.windows(np.random.default_rng(12))
    (finding,) = [each for each in check(windows, {}).findings if each.kind == "latency"]
    assert finding.where.phase == "fetch"
    assert abs(finding.onset.at_ns - member.onset_ns()) <= 3 * HOUR_NS


@pytest.mark.parametrize(
    ("lasts", "factor", "severity"), [(120, 5, "ticket"), (300, 5, "page")], ids=["as long", "longer"]
)
@pytest.mark.parametrize("days", [1, 7])
def test_the_second_turn_of_a_slow_hour_is_no_page_unless_it_lasts(days, lasts, factor, severity):
    """Two slow hours, and the same a day or a week later in windows of ten minutes: a ticket that names the former; a page if it goes on."""
    size, first = (days * 24 + 10) * 6, 4 * 6
    second = first + days * 24 * 6
    rng, traffic = traffic_of(31, size, per_minute=600.0, versions=1)
    tables = slow(slow(steady_latency(rng, size), 0.2, 8, first, first + 12), 0.2, factor, second, second + lasts // 10)
    made = []
    for window in timed(rng, traffic, tables):
        start_ns = START_NS + 10 * (window.start_ns - START_NS)
        made.append(replace(window, start_ns=start_ns, end_ns=start_ns + 10 * MINUTE_NS))
    findings = sorted(check(made, {}, past=True).findings, key=lambda finding: finding.onset.at_ns)
    assert [finding.severity for finding in findings] == ["page", severity]
    named = [item.value for item in findings[1].evidence if item.name == "second_turn"]
    assert named == ([days] if severity == "ticket" else [])
