"""Through a real receiver: PyPI's `rotel`, a collector in Rust, takes OTLP from us and forwards it to a sink."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import numpy as np
import pytest
from datasketches import hll_sketch, kll_doubles_sketch
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from radiosonde.export.otlp import OtlpExporter
from radiosonde.model import Exemplar, SeriesKey
from radiosonde.model.spans import KeptSpan
from radiosonde.semconv import attributes as names
from radiosonde.semconv import events
from tests.e2e._receivers import OtlpSink, attributes, otlp_sink, rotel, wait_for
from tests.factories import (
    START_NS,
    make_features,
    make_latency,
    make_reference,
    make_snapshot,
    make_window,
)

RANKS = [0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0]


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[OtlpSink]:
    """Return the sink behind a running collector, which the environment names as the backend."""
    with otlp_sink() as found, rotel(found, tmp_path) as endpoint:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        yield found


@pytest.fixture
def exporter(sink: OtlpSink) -> Iterator[OtlpExporter]:
    """Return an exporter that sends to the collector."""
    found = OtlpExporter(resource_attributes={"service.name": "delays-api"})
    yield found
    found.shutdown()


def test_metrics_arrive_through_a_collector(sink, exporter):
    """Sums, histograms with exemplars and gauges pass the collector unchanged."""
    reference = make_reference()
    exemplar = Exemplar(0.004, START_NS + 7, trace_id=0xABC, span_id=0xDEF)
    window = make_window(
        latency=make_latency([0.004, 0.25], exemplars={1: exemplar}),
        features=make_features(reference, {"wind": (1, 2, 3, 4, 5, 6), "carrier": (7, 8, 9, 10)}),
    )
    result = exporter.export_metrics(make_snapshot(window, references={("delays", "1"): reference}))
    assert result.ok
    wait_for(lambda: "radiosonde.sdk.cut" in sink.metrics(), "the last metric to arrive")
    metrics = sink.metrics()
    (calls,) = metrics["radiosonde.prediction.calls"].sum.data_points
    assert (calls.as_int, calls.start_time_unix_nano) == (2, START_NS)
    (duration,) = metrics["radiosonde.prediction.duration"].histogram.data_points
    assert list(duration.bucket_counts) == [0, 1, 0, 0, 0, 1, 0, 0]
    assert list(duration.explicit_bounds) == [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0]
    assert [(e.as_double, e.span_id.hex()) for e in duration.exemplars] == [(0.004, "0000000000000def")]
    cells = metrics["radiosonde.feature.cell"].sum.data_points
    assert [point.as_int for point in cells] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    shares = metrics["radiosonde.feature.reference.ratio"].gauge.data_points
    assert [point.as_double for point in shares] == [*reference.features[0].p0, *reference.features[1].p0]
    (resource,) = {r.resource.SerializeToString() for q in sink.requests["/v1/metrics"] for r in q.resource_metrics}
    assert b"delays-api" in resource


def test_sketches_answer_the_same_after_their_way(sink, exporter):
    """The bytes that arrive deserialize to sketches with the same quantiles and the same distinct count."""
    rng = np.random.default_rng(11)
    kll, hll = kll_doubles_sketch(200), hll_sketch(12)
    kll.update(rng.lognormal(size=20_000))
    for value in range(3000):
        hll.update(float(value))
    sketches = {("wind", "kll_double"): kll.serialize(), ("wind", "hll"): hll.serialize_compact()}
    features = make_features(make_reference(), {}, sketches, sketched_rows=20_000)
    window = make_window(SeriesKey("delays", "2", "canary", "carrier=UA"), features=features)
    assert exporter.export_sketches(list(enumerate([window], 7))).ok
    records = wait_for(lambda: len(sink.logs()) == 2 and sink.logs(), "two sketch events")
    found = {attributes(record.attributes)[names.SKETCH_KIND]: record for record in records}
    for kind, record in found.items():
        given = attributes(record.attributes)
        assert record.event_name == given[names.EVENT_NAME] == events.SKETCH_WINDOW
        assert (given[names.MODEL_VERSION], given[names.VARIANT], given[names.COHORT]) == ("2", "canary", "carrier=UA")
        assert (given[names.SKETCH_N], given[names.WINDOW_START]) == (20_000, START_NS)
        received = base64.b64decode(record.body.string_value, validate=True)
        assert len(received) == given[names.SKETCH_SIZE]
        assert received == sketches["wind", kind]
    received_kll = kll_doubles_sketch.deserialize(base64.b64decode(found["kll_double"].body.string_value))
    assert received_kll.get_quantiles(RANKS) == kll.get_quantiles(RANKS)
    received_hll = hll_sketch.deserialize(base64.b64decode(found["hll"].body.string_value))
    assert received_hll.get_estimate() == hll.get_estimate()


def test_spans_with_our_attributes_arrive(sink):
    """A span with the attributes of our conventions passes the collector, and its child for a stage with it."""
    provider = TracerProvider(resource=Resource({"service.name": "delays-api"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    given = {
        names.MODEL_NAME: "delays",
        names.MODEL_VERSION: "2",
        names.VARIANT: "canary",
        names.COHORT: "carrier=UA",
        names.PREDICTION_ID: "p-1",
        names.PREDICTION_CLASS: "late",
        names.PREDICTION_CONFIDENCE: 0.75,
        names.PREDICTION_ROWS: 1,
        names.CELLS: "03a<-",
    }
    tracer = provider.get_tracer("radiosonde")
    with tracer.start_as_current_span("predict delays", attributes=given) as span:
        tracer.start_span("feature_fetch", attributes={names.PHASE: "feature_fetch"}).end()
    provider.shutdown()
    received = wait_for(lambda: len(sink.spans()) == 2 and sink.spans(), "the spans")
    by_name = {item.name: item for item in received}
    assert attributes(by_name["predict delays"].attributes) == given
    assert by_name["predict delays"].trace_id.hex() == f"{span.get_span_context().trace_id:032x}"
    assert attributes(by_name["feature_fetch"].attributes) == {"radiosonde.phase": "feature_fetch"}
    assert by_name["feature_fetch"].parent_span_id == by_name["predict delays"].span_id


def test_spans_made_after_the_fact_arrive(sink, exporter):
    """A kept span passes the collector with its ids, times, status, reasons and phases."""
    kept = KeptSpan(
        trace_id=0xABC << 64 | 1,
        span_id=0xDEF,
        parent_span_id=0x123,
        key=SeriesKey("delays", "2", "canary"),
        prediction_id="p-1",
        start_ns=START_NS,
        end_ns=START_NS + 7,
        rows=3,
        reasons=("error", "out_of_range"),
        error_type="ValueError",
        phases_s=(("feature_fetch", 0.25),),
    )
    assert exporter.export_spans([kept]).points == 1
    (span,) = wait_for(sink.spans, "the span")
    assert (span.trace_id.hex(), span.span_id.hex()) == (f"{0xABC:016x}{1:016x}", f"{0xDEF:016x}")
    assert (span.parent_span_id.hex(), span.name, span.status.code) == (f"{0x123:016x}", "predict delays", 2)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (START_NS, START_NS + 7)
    said = attributes(span.attributes)
    assert said.pop(names.SPAN_REASONS) == "error,out_of_range"
    assert said == {
        names.MODEL_NAME: "delays",
        names.MODEL_VERSION: "2",
        names.VARIANT: "canary",
        names.PREDICTION_ID: "p-1",
        names.PREDICTION_ROWS: 3,
        names.ERROR_TYPE: "ValueError",
        names.SPAN_AFTER_THE_FACT: True,
    }
    (event,) = span.events
    assert (event.name, attributes(event.attributes)) == (
        "feature_fetch",
        {names.PHASE: "feature_fetch", names.PHASE_DURATION: 0.25},
    )
