"""Scores of a table of (predicted, label) by confidence bin, against the same scores of rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from benchmarks.quality.label_stream import stream
from radiosonde.model import CONFIDENCE_BINS
from radiosonde.quality import METRICS, Joint


def table(predicted, label, confidence, size=2):
    """Return the joint table of rows, counted one by one."""
    pairs = [(p, t) for p in range(size) for t in range(size)]
    counts = np.zeros((len(pairs), CONFIDENCE_BINS + 1, 3))
    for p, t, c in zip(predicted, label, confidence, strict=True):
        place = CONFIDENCE_BINS if np.isnan(c) else min(int(c * CONFIDENCE_BINS), CONFIDENCE_BINS - 1)
        counts[pairs.index((p, t)), place] += (1, 0, 0) if np.isnan(c) else (1, c, c * c)
    return Joint(tuple(str(name) for name in range(size)), np.array(pairs), counts)


@pytest.fixture(scope="module", name="rows")
def some_rows():
    """Return (predicted, label, confidence, score) of 4 000 rows."""
    made = stream(2, seed=7)
    predicted = (made.score > 0.5).astype(int)
    return predicted, made.label, np.maximum(made.score, 1 - made.score), made.score


def test_scores_are_those_of_the_rows(rows):
    """Exact for all but AUC, which takes rows of one bin for ties."""
    predicted, label, confidence, score = rows
    joint = table(predicted, label, confidence)
    said = {name: metric(joint, None).value for name, metric in METRICS.items()}
    assert said["accuracy"] == pytest.approx(metrics.accuracy_score(label, predicted))
    assert said["error_rate"] == pytest.approx(1 - metrics.accuracy_score(label, predicted))
    assert said["precision"] == pytest.approx(metrics.precision_score(label, predicted))
    assert said["recall"] == pytest.approx(metrics.recall_score(label, predicted))
    assert said["brier"] == pytest.approx(metrics.brier_score_loss(label, score))
    assert said["auc"] == pytest.approx(metrics.roc_auc_score(label, score), abs=0.01)
    bins = np.minimum((confidence * 20).astype(int), 19)
    by_hand = sum(abs((confidence - (predicted == label))[bins == j].sum()) for j in range(20)) / label.size
    assert said["calibration_error"] == pytest.approx(by_hand)


def test_the_other_class_has_its_own_precision_and_recall(rows):
    """Naming class 0 as positive turns the scores around; AUC is the same from either side."""
    predicted, label, confidence, _ = rows
    joint = table(predicted, label, confidence)
    assert METRICS["recall"](joint, "0").value == pytest.approx(metrics.recall_score(label, predicted, pos_label=0))
    assert METRICS["precision"](joint, "0").value == pytest.approx(
        metrics.precision_score(label, predicted, pos_label=0)
    )
    assert METRICS["auc"](joint, "0").value == pytest.approx(METRICS["auc"](joint, "1").value)


@pytest.mark.parametrize("name", METRICS)
def test_the_influence_of_a_row_is_what_adding_it_does(rows, name):
    """Against the difference of two scores; and a table counted twice scores the same."""
    joint = table(*(part[:500] for part in rows[:3]))
    score = METRICS[name](joint, None)
    assert (score.influence * joint.rows).sum() == pytest.approx(0, abs=1e-9)
    step = 1e-6
    for pair, place in ((0, 19), (1, 12), (2, 15), (3, 19)):
        more = joint.table.copy()
        more[pair, place] *= 1 + step / joint.rows[pair, place]
        moved = METRICS[name](Joint(joint.classes, joint.pairs, more), None).value
        assert (moved - score.value) / step == pytest.approx(score.influence[pair, place], abs=1e-6)


def test_three_classes_and_no_confidence():
    """Per-class scores of three classes; what needs a confidence, or two classes, says nothing instead of something."""
    joint = table([0, 1, 2, 2, 1], [0, 2, 2, 2, 1], [np.nan] * 5, size=3)
    assert METRICS["accuracy"](joint, None).value == pytest.approx(0.8)
    assert METRICS["recall"](joint, "2").value == pytest.approx(2 / 3)
    assert METRICS["precision"](joint, "1").value == pytest.approx(0.5)
    for name in ("auc", "brier", "calibration_error"):
        assert np.isnan(METRICS[name](joint, None).value)
    assert np.isnan(METRICS["recall"](joint, "unheard of").value)
