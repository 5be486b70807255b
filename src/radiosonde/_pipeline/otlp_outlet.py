"""OTLP for whoever counts, a server's own consumer or the agent: metrics from snapshots, sketches from closed windows.

A call of `export` may take as long as the backend lets it (``OTEL_EXPORTER_OTLP_TIMEOUT`` a request), so it has a thread of
its own. Metrics are cumulative: one that was not delivered costs nothing but its time. Sketch events are not: they wait,
bounded and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from radiosonde._pipeline.span_outlet import SpanOutlet
from radiosonde._pipeline.waiting import WaitingWindows
from radiosonde.model import losses, name_of

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde._settings import Settings
    from radiosonde.export.otlp import OtlpExporter
    from radiosonde.export.result import ExportResult
    from radiosonde.export.snapshot import Snapshot
    from radiosonde.model import Window
    from radiosonde.model.spans import KeptSpan


class OtlpOutlet:
    """One OTLP stream.

    Args:
        guard: counts what is lost.
        snapshot: makes the cumulative snapshot that metrics are exported from.
        resource: resource attributes that are ours to say.

    Attributes:
        exports: successful exports by carrier.
        exported_bytes: bytes a backend answered.
        series_cut: time series left out of the last export.
    """

    def __init__(self, guard: Guard, snapshot: Callable[[], Snapshot], resource: Mapping[str, str]) -> None:
        self._guard, self._snapshot, self._resource = guard, snapshot, resource
        self._exporter: OtlpExporter | None = None
        self._sketched = WaitingWindows(guard, losses.SKETCH_EVENTS_DROPPED)
        self._spans = SpanOutlet(guard)
        self.exports: Counter[str] = Counter()
        self.exported_bytes = self.series_cut = 0

    def take(self, windows: Sequence[Window], spans: Sequence[KeptSpan] = ()) -> None:
        """Keep closed windows whose sketches are to be sent, and spans. The consumer's."""
        self._spans.take(spans)
        self._sketched.put(window for window in windows if window.features and window.features.sketches)

    def exporter(self) -> OtlpExporter:
        """Return the exporter, made at first use: its resource cannot be resolved once the interpreter exits."""
        if self._exporter is None:
            from radiosonde.export.otlp import OtlpExporter

            self._exporter = OtlpExporter(resource_attributes=self._resource)
        return self._exporter

    def export(self) -> None:
        """Send the metrics and what waits. The exporting thread's, and the exit's."""
        exporter = self.exporter()
        self._count("otlp.metrics", exporter.export_metrics(self._snapshot()))
        windows = self._sketched.take()
        delivered = 0
        try:
            if windows:
                result = exporter.export_sketches(windows)
                delivered = len(windows) if result.ok else result.windows
                self._count("otlp.sketches", result)
        finally:
            self._sketched.settle(delivered)
        sent = self._spans.export(exporter)
        if sent is not None:
            self._count("otlp.spans", sent)

    def _count(self, carrier: str, result: ExportResult) -> None:
        self.exported_bytes += result.payload_bytes
        if carrier == "otlp.metrics":
            self.series_cut = result.cut
        elif result.cut:
            self._guard.lose(losses.SKETCH_EVENTS_DROPPED, result.cut)
        if result.ok:
            self.exports[carrier] += 1
        else:
            self._guard.lose(losses.EXPORT_FAILED)
            self._guard.tell(carrier, "Export failed: %s", result.error)

    def close(self, timeout_s: float) -> None:
        """Count what was not delivered and close the connections."""
        self._sketched.abandon()
        self._spans.close()
        if self._exporter is not None:
            self._exporter.shutdown(timeout_s)
            self._exporter = None


def resource_attributes(settings: Settings, process: str) -> dict[str, str]:
    """Return the resource attributes that are ours to say."""
    from radiosonde.semconv import attributes

    said = {attributes.SERVICE_INSTANCE_ID: process}
    if settings.service_name:
        said[attributes.SERVICE_NAME] = name_of(settings.service_name)
    return said
