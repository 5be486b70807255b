"""OTLP over HTTP: metrics from snapshots, sketches as events, spans made after the fact.

OpenTelemetry's SDK offers no way to feed it aggregates, so requests are written here, as the bytes they are, and sent by the standard
library. ``OTEL_EXPORTER_OTLP_*`` (endpoint, headers, timeout, compression, certificates, temporality), ``OTEL_RESOURCE_ATTRIBUTES``
and ``OTEL_SERVICE_NAME`` have the same meaning as for OpenTelemetry's own exporter. No provider, no reader, no thread: the exporter's
thread calls `OtlpExporter.export_metrics` at each interval. A call may take as long as ``OTEL_EXPORTER_OTLP_TIMEOUT`` (10 s) per
request while the backend does not answer; the first request that fails ends the call.

The sender of a signal is created by the first call that needs it.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from radiosonde._settings import otlp_destination, prefers_delta
from radiosonde.export import otlp_points
from radiosonde.export.builder import BlockBuilder
from radiosonde.export.cardinality import MAX_SERIES
from radiosonde.export.otlp_encoding import Frame
from radiosonde.export.otlp_points import PointMaker
from radiosonde.export.otlp_resource import make_resource
from radiosonde.export.otlp_sender import Sender, SendResult, make_sender
from radiosonde.export.otlp_spans import span_message
from radiosonde.export.result import ExportResult
from radiosonde.export.snapshot import Snapshot
from radiosonde.model.spans import KeptSpan
from radiosonde.model.watched import IncidentEvent

if TYPE_CHECKING:
    from radiosonde.export.sketch_windows import Numbered

MAX_SPANS = 500
"""Spans per request, at 1 kB each."""

MAX_RECORD_BYTES = 400_000
"""Bytes of window events per request; one record alone may be larger."""

MAX_EVENTS = 63
"""Sketch events per request: at 6 kB each below 0.4 MB, and below every limit on batches that was met."""


def sender_for(signal: str) -> Sender:
    """Return the sender of a signal, configured by the environment."""
    return make_sender(otlp_destination(signal))


class OtlpExporter:
    """Sends metrics, sketches and spans over OTLP/HTTP. For one thread; only `shutdown` may be called from another.

    Args:
        resource_attributes: added to OpenTelemetry's resource; they override the environment.
        max_series: time series per export, see `radiosonde.export.cardinality`.
        make: creates the sender of a signal: ``metrics``, ``logs`` or ``traces``.
    """

    def __init__(
        self,
        *,
        resource_attributes: Mapping[str, str] | None = None,
        max_series: int = MAX_SERIES,
        make: Callable[[str], Sender] = sender_for,
    ) -> None:
        self._make = make
        self._senders: dict[str, Sender] = {}
        self._builder = BlockBuilder(max_series)
        self._frame = Frame(*make_resource(resource_attributes or {}))
        self._maker = PointMaker(prefers_delta())

    def export_metrics(self, snapshot: Snapshot) -> ExportResult:
        """Send the points of *snapshot*, some thousand per request.

        Delta temporality sends the increase since the last successful delivery, so the next call includes that of a failed one.
        """
        blocks = self._builder.build(snapshot)
        pending = list(self._maker.points(blocks, snapshot.start_ns, snapshot.time_ns))
        told = _Told("metrics")
        sent = 0
        for start in range(0, len(pending), otlp_points.MAX_POINTS):
            chunk = pending[start : start + otlp_points.MAX_POINTS]
            if not told.took(self._send("metrics", self._frame.request(self._maker.metrics(chunk)))):
                return told.result(sent, cut=blocks.cut)
            for item in chunk:
                self._maker.delivered(item, snapshot.time_ns)
            sent += len(chunk)
        return told.result(sent, cut=blocks.cut)

    def export_sketches(self, windows: Sequence[Numbered]) -> ExportResult:
        """Send the sketches of closed windows, which are numbered, one event each.

        After a failure send ``windows[result.windows:]`` again; events of the first of them may then arrive twice, alike
        in number, series, feature and kind.
        """
        from radiosonde.export.otlp_events import sketch_events  # sketches are loaded where there are some

        records, damaged, ends = sketch_events(windows)
        told = _Told("logs")
        sent = 0
        for start in range(0, len(records), MAX_EVENTS):
            batch = records[start : start + MAX_EVENTS]
            if not told.took(self._send("logs", self._frame.request(batch))):
                return told.result(sent, cut=damaged, windows=bisect_right(ends, sent))
            sent += len(batch)
        return told.result(sent, cut=damaged, windows=len(windows))

    def export_records(self, records: Sequence[bytes]) -> ExportResult:
        """Send log records, as many per request as are within `MAX_RECORD_BYTES`. After a failure send all of them again."""
        told, sent = _Told("logs"), 0
        for batch in _within(records, MAX_RECORD_BYTES):
            if not told.took(self._send("logs", self._frame.request(batch))):
                return told.result(sent)
            sent += len(batch)
        return told.result(sent)

    def export_incidents(self, events: Sequence[IncidentEvent]) -> ExportResult:
        """Send events of incidents in one request."""
        from radiosonde.export.otlp_incidents import incident_record  # of a watch alone

        told = _Told("logs")
        is_received = told.took(self._send("logs", self._frame.request(map(incident_record, events))))
        return told.result(len(events) if is_received else 0)

    def export_spans(self, spans: Sequence[KeptSpan]) -> ExportResult:
        """Send spans; after a failure send ``spans[result.points:]`` again."""
        told = _Told("traces")
        sent = 0
        for start in range(0, len(spans), MAX_SPANS):
            batch = spans[start : start + MAX_SPANS]
            if not told.took(self._send("traces", self._frame.request(map(span_message, batch)))):
                return told.result(sent)
            sent += len(batch)
        return told.result(sent)

    def _send(self, signal: str, request: bytes) -> SendResult:
        sender = self._senders.get(signal)
        if sender is None:
            sender = self._senders[signal] = self._make(signal)
        with _untraced():
            return sender.send(request)

    def shutdown(self) -> None:
        """Close the connections; a request in progress stops retrying. Nothing is buffered, so nothing is lost here."""
        for sender in list(self._senders.values()):
            sender.close()


def _within(records: Sequence[bytes], most_bytes: int) -> Iterator[list[bytes]]:
    """Yield *records* in groups of at most *most_bytes*, of one record at least."""
    batch: list[bytes] = []
    left = most_bytes
    for record in records:
        if batch and len(record) > left:
            yield batch
            batch, left = [], most_bytes
        batch.append(record)
        left -= len(record)
    if batch:
        yield batch


class _Told:
    """The responses of a backend to the requests of one call.

    Args:
        signal: of the requests.
    """

    def __init__(self, signal: str) -> None:
        self._signal = signal
        self._payload_bytes = self._rejected = 0
        self._reason = ""
        self._failed: SendResult | None = None

    def took(self, delivery: SendResult) -> bool:
        """Add the result of a request; return whether it was received."""
        self._payload_bytes += delivery.payload_bytes
        self._rejected += delivery.rejected
        self._reason = delivery.reason or self._reason
        if not delivery.ok:
            self._failed = delivery
        return delivery.ok

    def result(self, sent: int, **more: int) -> ExportResult:
        """Return the result of the call: the number of received items, and the reason for the others."""
        said: dict[str, Any] = {"payload_bytes": self._payload_bytes, **more}
        if self._failed is not None:
            return ExportResult(False, sent, error=self._complaint(self._failed), **said)
        if self._rejected:
            why = self._reason or "no reason given"
            said |= {"rejected": self._rejected, "error": f"the OTLP backend rejected {self._rejected}: {why}"}
        return ExportResult(True, sent, **said)

    def _complaint(self, failed: SendResult) -> str:
        """Return why a request failed and what to do."""
        variable = f"OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_{self._signal.upper()}_ENDPOINT)"
        if failed.is_answered:
            return f"the OTLP backend answered {self._signal} with {failed.fault}; check {variable} and its logs"
        return f"no OTLP backend accepted the {self._signal} ({failed.fault}); start one, or check {variable}"


@contextmanager
def _untraced() -> Iterator[None]:
    """Keep instrumentations of HTTP clients from tracing the exporter's requests, as the SDK does. Without the API there are none."""
    if "opentelemetry.context" not in sys.modules:
        yield
        return
    from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value

    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        yield
    finally:
        detach(token)
