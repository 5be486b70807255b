from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections import Counter

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, TraceFlags, use_span

from radiosonde import current
from radiosonde._pipeline import span_source
from radiosonde.testing import fly
from tests.factories import make_reference
from tests.unit.record.kinds import KINDS, drive, make


class Counting(Sampler):
    """A sampler that counts its calls."""

    def __init__(self, inner=ALWAYS_ON):
        self.asked, self._inner = 0, inner

    def should_sample(self, *args, **kwargs):
        self.asked += 1
        return self._inner.should_sample(*args, **kwargs)

    def get_description(self):
        return "counting"


class Tracing:
    """A real tracer provider of the SDK with its spans in memory."""

    def __init__(self, sampler=None):
        self.sampler = sampler or Counting()
        self.provider = TracerProvider(sampler=self.sampler, shutdown_on_exit=False)
        self.exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("user")

    @property
    def spans(self):
        return list(self.exporter.get_finished_spans())

    def by_name(self):
        return {span.name: span for span in self.spans}


@pytest.fixture
def tracing(monkeypatch):
    """A tracer provider that Radiosonde finds as if it were the global one, which stays untouched."""
    made = Tracing()
    monkeypatch.setattr(span_source, "find_provider", lambda: made.provider)
    yield made
    made.provider.shutdown()


@pytest.fixture
def rs(tracing):
    """A flight under the tracer provider."""
    with fly(cohorts={"plan": ["*"]}) as flight:
        yield flight


@pytest.mark.parametrize("kind", KINDS)
def test_one_span_per_prediction_with_its_attributes(rs, tracing, kind):
    """Every kind of function gives one span named after the model, with identity, output and cells."""
    ids = []

    def body(features):
        ids.append(current().id)
        return {"label": "late", "confidence": 0.75}

    predict = rs.observe("delays", version="2", variant="canary", reference=make_reference())(make(kind, body))
    with rs.cohort(plan="pro"):
        drive(kind, predict, {"wind": 1.5, "carrier": "ZZ"})
    (span,) = tracing.spans
    assert (span.name, span.parent, span.status.status_code) == ("predict delays", None, StatusCode.UNSET)
    assert dict(span.attributes) == {
        "radiosonde.model.name": "delays",
        "radiosonde.model.version": "2",
        "radiosonde.variant": "canary",
        "radiosonde.cohort": "plan=pro",
        "radiosonde.prediction.id": ids[0],
        "radiosonde.prediction.class": "late",
        "radiosonde.prediction.confidence": 0.75,
        "radiosonde.cells": "1?",
    }
    assert span.instrumentation_scope.name == "radiosonde"
    assert rs.losses() == {}


@pytest.mark.parametrize("kind", KINDS)
def test_stages_are_children_and_the_users_spans_nest(rs, tracing, kind):
    """A stage is a child of its prediction, the prediction a child of the user's span, user spans inside nest."""

    def body(features):
        with rs.stage("fetch"), tracing.tracer.start_as_current_span("query"):
            pass
        return 1

    predict = rs.observe("delays")(make(kind, body))
    with tracing.tracer.start_as_current_span("request") as request:
        drive(kind, predict, [1.0])
        assert trace.get_current_span() is request
    spans = tracing.by_name()
    parents = {name: span.parent and span.parent.span_id for name, span in spans.items()}
    assert parents == {
        "request": None,
        "predict delays": spans["request"].context.span_id,
        "fetch": spans["predict delays"].context.span_id,
        "query": spans["fetch"].context.span_id,
    }
    assert len({span.context.trace_id for span in spans.values()}) == 1
    assert spans["fetch"].attributes["radiosonde.phase"] == "fetch"
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_spans_of_the_users_inside_a_prediction_are_its_children(rs, tracing):
    """Spans that the user starts inside an observed function are children of the prediction."""

    @rs.observe("delays")
    def predict(features):
        with tracing.tracer.start_as_current_span("query"):
            return 1

    predict([1.0])
    spans = tracing.by_name()
    assert spans["query"].parent.span_id == spans["predict delays"].context.span_id


@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_is_recorded_and_arrives_unchanged(rs, tracing, kind):
    """The span has error status, the exception as an event and its type; the caller gets the same object."""
    error = LookupError("no such carrier")

    def body(features):
        with rs.stage("fetch"):
            raise error

    with pytest.raises(LookupError) as raised:
        drive(kind, rs.observe("delays")(make(kind, body)), [1.0])
    assert (raised.value, error.__context__, error.__cause__) == (error, None, None)
    names = [entry.name for entry in raised.traceback]
    assert (names.count("observed"), names[-1]) == (1, "body")
    span = tracing.by_name()["predict delays"]
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "LookupError")
    (event,) = span.events
    assert (event.name, event.attributes["exception.message"]) == ("exception", "no such carrier")
    assert tracing.by_name()["fetch"].status.status_code is StatusCode.ERROR
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_an_exception_that_cannot_be_shown_still_ends_its_span(tracing):
    """An exception whose text raises costs the status's text; the span is ended and the exception arrives."""

    class MuteError(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    def predict(features):
        raise MuteError

    with fly(reraise=False) as rs, pytest.raises(MuteError):
        rs.observe("delays")(predict)([1.0])
    assert [span.name for span in tracing.spans] == ["predict delays"]


def test_a_batch_tells_its_rows(rs, tracing):
    """The span of a batch has the number of rows."""
    rs.observe("delays")(lambda features: None)([[1.0], [2.0], [3.0]])
    assert tracing.spans[0].attributes["radiosonde.prediction.rows"] == 3


def test_a_parent_that_does_not_record_means_no_span_and_no_question(rs, tracing):
    """Inside a trace that was not sampled, the sampler is not asked and nothing is made; the record is kept."""
    unsampled = NonRecordingSpan(SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(0)))
    predict = rs.observe("delays")(lambda features: trace.get_current_span())
    with use_span(unsampled):
        assert predict([1.0]) is unsampled
    assert (tracing.sampler.asked, tracing.spans) == (0, [])
    assert rs.windows()[0].calls == 1


def test_a_sampled_remote_parent_is_continued(rs, tracing):
    """A parent that came over the wire and was sampled there does not record here, and is continued."""
    remote = NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1)))
    with use_span(remote):
        rs.observe("delays")(lambda features: 1)([1.0])
    (span,) = tracing.spans
    assert (span.context.trace_id, span.parent.span_id) == (1, 2)


def test_a_root_that_is_not_sampled_leaves_no_trace(monkeypatch):
    """A negative sampler is called once per root prediction; nothing is current, nothing reaches the exemplar."""
    made = Tracing(Counting(ParentBased(ALWAYS_OFF)))
    monkeypatch.setattr(span_source, "find_provider", lambda: made.provider)
    with fly() as rs:
        predict = rs.observe("delays")(lambda features: trace.get_current_span())
        assert predict([1.0]) is trace.INVALID_SPAN
        assert (made.sampler.asked, made.spans) == (1, [])
        assert rs.windows()[0].latency.exemplars == {}


def test_trace_ids_reach_the_exemplar(rs, tracing):
    """The trace and span id of a sampled prediction are its bucket's exemplar."""
    rs.observe("delays")(lambda features: 1)([1.0])
    (span,) = tracing.spans
    (exemplar,) = rs.windows()[0].latency.exemplars.values()
    assert (exemplar.trace_id, exemplar.span_id) == (span.context.trace_id, span.context.span_id)
    assert exemplar.value_s > 0


def test_fifty_interleaved_tasks_keep_their_parents(rs, tracing):
    """Predictions and stages of concurrent tasks hang below their own requests."""

    @rs.observe("delays")
    async def predict(features):
        with rs.stage("fetch"):
            await asyncio.sleep(0)
        return 1

    async def request(number):
        with tracing.tracer.start_as_current_span(f"request {number}"):
            await asyncio.sleep(0)
            await predict([1.0])

    async def main():
        await asyncio.gather(*(request(number) for number in range(50)))

    asyncio.run(main())
    spans = {span.context.span_id: span for span in tracing.spans}
    assert Counter(span.name.split()[0] for span in spans.values()) == {"request": 50, "predict": 50, "fetch": 50}
    for span in spans.values():
        if span.parent:
            expected = {"predict": "request", "fetch": "predict"}[span.name.split()[0]]
            assert spans[span.parent.span_id].name.startswith(expected)
    assert len({span.parent.span_id for span in spans.values() if span.parent}) == 100


def test_interleaved_generators_keep_their_stages(rs, tracing):
    """Two generators consumed in turn leave the consumer's current span alone and keep their stages apart."""

    @rs.observe("delays")
    def predict(features):
        for _ in range(2):
            with rs.stage("fetch"):
                pass
            yield trace.get_current_span()

    with tracing.tracer.start_as_current_span("request") as request:
        first, second = predict([1.0]), predict([2.0])
        for items in zip(first, second, strict=True):
            assert items == (request, request)
            assert trace.get_current_span() is request
    counts = Counter(span.name for span in tracing.spans)
    assert counts == {"request": 1, "predict delays": 2, "fetch": 4}


class BrokenAt(SpanProcessor):
    """A span processor that raises at one of its hooks."""

    def __init__(self, hook):
        setattr(self, hook, self._raise)

    def _raise(self, *_, **__):
        raise RuntimeError("exporter is broken")


@pytest.mark.parametrize("hook", ["on_start", "on_end"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_span_processor_reaches_nobody(tracing, kind, hook):
    """A processor that raises costs spans; results, exceptions, records and the caller's context are untouched."""
    tracing.provider.add_span_processor(BrokenAt(hook))
    error = ValueError("mine")

    def body(features):
        with rs.stage("fetch"):
            if features[0] < 0:
                raise error
        return 7

    with fly(reraise=False) as rs:
        predict = rs.observe("delays")(make(kind, body))
        for _ in range(120):  # beyond the number of failures after which the guard stops spans
            assert drive(kind, predict, [1.0]) == 7
        with pytest.raises(ValueError, match="mine") as raised:
            drive(kind, predict, [-1.0])
        assert raised.value is error
        assert trace.get_current_span() is trace.INVALID_SPAN
        assert sum(window.calls for window in rs.windows()) == 121
        assert sum(rs.statistics().guarded.values()) >= 100


class BrokenSpan(NonRecordingSpan):
    def is_recording(self):
        raise RuntimeError("no answer")


class BrokenTracer:
    """A tracer that raises, or whose spans do."""

    def __init__(self, method):
        self._method = method

    def start_span(self, *args, **kwargs):
        if self._method == "start_span":
            raise RuntimeError("no span")
        real = TracerProvider(shutdown_on_exit=False).get_tracer("x").start_span(*args, **kwargs)
        setattr(real, self._method, self._raise)
        return real

    def start_as_current_span(self, *args, **kwargs):
        raise RuntimeError("no stage")

    def _raise(self, *_, **__):
        raise RuntimeError(self._method)


class BrokenProvider:
    """A provider whose tracer raises somewhere."""

    def __init__(self, method):
        self._method = method

    def get_tracer(self, *_, **__):
        if self._method == "get_tracer":
            raise RuntimeError("no tracer")
        return BrokenTracer(self._method)


@pytest.mark.parametrize(
    "method", ["get_tracer", "start_span", "is_recording", "set_attribute", "end", "get_span_context"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_provider_costs_spans_only(monkeypatch, kind, method):
    """If a tracer provider raises anything, the prediction is recorded and the caller's context is unchanged."""
    provider = BrokenProvider(method)
    monkeypatch.setattr(span_source, "find_provider", lambda: provider)

    def body(features):
        with rs.stage("fetch"):
            return 7

    with fly(reraise=False) as rs:
        assert drive(kind, rs.observe("delays")(make(kind, body)), [1.0]) == 7
        assert trace.get_current_span() is trace.INVALID_SPAN
        (window,) = rs.windows()
        assert (window.calls, window.latency.phases) == (1, ("fetch",))
        assert any(place.startswith("span") for place in rs.statistics().guarded)
        assert rs.losses() == {}


def test_a_foreign_parent_span_that_raises(tracing):
    """A foreign current span that raises on access costs the span only."""
    with fly(reraise=False) as rs:
        predict = rs.observe("delays")(lambda features: 7)
        with use_span(BrokenSpan(SpanContext(1, 2, is_remote=False))):
            assert predict([1.0]) == 7
        assert rs.statistics().guarded == {"span_parent": 1}
        assert rs.windows()[0].calls == 1


SCRIPT = """
import sys
import time
import radiosonde
from radiosonde._record.token import CURRENT

predict = radiosonde.observe("m")(lambda features: 1)
predict([1.0])
radiosonde.flush()
assert "opentelemetry" not in sys.modules, "loaded without a provider"

from opentelemetry import trace
predict([1.0])
assert CURRENT.get()[0].spans is None

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
deadline = time.monotonic() + 90
while not exporter.get_finished_spans() and time.monotonic() < deadline:
    predict([1.0])
    time.sleep(0.01)
assert exporter.get_finished_spans()[0].name == "predict m", "a provider set later was not picked up"
assert trace.get_tracer_provider() is provider
radiosonde.shutdown()
print("done")
"""


def test_a_provider_set_later_is_picked_up_and_without_one_nothing_is_loaded():
    """Without a provider OpenTelemetry is not even imported; one that is set later gets its spans within seconds."""
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(SCRIPT)],
        capture_output=True, text=True, timeout=240, check=False, env={"RADIOSONDE_OTLP": "false", "PATH": ""},
    )  # fmt: skip
    assert (found.stdout, found.returncode) == ("done\n", 0), found.stderr


def test_the_context_given_to_the_user_is_the_predictions(rs, tracing):
    """Inside the function the prediction's span is current, so that outgoing requests carry it."""
    seen = []

    @rs.observe("delays")
    def predict(features):
        seen.append(trace.get_current_span().get_span_context().span_id)

    predict([1.0])
    assert seen == [tracing.spans[0].context.span_id]
