"""A tracer provider for servers in tests, as an application sets one; spans go to the endpoint in the environment."""

from __future__ import annotations

import os

from opentelemetry import trace


def set_provider() -> None:
    """Set the provider where the test wants one."""
    if not os.environ.get("PROVIDER"):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
