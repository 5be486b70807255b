"""Evaluates OTLP responses: accepted, rejected, or partially accepted. Reading is bounded in bytes and time.

A login page behind a redirect, a web page with status 200 and a backend that rejects all points are not deliveries. Redirects are therefore
not followed, at most `MOST_BYTES` of a response are read and decompressed, and only an explicit success counts.

The protocol has one status for success and partial success, 200. HTTP lets a client take any other 2xx as 200 (RFC 9110, section 15), and
receivers answer 202 and 204, so these count, and their bodies are read alike. Exceptions are the statuses whose outcome is elsewhere
(`_NO_OUTCOME`).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from radiosonde._clock import monotonic_ns
from radiosonde.export.wire import WireError, fields
from radiosonde.model.names import plain_text

MOST_BYTES: Final = 1 << 16
"""Largest response, compressed and decompressed. One that reports rejected points has some hundred bytes."""

_READ_BYTES = 4096

_NO_OUTCOME: Final = frozenset((206, 207, 208, 226))
"""Statuses between 200 and 299 that say nothing about an export: part of a response, which was not asked for, results of several requests
in a body of WebDAV, and a difference to an earlier response. Proxies that are set up for other content give them."""


class ExportResponse(NamedTuple):
    """The result of a request.

    Attributes:
        status: HTTP status.
        fault: reason for the failure; empty for success.
        rejected: points, events or spans that were received and not kept.
        reason: the backend's message about those.
    """

    status: int
    fault: str = ""
    rejected: int = 0
    reason: str = ""


def is_success(status: int) -> bool:
    """Return whether an HTTP status means that an export was received."""
    return 200 <= status < 300 and status not in _NO_OUTCOME


def judge(status: int, content_type: str, body: bytes | None) -> ExportResponse:
    """Interpret a response.

    Args:
        status: of HTTP.
        content_type: content type of the body.
        body: the bytes read; None when it is too long or endless.
    """
    if 300 <= status < 400:
        return ExportResponse(status, f"a redirect (HTTP {status}), which is not followed")
    if not is_success(status):
        return ExportResponse(status, f"HTTP {status}")
    if body is None:
        return ExportResponse(status, f"HTTP {status} and a body of more than {MOST_BYTES} bytes")
    kind = content_type.partition(";")[0].strip().lower()
    if not body:
        return ExportResponse(status)
    rejected = _rejected(kind, body)
    if rejected is None:
        return ExportResponse(status, f"HTTP {status} and {kind or 'something'} that is not an OTLP response")
    count, reason = rejected
    return ExportResponse(status, "", count, plain_text(reason))


def _rejected(kind: str, body: bytes) -> tuple[int, str] | None:
    """Return the number of rejected points and the reason; None if the body is not an OTLP response."""
    try:
        if kind == "application/json":
            return _rejected_in_json(body)
        return _rejected_in_message(body) if kind in ("application/x-protobuf", "") else None
    except (ValueError, TypeError, AttributeError, RecursionError):  # a foreign body
        return None


def _rejected_in_json(body: bytes) -> tuple[int, str]:
    partial = json.loads(body).get("partialSuccess") or {}
    counts = [int(partial.get(name) or 0) for name in ("rejectedDataPoints", "rejectedLogRecords", "rejectedSpans")]
    return max(0, *counts), str(partial.get("errorMessage") or "")


def _rejected_in_message(body: bytes) -> tuple[int, str]:
    """Read ``partial_success`` (1), and in it the count (1) and the message (2): alike for all three signals."""
    count, reason = 0, ""
    for number, partial in fields(body):
        if number != 1:
            continue
        if isinstance(partial, int):
            raise WireError("a number where a message should be")
        for inner, value in fields(partial):
            if inner == 1 and isinstance(value, int):
                count = value if value < 1 << 63 else 0  # a negative one
            elif inner == 2 and isinstance(value, bytes):
                reason = value.decode("utf-8", "replace")
    return count, reason


def read_answer(read: Callable[[int], bytes], encoding: str, deadline_ns: int) -> bytes | None:
    """Return the unpacked body; None when it is too long, never ends, or is damaged.

    Args:
        read: reads at most so many bytes, as soon as there are any.
        encoding: ``Content-Encoding`` of the answer.
        deadline_ns: on the monotonic clock.
    """
    body = bytearray()
    try:
        while part := read(_READ_BYTES):
            body += part
            if len(body) > MOST_BYTES or monotonic_ns() > deadline_ns:
                return None
    except Exception:  # noqa: BLE001 - any error of the HTTP library and the network
        return None
    return _unpacked(bytes(body), encoding.strip().lower())


def _unpacked(body: bytes, encoding: str) -> bytes | None:
    if encoding in ("", "identity") or not body:
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return None
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, by the header
    try:
        unpacked = unpacker.decompress(body, MOST_BYTES)
    except zlib.error:
        return None
    return None if unpacker.unconsumed_tail else unpacked
