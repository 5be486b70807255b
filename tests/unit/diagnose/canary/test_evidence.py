"""Evidence against places: an e-process by enumeration, dispersions of what clusters, and beginnings."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from radiosonde.diagnose.canary.evidence import Known, dispersions, likely_start, place_evidence
from radiosonde.diagnose.two_arms import Arms

WHOLE = np.ones((1, 1), dtype=bool)


def arms_of(hits, trials, rest_hits, rest_trials):
    """Return counts of one stratum."""
    return Arms(*(np.array([part], dtype=np.int64) for part in (hits, trials, rest_hits, rest_trials)))


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.7])
def test_the_mixture_has_expectation_at_most_one_after_every_step(rate):
    """Over all outcomes of two steps of three and four calls, sizes and beginnings mixed."""
    known = Known(np.array([6]), np.array([20]))
    total = np.zeros(2)
    for e1, e0, f1, f0 in product(range(4), range(5), range(4), range(5)):
        chance = np.prod([stats.binom.pmf(hits, trials, rate) for hits, trials in ((e1, 3), (e0, 4), (f1, 3), (f0, 4))])
        found = place_evidence(arms_of([e1, f1], [3, 3], [e0, f0], [4, 4]), WHOLE, known)
        total += chance * np.exp(found.ln_e[0])
    assert np.all(total <= 1 + 1e-9)


@pytest.mark.parametrize("worse", [0.0, 0.1])
def test_a_new_version_that_fails_less_gives_no_evidence(worse):
    """The null holds every version that is not worse: the expectation stays below one."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(100):
        old = rng.binomial(90, 0.1 + worse, 60)
        new = rng.binomial(10, 0.1, 60)
        found.append(place_evidence(arms_of(new, np.full(60, 10), old, np.full(60, 90)), WHOLE).ln_e.max())
    assert np.mean(np.array(found) >= np.log(20)) <= 0.05


@pytest.mark.parametrize(("size", "low", "high"), [(1, 1.0, 1.25), (4, 2.5, 4.5), (10, 5.0, 11.0)])
def test_requests_that_are_tried_again_are_worth_one(size, low, high):
    """The dispersion comes to the number of tries, from below, and is one where nothing clusters."""
    rng = np.random.default_rng(4)
    trials, old_trials = np.full((8, 400), 200), np.full((8, 400), 1800)
    hits, old_hits = (rng.binomial(part, 0.01 / size) * size for part in (trials, old_trials))
    ratio = dispersions(Arms(hits, trials, old_hits, old_trials), np.ones((1, 8), dtype=bool))[0]
    assert low <= ratio[-1] <= high
    assert ratio[0] == 1


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("strata", [1, 6])
@pytest.mark.parametrize(("usual", "bad"), [(0.01, 0.9), (0.001, 0.3), (0.05, 1.0)])
def test_an_hour_that_is_bad_for_both_versions_is_no_cluster(usual, bad, strata, share):
    """Two changes of the rate, in the same steps for both, leave the dispersion small; with every difference counted as a cluster it is up to 40."""
    rng = np.random.default_rng(12)
    rate = np.where((np.arange(180) >= 60) & (np.arange(180) < 120), bad, usual)
    trials, old_trials = (np.full((strata, 180), round(part * 3000 / strata)) for part in (share, 1 - share))
    hits, old_hits = (rng.binomial(part, rate) for part in (trials, old_trials))
    ratio = dispersions(Arms(hits, trials, old_hits, old_trials), np.ones((1, strata), dtype=bool))[0]
    assert ratio[[-1, 100]].max() <= 3.5


@pytest.mark.parametrize(("size", "least"), [(20, 3.0), (200, 90.0)])
def test_bursts_of_the_old_version_alone_are_clusters(size, least):
    """Ten minutes in which one request of the old version is tried again and again count, whatever the new version does meanwhile."""
    rng = np.random.default_rng(13)
    trials, old_trials = np.full((3, 180), 100), np.full((3, 180), 900)
    hits, old_hits = rng.binomial(trials, 0.002), rng.binomial(old_trials, 0.002)
    old_hits[1, 10:180:17] += size
    ratio = dispersions(Arms(hits, trials, old_hits, old_trials), np.ones((1, 3), dtype=bool))[0]
    assert ratio[-1] >= least


def test_a_difference_that_begins_late_is_no_dispersion():
    """Three times the failures of the new version, after two healthy hours, are a difference and no noise."""
    rng = np.random.default_rng(14)
    trials, old_trials = np.full((2, 240), 200), np.full((2, 240), 1800)
    rate = np.where(np.arange(240) < 120, 0.01, 0.03)
    hits, old_hits = rng.binomial(trials, rate), rng.binomial(old_trials, 0.01)
    ratio = dispersions(Arms(hits, trials, old_hits, old_trials), np.ones((1, 2), dtype=bool))[0]
    assert ratio[140:].max() <= 2.5


def test_the_dispersion_of_a_step_is_known_before_it():
    """Counts of a step do not change its divisor: otherwise the product would not be an e-process."""
    rng = np.random.default_rng(9)
    trials, old_trials = np.full((3, 50), 100), np.full((3, 50), 900)
    hits, old_hits = rng.binomial(trials, 0.02), rng.binomial(old_trials, 0.02)
    members = np.ones((1, 3), dtype=bool)
    before = dispersions(Arms(hits, trials, old_hits, old_trials), members)
    hits[:, 49], old_hits[:, 49] = 100, 0
    assert np.array_equal(dispersions(Arms(hits, trials, old_hits, old_trials), members), before)


@pytest.mark.parametrize("start", [0, 17, 150])
def test_a_fault_is_dated_to_its_first_step(start):
    """From nothing to a third of the calls, at once or hours later."""
    steps = 200
    hits = np.where(np.arange(steps) >= start, 4, 0)
    found = place_evidence(arms_of(hits, np.full(steps, 12), np.ones(steps), np.full(steps, 100)), WHOLE)
    assert found.ln_e[0, -1] > 50
    at, earliest, latest = likely_start(found.gains(0, steps - 1))
    assert (at, earliest <= start <= latest) == (start, True)


def test_a_late_beginning_costs_less_than_waiting_for_it():
    """After a thousand healthy steps a fault is as evident within some steps as one from the start, but for some twelve nats."""
    healthy = np.zeros(1000, dtype=int)
    fault = np.full(12, 3)
    trials = np.full(1012, 10)
    late = place_evidence(arms_of(np.concatenate([healthy, fault]), trials, np.ones(1012), np.full(1012, 90)), WHOLE)
    early = place_evidence(arms_of(fault, np.full(12, 10), np.ones(12), np.full(12, 90)), WHOLE, Known(np.array([1000]), np.array([90_000])))  # fmt: skip
    assert early.ln_e[0, -1] - 13 <= late.ln_e[0, -1] <= early.ln_e[0, -1]
