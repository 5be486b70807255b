"""A call that is recorded by hand counts as an observed one does."""

from __future__ import annotations

import numpy as np

from radiosonde.testing import fly

ROW = np.array([[1.0, 2.0]])
ROWS = np.random.default_rng(1).normal(size=(1500, 2))
"""Enough for a provisional reference, without which no cells are counted."""

ANSWERS = np.tile([0.2, 0.8], (1500, 1))


def test_a_call_by_hand_counts_as_an_observed_call():
    """Name, version, variant, features, classes and confidence are the same in the windows of both."""
    said = {"version": "3", "variant": "canary", "task": "classification"}
    names = {"features": ["a", "b"], "classes": ["no", "yes"]}
    windows = []
    for by_hand in (False, True):
        with fly() as rs:
            if by_hand:
                writer = rs.recorder("delays", **said, **names).writer
                writer.finish(writer.begin((ROWS,), {}), ANSWERS)
            else:
                rs.observe("delays", **said, **names)(lambda rows: ANSWERS)(ROWS)
            (window,) = rs.windows()
            windows.append(window)
    observed, handed = windows
    assert handed.key == observed.key
    for window in windows:
        assert dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)) == {
            "no": 0,
            "yes": 1500,
        }
        assert (window.features.names, int(window.features.cells.sum())) == (("a", "b"), 3000)


def test_a_call_that_fails_is_an_error():
    """`fail` counts the exception's type, and the prediction is over."""
    with fly() as rs:
        writer = rs.recorder("delays").writer
        token = writer.begin((ROW,), {})
        assert rs.current().is_in_progress
        writer.fail(token, ValueError("no"))
        assert not rs.current().is_in_progress
        (window,) = rs.windows()
        assert dict(window.errors) == {"ValueError": 1}


def test_there_is_none_when_all_is_off():
    """The caller gets an answer, and continues without."""
    with fly(disabled=True) as rs:
        assert rs.recorder("delays") is None
