"""Traffic in long windows, by jobs and by few callers: missing calls are detected, unknowns are gaps, and healthy rhythms need no action."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.incidents.service import DAY, MINUTE_NS, START_NS, Traffic, series
from benchmarks.quality.incidents.traffic import WORLDS, in_longer_steps, make_volume_grid
from radiosonde.diagnose.checks.traffic import CHECK, look
from radiosonde.diagnose.registry import Report, View
from radiosonde.diagnose.traffic_incidents import find_traffic, severity_of
from radiosonde.model import SeriesKey
from tests.factories import make_window

HOUR = 60
KEYS = series(2, region=4)


def grid_of(seed, steps, factor, where="", *, days=16.3, after=12, world="lull", rate=300.0):
    """Return calls in steps of *steps* minutes that change by *factor* at *where* for the last *after* steps, and the first of these."""
    rng = np.random.default_rng((seed, steps))
    size = int(days * DAY) // steps + after
    factors = np.ones((len(KEYS), size * steps))
    for row, key in enumerate(KEYS):
        if where in ("", key.cohort):
            factors[row, (size - after) * steps :] = factor
    minutes = make_volume_grid(rng, WORLDS[world](rng, size * steps, rate), KEYS, factors=factors)
    return in_longer_steps(minutes, steps), size - after


@pytest.mark.parametrize("steps", [30, 60, 120, 180])
@pytest.mark.parametrize(("factor", "severity"), [(0.4, "ticket"), (0.25, "page"), (0.0, "page"), (3.0, "ticket")])
def test_all_calls_that_change_are_found_in_long_windows(steps, factor, severity):
    """After two weeks: in each of four draws, from the first step on, within six, and nothing else; a modest fall is a note for a day."""
    if factor == 0.4 and 12 * steps < DAY:
        severity = "info"
    for seed in range(4):
        grid, first = grid_of(seed, steps, factor)
        (found,) = find_traffic(grid).incidents
        assert (found.place.parts, severity_of(grid, found)) == (0, severity)
        assert abs(found.excursion.onset - first) <= 1
        assert found.excursion.opened - first < 6


@pytest.mark.parametrize("factor", [0.0, 0.2, 4.0])
def test_a_cohort_that_changes_is_named_in_windows_of_an_hour(factor):
    """Gone, a fifth, four times as many: it alone, in four of five draws at least."""
    found = [[each.place.cohort for each in find_traffic(grid_of(seed, HOUR, factor, "region=r2")[0]).incidents] for seed in range(5)]  # fmt: skip
    assert found.count(["region=r2"]) >= 4


@pytest.mark.parametrize("steps", [60, 180])
@pytest.mark.parametrize("name", sorted(WORLDS))
def test_healthy_traffic_in_long_windows_pages_nobody(name, steps):
    """Four weeks of each world at two volumes; a holiday may be a ticket."""
    found = []
    for seed, rate in enumerate((5.0, 600.0)):
        rng = np.random.default_rng((seed, 21))
        grid = in_longer_steps(make_volume_grid(rng, WORLDS[name](rng, 28 * DAY, rate), KEYS), steps)
        found += [severity_of(grid, each) for each in find_traffic(grid).incidents]
    assert "page" not in found
    assert found.count("ticket") <= (3 if name == "holiday" else 0)


@pytest.mark.parametrize("steps", [60, 180])
def test_the_floor_of_long_windows_is_honest(steps):
    """A fall to the floor that was said is found in eight of ten draws at least."""
    hits = []
    for seed in range(20):
        healthy, _ = grid_of(seed, steps, 1.0, world="season", after=0)
        floor = find_traffic(healthy).floor.fall
        calls = healthy.calls.copy()
        calls[:, -2:] = np.random.default_rng(seed).binomial(calls[:, -2:].astype(int), np.exp(-floor))
        hits.append(any(each.place.parts == 0 for each in find_traffic(healthy._replace(calls=calls)).incidents))
    assert np.mean(hits) >= 0.8


def look_at(windows, beside=()):
    """Return the report of the traffic check."""
    report = Report()
    look(View("m", windows, [], {}, False, list(beside)), report)
    return report


def written_by_hour(days):
    """Return the spans of another model that is called in every hour."""
    return [(START_NS + hour * HOUR * MINUTE_NS, START_NS + (hour + 1) * HOUR * MINUTE_NS) for hour in range(round(days * 24))]  # fmt: skip


def windows_of(calls, keys=None):
    """Return windows of the given calls, shape (series, minutes)."""
    made = np.atleast_2d(calls).astype(float)
    return Traffic(keys or series(1), made, np.zeros_like(made)).windows()


def job(days, *, factor=1.0, affected=1, at=130, every=lambda _: True):
    """Return calls by minute of a nightly job of half an hour that changes by *factor* in the last *affected* nights."""
    rng = np.random.default_rng((days, affected))
    calls = np.zeros(days * DAY)
    for day in filter(every, range(days)):
        rate = 200.0 * (factor if day >= days - affected else 1.0)
        start = day * DAY + at + int(rng.integers(-8, 9))
        calls[start : start + 30] = rng.poisson(rate, 30)
    return calls


@pytest.mark.parametrize(
    ("factor", "affected", "at"), [(0.5, 1, 130), (0.3, 2, 130), (0.5, 1, 700), (2.5, 1, 130), (0.1, 1, 1390)]
)
def test_a_job_that_does_less_or_more_than_ever_is_a_ticket(factor, affected, at):
    """Half of the rows of one night, at noon and before midnight, and two and a half times as many."""
    calls = np.roll(job(12, factor=factor, affected=affected), at - 130)
    (finding,) = look_at(windows_of(calls), written_by_hour(12)).findings
    assert (finding.severity, finding.where.cohort) == ("ticket", "")
    assert ("fewer" if factor < 1 else "more") in finding.title


@pytest.mark.parametrize("every", [lambda _: True, lambda day: day % 7 < 5, lambda day: day % 2 == 0], ids=["daily", "weekdays", "every other"])  # fmt: skip
def test_a_healthy_job_is_no_finding_on_any_day(every):
    """Checked every eleven hours from the second week on."""
    windows = windows_of(job(21, every=every))
    for look_hour in range(14 * 24, 21 * 24 + 1, 11):
        until_ns = START_NS + look_hour * HOUR * MINUTE_NS
        report = look_at([window for window in windows if window.end_ns <= until_ns], written_by_hour(look_hour / 24))
        assert report.findings == report.notes == []


@pytest.mark.parametrize(("per_day", "factor", "days"), [(20, 0.2, 5), (60, 0.2, 3), (60, 4.0, 3), (200, 0.4, 2)])
def test_a_few_calls_a_day_that_become_fewer_or_more_are_a_ticket(per_day, factor, days):
    """At random times; 24 usual days before, and the floor would have said that less is seen."""
    rng = np.random.default_rng((per_day, days))
    rate = np.where(np.arange(28 * DAY) < (28 - days) * DAY, per_day / DAY, factor * per_day / DAY)
    report = look_at(windows_of(rng.poisson(rate)), written_by_hour(28))
    (finding,) = report.findings
    assert finding.severity == "ticket"
    assert finding.onset.at_ns >= START_NS + (26 - days) * DAY * MINUTE_NS


def small_cohort(minutes, share, gone):
    """Return windows of four cohorts, the last with *share* of 60 calls a minute until minute *gone*."""
    rng = np.random.default_rng(minutes)
    keys = series(1, region=4)
    rates = np.full((4, minutes), 60 * (1 - share) / 3)
    rates[3] = np.where(np.arange(minutes) < gone, 60 * share, 0.0)
    return windows_of(rng.poisson(rates), keys)


@pytest.mark.parametrize("share", [0.002, 0.01, 0.02])
def test_a_small_cohort_that_falls_silent_while_the_others_go_on_is_a_ticket(share):
    """Seven, 36 and 72 calls an hour: too few for a forecast, but their pauses are known."""
    gone = 26 * HOUR
    report = look_at(small_cohort(gone + round(3600 / (60 * share * 60) * 12) + 60, share, gone))
    (finding,) = report.findings
    assert (finding.where.cohort, finding.severity) == ("region=r3", "ticket")
    assert abs(finding.onset.at_ns - (START_NS + gone * MINUTE_NS)) <= 60 * MINUTE_NS
    assert not look_at(small_cohort(gone, share, gone)).findings


def test_a_cohort_of_a_handful_of_calls_is_said_to_be_unknown():
    """Four calls in a day: the usual number is unknown, and the check reports a gap."""
    minutes, keys = 26 * HOUR, series(1, region=2)
    calls = np.stack([np.full(minutes, 60), np.zeros(minutes)])
    calls[1, [100, 700, 901, 1400]] = 1
    report = look_at(windows_of(calls, keys))
    assert any("region=r1" in gap.because for gap in report.gaps)


def test_floors_name_rises_and_the_smallest_cohort():
    """What would have been seen of a retry storm and of one cohort, beside all calls that stop."""
    rng = np.random.default_rng(4)
    report = look_at(windows_of(rng.poisson(30, (4, 12 * HOUR)), series(1, region=4)))
    texts = " ".join(floor.text for floor in report.checked[0].floors)
    assert "a rise to" in texts
    assert "in region=r" in texts


def test_windows_of_a_day_are_looked_at_by_day():
    """A store that keeps days: a model that drops to a third is found, and one that does not is not."""
    day = windows_of(np.full(28, 1000.0))
    for last, expected in ((300, 1), (900, 0)):
        windows = [
            replace(window, calls=last if index == 27 else window.calls, start_ns=START_NS + index * DAY * MINUTE_NS, end_ns=START_NS + (index + 1) * DAY * MINUTE_NS)
            for index, window in enumerate(day)
        ]  # fmt: skip
        assert len(look_at(windows).findings) == expected


def test_the_health_of_a_process_that_replayed_an_old_time_makes_no_cohort_silent():
    """It was written years after the calls; beside calls of the same time it says that a process lived."""
    hour_ns = 3_600_000_000_000
    windows = [
        make_window(
            SeriesKey("m", "v1", cohort=f"region=r{region}"),
            start_ns=hour * hour_ns, end_ns=(hour + 1) * hour_ns, durations_s=[0.01] * 2,
        )
        for hour in range(24 * 14)
        for region in range(3)
        if region or hour < 24 * 12
    ]  # fmt: skip
    late = [(120_000 * hour_ns, 120_001 * hour_ns)]
    report = CHECK.examine(View("m", windows, [], {}, beside=late))
    silent = [finding for finding in report.findings if finding.where.cohort]
    assert [finding.where.cohort for finding in silent] == ["region=r0"]
    assert silent[0].onset.latest_ns <= 24 * 14 * hour_ns
    assert not [finding for finding in report.findings if not finding.where.cohort]


@pytest.mark.parametrize(("per_hour", "years"), [(2, 14), (2, -14), (900, 14), (900, -14)], ids=str)
def test_health_of_another_year_says_nothing_about_a_replay(per_hour, years):
    """Asked once for the model and all its parts: with few calls or many, and health of years before or after, the answer is that without any."""
    hour_ns = 3_600_000_000_000
    windows = [
        make_window(
            SeriesKey("m", "v1", cohort=f"region=r{region}"),
            start_ns=hour * hour_ns, end_ns=(hour + 1) * hour_ns, durations_s=[0.01],
        )
        for hour in range(24 * 9)
        for region in range(2)
    ]  # fmt: skip
    windows = [replace(window, calls=per_hour) for window in windows]
    by_ns = years * 365 * 24 * hour_ns
    beside = [(by_ns + hour * hour_ns, by_ns + (hour + 1) * hour_ns) for hour in range(24 * 9)]
    without, report = (CHECK.examine(View("m", windows, [], {}, beside=spans)) for spans in ((), beside))
    assert report == without
    assert not report.findings
