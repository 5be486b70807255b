"""Margins and logits of classifiers are no probabilities, not even those that lie within [0, 1]."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.svm import LinearSVC

from radiosonde.model import losses
from radiosonde.testing import fly

X, Y = make_classification(400, 4, n_informative=3, n_redundant=0, random_state=3)

MODELS = {
    "logistic": LogisticRegression(),
    "boosting": GradientBoostingClassifier(n_estimators=40, random_state=0),
    "support vectors": LinearSVC(C=5.0, random_state=0),
    "descent": SGDClassifier(random_state=0),
}
CARRIERS = {
    "numpy": lambda answers: answers,
    "float32": lambda answers: answers.astype(np.float32),
    "column": lambda answers: answers.reshape(-1, 1),
    "list": lambda answers: answers.tolist(),
    "pandas": pd.Series,
    "polars": pl.Series,
    "arrow": pa.array,
}
OPTIONS = ({"task": "classification"}, {"classes": ["no", "yes"]})


def counted(calls, **options):
    """Return rows, classes and losses of calls, each of which is an input and its answer."""
    with fly() as rs:
        answers = iter([answer for _, answer in calls])
        predict = rs.observe("m", **options)(lambda _: next(answers))
        for value, _ in calls:
            predict(value)
        windows = rs.windows()
        classes = sum(int(window.output.class_counts.sum()) for window in windows)
        return sum(window.rows for window in windows), classes, rs.losses()


@pytest.mark.parametrize("options", OPTIONS, ids=["by task", "by classes"])
@pytest.mark.parametrize("carry", CARRIERS.values(), ids=CARRIERS.keys())
@pytest.mark.parametrize("name", MODELS)
def test_a_batch_of_margins_has_no_class(name, carry, options):
    """Every answer is unreadable; those between 0 and 1 were read as probabilities of the second class."""
    margins = MODELS[name].fit(X, Y).decision_function(X)
    assert ((margins >= 0) & (margins <= 1)).sum() > 5
    assert counted([(X, carry(margins))], **options) == (400, 0, {losses.OUTPUT_UNREADABLE: 400})


@pytest.mark.parametrize("options", OPTIONS, ids=["by task", "by classes"])
@pytest.mark.parametrize("carry", [float, np.float32, lambda value: np.array([value]), lambda value: [value]])
def test_margins_row_by_row_have_no_class_from_the_first_outside_on(carry, options):
    """Numbers before the first outside [0, 1] could be probabilities; of the others none is."""
    margins = LogisticRegression().fit(X, Y).decision_function(X).tolist()
    before = next(place for place, margin in enumerate(margins) if not 0 <= margin <= 1)
    rows, classes, lost = counted([(X[0].tolist(), carry(margin)) for margin in margins], **options)
    assert (rows, classes, lost) == (400, before, {losses.OUTPUT_UNREADABLE: 400 - before})


@pytest.mark.parametrize("odd", [1.5, -0.25, -1.0, np.nan])
@pytest.mark.parametrize("share", [20, 100])
def test_faults_among_probabilities_cost_their_rows_only(odd, share):
    """One answer in twenty that is no probability, of a batch and of single rows, leaves the others as they are."""
    answers = LogisticRegression().fit(X, Y).predict_proba(X)[:, 1]
    answers[share - 1 :: share] = odd
    expected = (400, 400 - 400 // share, {losses.OUTPUT_UNREADABLE: 400 // share})
    assert counted([(X, answers)], classes=["no", "yes"]) == expected
    assert counted([(X[0].tolist(), answer) for answer in answers.tolist()], classes=["no", "yes"]) == expected


@pytest.mark.parametrize("options", [{}, {"task": "regression"}], ids=["undeclared", "regression"])
def test_margins_without_a_declared_class_are_values(options):
    """A score of an anomaly detector or a ranking is a value."""
    margins = LogisticRegression().fit(X, Y).decision_function(X)
    assert counted([(X, margins)], **options) == (400, 0, {})
