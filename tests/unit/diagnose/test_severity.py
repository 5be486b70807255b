"""Severity follows from the share of calls that suffer, in every kind of finding."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.incidents.latency import table_of, timed
from benchmarks.quality.incidents.service import Traffic, calls, failing, is_member, series
from radiosonde.config import read_text
from radiosonde.diagnose import Policy, check
from radiosonde.diagnose.severity import AffectedShares, far_slower_s, severity_of
from tests.factories import KEY, START_NS, make_durations, make_runtime_window, make_window

MINUTE_NS = 60_000_000_000
MINUTES, ONSET = 300, 240
USUAL_S = 0.037
"""Median of calls whose p99 is about 120 ms."""


@pytest.mark.parametrize(
    ("impact", "allowed", "severity"),
    [
        ((0.019, 0.0049), None, "ticket"), ((0.02, 0.0001), None, "page"), ((0.006, 0.005), None, "page"),
        ((0.03, 0.009), 0.01, "page"), ((0.019, 0.009), 0.01, "ticket"), ((0.011, 0.01), 0.01, "page"),
        ((0.04, 0.04), 0.05, "ticket"), ((0.0015, 0.001), 0.001, "page"), ((0.0, 0.0), None, "ticket"),
    ],
    ids=str,
)  # fmt: skip
def test_the_rule(impact, allowed, severity):
    """From 2 % of the place or 0.5 % of all, or from what an objective allows."""
    assert severity_of(AffectedShares(*impact), allowed) == severity


@pytest.mark.parametrize(("p99_s", "from_s"), [(0.004, 0.024), (0.02, 0.04), (0.12, 0.24), (3.0, 6.0)])
def test_a_call_is_far_slower_from_twice_the_slow_ones_on_and_20_ms(p99_s, from_s):
    """A few milliseconds more are never far slower, whatever their ratio."""
    assert far_slower_s(p99_s) == pytest.approx(from_s)


def slowed(share, seconds, cohort="", *, slo=""):
    """Return the findings on a service with a p99 of 120 ms of which *share* of the calls of *cohort* take *seconds* in the last hour."""
    rng = np.random.default_rng(5)
    keys = series(1, region=4)
    traffic = Traffic(keys, calls(rng, MINUTES, keys, 3000.0), np.zeros((len(keys), MINUTES)))
    usual = np.tile(table_of(USUAL_S), (MINUTES, 1))
    slower = usual.copy()
    slower[ONSET:] = (1 - share) * usual[ONSET:] + share * table_of(seconds, 0.1)
    quick, slow = timed(rng, traffic, usual), timed(rng, traffic, slower)
    windows = [two if not cohort or two.key.cohort == cohort else one for one, two in zip(quick, slow, strict=True)]
    policy = Policy(read_text(f'[model.m]\nslo.p99 = "{slo}"\n')[0]) if slo else Policy()
    return check(windows, {}, policy=policy).findings


@pytest.mark.parametrize(
    ("share", "seconds", "cohort", "severity"),
    [
        (0.003, 2.0, "", "ticket"), (0.0045, 1.0, "", "ticket"), (0.1, 0.21, "", "ticket"), (0.01, 0.8, "", "page"),
        (0.05, 0.4, "", "page"), (0.5, 1.0, "", "page"), (0.015, 2.0, "region=r0", "ticket"), (0.3, 1.0, "region=r0", "page"),
    ],
    ids=str,
)  # fmt: skip
def test_slow_calls_of_any_size(share, seconds, cohort, severity):
    """Few calls that are far slower, and many that are hardly slower, are a ticket; a hundredth of all calls at 800 ms is a page."""
    (finding,) = slowed(share, seconds, cohort)
    assert (finding.kind, finding.severity, finding.where.cohort) == ("latency", severity, cohort)
    (said,) = [item for item in finding.evidence if item.name == "suffering"]
    assert said.value <= share + 0.01


@pytest.mark.parametrize(
    ("slo", "share", "seconds", "severity"),
    [("2s", 0.3, 0.8, "ticket"), ("1500ms", 0.5, 1.0, "ticket"), ("500ms", 0.02, 0.8, "page"), ("150ms", 0.1, 0.21, "page")],
)  # fmt: skip
def test_an_objective_decides_where_there_is_one(slo, share, seconds, severity):
    """What keeps it is a ticket, however much slower the calls are; what breaks it is a page, however little."""
    (finding,) = slowed(share, seconds, slo=slo)
    assert (finding.kind, finding.severity) == ("latency", severity)


@pytest.mark.parametrize(
    ("usual", "more", "cohort", "severity"),
    [
        (0.0001, 0.003, "", "ticket"), (0.0001, 0.01, "", "page"), (0.006, 0.0045, "", "ticket"), (0.006, 0.012, "", "page"),
        (0.001, 0.015, "region=r3", "ticket"), (0.001, 0.03, "region=r3", "page"), (0.03, 0.03, "", "page"),
    ],
    ids=str,
)  # fmt: skip
def test_failing_calls_of_any_size(usual, more, cohort, severity):
    """Only failures that were added count: six in a thousand that always fail make no page of four more."""
    rng = np.random.default_rng(8)
    keys = series(1, region=40)
    made = np.floor(calls(rng, MINUTES, keys, 20_000.0))
    rates = np.full(made.shape, usual)
    mine = np.array([is_member(key, "", cohort) for key in keys])
    rates[np.ix_(mine, np.arange(MINUTES) >= ONSET)] += more
    (finding,) = check(Traffic(keys, made, failing(rng, made, rates)).windows(), {}).findings
    assert (finding.severity, finding.where.cohort) == (severity, cohort)


@pytest.mark.parametrize(
    ("durations", "field", "severity"),
    [
        ([0.001] * 30 + [1.05], "gc_pauses", "ticket"), ([0.001] * 30 + [4.6] * 2, "gc_pauses", "page"),
        ([0.002] * 20 + [0.7], "loop_lags", "ticket"), ([0.002] * 60 + [1.5] * 10, "loop_lags", "page"),
        ([0.001] * 590 + [5.0] * 11, "pool_waits", "ticket"), ([5.0] * 20, "pool_waits", "page"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"up to {max(value)} s",
)  # fmt: skip
def test_a_process_of_ten_that_stands_still_for_any_time(durations, field, severity):
    """A ticket where fewer than 2 % of its calls come while it stands still; half a per cent of all calls are not reached by one process."""
    windows = []
    for number in range(10):
        process = f"worker-{number}"
        for minute in range(120):
            start_ns = START_NS + minute * MINUTE_NS
            end_ns = start_ns + MINUTE_NS
            windows.append(
                make_window(KEY, start_ns=start_ns, end_ns=end_ns, process=process, durations_s=[0.005] * 20)
            )
            taken = durations if number == 3 and minute >= 60 else [0.001] * len(durations)
            health = {field: make_durations(taken)}
            windows.append(make_runtime_window(start_ns, end_ns, process=process, **health))
    (finding,) = check(windows, {}).findings
    assert (finding.name, finding.severity) == (f"runtime.{field}.worker-3", severity)
