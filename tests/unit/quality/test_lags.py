"""Lag curves from windows whose later labels have not come yet."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.label_stream import DAY_S, START_NS, Stream, stream, windows
from radiosonde.model import LAG
from radiosonde.quality import class_weights, coverage_by_age, curve_of, label_table, lag_curves, lag_drift

GROWTH = 2**0.25


def curves(made, days):
    """Return the curves of the whole stream as seen at its end."""
    seen = windows(made, as_of_s=days * DAY_S)
    return {curve.name: curve for curve in lag_curves(label_table(seen, as_of_ns=START_NS + int(days * DAY_S * 1e9)))}


def test_the_median_is_that_of_all_labels_not_of_those_that_came():
    """Medians 2 and 10 days within a bucket, where the arrived labels of 90 days alone say less."""
    made = stream(90, seed=1)
    found = curves(made, 90)
    assert found["0"].quantile_s(0.5) / DAY_S == pytest.approx(2.0, rel=GROWTH - 1)
    assert found["1"].quantile_s(0.5) / DAY_S == pytest.approx(10.0, rel=GROWTH - 1)
    assert found["1"].refused == ""
    here = made.at_s + made.lag_s <= 60 * DAY_S
    early = curves(stream(60, seed=1), 60)["1"]
    truth = np.mean(made.lag_s[made.label == 1] <= 7 * DAY_S)
    naive = np.mean(made.lag_s[here & (made.label == 1) & (made.at_s < 60 * DAY_S)] <= 7 * DAY_S)
    assert abs(early.share_by(np.array(7 * DAY_S)) - truth) < 0.03 < naive - truth


def test_the_share_is_that_of_the_reverse_time_product_limit_by_hand():
    """Two ages, three lags: F is the product of one less the ratios, and its variance Greenwood's sum."""
    hour = 3600.0
    # Old: 60 labels at 1.5 h, 40 at 3 h. Young (2.5 h old): 30 at 1.5 h; those at 3 h have not come.
    at_h, lag_h = np.repeat([0.5, 0.5, 7.5], [60, 40, 30]), np.repeat([1.5, 3.0, 1.5], [60, 40, 30])
    made = Stream(at_h * hour, np.full(130, 0.9), np.ones(130, np.int64), lag_h * hour)
    table = label_table(windows(made, as_of_s=10.4 * hour, step_s=hour), as_of_ns=START_NS + int(10.4 * hour * 1e9))
    (curve,) = lag_curves(table)
    # At risk for 3 h: the 100 old ones; 40 of them waited that long. At risk for 1.5 h: 60 + 30, all of them.
    assert curve.share_by(np.array(2 * hour)) == pytest.approx(0.6)
    assert curve.variance_by(np.array(2 * hour)) == pytest.approx(40 / (100 * 60))
    assert curve.share_by(np.array([1.2 * hour, 4 * hour])).tolist() == [0.0, 1.0]


def test_a_curve_that_the_windows_are_too_young_for_is_refused():
    """Twenty days are too short for positives with a median lag of ten; ninety are enough."""
    assert "still arrive at the age of the oldest predictions" in curves(stream(20, seed=2), 20)["1"].refused
    assert curves(stream(20, seed=2), 20)["0"].refused == ""


def test_too_few_labels_tell_nothing():
    """Ten labels of a class are named as too few."""
    counts = np.zeros(LAG.size, np.int64)
    counts[40] = 10
    assert (
        curve_of(counts, "1").refused
        == "10 labels of class 1 are old enough to estimate label lags; at least 30 are needed"
    )


def test_labels_that_become_slower_are_noticed_and_steady_ones_are_not():
    """A doubled lag from day 45 of 90 on is material, with its direction; without it nothing is."""
    table = label_table(windows(stream(90, seed=3, slower_day=45), as_of_s=90 * DAY_S))
    assert [(drift.is_material, drift.z > 0) for drift in lag_drift(table)] == [(True, True)] * 2
    for seed in range(5):
        table = label_table(windows(stream(90, seed=seed), as_of_s=90 * DAY_S))
        assert not any(drift.is_material for drift in lag_drift(table))


def test_coverage_by_age_is_the_share_of_final_labels_that_has_come():
    """Per class and together, against counting the stream."""
    made = stream(90, seed=4)
    found = curves(made, 90)
    ages = np.array([1.0, 3.0, 7.0, 14.0]) * DAY_S
    finals = np.bincount(made.label).astype(float)
    by_class, overall = coverage_by_age((found["0"], found["1"]), finals, ages)
    for index, age in enumerate(ages):
        counted = [np.mean(made.lag_s[made.label == label] <= age) for label in (0, 1)]
        assert by_class[:, index] == pytest.approx(counted, abs=0.03)
        assert overall[index] == pytest.approx(np.mean(made.lag_s <= age), abs=0.03)


def test_weights_leave_out_what_is_too_young():
    """Windows in which the slow class has less than 15 % of its labels do not count; the others weigh one over coverage."""
    seen = windows(stream(90, seed=5), as_of_s=90 * DAY_S)
    table = label_table(seen, as_of_ns=START_NS + int(90 * DAY_S * 1e9))
    weights = class_weights(table, lag_curves(table))
    assert (weights.mature == (weights.coverage.min(axis=1) >= 0.15)).all()
    assert 0 < weights.mature.sum() < weights.mature.size
    assert np.allclose(weights.values[weights.mature] * weights.coverage[weights.mature], 1.0)
    assert not weights.values[~weights.mature].any()
