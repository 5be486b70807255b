"""The confidence sequence of a difference: validity by enumeration, the nearest null by scipy, coverage by simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import optimize, stats

from radiosonde.diagnose.canary.difference import difference_gains, growth_per_row, nearest_rate, past_rates


def column(*values):
    """Return one layer of steps with one grid value."""
    return np.array(values, dtype=float)[:, None]


@pytest.mark.parametrize(("n1", "n0"), [(1, 1), (2, 7), (5, 3)])
@pytest.mark.parametrize("delta", [-0.3, 0.0, 0.05, 0.2])
@pytest.mark.parametrize("rates", [(0.1, 0.1), (0.4, 0.05), (0.02, 0.6)])
def test_every_rate_of_the_null_gives_an_expectation_of_at_most_one(n1, n0, delta, rates):
    """The defining property of an e-value, over all outcomes of a block and all rates on the null's line."""
    fixed = column(rates[0]), column(rates[1])
    for old in np.linspace(max(0, -delta), min(1, 1 - delta), 9):
        total = 0.0
        for e1, e0 in product(range(n1 + 1), range(n0 + 1)):
            chance = stats.binom.pmf(e1, n1, np.clip(old + delta, 0, 1)) * stats.binom.pmf(e0, n0, old)
            gain = difference_gains(column(e1), column(n1), column(e0), column(n0), np.array([delta]), fixed)
            total += chance * np.exp(gain[0, 0])
        assert total <= 1 + 1e-6


@pytest.mark.parametrize("true", [0.3, 0.5, 0.9])
def test_evidence_for_less_than_a_margin_is_valid_for_every_larger_difference(true):
    """With rates below the line, the e-value is one for every difference beyond it, too: a margin is a one-sided null."""
    n1, n0, delta, fixed = 4, 6, 0.2, (column(0.1), column(0.1))
    for old in np.linspace(0, 1 - true, 6):
        total = 0.0
        for e1, e0 in product(range(n1 + 1), range(n0 + 1)):
            chance = stats.binom.pmf(e1, n1, old + true) * stats.binom.pmf(e0, n0, old)
            gain = difference_gains(column(e1), column(n1), column(e0), column(n0), np.array([delta]), fixed)
            total += chance * np.exp(gain[0, 0])
        assert total <= 1 + 1e-6


@pytest.mark.parametrize(("n1", "n0", "p1", "p0", "delta"), [(10, 90, 0.02, 0.01, 0.005), (3, 5, 0.5, 0.4, -0.2), (1, 1000, 0.9, 0.01, 0.3)])  # fmt: skip
def test_the_nearest_null_is_the_one_that_scipy_finds(n1, n0, p1, p0, delta):
    """Bisection of the slope agrees with a bounded minimisation of the divergence."""

    def divergence(q):
        return n1 * stats.entropy([p1, 1 - p1], [q + delta, 1 - q - delta]) + n0 * stats.entropy([p0, 1 - p0], [q, 1 - q])  # fmt: skip

    bounds = max(0, -delta) + 1e-9, min(1, 1 - delta) - 1e-9
    wanted = optimize.minimize_scalar(divergence, bounds=bounds, method="bounded", options={"xatol": 1e-12})
    found = nearest_rate(column(n1), column(n0), (column(p1), column(p0)), np.array([delta]))[0, 0]
    assert divergence(found) == pytest.approx(wanted.fun, abs=1e-8)


def test_without_a_difference_the_nearest_null_is_the_common_rate():
    """For a difference of nought it is the mean weighted by trials."""
    found = nearest_rate(column(10), column(30), (column(0.2), column(0.04)), np.array([0.0]))[0, 0]
    assert found == pytest.approx(0.08, abs=1e-9)


@pytest.mark.parametrize(("base", "difference"), [(0.002, 0.0), (0.05, 0.01), (0.4, -0.05)])
def test_the_true_difference_is_rarely_rejected_however_often_one_looks(base, difference):
    """Of 300 rollouts watched for 200 steps the true difference is rejected at 5 % in at most 5 % (binomial bound: 25)."""
    rng = np.random.default_rng(11)
    shape = (300, 200, 1)
    trials, old_trials = rng.poisson(20, shape).astype(float), rng.poisson(180, shape).astype(float)
    hits = rng.binomial(trials.astype(int), base + difference).astype(float)
    old_hits = rng.binomial(old_trials.astype(int), base).astype(float)
    rates = past_rates(hits, trials, old_hits, old_trials)
    ln_e = difference_gains(hits, trials, old_hits, old_trials, np.array([difference]), rates).cumsum(axis=1)
    assert (ln_e.max(axis=1) >= np.log(20)).sum() <= 25


def test_what_is_rejected_at_every_look_is_rejected_by_the_exact_test_of_one_look():
    """Always-valid evidence never exceeds that of Fisher's exact test, which is valid for a single look."""
    rng = np.random.default_rng(5)
    rejected = 0
    for _ in range(60):
        trials, old_trials = np.full((40, 1), 30.0), np.full((40, 1), 270.0)
        hits, old_hits = rng.binomial(30, 0.06, (40, 1)).astype(float), rng.binomial(270, 0.03, (40, 1)).astype(float)
        rates = past_rates(hits, trials, old_hits, old_trials)
        ln_e = difference_gains(hits, trials, old_hits, old_trials, np.array([0.0]), rates).cumsum(axis=0)[-1, 0]
        table = [[hits.sum(), 1200 - hits.sum()], [old_hits.sum(), 10800 - old_hits.sum()]]
        if ln_e >= np.log(100):
            rejected += 1
            assert stats.fisher_exact(table).pvalue < 0.01
    assert rejected > 10


def test_a_step_larger_than_all_before_it_stakes_nothing():
    """A first block of thousands at an unpredictable rate costs no evidence."""
    rates = past_rates(column(300, 3), column(1000, 10), column(2700, 27), column(9000, 90))
    assert np.isnan(rates[0][0, 0])
    assert rates[0][1, 0] == pytest.approx(0.3, abs=0.02)
    gain = difference_gains(
        column(300, 3), column(1000, 10), column(2700, 27), column(9000, 90), np.array([0.01]), rates
    )
    assert gain[0, 0] == 0


@pytest.mark.parametrize(("share", "rate", "delta"), [(0.1, 0.01, 0.005), (0.5, 0.2, -0.02), (0.01, 0.05, 0.01)])
def test_growth_per_row_is_the_mean_of_simulated_evidence(share, rate, delta):
    """What evidence grows by per row is what long runs at known rates show."""
    rng = np.random.default_rng(3)
    n1, n0 = 100.0, 100 * (1 - share) / share
    hits, old_hits = (
        rng.binomial(100, rate, (20_000, 1)).astype(float),
        rng.binomial(int(n0), rate, (20_000, 1)).astype(float),
    )
    gains = difference_gains(
        hits, column(n1), old_hits, column(int(n0)), np.array([delta]), (column(rate), column(rate))
    )
    assert growth_per_row(share, rate, rate, delta) == pytest.approx(gains.mean() / 100, rel=0.15)
