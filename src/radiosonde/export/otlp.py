"""OTLP over HTTP: metrics from snapshots, sketches as events, spans made after the fact, through OpenTelemetry's stock exporters.

The stock exporters read ``OTEL_EXPORTER_OTLP_*`` (endpoint, headers, timeout, compression, certificates, temporality)
and ``Resource.create`` reads ``OTEL_RESOURCE_ATTRIBUTES`` and ``OTEL_SERVICE_NAME``, so nothing is configured twice. No
provider, no reader, no thread: the one consumer calls `OtlpExporter.export_metrics` when it is time. A call may take as
long as ``OTEL_EXPORTER_OTLP_TIMEOUT`` (10 s) per request while the backend does not answer; the first request that fails
ends the call.

Everything is loaded by the first call that sends it: who sends no spans loads no exporter of spans.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from radiosonde._version import __version__
from radiosonde.export.builder import BlockBuilder
from radiosonde.export.cardinality import MAX_SERIES
from radiosonde.export.otlp_answers import ExportResponse, judging_session
from radiosonde.export.otlp_resource import make_resource, with_resources
from radiosonde.export.result import ExportResult
from radiosonde.export.snapshot import Snapshot
from radiosonde.model import Window
from radiosonde.model.spans import KeptSpan
from radiosonde.semconv.attributes import SCHEMA_URL

if TYPE_CHECKING:
    import requests
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter

MAX_SPANS = 500
"""Spans per request, at 1 kB each."""

MAX_EVENTS = 63
"""Sketch events per request: at 6 kB each below 0.4 MB, and below every limit on batches that was met."""


class OtlpExporter:
    """Sends metrics, sketches and spans over OTLP/HTTP. For one thread; only `shutdown` may be called from another.

    Args:
        resource_attributes: added to OpenTelemetry's resource, over what the environment says.
        max_series: time series per export, see `radiosonde.export.cardinality`.
        metric_exporter: makes the metric exporter; default: the stock one, configured by the environment.
        log_exporter: makes the log exporter; likewise.
    """

    def __init__(
        self,
        *,
        resource_attributes: Mapping[str, str] | None = None,
        max_series: int = MAX_SERIES,
        metric_exporter: Callable[[], MetricExporter] | None = None,
        log_exporter: Callable[[], LogRecordExporter] | None = None,
    ) -> None:
        self._resource_attributes = dict(resource_attributes or {})
        self._max_series = max_series
        self._make_metric_exporter = metric_exporter or self._stock_metric_exporter
        self._make_log_exporter = log_exporter or self._stock_log_exporter
        self._begin()

    def _begin(self) -> None:
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        from radiosonde.export.otlp_points import PointMaker

        self._wire = _Wire()
        self._builder = BlockBuilder(self._max_series)
        self._resource = make_resource(self._resource_attributes)
        self._scope = InstrumentationScope("radiosonde", __version__, SCHEMA_URL)
        self._metrics = self._make_metric_exporter()
        self._logs: LogRecordExporter | None = None
        self._spans: SpanExporter | None = None
        self._maker = PointMaker(self._metrics)

    def export_metrics(self, snapshot: Snapshot) -> ExportResult:
        """Send the points of *snapshot*, some thousand per request.

        Delta temporality sends what was counted since the last delivery; what a failed call did not deliver is sent by
        the next one.
        """
        from opentelemetry.sdk.metrics.export import MetricExportResult

        from radiosonde.export.otlp_points import MAX_POINTS

        blocks = self._builder.build(snapshot)
        pending = list(self._maker.points(blocks, snapshot.start_ns, snapshot.time_ns))
        sent = 0
        self._wire.reset()
        for start in range(0, len(pending), MAX_POINTS):
            chunk = pending[start : start + MAX_POINTS]
            request = self._maker.metrics(chunk, self._resource, self._scope)
            with _untraced():
                outcome = self._metrics.export(request)
            if outcome is not MetricExportResult.SUCCESS:
                return ExportResult(False, sent, self._wire.payload_bytes, self._wire.complaint("metrics"), blocks.cut)
            for item in chunk:
                self._maker.delivered(item, snapshot.time_ns)
            sent += len(chunk)
        return ExportResult(True, sent, self._wire.payload_bytes, cut=blocks.cut, **self._wire.rejections())

    def export_sketches(self, windows: Sequence[Window]) -> ExportResult:
        """Send the sketches of closed windows, one event each.

        After a failure send ``windows[result.windows:]`` again; events of the first of them may then arrive twice, alike
        in window, series, feature and kind.
        """
        # The SDK for logs makes a resource when it is imported.
        with_resources(partial(import_module, "opentelemetry.sdk._logs"))
        from opentelemetry.sdk._logs.export import LogRecordExportResult

        from radiosonde.export.otlp_events import sketch_events

        logs = self._logs = self._logs or self._make_log_exporter()
        records, damaged, ends = sketch_events(windows, self._resource, self._scope)
        sent = 0
        self._wire.reset()
        for start in range(0, len(records), MAX_EVENTS):
            batch = records[start : start + MAX_EVENTS]
            with _untraced():
                outcome = logs.export(batch)
            if outcome is not LogRecordExportResult.SUCCESS:
                complaint = self._wire.complaint("logs")
                return ExportResult(
                    False, sent, self._wire.payload_bytes, complaint, damaged, windows=bisect_right(ends, sent)
                )
            sent += len(batch)
        return ExportResult(
            True, sent, self._wire.payload_bytes, cut=damaged, windows=len(windows), **self._wire.rejections()
        )

    def export_spans(self, spans: Sequence[KeptSpan]) -> ExportResult:
        """Send spans; after a failure send ``spans[result.points:]`` again."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        from radiosonde.export.otlp_spans import readable_spans

        exporter = self._spans = self._spans or self._stock_span_exporter()
        sent = 0
        self._wire.reset()
        for start in range(0, len(spans), MAX_SPANS):
            batch = readable_spans(spans[start : start + MAX_SPANS], self._resource, self._scope)
            with _untraced():
                outcome = exporter.export(batch)
            if outcome is not SpanExportResult.SUCCESS:
                return ExportResult(False, sent, self._wire.payload_bytes, self._wire.complaint("traces"))
            sent += len(batch)
        return ExportResult(True, sent, self._wire.payload_bytes, **self._wire.rejections())

    def shutdown(self, timeout_s: float = 5.0) -> None:
        """Close the connections; a request in progress stops retrying. Nothing is buffered, so nothing is lost here."""
        self._metrics.shutdown(timeout_millis=timeout_s * 1000)
        if self._logs is not None:
            self._logs.shutdown()  # type: ignore[no-untyped-call]
        if self._spans is not None:
            self._spans.shutdown()

    def _stock_metric_exporter(self) -> MetricExporter:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        return OTLPMetricExporter(session=self._wire.session())

    def _stock_log_exporter(self) -> LogRecordExporter:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

        return OTLPLogExporter(session=self._wire.session())

    def _stock_span_exporter(self) -> SpanExporter:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(session=self._wire.session())


class _Wire:
    """Sees the answers of the backend: the stock exporters tell success from failure and nothing else.

    Attributes:
        payload_bytes: bytes of answered requests since `reset`.
        answer: the last answer; None when there was none.
        rejected: points that were received and not kept, since `reset`.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the answers seen."""
        self.payload_bytes = self.rejected = 0
        self.answer: ExportResponse | None = None
        self._reason = ""

    def rejections(self) -> dict[str, Any]:
        """Return what was rejected since `reset`, as an `ExportResult` says it."""
        if not self.rejected:
            return {}
        return {
            "rejected": self.rejected,
            "error": f"the OTLP backend rejected {self.rejected}: {self._reason or 'it says not why'}",
        }

    def session(self) -> requests.Session | None:
        """Return a session that reports here; None where a plug-in may make one that holds credentials."""
        from importlib.metadata import entry_points

        if entry_points(group="opentelemetry_otlp_credential_provider"):
            return None
        return judging_session(self._answered)

    def complaint(self, signal: str) -> str:
        """Return why the last request failed and what to do."""
        variable = f"OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT)"
        if self.answer is not None and self.answer.fault:
            return f"the OTLP backend answered {signal} with {self.answer.fault}; check {variable} and its logs"
        return f"no OTLP backend took the {signal}; start one, or check {variable}"

    def _answered(self, response: requests.Response, answer: ExportResponse) -> None:
        body = response.request.body
        self.payload_bytes += len(body) if isinstance(body, bytes) else 0
        self.answer = answer
        self.rejected += answer.rejected
        self._reason = answer.reason or self._reason


@contextmanager
def _untraced() -> Iterator[None]:
    """Keep instrumentations of HTTP clients from tracing our own requests, as the SDK does."""
    from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value

    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        yield
    finally:
        detach(token)
