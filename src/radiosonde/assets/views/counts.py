"""The relations that answers read: what an engine must provide, as counts of the interval ``[t0, t1)``."""

from __future__ import annotations

from radiosonde.assets.views.view import SqlView

_SERIES = ("model", "version", "variant", "cohort")
_RELEASE = ("model", "version", "variant")
_FEATURE = ("model", "version", "reference_id", "feature")

COLUMNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "calls": ("Calls, rows and failed calls, by series.", (*_SERIES, "calls", "rows_in", "failed")),
    "cohort_calls": (
        "The same by dimension of the cohort.",
        ("model", "version", "dimension", "value", "calls", "failed"),
    ),
    "error_types": ("Failed calls by type of the exception.", (*_SERIES, "error_type", "failed")),
    "durations": ("Calls by bucket of their duration.", (*_RELEASE, "lower_s", "bound_s", "calls")),
    "totals": ("Calls that took at most a bound.", (*_RELEASE, "le_s", "calls")),
    "phases": ("Seconds in each phase of the calls that took at most a bound.", (*_RELEASE, "phase", "le_s", "seconds")),
    "cells": ("Rows by cell of a feature.", (*_FEATURE, "cell", "rows_in")),
    "reference_cells": (
        "Share of each cell in the reference, smoothed, and the rows of the reference.",
        (*_FEATURE, "cell", "ratio", "reference_rows"),
    ),
    "predicted_classes": ("Rows by predicted class.", (*_RELEASE, "class", "rows_in")),
    "confidences": ("Rows with a confidence and its sum, by series.", (*_SERIES, "rows_in", "confidence_sum")),
    "values": ("Rows of regressions and the sum of their predicted values.", (*_RELEASE, "rows_in", "value_sum")),
    "outcomes": (
        "Labelled rows in force, by lag of the label and result; corrected labels are taken back.",
        (*_SERIES, "lag", "result", "rows_in"),
    ),
    "confidence_bins": (
        "Labelled rows, those predicted right, and the sum of their confidence, by bin of the confidence.",
        (*_RELEASE, "bin", "rows_in", "correct", "expected"),
    ),
    "label_lags": ("Labelled rows by class of the label and bucket of its lag.", (*_RELEASE, "class", "lower_s", "bound_s", "rows_in")),
    "sketch_items": (
        "Values in the sketches of a feature, and the weight of each in values.",
        (*_RELEASE, "feature", "value", "weight"),
    ),
    "processes": (
        "Health of each process.",
        ("process", "cpu", "throttled", "periods", "gc", "loop_lag", "pool_wait", "memory"),
    ),
}  # fmt: skip
"""By name: the meaning of its rows, and its columns. Rows may be partial: answers sum them."""


def counts(name: str, query: str) -> SqlView:
    """Return the relation *name* of an engine."""
    summary, columns = COLUMNS[name]
    return SqlView(name, summary, columns, query)
