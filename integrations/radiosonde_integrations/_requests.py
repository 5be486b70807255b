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
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import radiosonde
from radiosonde.semconv import attributes
from radiosonde_integrations._quiet import quiet

ID_HEADER = "x-prediction-id"
MAX_IDS = 10
"""Prediction ids in a response's header; more are cut, and the header then ends with an ellipsis."""

COUNTED_CLIENT_ERRORS = frozenset({400, 413, 415, 422})
"""Statuses below 500 that count as errors: what the client sent could not be used. 401, 403, 404 and the like do not: they
say nothing of model or data."""

LONGEST_QUEUE_S = 300.0
"""A proxy's time of arrival further back than this is a clock that is wrong, or not a time at all."""

HeaderOf = Callable[[str], str | None]
"""Returns a request header by its name in lower case."""


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """What `radiosonde.instrument_app` was told.

    Attributes:
        cohorts: where each cohort dimension comes from: ``header:NAME``, ``path:PARAMETER``, ``query:PARAMETER`` or
            ``baggage:KEY``. Values count as `radiosonde.cohort` admits them.
        id_header: response header that carries the ids of the request's predictions; None for none.
        receipt_header: response header that carries the receipt of its last prediction; None for none.
    """

    cohorts: Mapping[str, str] = field(default_factory=dict)
    id_header: str | None = ID_HEADER
    receipt_header: str | None = None

    def __post_init__(self) -> None:
        for dimension, source in self.cohorts.items():
            kind, separator, name = source.partition(":")
            if kind not in ("header", "path", "query", "baggage") or not separator or not name:
                raise radiosonde.errors.ConfigurationError(
                    f"cohorts[{dimension!r}] is {source!r}; give header:NAME, path:PARAMETER, query:PARAMETER or baggage:KEY"
                )


_NO_HEADERS: list[tuple[str, str]] = []

REQUEST: ContextVar[ObservedRequest | None] = ContextVar("radiosonde_request", default=None)
"""The request that is being served in this context."""


class ObservedRequest:
    """One request from its first byte to its last. Not for use by two threads at once.

    Args:
        options: what is wanted.
        header: reads a request header.
        query: query parameters.
    """

    def __init__(self, options: RequestOptions, header: HeaderOf, query: Mapping[str, str] | None = None) -> None:
        self._options = options
        self._start_ns = time.time_ns()
        self._begun_ns = time.perf_counter_ns()
        self._endpoint_ns = 0
        self._queue_s = queue_s(header, self._start_ns)
        self._scopes = ExitStack()
        self.predictions: Sequence[Any] = self._scopes.enter_context(radiosonde.collect())
        said = {
            dimension: value
            for dimension, source in options.cohorts.items()
            if (value := _cohort_value(source, header, query or {})) is not None
        }
        if said:
            self._scopes.enter_context(radiosonde.cohort(**said))
        self._token = REQUEST.set(self)

    @quiet(None)
    def routed(self, parameters: Mapping[str, str]) -> None:
        """Take what of the cohort is in the path, which is known only when a route was found."""
        said = {
            dimension: parameters[source.partition(":")[2]]
            for dimension, source in self._options.cohorts.items()
            if source.startswith("path:") and source.partition(":")[2] in parameters
        }
        if said:
            self._scopes.enter_context(radiosonde.cohort(**said))

    def endpoint_begins(self) -> None:
        """Note that the endpoint's own code begins now."""
        self._endpoint_ns = self._endpoint_ns or time.perf_counter_ns()

    @quiet(_NO_HEADERS)
    def response_headers(self) -> list[tuple[str, str]]:
        """Return what is added to the response's headers: the ids of the predictions made so far, and a receipt."""
        made = self.predictions
        headers: list[tuple[str, str]] = []
        if made and self._options.id_header:
            ids = ", ".join(each.id for each in made[:MAX_IDS])
            headers.append((self._options.id_header, ids if len(made) <= MAX_IDS else f"{ids}, ..."))
        if made and self._options.receipt_header:
            receipt = made[-1].receipt()
            if receipt:
                headers.append((self._options.receipt_header, receipt))
        return headers

    @quiet(None)
    def describe_span(self) -> None:
        """Put model, version and prediction id on the span in force, the server's, if it is recording."""
        if not self.predictions:
            return
        from opentelemetry import trace

        span = trace.get_current_span()
        if span.is_recording():
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
    def end(self, name: str, error: BaseException | str | None) -> None:
        """Record the request under *name* and leave its scopes.

        Args:
            name: method and route.
            error: what went wrong, as `error_of` says; None for success.
        """
        duration_s = (time.perf_counter_ns() - self._begun_ns) / 1e9
        first = self.predictions[0] if self.predictions else None
        try:
            radiosonde.record(
                name,
                duration_s + self._queue_s,
                version=first.version if first else "",
                variant=first.variant if first else "stable",
                start=(self._start_ns / 1e9) - self._queue_s,
                phases=self._phases_s(duration_s),
                error=error,
            )
        finally:
            self._scopes.close()
            _reset(self._token)

    def _phases_s(self, duration_s: float) -> dict[str, float]:
        phases: dict[str, float] = {}
        if self._queue_s:
            phases["queue"] = self._queue_s
        endpoint_s = (self._endpoint_ns - self._begun_ns) / 1e9 if self._endpoint_ns else 0.0
        if self._endpoint_ns:
            phases["parse"] = endpoint_s
        spans_s = [
            ((each.start_ns - self._start_ns) / 1e9, each.duration_s)
            for each in self.predictions
            if not math.isnan(each.duration_s)
        ]
        if spans_s:
            phases["predict"] = sum(taken for _, taken in spans_s)
            phases["feature_fetch"] = max(0.0, min(begun for begun, _ in spans_s) - endpoint_s)
            phases["serialise"] = max(0.0, duration_s - max(begun + taken for begun, taken in spans_s))
        return phases


@quiet(None)
def begin_request(options: RequestOptions, header: HeaderOf, query: Mapping[str, str] | None = None) -> ObservedRequest:
    """Begin to observe a request; None when that fails."""
    return ObservedRequest(options, header, query)


def _reset(token: Any) -> None:
    # A streamed response may end in another context than the one the request began in; there is nothing to put back there.
    try:
        REQUEST.reset(token)
    except ValueError:
        return


def error_of(status: int) -> str | None:
    """Return the name under which a response status counts as an error, None for one that does not."""
    return str(status) if status >= 500 or status in COUNTED_CLIENT_ERRORS else None


def queue_s(header: HeaderOf, now_ns: int) -> float:
    """Return the seconds since a proxy took the request, 0.0 where none says or its clock is off.

    ``X-Request-Start`` is ``t=`` and seconds (nginx), or milliseconds or microseconds (others); told apart by size.
    """
    text = header("x-request-start") or header("x-queue-start") or ""
    try:
        number = float(text.removeprefix("t="))
    except ValueError:
        return 0.0
    for unit in (1.0, 1e3, 1e6):
        waited_s = now_ns / 1e9 - number / unit
        if 0.0 <= waited_s <= LONGEST_QUEUE_S:
            return waited_s
    return 0.0


def _cohort_value(source: str, header: HeaderOf, query: Mapping[str, str]) -> str | None:
    kind, _, name = source.partition(":")
    if kind == "header":
        return header(name.lower())
    if kind == "baggage":
        return _baggage(header, name)
    return query.get(name) if kind == "query" else None


def _baggage(header: HeaderOf, key: str) -> str | None:
    """Return a baggage entry of the request itself: the propagator may not have been installed, or run yet."""
    from urllib.parse import unquote

    for entry in (header("baggage") or "").split(","):
        name, separator, value = entry.partition(";")[0].partition("=")
        if separator and name.strip() == key:
            return unquote(value.strip())
    return None
