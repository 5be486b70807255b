"""Answers that libraries warn about cost the user no warning that names this library; what they hold has a defined result."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from radiosonde.model import losses
from radiosonde.testing import fly

FRAME = pl.DataFrame({"a": [1.0] * 40, "label": ["x"] * 40})

UNREADABLE = {
    "a query": FRAME.lazy,
    "a query of groups": lambda: FRAME.lazy().group_by("a").agg(pl.col("label").first()),
    "a query of answers": lambda: FRAME.lazy().select("label"),
    "rows whose sum overflows": lambda: np.full((40, 2), 1e308),
    "rows whose sum overflows downwards": lambda: np.full((40, 3), -1.7e308),
    "infinite rows of both signs": lambda: np.tile([np.inf, -np.inf], (40, 1)),
    "rows whose sum overflows in half precision": lambda: np.full((40, 2), 6e4, dtype=np.float16),
    "a list of rows whose sum overflows": lambda: [[1e308, 1e308]] * 40,
}


@pytest.mark.parametrize("make", UNREADABLE.values(), ids=UNREADABLE.keys())
@pytest.mark.parametrize(
    "options", [{}, {"classes": ["x", "y"]}, {"task": "regression"}], ids=["free", "classes", "values"]
)
@pytest.mark.filterwarnings("error")
def test_an_answer_that_cannot_be_read_warns_of_nothing(make, options):
    """Each row is an unreadable answer, and no warning arises, which would be an error here."""
    with fly() as rs:
        rs.observe("m", **options)(lambda _: make())(np.ones((40, 2)))
        assert [window.rows for window in rs.windows()] == [40]
        assert rs.losses() == {losses.OUTPUT_UNREADABLE: 40}
