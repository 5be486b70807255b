"""Live spans: one per prediction that the user's provider samples, with a child span per stage.

Only the API is used, and only if the user has loaded it and set a provider; no provider or global is set. A prediction inside a trace that
is not recording calls no sampler and creates no span (which costs 3.4 us, more than all the rest together); it writes the ids of the
enclosing span into its slot, so that the consumer can create a span for it
afterwards. A prediction with no trace around it is a root, and the provider's sampler decides.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any

from radiosonde._guard import Breaker
from radiosonde._record.token import AT, INDEX, RECORDED, SPAN, WALL_NS, Token
from radiosonde._ring import layout
from radiosonde._version import __version__
from radiosonde.model import name_of, plain_text
from radiosonde.semconv import attributes

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde._record.record_writer import RecordWriter
    from radiosonde._record.recorder import Recorder

Begin = Callable[[tuple[Any, ...], dict[str, Any]], Token | None]

_NO_PROVIDER = {"ProxyTracerProvider", "NoOpTracerProvider"}


def find_provider() -> Any:
    """Return the tracer provider the user has set, or None. Never imports OpenTelemetry: setting a provider has loaded it."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    provider = trace.get_tracer_provider()
    return None if type(provider).__name__ in _NO_PROVIDER else provider


class LiveSpans:
    """Creates the live spans of all writers for one tracer provider.

    Args:
        provider: the user's tracer provider.
        guard: swallows exceptions of a broken provider.
        cells_of: returns the cells string of a recorded row for a writer, or None without a grid.
    """

    def __init__(self, provider: Any, guard: Guard, cells_of: Callable[[RecordWriter, Token], str | None]) -> None:
        from opentelemetry import context, trace  # loaded already: the user set a provider with it

        self.provider = provider
        self._guard = guard
        self._starting = Breaker(guard, "span_start", "live spans")
        self._cells_of = cells_of
        self._trace, self._context = trace, context
        self.tracer = provider.get_tracer("radiosonde", __version__)
        # `get_current_span` reads this key and then checks whether the value is an instance of an abstract class, which is
        # 0.4 us of its 0.5 (bench_record). The key is private to OpenTelemetry, so it is found by its use: it is the key in a context with
        # a span.
        (self._span_key,) = trace.set_span_in_context(trace.INVALID_SPAN, context.Context())

    def around_begin(self, begin: Begin, writer: RecordWriter) -> Begin:
        """Return *begin* with a live span around what follows, where the trace records."""
        no_ids = self._trace.INVALID_SPAN_CONTEXT
        get_context, span_key, guard, start = _cheapest_get(self._context), self._span_key, self._guard, self._start
        starting, model = self._starting, writer.recorder.name
        silent = self._trace.NonRecordingSpan
        pack_ids, memory, at, offset = layout.SPAN_IDS.pack_into, writer.ring.memory, AT, layout.SPAN_IDS_OFFSET

        def begin_traced(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Token | None:
            token = begin(args, kwargs)
            if token is None:
                return None
            try:
                parent: Any = get_context().get(span_key)
                if parent is not None and (type(parent) is silent or not parent.is_recording()):
                    # Without a recording parent no span is created, unless there is no parent at all, or a remote sampled one. A
                    # span context is a tuple (trace id, span id, is remote, flags, ...); its properties would cost
                    # 85 ns more than its items, three words 40 ns more than the pack (bench_record).
                    ids = parent.get_span_context()
                    if not ids[3] & 1 and ids is not no_ids:
                        pack_ids(memory, token[at] + offset, ids[0].to_bytes(16, "little"), ids[1])
                        return token
                with starting(model) as is_admitted:
                    if is_admitted:
                        start(token, writer)
            except (
                RecursionError
            ):  # no call fits on the stack any more: the prediction has begun, and counts without a span
                pass
            except Exception as error:  # noqa: BLE001 - hot path: a foreign span class may raise anything
                guard.swallow("span_parent", error)
            return token

        return begin_traced

    def _start(self, token: Token, writer: RecordWriter) -> None:
        recorder = writer.recorder
        span = self.tracer.start_span(f"predict {recorder.name}", attributes=_identity(recorder))
        ids, is_live = span.get_span_context(), span.is_recording()
        is_sent = is_live and ids.trace_flags & 1
        if not is_sent:
            # # Dropped by its sampler, or recorded for local readers only: later references use the enclosing span. A dropped root has
            # none; a span created for it later begins a new trace.
            ids = self._trace.get_current_span().get_span_context()
        layout.SPAN_IDS.pack_into(
            writer.ring.memory, token[AT] + layout.SPAN_IDS_OFFSET, ids.trace_id.to_bytes(16, "little"), ids.span_id
        )
        if is_sent:
            writer.ring.words[(token[INDEX] & (writer.ring.capacity - 1)) * 16 + layout.SERIES_WORD] |= layout.LIVE_SPAN
        if not is_live:
            return
        # A generator's frames run in the context of its consumer: nothing is attached there.
        attached = (
            None if recorder.observed.is_generator else self._context.attach(self._trace.set_span_in_context(span))
        )
        token[SPAN] = (span, attached)

    def pause(self, token: Token) -> None:
        """Take the span out of this context: its prediction goes on in another one, or later."""
        span, attached = token[SPAN]
        if attached is not None:
            self._context.detach(attached)
            token[SPAN] = (span, None)

    def go_on(self, token: Token) -> None:
        """Make the span the current one of this context."""
        span, _ = token[SPAN]
        token[SPAN] = (span, self._context.attach(self._trace.set_span_in_context(span)))

    def end(self, token: Token, code: int, confidence: float, error: BaseException | None) -> None:
        """End the span of a prediction with its output or its exception."""
        span, attached = token[SPAN]
        # Before all that may raise: the caller's context is not ours to keep. It never raises.
        if attached is not None:
            self._context.detach(attached)
        try:
            with self._guard("span_describe"):
                self._describe(span, token, code, confidence, error)
        finally:
            with self._guard("span_end"):
                span.end()
            token[SPAN] = None  # the attached context holds the caller's context, and a token may be kept

    def _describe(self, span: Any, token: Token, code: int, confidence: float, error: BaseException | None) -> None:
        writer = token[0]
        said: dict[str, str | int | float] = {attributes.PREDICTION_ID: prediction_id(token)}
        cells = self._cells_of(writer, token)
        if cells:
            said[attributes.CELLS] = cells
        if token[RECORDED].rows != 1:
            said[attributes.PREDICTION_ROWS] = token[RECORDED].rows
        if code >= 0:
            said[attributes.PREDICTION_CLASS] = writer.outputs.classes.name_of(code)
        if not math.isnan(confidence):
            said[attributes.PREDICTION_CONFIDENCE] = float(confidence)
        if error is not None:
            said[attributes.ERROR_TYPE] = writer.recorder.errors.names[writer.recorder.error_code(error)]
        span.set_attributes(said)
        if error is not None:
            if isinstance(error, Exception):
                span.record_exception(error)
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, plain_text(error)))

    def open_stage(self, token: Token, name: str) -> Any:
        """Return the entered context manager of a span around a stage of the prediction."""
        span, attached = token[SPAN]
        # A generator's span is never the current one, see `_start`.
        parent = None if attached is not None else self._trace.set_span_in_context(span)
        name = name_of(name)
        scope = self.tracer.start_as_current_span(name, context=parent, attributes={attributes.PHASE: name})
        scope.__enter__()
        return scope


def prediction_id(token: Token) -> str:
    """Return the id of a prediction, see `radiosonde._ring.layout.prediction_id`."""
    return layout.prediction_id(token[WALL_NS], token[0].ring.nonce, token[INDEX])


def _cheapest_get(context: Any) -> Callable[[], Any]:
    """Return a function that returns OpenTelemetry's current context, if possible without its two intermediate calls (40 ns).

    It keeps the context in a context variable, and `attach` returns the variable's token; a runtime of another kind
    keeps it elsewhere, and is used through its own methods.
    """
    token = context.attach(context.get_current())
    context.detach(token)
    get: Callable[[], Any] = context.get_current
    variable = getattr(token, "var", None)
    if isinstance(variable, ContextVar):
        try:
            if isinstance(Context().run(variable.get), context.Context):
                get = variable.get
        except LookupError:
            pass  # a variable without a default is empty in a new thread; its runtime handles that
    return get


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
