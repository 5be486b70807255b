"""Evaluates OTLP responses: accepted, rejected, or partially accepted. Reading is bounded in bytes and time.

The stock exporters take every status below 400 for success and never look at the answer. A login page behind a redirect, a web
page with status 200 and a backend that rejects all points would count as deliveries. And their HTTP library reads and unpacks
an answer whole, of whatever size. So requests go through a session that follows no redirect, reads at most
`MOST_BYTES` of an answer, unpacks no more than that, and gives an answer that is no OTLP answer a status that means failure.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from radiosonde._clock import NS, monotonic_ns
from radiosonde.model.names import plain_text

if TYPE_CHECKING:
    import requests

MOST_BYTES: Final = 1 << 16
"""Of an answer, packed and unpacked. One that says how many points it rejected has some hundred bytes."""

_READ_BYTES = 4096
_USUAL_TIMEOUT_S = 10.0
_REFUSED = 400
"""Status that the stock exporters neither take for success nor try again."""


class ExportResponse(NamedTuple):
    """What became of a request.

    Attributes:
        status: of HTTP, as it came.
        fault: why it is no success; empty for one.
        rejected: points, events or spans that were received and not kept.
        reason: what the backend says about those.
    """

    status: int
    fault: str = ""
    rejected: int = 0
    reason: str = ""


def judging_session(answered: Callable[[requests.Response, ExportResponse], object]) -> requests.Session:
    """Return a session whose answers are judged, and reported to *answered*."""
    import requests

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> None:
            """Follow no redirect: an export that goes elsewhere is none."""

        def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
            options["stream"] = True
            response = super().send(request, **options)
            body = _read(response, _seconds(options.get("timeout")))
            response._content, response._content_consumed = body or b"", True  # noqa: SLF001 - nobody is to read on
            answer = judge(response.status_code, response.headers.get("Content-Type", ""), body, request.url or "")
            answered(response, answer)
            if answer.fault and response.status_code < _REFUSED:
                response.status_code, response.reason = _REFUSED, answer.fault
            return response

    return Session()


def judge(status: int, content_type: str, body: bytes | None, address: str = "") -> ExportResponse:
    """Return what an answer means.

    Args:
        status: of HTTP.
        content_type: of the body.
        body: what was read; None when it is too long or never ends.
        address: where the request went; its last part names the signal.
    """
    if 300 <= status < 400:
        return ExportResponse(status, f"a redirect (HTTP {status}), which is not followed")
    if not 200 <= status < 300:
        return ExportResponse(status, f"HTTP {status}")
    if body is None:
        return ExportResponse(status, f"HTTP {status} and more than {MOST_BYTES} bytes, or no end of them")
    kind = content_type.partition(";")[0].strip().lower()
    if not body:
        return ExportResponse(status)
    rejected = _rejected(kind, body, address.rstrip("/").rpartition("/")[2])
    if rejected is None:
        return ExportResponse(status, f"HTTP {status} and {kind or 'something'} that is no OTLP answer")
    count, reason = rejected
    return ExportResponse(status, "", count, plain_text(reason))


def _rejected(kind: str, body: bytes, signal: str) -> tuple[int, str] | None:
    """Return how many points were rejected, and why; None for what is no OTLP answer."""
    try:
        if kind == "application/json":
            document = json.loads(body)
            partial = document.get("partialSuccess") or {}
            counts = [
                int(partial.get(name) or 0) for name in ("rejectedDataPoints", "rejectedLogRecords", "rejectedSpans")
            ]
            return max(0, *counts), str(partial.get("errorMessage") or "")
        if kind not in ("application/x-protobuf", ""):
            return None
        message = _response(signal)
        message.ParseFromString(body)
    except Exception:  # noqa: BLE001 - a body that somebody else wrote: whatever is wrong with it, it is no answer
        return None
    said = message.partial_success
    rejected = [getattr(said, name, 0) for name in ("rejected_data_points", "rejected_log_records", "rejected_spans")]
    return max(0, *rejected), str(said.error_message)


def _response(signal: str) -> Any:
    """Return an empty answer of a signal. All three have the same fields on the wire."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    made = {"logs": ExportLogsServiceResponse, "traces": ExportTraceServiceResponse}
    return made.get(signal, ExportMetricsServiceResponse)()


def _read(response: requests.Response, timeout_s: float) -> bytes | None:
    """Return the unpacked body; None when it is too long, never ends, or is damaged. The connection is then closed."""
    body, deadline_ns = bytearray(), monotonic_ns() + round(timeout_s * NS)
    read = getattr(response.raw, "read1", response.raw.read)  # at most one wait for the network
    try:
        while part := read(_READ_BYTES, decode_content=False):
            body += part
            if len(body) > MOST_BYTES or monotonic_ns() > deadline_ns:
                response.close()
                return None
    except Exception:  # noqa: BLE001 - whatever the HTTP library and the network raise
        response.close()
        return None
    return _unpacked(bytes(body), response.headers.get("Content-Encoding", "").strip().lower())


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


def _seconds(timeout: Any) -> float:
    if isinstance(timeout, tuple):
        timeout = max((each for each in timeout if each is not None), default=None)
    return float(timeout) if isinstance(timeout, (int, float)) and timeout > 0 else _USUAL_TIMEOUT_S
