"""Nothing: the call itself."""

from __future__ import annotations

from benchmarks.peers._contract import Place, Predict, Running


def start(predict: Predict, place: Place) -> Running:  # noqa: ARG001 - every peer's signature
    """Return the function as it is."""
    return Running(predict, flush=lambda: None, counted=lambda: 0)
