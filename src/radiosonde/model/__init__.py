"""Shared value types: series keys, cells, latency buckets, windows. Standard library and numpy only."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from radiosonde.model.bins import CONFIDENCE_BINS
from radiosonde.model.buckets import LAG, LATENCY, ExponentialBuckets
from radiosonde.model.cells import ABOVE, BELOW, MOST_BODY_CELLS, NULL, SPECIAL_CELLS, UNSEEN, cell_names, widened
from radiosonde.model.classes import FIRST_HASHED, OTHER_WRONG, OVERFLOW_CLASS, class_text, folded, hashed_class
from radiosonde.model.names import (
    LONGEST_NAME,
    RUNTIME_MODEL,
    checked_model,
    checked_name,
    has_own_text,
    name_of,
    plain_text,
    printable,
)
from radiosonde.model.own_id import LONGEST_ID, id_text
from radiosonde.model.series import OVERFLOW_COHORT, SeriesKey, cohort_text, parse_cohort

if TYPE_CHECKING:
    from radiosonde.model.outcome import Outcome
    from radiosonde.model.runtime import RUNTIME_KEY, DurationCounts, RuntimeCounts
    from radiosonde.model.statistics import Statistics
    from radiosonde.model.window import (
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
    "FIRST_HASHED",
    "LAG",
    "LAGS",
    "LATENCY",
    "LONGEST_ID",
    "LONGEST_NAME",
    "MOST_BODY_CELLS",
    "NULL",
    "OTHER_WRONG",
    "OVERFLOW_CLASS",
    "OVERFLOW_COHORT",
    "RUNTIME_KEY",
    "RUNTIME_MODEL",
    "SPECIAL_CELLS",
    "UNSEEN",
    "DurationCounts",
    "Exemplar",
    "ExponentialBuckets",
    "FeatureCounts",
    "LabelCounts",
    "LatencyCounts",
    "Outcome",
    "OutputCounts",
    "RuntimeCounts",
    "SeriesKey",
    "Statistics",
    "Window",
    "cell_names",
    "checked_model",
    "checked_name",
    "class_text",
    "cohort_text",
    "folded",
    "has_own_text",
    "hashed_class",
    "id_text",
    "name_of",
    "parse_cohort",
    "plain_text",
    "printable",
    "widened",
]

_LATER = {
    "outcome": ("Outcome",),
    "runtime": ("RUNTIME_KEY", "DurationCounts", "RuntimeCounts"),
    "statistics": ("Statistics",),
    "window": (
        "LAGS",
        "Exemplar",
        "FeatureCounts",
        "LabelCounts",
        "LatencyCounts",
        "OutputCounts",
        "Window",
    ),
}
"""Names loaded on first use: creating these dataclasses is a quarter of the time of `import radiosonde`."""


def __getattr__(name: str) -> Any:
    for module, names in _LATER.items():
        if name in names:
            found = getattr(import_module(f"radiosonde.model.{module}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
