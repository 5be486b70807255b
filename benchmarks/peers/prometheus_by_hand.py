"""The same signals on prometheus-client: labels bound once, as its documentation recommends, one scrape a flush."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import Counter, Histogram, generate_latest

from benchmarks.peers._contract import (
    CLASSES,
    CONFIDENCE_BOUNDS,
    DURATION_BOUNDS_S,
    FEATURE_BOUNDS,
    MODEL,
    VARIANT,
    VERSION,
    Place,
    Predict,
    Running,
)
from benchmarks.workloads import names


def start(predict: Predict, place: Place) -> Running:  # noqa: ARG001 - what is scraped goes nowhere by itself
    """Make the metrics in the default registry and wrap the function."""
    model = (MODEL, VERSION, VARIANT)
    labels = ("model_name", "model_version", "model_variant")
    calls = Counter("predictions", "Predictions made", labels).labels(*model)
    errors = Counter("prediction_errors", "Predictions that raised", (*labels, "error_type"))
    duration = Histogram("prediction_duration_seconds", "Time", labels, buckets=DURATION_BOUNDS_S).labels(*model)
    answers = Counter("prediction_classes", "Predictions by class", (*labels, "class_name"))
    confidence = Histogram("prediction_confidence", "Of the class", (*labels, "class_name"), buckets=CONFIDENCE_BOUNDS)
    feature = Histogram("prediction_feature", "Values", (*labels, "feature"), buckets=FEATURE_BOUNDS)
    of_class = [(answers.labels(*model, name).inc, confidence.labels(*model, name).observe) for name in CLASSES]
    of_feature = [feature.labels(*model, name).observe for name in names()]

    def observed(features: Any) -> Any:
        began_s = time.perf_counter()
        calls.inc()
        try:
            answer = predict(features)
        except Exception as error:
            errors.labels(*model, type(error).__qualname__).inc()
            raise
        finally:
            duration.observe(time.perf_counter() - began_s)
        place = int(answer[0].argmax())
        count, sure = of_class[place]
        count()
        sure(float(answer[0, place]))
        for value, observe in zip(features[0].tolist(), of_feature, strict=True):
            observe(value)
        return answer

    return Running(observed, flush=generate_latest, counted=lambda: _counted(model, labels))


def _counted(model: tuple[str, ...], labels: tuple[str, ...]) -> int:
    from prometheus_client import REGISTRY

    return int(REGISTRY.get_sample_value("predictions_total", dict(zip(labels, model, strict=True))) or 0)
