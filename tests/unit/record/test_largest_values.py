"""Answers near the largest float: their sums overflow to infinity without a warning in the host, and every one is counted."""

from __future__ import annotations

import numpy as np
import pytest

from radiosonde.testing import fly

LARGEST = float(np.finfo(np.float64).max)
CALLS = 12_000
"""More than a ring of 64 KiB holds: the oldest are counted by their callers."""


def singles(rs, value):
    """Answer one at a time, drained in time."""
    predict = rs.observe("m", features=["a"], task="regression")(lambda _: value)
    for _ in range(50):
        predict([1.0])
    return 50


def reclaimed(rs, value):
    """Answer one at a time, while nobody drains."""
    predict = rs.observe("m", features=["a"], task="regression")(lambda _: value)
    with rs.pipeline()._turn:
        for _ in range(CALLS):
            predict([1.0])
    return CALLS


def batches(rs, value):
    """Answer some at a time."""
    predict = rs.observe("m", features=["a"], task="regression")(lambda rows: np.full(len(rows), value))
    for _ in range(5):
        predict(np.ones((100, 1)))
    return 500


def large_batches(rs, value):
    """Answer so many at a time that the caller counts them."""
    predict = rs.observe("m", features=["a"], task="regression")(lambda rows: np.full(len(rows), value))
    for _ in range(2):
        predict(np.ones((40_000, 1)))
    return 80_000


@pytest.mark.parametrize("make", [singles, reclaimed, batches, large_batches])
@pytest.mark.parametrize("value", [LARGEST, -LARGEST, LARGEST / 3])
def test_sums_that_overflow_warn_nobody(make, value, tmp_path):
    """In a window, over two windows, in a snapshot and in the store: all are counted, and nothing of ours fails."""
    with fly(ring_bytes=65_536, store=str(tmp_path / "store.sqlite")) as rs:
        made = 0
        for at_s in (1_362_096_000, 1_362_096_060):
            with rs.at(at_s):
                made += make(rs, value)
            assert rs.flush(60)
        (window,) = rs.windows()
        assert int(window.output.value_counts.sum()) == made
        assert window.output.value_sum == pytest.approx(made * value)  # infinite
        assert (rs.statistics().guarded, rs.losses()) == ({}, {})
