"""Answers in the forms of services and model libraries: responses that wrap them, labels beside probabilities, ranked labels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest

from radiosonde.model import losses
from radiosonde.testing import fly

LABELS = ["no", "yes", "yes"]
ROWS = [[0.8, 0.2], [0.3, 0.7], [0.1, 0.9]]
SURE = [0.8, 0.7, 0.9]
BY_LABEL = {"no": (1, 0.8), "yes": (2, 1.6)}
BY_COLUMN = {"0": (1, 0.8), "1": (2, 1.6)}
WITHOUT = {"no": (1, 0.0), "yes": (2, 0.0)}
DICTS = [{"label": label, "score": score} for label, score in zip(LABELS, SURE, strict=True)]


class Response(pydantic.BaseModel):
    predictions: Any
    model_version: str = "3"


@dataclasses.dataclass
class Result:
    labels: Any
    scores: Any


def counted(features, answer, **options):
    """Return the rows, {class: (rows, sum of confidences)} and the losses of one call; values under the name None."""
    with fly() as rs:
        predict = rs.observe("m", **options)(lambda _: answer)
        assert predict(features) is answer
        (window,) = rs.windows()
        output, lost = window.output, rs.losses()
        classes = {
            name: (int(count), round(float(sums), 6))
            for name, count, sums in zip(
                output.classes, output.class_counts, output.confidence_sums.sum(axis=1), strict=True
            )
            if count
        }
        if output.value_counts is not None and output.value_counts.sum():
            classes[None] = (int(output.value_counts.sum()), round(float(output.value_sum), 6))
        return window.rows, classes, {name: count for name, count in lost.items() if name == losses.OUTPUT_UNREADABLE}


BATCHES = {
    "labels": ({"predictions": LABELS}, WITHOUT),
    "labels and a version": ({"predictions": LABELS, "model_version": "3", "errors": []}, WITHOUT),
    "probabilities": ({"predictions": ROWS}, BY_COLUMN),
    "an array": ({"predictions": np.array(ROWS)}, BY_COLUMN),
    "a frame": ({"predictions": pd.DataFrame(ROWS)}, BY_COLUMN),
    "an arrow column": ({"predictions": pa.array(LABELS)}, WITHOUT),
    "under outputs": ({"outputs": ROWS}, BY_COLUMN),
    "under results": ({"results": LABELS}, WITHOUT),
    "in two wrappers": ({"response": {"result": {"predictions": LABELS}}}, WITHOUT),
    "pydantic": (Response(predictions=LABELS), WITHOUT),
    "an inference protocol": (
        {"model_name": "m", "outputs": [{"name": "p", "shape": [3, 2], "datatype": "FP64", "data": np.ravel(ROWS).tolist()}]}, BY_COLUMN,
    ),
    "an inference protocol of texts": ({"outputs": [{"name": "p", "shape": [3], "datatype": "BYTES", "data": LABELS}]}, WITHOUT),
    "an inference protocol of two": (
        {"outputs": [{"name": "predict", "shape": [3], "datatype": "BYTES", "data": LABELS},
                     {"name": "predict_proba", "shape": [3, 2], "datatype": "FP64", "data": np.ravel(ROWS).tolist()}]}, BY_LABEL,
    ),
    "labels and scores": ({"labels": LABELS, "scores": SURE}, BY_LABEL),
    "labels and probabilities": ({"labels": LABELS, "probabilities": ROWS}, BY_LABEL),
    "labels and an array": ({"label": np.array(LABELS), "probabilities": np.array(ROWS)}, BY_LABEL),
    "a dataclass of columns": (Result(LABELS, SURE), BY_LABEL),
    "a frame of predictions": (pd.DataFrame({"prediction_label": LABELS, "prediction_score": SURE}), BY_LABEL),
    "a polars frame": (pl.DataFrame({"predicted_label": LABELS, "confidence": SURE}), BY_LABEL),
    "a tuple of arrays": ((np.array(LABELS), np.array(ROWS)), BY_LABEL),
    "a tuple of lists": ((LABELS, ROWS), BY_LABEL),
    "a tuple of labels and confidences": ((np.array(LABELS), np.array(SURE)), BY_LABEL),
    "a tuple of series of some rows": ((pd.Series(LABELS, index=[7, 8, 9]), pd.Series(SURE, index=[7, 8, 9])), BY_LABEL),
    "a tuple of series": ((pd.Series(LABELS), pd.Series(SURE)), BY_LABEL),
    "whole numbers and a matrix": ((np.array([0, 1, 1]), np.array(ROWS)), BY_COLUMN),
    "dicts": ({"predictions": DICTS}, BY_LABEL),
    "ranked labels a row": (
        [[{"label": "no", "score": row[0]}, {"label": "yes", "score": row[1]}] for row in ROWS], BY_LABEL,
    ),
    "a value and its deviation": ((np.array([3.5, 4.0, 5.5]), np.array([0.1, 0.2, 0.1])), {None: (3, 13.0)}),
    "values": ({"predictions": [3.5, 4.0, 5.5]}, {None: (3, 13.0)}),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "expected"), BATCHES.values(), ids=BATCHES.keys())
@pytest.mark.parametrize("features", [np.ones((3, 4)), [{"a": 1.0}] * 3, iter(())], ids=["array", "dicts", "unknown"])
def test_answers_of_a_batch_in_a_response(features, answer, expected):
    """Each row of a batch is counted once, with its class and its confidence, in whatever a service answers."""
    if expected.keys() == {None} and not isinstance(features, (np.ndarray, list)):
        pytest.skip("a tuple of two columns of numbers may be two rows where the rows are unknown")
    assert counted(features, answer) == (3, expected, {})


YES = {"yes": (1, 0.75)}
ROW = {
    "a label": ({"predictions": ["yes"]}, {"yes": (1, 0.0)}),
    "a label and more": ({"result": "yes", "probability": 0.75, "model": "m"}, YES),
    "a class": ({"predicted_class": "yes", "confidence": 0.75}, YES),
    "a number of a class": ({"class_id": 1, "probability": 0.75}, {"1": (1, 0.75)}),
    "probabilities": ({"predictions": [[0.25, 0.75]]}, {"1": (1, 0.75)}),
    "probabilities without a batch": ({"prediction": [0.25, 0.75]}, {"1": (1, 0.75)}),
    "a dict in a list": ({"predictions": [{"label": "yes", "score": 0.75}]}, YES),
    "a dict in a dict": ({"result": {"label": "yes", "confidence": 0.75}}, YES),
    "classes and scores": ({"predictions": [{"classes": ["no", "yes"], "scores": [0.25, 0.75]}]}, YES),
    "classes and probabilities": ({"classes": ["no", "yes"], "probabilities": [0.25, 0.75]}, YES),
    "a label and its distribution": ({"label": "yes", "probabilities": [0.25, 0.75]}, YES),
    "a label and scores": ({"predicted_label": "yes", "scores": [0.25, 0.75]}, YES),
    "labels of a batch of one": ({"labels": ["yes"], "scores": [0.75]}, YES),
    "a tuple": (("yes", [0.25, 0.75]), YES),
    "a tuple of arrays": ((np.array(["yes"]), np.array([[0.25, 0.75]])), YES),
    "a tuple of series of one": ((pd.Series(["yes"], index=[7]), pd.Series([0.75], index=[7])), YES),
    "a tuple of arrays of one": ((np.array(["yes"]), np.array([0.75])), YES),
    "ranked labels": ([{"label": "yes", "score": 0.75}, {"label": "no", "score": 0.25}], YES),
    "the best of many": ([{"label": "no", "score": 0.125}, {"label": "yes", "score": 0.75}], YES),
    "a dataclass": (Result(["no", "yes"], [0.25, 0.75]), YES),
    "a value": ({"predictions": [3.5]}, {None: (1, 3.5)}),
}


@pytest.mark.parametrize(("answer", "expected"), ROW.values(), ids=ROW.keys())
@pytest.mark.parametrize(
    "features",
    [[1.0, 2.0, 3.0], np.ones((1, 2)), {"a": 1.0}, [1.0, 2.0]],
    ids=["list", "array", "dict", "as many as the answer"],
)
def test_an_answer_of_one_row_in_a_response(features, answer, expected):
    """One row is counted once, also where its answer has as many parts as it has values."""
    assert counted(features, answer) == (1, expected, {})


UNREADABLE = {
    "nothing known": {"status": "ok", "items": [1, 2]},
    "another number of rows": {"predictions": ["yes"] * 5},
    "a wrapper too deep": {"outputs": {"outputs": {"outputs": {"outputs": ["yes"] * 3}}}},
    "three columns": (LABELS, SURE, SURE),
    "columns of another length": (["yes"] * 4, SURE[:2] * 2),
}


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_is_no_response_is_unreadable(answer):
    """A response without answers, or with another number of them, is unreadable for each row of the call."""
    assert counted(np.ones((3, 4)), answer) == (3, {}, {losses.OUTPUT_UNREADABLE: 3})


@pytest.mark.parametrize(
    "pair", [([0.25, 0.75], [0.5, 0.5]), (np.array([0.25, 0.75]), np.array([0.5, 0.5]))], ids=["lists", "arrays"]
)
def test_two_rows_of_a_tuple_stay_two_rows(pair):
    """A tuple of two distributions answers two rows; it is not taken for two columns."""
    assert counted(np.ones((2, 4)), pair) == (2, {"0": (1, 0.5), "1": (1, 0.75)}, {})


def test_pairs_of_two_rows_stay_pairs():
    """A tuple of two pairs answers two rows."""
    assert counted(np.ones((2, 4)), (("no", 0.75), ("yes", 0.5))) == (2, {"no": (1, 0.75), "yes": (1, 0.5)}, {})
