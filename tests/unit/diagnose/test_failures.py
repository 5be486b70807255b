"""Failing calls: detected in two windows for any history, at the right place, and closed when over."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.incidents.service import (
    DAY,
    MINUTE_NS,
    START_NS,
    WORLDS,
    Traffic,
    calls,
    failing,
    is_member,
    plant,
    series,
)
from radiosonde.diagnose import check
from radiosonde.diagnose.failure_findings import failure_finding
from radiosonde.diagnose.failure_incidents import find_failures
from radiosonde.diagnose.measures import MeasureTable, make_table
from radiosonde.diagnose.places import PlaceName

HOUR = 60


def served(seed, minutes, keys, *, per_minute=1500.0, rate=1e-5):
    """Return healthy traffic of *minutes* minutes."""
    rng = np.random.default_rng(seed)
    made = calls(rng, minutes, keys, per_minute)
    return rng, Traffic(keys, made, failing(rng, made, rate))


def opened_after(traffic, onset):
    """Return the first incident that was opened after *onset*, or None, and how many windows that took."""
    found = find_failures(traffic.table())
    incidents = [incident for incident in found.incidents if incident.opened >= onset]
    return (incidents[0], incidents[0].opened - onset + 1) if incidents else (None, 99)


@pytest.mark.parametrize("history", [3 * HOUR, 24 * HOUR, 72 * HOUR])
@pytest.mark.parametrize("rate", [0.005, 0.02, 0.3])
def test_failures_are_found_in_two_windows_whatever_the_history(rate, history):
    """1 500 calls a minute: the median of seven draws is at most two windows, after three hours and after three days."""
    took = []
    for seed in range(7):
        rng, traffic = served(seed, history + 30, series(2, region=4))
        took.append(opened_after(plant(rng, traffic, rate, history), history)[1])
    assert np.median(took) <= 2
    assert max(took) <= 4


def test_six_failures_in_three_thousand_calls_are_seen_after_a_quiet_day():
    """0.2 % from next to nothing is six calls in two windows: within three in the median."""
    took = []
    for seed in range(9):
        rng, traffic = served(seed, 24 * HOUR + 30, series(1, region=4))
        took.append(opened_after(plant(rng, traffic, 0.002, 24 * HOUR), 24 * HOUR)[1])
    assert np.median(took) <= 3


PLACES = [
    ("", "", PlaceName()),
    ("v2", "", PlaceName("v2", "canary")),
    ("", "region=r1", PlaceName(cohort="region=r1")),
    ("", "plan=p1", PlaceName(cohort="plan=p1")),
    ("", "plan=p1,region=r2", PlaceName(cohort="plan=p1,region=r2")),
    ("v2", "region=r1", PlaceName("v2", "canary", "region=r1")),
    ("v1", "plan=p0,region=r3", PlaceName("v1", "stable", "plan=p0,region=r3")),
]


@pytest.mark.parametrize(("version", "cohort", "name"), PLACES, ids=[f"{v} {c}" for v, c, _ in PLACES])
def test_the_place_is_named_exactly(version, cohort, name):
    """Two versions, two dimensions: what fails is named, no more and no less, 15 minutes after the onset."""
    exact = 0
    for seed in range(6):
        rng, traffic = served(seed, 8 * HOUR, series(2, region=5, plan=3), rate=3e-4)
        traffic = plant(rng, traffic, 0.15, 8 * HOUR - 15, version=version, cohort=cohort)
        found = find_failures(traffic.table())
        (incident,) = found.incidents
        exact += [found.places.names[index] for index in incident.cover.places] == [name]
        assert abs(incident.onset - (8 * HOUR - 15)) <= 1
    assert exact >= 5


def test_two_cohorts_are_two_places_and_a_spared_one_is_said():
    """Two of eight regions fail: both are named. Seven of eight fail: it is all calls, and the one that does not is said."""
    rng, traffic = served(3, 8 * HOUR, series(1, region=8), rate=1e-4)
    two = plant(rng, plant(rng, traffic, 0.2, 450, cohort="region=r2"), 0.2, 450, cohort="region=r5")
    found = find_failures(two.table())
    named = {found.places.names[index].cohort for incident in found.incidents for index in incident.cover.places}
    assert named == {"region=r2", "region=r5"}
    for number in range(7):
        traffic = plant(rng, traffic, 0.2, 450, cohort=f"region=r{number}")
    found = find_failures(traffic.table())
    (incident,) = found.incidents
    assert incident.cover.places == (0,)
    assert [name.cohort for name in incident.cover.spared] == ["region=r7"]


def test_thirty_percent_for_eight_hours_after_three_quiet_days_is_a_page():
    """A fault that has lasted less than a day is not a note."""
    rng, traffic = served(1, 80 * HOUR, series(1), per_minute=10.0, rate=0.002)
    (finding,) = check(plant(rng, traffic, 0.3, 72 * HOUR).windows(), {}).findings
    assert (finding.name, finding.severity) == ("errors.errors.all", "page")
    assert finding.onset.ended_ns is None
    assert abs(finding.onset.at_ns - (START_NS + 72 * HOUR * MINUTE_NS)) <= 2 * MINUTE_NS
    assert "TimeoutError, which did not occur before" in finding.verdict


def test_what_is_over_is_a_note_and_a_finding_only_of_the_past():
    """Two hours of failures, ten hours ago: no page now; asked for that time, it is one."""
    rng, traffic = served(2, 24 * HOUR, series(2, region=3), per_minute=200.0, rate=0.001)
    windows = plant(rng, traffic, 0.3, 12 * HOUR, 14 * HOUR, version="v2", cohort="region=r1").windows()
    now = check(windows, {})
    assert (now.status, now.findings) == ("healthy", ())
    (note,) = now.notes
    assert note.name == "version.errors.v2.region=r1"
    assert abs(note.onset.ended_ns - (START_NS + 14 * HOUR * MINUTE_NS)) <= 2 * MINUTE_NS
    (finding,) = check(windows, {}, past=True).findings
    assert (finding.name, finding.severity) == (note.name, "page")


@pytest.mark.parametrize(("hourly", "hours"), [(1.0, 30), (6.0, 8), (200.0, 4)])
def test_all_calls_failing_and_then_none_is_over_even_where_there_are_few(hourly, hours):
    """One call an hour or two hundred: thirty calls without a failure, after all had failed, end it."""
    rng = np.random.default_rng(9)
    keys = series(2, region=4)
    made = rng.poisson(np.where([[key == keys[5]] for key in keys], hourly, 40.0), (len(keys), 300)).astype(float)
    traffic = plant(
        rng, Traffic(keys, made, np.zeros_like(made)), 1.0, 230, 300 - hours, version="v2", cohort="region=r1"
    )
    assert keys[5].version == "v2"
    found = find_failures(traffic.table())
    (incident,) = found.incidents
    assert [found.places.names[index] for index in incident.cover.places] == [PlaceName("v2", "canary", "region=r1")]
    assert incident.recovered is not None
    assert abs(incident.recovered - (300 - hours)) <= 3


def test_a_fault_that_is_mended_by_half_goes_on():
    """All calls of a region fail, then one in five: that is not over."""
    rng, traffic = served(11, 7 * HOUR, series(1, region=4), per_minute=100.0)
    traffic = plant(rng, plant(rng, traffic, 1.0, 300, 340, cohort="region=r1"), 0.2, 340, cohort="region=r1")
    (incident,) = find_failures(traffic.table()).incidents
    assert (incident.onset, incident.recovered) == (300, None)


def test_a_new_version_that_fails_from_its_first_call_is_found_beside_the_old_one():
    """It has no past, and 3 % is below the objective: the comparison with the other version detects it."""
    rng, traffic = served(4, 12 * HOUR, series(2, region=3), per_minute=300.0, rate=0.001)
    young = np.array([key.version == "v2" for key in traffic.keys])
    traffic.calls[young, : 10 * HOUR] = traffic.failures[young, : 10 * HOUR] = 0
    findings = check(plant(rng, traffic, 0.03, 10 * HOUR, version="v2").windows(), {}).findings
    (finding,) = [each for each in findings if each.kind != "traffic"]  # its calls come on top of the old one's
    assert finding.name == "version.errors.v2.all"
    assert finding.onset.whole_span


def test_a_fault_that_stops_and_comes_back_is_one_incident():
    """Ten minutes of calm in an hour of failures neither end it nor make a second one."""
    rng, traffic = served(5, 10 * HOUR, series(1, region=2))
    traffic = plant(rng, traffic, 0.2, 500, 530)
    found = find_failures(plant(rng, traffic, 0.2, 540, 600).table())
    (incident,) = found.incidents
    assert (incident.onset, incident.recovered) == (500, None)


def test_one_quiet_window_does_not_close_and_three_do_not_open_again():
    """Checked minute by minute, the state changes twice: opened, recovered."""
    rng, traffic = served(6, 7 * HOUR, series(1, region=2))
    traffic = plant(rng, plant(rng, traffic, 0.2, 300, 320), 0.2, 321, 340)
    states = []
    for last in range(295, 380):
        incidents = find_failures(traffic.table(last)).incidents
        states.append([incident.recovered is None for incident in incidents])
    changes = [state for state, before in zip(states, [None, *states], strict=False) if state != before]
    assert changes == [[], [True], [False]]


@pytest.mark.parametrize("name", sorted(WORLDS))
def test_healthy_traffic_calls_for_nobody_however_often_one_looks(name):
    """Four model-days of each world; bursts are small incidents until they are known, two of a kind at most."""
    opened = 0
    for seed in range(2):
        rng = np.random.default_rng((seed, 11))
        keys = series(2, region=6)
        made = calls(rng, 48 * HOUR, keys, float(rng.choice([60, 600, 1500])))
        opened += len(find_failures(Traffic(keys, made, WORLDS[name](rng, made)).table()).incidents)
    assert opened <= (5 if name == "bursting" else 1 if name == "clustered" else 0)


def test_parts_permuted_split_over_processes_and_shifted_in_time_say_the_same():
    """The table holds the counts of all processes, in any order."""
    rng, traffic = served(7, 4 * HOUR, series(2, region=3), per_minute=60.0)
    traffic = plant(rng, traffic, 0.3, 220, cohort="region=r1")
    windows = traffic.windows()
    (whole,) = check(windows, {}).findings
    shuffled = [windows[index] for index in rng.permutation(len(windows))]
    (again,) = check(shuffled, {}).findings
    assert (again.name, again.onset, again.confidence) == (whole.name, whole.onset, whole.confidence)
    table, direct = make_table("m", windows), traffic.table()
    for mine, other in (
        (table.calls, direct.calls),
        (table.failures, direct.failures),
        (table.start_ns, direct.start_ns),
    ):
        assert (mine == other).all()


def test_looking_once_equals_having_looked_after_every_window():
    """The open incidents at a minute do not depend on later data."""
    rng, traffic = served(8, 6 * HOUR, series(2, region=3), per_minute=300.0, rate=0.002)
    traffic = plant(rng, plant(rng, traffic, 0.1, 200, 240), 0.05, 300, version="v2")
    whole = find_failures(traffic.table())
    for last in range(190, 360, 7):
        seen = {
            (incident.alarm.step, incident.alarm.place) for incident in find_failures(traffic.table(last)).incidents
        }
        expected = {
            (incident.alarm.step, incident.alarm.place) for incident in whole.incidents if incident.opened < last
        }
        assert seen == expected, last


def test_a_place_that_the_simulator_plants_is_what_it_says():
    """The oracle of these tests: membership by version and by every dimension."""
    keys = series(2, region=3, plan=2)
    assert sum(is_member(key, "v2", "region=r1") for key in keys) == 2
    assert sum(is_member(key, "", "plan=p0,region=r1") for key in keys) == 2
    assert all(is_member(key, "", "") for key in keys)


def at_two_every(days, count, *, minutes=60, rate=0.03):
    """Return traffic of which a share fails for some minutes at two in the morning, *count* times, every so many days; and the onsets."""
    total = (days * (count - 1) + 1) * 24 * HOUR + 20 * HOUR
    rng, traffic = served(21, total, series(1), per_minute=120.0)
    onsets = [number * days * 24 * HOUR + 2 * HOUR for number in range(count)]
    for onset in onsets:
        traffic = plant(rng, traffic, rate, onset, onset + minutes)
    return rng, traffic, onsets


@pytest.mark.parametrize(("days", "minutes", "rate"), [(1, 60, 0.03), (1, 150, 0.02), (7, 60, 0.03)])
def test_what_comes_every_night_or_every_week_is_usual_from_the_third_time_on(days, minutes, rate):
    """A job at two in the morning fails a share of the calls: known after two times, whether it comes every day or on one day of the week."""
    _, traffic, onsets = at_two_every(days, 5, minutes=minutes, rate=rate)
    found = find_failures(traffic.table())
    assert [incident.onset for incident in found.incidents] == pytest.approx(onsets[:2], abs=3)


def test_what_comes_every_night_is_found_where_it_lasts_or_grows_or_comes_at_another_time():
    """Five nights are usual; by day, three times as long, or ten times as much is not, and is seen as soon as elsewhere."""
    rng, traffic, onsets = at_two_every(1, 5)
    last = onsets[-1] + 12 * HOUR
    by_day = find_failures(plant(rng, traffic, 0.03, last, last + 60).table()).incidents[2:]
    assert [(each.onset, each.opened - each.onset <= 4) for each in by_day] == [(pytest.approx(last, abs=3), True)]
    longer = find_failures(plant(rng, traffic, 0.03, onsets[-1] + 60, onsets[-1] + 240).table()).incidents[2:]
    assert [each.onset for each in longer] == [pytest.approx(onsets[-1], abs=3)]
    larger = find_failures(plant(rng, traffic, 0.3, onsets[-1], onsets[-1] + 60).table()).incidents[2:]
    assert [each.opened - onsets[-1] <= 3 for each in larger] == [True]


def test_no_look_reports_a_burst_that_a_later_look_takes_back():
    """A burst like the known ones is not reported while it lasts, either: what a look says is not withdrawn by the next."""
    rng, traffic = served(22, 12 * HOUR, series(1), per_minute=300.0, rate=0.001)
    for start in range(60, 600, 90):
        traffic = plant(rng, traffic, 0.03, start, start + 3)
    whole = find_failures(traffic.table())
    kept = {incident.onset for incident in whole.incidents}
    for last in range(400, 620):
        assert {incident.onset for incident in find_failures(traffic.table(last)).incidents} <= kept, last


RHYTHMS = {
    "Monday mornings": (lambda day, hour: (day % 7 == 4) & (hour >= 9) & (hour < 12), 0.02, (32, 10)),
    "Saturdays": (lambda day, hour: day % 7 == 2, 0.02, (30, 9)),
    "every afternoon": (lambda day, hour: (hour >= 13) & (hour < 18), 0.02, (33, 15)),
    "nights but Sundays": (lambda day, hour: (hour < 4) & (day % 7 != 3), 0.03, (34, 2)),
}


@pytest.mark.parametrize("rhythm", RHYTHMS)
@pytest.mark.parametrize("fault", ["none", "within", "beside"])
def test_a_rhythm_of_the_week_calls_for_nobody_once_it_is_known_and_hides_no_fault(rhythm, fault):
    """Five weeks: after two turns a rhythm is known; three hours of a fault are opened within an hour, in the middle of its time as elsewhere."""
    turns, rate, (day, hour) = RHYTHMS[rhythm]
    rng, step, keys = np.random.default_rng(5), 10, series(1, region=2)
    at = np.arange(35 * DAY // step) * step
    shares = np.where(turns(at // DAY, at % DAY / 60), rate, 0.002)
    first = ((day if fault == "within" else 31) * DAY + (hour if fault == "within" else 20) * 60) // step
    if fault != "none":
        shares[first : first + 18] = 0.25
    made = rng.poisson(600.0, (2, at.size)).astype(float)
    failed = rng.binomial(made.astype(int), np.tile(shares, (2, 1))).astype(float)
    starts = START_NS + at * MINUTE_NS
    table = MeasureTable("m", tuple(keys), starts, starts + step * MINUTE_NS, made, failed, {})
    opened = sorted(incident.opened for incident in find_failures(table).incidents)
    late = [each for each in opened if each >= 15 * DAY // step]
    assert len(opened) - len(late) <= 3
    assert len(late) == (fault != "none")
    assert all(first <= each <= first + 6 for each in late)


SECOND_TURNS = {
    "on Monday mornings": (7, 9, 180, 0.03, "weekly"),
    "on Saturdays, all day": (7, 0, 1440, 0.02, "weekly"),
    "every night": (1, 2, 60, 0.04, "daily"),
}


def turned(days, hour, minutes, rate, *, first=1.0, lasts=1.0, off_days=0):
    """Return the findings on two turns of what may be a rhythm, in windows of ten minutes."""
    rng, step, keys = np.random.default_rng(23), 10, series(1, region=2)
    begins = [hour * 60 + 1440, hour * 60 + 1440 + int((days + off_days) * DAY)]
    at = np.arange((begins[1] + int(minutes * lasts) + 30) // step) * step
    shares = np.full(at.size, 0.001)
    for begin, factor, length in zip(begins, (1.0, first), (minutes, minutes * lasts), strict=True):
        shares[(at >= begin) & (at < begin + length)] = min(rate * factor, 1.0)
    made = rng.poisson(900.0, (2, at.size)).astype(float)
    failed = rng.binomial(made.astype(int), np.tile(shares, (2, 1))).astype(float)
    starts = START_NS + at * MINUTE_NS
    table = MeasureTable("m", tuple(keys), starts, starts + step * MINUTE_NS, made, failed, {})
    found = find_failures(table)
    return [failure_finding(table, found, incident, wants_past=True) for incident in found.incidents]


@pytest.mark.parametrize("rhythm", SECOND_TURNS)
def test_the_second_turn_of_a_rhythm_is_a_ticket_that_says_so(rhythm):
    """One turn is no rhythm yet and may become one: reported, with the first turn as evidence, and no page."""
    days, hour, minutes, rate, word = SECOND_TURNS[rhythm]
    first, second = turned(days, hour, minutes, rate)
    assert (first.severity, second.severity) == ("page", "ticket")
    assert f"It may be {word}" in second.verdict
    assert [item.value for item in second.evidence if item.name == "second_turn"] == [days]


@pytest.mark.parametrize(
    "other",
    [{"first": 5.0}, {"lasts": 3.0}, {"off_days": 2}, {"off_days": 0.25}],
    ids=["far worse", "three times as long", "on another day", "at another time"],
)
def test_what_is_unlike_the_first_turn_is_a_page(other):
    """Nothing hides behind one former rise: neither a worse one, nor a longer one, nor one at another time."""
    assert [finding.severity for finding in turned(7, 9, 120, 0.008, **other)][-1:] == ["page"]
