from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde.model import OVERFLOW_COHORT, SeriesKey, cohort_text, parse_cohort


@pytest.mark.parametrize(
    ("dimensions", "text"),
    [
        ({}, ""),
        ({"plan": "pro", "carrier": "UA"}, "carrier=UA,plan=pro"),
        ({"a": ""}, "a="),
        ({"a=b": "c,d%"}, "a%3Db=c%2Cd%25"),
        ({"a": "%2C"}, "a=%252C"),
    ],
)
def test_cohort_text(dimensions, text):
    """Pairs are sorted by name; the three signs of the syntax are escaped."""
    assert cohort_text(dimensions) == text
    assert parse_cohort(text) == dimensions


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_parsing_is_the_inverse(dimensions):
    """Any dimensions come back from their text."""
    assert parse_cohort(cohort_text(dimensions)) == dimensions


def test_the_overflow_cohort_has_no_dimensions():
    """Cohorts beyond the bound have lost their dimensions."""
    assert parse_cohort(OVERFLOW_COHORT) == {}


def test_what_is_no_cohort_is_told():
    """Text without pairs is refused."""
    with pytest.raises(ValueError, match="expected name=value pairs"):
        parse_cohort("carrier")


def test_the_key_has_defaults():
    """A key needs a model only."""
    assert SeriesKey("m") == ("m", "", "stable", "")
