"""Scores of any classes, labels and confidences, held against scikit-learn."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_score, recall_score

from benchmarks.quality.label_stream import KEY, START_NS, window
from radiosonde._aggregate.answers import AnswerState
from radiosonde._aggregate.outcomes import OutcomeState
from radiosonde._ring.layout import OUTPUT_CLASS
from radiosonde.model import Outcome
from radiosonde.quality import (
    METRICS,
    assess,
    calibration,
    class_weights,
    label_table,
    lag_curves,
    mixed_joint,
    weighted_joint,
)

NAMES = ("a", "b", "c", "", "NA", "__other__", "ü", "0", "1", "value")
HOUR_NS = 3600 * 10**9


@st.composite
def labelled_rows(draw):
    """Draw rows of (hour, predicted, confidence or None, label or None), of any classes, labelled in whole or in part."""
    predicted = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
    labels = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
    label = st.sampled_from(labels)
    label = draw(st.sampled_from([label, label | st.none()]))
    confidence = draw(st.sampled_from([st.none(), st.floats(0.0, 1.0), st.floats(0.0, 1.0) | st.none()]))
    row = st.tuples(st.integers(0, 3), st.sampled_from(predicted), confidence, label)
    return draw(st.lists(row, min_size=35, max_size=80))


def table_of(rows, lag_s=1.0):
    """Return the table of *rows*, each hour a window, counted as the aggregator counts."""
    names = sorted({predicted for _, predicted, _, _ in rows})
    made = []
    for hour in sorted({row[0] for row in rows}):
        answers, outcomes = AnswerState(), OutcomeState()
        mine = [row[1:] for row in rows if row[0] == hour]
        outputs = [(names.index(said), np.nan if sure is None else sure) for said, sure, _ in mine]
        answers.update_batch(OUTPUT_CLASS, np.array(outputs), 1)
        start = START_NS + hour * HOUR_NS
        for said, sure, label in mine:
            if label is not None:
                outcomes.add(Outcome(KEY, start, said, np.nan if sure is None else sure, np.nan, label, lag_s))
        made.append(window(start, start + HOUR_NS, len(mine), answers.freeze(names), outcomes.freeze()))
    return label_table(made)


def mixed(table):
    """Return labels where they have come, and confidences at their word where they have not."""
    return mixed_joint(table, class_weights(table, ()), calibration(table.classes))


@settings(max_examples=100)
@given(labelled_rows())
def test_arrived_labels_score_as_in_scikit_learn(rows):
    """Accuracy, and precision and recall of every class, of the labels as they are."""
    table = table_of(rows)
    known = [(said, label) for _, said, _, label in rows if label is not None]
    joint = weighted_joint(table, class_weights(table, ()))
    truth, said = [label for _, label in known], [said for said, _ in known]
    if known:
        assert METRICS["accuracy"](joint, None).value == pytest.approx(accuracy_score(truth, said))
        assert METRICS["error_rate"](joint, None).value == pytest.approx(1 - accuracy_score(truth, said))
    for name in table.classes:
        for metric, oracle, held in (("precision", precision_score, said), ("recall", recall_score, truth)):
            found = METRICS[metric](joint, name).value
            if name in held:
                assert found == pytest.approx(oracle(truth, said, labels=[name], average=None, zero_division=0)[0])
            else:
                assert np.isnan(found)


@settings(max_examples=100)
@given(labelled_rows(), st.booleans())
def test_complete_labels_leave_nothing_to_the_confidence(rows, is_late):
    """Where every label has come, the mixed score is scikit-learn's, in tables of any classes and lag."""
    rows = [(hour, said, sure, said if label is None else label) for hour, said, sure, label in rows]
    joint = mixed(table_of(rows, 7200.0 if is_late else 1.0))
    expected = accuracy_score([label for _, _, _, label in rows], [said for _, said, _, _ in rows])
    assert METRICS["accuracy"](joint, None).value == pytest.approx(expected)
    assert joint.rows.sum() == pytest.approx(len(rows))


@settings(max_examples=100)
@given(labelled_rows())
def test_a_row_without_a_label_is_right_as_often_as_its_confidence_says(rows):
    """The mixed score is the mean over known labels, and over confidences of the rest."""
    rows = [(hour, said, 0.5 if sure is None else sure, label) for hour, said, sure, label in rows]
    expected = np.mean([sure if label is None else said == label for _, said, sure, label in rows])
    assert METRICS["accuracy"](mixed(table_of(rows)), None).value == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60)
@given(labelled_rows(), labelled_rows())
def test_every_score_has_a_value_or_a_reason(rows, older):
    """No set of classes, in the rows or in those behind the calibration, makes an error or a warning."""
    table, before = table_of(rows), table_of(older)
    curves = lag_curves(table)
    held = calibration(table.classes, weighted_joint(before, class_weights(before, ())))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for metric in METRICS:
            for positive in (None, *table.classes):
                made = assess(table, curves, metric=metric, positive=positive, calibrated=held)
                for each in (made.raw, made.corrected, made.cbpe, made.mixed):
                    assert each.refused or each.low - 1e-9 <= each.value <= each.high + 1e-9


def test_a_label_of_a_class_never_predicted_leaves_the_calibration_of_the_others():
    """One stray label in the time before does not send the calibration back to the confidence at its word."""
    before = table_of(
        [(0, "a", 0.9, "b")] * 40 + [(0, "b", 0.9, "b")] * 40 + [(0, "a", 0.9, "NA"), (0, "odd", 0.9, "a")]
    )
    held = calibration(("a", "b"), weighted_joint(before, class_weights(before, ())))
    assert held.rows[0, 18] == 41
    assert held.right[0, 18] < 0.1
    assert held.right[1, 18] > 0.99
