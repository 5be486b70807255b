"""Sends the requests of one OTLP signal: compresses, retries transient failures, and returns the result.

The rules are those of OpenTelemetry's own exporter: the time of a destination (10 s by default) is for a request and its retries
together; 429, 502, 503, 504 and failed connections are retried, after 1, 2, 4 ... seconds or the time in ``Retry-After``. The bytes are
sent by a `Transport`: `radiosonde.export.otlp_http`, or a session of ``requests`` that a credential provider made.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from radiosonde._clock import NS, monotonic_ns, wall_ns
from radiosonde._native import allocate_lock
from radiosonde._settings import Destination
from radiosonde.export.otlp_answers import ExportResponse, judge, read_answer

_MOST_TRIES = 6
_LATER = frozenset((429, 502, 503, 504))


class Reply(NamedTuple):
    """A response with an unread body.

    Attributes:
        status: of HTTP.
        headers: names in lower case.
        read: reads at most so many bytes of the body, as soon as there are any.
        end: called with whether the body was read to its end; after it, the transport may be used again.
    """

    status: int
    headers: Mapping[str, str]
    read: Callable[[int], bytes]
    end: Callable[[bool], None]


class Transport(Protocol):
    """Carries requests to one address."""

    def post(self, body: bytes, headers: Mapping[str, str], deadline_ns: int) -> Reply:
        """Send *body* and return the answer.

        Raises:
            OSError: no connection, or no response in time.
            ValueError: the destination is invalid; a retry cannot succeed.
        """

    def close(self) -> None:
        """Give the connection back."""


class SendResult(NamedTuple):
    """The result of a request.

    Attributes:
        ok: it was received.
        payload_bytes: of the request on the wire, if a backend answered.
        fault: why it was not received.
        rejected: points, events or spans that were received and not kept.
        reason: the backend's message about those.
        is_answered: whether a backend responded.
    """

    ok: bool
    payload_bytes: int = 0
    fault: str = ""
    rejected: int = 0
    reason: str = ""
    is_answered: bool = False


class Sender(Protocol):
    """Sends the requests of one signal. For one thread; only `close` may be called from another."""

    def send(self, request: bytes) -> SendResult:
        """Send one request. Does not raise."""

    def close(self) -> None:
        """End retries and give the connection back."""


class OtlpSender:
    """See `Sender`.

    Args:
        destination: where, and how.
        transport: carries the bytes.
    """

    def __init__(self, destination: Destination, transport: Transport) -> None:
        self._destination, self._transport = destination, transport
        self._headers = {**destination.headers, "content-type": "application/x-protobuf"}
        if destination.compression:
            self._headers.setdefault("content-encoding", destination.compression)
        self._is_closed = False
        self._busy = allocate_lock()
        self._closed = allocate_lock()  # held until `close`; waiting for it is waiting for `close`
        self._closed.acquire()

    def send(self, request: bytes) -> SendResult:
        """Send one request, again if that may help, within the time of the destination."""
        body = _compressed(request, self._destination.compression)
        deadline_ns = monotonic_ns() + round(self._destination.timeout_s * NS)
        with self._busy:
            delivery = self._send(body, deadline_ns)
        if self._is_closed:
            self._transport.close()
        return delivery

    def _send(self, body: bytes, deadline_ns: int) -> SendResult:
        for attempt in range(_MOST_TRIES):
            pause_s = 2**attempt * random.uniform(0.8, 1.2)  # noqa: S311 - spreads the retries of many processes
            delivery, wait_s = self._try(body, deadline_ns)
            if wait_s is None or self._is_closed:
                return delivery
            pause_s = wait_s or pause_s
            if attempt + 1 == _MOST_TRIES or monotonic_ns() + pause_s * NS > deadline_ns or self._ends_within(pause_s):
                return delivery
        return delivery

    def _ends_within(self, seconds: float) -> bool:
        """Wait; return whether `close` was called meanwhile."""
        if not self._closed.acquire(True, seconds):
            return False
        self._closed.release()
        return True

    def _try(self, body: bytes, deadline_ns: int) -> tuple[SendResult, float | None]:
        """Return the result of the request and the wait before a retry: None for no retry, 0 for the default."""
        try:
            reply = self._transport.post(body, self._headers, deadline_ns)
        except ValueError as error:  # a certificate that is not trusted is one, too
            return SendResult(False, fault=str(error)), None
        except OSError as error:
            return SendResult(False, fault=str(error) or type(error).__name__), 0.0
        answer = _answer(reply, deadline_ns)
        delivery = SendResult(
            not answer.fault, len(body), answer.fault, answer.rejected, answer.reason, is_answered=True
        )
        return delivery, _retry_after_s(reply.headers.get("retry-after", "")) if answer.status in _LATER else None

    def close(self) -> None:
        """End retries and give the connection back, now or after the request in progress."""
        if self._is_closed:
            return
        self._is_closed = True
        self._closed.release()
        if self._busy.acquire(False):
            self._busy.release()
            self._transport.close()


def make_sender(destination: Destination) -> Sender:
    """Return a sender for *destination*."""
    transport: Transport
    if destination.credential_provider:
        from radiosonde.export.otlp_session import SessionTransport

        transport = SessionTransport(destination)
    else:
        from radiosonde.export.otlp_http import HttpTransport

        transport = HttpTransport(destination)
    return OtlpSender(destination, transport)


def _answer(reply: Reply, deadline_ns: int) -> ExportResponse:
    body = read_answer(reply.read, reply.headers.get("content-encoding", ""), deadline_ns)
    reply.end(body is not None)
    return judge(reply.status, reply.headers.get("content-type", ""), body)


def _compressed(body: bytes, compression: str) -> bytes:
    if compression == "gzip":
        import gzip

        return gzip.compress(body)
    return zlib.compress(body) if compression == "deflate" else body


def _retry_after_s(text: str) -> float:
    """Return the seconds of ``Retry-After``, 0 if absent."""
    text = text.strip()
    if text.isdecimal():
        return float(text[:9])
    if not text:
        return 0.0
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall_ns() / NS)
    except (TypeError, ValueError, OverflowError):
        return 0.0
