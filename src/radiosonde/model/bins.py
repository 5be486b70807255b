"""Fixed bins of latencies, batch sizes, confidences and values, so that counts add up.

Latencies have a second, finer geometry in `radiosonde.model.buckets`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LATENCY_EDGES_S: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds of the explicit latency histogram in seconds, inclusive: from models of 0.1 ms to those of a minute, with 200 and
300 ms, which are usual objectives, among them."""

MOST_LATENCY_EDGES: Final = 40
"""Largest number of configurable bounds, including those of objectives."""

LAG_EDGES_S: Final = (
    *(1.0, 10.0, 60.0, 600.0, 3600.0, 14_400.0, 43_200.0),
    *(86_400.0, 259_200.0, 604_800.0, 1_209_600.0, 2_592_000.0, 7_776_000.0, 31_536_000.0),
)
"""Upper bounds of the label-lag histogram in seconds, inclusive: one second to a year."""

VALUE_CLASS: Final = "value"
"""Class name used for labels that are numbers."""

BATCH_BUCKETS: Final = 21
"""Batch sizes by power of two, up to a million rows and more."""

CONFIDENCE_BINS: Final = 20
"""Bins of equal width over [0, 1]; bin *j* is [j/20, (j+1)/20), the last one closed."""

LOG_ODDS_BINS: Final = 97
"""Bins of the log-odds of a confidence: a quarter wide, centred on multiples of it from -12 to 12, the outer ones open. Where a class is
rare nearly all confidences lie in the last of the 20 equal bins, and there these are as fine as anywhere. They mirror: the bins of 1 - c
are those of c reversed."""

VALUE_EDGES: Final = (-1e6, -1e4, -1e3, -1e2, -10.0, -1.0, -0.1, 0.0, 0.1, 1.0, 10.0, 1e2, 1e3, 1e4, 1e6)
"""Bins of values when no reference has better ones."""

_SINGLE_ROUNDING = CONFIDENCE_BINS * 2.0**-24


def latency_edge(durations_s: NDArray[np.float64], edges_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the place of each duration among *edges_s*, whose bounds are inclusive."""
    places: NDArray[np.int64] = np.searchsorted(edges_s, durations_s, side="left")
    return places


def batch_bucket(rows: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the bucket of each batch size, which is at least 1."""
    exponents = np.frexp(rows.astype(np.float64))[1].astype(np.int64)
    return np.minimum(exponents - 1, BATCH_BUCKETS - 1)


def confidence_bin(confidences: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each confidence; 1 (and values rounded above it) belongs to the last.

    A single row's confidence was rounded to single precision, a batch's was not: a value within that rounding below a bin's edge counts as
    on it, so that 0.35 is in the same bin either way.
    """
    scaled = np.clip(confidences * CONFIDENCE_BINS + _SINGLE_ROUNDING, 0.0, CONFIDENCE_BINS - 1)
    bins: NDArray[np.int64] = scaled.astype(np.int64)
    return bins


def log_odds_bin(confidence: float) -> int:
    """Return the bin of the log-odds of one confidence, clipped to [0, 1]."""
    if not 0.0 < confidence < 1.0:
        return LOG_ODDS_BINS - 1 if confidence > 0.5 else 0
    half = LOG_ODDS_BINS // 2
    return half + min(max(round(4.0 * math.log(confidence / (1.0 - confidence))), -half), half)


def one_confidence_bin(confidence: float) -> int:
    """Return the bin of one confidence, as `confidence_bin` does; a call of numpy for one number costs 10 us."""
    return min(int(min(max(confidence, 0.0), 1.0) * CONFIDENCE_BINS + _SINGLE_ROUNDING), CONFIDENCE_BINS - 1)
