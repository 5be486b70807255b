"""How many rows an answer has, and of which task, whatever carries it: as many as scikit-learn's arrays of the same answers."""

from __future__ import annotations

import collections
import dataclasses
import typing

import attrs
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest
from sklearn.tree import DecisionTreeClassifier

from radiosonde.model import losses
from radiosonde.testing import fly

MATRIX = np.arange(8.0).reshape(4, 2)


class Response(pydantic.BaseModel):
    """A response of a server: all answers, and which model they are of."""

    predictions: list[str]
    model: str = "m"


@dataclasses.dataclass
class Batch:
    """The same as a dataclass of arrays."""

    predictions: object
    scores: object


@attrs.define
class OfAttrs:
    """The same of attrs."""

    outputs: object


class Named(typing.NamedTuple):
    """The same as a named tuple."""

    mean: object
    deviation: object


class Explained(pydantic.BaseModel):
    """One answer with what it is made of."""

    label: str
    scores: list[float]


def counted(value, answer, calls=1, **options):
    """Return rows, features and losses of some calls, and the classes or the number of values."""
    with fly() as rs:
        predict = rs.observe("m", **options)(lambda _: answer)
        for _ in range(calls):
            predict(value)
        window = rs.windows()[-1]
        features = None if window.features is None else len(window.features.cells)
        classes = dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True))
        return window.rows, features, rs.losses(), classes or int(window.output.value_counts.sum())


WHOLE = {
    "pydantic": (lambda: Response(predictions=list("abca")), {"a": 4, "b": 2, "c": 2}),
    "dataclass of arrays": (lambda: Batch(np.array(list("abca")), np.ones(4)), {"a": 4, "b": 2, "c": 2}),
    "attrs": (lambda: OfAttrs(pd.Series([1, 2, 3, 4])), {"1": 2, "2": 2, "3": 2, "4": 2}),
    "named tuple": (lambda: Named(np.ones(4), np.zeros(4)), 0),
    "dict": (lambda: {"predictions": list("abca"), "model": "m"}, {"a": 4, "b": 2, "c": 2}),
}


@pytest.mark.parametrize(("make", "said"), WHOLE.values(), ids=WHOLE.keys())
def test_an_object_that_holds_the_answers_of_a_matrix_does_not_make_it_one_row(make, said):
    """As many rows as answers in it, and the features of each: the matrix was read as an image."""
    lost = {} if said else {losses.OUTPUT_UNREADABLE: 8}
    assert counted(MATRIX, make(), calls=2) == (8, 2, lost, said)


ONE = {
    "dict": lambda: {"label": "a", "scores": [0.25, 0.25, 0.5]},
    "pydantic": lambda: Explained(label="a", scores=[0.25, 0.25, 0.5]),
    "class": lambda: {"class": "a", "neighbours": ["x", "y", "z"]},
    "value": lambda: {"value": 2.5, "interval": (1.0, 2.0, 3.0)},
}


@pytest.mark.parametrize("make", ONE.values(), ids=ONE.keys())
def test_one_answer_with_lists_beside_it_is_one_row(make):
    """A flat list of three features stays a row of three where the answer lists three of something."""
    rows, features, lost, said = counted([1.0, 2.0, 3.0], make(), calls=2)
    assert (rows, features, lost) == (2, 3, {})
    assert said in ({"a": 2}, 2)


@pytest.mark.parametrize("place", [0, 3])
@pytest.mark.parametrize("carry", [np.array, list, tuple, pd.Series, pl.Series, pa.array, collections.deque])
def test_float_classes_of_a_batch_with_one_of_the_second_are_one_answer_a_row(carry, place):
    """0.0 three times and 1.0 once, from a classifier that was trained on floats: they add up to one, and are no distribution."""
    model = DecisionTreeClassifier().fit(MATRIX, np.eye(4)[place])
    answers = model.predict(MATRIX)
    expected = {name: round(count) for name, count in zip("01", np.bincount(answers.astype(int)), strict=True)}
    for options in ({"task": "classification"}, {"classes": [0, 1]}):
        assert counted(MATRIX, carry(answers), calls=2, **options) == (
            8, 2, {}, {name: 2 * count for name, count in expected.items()}
        )  # fmt: skip


@pytest.mark.parametrize("shares", [[0.5, 0.125, 0.125, 0.25], [0.25] * 4, [0.0, 0.25, 0.75, 0.0]])
def test_shares_of_as_many_candidates_as_rows_are_one_answer_a_row(shares):
    """A softmax over the rows of a batch, of a matrix and of rows in an envelope: the values of each row, and no row of classes."""
    rows = [{"a": first, "b": second} for first, second in MATRIX.tolist()]
    for value in (MATRIX, rows, {"user": 7, "candidates": rows}):
        with fly() as rs:
            predict = rs.observe("m", features=["a", "b"])(lambda _: shares)
            predict(value)
            predict(value)
            (window,) = rs.windows()
            assert (window.rows, int(window.output.value_counts.sum()), rs.losses()) == (8, 8, {})
            assert window.output.value_sum == 2.0


def test_a_distribution_of_zeros_and_a_one_is_one_row_where_rows_and_classes_differ():
    """A picture of three rows with four classes, and a flat row with three: the answer of a tree that is sure."""
    assert counted(np.arange(6.0).reshape(3, 2), np.array([0.0, 0.0, 1.0, 0.0]), calls=2)[0] == 2
    assert counted([1.0, 2.0, 3.0], np.array([0.0, 0.0, 1.0]), calls=2)[:3] == (2, 3, {})


NULLABLE = {
    "pandas Int64": lambda values: pd.Series(values, dtype="Int64"),
    "pandas UInt8": lambda values: pd.array(values, dtype="UInt8"),
    "pandas arrow": lambda values: pd.Series(values, dtype=pd.ArrowDtype(pa.int32())),
    "pandas category": lambda values: pd.Series(values, dtype="category"),
    "categorical": pd.Categorical,
    "index of categories": pd.CategoricalIndex,
    "frame": lambda values: pd.DataFrame({"label": pd.array(values, dtype="Int16")}),
    "polars": lambda values: pl.Series(values, dtype=pl.Int8),
    "arrow": lambda values: pa.array(values, pa.uint16()),
    "list": list,
}


@pytest.mark.parametrize("carry", NULLABLE.values(), ids=NULLABLE.keys())
@pytest.mark.parametrize("task", [None, "classification", "regression"])
def test_whole_numbers_with_a_missing_one_have_the_task_of_those_without(carry, task):
    """In the first batch of a model: classes unless a regression was declared; the missing one is unreadable."""
    complete, missing = [1, 2, 2, 1], [1, None, 2, 1]
    said = 3 if task == "regression" else {"1": 2, "2": 1}
    assert counted(MATRIX, carry(missing), task=task) == (4, 2, {losses.OUTPUT_UNREADABLE: 1}, said)
    assert type(counted(MATRIX, carry(complete), task=task)[3]) is type(said)
