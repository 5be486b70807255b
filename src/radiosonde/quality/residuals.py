"""Scores of a regression: mean error, mean absolute error and root mean squared error of labelled rows.

There is one label class, so a weight only balances windows of different age against each other. A lag that depends on the
value itself (long flights land late, and are late more often) is not corrected for: windows hold no lag by value.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from radiosonde.quality.estimate import Estimate, Kind, overall_coverage, refusal, refusing
from radiosonde.quality.lags import MIN_AT_RISK, LagCurve
from radiosonde.quality.table import LabelTable
from radiosonde.quality.weights import MIN_COVERAGE, class_weights

Residual = Literal["bias", "mae", "rmse"]

_Z: Final = 1.959964


def assess_residuals(
    table: LabelTable, curves: tuple[LagCurve, ...], *, metric: Residual = "mae", min_coverage: float = MIN_COVERAGE
) -> tuple[Estimate, Estimate]:
    """Return (raw, corrected) of one score of a regression.

    Args:
        table: the predictions to judge.
        curves: lag curves, from all windows there are.
        metric: ``bias`` is the mean of (label - value).
        min_coverage: least share of arrived labels for a group of windows to count.
    """
    weights = class_weights(table, curves, min_coverage=min_coverage)
    rows = table.residuals.rows
    few = (
        "" if rows.sum() >= MIN_AT_RISK else f"{int(rows.sum())} labels have arrived; at least {MIN_AT_RISK} are needed"
    )
    refused = refusal(table, curves, weights, min_coverage=min_coverage) or few
    every = np.ones(rows.size)
    made = []
    kinds: tuple[tuple[Kind, str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]], ...] = (
        ("raw", few, every),
        ("corrected", refused, weights.values.max(axis=1, initial=0.0)),
    )
    for kind, reason, values in kinds:
        used = values > 0
        coverage = overall_coverage(table.rows[used], weights.coverage[used], table.lags[used].sum(axis=(0, 2)))
        until = int(table.end_ns[used].max()) if used.any() else 0
        held = int(rows[used].sum())
        if reason or not held:
            made.append(refusing(kind, reason or "no label has arrived", coverage, held, until))
            continue
        value, spread = _score(table, values, metric)
        low = value - _Z * spread if metric == "bias" else max(value - _Z * spread, 0.0)
        made.append(Estimate(value, low, value + _Z * spread, coverage, held, kind, "", until))
    return made[0], made[1]


def _score(
    table: LabelTable, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], metric: Residual
) -> tuple[float, float]:
    """Return a score and its standard error.

    It is estimated from the spread between groups: windows hold no fourth powers, and rows of one window are correlated anyway.
    """
    parts = table.residuals
    sums = {"bias": parts.sums, "mae": parts.absolute, "rmse": parts.squares}[metric]
    total = float(values @ parts.rows)
    mean = float(values @ sums) / total
    pull = values * (sums - mean * parts.rows)
    pull = pull[(values > 0) & (parts.rows > 0)]
    error = float(np.sqrt((pull**2).sum() * pull.size / max(pull.size - 1, 1))) / total
    if metric != "rmse":
        return mean, error
    root = float(np.sqrt(max(mean, 0.0)))
    return root, error / (2 * root) if root > 0 else 0.0
