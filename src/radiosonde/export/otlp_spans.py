"""Kept spans as OTLP messages, named and described like the live ones.

Unlike live spans they lack the exception's message and stack (the ring holds its type only), and children for the stages, whose durations
are events here because their start is not recorded.

Their parent is marked remote: it was not recorded, so in the trace the prediction is the entry into this service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde.export.labels import cohort_attributes
from radiosonde.export.otlp_encoding import Value, attribute_messages
from radiosonde.export.wire import fixed32, fixed64, message, text, whole
from radiosonde.semconv import attributes

if TYPE_CHECKING:
    from radiosonde.model.spans import KeptSpan

_INTERNAL = 1
_STATUS_ERROR = 2
_HAS_IS_REMOTE, _IS_REMOTE = 0x100, 0x200


def span_message(span: KeptSpan) -> bytes:
    """Return the content of a ``Span``."""
    parent, flags = b"", _HAS_IS_REMOTE
    if span.parent_span_id:
        parent, flags = message(4, span.parent_span_id.to_bytes(8, "big")), flags | _IS_REMOTE
    return b"".join(
        (
            message(1, span.trace_id.to_bytes(16, "big")),
            message(2, span.span_id.to_bytes(8, "big")),
            parent,
            text(5, f"predict {span.key.model}"),
            whole(6, _INTERNAL),
            fixed64(7, span.start_ns),
            fixed64(8, span.end_ns),
            attribute_messages(9, _attributes(span).items()),
            *(message(11, _event(name, seconds, span.end_ns)) for name, seconds in span.phases_s),
            message(15, whole(3, _STATUS_ERROR) if span.error_type else b""),
            fixed32(16, flags),
        )
    )


def _event(name: str, seconds: float, time_ns: int) -> bytes:
    said = ((attributes.PHASE, name), (attributes.PHASE_DURATION, seconds))
    return fixed64(1, time_ns) + text(2, name) + attribute_messages(3, said)


def _attributes(span: KeptSpan) -> dict[str, Value]:
    said: dict[str, Value] = {
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
