"""Quality from late labels: pure functions of windows, for diagnosis and exporters.

table = label_table(windows)  # all there is: it teaches how late labels come
curves = lag_curves(table)
recent = label_table(windows, as_of_ns=table.as_of_ns, since_ns=since_ns)  # the windows to assess
assess(recent, curves, metric="error_rate").corrected  # Estimate(value=0.19, low=0.17, high=0.21, coverage=0.4, ...)
"""

from radiosonde.quality.cbpe import Calibration, calibration, expected_joint, mixed_joint
from radiosonde.quality.columns import LabelColumns, label_columns
from radiosonde.quality.estimate import Assessment, Estimate, assess, weighted_joint
from radiosonde.quality.lags import LagCurve, LagDrift, coverage_by_age, curve_of, lag_curves, lag_drift, span_words
from radiosonde.quality.residuals import assess_residuals
from radiosonde.quality.scores import METRICS, Joint, Score
from radiosonde.quality.table import LabelTable, label_table, latest_ns
from radiosonde.quality.watch import FeedState, watch_feed
from radiosonde.quality.weights import MIN_COVERAGE, Weights, class_weights

__all__ = [
    "METRICS",
    "MIN_COVERAGE",
    "Assessment",
    "Calibration",
    "Estimate",
    "FeedState",
    "Joint",
    "LabelColumns",
    "LabelTable",
    "LagCurve",
    "LagDrift",
    "Score",
    "Weights",
    "assess",
    "assess_residuals",
    "calibration",
    "class_weights",
    "coverage_by_age",
    "curve_of",
    "expected_joint",
    "label_columns",
    "label_table",
    "lag_curves",
    "lag_drift",
    "latest_ns",
    "mixed_joint",
    "span_words",
    "watch_feed",
    "weighted_joint",
]
