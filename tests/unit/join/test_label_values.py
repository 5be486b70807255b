"""Equality of labels: the table of ``docs/labels.md``, row by row."""

from __future__ import annotations

import decimal
import enum
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde._join.label_values import LARGEST, class_name, finite_number, label_value
from radiosonde.model import class_text

TRUTHS = ("False", "True")
BITS = ("0", "1")
COUNTS = ("3", "7", "12")
CODES = ("1e5", "1E10", "2.0", "1.10")
TEXTS = ("late", "on time")
LETTERS = ("f", "t")


@pytest.mark.parametrize("classes", [TRUTHS, ("True",), BITS, ("1",), ("false", "true"), LETTERS])
@pytest.mark.parametrize(
    "label",
    [True, 1, 1.0, np.True_, np.int8(1), np.float32(1), "True", "true", "TRUE", "t", "T", "1", "1.0", "+1", " true "],
)
def test_truth_values_are_one_and_zero(classes, label):
    """For any type or notation of the label, and for either of the two answers of the model so far."""
    yes, no = {"t": ("t", "f"), "true": ("true", "false"), "True": ("True", "False"), "1": ("1", "0")}[classes[-1]]
    assert class_name(label, classes, 0) == yes
    opposite = {
        "True": "False",
        "true": "false",
        "TRUE": "FALSE",
        "t": "f",
        "T": "F",
        "1": "0",
        "1.0": "0.0",
        "+1": "-0",
    }
    other = opposite.get(label.strip(), "false") if isinstance(label, str) else type(label)(0)
    if no in classes or classes[-1] != "true":
        assert class_name(other, classes, 0) == no


@pytest.mark.parametrize(
    ("label", "classes", "name"),
    [
        *((code, CODES, code) for code in CODES),
        (100_000, CODES, "1e5"), (1e10, CODES, "1E10"), (2, CODES, "2.0"), (1.1, CODES, "1.10"), ("1.1", CODES, "1.10"),
        ("7.0", COUNTS, "7"), ("7.", COUNTS, "7"), ("0.7e1", COUNTS, "7"), (np.uint8(12), COUNTS, "12"), ("9.0", COUNTS, "9"),
        ("007", COUNTS, "007"), ("007", ("007", "7"), "007"), (7, ("007", "08"), "7"), ("1_2", COUNTS, "1_2"),
        ("9007199254740993", ("9007199254740992", "9007199254740993"), "9007199254740993"),
        (decimal.Decimal("12.00"), COUNTS, "12"), (decimal.Decimal("2.50"), ("2.5", "3.5"), "2.5"),
        ("2.50", ("2.5", "3.5"), "2.5"), (1, ("1.0", "1.00"), "1"),
        (" late ", TEXTS, "late"), (" late ", (" late ", "late"), " late "), ("Late", TEXTS, "Late"), ("yes", TRUTHS, "yes"),
        (b"late", TEXTS, "late"), (np.str_("late"), TEXTS, "late"), (np.bytes_(b"late"), TEXTS, "late"),
        (pd.Timestamp("2024-01-01"), ("2024-01-01 00:00:00",), "2024-01-01 00:00:00"),
        ("t", TEXTS, "t"), ("f", ("m",), "f"), (0, ("m", "f"), "0"), ("1e999999999", COUNTS, "1e999999999"),
    ],
)  # fmt: skip
def test_a_class_is_found_by_its_text_and_then_by_its_value(label, classes, name):
    """The model's own way of writing it decides; a code with leading zeros equals itself alone."""
    assert class_name(label_value(label), classes, 0) == name


@pytest.mark.parametrize("label", [1, 1.0, "1", "1.0", "01"[1:], True, "true", np.int64(1), decimal.Decimal(1)])
def test_a_position_is_a_number_in_any_notation(label):
    """Among the declared classes; classes learned from answers have none."""
    assert class_name(label_value(label), TEXTS, 2) == "on time"
    assert class_name(label_value(label), TEXTS, 0) != "on time"
    assert class_name(label_value(label), TEXTS, 1) != "on time"


def test_what_pandas_reads_as_missing_is_no_label():
    """Unless a class is called so; the list is pandas' own, in any case."""
    from pandas._libs.parsers import STR_NA_VALUES

    assert len(STR_NA_VALUES) > 15
    for text in STR_NA_VALUES:
        for written in {text, text.lower(), text.upper(), f" {text} "}:
            assert class_name(written, TEXTS, 0) is None
            assert finite_number(written) is None
        if text:
            assert class_name(text, (*TEXTS, text), 0) == text


@pytest.mark.parametrize(
    "value",
    [None, math.nan, math.inf, -math.inf, "", [], (), {}, set(), pd.NA, pd.NaT, np.array([1]), np.float64("nan"), b"",
     pa.scalar(None), bytearray(b"x"), 1 << 2000, np.datetime64("NaT")],
)  # fmt: skip
def test_what_names_nothing(value):
    """Missing values, containers and numbers without an end are no labels in any place that takes one."""
    assert label_value(value) is None


class Colour(enum.Enum):
    """A class of a user's."""

    RED = 1


@pytest.mark.parametrize(
    "answer", [1, 1.0, True, "late", " a ", np.int8(3), 2.5, b"x", Colour.RED, "x" * 300, 1 << 60, -0.0]
)
def test_every_answer_equals_itself(answer):
    """The class that a prediction made of a value is the one that the same value as a label names."""
    name = class_text(answer.item() if isinstance(answer, np.generic) else answer)
    assert class_name(label_value(answer), (name,), 0) == name


@pytest.mark.parametrize(
    ("label", "number"),
    [
        (".5", 0.5), ("1.", 1.0), ("+1", 1.0), ("5e-1", 0.5), ("1E3", 1000.0), (" 3.5 ", 3.5), ("007", 7.0), ("-.5", -0.5),
        (True, 1.0), ("true", 1.0), (np.float32(2.5), 2.5), ("-0", 0.0), (decimal.Decimal("1.10"), 1.1), (1e60, 1e60),
        ("3,5", None), ("1,234.5", None), ("1_000", None), ("inf", None), ("1e999", None), ("1e160", None), (1e160, None),
        ("٣", None), ("ten", None), (-1e61, None), ("t", None), ("9" * 65, None),
    ],
)  # fmt: skip
def test_the_number_a_label_of_a_regression_names(label, number):
    """Text is read in every notation that is clear; nothing is guessed, and nothing has a square that is not finite."""
    assert finite_number(label_value(label)) == number
    assert LARGEST**4 < 1e300


@given(
    st.one_of(st.text(), st.integers(), st.floats(), st.booleans()),
    st.lists(st.text(max_size=9), max_size=5),
    st.integers(0, 5),
)
def test_any_label_names_a_class_or_none(label, classes, declared):
    """Nothing raises; a class of the model names itself, and so does the class of any label."""
    name = class_name(label, classes, min(declared, len(classes)))
    assert name is None or isinstance(name, str)
    for known in classes:
        assert class_name(known, classes, declared) == known


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_and_its_texts_are_one_label(number):
    """As Python, numpy and pandas write it."""
    texts = {repr(number), f"{number:.17g}", pd.Series([number]).to_csv(index=False, header=False).strip()}
    within = abs(number) <= LARGEST
    assert {finite_number(text) for text in texts} == {number if within else None}


@pytest.mark.parametrize("white", ["\n", "\t", "\r\n", " \t ", "\u00a0", "\v"])
@pytest.mark.parametrize(
    ("label", "classes"), [("late", TEXTS), ("7", COUNTS), ("2.50", ("2.5", "3.5")), ("true", TRUTHS)]
)
def test_white_space_of_any_kind_around_a_label_is_passed_over(white, label, classes):
    """Line ends and tabs too, unless they belong to the name of a class."""
    name = class_name(label, classes, 0)
    assert class_name(label_value(f"{white}{label}{white}"), classes, 0) == name
    framed = f"{label}{white}"
    assert class_name(label_value(framed), (*classes, class_text(framed)), 0) == class_text(framed)
    assert class_name(label_value(white), classes, 0) is None
