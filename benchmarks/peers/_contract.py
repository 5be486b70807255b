"""The interface of peers, and the function that all peers observe. Needs numpy alone: it is imported where a peer is installed.

A peer is a module of this folder with ``start(predict, place) -> Running``, and a line in `_catalogue`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.workloads import FEATURES

if TYPE_CHECKING:
    from numpy.typing import NDArray

Predict = Callable[[Any], Any]

MODEL, VERSION, VARIANT = "delays", "2.3.1", "stable"
CLASSES = ("on time", "late")

DURATION_BOUNDS_S = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.5, 1.0)
CONFIDENCE_BOUNDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""20 bins, as many as Radiosonde keeps."""

FEATURE_BOUNDS = (-3.0, -1.28, -0.84, -0.52, -0.25, 0.0, 0.25, 0.52, 0.84, 1.28, 3.0)
"""Deciles of `normal-v1` and both tails: 12 cells, as written by a user who knows the features (Radiosonde learns its own)."""


@dataclass(frozen=True)
class Place:
    """Where a peer may leave things.

    Attributes:
        endpoint: of an OTLP/HTTP receiver; also in ``OTEL_EXPORTER_OTLP_ENDPOINT``.
        folder: empty, the peer's own.
    """

    endpoint: str
    folder: Path


@dataclass(frozen=True)
class Running:
    """A peer that observes.

    Attributes:
        predict: the observed function.
        flush: does what a minute of serving causes once: an export, a roll-over, a scrape.
        counted: returns how many predictions the telemetry holds, or, as text, the OTLP metric (or ``spans``) in which the
            receiver finds them.
    """

    predict: Predict
    flush: Callable[[], object]
    counted: Callable[[], int | str]


def model() -> Predict:
    """Return the model: a network 30 -> 64 -> 64 -> 2 in numpy, some 8 us, that answers as scikit-learn does: probabilities."""
    random = np.random.default_rng(20130301)
    mean, scale = random.standard_normal(FEATURES) / 10, 1 + random.random(FEATURES) / 10
    first = random.standard_normal((FEATURES, 64)) / np.sqrt(FEATURES)
    second = random.standard_normal((64, 64)) / 8
    last = random.standard_normal((64, 2)) / 8

    def predict(features: NDArray[np.float64]) -> NDArray[np.float64]:
        known = np.maximum((features - mean) / scale @ first, 0.0)
        scores = np.maximum(known @ second, 0.0) @ last
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        answer: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
        return answer

    return predict
