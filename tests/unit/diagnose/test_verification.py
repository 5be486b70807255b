"""Verification of a fix: right answers, an honest power, and how many calls are missing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.quality.incidents.service import MINUTE_NS, START_NS
from radiosonde.diagnose.verification import MeasuredRate, verify


def measured(seed, rates, *, per_minute=200.0, objective=None):
    """Return a rate drawn minute by minute: *rates* are (minutes, rate)."""
    rng = np.random.default_rng(seed)
    expected = np.concatenate([np.full(minutes, rate) for minutes, rate in rates])
    trials = rng.poisson(per_minute, expected.size)
    starts = START_NS + np.arange(expected.size) * MINUTE_NS
    return MeasuredRate(
        starts,
        starts + MINUTE_NS,
        rng.binomial(trials, expected).astype(float),
        trials.astype(float),
        "calls that fail",
        objective,
    )


def at(minute):
    """Return the nanoseconds of *minute*."""
    return START_NS + minute * MINUTE_NS


@pytest.mark.parametrize(("usual", "during", "after", "answer"), [
    (0.001, 0.3, 0.001, "fixed"),
    (0.001, 0.3, 0.3, "not fixed"),
    (0.001, 0.3, 0.15, "not fixed"),
    (0.01, 0.05, 0.01, "fixed"),
    (0.01, 0.05, 0.05, "not fixed"),
    (0.0, 0.02, 0.0, "fixed"),
    (0.0, 0.02, 0.02, "not fixed"),
])  # fmt: skip
@pytest.mark.parametrize("is_given", [True, False])
def test_the_answer_is_right(usual, during, after, answer, is_given):
    """An hour of calls after the fix, whether its moment is given or found: in at least 19 of 20 draws."""
    right = 0
    for seed in range(20):
        rate = measured(seed, [(300, usual), (60, during), (60, after)])
        done = verify(rate, at(300), at(360) if is_given else None)
        # Half of the failures gone may be found as the moment of a fix that did not work.
        right += done.answer == answer
        if is_given:
            assert done.during == pytest.approx(during, rel=0.25)
    assert right >= 19


def test_few_calls_are_no_answer_and_say_how_many_are_missing():
    """Two minutes after a fix of 2 % against 0.5 %: that many calls more, and there is one."""
    rate = measured(1, [(300, 0.005), (60, 0.02), (2, 0.005)], per_minute=50.0)
    done = verify(rate, at(300), at(360))
    assert done.answer == "unknown"
    assert done.needed > 100
    assert done.needed_s == pytest.approx(done.needed / done.trials * 120, rel=0.01)
    more = math.ceil(1.5 * done.needed / 50)
    answers = [
        verify(measured(seed, [(300, 0.005), (60, 0.02), (2 + more, 0.005)], per_minute=50.0), at(300), at(360)).answer
        for seed in range(20)
    ]
    assert answers.count("fixed") >= 14
    assert answers.count("not fixed") == 0


@pytest.mark.parametrize(("usual", "during"), [(0.001, 0.3), (0.005, 0.05), (0.0, 0.02)])
def test_the_power_is_honest(usual, during):
    """A rate of the size that would have been noticed is not called fixed in about nine of ten draws."""
    known = measured(1, [(300, usual), (60, during), (30, usual)])
    done = verify(known, at(300), at(360))
    assert usual < done.noticed < during
    rng = np.random.default_rng(7)
    missed = 0
    for _ in range(200):
        hits = known.hits.copy()
        hits[360:] = rng.binomial(known.trials[360:].astype(int), done.noticed)
        missed += verify(known._replace(hits=hits), at(300), at(360)).answer == "fixed"
    assert 0.03 <= missed / 200 <= 0.18


def test_no_call_since_the_fix_is_no_answer():
    """Silence is not health."""
    rate = measured(1, [(300, 0.001), (60, 0.3)])
    done = verify(rate, at(300), at(360))
    assert (done.answer, done.trials) == ("unknown", 0)
    assert math.isnan(done.noticed)
    assert math.isnan(done.needed_s)


def test_an_objective_tells_where_nothing_was_usual():
    """Bad from the first call on, objective 1 %: 0.3 % since the fix is fixed, 2 % is not."""
    for after, answer in ((0.003, "fixed"), (0.02, "not fixed")):
        done = verify(measured(3, [(60, 0.05), (60, after)], objective=0.01), at(0), at(60))
        assert done.answer == answer
        assert math.isnan(done.usual)


def test_clustered_failures_are_worth_less():
    """Failures that come by the dozen need more calls for the same answer."""
    plain = measured(1, [(300, 0.01), (60, 0.05), (30, 0.01)])
    rng = np.random.default_rng(5)
    bursts = 12.0 * rng.binomial(plain.trials.astype(int), 0.01 / 12)
    clustered = plain._replace(hits=np.where(np.arange(390) // 60 == 5, plain.hits, bursts))
    one, other = verify(plain, at(300), at(360)), verify(clustered, at(300), at(360))
    assert other.high - other.low > 1.5 * (one.high - one.low)


def test_a_fix_that_is_found_needs_more_than_one_that_is_given():
    """The moment was chosen because the calls after it looked well, and the interval pays for it."""
    rate = measured(2, [(300, 0.001), (60, 0.3), (60, 0.001)])
    given, found = verify(rate, at(300), at(360)), verify(rate, at(300))
    assert abs(found.since_ns - at(360)) <= MINUTE_NS
    assert found.high > given.high
    assert (given.is_given, found.is_given) == (True, False)
