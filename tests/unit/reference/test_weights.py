from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from radiosonde.model import cell_names
from radiosonde.reference.weights import feature_weights, smoothed_shares

DECILES = smoothed_shares([1000] * 10 + [0, 0, 0, 0])
LOCATION = [f"loc{sign}{shift}" for shift in ("0.1", "0.25", "0.5", "1", "2", "4") for sign in "+-"]
REST = ["spread*1.5", "spread*0.67", "below+0.05", "below+0.3", "above+0.05", "above+0.3"]
SPECIAL = ["null*2", "null+0.05", "null+0.3", "unseen+0.01", "unseen+0.3"]


def weights(kind, body, p0, rows=10_000):
    """Return the weights by the alternative's name."""
    return dict(feature_weights(kind, body, p0, rows))


def test_numeric_features_have_the_named_alternatives():
    """The list is part of the file format."""
    assert list(weights("numeric", 10, DECILES)) == [*LOCATION, *REST, *SPECIAL]


def test_small_references_leave_out_the_smallest_shift():
    """Below 8 100 rows the error of p0 is of the order of a shift of 0.1."""
    names = list(weights("numeric", 10, DECILES, rows=8_099))
    assert names == [*LOCATION[2:], *REST, *SPECIAL]


def test_categorical_features_have_their_own_alternatives():
    """Doubling and halving for at most ten categories, then missing and unseen."""
    names = list(weights("categorical", 12, smoothed_shares([10] * 12 + [0, 0])))
    assert names == [f"c{index:02d}{change}" for index in range(10) for change in ("*2", "/2")] + SPECIAL


def test_a_feature_without_body_has_no_location():
    """Nothing can move where the reference holds no finite value."""
    assert list(weights("numeric", 0, smoothed_shares([0, 0, 5, 0]))) == [*REST[2:], *SPECIAL]


@given(
    st.lists(st.integers(0, 10_000), min_size=5, max_size=24),
    st.sampled_from(["numeric", "categorical"]),
)
def test_each_alternative_is_an_exact_e_value(counts, kind):
    """Under the reference the expectation of exp(weight) is 1, and no cell counts more than ln 0.01 against it."""
    p0 = smoothed_shares(counts)
    body = len(counts) - len(cell_names(0, categorical=kind == "categorical"))
    for name, weight in weights(kind, body, p0).items():
        assert np.dot(p0, np.exp(weight)) == pytest.approx(1.0, abs=1e-5), name
        assert min(weight) >= -4.605171


@pytest.mark.parametrize("shift", [0.25, -0.5, 1.0])
def test_the_location_weights_match_a_shifted_normal_sample(shift):
    """On a shifted normal feature the gain per row is the divergence of the binned distributions, within noise."""
    rng = np.random.default_rng(8)
    reference, moved = rng.normal(size=200_000), rng.normal(shift, 1, size=200_000)
    edges = np.quantile(reference, np.arange(11) / 10)
    inner = [np.histogram(sample, edges)[0] for sample in (reference, moved)]
    outside = [[int((sample < edges[0]).sum()), int((sample > edges[-1]).sum()), 0, 0] for sample in (reference, moved)]
    p0 = np.array(smoothed_shares([*inner[0].tolist(), *outside[0]]))
    q = np.array(smoothed_shares([*inner[1].tolist(), *outside[1]]))
    divergence = float((q * np.log(q / p0)).sum())
    gains = {name: float(np.dot(q, weight)) for name, weight in weights("numeric", 10, p0.tolist(), 200_000).items()}
    assert max(gains, key=gains.get) == f"loc{shift:+g}"
    assert gains[f"loc{shift:+g}"] == pytest.approx(divergence, rel=0.05)


def test_missing_weights_reward_missing_values_only():
    """Under null+0.05 a missing value is evidence for the alternative and everything else slightly against it."""
    p0 = smoothed_shares([980, 0, 0, 20, 0])
    weight = weights("numeric", 1, p0)["null+0.05"]
    assert weight[3] == pytest.approx(np.log(0.99 * (p0[3] + 0.05) / p0[3] + 0.01), abs=1e-6)
    assert all(-0.06 < other < 0 for other in (*weight[:3], weight[4]))


@pytest.mark.parametrize(("name", "mean", "deviation"), [("loc+0.5", 0.5, 1), ("loc-1", -1, 1), ("spread*1.5", 0, 1.5)])
def test_latent_alternatives_are_normal_probabilities_between_the_cuts(name, mean, deviation):
    """Body, below and above weights are those of scipy's normal distribution cut at the reference's normal scores."""
    ordered = [DECILES[10], *DECILES[:10], DECILES[11]]
    inside = sum(ordered)
    cuts = norm.ppf(np.cumsum(ordered)[:-1] / inside)
    moved = np.diff([0.0, *norm.cdf(cuts, mean, deviation), 1.0]) * inside
    expected = np.log(0.99 * moved / np.array(ordered) + 0.01)
    weight = weights("numeric", 10, DECILES)[name]
    assert [weight[10], *weight[:10], weight[11]] == pytest.approx(expected.tolist(), abs=1e-6)
    assert weight[12:] == pytest.approx([0.0, 0.0], abs=1e-6)
