"""Records a call that was timed elsewhere (a request, a line of a log).

A web server does this for every request, so the whole slot is one pack: eight packs, one a field, took 3 us more
(bench_served, by the consumer's CPU time).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from radiosonde._clock import LATEST_S, NS
from radiosonde._record.ambient import AMBIENT
from radiosonde._ring.layout import (
    COMPLETED_CALL,
    DONE,
    FAILED,
    HEADER_BYTES,
    INPUT_NONE,
    LIVE_SPAN,
    OUTPUT_NONE,
    PHASES,
)
from radiosonde.model import losses

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from radiosonde._record.record_writer import RecordWriter
    from radiosonde._record.recorder import Recorder

_NAN = float("nan")


def record_completed_call(
    writer: RecordWriter,
    start_ns: int,
    duration_s: float,
    phases_s: Mapping[str, float] | None,
    error: BaseException | type[BaseException] | str | None,
    span: SpanContext | None,
) -> None:
    """Write a record of a call that is over into the writer's ring, under the cohort in force.

    Args:
        writer: whose ring.
        start_ns: wall clock at its start.
        duration_s: duration in seconds.
        phases_s: seconds by phase; None for none.
        error: the exception, its type, or the name of the error; None for success.
        span: context of the span of the call, None when it has none.
    """
    recorder, ring = writer.recorder, writer.ring
    ambient, event_ns, series = AMBIENT.get(), 0, 0
    if ambient is not None:
        event_ns, series = ambient.event_ns, recorder.series_of(ambient.cohort)
    trace_id, span_id = b"", 0
    if span is not None:
        trace_id, span_id = span.trace_id.to_bytes(16, "little"), span.span_id
        if span.trace_flags & 1:
            series |= LIVE_SPAN
    phases = _phases(recorder, phases_s) if phases_s is not None else [0.0] * PHASES
    error_code = 0 if error is None else recorder.error_code(error)
    state, duration_ns, pack = DONE if error is None else FAILED, round(duration_s * NS), COMPLETED_CALL.pack_into
    # No call from here to the pack, so that no other thread runs in between (`radiosonde._ring.ring`).
    for index in ring.indices:  # noqa: B007 - used below
        break
    if index >= ring.room[0]:
        writer.reclaimer.make_room(index)
    slot = index & (ring.capacity - 1)
    pack(
        ring.memory, ring.header_offset + slot * HEADER_BYTES,
        start_ns, event_ns, trace_id, span_id, series, *phases, _NAN, duration_ns, -1, _NAN,
        error_code, OUTPUT_NONE, INPUT_NONE, 1, 1, 1,
        index * 4 + 4 + state,
    )  # fmt: skip


def _phases(recorder: Recorder, phases_s: Mapping[str, float]) -> list[float]:
    """Return the seconds of each phase. An invalid duration is counted as a loss: packing it would lose the whole record."""
    phases, codes, lose = [0.0] * PHASES, recorder.phases.codes, recorder.host.guard.lose
    if not hasattr(phases_s, "items"):
        lose(losses.PHASE_INVALID)
        return phases
    for name, seconds in phases_s.items():
        code = codes.get(name, PHASES)
        if code >= PHASES:  # a new one, or one too many, which is counted
            code = recorder.phase_code(name)
        if code >= 0:
            phases[code] = seconds
    try:
        if min(phases) >= 0.0 and sum(phases) < LATEST_S:  # not NaN either
            return phases
    except Exception:  # noqa: BLE001, S110 - something that cannot be compared or added: each by itself
        pass
    found = [recorder.host.guard.attempt(_seconds, seconds) for seconds in phases]
    invalid = sum(isinstance(seconds, Exception) for seconds in found)
    lose(losses.PHASE_INVALID, invalid)
    return [0.0 if isinstance(seconds, Exception) else seconds for seconds in found]


def _seconds(value: Any) -> float:
    seconds = math.nan if isinstance(value, (str, bytes)) else float(value)
    if not 0.0 <= seconds < LATEST_S:
        raise ValueError
    return seconds
