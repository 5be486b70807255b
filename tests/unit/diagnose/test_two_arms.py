from __future__ import annotations

from math import comb

import numpy as np
import pytest

from radiosonde.diagnose.two_arms import Arms, e_benjamini_hochberg, judge, log_increments


def counts(*columns):
    """Return one stratum's counts over time."""
    return np.array([columns], dtype=np.int64)


@pytest.mark.parametrize("rate", [0.001, 0.02, 0.3, 0.9])
@pytest.mark.parametrize(("n1", "n0"), [(1, 9), (4, 4), (3, 12)])
def test_each_increment_has_expectation_at_most_one_when_both_arms_share_a_rate(rate, n1, n0):
    """The defining property of an e-variable, by enumerating every outcome of a block."""
    total = 0.0
    for e1 in range(n1 + 1):
        for e0 in range(n0 + 1):
            chance = comb(n1, e1) * comb(n0, e0) * rate ** (e1 + e0) * (1 - rate) ** (n1 + n0 - e1 - e0)
            arms = Arms(counts(2, e1), counts(20, n1), counts(5, e0), counts(200, n0))
            total += chance * np.exp(log_increments(arms)[0, 1])
    assert np.all(total <= 1 + 1e-9)


def test_looking_after_every_hour_of_healthy_canaries_alarms_within_the_stated_rate():
    """400 canaries watched over 200 hours: evidence of one in twenty is reached by at most one in twenty."""
    rng = np.random.default_rng(5)
    trials, rest = rng.poisson(5, (400, 200)), rng.poisson(45, (400, 200))
    arms = Arms(rng.binomial(trials, 0.04), trials, rng.binomial(rest, 0.04), rest)
    gains = log_increments(arms)
    alarms = sum(judge(gains[row]).ln_e > np.log(20) for row in range(400))
    assert alarms <= 20


def test_a_bad_hour_of_both_arms_is_no_evidence_against_one():
    """The rate may vary freely; only the difference counts."""
    rng = np.random.default_rng(6)
    rate = np.where(np.arange(300) % 50 < 10, 0.6, 0.02)
    trials, rest = np.full((1, 300), 6), np.full((1, 300), 54)
    arms = Arms(rng.binomial(trials, rate), trials, rng.binomial(rest, rate), rest)
    assert judge(log_increments(arms)[0]).ln_e < np.log(20)


def test_an_arm_that_starts_failing_is_found_with_its_onset():
    """Thirty failures of thirty against none of three hundred, from step 100 on."""
    trials, rest = np.ones((1, 130), dtype=np.int64), np.full((1, 130), 10)
    hits = (np.arange(130) >= 100).astype(np.int64)[None]
    verdict = judge(log_increments(Arms(hits, trials, np.zeros_like(rest), rest))[0])
    assert verdict.ln_e > np.log(1e6)
    assert verdict.start == 100


def test_e_benjamini_hochberg_rejects_what_the_definition_says():
    """Worked by hand at level 0.1 of four: thresholds are 40, 20, 13.3, 10."""
    ln_e = np.log([50.0, 5.0, 21.0, 9.0])
    assert e_benjamini_hochberg(ln_e, 0.1).tolist() == [True, False, True, False]
    assert e_benjamini_hochberg(np.log([39.0, 19.0, 13.0, 9.0]), 0.1).tolist() == [False] * 4
    assert e_benjamini_hochberg(np.log([11.0, 11.0, 11.0, 11.0]), 0.1).tolist() == [True] * 4
