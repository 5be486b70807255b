from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics._internal.exponential_histogram.mapping.logarithm_mapping import LogarithmMapping

from radiosonde.model import LATENCY, cell_names
from radiosonde.model.losses import ALL_LOSSES


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [
        (0.0, 0),
        (-1.0, 0),
        (2.0**-20, 0),
        (2.0**-19, 7),  # the upper bound of the eighth bucket, inclusive
        (np.nextafter(2.0**-19, 1), 8),
        (1.0, 159),
        (np.nextafter(1.0, 2), 160),
        (2.0**10, 239),
        (1e9, 239),
    ],
)
def test_the_bucket_of_a_duration(seconds, bucket):
    """Powers of two are inclusive upper bounds; what is outside of the range goes to the ends."""
    assert LATENCY.index(np.array([seconds])).tolist() == [bucket]


@given(st.floats(2.0**-19, 2.0**9))
def test_the_buckets_are_opentelemetrys(seconds):
    """The index is that of the SDK's own mapping at scale 3, from its index -160 on."""
    expected = LogarithmMapping(3).map_to_index(seconds) + 160
    found = int(LATENCY.index(np.array([seconds]))[0])
    # On a bound that is no power of two the two logarithms may round to either side.
    bound = LATENCY.upper_bounds_s()
    nearest = np.abs(bound / seconds - 1).min()
    assert found == expected or nearest < 1e-12


def test_the_bounds():
    """240 bounds from 2**-19.875 s to 2**10 s, eight to an octave."""
    bounds = LATENCY.upper_bounds_s()
    assert (len(bounds), bounds[159], bounds[-1]) == (240, 1.0, 1024.0)
    assert bounds[0] == pytest.approx(2.0**-19.875, rel=1e-15)
    assert np.allclose(bounds[8:] / bounds[:-8], 2.0, rtol=1e-14)


def test_cell_names():
    """Numeric cells are ordinals with four specials; categorical ones have no below and above."""
    assert cell_names(2, categorical=False) == ("00", "01", "below", "above", "null", "unseen")
    assert cell_names(2, categorical=True) == ("c00", "c01", "null", "unseen")
    assert cell_names(11, categorical=False)[10] == "10"


def test_every_loss_has_one_name():
    """Names of losses are unique, sorted, and lower case."""
    assert sorted(set(ALL_LOSSES)) == list(ALL_LOSSES)
    assert all(name == name.lower() for name in ALL_LOSSES)
