"""Estimates: what they rest on, and when there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.label_stream import DAY_S, KEY, START_NS, output_counts, stream, window, windows
from radiosonde.model import LAG, LabelCounts
from radiosonde.quality import assess, assess_residuals, calibration, label_table, lag_curves, weighted_joint
from radiosonde.quality.estimate import share_interval
from radiosonde.quality.weights import class_weights


def late(seconds):
    """Return nanoseconds of the simulated clock."""
    return START_NS + int(seconds * 1e9)


@pytest.fixture(scope="module", name="seen")
def ninety_days():
    """Return windows of 90 days as they stand at their end."""
    return windows(stream(90, seed=11), as_of_s=90 * DAY_S)


def test_below_fifteen_percent_of_the_slow_class_nothing_is_told(seen):
    """The last two days give a reason with its numbers instead of a figure; the raw figure is marked as raw."""
    table = label_table(seen)
    last = label_table(seen, as_of_ns=table.as_of_ns, since_ns=late(88 * DAY_S))
    found = assess(last, lag_curves(table))
    assert np.isnan(found.corrected.value)
    assert found.corrected.refused.startswith("at most 1.")
    assert found.corrected.refused.endswith("% of the labels of class 1 have arrived, estimated; 15 % are needed")
    assert found.raw.kind == "raw"
    assert found.raw.value < 0.1
    assert found.cbpe.refused == ""


def test_windows_too_young_are_left_out_and_the_estimate_says_until_when(seen):
    """Over the last 20 days only predictions old enough count; coverage is that of those."""
    table = label_table(seen)
    recent = label_table(seen, as_of_ns=table.as_of_ns, since_ns=late(70 * DAY_S))
    best = assess(recent, lag_curves(table)).corrected
    age_d = (table.as_of_ns - best.until_ns) / 1e9 / DAY_S
    assert 3.5 < age_d < 6  # lognormal, median 10 d, sigma 0.8: 15 % at 4.4 days
    assert 0.6 < best.coverage < 0.95
    assert best.low < best.value < best.high


def test_a_lag_that_drifts_is_a_reason_to_refuse():
    """When labels have become slower, their weights are unknown."""
    table = label_table(windows(stream(90, seed=3, slower_day=45), as_of_s=90 * DAY_S))
    assert "have become slower" in assess(table, lag_curves(table)).corrected.refused


def test_a_class_that_never_was_a_label_is_a_reason_to_refuse(seen):
    """Predicted positives without one positive label yet: it may be the slow class."""
    table = label_table(seen)
    only_zero = replace(table, lags=table.lags * np.array([1.0, 0.0])[None, :, None])
    found = assess(only_zero, lag_curves(only_zero))
    assert found.corrected.refused == "no label of class 1 has arrived yet, so their lag is unknown"
    assert found.mixed.refused


def test_no_label_at_all():
    """Without labels there is confidence, and nothing else."""
    made = [
        window(
            START_NS,
            START_NS + 10**9,
            100,
            output_counts(np.full(100, 1), np.full(100, 16), np.full(100, 0.8)),
            None,
        )
    ]
    table = label_table(made)
    found = assess(table, lag_curves(table), metric="accuracy")
    assert found.corrected.refused == "no label of these predictions has arrived"
    assert found.raw.refused == "0 labels have arrived; at least 30 are needed"
    assert found.cbpe.value == pytest.approx(0.8)
    assert found.cbpe.low < 0.8 < found.cbpe.high


def test_every_score_of_old_windows_is_the_raw_one(seen):
    """Once all labels have come, weights are one and all scores agree with plain counting."""
    made = windows(stream(20, seed=12), as_of_s=300 * DAY_S)
    table = label_table(made, as_of_ns=late(300 * DAY_S))
    curves = lag_curves(label_table(seen))
    for metric in ("accuracy", "precision", "recall", "auc", "brier", "calibration_error"):
        found = assess(table, curves, metric=metric)
        assert found.corrected.value == pytest.approx(found.raw.value, rel=1e-3)
        assert found.corrected.coverage == pytest.approx(1.0, abs=1e-3)
    assert found.raw.rows == 20 * 2000


def test_cbpe_with_a_calibration_of_mature_windows(seen):
    """Calibrated on the weighted labels of old windows, confidence predicts the accuracy of the new ones."""
    table = label_table(seen)
    old = label_table(seen, as_of_ns=table.as_of_ns, until_ns=late(60 * DAY_S))
    weights = class_weights(old, lag_curves(table))
    held = calibration(old.classes, weighted_joint(old, weights))
    recent = label_table(seen, as_of_ns=table.as_of_ns, since_ns=late(85 * DAY_S))
    found = assess(recent, lag_curves(table), calibrated=held)
    assert found.cbpe.value == pytest.approx(0.138, abs=0.01)
    assert found.mixed.value == pytest.approx(0.138, abs=0.02)


def test_an_interval_has_a_width_at_no_errors_and_stays_within_bounds():
    """Wilson's interval: 0 of 100 is 0 to 3.7 %; a variance makes it wider or narrower."""
    assert share_interval(0.0, 0.0, 100) == pytest.approx((0.0, 0.0370), abs=1e-4)
    low, high = share_interval(0.5, 0.0025, 1e9)
    assert (low, high) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def value_window(day, residuals, lag_s):
    """Return a day's window of a regression."""
    lags = np.zeros((1, LAG.size), np.int64)
    np.add.at(lags[0], LAG.index(np.full(len(residuals), lag_s)), 1)
    labels = LabelCounts(
        {}, np.zeros((20, 3)), ("value",), lags.sum(axis=1), lags.sum(axis=1)[:, None], (),
        residual_sum=float(residuals.sum()), residual_square_sum=float((residuals**2).sum()),
        residual_absolute_sum=float(np.abs(residuals).sum()), lags=lags,
    )  # fmt: skip
    output = output_counts(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    start = late(day * DAY_S)
    return window(start, start + int(DAY_S * 1e9), len(residuals), replace(output, classes=(), class_counts=output.class_counts[:0], confidence=output.confidence[:0], confidence_sums=output.confidence_sums[:0]), labels, KEY)  # fmt: skip


def test_residual_scores_are_those_of_the_rows():
    """Bias, mean absolute and root mean squared error, with intervals that hold the truth."""
    draw = np.random.default_rng(5)
    residuals = [draw.normal(1.0, 3.0, 200) for _ in range(30)]
    table = label_table([value_window(day, part, 3600.0) for day, part in enumerate(residuals)])
    rows = np.concatenate(residuals)
    exact = {
        "bias": (rows.mean(), 1.0),
        "mae": (np.abs(rows).mean(), 2.531),
        "rmse": (np.sqrt((rows**2).mean()), 10**0.5),
    }
    for metric, (value, truth) in exact.items():
        raw, corrected = assess_residuals(table, lag_curves(table), metric=metric)
        assert raw.value == pytest.approx(value)
        assert corrected.value == pytest.approx(value)
        assert corrected.low < truth < corrected.high
        assert corrected.high - corrected.low < 0.4
    assert table.is_regression


def test_parts_of_windows_add_up(seen):
    """Labels that arrive as deltas of their own, without rows, give the same estimate."""
    parts = [part for made in seen for part in (replace(made, labels=None), replace(made, rows=0, calls=0, output=output_counts(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))))]  # fmt: skip
    whole, split = label_table(seen), label_table(parts[::-1])
    one, other = (assess(table, lag_curves(table)).corrected for table in (whole, split))
    assert (one.value, one.low, one.rows) == (other.value, other.low, other.rows)
