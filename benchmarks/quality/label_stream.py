"""Predictions whose labels come late, simulated straight into windows: two classes, lags that depend on the class.

Scores are ``sigmoid(z)``, z normal with the mean and spread that give the error rates of 0.138 without and 0.193 with a drift
of the truth by one logit (and a quarter of positives); so raw, corrected and true error rates have known values.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.model import CONFIDENCE_BINS, LAG, LATENCY, LabelCounts, LatencyCounts, OutputCounts, SeriesKey, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

DAY_S = 86_400.0
START_NS = 1_362_096_000 * 10**9
KEY = SeriesKey("risk", "1")
CLASSES = ("0", "1")
LOGIT_MEAN, LOGIT_SPREAD = -2.195, 2.707
ERROR, DRIFTED_ERROR = 0.138, 0.193
MEDIAN_LAG_D, LAG_SPREAD = (2.0, 10.0), 0.8
RATE = 2000
NEVER_S = 1e12


@dataclass(frozen=True)
class Stream:
    """Predictions in time order: seconds since the start, score of class "1", label, seconds until the label comes."""

    at_s: NDArray[np.float64]
    score: NDArray[np.float64]
    label: NDArray[np.int64]
    lag_s: NDArray[np.float64]

    @property
    def is_wrong(self) -> NDArray[np.bool_]:
        return (self.score > 0.5) != (self.label == 1)


def stream(
    days: float, *, seed: int, drift_day: float = np.inf, rate: int = RATE, slower_day: float = np.inf
) -> Stream:
    """Return *rate* predictions a day; from *drift_day* on the truth is one logit off, from *slower_day* on lags are doubled."""
    draw = np.random.default_rng(seed)
    count = int(days * rate)
    at = np.sort(draw.uniform(0, days * DAY_S, count))
    logit = draw.normal(LOGIT_MEAN, LOGIT_SPREAD, count)
    truth = logit + (at >= drift_day * DAY_S)
    label = (draw.uniform(size=count) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    median = np.array(MEDIAN_LAG_D)[label] * DAY_S * np.where(at >= slower_day * DAY_S, 2.0, 1.0)
    return Stream(at, 1 / (1 + np.exp(-logit)), label, median * np.exp(draw.normal(0, LAG_SPREAD, count)))


def windows(
    made: Stream, *, as_of_s: float, step_s: float = DAY_S / 4, start_ns: int = START_NS, stopped_s: float = np.inf
) -> list[Window]:
    """Return the windows as they stand at *as_of_s*: labels that came until then, and none that came after *stopped_s*."""
    step = (made.at_s // step_s).astype(np.int64)
    predicted = (made.score > 0.5).astype(np.int64)
    confidence = np.maximum(made.score, 1 - made.score)
    bins = np.minimum((confidence * CONFIDENCE_BINS).astype(np.int64), CONFIDENCE_BINS - 1)
    arrived = made.at_s + made.lag_s <= min(as_of_s, stopped_s)
    edges = np.searchsorted(step, np.arange(step.max() + 2))
    found = []
    for index, (low, high) in enumerate(itertools.pairwise(edges)):
        if high == low or (index + 1) * step_s > as_of_s:
            continue
        part = slice(low, high)
        here = arrived[part]
        labels = label_counts(
            predicted[part][here],
            made.label[part][here],
            bins[part][here],
            confidence[part][here],
            made.lag_s[part][here],
        )
        output = output_counts(predicted[part], bins[part], confidence[part])
        bounds = [start_ns + int(edge * step_s * 1e9) for edge in (index, index + 1)]
        found.append(window(bounds[0], bounds[1], int(high - low), output, labels))
    return found


def window(
    start_ns: int, end_ns: int, rows: int, output: OutputCounts, labels: LabelCounts | None, key: SeriesKey = KEY
) -> Window:
    """Return a window of *rows* calls of one row that took no time."""
    nothing = np.zeros(LATENCY.size)
    latency = LatencyCounts(
        nothing.astype(np.int64), nothing, (), np.zeros((0, LATENCY.size)), (), np.zeros(1, np.int64)
    )
    batches = np.zeros(21, np.int64)
    batches[0] = rows
    return Window(key, start_ns, end_ns, "", rows, rows, {}, batches, latency, output, None, labels)


def output_counts(
    predicted: NDArray[np.int64], bins: NDArray[np.int64], confidence: NDArray[np.float64]
) -> OutputCounts:
    table, sums = np.zeros((2, CONFIDENCE_BINS), np.int64), np.zeros((2, CONFIDENCE_BINS))
    np.add.at(table, (predicted, bins), 1)
    np.add.at(sums, (predicted, bins), confidence)
    return OutputCounts(CLASSES, table.sum(axis=1), table, sums, np.empty(0), np.empty(0, np.int64))


def label_counts(
    predicted: NDArray[np.int64], label: NDArray[np.int64], bins: NDArray[np.int64], confidence: NDArray[np.float64], lag_s: NDArray[np.float64]
) -> LabelCounts:  # fmt: skip
    joint = np.zeros((2, 2, CONFIDENCE_BINS + 1, 3))
    np.add.at(joint, (predicted, label, bins), np.stack([np.ones(bins.size), confidence, confidence**2], axis=1))
    lags = np.zeros((2, LAG.size), np.int64)
    np.add.at(lags, (label, LAG.index(lag_s)), 1)
    wrong = predicted != label
    outcomes = {
        (name, "inf"): int(count) for name, count in (("correct", (~wrong).sum()), ("incorrect", wrong.sum())) if count
    }
    pairs = {(CLASSES[p], CLASSES[t]): joint[p, t] for p in (0, 1) for t in (0, 1) if joint[p, t].any()}
    calibration = np.zeros((CONFIDENCE_BINS, 3))
    np.add.at(calibration, bins, np.stack([np.ones(bins.size), ~wrong, confidence], axis=1))
    return LabelCounts(
        outcomes, calibration, CLASSES, lags.sum(axis=1), lags.sum(axis=1)[:, None], (), lags=lags, joint=pairs
    )
