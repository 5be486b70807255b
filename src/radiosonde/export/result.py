"""The result of an export. Failures are values, because callers count them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Outcome of one export.

    Attributes:
        ok: everything was delivered.
        points: points (or events, or spans) that were received and must not be sent again.
        rejected: number of those that the backend did not keep.
        windows: sketches only: windows, counted from the first, whose events were all delivered; the rest may be sent again.
        payload_bytes: compressed bytes of requests with a response; 0 if the exporter does not report them.
        error: the reason and what to do; empty when *ok* and nothing was rejected.
        cut: time series (or sketches) left out before sending: beyond the bound, unnamed, or damaged.
    """

    ok: bool
    points: int = 0
    payload_bytes: int = 0
    error: str = ""
    cut: int = 0
    windows: int = 0
    rejected: int = 0
