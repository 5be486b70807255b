"""Reads the client's trace context, for requests whose server creates no span.

Where OpenTelemetry's instrumentation of the framework (or the framework itself) continues the trace of a ``traceparent`` header,
this does nothing. Where nobody does and the application has a tracer provider, predictions would each begin a trace of their own, and
neither they nor their exemplars could be found from the client's. So the request is served in the context that the propagator in force
reads from those headers: predictions are children of the client's span, and a trace that the client does not record is not recorded
here either. It makes no span, and baggage is left to who wants it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADERS = ("traceparent", "tracestate")


def enter_trace(headers: Mapping[str, str]) -> Any:
    """Enter the trace that *headers* name; return what `leave_trace` takes, None if they name none."""
    if HEADERS[0] not in headers:
        return None
    from opentelemetry import context, propagate

    return context.attach(propagate.extract({name: headers[name] for name in HEADERS if name in headers}))


def leave_trace(token: Any) -> None:
    """Leave the trace, in the context in which it was entered."""
    from opentelemetry import context

    context.detach(token)
