"""Distributions in frames, whose columns are classes by name, and matrices of 0 and 1; pandas and numpy are the oracles."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from radiosonde.model import losses
from radiosonde.testing import fly

CLASSES = ["early", "late", "on time"]
SHARES = np.array([[0.125, 0.75, 0.125], [0.5, 0.25, 0.25], [0.0, 0.875, 0.125], [0.25, 0.125, 0.625], [0.0, 1.0, 0.0]])
FRAMES = {
    "pandas": lambda frame: frame,
    "pandas of texts": lambda frame: frame.astype(dict.fromkeys(frame, "Float64")),
    "polars": pl.DataFrame,
    "arrow": pa.Table.from_pandas,
}


def counted(rows, answer, **options):
    """Return the rows of each class, the sum of confidences, and the losses of one call."""
    with fly() as rs:
        rs.observe("m", **options)(lambda _: answer)(np.ones((rows, 2)) if rows > 1 else {"x": 1.0})
        (window,) = rs.windows()
        found = dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True))
        return (
            {name: count for name, count in found.items() if count},
            float(window.output.confidence_sums.sum()),
            rs.losses(),
        )


@pytest.mark.parametrize(("kind", "rows"), [*((kind, 5) for kind in FRAMES), ("pandas", 1), ("polars", 1)])
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]], ids=str)
def test_columns_with_the_names_of_the_classes_are_found_by_name(kind, order, rows):
    """In any order, in a batch and for one row, as `DataFrame.idxmax` finds them."""
    frame = pd.DataFrame(SHARES[:rows], columns=CLASSES).iloc[:, order]
    expected = frame.idxmax(axis=1).value_counts().to_dict()
    assert counted(rows, FRAMES[kind](frame), classes=CLASSES) == (expected, frame.max(axis=1).sum(), {})


@pytest.mark.parametrize("names", [["p1", "p2", "p3"], [0, 1, 2], ["0", "1", "2"]], ids=["other", "numbers", "texts"])
def test_columns_with_other_names_are_found_by_place(names):
    """Also where classes are numbers and the columns are only numbered."""
    frame = pd.DataFrame(SHARES, columns=names)
    for classes in (CLASSES, ["2", "0", "1"]):
        expected = pd.Series([classes[place] for place in SHARES.argmax(axis=1)]).value_counts().to_dict()
        assert counted(5, frame, classes=classes)[0] == expected


FLAGS = {
    "integers": np.array([[1, 0], [1, 1], [0, 1], [0, 1]]),
    "floats": np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 1.0]]),
    "truth values": np.array([[True, False], [True, True], [False, True], [False, True]]),
    "lists": [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 1.0]],
}


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS.keys())
def test_labels_per_class_are_no_distributions_where_a_row_has_none_or_two(flags):
    """Rows that have one by chance make no classes; a matrix of exactly one each is one of classes."""
    assert counted(4, flags) == ({}, 0.0, {losses.OUTPUT_UNREADABLE: 4})
    single = np.eye(2, dtype=np.asarray(flags).dtype)[[0, 1, 1, 0]]
    assert counted(4, single if isinstance(flags, np.ndarray) else single.tolist()) == ({"0": 2, "1": 2}, 4.0, {})


def test_answers_by_number_are_as_many_as_the_rows():
    """A dict of rows does not make the matrix one row; its answers are a loss of as many, told with what to do."""
    assert counted(4, dict(enumerate("abab"))) == ({}, 0.0, {losses.OUTPUT_UNREADABLE: 4})
