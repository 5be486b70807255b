"""Logfire's decorator as its documentation shows it: a span per call with its arguments, sent in batches over OTLP.

Nothing is sent to Logfire's own service. Model, version and variant are in the span's name, for a decorator takes no
attributes; the answer is not recorded unless asked for, and is not asked for, which favours it.
"""

from __future__ import annotations

import logfire

from benchmarks.peers._contract import MODEL, VARIANT, VERSION, Place, Predict, Running


def start(predict: Predict, place: Place) -> Running:  # noqa: ARG001 - it reads the endpoint in the environment
    """Configure Logfire for another backend than its own and wrap the function."""
    logfire.configure(send_to_logfire=False, console=False, inspect_arguments=False)
    observed = logfire.instrument(f"predict {MODEL} {VERSION} {VARIANT}")(predict)
    return Running(observed, flush=logfire.force_flush, counted=lambda: "spans")
