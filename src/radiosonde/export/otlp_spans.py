"""Kept spans as the SDK's own span values, named and described like the live ones.

What a live span has and these have not: the exception's message and stack (the ring holds its type only), and children
for the stages, whose durations are events here because when a stage began is not recorded.

The spans say that they are sampled, because they are sent. Their parent is told to be remote: it was not recorded, so for
whoever reads the trace the prediction is where it enters this service.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from radiosonde.export.labels import cohort_attributes
from radiosonde.semconv import attributes

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from radiosonde.model.spans import KeptSpan


def readable_spans(spans: Iterable[KeptSpan], resource: Resource, scope: InstrumentationScope) -> list[ReadableSpan]:
    """Return one span of the SDK for each of *spans*."""
    return [_readable(span, resource, scope) for span in spans]


def _readable(span: KeptSpan, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    parent = SpanContext(span.trace_id, span.parent_span_id, is_remote=True) if span.parent_span_id else None
    return ReadableSpan(
        name=f"predict {span.key.model}",
        context=SpanContext(span.trace_id, span.span_id, is_remote=False, trace_flags=sampled),
        parent=parent,
        resource=resource,
        attributes=_attributes(span),
        events=[
            Event(name, {attributes.PHASE: name, attributes.PHASE_DURATION: seconds}, timestamp=span.end_ns)
            for name, seconds in span.phases_s
        ],
        status=Status(StatusCode.ERROR if span.error_type else StatusCode.UNSET),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=scope,
    )


def _attributes(span: KeptSpan) -> dict[str, str | bool | int | float]:
    said: dict[str, str | bool | int | float] = {
        attributes.MODEL_NAME: span.key.model,
        attributes.MODEL_VERSION: span.key.version,
        attributes.VARIANT: span.key.variant,
        attributes.PREDICTION_ID: span.prediction_id,
        attributes.SPAN_AFTER_THE_FACT: True,
        attributes.SPAN_REASONS: ",".join(span.reasons),
    }
    if span.key.cohort:
        said[attributes.COHORT] = span.key.cohort
        said |= dict(cohort_attributes(span.key.cohort))
    if span.cells:
        said[attributes.CELLS] = span.cells
    if span.rows != 1:
        said[attributes.PREDICTION_ROWS] = span.rows
    if span.class_name:
        said[attributes.PREDICTION_CLASS] = span.class_name
    if span.confidence is not None:
        said[attributes.PREDICTION_CONFIDENCE] = span.confidence
    if span.error_type:
        said[attributes.ERROR_TYPE] = span.error_type
    return said
