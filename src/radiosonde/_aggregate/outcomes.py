"""Accumulates labels of predictions made in one window, by lag and confidence."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from radiosonde._aggregate.answers import confidence_bin
from radiosonde.model import CONFIDENCE_BINS, LAGS, LabelCounts

LAG_EDGES_S = (60.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0, 172800.0, 604800.0, 1209600.0, 2592000.0)
"""Upper bounds of the label-lag histogram in seconds: one minute to 30 days."""

_LAG_LIMITS_S = (3600.0, 86400.0, 604800.0)


class OutcomeState:
    """Counts of labels. Owner: the consumer thread."""

    def __init__(self) -> None:
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._calibration = np.zeros((CONFIDENCE_BINS, 3))
        self._lags: dict[str, list[int]] = {}
        self._residual_sum = 0.0
        self._residual_square_sum = 0.0

    def add_class(self, label: str, *, is_correct: bool, confidence: float, lag_s: float) -> None:
        """Add the label of a classification."""
        lag = LAGS[int(np.searchsorted(_LAG_LIMITS_S, lag_s, side="left"))]
        self._outcomes["correct" if is_correct else "incorrect", lag] += 1
        if not math.isnan(confidence):
            place = int(confidence_bin(np.array([confidence]))[0])
            self._calibration[place] += (1, is_correct, confidence)
        self._add_lag(label, lag_s)

    def add_value(self, residual: float, lag_s: float) -> None:
        """Add the residual (label minus prediction) of a regression."""
        self._residual_sum += residual
        self._residual_square_sum += residual * residual
        self._add_lag("value", lag_s)

    def _add_lag(self, label: str, lag_s: float) -> None:
        lags = self._lags.setdefault(label, [0] * (len(LAG_EDGES_S) + 1))
        lags[int(np.searchsorted(LAG_EDGES_S, lag_s, side="left"))] += 1

    def freeze(self) -> LabelCounts:
        """Return the labels, frozen."""
        table = np.array(list(self._lags.values()), dtype=np.int64).reshape(-1, len(LAG_EDGES_S) + 1)
        return LabelCounts(
            outcomes=dict(self._outcomes),
            calibration=self._calibration.copy(),
            classes=tuple(self._lags),
            class_counts=table.sum(axis=1),
            lag_counts=table,
            lag_edges_s=LAG_EDGES_S,
            residual_sum=self._residual_sum,
            residual_square_sum=self._residual_square_sum,
        )
