"""Counts of many windows over steps of time."""

from __future__ import annotations

import numpy as np
import pytest

from radiosonde.diagnose import spreading
from radiosonde.diagnose.spreading import Spans, add_spread


def expected(total, line, spans, values):
    """Return the sums window by window and step by step, in Python's own numbers."""
    for at, first, size, value in zip(line, spans.first, spans.size, values, strict=True):
        for step in range(size):
            if value.dtype.kind == "f":
                total[at, first + step] += value / size
            else:
                total[at, first + step] += value * (step + 1) // size - value * step // size
    return total


@pytest.mark.parametrize("cells", [4_000_000, 7], ids=["at-once", "in-pieces"])
@pytest.mark.parametrize("tail", [(), (5,), (2, 3)], ids=["numbers", "lines", "tables"])
@pytest.mark.parametrize("dtype", [np.int64, np.float64], ids=["whole", "floats"])
def test_windows_of_any_length_add_up_as_one_by_one(monkeypatch, dtype, tail, cells):
    """Minutes, hours and days on one axis, negative counts and equal places included, give the sums of a plain loop."""
    monkeypatch.setattr(spreading, "_CELLS", cells)
    rng = np.random.default_rng(3)
    size = rng.choice([1, 1, 1, 2, 7, 48], 200)
    spans = Spans(rng.integers(0, 60 - size + 1), size)
    line, values = rng.integers(0, 4, 200), rng.integers(-50, 1000, (200, *tail)).astype(dtype)
    found = np.zeros((4, 60, *tail), dtype=dtype)
    add_spread(found, line, spans, values)
    np.testing.assert_allclose(found, expected(np.zeros_like(found), line, spans, values), rtol=1e-12, atol=1e-9)
    assert found.sum() == pytest.approx(values.sum())


def test_without_windows_nothing_is_added():
    """No window leaves a table as it was."""
    none = np.zeros(0, dtype=np.int64)
    found = np.ones((2, 3))
    add_spread(found, none, Spans(none, none), np.zeros(0))
    assert (found == 1).all()
