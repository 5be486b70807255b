"""The nouns every floor shares: series keys, cells, latency buckets, windows. Standard library and numpy only."""

from radiosonde.model.buckets import LATENCY, LatencyBuckets
from radiosonde.model.cells import ABOVE, BELOW, NULL, SPECIAL_CELLS, UNSEEN, cell_names
from radiosonde.model.classes import class_text
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
    "LAGS",
    "LATENCY",
    "NULL",
    "OVERFLOW_COHORT",
    "SPECIAL_CELLS",
    "UNSEEN",
    "Exemplar",
    "FeatureCounts",
    "LabelCounts",
    "LatencyBuckets",
    "LatencyCounts",
    "OutputCounts",
    "SeriesKey",
    "Statistics",
    "Window",
    "cell_names",
    "class_text",
    "cohort_text",
    "parse_cohort",
]
