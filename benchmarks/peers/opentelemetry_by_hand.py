"""The same signals on OpenTelemetry's API: instruments made once, attributes prepared once, periodic OTLP export.

A histogram per feature, rather than one with the feature as a fourth attribute: an attribute is cleaned and hashed at each
`record`, and 30 records with three of them cost a tenth less than with four. Leaving model, version and variant to the resource would
save another quarter; all peers that have attributes carry these three, for one process may serve two versions.
"""

from __future__ import annotations

import time
from typing import Any

from opentelemetry import metrics
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

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


def start(predict: Predict, place: Place) -> Running:  # noqa: ARG001 - the exporter reads the endpoint in the environment
    """Set a meter provider and wrap the function."""
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=3_600_000)
    provider = MeterProvider([reader])
    metrics.set_meter_provider(provider)
    return Running(_wrapped(predict), flush=provider.force_flush, counted=lambda: "predictions")


def _wrapped(predict: Predict) -> Predict:
    meter = metrics.get_meter("delays")
    calls = meter.create_counter("predictions", "{prediction}")
    duration = meter.create_histogram(
        "prediction.duration", "s", explicit_bucket_boundaries_advisory=list(DURATION_BOUNDS_S)
    )
    answers = meter.create_counter("prediction.classes", "{prediction}")
    confidence = meter.create_histogram(
        "prediction.confidence", "1", explicit_bucket_boundaries_advisory=list(CONFIDENCE_BOUNDS)
    )
    bounds = list(FEATURE_BOUNDS)
    by_feature = [
        meter.create_histogram(f"prediction.feature.{name}", "1", explicit_bucket_boundaries_advisory=bounds).record
        for name in names()
    ]
    model = {"model.name": MODEL, "model.version": VERSION, "model.variant": VARIANT}
    of_class = [{**model, "class": name} for name in CLASSES]

    def observed(features: Any) -> Any:
        began_s = time.perf_counter()
        try:
            answer = predict(features)
        except Exception as error:
            failed = {**model, "error.type": type(error).__qualname__}
            calls.add(1, failed)
            duration.record(time.perf_counter() - began_s, failed)
            raise
        calls.add(1, model)
        duration.record(time.perf_counter() - began_s, model)
        place = int(answer[0].argmax())
        answers.add(1, of_class[place])
        confidence.record(float(answer[0, place]), of_class[place])
        for value, record in zip(features[0].tolist(), by_feature, strict=True):
            record(value, model)
        return answer

    return observed
