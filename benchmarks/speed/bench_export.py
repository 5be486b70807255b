"""Cost of an export: 50 features, 2 versions, 20 cohorts, as OTLP bytes and as a Prometheus page.

Beside it, the same number of time series in plain tools: counters of the OpenTelemetry SDK, collected and encoded, and a
counter of prometheus-client, rendered. Paid once an export or scrape, never by a prediction.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, Counter, generate_latest

from benchmarks._measure import Figure, interleave
from benchmarks.speed.bench_record import still_flight
from benchmarks.workloads import arrays, model, reference
from radiosonde.export.otlp import OtlpExporter
from radiosonde.export.otlp_sender import SendResult
from radiosonde.export.prometheus import PrometheusCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from radiosonde.export.snapshot import Snapshot

FEATURES, VERSIONS, COHORTS, ROWS = 50, 2, 20, 100


class _Nowhere:
    """Sends nothing and keeps the last export."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    def send(self, request: bytes) -> SendResult:
        self.requests.append(request)
        return SendResult(True)

    def close(self) -> None:
        return

    def points(self) -> int:
        found = map(ExportMetricsServiceRequest.FromString, self.requests)
        return sum(
            len(getattr(metric, metric.WhichOneof("data")).data_points)
            for request in found
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        )


def measure(rounds: int) -> Iterator[Figure]:
    """Yield both carriers over the plain tool for as many series."""
    with ExitStack() as ends:
        snapshot = _snapshot(ends)
    nowhere = _Nowhere()
    exporter = OtlpExporter(make=lambda _: nowhere)
    exporter.export_metrics(snapshot)
    points, encoded_kb = nowhere.points(), sum(map(len, nowhere.requests)) / 1e3
    collector = PrometheusCollector(lambda: snapshot)
    page = collector.render()
    lines = sum(1 for line in page.splitlines() if not line.startswith(b"#"))
    arms = {
        "export-otlp": lambda: _export_s(exporter, nowhere, snapshot),
        "export-prometheus": lambda: _once_s(collector.render),
        "sdk": _sdk(points),
        "prometheus-client": _client(lines),
    }
    samples = interleave(arms, rounds, laps=3)
    for arm, plain, what, size in (
        ("export-otlp", "sdk", f"OTLP, {points} points built and encoded", f"{encoded_kb:.0f} kB"),
        ("export-prometheus", "prometheus-client", f"Prometheus, {lines} lines rendered", f"{len(page) / 1e3:.0f} kB"),
    ):
        ratios = [ours / theirs for ours, theirs in zip(samples[arm], samples[plain], strict=True)]
        raw = {f"{name}_s": samples[name] for name in (arm, plain)}
        absolute = f"{1e3 * float(np.median(samples[arm])):.1f} ms, {size}"
        yield Figure(arm, what, ratios, unit=f"x {plain}", absolute=absolute, raw=raw)


def _snapshot(ends: ExitStack) -> Snapshot:
    flight = ends.enter_context(still_flight(cohorts={"unit": ["*"]}))
    for version in range(VERSIONS):
        predict = flight.observe("delays", version=f"{version}", reference=reference(FEATURES))(model())
        for cohort in range(COHORTS):
            with flight.cohort(unit=cohort):
                for row in arrays(ROWS, FEATURES):
                    predict(row)
    return flight.pipeline().snapshot()


def _once_s(action: Callable[[], object]) -> float:
    began_ns = time.thread_time_ns()
    action()
    return (time.thread_time_ns() - began_ns) / 1e9


def _export_s(exporter: OtlpExporter, nowhere: _Nowhere, snapshot: Snapshot) -> float:
    nowhere.requests.clear()
    return _once_s(lambda: exporter.export_metrics(snapshot))


def _sdk(points: int) -> Callable[[], float]:
    """Return an arm: as many counters' points, collected and encoded by the SDK."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    counter = provider.get_meter("plain").create_counter("cells")
    for point in range(points):
        counter.add(
            1, {"model.name": "delays", "model.version": "1", "feature": f"f{point // 14}", "cell": f"{point % 14:02}"}
        )

    def collect() -> None:
        metrics = reader.get_metrics_data()
        if metrics is None or provider is None:
            raise RuntimeError("the SDK collected nothing")
        encode_metrics(metrics).SerializeToString()

    return lambda: _once_s(collect)


def _client(lines: int) -> Callable[[], float]:
    """Return an arm: as many counters, rendered by prometheus-client."""
    registry = CollectorRegistry()
    counter = Counter("cells", "Cells.", ["model", "version", "feature", "cell"], registry=registry)
    for line in range(lines // 2):  # each is two lines: the counter and its time of creation
        counter.labels("delays", "1", f"f{line // 14}", f"{line % 14:02}").inc()
    return lambda: _once_s(lambda: generate_latest(registry))
