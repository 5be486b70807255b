"""An answer for one row that has a great many numbers: a distribution is read, all else is unreadable, and neither takes memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from radiosonde._ring.layout import OUTPUT_CLASS, OUTPUT_UNREADABLE
from radiosonde.model import losses
from tests.unit.record.test_outputs import answered

MANY = 200_000
MOST_BYTES = 8 << 20
"""What reading may take at its peak: an array of as many doubles is 1.6 MB, a list of as many lists of four 26 MB."""

UNREADABLE = {
    "a matrix": lambda: np.full((MANY, 4), 0.25),
    "a matrix of singles": lambda: np.full((MANY, 4), 0.25, "f4"),
    "a broadcast matrix": lambda: np.broadcast_to(np.float32(0.25), (10 * MANY, 4)),
    "a column": lambda: np.full((MANY, 1), 0.5),
    "a matrix in a batch of one": lambda: np.full((1, MANY, 4), 0.25),
    "a cube": lambda: np.full((MANY, 2, 2), 0.25),
    "texts": lambda: np.full(MANY, "yes"),
    "texts as objects": lambda: np.full(MANY, "yes", object),
    "a frame": lambda: pd.DataFrame(np.full((MANY, 2), 0.5), columns=["no", "yes"]),
    "a frame of several types": lambda: pd.DataFrame({"a": np.full(MANY, 0.5), "b": np.arange(MANY)}),
    "a polars frame": lambda: pl.DataFrame({"a": np.full(MANY, 0.5), "b": np.full(MANY, 0.5)}),
    "an arrow table": lambda: pa.table({"a": np.full(MANY, 0.5), "b": np.full(MANY, 0.5)}),
    "arrow texts": lambda: pa.array(np.full(MANY, "yes")),
    "labels and confidences": lambda: {"label": np.full(MANY, "yes"), "confidence": np.full(MANY, 0.5)},
    "rows of labels": lambda: {"label": np.full((1, MANY), "yes"), "confidence": np.full((1, MANY), 0.5)},
    "probabilities of rows": lambda: {"probabilities": np.full((MANY, 2), 0.5)},
}  # fmt: skip

ROW = np.random.default_rng(1).dirichlet(np.r_[0.5, 0.5, 0.5, 50.0, np.full(4_996, 0.5)])
"""Probabilities of 5 000 classes, of which that of column 3 is the largest: a class within the bound on classes with names."""

DISTRIBUTIONS = {
    "doubles": lambda: ROW,
    "singles": lambda: ROW.astype("f4"),
    "objects": lambda: ROW.astype(object),
    "a batch of one": lambda: ROW.reshape(1, -1),
    "a batch of one of one": lambda: ROW.reshape(1, 1, -1),
    "a row of a frame": lambda: pd.DataFrame(ROW.reshape(1, -1)),
    "a series": lambda: pd.Series(ROW),
    "a polars series": lambda: pl.Series(ROW),
    "an arrow array": lambda: pa.array(ROW),
    "chunks of arrow": lambda: pa.chunked_array([ROW[:1_500], ROW[1_500:]]),
    "a list": ROW.tolist,
}


@pytest.mark.parametrize("form", UNREADABLE)
def test_many_rows_for_one_are_unreadable_in_little_memory(form):
    """An answer of many rows for one row is counted as unreadable, and never becomes Python objects."""
    answer = UNREADABLE[form]()
    answered(answer)  # what is made once: imports, tables
    tracemalloc.start()
    try:
        (kind, *_), lost = answered(answer)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (kind, lost[losses.OUTPUT_UNREADABLE]) == (OUTPUT_UNREADABLE, 1)
    assert peak < MOST_BYTES


@pytest.mark.parametrize("form", DISTRIBUTIONS)
def test_a_distribution_over_many_classes_is_read(form):
    """The confidence is the largest of thousands of probabilities in any container, and nothing is unreadable."""
    (kind, name, confidence, _), lost = answered(DISTRIBUTIONS[form]())
    assert (kind, name, confidence) == (OUTPUT_CLASS, "3", pytest.approx(ROW.max(), rel=1e-6))
    assert losses.OUTPUT_UNREADABLE not in lost


@pytest.mark.parametrize(
    "odd", [2.0 * ROW, np.where(ROW[7] == ROW, np.nan, ROW), -ROW], ids=["twice", "a gap", "negative"]
)
@pytest.mark.parametrize(
    "convert", [np.asarray, pd.Series, pa.array, np.ndarray.tolist], ids=["numpy", "pandas", "arrow", "list"]
)
def test_an_embedding_is_no_distribution(odd, convert):
    """Thousands of numbers that do not add up to 1, or one of which is missing, are unreadable, as fewer are."""
    assert answered(convert(odd))[0][0] == OUTPUT_UNREADABLE


def test_a_distribution_over_other_classes_is_unreadable():
    """Thousands of probabilities for two declared classes are unreadable, and so are they for a regression."""
    assert answered(ROW, classes=["no", "yes"])[0][0] == OUTPUT_UNREADABLE
    assert answered(ROW, task="regression")[0][0] == OUTPUT_UNREADABLE
