"""The normal distribution of the weights is that of the standard library."""

from __future__ import annotations

from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde.reference.normal import normal_quantile, normal_share

shares = st.one_of(
    st.floats(0.0, 1.0, exclude_min=True, exclude_max=True),
    st.floats(-300, -1).map(lambda exponent: 10.0**exponent),
    st.floats(-15, -1).map(lambda exponent: 1.0 - 10.0**exponent),
)


@given(shares)
def test_quantiles_are_those_of_the_standard_library(share):
    """Near the median, in the tails and far beyond, to the last bits that libraries of mathematics may differ in."""
    assert normal_quantile(share) == pytest.approx(NormalDist().inv_cdf(share), rel=1e-14)


@given(st.floats(-40, 40), st.floats(-6, 6), st.floats(0.1, 10))
def test_shares_are_those_of_the_standard_library(value, mean, deviation):
    """For any mean and deviation."""
    assert normal_share(value, mean, deviation) == pytest.approx(
        NormalDist(mean, deviation).cdf(value), rel=1e-9, abs=1e-15
    )
