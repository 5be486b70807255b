"""What goes over the wire, decoded and compared field by field."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from datasketches import kll_doubles_sketch
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value
from opentelemetry.metrics import Observation
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from radiosonde.export.otlp import OtlpExporter
from radiosonde.export.otlp_sender import SendResult
from radiosonde.model import Exemplar, SeriesKey, Window
from tests.e2e._receivers import OtlpSink, attributes, free_port, otlp_sink
from tests.factories import (
    HOUR_NS,
    START_NS,
    make_feature,
    make_features,
    make_labels,
    make_latency,
    make_output,
    make_reference,
    make_snapshot,
    make_window,
)

CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
END_NS = START_NS + HOUR_NS
SERIES = {
    "radiosonde.model.name": "delays",
    "radiosonde.model.version": "1",
    "radiosonde.variant": "stable",
    "radiosonde.cohort": "",
    "radiosonde.model.kind": "model",
}


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpSink]:
    """Return a sink that the environment names as the backend."""
    with otlp_sink() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.endpoint)
        yield found


@pytest.fixture
def exporter(sink: OtlpSink) -> Iterator[OtlpExporter]:
    """Return an exporter with the environment's temporality, cumulative by default."""
    found = OtlpExporter(resource_attributes={"service.instance.id": "worker-1"})
    yield found
    found.shutdown()


def test_cumulative_sums(sink, exporter):
    """A counter is a monotonic cumulative sum of integers since the start of counting."""
    window = make_window(durations_s=[0.004, 0.02], errors={"ValueError": 1})
    assert exporter.export_metrics(make_snapshot(window)).ok
    metric = sink.metrics()["radiosonde.prediction.calls"]
    assert (metric.unit, metric.description) == (
        "{call}",
        "Calls of the observed function, those that raised included; a batch is one call.",
    )
    assert (metric.sum.aggregation_temporality, metric.sum.is_monotonic) == (CUMULATIVE, True)
    (point,) = metric.sum.data_points
    assert (point.start_time_unix_nano, point.time_unix_nano) == (START_NS, END_NS)
    assert (point.WhichOneof("value"), point.as_int) == ("as_int", 2)
    assert attributes(point.attributes) == SERIES
    (point,) = sink.metrics()["radiosonde.prediction.errors"].sum.data_points
    assert attributes(point.attributes) == {**SERIES, "error.type": "ValueError"}


def test_resource_and_scope(sink, monkeypatch):
    """Resource from the environment and the arguments, one scope with our version and schema, one of each."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "delays-api")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
    exporter = OtlpExporter(resource_attributes={"service.instance.id": "worker-1"})
    exporter.export_metrics(make_snapshot(make_window()))
    exporter.shutdown()
    (request,) = sink.requests["/v1/metrics"]
    (resource,) = request.resource_metrics
    found = attributes(resource.resource.attributes)
    assert found["service.name"] == "delays-api"
    assert found["service.instance.id"] == "worker-1"
    assert found["deployment.environment.name"] == "staging"
    (scope,) = resource.scope_metrics
    assert (scope.scope.name, scope.scope.version) == ("radiosonde", "0.1.0")
    assert scope.schema_url == "https://radiosonde.example/schemas/0.1.0"


def test_histogram_with_exemplar(sink, exporter):
    """Explicit bounds per point, counts per bucket, the exact sum, the traced prediction."""
    exemplar = Exemplar(0.004, START_NS + 7, trace_id=0xABC, span_id=0xDEF)
    latency = make_latency([0.004, 0.005, 0.25], exemplars={1: exemplar})
    exporter.export_metrics(make_snapshot(make_window(latency=latency)))
    metric = sink.metrics()["radiosonde.prediction.duration"]
    assert (metric.unit, metric.histogram.aggregation_temporality) == ("s", CUMULATIVE)
    (point,) = metric.histogram.data_points
    assert list(point.explicit_bounds) == [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0]
    assert list(point.bucket_counts) == [0, 2, 0, 0, 0, 1, 0, 0]
    assert (point.count, point.sum, point.HasField("min"), point.HasField("max")) == (3, 0.259, False, False)
    assert (point.start_time_unix_nano, point.time_unix_nano) == (START_NS, END_NS)
    (found,) = point.exemplars
    assert (found.as_double, found.time_unix_nano) == (0.004, START_NS + 7)
    assert (found.trace_id.hex(), found.span_id.hex()) == ("00000000000000000000000000000abc", "0000000000000def")


def test_cells_and_their_reference(sink, exporter):
    """Cells are integer sums and reference shares are double gauges, under the same attributes."""
    reference = make_reference([make_feature("wind", (3, 6, 0, 0, 1, 0))])
    window = make_window(features=make_features(reference, {"wind": (1, 2, 0, 4, 0, 6)}))
    exporter.export_metrics(make_snapshot(window, references={("delays", "1"): reference}))
    cells = sink.metrics()["radiosonde.feature.cell"].sum.data_points
    shares = sink.metrics()["radiosonde.feature.reference.ratio"].gauge.data_points
    assert {attributes(p.attributes)["radiosonde.feature.cell"]: p.as_int for p in cells} == {
        "00": 1, "01": 2, "below": 0, "above": 4, "null": 0, "unseen": 6,
    }  # fmt: skip
    assert [p.as_double for p in shares] == [3.5 / 13, 6.5 / 13, 0.5 / 13, 0.5 / 13, 1.5 / 13, 0.5 / 13]
    assert [p.attributes for p in cells] == [p.attributes for p in shares]
    assert attributes(cells[0].attributes) == {
        "radiosonde.model.name": "delays",
        "radiosonde.model.version": "1",
        "radiosonde.reference.id": reference.id,
        "radiosonde.feature.name": "wind",
        "radiosonde.feature.cell": "00",
    }


def test_what_may_be_negative_is_two_counters(sink, exporter):
    """Regression values are counted by bin, and they and residuals are added up apart by sign, so that everything only grows."""
    output = make_output(values=[-3.0, 9.0], value_edges=[-1.0, 1.0])
    window = make_window(output=output, labels=make_labels(lags_s={"": [30.0]}, residuals=[-2.5]))
    exporter.export_metrics(make_snapshot(window))
    found = {name: metric.sum for name, metric in sink.metrics().items() if metric.HasField("sum")}
    rows = {attributes(point.attributes)["radiosonde.value.bin"]: point.as_int for point in
            found["radiosonde.prediction.value.rows"].data_points}  # fmt: skip
    assert rows == {"00": 1, "01": 0, "02": 1}
    for name, positive, negative in (("prediction.value.distance", 9, 3), ("outcome.residual.distance", 0, 2.5)):
        said = found[f"radiosonde.{name}"]
        parts = {attributes(point.attributes)["radiosonde.sign"]: point.as_double for point in said.data_points}
        assert (said.is_monotonic, parts) == (True, {"positive": positive, "negative": negative})


def test_all_of_labels_is_counters(sink, exporter):
    """Counts subtracted by a correction (even of another process) are a separate counter beside the total."""
    table = np.zeros((21, 3))
    table[19] = (-1.0, -0.97, -0.9409)
    labels = make_labels(
        {("correct", "1d"): 2},
        retractions={("incorrect", "1h"): 1},
        joint={("yes", "no"): table},
        joint_retractions={("yes", "no"): -table},
        never=3,
    )
    exporter.export_metrics(make_snapshot(make_window(labels=labels)))
    found = {name: metric.sum for name, metric in sink.metrics().items() if metric.HasField("sum")}
    assert all(said.is_monotonic for said in found.values())
    retracted = [point for point in found["radiosonde.outcome.retractions"].data_points if point.as_int]
    assert [attributes(point.attributes) for point in retracted] == [
        {**SERIES, "radiosonde.outcome.result": "incorrect", "radiosonde.label.lag": "1h"}
    ]
    assert not any(point.as_int for point in found["radiosonde.outcome.joint.rows"].data_points)
    (point,) = (point for point in found["radiosonde.outcome.joint.retractions"].data_points if point.as_int)
    place = ("radiosonde.prediction.class", "radiosonde.label.class", "radiosonde.confidence.bin")
    assert ([attributes(point.attributes)[name] for name in place], point.as_int) == (
        ["yes", "no", "19"],
        1,
    )
    assert found["radiosonde.label.never"].data_points[0].as_int == 3


def test_the_overflow_cohort_is_marked_with_a_boolean(sink, exporter):
    """OpenTelemetry's overflow attribute is a boolean over OTLP."""
    exporter.export_metrics(make_snapshot(make_window(SeriesKey("delays", "1", "stable", "__overflow__"))))
    (point,) = sink.metrics()["radiosonde.prediction.rows"].sum.data_points
    assert attributes(point.attributes)["otel.metric.overflow"] is True


@pytest.fixture
def delta_exporter(sink: OtlpSink, monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpExporter]:
    """Return an exporter configured for deltas by the environment."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    found = OtlpExporter()
    yield found
    found.shutdown()


def points(sink: OtlpSink, name: str) -> list[tuple[int, int, int]]:
    """Return (start, time, value) in hours since the start, of each point of a sum or histogram."""
    metric = sink.metrics()[name]
    found = metric.histogram.data_points if metric.HasField("histogram") else metric.sum.data_points
    return [
        (
            (p.start_time_unix_nano - START_NS) // HOUR_NS,
            (p.time_unix_nano - START_NS) // HOUR_NS,
            getattr(p, "count", None) if metric.HasField("histogram") else p.as_int,
        )
        for p in found
    ]


def after(hours: int, *durations_s: float, **changes):
    """Return the cumulative snapshot after *hours* with these calls."""
    return make_snapshot(make_window(durations_s=durations_s, **changes), time_ns=START_NS + hours * HOUR_NS)


def test_deltas_follow_each_other(sink, delta_exporter):
    """Each delta starts where the last one ended and holds the increase."""
    assert delta_exporter.export_metrics(after(1, 0.004, 0.02)).ok
    assert delta_exporter.export_metrics(after(2, 0.004, 0.02, 0.02, 3.0)).ok
    assert sink.metrics()["radiosonde.prediction.calls"].sum.aggregation_temporality == DELTA
    assert points(sink, "radiosonde.prediction.calls") == [(0, 1, 2), (1, 2, 2)]
    assert points(sink, "radiosonde.prediction.duration") == [(0, 1, 2), (1, 2, 2)]
    histogram = sink.metrics()["radiosonde.prediction.duration"].histogram.data_points[1]
    assert list(histogram.bucket_counts) == [0, 0, 0, 1, 0, 0, 0, 1]
    assert histogram.sum == pytest.approx(3.02)


def test_a_stream_without_change_sends_no_delta_and_loses_no_time(sink, delta_exporter):
    """An idle interval sends nothing, and the next delta covers only later data."""
    for snapshot in (after(1, 0.02), after(2, 0.02), after(3, 0.02, 0.02)):
        delta_exporter.export_metrics(snapshot)
    assert points(sink, "radiosonde.prediction.calls") == [(0, 1, 1), (2, 3, 1)]


def test_a_refused_delta_is_delivered_by_the_next_export(sink, delta_exporter):
    """Data of a failed export are neither lost nor counted twice."""
    delta_exporter.export_metrics(after(1, 0.02))
    sink.answers = [400]
    refused = delta_exporter.export_metrics(after(2, 0.02, 0.02))
    assert (refused.ok, refused.points) == (False, 0)
    assert "HTTP 400" in refused.error
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in refused.error
    assert delta_exporter.export_metrics(after(3, 0.02, 0.02, 0.02)).ok
    assert points(sink, "radiosonde.prediction.calls") == [(0, 1, 1), (1, 3, 2)]


def test_part_of_a_refused_export_is_not_sent_twice(sink, delta_exporter, monkeypatch):
    """With many requests per export, only the streams of the refused ones are carried over."""
    monkeypatch.setattr("radiosonde.export.otlp_points.MAX_POINTS", 5)
    sink.answers = [200, 200, 400]
    first = delta_exporter.export_metrics(after(1, 0.02, errors={"ValueError": 1}))
    assert (first.ok, first.points) == (False, 10)
    assert delta_exporter.export_metrics(after(2, 0.02, 0.02, errors={"ValueError": 3})).ok
    totals = {
        name: sum(value for _, _, value in points(sink, f"radiosonde.prediction.{name}"))
        for name in ("calls", "rows", "errors", "duration", "batch.size")
    }
    assert totals == {"calls": 2, "rows": 2, "errors": 3, "duration": 2, "batch.size": 2}


def test_a_count_that_began_anew_is_new(sink, delta_exporter):
    """A series that was evicted and returned smaller sends its value, not a negative delta."""
    delta_exporter.export_metrics(after(1, 0.02, 0.02, 0.02))
    delta_exporter.export_metrics(after(2, 0.02))
    assert points(sink, "radiosonde.prediction.calls") == [(0, 1, 3), (1, 2, 1)]


def test_a_new_start_of_counting_forgets_what_was_delivered(sink, delta_exporter):
    """After a restart of counting the first delta starts at the new start."""
    delta_exporter.export_metrics(after(1, 0.02))
    restarted = replace(after(3, 0.02, 0.02), start_ns=START_NS + 2 * HOUR_NS)
    delta_exporter.export_metrics(restarted)
    assert points(sink, "radiosonde.prediction.calls") == [(0, 1, 1), (2, 3, 2)]


def test_deltas_add_up_to_the_cumulative_counts(sink, delta_exporter):
    """Over a random history with refusals, the deltas of every stream add up to its last cumulative value."""
    rng = np.random.default_rng(7)
    durations: list[float] = []
    for hour in range(1, 12):
        durations += rng.exponential(0.05, rng.integers(0, 5)).tolist()
        sink.answers = [400] if hour in {3, 4, 8} else []
        delta_exporter.export_metrics(after(hour, *durations))
    duration = sink.metrics()["radiosonde.prediction.duration"].histogram.data_points
    assert sum(point.count for point in duration) == len(durations)
    assert sum(point.sum for point in duration) == pytest.approx(sum(durations))
    starts, ends = zip(*((p.start_time_unix_nano, p.time_unix_nano) for p in duration), strict=True)
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))


def kll_bytes(values) -> bytes:
    """Return a serialized KLL sketch of doubles, made by datasketches itself."""
    sketch = kll_doubles_sketch(200)
    sketch.update(np.asarray(values, np.float64))
    return sketch.serialize()


def sketch_window(count: int = 1, **sketches: bytes) -> Window:
    """Return a window with a KLL sketch for each of *count* features, or those given."""
    found = {(name, "kll_double"): sketch for name, sketch in sketches.items()}
    found = found or {(f"f{index}", "kll_double"): kll_bytes(range(10)) for index in range(count)}
    features = make_features(make_reference(), {}, found, sketched_rows=10)
    return make_window(SeriesKey("delays", "1", "canary", "plan=pro"), features=features)


def test_a_sketch_event(sink, exporter):
    """One event per sketch: base64 text in the body, everything needed to read it in the attributes."""
    serialized = kll_bytes([1.0, 2.0, 3.0])
    result = exporter.export_sketches(list(enumerate([sketch_window(wind=serialized), make_window()], 7)))
    assert (result.ok, result.points, result.payload_bytes) == (True, 1, sink.body_bytes[0])
    (record,) = sink.logs()
    assert record.event_name == "radiosonde.sketch.window"
    assert (record.time_unix_nano, record.severity_number) == (END_NS, 9)
    assert record.observed_time_unix_nano > record.time_unix_nano
    assert (record.trace_id, record.span_id) == (b"", b"")
    assert record.body.string_value == base64.b64encode(serialized).decode()
    assert attributes(record.attributes) == {
        "event.name": "radiosonde.sketch.window",
        "radiosonde.model.name": "delays",
        "radiosonde.model.version": "1",
        "radiosonde.variant": "canary",
        "radiosonde.cohort": "plan=pro",
        "radiosonde.feature.name": "wind",
        "radiosonde.sketch.kind": "kll_double",
        "radiosonde.sketch.k": 200,
        "radiosonde.sketch.n": 3,
        "radiosonde.sketch.size": len(serialized),
        "radiosonde.sketch.encoding": "base64",
        "radiosonde.window.start": START_NS,
        "radiosonde.window.end": END_NS,
        "radiosonde.window.number": 7,
    }


def test_sketches_go_in_small_batches(sink, exporter):
    """No request holds 64 events or more."""
    assert exporter.export_sketches(list(enumerate([sketch_window(130)], 7))).points == 130
    sizes = [len(r.resource_logs[0].scope_logs[0].log_records) for r in sink.requests["/v1/logs"]]
    assert sizes == [63, 63, 4]


def test_damaged_and_unknown_sketches_are_counted(sink, exporter):
    """What no reader could use is not sent."""
    window = sketch_window(good=kll_bytes([1.0]), damaged=b"\x00\x01")
    window.features.sketches["good", "tdigest"] = b"\x00"
    result = exporter.export_sketches(list(enumerate([window], 7)))
    assert (result.ok, result.points, result.cut) == (True, 1, 2)
    assert [attributes(r.attributes)["radiosonde.feature.name"] for r in sink.logs()] == ["good"]


def test_a_refused_sketch_export_says_so(sink, exporter):
    """The result contains the status and what to check; nothing is raised."""
    sink.answers = [403]
    result = exporter.export_sketches(list(enumerate([sketch_window()], 7)))
    assert (result.ok, result.points, result.windows) == (False, 0, 0)
    assert "HTTP 403" in result.error


def test_a_sketch_export_that_breaks_off_says_which_windows_arrived(sink, exporter):
    """Windows whose events all went out need not be sent again; the one that was broken off does."""
    sink.answers = [200, 400]
    windows = list(enumerate([make_window(), sketch_window(30), sketch_window(30), sketch_window(30)]))
    result = exporter.export_sketches(windows)
    assert (result.ok, result.points, result.windows) == (False, 63, 3)
    assert exporter.export_sketches(windows[result.windows :]).windows == 1


def test_no_backend_is_a_failed_result(monkeypatch):
    """Without a listener the export fails within its timeout, with a helpful message, and raises nothing."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    exporter = OtlpExporter()
    result = exporter.export_metrics(make_snapshot(make_window()))
    exporter.shutdown()
    assert (result.ok, result.points, result.payload_bytes) == (False, 0, 0)
    assert "no OTLP backend accepted the metrics" in result.error


def test_shutdown_ends_an_export_that_is_retrying(sink, exporter):
    """A call in progress against a backend that is down returns soon after shutdown, long before its timeout."""
    sink.answers = [503] * 1000
    results = []
    thread = threading.Thread(target=lambda: results.append(exporter.export_metrics(make_snapshot(make_window()))))
    thread.start()
    deadline = time.monotonic() + 90
    while len(sink.answers) == 1000 and time.monotonic() < deadline:
        time.sleep(0.01)
    exporter.shutdown()
    thread.join(8)
    assert not thread.is_alive()
    assert not results[0].ok


class RecordingSender:
    """Stands in for another way of sending (gRPC, say); notes whether tracing was suppressed."""

    def __init__(self) -> None:
        self.suppressed: list[object] = []

    def send(self, request: bytes) -> SendResult:
        self.suppressed.append(get_value(_SUPPRESS_INSTRUMENTATION_KEY))
        return SendResult(True)

    def close(self) -> None:
        pass


def test_our_own_requests_are_not_traced(sink):
    """During an export, instrumentations of HTTP clients are suppressed; afterwards they are not."""
    other = RecordingSender()
    exporter = OtlpExporter(make=lambda _: other)
    assert exporter.export_metrics(make_snapshot(make_window())).payload_bytes == 0
    exporter.shutdown()
    assert other.suppressed == [True]
    assert get_value(_SUPPRESS_INSTRUMENTATION_KEY) is None


def test_compressed_payloads_are_measured_on_the_wire(sink, monkeypatch):
    """With compression the bytes reported are those sent."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    exporter = OtlpExporter()
    result = exporter.export_metrics(make_snapshot(make_window()))
    exporter.shutdown()
    assert sink.metrics()
    assert result.payload_bytes == sum(sink.body_bytes)


def test_a_bound_on_series_is_reported(sink):
    """Series cut by the bound are in the result and in the telemetry."""
    exporter = OtlpExporter(max_series=40)
    result = exporter.export_metrics(make_snapshot(make_window()))
    exporter.shutdown()
    assert result.cut > 0
    (point,) = sink.metrics()["radiosonde.sdk.cut"].gauge.data_points
    assert point.as_int == result.cut


def test_temporality_is_what_the_sdk_would_choose(sink, monkeypatch):
    """For each preference the environment can state, our sums and histograms agree with the SDK's own reader."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider

    for preference in ("cumulative", "delta", "lowmemory"):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)
        reader = InMemoryMetricReader(preferred_temporality=OTLPMetricExporter()._preferred_temporality)
        provider = MeterProvider([reader], shutdown_on_exit=False)
        meter = provider.get_meter("oracle")
        meter.create_observable_counter("counter", [lambda _: [Observation(1)]])
        meter.create_histogram("histogram").record(1)
        found = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
        oracle = {metric.name: metric.data.aggregation_temporality for metric in found}
        provider.shutdown()
        for kept in sink.requests.values():
            kept.clear()
        exporter = OtlpExporter()
        exporter.export_metrics(make_snapshot(make_window()))
        exporter.shutdown()
        metrics = sink.metrics()
        assert metrics["radiosonde.prediction.calls"].sum.aggregation_temporality == oracle["counter"]
        assert metrics["radiosonde.prediction.duration"].histogram.aggregation_temporality == oracle["histogram"]
