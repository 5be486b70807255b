"""Detection floors are honest: a change at the floor is found about nine times in ten, no less and not always."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.bench_floors import CHECKS, SEEDS, beside_bursts
from benchmarks.quality.incidents.latency import MEDIAN_S, slow, steady, table_of, timed
from benchmarks.quality.incidents.service import Traffic, calls, failing, series
from benchmarks.quality.incidents.slowness import Slow, Slowness
from radiosonde.diagnose import check
from radiosonde.diagnose.panel import Axis
from radiosonde.diagnose.share_floors import ShareRule, share_floor


@pytest.mark.slow
@pytest.mark.parametrize("name", ["failures-2", "failures-60", "failures-500"])
def test_a_rise_to_the_floor_is_found_in_80_to_97_percent_of_the_draws(name):
    """From next to no failures and from one in a hundred; in two windows, an hour and eight hours."""
    _, draw = CHECKS[name]
    found = sum(bool(draw(seed)) for seed in range(SEEDS))
    assert 0.8 * SEEDS <= found <= 0.97 * SEEDS


@pytest.mark.parametrize("length", [2, 8, 32])
def test_the_floor_beside_usual_bursts_is_that_of_a_rise_that_is_no_such_burst(length):
    """A rise as small as known bursts is taken for one of them until it outlasts them; what the floor names is reported all the same."""
    found = [beside_bursts(seed, length) for seed in range(20)]
    assert sum(map(bool, found)) >= 15


@pytest.mark.slow
@pytest.mark.parametrize("name", ["latency", "latency-busy", "runtime", "missing", "level", "label-silence"])
def test_a_change_as_large_as_the_floor_is_found_by_every_other_check_too(name):
    """Of the draws that had a floor, three in four at least; `make bench B=floors` has more of them."""
    _, draw = CHECKS[name]
    found = [each for each in map(draw, range(4 if name == "label-silence" else 12)) if each is not None]
    assert len(found) >= 4
    assert sum(found) >= 0.75 * len(found)


def test_the_floor_of_slow_calls_is_said_with_its_bound():
    """The bound is one at which calls matter: the slowest 1 % take 47 ms on average, and must take half as long again."""
    rng = np.random.default_rng((0, 5))
    keys = series(1)
    made = calls(rng, 200, keys, 400.0)
    windows = timed(rng, Traffic(keys, made, np.zeros_like(made)), steady(rng, 200))
    (checked,) = [entry for entry in check(windows, {}).checked if entry.subject == "latency"]
    assert checked.floors
    assert all("% of calls above 68.2 ms for " in floor.text for floor in checked.floors)


def neighbour(rng, minutes):
    """A busy neighbour comes and goes every few minutes and makes all calls up to three times as slow."""
    factors = np.repeat(np.round(rng.lognormal(0.0, 0.5, minutes // 10 + 1), 1) + 0.1, 10)[:minutes]
    return np.stack([table_of(MEDIAN_S * factor) for factor in factors])


NOISY = {
    "a third slower for an hour": lambda rng, minutes: slow(steady(rng, minutes), 1.0, 1.33, minutes - 60),
    "a fifth slower since the middle": lambda rng, minutes: slow(steady(rng, minutes), 1.0, 1.2, minutes // 2),
    "a tenth of the calls twice as slow": lambda rng, minutes: slow(steady(rng, minutes), 0.1, 2, minutes - 30),
    "three times as slow at times": neighbour,
}


@pytest.mark.parametrize("per_minute", [100.0, 1500.0])
@pytest.mark.parametrize("world", sorted(NOISY))
def test_latency_that_is_noisy_has_a_floor_and_a_change_at_the_floor_is_found(world, per_minute):
    """What is slower, but not by enough to be reported, leaves a floor that is honest; the check is never refused because of it."""
    rng, minutes = np.random.default_rng(3), 300
    traffic = Traffic(series(1), calls(rng, minutes, series(1), per_minute), np.zeros((1, minutes)))
    tables = NOISY[world](rng, minutes)
    before = check(timed(rng, traffic, tables), {})
    assert (before.status, before.findings) == ("healthy", ())
    (checked,) = [entry for entry in before.checked if entry.subject == "latency"]
    share, bound_s = checked.floors[0].value, float(checked.floors[0].text.split()[5]) / 1000
    assert checked.floors[0].text.endswith(" ms for two windows")
    assert 0.005 < share < 0.25
    beyond = table_of(1.5 * bound_s, 0.1)
    tables[-2:] = (1 - share) * tables[-2:] + share * beyond
    assert [finding.kind for finding in check(timed(rng, traffic, tables), {}).findings] == ["latency"]


@pytest.mark.parametrize("share", [0.1, 1.0])
@pytest.mark.parametrize("days", [1, 7], ids=["every night", "every Monday"])
def test_a_usual_slow_time_leaves_a_floor(share, days):
    """In the middle of the fourth slow time, of the night or of the week, calls are as slow as they usually are, and the check is made."""
    steps = 24 * days
    times = tuple(Slow(share, 6 if share < 1 else 2.5, turn * steps + 9, turn * steps + 13) for turn in range(4))
    windows = Slowness("usual", times, 3 * steps + 12, 60, 900.0).windows(np.random.default_rng(7))
    diagnosis = check(windows, {})
    assert (diagnosis.status, diagnosis.findings) == ("healthy", ())
    (checked,) = [entry for entry in diagnosis.checked if entry.subject == "latency"]
    assert 0 < checked.floors[-1].value < 0.2


def nights(rng, share, last=30):
    """Return the windows of three nights and *last* minutes of the fourth, of which the first 40 minutes fail more often, by a day of 1440."""
    minutes = 4 * 1440 + last
    made = calls(rng, minutes, series(1), 400.0)
    rate = np.where((np.arange(minutes) % 1440 < 40) & (np.arange(minutes) >= 1440), share, 0.001)
    return made, rng.binomial(made.astype(int), rate).astype(float)


@pytest.mark.parametrize(("share", "last"), [(0.02, 30), (0.02, 8), (0.01, 26), (0.04, 20)])
def test_a_usual_rise_of_failures_leaves_a_floor_and_a_rise_to_it_is_found(share, last):
    """In the middle of a nightly rise that is no incident the check of failures is not refused, and says what it would report."""
    rng = np.random.default_rng(4)
    made, failures = nights(rng, share, last)
    before = check(Traffic(series(1), made, failures).windows(), {})
    assert (before.status, before.findings) == ("healthy", ())
    (checked,) = [entry for entry in before.checked if entry.subject == "errors"]
    (floor,) = checked.floors
    assert floor.text.endswith(" failing for 3 windows, while a usual rise goes on")
    assert 2 * share < floor.value < 10 * share
    later, more = nights(np.random.default_rng(4), share, last + 12)
    more[:, -3:] = rng.binomial(later[:, -3:].astype(int), floor.value)
    assert [finding.kind for finding in check(Traffic(series(1), later, more).windows(), {}).findings] == ["errors"]


@pytest.mark.parametrize("fault", ["failures", "latency", "both"])
def test_no_look_at_the_end_of_an_incident_is_refused(fault):
    """From the end of a fault of half an hour on, each look has findings or is healthy: the look that finds it over has floors, too."""
    rng, minutes = np.random.default_rng(1), 360
    made = calls(rng, minutes, series(1), 400.0)
    rate = np.full(minutes, 0.001)
    rate[300:330] = 0.001 if fault == "latency" else 0.1
    tables = slow(steady(rng, minutes), 0.0 if fault == "failures" else 0.2, 6, 300, 330)
    windows = timed(rng, Traffic(series(1), made, rng.binomial(made.astype(int), rate).astype(float)), tables)
    statuses = [check(windows[:size], {}).status for size in range(330, 338)]
    assert statuses == sorted(statuses)
    assert set(statuses) == {"findings", "healthy"}


@pytest.mark.parametrize(
    ("hits", "length", "floor"),
    [(0.0, 96, (0.03, 0.08)), (0.2, 96, (0.1, 0.25)), (0.0, 2, (float("nan"),) * 2), (1.0, 96, (float("nan"),) * 2)],
    ids=["none before", "a fifth before", "for two steps", "all before"],
)
def test_the_floor_of_a_share_depends_on_what_there_was_and_how_long_it_lasts(hits, length, floor):
    """Of 20 days of hours with 50 rows each, two hours say nothing to a scan in blocks; nor does anything where all is missing anyhow."""
    axis = Axis(0, 3_600_000_000_000, 480)
    totals = np.full(axis.size, 50.0)
    events = np.random.default_rng(1).binomial(50, hits, axis.size).astype(float)
    found = share_floor(axis, events, totals, 6, length, ShareRule(0.03))
    assert np.isnan(found) if np.isnan(floor[0]) else floor[0] <= found <= floor[1]


def test_the_floor_falls_with_time_and_traffic_and_is_in_text_and_json():
    """An hour shows less than two windows need; ten times the calls show less, too."""
    floors = {}
    for per_minute in (60.0, 600.0):
        rng = np.random.default_rng(1)
        keys = series(1)
        made = calls(rng, 300, keys, per_minute)
        diagnosis = check(Traffic(keys, made, failing(rng, made, 0.001)).windows(), {})
        (checked,) = [entry for entry in diagnosis.checked if entry.subject == "errors"]
        floors[per_minute] = [floor.value for floor in checked.floors]
        assert [floor.text.split(" failing ")[1] for floor in checked.floors] == ["for two windows", "for an hour"]
        (entry,) = [entry for entry in diagnosis.to_json()["checked"] if entry["subject"] == "errors"]
        assert [floor["value"] for floor in entry["floors"]] == floors[per_minute]
    assert floors[60.0][0] > floors[60.0][1] > floors[600.0][1]
    assert floors[60.0][0] > floors[600.0][0]
