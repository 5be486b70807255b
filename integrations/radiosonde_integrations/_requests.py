"""A request to a model server, whatever the framework: its cohort, its predictions, its phases, its record.

The record is a series of its own, named by method and route (``POST /predict``), under the version and variant of the
first prediction the request made; so ``diagnose`` says of a slow tail which phase grew, and of errors which version has
them, also for requests that failed before any prediction. Phases, in seconds:

* ``queue``: before it reached this process, from ``X-Request-Start`` or ``X-Queue-Start`` where a proxy sets one.
* ``parse``: until the endpoint's own code began (where the framework tells; else it is part of the next).
* ``feature_fetch``: in the endpoint, until its first prediction began.
* ``predict``: in predictions.
* ``serialise``: from the end of the last prediction until the response was complete.

What the endpoint does between two predictions, or without any, is in none of them.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import radiosonde
from radiosonde.semconv import attributes
from radiosonde_integrations._options import RequestOptions, baggage_entry, query_values, queue_s
from radiosonde_integrations._quiet import quiet
from radiosonde_integrations._remote import enter_trace, leave_trace

MAX_IDS = 10
"""Prediction ids in a response's header; more are cut, and the header then ends with an ellipsis."""

COUNTED_CLIENT_ERRORS = frozenset({400, 413, 415, 422})
"""Statuses below 500 that count as errors: what the client sent could not be used. 401, 403, 404 and the like do not: they
say nothing of model or data."""

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT"})
"""Methods that name a series; a client may send any word, and all others share ``_OTHER``."""

LOOK_EVERY_NS = 200_000_000
"""How often a tracer provider is looked for: one that is set while requests are served is found so soon."""

_NO_PROVIDER = {"ProxyTracerProvider", "NoOpTracerProvider"}

_NO_HEADERS: list[tuple[str, str]] = []

REQUEST: ContextVar[ObservedRequest | None] = ContextVar("radiosonde_request", default=None)
"""The request that is being served in this context."""


class ObservedRequest:
    """One request from its first byte to its last. Not for use by two threads at once.

    Args:
        options: what is wanted.
        headers: the request's headers of those in `RequestOptions.wanted`, by name in lower case.
        query: the query string.
    """

    __slots__ = (
        "_begun_ns", "_cohort", "_collect", "_ended_ns", "_endpoint_ns", "_error", "_method", "_of_path", "_options",
        "_path", "_queue_s", "_span", "_start_ns", "_token", "_trace", "predictions", "route",
    )  # fmt: skip

    def __init__(self, options: RequestOptions, headers: Mapping[str, str], query: str) -> None:
        self._options = options
        self._start_ns = time.time_ns()
        self._begun_ns = time.perf_counter_ns()
        self._endpoint_ns = self._ended_ns = 0
        self._queue_s = queue_s(headers, self._start_ns) if headers else 0.0
        self._span = _SPANS.current(self._begun_ns)
        self._cohort: Any = None
        self._of_path: dict[str, str] = {}
        self.route: str | None = None
        said = _said(options, headers, query) if options.cohorts else None
        cohort = radiosonde.cohort(**said) if said else None
        self._trace = enter_trace(headers) if self._span is None and _SPANS.is_traced else None
        # From here on nothing raises: what is entered would stay behind in a thread that serves others.
        self._collect = radiosonde.collect()
        self.predictions: Sequence[Any] = self._collect.__enter__()
        if cohort is not None:
            cohort.__enter__()
            self._cohort = cohort
        self._token = REQUEST.set(self)

    @quiet(None)
    def routed(self, route: str | None, parameters: Mapping[str, Any]) -> None:
        """Take the route, and what of the cohort is in the path: both are known only when a route was found."""
        self.route = route
        if not self._options.of_path:
            return
        of_path = {dimension: str(parameters[name]) for dimension, name in self._options.of_path if name in parameters}
        if of_path:
            self._of_path = of_path
            # Never left: this may be a task of its own (a middleware's), and there is nobody after the endpoint.
            radiosonde.cohort(**of_path).__enter__()

    def endpoint_begins(self) -> None:
        """Note that the endpoint's own code begins now."""
        self._endpoint_ns = self._endpoint_ns or time.perf_counter_ns()

    @quiet(_NO_HEADERS)
    def response_headers(self) -> list[tuple[str, str]]:
        """Return what is added to the response's headers: the ids of the predictions made so far, and a receipt."""
        made, options = self.predictions, self._options
        headers: list[tuple[str, str]] = []
        count = len(made)
        if count and options.id_header:
            ids = made[0].id if count == 1 else ", ".join(each.id for each in made[:MAX_IDS])
            headers.append((options.id_header, ids if count <= MAX_IDS else f"{ids}, ..."))
        if count and options.receipt_header:
            receipt = self.predictions[-1].receipt()
            if receipt:
                headers.append((options.receipt_header, receipt))
        return headers

    @quiet(None)
    def describe_span(self) -> None:
        """Put model, version and prediction id on the server's span, if it is recording.

        That is the span that was in force when the request began; else, for it may have begun since, the one in force now.
        """
        span = self._span = self._span or _SPANS.current(self._begun_ns)
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

    @quiet(None)
    def end(self, method: str, path: str, error: BaseException | str | None) -> None:
        """Take the time of the end; what came first counts. The request is recorded later, between requests.

        Its scopes go on, for tasks that run after the response.

        Args:
            method: of HTTP.
            path: route.
            error: what went wrong, as `error_of` says; None for success.
        """
        if not self._ended_ns:
            self._ended_ns = time.perf_counter_ns()
            self._method, self._path, self._error = method, path, error
            radiosonde.defer(self._record)

    @quiet(None)
    def _record(self) -> None:
        duration_s = (self._ended_ns - self._begun_ns) / 1e9
        made = list(self.predictions)
        if self._of_path:  # the context is a copy, that of the request: nobody is there to leave the scope for
            radiosonde.cohort(**self._of_path).__enter__()
        radiosonde.record(
            f"{self._method if self._method in METHODS else '_OTHER'} {self._path}",
            duration_s + self._queue_s,
            version=made[0].version if made else "",
            variant=made[0].variant if made else "stable",
            start=self._start_ns / 1e9 - self._queue_s,
            phases=self._phases_s(duration_s, made),
            error=self._error,
            span=None if self._span is None else self._span.get_span_context(),
        )

    def drop(self) -> None:
        """Record nothing of this request."""
        self._ended_ns = -1

    def leave(self) -> None:
        """Leave the request's scopes."""
        if self._cohort is not None:
            self._cohort.__exit__(None, None, None)
        self._collect.__exit__(None, None, None)
        try:
            REQUEST.reset(self._token)
            if self._trace is not None:
                leave_trace(self._trace)
        except ValueError:  # a streamed response may end in another context than it began in: nothing to put back
            pass

    def _phases_s(self, duration_s: float, made: Sequence[Any]) -> dict[str, float]:
        phases: dict[str, float] = {}
        if self._queue_s:
            phases["queue"] = self._queue_s
        endpoint_s = 0.0
        if self._endpoint_ns:
            phases["parse"] = endpoint_s = (self._endpoint_ns - self._begun_ns) / 1e9
        begun_s, ended_s, taken_s = math.inf, 0.0, 0.0
        for each in made:
            took_s = each.duration_s
            if took_s == took_s:  # noqa: PLR0124 - NaN: it goes on (in a task of its own), or its slot was given away
                at_s = (each.start_ns - self._start_ns) / 1e9
                begun_s, ended_s, taken_s = min(begun_s, at_s), max(ended_s, at_s + took_s), taken_s + took_s
        if begun_s < math.inf:
            phases["predict"] = taken_s
            phases["feature_fetch"] = max(0.0, begun_s - endpoint_s)
            phases["serialise"] = max(0.0, duration_s - ended_s)
        return phases


@quiet(None)
def begin_request(options: RequestOptions, headers: Mapping[str, str], query: str) -> ObservedRequest:
    """Begin to observe a request; None when that fails."""
    return ObservedRequest(options, headers, query)


class _Spans:
    """Finds the span in force, where there may be one: to ask costs 3 us in a server, and most have no tracer provider."""

    def __init__(self) -> None:
        self.is_traced = False
        self._looked_ns = -LOOK_EVERY_NS

    def current(self, now_ns: int) -> Any:
        """Return the span in force, None if there is none."""
        if now_ns - self._looked_ns >= LOOK_EVERY_NS:
            self._looked_ns = now_ns
            trace = sys.modules.get("opentelemetry.trace")  # who makes spans has loaded it
            self.is_traced = trace is not None and type(trace.get_tracer_provider()).__name__ not in _NO_PROVIDER
        if not self.is_traced:
            return None
        trace = sys.modules["opentelemetry.trace"]
        span = trace.get_current_span()
        # The client's span is not the server's: nothing is written on it, and it is in somebody else's backend.
        return None if span is trace.INVALID_SPAN or span.get_span_context().is_remote else span


_SPANS = _Spans()


def error_of(status: int) -> str | None:
    """Return the name under which a response status counts as an error, None for one that does not."""
    return str(status) if status >= 500 or status in COUNTED_CLIENT_ERRORS else None


def _said(options: RequestOptions, headers: Mapping[str, str], query: str) -> dict[str, str]:
    """Return what the request itself says of its cohort; the propagator of baggage may not be installed, or not have run."""
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
