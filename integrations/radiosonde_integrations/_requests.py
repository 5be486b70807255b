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
from radiosonde_integrations._options import RequestOptions, baggage_entry, queue_s, query_values
from radiosonde_integrations._quiet import quiet

MAX_IDS = 10
"""Prediction ids in a response's header; more are cut, and the header then ends with an ellipsis."""

COUNTED_CLIENT_ERRORS = frozenset({400, 413, 415, 422})
"""Statuses below 500 that count as errors: what the client sent could not be used. 401, 403, 404 and the like do not: they
say nothing of model or data."""

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT"})
"""Methods that name a series; a client may send any word, and all others share ``_OTHER``."""

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
        "_begun_ns", "_cohort", "_collect", "_endpoint_ns", "_is_recorded", "_of_path", "_options", "_queue_s",
        "_span", "_start_ns", "_token", "predictions", "route",
    )  # fmt: skip

    def __init__(self, options: RequestOptions, headers: Mapping[str, str], query: str) -> None:
        self._options = options
        self._start_ns = time.time_ns()
        self._begun_ns = time.perf_counter_ns()
        self._endpoint_ns = 0
        self._queue_s = queue_s(headers, self._start_ns) if headers else 0.0
        self._is_recorded = False
        self._span = _current_span()
        self._cohort: Any = None
        self._of_path: dict[str, str] = {}
        self.route: str | None = None
        said = _said(options, headers, query) if options.cohorts else None
        cohort = radiosonde.cohort(**said) if said else None
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
        if made and options.id_header:
            ids = made[0].id if len(made) == 1 else ", ".join(each.id for each in made[:MAX_IDS])
            headers.append((options.id_header, ids if len(made) <= MAX_IDS else f"{ids}, ..."))
        if made and options.receipt_header:
            receipt = made[-1].receipt()
            if receipt:
                headers.append((options.receipt_header, receipt))
        return headers

    @quiet(None)
    def describe_span(self) -> None:
        """Put model, version and prediction id on the server's span, if it is recording.

        That is the span that was in force when the request began; else, for it may have begun since, the one in force now.
        """
        span = self._span = self._span or _current_span()
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
    def record(self, name: str, error: BaseException | str | None) -> None:
        """Record the request, the first time this is called; its scopes go on, for tasks that run after the response.

        Args:
            name: method and route.
            error: what went wrong, as `error_of` says; None for success.
        """
        if self._is_recorded:
            return
        self._is_recorded = True
        duration_s = (time.perf_counter_ns() - self._begun_ns) / 1e9
        made = self.predictions
        first = made[0] if made else None
        said: dict[str, Any] = {
            "version": first.version if first else "",
            "variant": first.variant if first else "stable",
            "start": self._start_ns / 1e9 - self._queue_s,
            "phases": self._phases_s(duration_s),
            "error": error,
            "span": None if self._span is None else self._span.get_span_context(),
        }
        if self._of_path:
            with radiosonde.cohort(**self._of_path):
                radiosonde.record(name, duration_s + self._queue_s, **said)
        else:
            radiosonde.record(name, duration_s + self._queue_s, **said)

    def drop(self) -> None:
        """Record nothing of this request."""
        self._is_recorded = True

    @quiet(None)
    def leave(self) -> None:
        """Leave the request's scopes."""
        # A streamed response may end in another context than the one the request began in; there is nothing to put back.
        try:
            REQUEST.reset(self._token)
        except ValueError:
            return
        finally:
            if self._cohort is not None:
                self._cohort.__exit__(None, None, None)
            self._collect.__exit__(None, None, None)

    def _phases_s(self, duration_s: float) -> dict[str, float]:
        phases: dict[str, float] = {}
        if self._queue_s:
            phases["queue"] = self._queue_s
        endpoint_s = 0.0
        if self._endpoint_ns:
            phases["parse"] = endpoint_s = (self._endpoint_ns - self._begun_ns) / 1e9
        begun_s, ended_s, taken_s = math.inf, 0.0, 0.0
        for each in self.predictions:
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


def _current_span() -> Any:
    trace = sys.modules.get("opentelemetry.trace")  # who made a span has loaded it
    if trace is None:
        return None
    span = trace.get_current_span()
    return None if span is trace.INVALID_SPAN else span


def series_name(method: str, path: str) -> str:
    """Return the name of a request's series."""
    return f"{method if method in METHODS else '_OTHER'} {path}"


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
