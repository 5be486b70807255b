"""The nouns every floor shares: series keys, cells, latency buckets, windows. Standard library and numpy only."""

from radiosonde.model.buckets import LAG, LATENCY, ExponentialBuckets
from radiosonde.model.cells import ABOVE, BELOW, MOST_BODY_CELLS, NULL, SPECIAL_CELLS, UNSEEN, cell_names, widened
from radiosonde.model.classes import OVERFLOW_CLASS, class_text
from radiosonde.model.outcome import Outcome
from radiosonde.model.series import OVERFLOW_COHORT, SeriesKey, cohort_text, parse_cohort
from radiosonde.model.statistics import Statistics
from radiosonde.model.window import (
    CONFIDENCE_BINS,
    LAGS,
    Exemplar,
    FeatureCounts,
    LabelCounts,
    LatencyCounts,
    OutputCounts,
    Window,
)

__all__ = [
    "ABOVE",
    "BELOW",
    "CONFIDENCE_BINS",
    "LAG",
    "LAGS",
    "LATENCY",
    "MOST_BODY_CELLS",
    "NULL",
    "OVERFLOW_CLASS",
    "OVERFLOW_COHORT",
    "SPECIAL_CELLS",
    "UNSEEN",
    "Exemplar",
    "ExponentialBuckets",
    "FeatureCounts",
    "LabelCounts",
    "LatencyCounts",
    "Outcome",
    "OutputCounts",
    "SeriesKey",
    "Statistics",
    "Window",
    "cell_names",
    "class_text",
    "cohort_text",
    "parse_cohort",
    "widened",
]
