"""Reads the client's trace context, for requests whose server creates no span.

Where OpenTelemetry's instrumentation of the framework (or the framework itself) continues the trace of a ``traceparent`` header,
this does nothing. Otherwise, if the application has a tracer provider, each prediction would begin a separate trace, and neither
predictions nor their exemplars could be found from the client's trace. The request is therefore served in the context that the configured
propagator reads from those headers: predictions are children of the client's span, and a trace that the client does not record is not
recorded here either. No span is created, and baggage is left to the application.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADERS = ("traceparent", "tracestate")


def enter_trace(headers: Mapping[str, str]) -> Any:
    """Enter the trace in *headers*; return the token for `leave_trace`, None without a trace."""
    if HEADERS[0] not in headers:
        return None
    from opentelemetry import context, propagate

    return context.attach(propagate.extract({name: headers[name] for name in HEADERS if name in headers}))


def leave_trace(token: Any) -> None:
    """Leave the trace, in the context in which it was entered."""
    from opentelemetry import context

    context.detach(token)
