"""Two answers to each row: their conversion to columns, and the comparison."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import stats

from radiosonde.errors import ConfigurationError
from radiosonde.forensics.answers import answer_column, recorded_column
from radiosonde.forensics.paired import Paired, _student

NUMBERS = [0.5, float("nan"), -2.0]
CLASSES = ["1", "0", "1"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(NUMBERS, id="list"),
        pytest.param(np.array(NUMBERS), id="numpy"),
        pytest.param(np.array(NUMBERS, dtype=np.float32), id="numpy float32"),
        pytest.param(np.array(NUMBERS)[:, None], id="column"),
        pytest.param(np.stack([np.zeros(3), NUMBERS], axis=1), id="probabilities of two classes"),
        pytest.param(pd.Series(NUMBERS), id="pandas"),
        pytest.param(pd.DataFrame({"y": NUMBERS}), id="pandas frame"),
        pytest.param(pd.Series([0.5, None, -2.0], dtype="Float64"), id="pandas nullable"),
        pytest.param(pl.Series([0.5, None, -2.0]), id="polars"),
        pytest.param(pa.chunked_array([[0.5], [None, -2.0]]), id="arrow"),
        pytest.param(pa.array([0.5, None, -2.0], pa.float32()), id="arrow float32"),
        pytest.param([Decimal("0.5"), None, Decimal(-2)], id="decimals"),
        pytest.param([{"score": value} for value in NUMBERS], id="dicts"),
        pytest.param({"score": NUMBERS}, id="columns"),
        pytest.param([[value] for value in NUMBERS], id="rows of one"),
    ],
)
def test_numbers_of_any_container_are_one_column(answer):
    """A container with the same floating-point answers gives the same doubles."""
    np.testing.assert_array_equal(answer_column(answer, 3), NUMBERS)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(CLASSES, id="texts"),
        pytest.param([1, 0, 1], id="integers"),
        pytest.param([True, False, True], id="booleans"),
        pytest.param(np.array([1, 0, 1], dtype=np.uint8), id="numpy"),
        pytest.param(np.array([b"1", b"0", b"1"]), id="bytes"),
        pytest.param(pd.Series(CLASSES, dtype="category"), id="category"),
        pytest.param(pl.Series(CLASSES), id="polars"),
        pytest.param(pa.array([1, 0, 1]), id="arrow integers"),
        pytest.param(pa.array(CLASSES).dictionary_encode(), id="arrow dictionary"),
        pytest.param([1, "0", True], id="mixed"),
        pytest.param(
            np.array([[0.1, 0.8, 0.1], [0.9, 0.05, 0.05], [0.0, 1.0, 0.0]]), id="probabilities of three classes"
        ),
    ],
)
def test_classes_of_any_container_are_one_column(answer):
    """A class is written as a category is."""
    assert answer_column(answer, 3).tolist() == CLASSES


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(0.5, "a single value for 3 rows", id="one for all"),
        pytest.param([1.0, 2.0], "2 for 3 rows", id="too few"),
        pytest.param("yes", "a single value for 3 rows", id="text"),
        pytest.param([{"a": 1, "b": 2}] * 3, "several entries", id="several entries"),
        pytest.param([{"a": 1}, {"b": 1}, {"a": 1}], "has no entry 'a'", id="other entries"),
        pytest.param(np.zeros((3, 2, 2)), "3 x 2 x 2", id="three dimensions"),
        pytest.param(np.zeros((3, 0)), "without columns", id="no columns"),
    ],
)
def test_other_answers_are_refused(answer, message):
    """An answer that is not one per row is refused, with what to do."""
    with pytest.raises(ConfigurationError, match=message):
        answer_column(answer, 3)


@pytest.mark.parametrize("cuts", [[], [1], [7, 8, 300], list(range(1, 500, 9))], ids=["whole", "one", "three", "many"])
def test_a_comparison_in_parts_is_that_of_the_whole(cuts):
    """Mean and interval equal those of a paired t-test by scipy, however the rows are cut."""
    rng = np.random.default_rng(3)
    a = rng.normal(1e6, 1.0, 500)
    b = a + rng.normal(0.1, 1.0, 500)
    paired = Paired(0.0)
    for part in np.split(np.arange(500), cuts):
        paired.update(a[part], b[part])
    expected = stats.ttest_rel(b, a).confidence_interval(0.95)
    found = paired.total()
    estimate = found.estimate()
    assert estimate is not None
    assert (found.rows, found.different) == (500, 500)
    assert estimate.mean == pytest.approx(np.mean(b - a), abs=1e-8)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(expected), abs=1e-6)


@pytest.mark.parametrize("freedom", [3, 4, 10, 100, 10_000])
@pytest.mark.parametrize("probability", [0.95, 0.975])
def test_the_quantile_is_that_of_student(freedom, probability):
    """The expansion is within one percent of scipy's quantile."""
    assert _student(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=0.01)


def test_equal_close_and_missing_are_distinguished():
    """Each row is equal, within the tolerance, or different, and missing answers are counted by side."""
    nan, inf = float("nan"), float("inf")
    a = np.array([1.0, 1.0, 1.0, nan, nan, 1.0, inf, inf, 1e9, 0.0])
    b = np.array([1.0, 1.0 + 1e-12, 1.1, nan, 1.0, nan, inf, -inf, 1e9 + 0.5, -0.0])
    paired = Paired(1e-9)
    paired.update(a, b)
    found = paired.total()
    assert (found.equal, found.close, found.different, found.missing) == (4, 2, 4, (1, 1))
    assert (found.numbers, found.largest) == (5, 0.5)


def test_the_share_of_a_class_has_the_interval_of_its_changes():
    """Only rows that change class add to the width of the interval of a difference of shares."""
    a = recorded_column(["yes"] * 500 + ["no"] * 500)
    b = recorded_column(["yes"] * 480 + ["no"] * 520)
    paired = Paired(0.0)
    paired.update(a, b)
    share_a, share_b, step = paired.total().shares()["yes"]
    assert (share_a, share_b, step.mean) == (0.5, 0.48, pytest.approx(-0.02))
    expected = stats.ttest_1samp([-1] * 20 + [0] * 980, 0).confidence_interval()
    assert (step.low, step.high) == pytest.approx(tuple(expected), abs=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "different"),
    [
        pytest.param([1, 0], np.array([1.0, 0.0]), 0, id="integers and floats"),
        pytest.param(["1", "0"], np.array([1.0, 0.5]), 1, id="texts and floats"),
        pytest.param(["yes", "no"], np.array([1.0, 0.0]), 2, id="words and floats"),
        pytest.param([None, "no"], ["no", None], 2, id="missing"),
        pytest.param([None, None], [None, None], 0, id="both missing"),
    ],
)
def test_columns_of_two_kinds_are_compared(a, b, different):
    """Classes are compared with numbers as numbers if they are numbers, else as texts."""
    paired = Paired(0.0)
    paired.update(recorded_column(a), recorded_column(b))
    assert paired.total().different == different


def test_groups_and_pairs_of_classes_are_bounded(monkeypatch):
    """More groups than allowed are refused, and further pairs of classes count as other."""
    monkeypatch.setattr("radiosonde.forensics.paired.MOST_GROUPS", 2)
    monkeypatch.setattr("radiosonde.forensics.paired.MOST_PAIRS", 3)
    paired = Paired(0.0)
    many = recorded_column(list(range(10)))
    paired.update(many, many)
    assert paired.total().classes["__other__", "__other__"] == 7
    with pytest.raises(ConfigurationError, match="more than 2 groups"):
        paired.update(many, many, np.arange(10), [(str(place),) for place in range(10)])
