"""The result of an export. Failures are values, because callers count them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Outcome of one export.

    Attributes:
        ok: everything was delivered.
        points: points (or events, or spans) that were received; none of them is to be sent again.
        rejected: how many of those the backend did not keep.
        windows: sketches only: windows, counted from the first, whose events were all delivered; the rest may be sent again.
        payload_bytes: bytes on the wire that a backend answered, after compression; 0 where the exporter does not tell.
        error: why not, and what to do; empty when *ok* and nothing was rejected.
        cut: time series (or sketches) left out before sending: beyond the bound, unnamed, or damaged.
    """

    ok: bool
    points: int = 0
    payload_bytes: int = 0
    error: str = ""
    cut: int = 0
    windows: int = 0
    rejected: int = 0
