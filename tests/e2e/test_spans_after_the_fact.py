"""Predictions whose trace is not recorded: those worth a span get one afterwards, over a real OTLP/HTTP connection."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from contextlib import nullcontext, suppress
from contextvars import Context, ContextVar

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from radiosonde import current
from radiosonde._clock import monotonic_ns
from radiosonde._pipeline import span_source
from radiosonde.testing import fly
from tests.e2e._receivers import attributes, free_port, otlp_sink
from tests.factories import make_feature, make_reference

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
ERROR = 2
START_S = 1_362_096_000
WIND = make_reference([make_feature("wind", (40, 60, 0, 0, 0, 0))])  # 0 to 2


class Clock:
    """The recorder's monotonic clock: it begins now and stands still but for what `pass_ms` adds."""

    def __init__(self):
        self.now_ns = monotonic_ns()

    def __call__(self):
        return self.now_ns

    def pass_ms(self, milliseconds):
        self.now_ns += round(milliseconds * 1e6)


@pytest.fixture
def clock(monkeypatch):
    """Return the clock of everything recorded."""
    made = Clock()
    monkeypatch.setattr("radiosonde._record.record_writer.monotonic_ns", made)
    monkeypatch.setattr("radiosonde._record.current.monotonic_ns", made)
    return made


@pytest.fixture
def sink(monkeypatch):
    """Return a sink that the environment names as the backend."""
    with otlp_sink() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.endpoint)
        yield found


@pytest.fixture
def tracer(monkeypatch):
    """Return a function that makes Radiosonde find a real provider with a sampler; it returns a tracer of it."""
    made = []

    def find(sampler):
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        made.append(provider)
        monkeypatch.setattr(span_source, "find_provider", lambda: provider)
        return provider.get_tracer("user"), exporter

    yield find
    for provider in made:
        provider.shutdown()


def exemplars(sink):
    """Return the (trace id, span id) of the duration's exemplars that arrived."""
    points = sink.metrics()["radiosonde.prediction.duration"].histogram.data_points
    return {(exemplar.trace_id, exemplar.span_id) for point in points for exemplar in point.exemplars}


def traffic(rs, clock, around):
    """Predict 60 times inside *around*; return what happened by prediction id: (answer, start, duration)."""
    happened = {}

    @rs.observe("delays", version="2", variant="canary", reference=WIND)
    def predict(features, confidence, milliseconds):
        happened[current().id] = (features[0], confidence, milliseconds)
        with rs.stage("fetch"):
            clock.pass_ms(milliseconds)
        if confidence is None:
            raise LookupError("no such carrier")
        return {"label": "late", "confidence": confidence}

    # At one event time, so that all are in one window at any current time.
    with around, rs.cohort(plan="pro"), rs.at(START_S):
        for number in range(60):
            confidence = None if number % 20 == 7 else 0.5 if number % 20 == 8 else 0.9
            with suppress(LookupError):
                predict([9.0 if number % 30 == 5 else 1.0], confidence, number + 1)
            clock.pass_ms(1)
    return happened


def check(sink, happened):
    """Compare the spans that arrived with what happened; return them by prediction id."""
    spans = {attributes(span.attributes)["radiosonde.prediction.id"]: span for span in sink.spans()}
    assert len(spans) == len(sink.spans())
    reasons = {}
    for identity, span in spans.items():
        wind, confidence, milliseconds = happened[identity]
        said = attributes(span.attributes)
        reasons[identity] = said.pop("radiosonde.span.reasons").split(",")
        expected = {
            "radiosonde.model.name": "delays",
            "radiosonde.model.version": "2",
            "radiosonde.variant": "canary",
            "radiosonde.cohort": "plan=pro",
            "radiosonde.cohort.plan": "pro",
            "radiosonde.prediction.id": identity,
            "radiosonde.cells": ">" if wind == 9.0 else "0",
            "radiosonde.span.after_the_fact": True,
        }
        if confidence is None:
            expected["error.type"] = "LookupError"
        else:
            expected["radiosonde.prediction.class"] = "late"
            expected["radiosonde.prediction.confidence"] = pytest.approx(confidence)
        assert said == expected
        assert span.name == "predict delays"
        assert span.status.code == (ERROR if confidence is None else 0)
        assert span.start_time_unix_nano == int(identity[:16], 16)
        assert span.end_time_unix_nano - span.start_time_unix_nano == milliseconds * 1_000_000
        (event,) = span.events
        said = attributes(event.attributes)
        assert (event.name, said["radiosonde.phase"]) == ("fetch", "fetch")
        assert said["radiosonde.phase.duration"] == pytest.approx(milliseconds / 1000)
    at_once = {
        identity: [
            *["error"] * (confidence is None),
            *["low_confidence"] * (confidence == 0.5),
            *["out_of_range"] * (wind == 9.0),
        ]
        for identity, (wind, confidence, _) in happened.items()
    }
    drawn = [identity for identity, found in reasons.items() if "baseline" in found]
    assert len(drawn) in (1, 2)  # one at once, and on a slow machine one more some seconds later
    for identity in drawn:
        at_once[identity].append("baseline")
    expected = {identity: found for identity, found in at_once.items() if found}
    rest = sorted(happened.keys() - expected.keys(), key=lambda identity: happened[identity][2])
    assert reasons == expected | {identity: ["slow"] for identity in rest[-3:]}
    assert exemplars(sink)
    assert exemplars(sink) <= {(span.trace_id, span.span_id) for span in spans.values()}
    return spans


def test_inside_a_trace_that_its_sampler_refused(sink, tracer, clock):
    """With a real provider that samples nothing, the kept spans hang below the user's span that was not recorded."""
    user, exporter = tracer(ParentBased(TraceIdRatioBased(0.0)))
    with fly(otlp=True, cohorts={"plan": ["*"]}) as rs:
        request = user.start_span("request")
        assert not request.is_recording()
        happened = traffic(rs, clock, use_span(request))
        rs.flush()
    ids = request.get_span_context()
    for span in check(sink, happened).values():
        assert int.from_bytes(span.trace_id) == ids.trace_id
        assert int.from_bytes(span.parent_span_id) == ids.span_id
    assert exporter.get_finished_spans() == ()


def test_inside_a_remote_trace_that_is_not_sampled(sink, tracer, clock):
    """An unsampled traceparent from the wire is the parent of the kept spans."""
    tracer(ParentBased(ALWAYS_ON))
    remote = trace.get_current_span(TraceContextTextMapPropagator().extract({"traceparent": TRACEPARENT}))
    with fly(otlp=True, cohorts={"plan": ["*"]}) as rs:
        happened = traffic(rs, clock, use_span(remote))
        rs.flush()
    for span in check(sink, happened).values():
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == tuple(TRACEPARENT.split("-")[1:3])
        assert span.flags & 0x300 == 0x300  # its parent is known to be remote


@pytest.mark.parametrize("has_provider", [False, True])
def test_without_a_trace_around(sink, tracer, clock, has_provider):
    """Roots, of no provider or refused by its sampler, get a trace each."""
    if has_provider:
        tracer(TraceIdRatioBased(0.0))
    with fly(otlp=True, cohorts={"plan": ["*"]}) as rs:
        happened = traffic(rs, clock, nullcontext())
        rs.flush()
    spans = check(sink, happened).values()
    assert {span.parent_span_id for span in spans} == {b""}
    assert len({span.trace_id for span in spans}) == len(spans)


def test_live_spans_are_not_made_twice(sink, tracer):
    """Sampled predictions have their live span and no other; exemplars point to both kinds."""
    user, exporter = tracer(ALWAYS_ON)
    with fly(otlp=True) as rs:

        @rs.observe("delays")
        def predict(features):
            return {"label": "late", "confidence": 0.5}

        with user.start_as_current_span("request"):
            for _ in range(5):
                predict([1.0])
        with use_span(NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(0)))):
            predict([1.0])
        rs.flush()
    live = {
        (span.context.trace_id.to_bytes(16), span.context.span_id.to_bytes(8))
        for span in exporter.get_finished_spans()
        if span.name == "predict delays"
    }
    (kept,) = sink.spans()
    assert (len(live), int.from_bytes(kept.parent_span_id)) == (5, 2)
    assert exemplars(sink) <= live | {(kept.trace_id, kept.span_id)}


@pytest.mark.parametrize("fails", [False, True])
def test_a_prediction_that_is_kept_holds_no_context(fails, sink, tracer):
    """Who collects predictions keeps them; what the caller had in a context variable is not theirs to keep."""
    user, _ = tracer(ALWAYS_ON)
    held = Context()

    def request(rs):
        HELD.set(Held())
        with user.start_as_current_span("request"), rs.collect() as made, suppress(ZeroDivisionError):
            rs.observe("delays")(lambda features: 1 / (not fails))([1.0])
        return made, weakref.ref(HELD.get())

    with fly(otlp=True) as rs:
        made, reference = held.run(request, rs)
        assert len(made) == 1
        del held
        gc.collect()
        assert reference() is None


class Held:
    """Something large in a context variable."""


HELD: ContextVar[Held] = ContextVar("held")


class RecordOnly(Sampler):
    """Lets spans be recorded for local readers, and not sent."""

    def should_sample(self, *_, **__):
        return SamplingResult(Decision.RECORD_ONLY)

    def get_description(self):
        return "record only"


def test_a_span_recorded_for_local_readers_only_is_no_span_to_point_to(sink, tracer):
    """A live span that is not sampled reaches no backend: the prediction may have one after the fact."""
    tracer(RecordOnly())
    with fly(otlp=True) as rs:
        rs.observe("delays")(lambda _: {"label": "late", "confidence": 0.5})([1.0])
        rs.flush()
    (kept,) = sink.spans()
    assert kept.parent_span_id == b""
    assert exemplars(sink) == {(kept.trace_id, kept.span_id)}


def test_the_bound_is_the_users(sink):
    """Of 100 unsure predictions and ten spans a minute five have one (and the baseline's, and the slowest); the rest count."""
    with fly(otlp=True, spans_per_minute=10) as rs:
        predict = rs.observe("delays")(lambda _: {"label": "late", "confidence": 0.5})
        with rs.at(START_S):
            for _ in range(100):
                predict([1.0])
        rs.flush()
        kept = len(sink.spans())
        assert kept in (6, 7)  # the baseline's may be one of the five
        # Two of the three slowest had no room either: they are counted once more.
        assert (rs.statistics().spans_bounded, rs.losses()) == (100 + 3 - kept, {})


def test_zero_makes_none(sink):
    """Switched off, no span is created, no exemplar exported and nothing counted as lost."""
    with fly(otlp=True, spans_per_minute=0) as rs:
        rs.observe("delays")(lambda _: {"label": "late", "confidence": 0.5})([1.0])
        rs.flush()
        assert (sink.spans(), exemplars(sink), rs.losses()) == ([], set(), {})


def test_a_backend_that_comes_back_gets_the_spans_once(sink):
    """Spans that could not be delivered wait and arrive at the next export, each once."""
    with fly(otlp=True) as rs:
        predict = rs.observe("delays")(lambda _: {"label": "late", "confidence": 0.5})
        predict([1.0])
        sink.answers += [400, 400, 400]  # metrics, sketches, spans
        rs.flush()
        assert sink.spans() == []
        predict([1.0])
        rs.flush()
        assert rs.losses() == {"export_failed": 3}
    counts = Counter(attributes(span.attributes)["radiosonde.prediction.id"] for span in sink.spans())
    assert sorted(counts.values()) == [1, 1]


def test_what_was_never_delivered_is_counted_at_the_end(monkeypatch):
    """Without a backend until the end, the spans are counted as dropped."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with fly(otlp=True) as rs:
        rs.observe("delays", input=False)(lambda: {"label": "late", "confidence": 0.5})()
    assert rs.statistics().losses["spans_dropped"] == 1
