"""Values that sketches retain are added up per value, whatever each of them stands for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from radiosonde.diagnose.feature_panel import _distinct

DRAWN = np.random.default_rng(7).integers(-40, 40, 3000) / 8.0

CASES = {
    "each stands for itself": (DRAWN, np.ones(DRAWN.size, dtype=np.int64)),
    "of several levels": (DRAWN, 1 << (np.arange(DRAWN.size) % 5)),
    "one level above the first": (DRAWN, np.full(DRAWN.size, 4)),
    "one value": (np.array([2.5]), np.array([1])),
    "zeros of both signs": (np.array([0.0, -0.0, 1.0]), np.array([1, 1, 1])),
    "alike": (np.full(50, -1.0), np.ones(50, dtype=np.int64)),
}


@pytest.mark.parametrize("case", CASES)
def test_distinct_values_are_counted_as_a_counter_does(case):
    """Every value is there once, in ascending order, with the rows of all that equal it."""
    values, rows = CASES[case]
    expected: Counter[float] = Counter()
    for value, count in zip(values.tolist(), rows.tolist(), strict=True):
        expected[value] += count
    found, held = _distinct(values, rows)
    assert list(zip(found.tolist(), held.tolist(), strict=True)) == sorted(expected.items())
    assert held.dtype == np.float64
