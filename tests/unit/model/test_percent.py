"""Shares are written alike wherever people read them."""

from __future__ import annotations

import math

import pytest

from radiosonde.model.percent import percent


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"), (1e-9, "<0.01 %"), (0.0000999, "<0.01 %"), (0.0001, "0.01 %"), (0.000314, "0.031 %"),
        (0.034, "3.4 %"), (0.05, "5 %"), (0.0996, "10 %"), (0.1, "10 %"), (0.345, "34 %"), (0.997, "100 %"), (1.0, "100 %"),
        (12.5, "1,250 %"), (-0.034, "-3.4 %"), (-1e-9, ">-0.01 %"), (math.nan, "unknown"), (math.inf, "unknown"),
    ],
)  # fmt: skip
def test_a_share_has_two_digits_and_zero_is_none(share, text):
    """Two significant digits, no trailing zeros, no exponents; small values are not zero."""
    assert percent(share) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.9143, "91.4 %"), (0.00123, "0.123 %"), (0.5, "50 %"), (0.9999, "100 %")]
)
def test_more_digits_are_shown_where_they_matter(share, text):
    """Qualities of models are compared by tenths of a percent."""
    assert percent(share, 3) == text
