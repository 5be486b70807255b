"""Live spans: one per prediction that the user's provider samples, with a child span per stage.

Only the API is used, and only where the user has loaded it and set a provider: no provider of ours, no global touched.
A prediction inside a trace that is not recording asks no sampler and makes no span (asking costs 3.4 us, more than all
the rest together); a prediction with no trace around it is a root, and the provider's sampler decides.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from radiosonde._record.token import INDEX, RECORDED, SPAN, Token
from radiosonde._version import __version__
from radiosonde.semconv import attributes

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde._record.lane import Lane
    from radiosonde._record.recorder import Recorder

Begin = Callable[[tuple[Any, ...], dict[str, Any]], Token | None]

_NO_PROVIDER = {"ProxyTracerProvider", "NoOpTracerProvider"}


def find_provider() -> Any:
    """Return the tracer provider the user has set, or None. Never imports OpenTelemetry: who set one has loaded it."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    provider = trace.get_tracer_provider()
    return None if type(provider).__name__ in _NO_PROVIDER else provider


class LiveSpans:
    """Makes the live spans of all lanes under one tracer provider.

    Args:
        provider: the user's tracer provider.
        guard: swallows what a broken provider raises.
        cells_of: returns the cells string of a recorded row for a lane, or None without a grid.
    """

    def __init__(self, provider: Any, guard: Guard, cells_of: Callable[[Lane, Token], str | None]) -> None:
        from opentelemetry import context, trace  # loaded already: the user set a provider with it

        self.provider = provider
        self._guard = guard
        self._cells_of = cells_of
        self._trace, self._context = trace, context
        self.tracer = provider.get_tracer("radiosonde", __version__)
        # `get_current_span` reads this key and then asks whether the value is an instance of an abstract class, which is
        # 0.4 us of its 0.5 (bench_record). The key is private to OpenTelemetry, so it is found by what it does: it is
        # the one that a context with a span in it holds.
        (self._span_key,) = trace.set_span_in_context(trace.INVALID_SPAN, context.Context())

    def around_begin(self, begin: Begin, lane: Lane) -> Begin:
        """Return *begin* with a live span around what follows, where the trace records."""
        no_ids = self._trace.INVALID_SPAN_CONTEXT
        get_context, span_key, guard, start = self._context.get_current, self._span_key, self._guard, self._start

        def begin_traced(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Token | None:
            token = begin(args, kwargs)
            if token is None:
                return None
            try:
                parent: Any = get_context().get(span_key)
                if parent is not None and not parent.is_recording():
                    # It asks for no span, unless it is no parent at all, or a remote one that is sampled elsewhere. The
                    # flags as an integer: their `sampled` property and a call of ours cost 0.15 us (bench_record).
                    ids = parent.get_span_context()
                    if not ids.trace_flags & 1 and ids is not no_ids:
                        return token
                guard.call("span", start, token, lane)
            except Exception as error:  # noqa: BLE001 - hot path: a foreign span class may raise anything
                guard.swallow("span", error)
            return token

        return begin_traced

    def _start(self, token: Token, lane: Lane) -> None:
        recorder = lane.recorder
        span = self.tracer.start_span(f"predict {recorder.name}", attributes=_identity(recorder))
        if not span.is_recording():
            return
        ids = span.get_span_context()
        at = (token[INDEX] & (lane.ring.capacity - 1)) * 16
        words = lane.ring.words
        words[at + 2], words[at + 3], words[at + 4] = ids.trace_id >> 64, ids.trace_id & (1 << 64) - 1, ids.span_id
        # A generator's frames run in whatever context asks for the next item: nothing is attached there.
        attached = (
            None if recorder.observed.is_generator else self._context.attach(self._trace.set_span_in_context(span))
        )
        token[SPAN] = (span, attached)

    def end(self, token: Token, code: int, confidence: float, error: BaseException | None) -> None:
        """End the span of a prediction with its output or its exception."""
        span, attached = token[SPAN]
        # Always, also when the guard has given up on spans: the caller's context is not ours to keep. It never raises.
        if attached is not None:
            self._context.detach(attached)
        try:
            self._guard.call("span", self._describe, span, token, code, confidence, error)
        finally:
            self._guard.call("span", span.end)

    def _describe(self, span: Any, token: Token, code: int, confidence: float, error: BaseException | None) -> None:
        lane = token[0]
        said: dict[str, str | int | float] = {attributes.PREDICTION_ID: prediction_id(token)}
        cells = self._cells_of(lane, token)
        if cells:
            said[attributes.CELLS] = cells
        if token[RECORDED].rows != 1:
            said[attributes.PREDICTION_ROWS] = token[RECORDED].rows
        if code >= 0:
            said[attributes.PREDICTION_CLASS] = lane.outputs.classes.names[code]
        if not math.isnan(confidence):
            said[attributes.PREDICTION_CONFIDENCE] = float(confidence)
        if error is not None:
            said[attributes.ERROR_TYPE] = lane.recorder.errors.names[lane.recorder.error_code(error)]
        span.set_attributes(said)
        if error is not None:
            if isinstance(error, Exception):
                span.record_exception(error)
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, str(error)))

    def open_stage(self, token: Token, name: str) -> Any:
        """Return the entered context manager of a span around a stage of the prediction."""
        span, attached = token[SPAN]
        # A generator's span is nobody's current one, see `_start`.
        parent = None if attached is not None else self._trace.set_span_in_context(span)
        scope = self.tracer.start_as_current_span(name, context=parent, attributes={attributes.PHASE: name})
        scope.__enter__()
        return scope


def prediction_id(token: Token) -> str:
    """Return the id of a prediction: 32 hex digits, time-ordered, unique over processes without coordination.

    64 bits of wall-clock nanoseconds, the ring's 32 random bits, the low 32 bits of the record's index: all of it is in
    the slot already, so an id costs nothing until somebody asks for it.
    """
    lane = token[0]
    return f"{token[3]:016x}{lane.ring.nonce:08x}{token[INDEX] & 0xFFFFFFFF:08x}"


def _identity(recorder: Recorder) -> dict[str, str]:
    from radiosonde._record.ambient import AMBIENT

    ambient = AMBIENT.get()
    identity = {
        attributes.MODEL_NAME: recorder.name,
        attributes.MODEL_VERSION: recorder.version,
        attributes.VARIANT: recorder.variant,
    }
    if ambient is not None and ambient.cohort:
        identity[attributes.COHORT] = ambient.cohort
    return identity
