"""A request to a model server, independent of the framework: cohort, predictions, phases, record.

The record is a series of its own, named by method and route (``POST /predict``), under the version and variant of the
first prediction of the request; ``diagnose`` can therefore attribute a slow tail to a phase, and errors to a version, including requests
that failed before any prediction. Phases, in seconds:

* ``queue``: before it reached this process, from ``X-Request-Start`` or ``X-Queue-Start`` where a proxy sets one.
* ``parse``: until the endpoint's own code began (if the framework reports it; else it is part of the next).
* ``feature_fetch``: in the endpoint, until its first prediction began.
* ``predict``: in predictions.
* ``serialise``: from the end of the last prediction until the response was complete.

Time of the endpoint between two predictions, or without any, is in none of them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import radiosonde
import radiosonde.plugin
from radiosonde.model.series import REQUEST_METHODS
from radiosonde.semconv import attributes
from radiosonde_integrations._options import RequestOptions, baggage_entry, query_values, queue_s
from radiosonde_integrations._quiet import quiet, warn
from radiosonde_integrations._remote import enter_trace, leave_trace

MAX_IDS = 10
"""Prediction ids in a response's header; more are cut, and the header then ends with an ellipsis."""

COUNTED_CLIENT_ERRORS = frozenset({400, 413, 415, 422})
"""Statuses below 500 that count as errors: the client's input was invalid. 401, 403, 404 and similar do not: they are unrelated to model
and data."""

DISCONNECTED = "client_disconnected"
"""The error of a request whose client went away before its response was complete."""

now_ns = time.perf_counter_ns
"""The clock of durations."""

LOOK_EVERY_NS = 200_000_000
"""Polling interval for a tracer provider, which may be set while requests are served."""


REQUEST: ContextVar[ObservedRequest | None] = ContextVar("radiosonde_request", default=None)
"""The request that is being served in this context."""


class ObservedRequest:
    """One request from its first byte to its last. Not for use by two threads at once.

    Values that are not needed while the request is served are computed by `_record`, between requests: in a server Radiosonde's code is out
    of the caches by the next request, and each function call costs half a microsecond (bench_served).

    Args:
        options: the options.
        read_headers: returns the request's headers of those in `RequestOptions.wanted`, by name in lower case; called once, when
            they are needed, which mostly is after the request.
        query: the query string.

    Attributes:
        options: as given.
        is_begun: whether it is observed; if not, no other attribute is valid, and there is nothing to leave.
        predictions: its predictions so far in this process.
        elsewhere: aliases that other processes registered for their predictions of it.
        route: the route; None if unknown.
        endpoint_ns: start of the endpoint's own code, by `now_ns`; 0 if unknown.
        status: status of the response; 0 before it.
        is_over: it has ended, or is dropped.
        is_traced: there may be a server's span to describe.
        cut: the error that ended the response in the middle, if an outer layer then completed it; None: none.
    """

    __slots__ = (
        "_begun_ns", "_cohort", "_end", "_ended_ns", "_of_path", "_read_headers", "_span", "_start_ns",
        "_token", "_trace", "cut", "elsewhere", "endpoint_ns", "is_begun", "is_over", "is_traced", "options", "predictions", "route", "status",
    )  # fmt: skip

    def __init__(self, options: RequestOptions, read_headers: Callable[[], dict[str, str]], query: str) -> None:
        try:
            self.options, self._read_headers = options, read_headers
            self._start_ns = time.time_ns()
            self._begun_ns = begun_ns = now_ns()
            self.endpoint_ns = self._ended_ns = self.status = 0
            self.is_over = False
            self.cut: type[BaseException] | str | None = None
            if begun_ns >= _SPANS.look_ns:
                _SPANS.look(begun_ns)
            self.is_traced = _SPANS.is_traced
            self._span = _SPANS.current() if self.is_traced else None
            self.route: str | None = None
            self.elsewhere: Sequence[str] = ()
            self._cohort: Any = None
            self._of_path: dict[str, str] | None = None
            cohort = self._trace = None
            needs_trace = self.is_traced and self._span is None
            if needs_trace or options.cohorts:
                headers = read_headers()
                self._read_headers = headers.copy
                said = _said(options, headers, query) if options.cohorts else None
                cohort = radiosonde.cohort(**said) if said else None
                self._trace = enter_trace(headers) if needs_trace else None
            self.predictions = radiosonde.plugin.collect()
        except Exception as error:  # noqa: BLE001 - the request is not ours to fail
            self.is_begun = False
            warn("ObservedRequest", error)
            return
        # From here on nothing raises: entered scopes would remain in a thread that serves others.
        self.is_begun = True
        self.predictions.__enter__()
        if cohort is not None:
            cohort.__enter__()
            self._cohort = cohort
        self._token = REQUEST.set(self)

    @quiet(None)
    def in_path(self, parameters: Mapping[str, Any]) -> None:
        """Add the part of the cohort in the path, which is known only when a route was found."""
        wanted = self.options.of_path
        of_path = {dimension: str(parameters[name]) for dimension, name in wanted if name in parameters}
        if of_path:
            self._of_path = of_path
            # Never left: this may be a separate task (a middleware's), and no code follows the endpoint.
            radiosonde.cohort(**of_path).__enter__()

    def response_headers(self) -> Sequence[tuple[str, str]]:
        """Return additional response headers: the ids of the predictions made so far, and a receipt.

        Call before the response is sent: the server's span, which it describes, may end during sending.
        """
        try:
            ids = made = self.predictions.ids(MAX_IDS + 1)
            if self.elsewhere:
                ids = [*made, *self.elsewhere]
            if self.is_traced or _SPANS.is_traced:
                self._describe_span()
            if not ids:
                return ()
            headers, options = [], self.options
            if options.id_header:
                text = ids[0] if len(ids) == 1 else ", ".join(ids[:MAX_IDS])
                headers.append((options.id_header, text if len(ids) <= MAX_IDS else f"{text}, ..."))
            if options.receipt_header and made:
                receipt = self.predictions[-1].receipt()
                if receipt:
                    headers.append((options.receipt_header, receipt))
        except Exception as error:  # noqa: BLE001 - the request is not ours to fail
            warn("response_headers", error)
            return ()
        return headers

    @quiet(None)
    def _describe_span(self) -> None:
        """Put model, version and prediction id on the server's span, if it is recording.

        That is the current span when the request began, or, if it began later, the current span now.
        """
        span = self._span = self._span or _SPANS.current()
        if span is not None and self.predictions and span.is_recording():
            first = self.predictions[0]
            span.set_attributes(
                {
                    attributes.MODEL_NAME: first.model,
                    attributes.MODEL_VERSION: first.version,
                    attributes.VARIANT: first.variant,
                    attributes.PREDICTION_ID: first.id,
                }
            )

    def end(self, method: str, path: str, error: BaseException | type[BaseException] | str | int) -> None:
        """Set the time of the end; the first call counts. The request is recorded later, between requests.

        Its scopes go on, for tasks that run after the response.

        Args:
            method: of HTTP.
            path: route.
            error: an exception, a name for the error, or the response's status, which may not be an error.
        """
        if not self.is_over:
            self._ended_ns = now_ns()
            self.is_over = True
            # Only the type of an exception: the frames of its traceback hold the endpoint's objects.
            self._end = (method, path, type(error) if isinstance(error, BaseException) else error)
            try:
                radiosonde.plugin.defer(self._record_in_path if self._of_path else self._record)
            except Exception as failure:  # noqa: BLE001 - the request is not ours to fail
                warn("end", failure)

    def _record_in_path(self) -> None:
        """Record the request with the part of its cohort in the path, which was entered in the endpoint's context only."""
        with radiosonde.cohort(**(self._of_path or {})):
            self._record()

    def _record(self) -> None:
        """Record the request; called by the consumer, which counts and logs exceptions."""
        duration_ns, start_ns = self._ended_ns - self._begun_ns, self._start_ns
        headers = self._read_headers()
        waited_s = queue_s(headers, start_ns) if headers else 0.0
        # Without predictions that go on (in tasks of their own), or whose slot was given away.
        version, variant, first_ns, last_ns, taken_ns = self.predictions.summary()
        phases: dict[str, float] = {}
        if waited_s:
            phases["queue"] = waited_s
        parsed_ns = 0
        if self.endpoint_ns:
            parsed_ns = self.endpoint_ns - self._begun_ns
            phases["parse"] = parsed_ns / 1e9
        if first_ns:
            phases["predict"] = taken_ns / 1e9
            phases["feature_fetch"] = max(0, first_ns - start_ns - parsed_ns) / 1e9
            phases["serialise"] = max(0, start_ns + duration_ns - last_ns) / 1e9
        method, path, error = self._end
        radiosonde.record(
            f"{method if method in REQUEST_METHODS else '_OTHER'} {path}",
            duration_ns / 1e9 + waited_s,
            version=version,
            variant=variant or "stable",
            start=start_ns / 1e9 - waited_s,
            phases=phases,
            error=error_of(error) if isinstance(error, int) else error,
            span=None if self._span is None else self._span.get_span_context(),
        )

    def drop(self) -> None:
        """Record nothing of this request."""
        self.is_over = True

    def leave(self) -> None:
        """Leave the request's scopes."""
        if self._cohort is not None:
            self._cohort.__exit__(None, None, None)
        self.predictions.__exit__(None, None, None)
        try:
            REQUEST.reset(self._token)
            if self._trace is not None:
                leave_trace(self._trace)
        except ValueError:  # a streamed response may end in another context than it began in: nothing to put back
            pass
        # They hold the whole context, and this waits for its record.
        del self._token, self._trace, self._cohort


class _Spans:
    """Finds the current span, if there may be one: the lookup costs 3 us in a server, and most have no tracer provider.

    Attributes:
        is_traced: whether a tracer provider was set at the last check.
        look_ns: time of the next check, by the performance counter.
    """

    def __init__(self) -> None:
        self.is_traced = False
        self.look_ns = 0

    def look(self, now_ns: int) -> None:
        """Look whether a tracer provider is set."""
        self.look_ns = now_ns + LOOK_EVERY_NS
        self.is_traced = radiosonde.plugin.find_provider() is not None

    def current(self) -> Any:
        """Return the span in force, None if there is none. Only where `is_traced`."""
        trace = sys.modules["opentelemetry.trace"]
        span = trace.get_current_span()
        # The client's span is not the server's: it is not written to, and may be in another backend.
        return None if span is trace.INVALID_SPAN or span.get_span_context().is_remote else span


_SPANS = _Spans()


def error_of(status: int) -> str | None:
    """Return the name under which a response status counts as an error, None for one that does not."""
    return str(status) if status >= 500 or status in COUNTED_CLIENT_ERRORS else None


def _said(options: RequestOptions, headers: Mapping[str, str], query: str) -> dict[str, str]:
    """Return the cohort in the request's own headers; the baggage propagator may not be installed, or not have run."""
    said = {dimension: headers[name] for dimension, name in options.of_header if name in headers}
    if options.of_query and query:
        values = query_values(query)
        said |= {dimension: values[name] for dimension, name in options.of_query if name in values}
    if options.of_baggage and "baggage" in headers:
        for dimension, key in options.of_baggage:
            value = baggage_entry(headers["baggage"], key)
            if value is not None:
                said[dimension] = value
    return said
