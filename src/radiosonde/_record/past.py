"""Recording what is over: a call that somebody else has timed (a request, a line of a log), in one go."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from radiosonde._clock import NS
from radiosonde._record.ambient import AMBIENT
from radiosonde._ring.layout import (
    BEGIN,
    DONE,
    END,
    END_OFFSET,
    FAILED,
    HEADER_BYTES,
    INPUT_NONE,
    LIVE_SPAN,
    OUTPUT_NONE,
    PHASE_OFFSET,
    SERIES_WORD,
    SPAN_IDS,
    SPAN_IDS_OFFSET,
)

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from radiosonde._record.lane import Lane

_PHASE = struct.Struct("<f")
_NAN = float("nan")


class Past(NamedTuple):
    """A call that is over.

    Attributes:
        start_ns: wall clock at its start.
        duration_s: how long it took, in seconds.
        phases_s: seconds by phase.
        error: the exception, or the name of what went wrong; None for success.
        span: context of the span that stands for the call, None when it has none.
    """

    start_ns: int
    duration_s: float
    phases_s: Mapping[str, float]
    error: BaseException | str | None
    span: SpanContext | None = None


def record_past(lane: Lane, past: Past) -> None:
    """Write a record of *past* into the lane's ring, under the cohort in force."""
    recorder, ring = lane.recorder, lane.ring
    index = ring.reserve()
    at = ring.header_offset + (index & (ring.capacity - 1)) * HEADER_BYTES
    ambient = AMBIENT.get()
    event_ns, series = (0, 0) if ambient is None else (ambient.event_ns, recorder.series_of(ambient.cohort))
    BEGIN.pack_into(ring.memory, at, past.start_ns, event_ns, series, 1, 0, index * 4 + 5)
    if past.span is not None:
        ids = past.span
        SPAN_IDS.pack_into(ring.memory, at + SPAN_IDS_OFFSET, ids.trace_id.to_bytes(16, "little"), ids.span_id)
        if ids.trace_flags & 1:
            ring.words[(index & (ring.capacity - 1)) * 16 + SERIES_WORD] |= LIVE_SPAN
    for name, seconds in past.phases_s.items():
        code = recorder.phase_code(name)
        if code >= 0:
            _PHASE.pack_into(ring.memory, at + PHASE_OFFSET + 4 * code, seconds)
    error = 0 if past.error is None else recorder.error_code(past.error)
    END.pack_into(
        ring.memory, at + END_OFFSET, _NAN, round(past.duration_s * NS), -1, _NAN, error, OUTPUT_NONE, INPUT_NONE, 1, 1, 1,
        index * 4 + 4 + (DONE if past.error is None else FAILED),
    )  # fmt: skip
