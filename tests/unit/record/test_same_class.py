"""One class for any type of its value and any place of the answer; a label of any of these types matches."""

from __future__ import annotations

import enum
import types
from collections import Counter
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import radiosonde
from radiosonde.model import losses
from radiosonde.testing import fly


class Plain(enum.Enum):
    """An enumeration whose members are nothing else."""

    LATE, SEVEN = "late", -7


class Text(enum.StrEnum):
    """One of texts."""

    LATE = "late"


class Whole(enum.IntEnum):
    """One of numbers."""

    SEVEN = -7


DIGITS = 2**53 + 1  # no double

VALUES = {
    "late": ["late", np.str_("late"), b"late", np.bytes_(b"late"), Plain.LATE, Text.LATE, pa.scalar("late"), np.array("late")],
    "-7": [-7, -7.0, np.int8(-7), np.float16(-7), np.longdouble(-7), Decimal(-7), Decimal("-7.00"), Fraction(-7), Whole.SEVEN,
           Plain.SEVEN, pa.scalar(-7), pa.scalar(-7.0), pa.scalar(Decimal("-7.0")), np.array(-7), np.array(-7.0)],
    "True": [True, np.True_, pa.scalar(True), np.array(True)],
    str(DIGITS): [DIGITS, np.int64(DIGITS), np.uint64(DIGITS), Decimal(DIGITS), pa.scalar(DIGITS)],
}  # fmt: skip

CARRIERS = {
    "bare": lambda value: value,
    "list of one": lambda value: [value],
    "dict": lambda value: {"label": value},
    "dict with a confidence": lambda value: {"class": value, "confidence": 0.5},
    "namespace": lambda value: types.SimpleNamespace(prediction=value),
}


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("name", VALUES)
def test_equal_values_are_one_class_and_right_labels(name, carrier):
    """Every type is answered once and labelled once with every type: one class, and as many right answers as pairs."""
    values = VALUES[name]
    with fly() as rs:
        predict = rs.observe("m", task="classification", input=False)(CARRIERS[carrier])
        for answer in values:
            for label in values:
                predict(answer)
                rs.label(radiosonde.current().id, label)
        (window,) = rs.windows()
        assert dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)) == {
            name: len(values) ** 2
        }
        assert Counter(window.labels.outcomes) == {("correct", "1h"): len(values) ** 2}
        assert rs.losses() == {}


NAMES = [
    *VALUES["late"], *VALUES["True"], -7, np.int8(-7), np.uint8(7), Whole.SEVEN, Plain.SEVEN, pa.scalar(-7), np.array(-7),
]  # fmt: skip
"""Labels that are no floats: two of those may be two answers."""

CONFIDENCES = [0.5, np.float32(0.5), np.float16(0.5), np.array(0.5), pa.scalar(0.5), np.longdouble(0.5)]


@pytest.mark.parametrize("features", [[1.0, 2.0], ["a", "b"], np.array([1.0, 2.0])], ids=["list", "texts", "array"])
def test_a_label_with_a_confidence_is_one_answer(features):
    """A pair is no two answers, whatever its items are of, where the input could be two rows."""
    with fly() as rs:
        for place, label in enumerate(NAMES):
            pairs = iter([(label, confidence) for confidence in CONFIDENCES])
            predict = rs.observe(f"{place}")(lambda _, pairs=pairs: next(pairs))
            for _ in CONFIDENCES:
                predict(features)
        windows = rs.windows()
    assert len(windows) == len(NAMES)
    for window in windows:
        assert (window.calls, window.rows) == (len(CONFIDENCES), len(CONFIDENCES))
        assert window.output.class_counts.tolist() == [len(CONFIDENCES)]
        assert window.output.confidence_sums.sum() == 0.5 * len(CONFIDENCES)


NO_LABELS = {
    "missing": pd.NA,
    "time that is none": pd.NaT,
    "two labels": np.array([1, 2]),
    "column of two": pl.Series(["a", "b"]),
    "set": frozenset({"a"}),
    "object": object(),
}


@pytest.mark.parametrize("label", NO_LABELS.values(), ids=NO_LABELS.keys())
def test_what_names_no_class_makes_none(label):
    """A dictionary whose label is missing, several or without a stable text: unreadable, and no class of that name."""
    with fly() as rs:
        rs.observe("m", features=["a", "b"])(lambda _: {"label": label, "confidence": 0.5})([1.0, 2.0])
        (window,) = rs.windows()
        assert (window.output.classes, window.output.unreadable) == ((), 1)
        assert rs.losses() == {losses.OUTPUT_UNREADABLE: 1}


MATRIX = np.array([[0.125, 0.875], [0.75, 0.25], [0.5, 0.5]])

MATRICES = {
    "under its name": {"probabilities": MATRIX},
    "lists under its name": {"probabilities": MATRIX.tolist()},
    "frame under its name": {"probabilities": pd.DataFrame(MATRIX)},
    "matrix": MATRIX.view(np.matrix),
    "long doubles": MATRIX.astype(np.longdouble),
    "decimals": [[Decimal(each) for each in row] for row in MATRIX],
    "fractions": [tuple(map(Fraction, row)) for row in MATRIX],
    "scalars of Arrow": [[pa.scalar(each) for each in row] for row in MATRIX],
}


@pytest.mark.parametrize(
    "features", [np.zeros((3, 2)), [[1.0, 2.0]] * 3, pd.DataFrame({"a": [1.0, 2.0, 3.0]})], ids=type
)
@pytest.mark.parametrize("answer", MATRICES.values(), ids=MATRICES.keys())
def test_probabilities_of_every_row_are_read_as_numpy_reads_them(answer, features):
    """As many rows as the matrix has, the class of the largest and its probability."""
    with fly() as rs:
        rs.observe("m")(lambda _: answer)(features)
        (window,) = rs.windows()
        assert (window.rows, rs.losses()) == (3, {})
    counts = dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True))
    assert counts == {str(place): int(count) for place, count in enumerate(np.bincount(MATRIX.argmax(axis=1)))}
    assert window.output.confidence_sums.sum() == MATRIX.max(axis=1).sum()


COLUMNS = {
    "record array": np.rec.fromarrays([np.array(["a", "b", "a"]), [0.5, 0.75, 0.5]], names="label,confidence"),
    "structured array": np.array([("a", 0.5), ("b", 0.75), ("a", 0.5)], dtype=[("label", "U1"), ("confidence", "f4")]),
    "struct of polars": pl.DataFrame({"label": ["a", "b", "a"], "confidence": [0.5, 0.75, 0.5]}).to_struct(),
    "dicts in objects": np.array(
        [{"label": name, "confidence": sure} for name, sure in (("a", 0.5), ("b", 0.75), ("a", 0.5))]
    ),
}


@pytest.mark.parametrize("answer", COLUMNS.values(), ids=COLUMNS.keys())
def test_labels_and_confidences_in_columns_are_read(answer):
    """For columns of any library."""
    with fly() as rs:
        rs.observe("m")(lambda _: answer)(np.zeros((3, 2)))
        (window,) = rs.windows()
        assert dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)) == {"a": 2, "b": 1}
        assert (window.output.confidence_sums.sum(), rs.losses()) == (1.75, {})
