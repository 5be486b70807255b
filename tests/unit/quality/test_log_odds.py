"""AUC of a rare class: rows counted by the log-odds of their confidence, from the label to the estimate."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from radiosonde._aggregate.outcomes import OutcomeState
from radiosonde.model import Outcome, SeriesKey
from radiosonde.model.addition import add
from radiosonde.model.bins import LOG_ODDS_BINS, log_odds_bin
from radiosonde.quality import assess, label_table, lag_curves
from tests.factories import make_output, make_window

KEY = SeriesKey("m", "v1", "stable")
HOUR_NS = 3_600_000_000_000
RATES = {"half": 0.0, "tenth": -2.75, "three in a hundred": -4.15, "one in a hundred": -5.4}
"""Mean log-odds of worlds with these shares of positives."""


def rows(centre, *, size=12_000, threshold=0.5, seed=1):
    """Return scores, labels and the outcomes of a calibrated model that answers ``yes`` above *threshold*."""
    rng = np.random.default_rng(seed)
    score = 1 / (1 + np.exp(-(centre + 1.3 * rng.normal(size=size))))
    label = rng.random(size) < score
    made = []
    for p, is_yes in zip(score.tolist(), label.tolist(), strict=True):
        predicted = "yes" if p > threshold else "no"
        made.append(
            Outcome(
                KEY, 0, predicted, p if predicted == "yes" else 1 - p, math.nan, "yes" if is_yes else "no", 60.0,
                classes=("no", "yes"),
            )
        )  # fmt: skip
    return score, label, made


def counted(outcomes):
    """Return the labels of *outcomes*."""
    state = OutcomeState()
    state.update(outcomes)
    return state.freeze()


def window(labels, hour=0):
    """Return a window with *labels*, and an output of as many rows."""
    size = int(labels.class_counts.sum())
    return make_window(KEY, start_ns=hour * HOUR_NS, end_ns=(hour + 1) * HOUR_NS, durations_s=(0.01,), rows_per_call=(size,), labels=labels, output=make_output([("no", None), ("yes", None)]))  # fmt: skip


def estimated(windows, kind="raw"):
    """Return the AUC of *windows*."""
    table = label_table(windows, as_of_ns=100 * HOUR_NS)
    return getattr(assess(table, lag_curves(table), metric="auc"), kind)


@pytest.mark.parametrize("threshold", [0.5, 0.05, 0.9])
@pytest.mark.parametrize("rate", RATES)
def test_auc_is_that_of_the_rows_at_any_base_rate(rate, threshold):
    """Within .01 of the exact one, whatever the threshold of the answer; its interval covers it."""
    score, label, outcomes = rows(RATES[rate], threshold=threshold)
    found = estimated([window(counted(outcomes))])
    exact = roc_auc_score(label, score)
    assert found.value == pytest.approx(exact, abs=0.01)
    assert found.low < exact < found.high


def test_the_twenty_equal_bins_alone_are_far_off_for_a_rare_class():
    """Windows of a former version hold no log-odds: their AUC is that of the confidence bins."""
    score, label, outcomes = rows(RATES["one in a hundred"])
    old = replace(counted(outcomes), odds={})
    assert roc_auc_score(label, score) - estimated([window(old)]).value > 0.1
    common_score, common_label, common = rows(RATES["half"])
    found = estimated([window(replace(counted(common), odds={}))])
    assert found.value == pytest.approx(roc_auc_score(common_label, common_score), abs=0.01)


def test_windows_of_a_former_version_and_of_this_one_are_read_together():
    """Half of the rows each: the estimate holds all of them."""
    score, label, outcomes = rows(RATES["half"])
    windows = [window(replace(counted(outcomes[:6000]), odds={})), window(counted(outcomes[6000:]), 1)]
    found = estimated(windows)
    assert (found.rows, found.value) == (12_000, pytest.approx(roc_auc_score(label, score), abs=0.01))


@pytest.mark.parametrize("split", [1, 700, 11_999])
def test_parts_add_up_to_the_whole(split):
    """Counts of two processes are those of one."""
    _, _, outcomes = rows(RATES["tenth"])
    whole = counted(outcomes)
    summed = add([counted(outcomes[:split]), counted(outcomes[split:])])
    assert summed.odds.keys() == whole.odds.keys()
    assert all((summed.odds[pair] == whole.odds[pair]).all() for pair in whole.odds)


def test_a_correction_moves_its_row():
    """The former label's count is taken back: in the sum nothing is left of it."""
    first = Outcome(KEY, 0, "no", 0.99, math.nan, "no", 60.0, classes=("no", "yes"))
    state = OutcomeState()
    state.update([first, replace(first, label="yes", former="no", former_lag_s=60.0)])
    odds = state.freeze().odds
    assert odds["no", "no"].sum() == 0
    assert np.flatnonzero(odds["no", "yes"]).tolist() == [log_odds_bin(0.99)]


@pytest.mark.parametrize(("classes", "confidence", "lines"), [(("a", "b", "c"), 0.9, 0), (("a", "b"), math.nan, 0), ((), 0.9, 1), (("a", "b"), 0.9, 1)])  # fmt: skip
def test_only_two_classes_with_a_confidence_have_log_odds(classes, confidence, lines):
    """A model of a hundred classes would have ten thousand tables that nothing reads."""
    labels = counted([Outcome(KEY, 0, "a", confidence, math.nan, "b", 60.0, classes=classes)])
    assert sum(int(table.sum()) for table in labels.odds.values()) == lines


@pytest.mark.parametrize("confidence", [0.5, 0.53, 0.9, 0.999, 1 - 1e-9, 0.02, 1.0, 0.0])
def test_bins_mirror(confidence):
    """The bin of the other class is the reversed one; out of range is clipped."""
    assert log_odds_bin(confidence) + log_odds_bin(1 - confidence) == LOG_ODDS_BINS - 1
    assert (log_odds_bin(-0.1), log_odds_bin(1.1)) == (0, LOG_ODDS_BINS - 1)


def test_without_labels_auc_is_refused_where_confidences_share_a_bin():
    """At a rate of 1 % nearly all unlabelled rows are in one of the 20 bins of their window."""
    _, _, outcomes = rows(RATES["one in a hundred"])
    labels = counted(outcomes)
    confidence = np.zeros((2, 20), np.int64)
    sums = np.zeros((2, 20))
    for outcome in outcomes:
        row, at = ("no", "yes").index(outcome.predicted), min(int(outcome.confidence * 20), 19)
        confidence[row, at] += 1
        sums[row, at] += outcome.confidence
    made = window(labels)
    output = replace(made.output, class_counts=confidence.sum(axis=1), confidence=confidence, confidence_sums=sums)
    found = estimated([replace(made, output=output)], "cbpe")
    assert "AUC needs labels" in found.refused
    assert math.isnan(found.value)
