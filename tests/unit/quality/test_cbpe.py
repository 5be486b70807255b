"""Performance without labels, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.label_stream import START_NS, window
from radiosonde.model import CONFIDENCE_BINS, OutputCounts
from radiosonde.quality import Joint, assess, calibration, label_table


def table(rows):
    """Return the table of one window that answered *rows*, pairs of (class, confidence)."""
    classes = tuple(sorted({name for name, _ in rows}))
    counts, sums = np.zeros((len(classes), CONFIDENCE_BINS), np.int64), np.zeros((len(classes), CONFIDENCE_BINS))
    for name, score in rows:
        place = (classes.index(name), min(int(score * CONFIDENCE_BINS), CONFIDENCE_BINS - 1))
        counts[place] += 1
        sums[place] += score
    output = OutputCounts(classes, counts.sum(axis=1), counts, sums, np.empty(0), np.empty(0, np.int64))
    return label_table([window(START_NS, START_NS + 10**9, len(rows), output, None)])


def test_three_classes_have_an_accuracy_and_precisions_but_no_recall():
    """Mean confidence is expected accuracy; which class a wrong answer missed, confidence does not say."""
    made = table([("a", 0.9)] * 10 + [("b", 0.6)] * 20 + [("c", 0.5)] * 10)
    assert assess(made, (), metric="accuracy").cbpe.value == pytest.approx((9 + 12 + 5) / 40)
    assert assess(made, (), metric="precision", positive="b").cbpe.value == pytest.approx(0.6)
    missed = assess(made, (), metric="recall", positive="b").cbpe
    assert np.isnan(missed.value)
    assert missed.refused == "with more than two classes confidence does not say which class was missed"


def test_two_classes_have_a_recall():
    """Expected positives found, over expected positives: 8 of 8 + 3 here."""
    made = table([("0", 0.7)] * 10 + [("1", 0.8)] * 10)
    assert assess(made, (), metric="recall").cbpe.value == pytest.approx(8 / 11)


def test_calibration_is_the_line_of_each_bin():
    """An overconfident bin is read at its labelled accuracy, and within it along its own slope."""
    draw = np.random.default_rng(3)
    confidence = draw.uniform(0.9, 0.95, 200_000)
    right = draw.uniform(size=confidence.size) < 0.5 + 4 * (confidence - 0.9)
    counts = np.zeros((2, CONFIDENCE_BINS + 1, 3))
    for pair, mine in ((0, right), (1, ~right)):
        counts[pair, 18] = mine.sum(), confidence[mine].sum(), (confidence[mine] ** 2).sum()
    held = calibration(("0", "1"), Joint(("0", "1"), np.array([(0, 0), (0, 1)]), counts))
    assert held.slope[0, 18] == pytest.approx(4.0, abs=0.3)
    for score in (0.91, 0.94):
        found = assess(
            table([("0", score)] * 100 + [("1", 0.5)]), (), metric="precision", positive="0", calibrated=held
        )
        assert found.cbpe.value == pytest.approx(0.5 + 4 * (score - 0.9), abs=0.01)


def test_answers_without_confidence_lead_to_nothing():
    """A reason instead of a figure."""
    output = OutputCounts(("a", "b"), np.array([5, 5]), np.zeros((2, 20), np.int64), np.zeros((2, 20)), np.empty(0), np.empty(0, np.int64))  # fmt: skip
    made = label_table([window(START_NS, START_NS + 10**9, 10, output, None)])
    assert assess(made, ()).cbpe.refused == "the outputs have no confidence"
