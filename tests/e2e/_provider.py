"""Tracing for servers in tests, as an application sets it up; spans go to the endpoint in the environment."""

from __future__ import annotations

import importlib
import os
from importlib.util import find_spec
from typing import Any

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


def instrument_before(app: Any, framework: str) -> None:
    """Add OpenTelemetry's own instrumentation where the test wants it before ours."""
    _instrument(app, framework, "before")


def instrument_after(app: Any, framework: str) -> None:
    """The same, where it comes after ours."""
    _instrument(app, framework, "after")


def of_mounted() -> dict[str, Any]:
    """Return options of a FastAPI application that is mounted: its own spans off where OpenTelemetry's instrumentation is added by code.

    A newer FastAPI makes spans itself, and leaves that to instrumentation only in an application that has it. Of one that is mounted
    in it there would be two server's spans of each request, with Radiosonde or without.
    """
    is_added = os.environ.get("INSTRUMENTED") in ("before", "after") and find_spec("fastapi.telemetry") is not None
    return {"telemetry": {"tracing": False}} if is_added else {}


def _instrument(app: Any, framework: str, when: str) -> None:
    if os.environ.get("INSTRUMENTED") != when:
        return
    plugin = importlib.import_module(f"opentelemetry.instrumentation.{framework}")
    name = {"fastapi": "FastAPIInstrumentor", "flask": "FlaskInstrumentor"}[framework]
    getattr(plugin, name)().instrument_app(app)
