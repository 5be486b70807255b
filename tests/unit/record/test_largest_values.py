"""Answers near the largest float: their sums overflow to infinity without a warning in the host, and every one is counted."""

from __future__ import annotations

import numpy as np
import pytest

from radiosonde.reference.profile import Reference
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
    """Answer one at a time, without draining."""
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
    """In a window, over two windows, in a snapshot and in the store: all are counted, without an internal error."""
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


FEATURES = {
    "the smallest": [-LARGEST] * 40,
    "the largest": [LARGEST] * 40,
    "both ends": [-LARGEST, LARGEST] * 20,
    "both ends and between": [-LARGEST, 0.0, LARGEST, 1e-320] * 10,
    "one among usual ones": [*range(39), -LARGEST],
    "subnormal ones": [5e-324, -5e-324] * 20,
    "beyond": [float("inf"), float("-inf"), -LARGEST, float("nan")] * 10,
}


@pytest.mark.parametrize("values", FEATURES.values(), ids=FEATURES)
@pytest.mark.parametrize("is_known", [True, False], ids=["reference", "provisional"])
@pytest.mark.parametrize("is_batch", [True, False], ids=["batch", "rows"])
def test_features_at_the_ends_of_doubles_warn_nobody(values, is_known, is_batch, tmp_path):
    """In a preview before there is a reference, in its grid, in a window and in the store: each row is in one cell."""
    finite = [value for value in values if np.isfinite(value)]
    reference = Reference.fit({"a": np.array(finite, dtype=float)}, model="m") if is_known else None
    with fly(store=str(tmp_path / "store.sqlite")) as rs:
        predict = rs.observe("m", features=["a"], reference=reference)(lambda rows: ["yes"] * len(rows))
        if is_batch:
            predict(np.array(values, dtype=float).reshape(-1, 1))
        else:
            for value in values:
                predict([[float(value)]])
        (preview,) = rs.windows()
        assert preview.features.cells.sum() == len(values)
        assert rs.flush(60)
        (window,) = rs.windows()
        assert window.features.cells.sum() == len(values)
        assert (rs.statistics().guarded, rs.losses()) == ({}, {})
