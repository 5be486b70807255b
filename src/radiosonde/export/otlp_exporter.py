"""Exports over OTLP: metrics from snapshots, sketches of closed windows as events, spans made after the fact.

A flush may take as long as the backend lets it (``OTEL_EXPORTER_OTLP_TIMEOUT`` a request). Metrics are cumulative: one that
was not delivered costs nothing but its time. Sketch events and spans are not: they wait, bounded and counted.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde._settings.environment import OTLP_SIGNALS, otlp_signals
from radiosonde.export import waiting
from radiosonde.export.exporter import BaseExporter, ExportContext, ExportCounts, ExporterHealth
from radiosonde.export.otlp_answers import is_success
from radiosonde.export.otlp_resource import INSTALL_DETECTORS, LACKS_DETECTORS, lacks_detectors
from radiosonde.export.sketch_windows import Numbered, in_runs, without_cohorts
from radiosonde.export.waiting import Waiting
from radiosonde.model import losses, name_of
from radiosonde.model.size import held_bytes

if TYPE_CHECKING:
    from radiosonde._settings import Settings
    from radiosonde.export.otlp import OtlpExporter
    from radiosonde.export.otlp_windows import WindowEvents
    from radiosonde.export.result import ExportResult
    from radiosonde.model import Window
    from radiosonde.model.spans import KeptSpan

TIMEOUT_S = 1.0
_PREFIX = "OTEL_EXPORTER_OTLP"
_VARIABLE = re.compile(
    rf"{_PREFIX}_(?:METRICS_|LOGS_|TRACES_)?(PROTOCOL|COMPRESSION|TIMEOUT|CERTIFICATE|CLIENT_KEY|CLIENT_CERTIFICATE)"
)
_USER = re.compile(r"(?<=://)[^/@\s]+@")


class OtlpStreams(BaseExporter):
    """The OTLP streams of one process.

    Args:
        context: interval, and the service attributes of the resource.
    """

    setting = "otlp"

    def __init__(self, context: ExportContext) -> None:
        self._context, self._guard = context, context.guard
        self._signals = otlp_signals()
        self.takes_spans = "traces" in self._signals
        self.interval_s = context.settings.export_interval_s
        self._client: OtlpExporter | None = None
        self._sketched: Waiting[Numbered] = Waiting(
            context.guard, losses.SKETCH_EVENTS_DROPPED, waiting.WAITING_BYTES, size=lambda item: held_bytes(item[1])
        )
        self._numbers, self._attempted = count(1), 0  # of windows with sketches; the last one that was sent in vain
        self._windows = self._window_events() if context.settings.window_events else None
        self._spans: Waiting[KeptSpan] = Waiting(context.guard, losses.SPANS_DROPPED, waiting.WAITING_SPANS)
        self._exports = Counter[str]()
        self._payload_bytes = self._series_cut = 0

    def _window_events(self) -> WindowEvents | None:
        if "logs" not in self._signals:
            return None
        from radiosonde.export.otlp_windows import (
            WindowEvents,
        )  # loads the store's documents, for those that ask for it

        return WindowEvents(self._guard, self._context.process)

    def prepare(self) -> None:
        """Load the encoder and the sender."""
        self.client()

    def client(self) -> OtlpExporter:
        """Return the client of the backend, created at first use."""
        if self._client is None:
            from radiosonde.export.otlp import OtlpExporter

            if lacks_detectors():
                self._guard.warn("resource detectors", "%s; %s", LACKS_DETECTORS, INSTALL_DETECTORS)
            self._client = OtlpExporter(resource_attributes=_resource(self._context))
        return self._client

    def export(self, windows: Sequence[Window], spans: Sequence[KeptSpan]) -> None:
        """Keep windows that have sketches, and spans."""
        if self.takes_spans:
            self._spans.put(spans)
        if "logs" in self._signals:
            self._sketched.put(
                (next(self._numbers), window) for window in windows if window.features and window.features.sketches
            )
        if self._windows is not None:
            self._windows.put(windows)

    def flush(self) -> None:
        """Send a snapshot and the queue. A failing signal does not affect the others."""
        client = self.client()
        if "metrics" in self._signals:
            with self._guard("otlp_metrics"):
                self._count("otlp.metrics", client.export_metrics(self._context.snapshot()))
        with self._guard("otlp_sketches"):
            self._flush_sketches(client)
        if self._windows is not None:
            with self._guard("otlp_windows"):
                for result in self._windows.flush(client, self._context.references()):
                    self._count("otlp.windows", result)
        with self._guard("otlp_spans"):
            self._flush_spans(client)

    def _flush_sketches(self, client: OtlpExporter) -> None:
        windows, delivered = self._sketched.take(), 0
        try:
            by_cohort = self._context.settings.sketch_cohorts
            for run in [windows] if by_cohort and windows else in_runs(windows, self._attempted):
                sent = run if by_cohort else without_cohorts(run)
                result = client.export_sketches(sent)
                # Merged windows are delivered together, or retried.
                partly = result.windows if sent is run else 0
                delivered += len(run) if result.ok else partly
                self._count("otlp.sketches", result)
                if not result.ok:
                    self._attempted = run[-1][0]
                    break
        finally:
            self._sketched.settle(delivered)

    def _flush_spans(self, client: OtlpExporter) -> None:
        spans, delivered = self._spans.take(), 0
        try:
            if spans:
                result = client.export_spans(spans)
                delivered = result.points
                self._count("otlp.spans", result)
        finally:
            self._spans.settle(delivered)

    def _count(self, carrier: str, result: ExportResult) -> None:
        self._payload_bytes += result.payload_bytes
        if carrier == "otlp.metrics":
            self._series_cut = result.cut
        elif result.cut:
            self._guard.lose(losses.SKETCH_EVENTS_DROPPED, result.cut)
        if result.rejected:  # received, so it would not be taken the next time either
            self._guard.lose(losses.EXPORT_REJECTED, result.rejected)
            self._guard.warn(f"{carrier} rejected", "Export in part: %s", result.error)
        elif result.ok:
            self._exports[carrier] += 1
        else:
            self._guard.lose(losses.EXPORT_FAILED)
            self._guard.warn(carrier, "Export failed: %s", result.error)

    def close(self, timeout_s: float) -> None:
        """Count undelivered items and close the connections."""
        self._sketched.abandon()
        if self._windows is not None:
            self._windows.abandon()
        self._spans.abandon()
        client, self._client = self._client, None
        if client is not None:
            client.shutdown()

    def counts(self) -> ExportCounts:
        """Return the counts of backend responses."""
        return ExportCounts(dict(self._exports), self._payload_bytes, self._series_cut)


def _resource(context: ExportContext) -> dict[str, str]:
    """Return the resource attributes set by Radiosonde."""
    from radiosonde.semconv import attributes

    said = {attributes.SERVICE_INSTANCE_ID: context.process}
    if context.settings.service_name:
        said[attributes.SERVICE_NAME] = name_of(context.settings.service_name)
    return said


def make(context: ExportContext) -> OtlpStreams | None:
    """Return the exporter, None where OTLP is off."""
    return OtlpStreams(context) if context.settings.otlp else None


def health(settings: Settings, variables: Mapping[str, str]) -> Iterator[ExporterHealth]:
    """Report whether each endpoint accepts its signal, with an empty request."""
    if not settings.otlp:
        yield ExporterHealth("off", "OTLP: off; set OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 to export")
        return
    signals = otlp_signals(variables)
    yield from _unusable(variables)
    if lacks_detectors(variables):
        yield ExporterHealth("fix", f"OTLP: {LACKS_DETECTORS}", INSTALL_DETECTORS)
    for signal in OTLP_SIGNALS:
        name = signal.upper()
        if signal not in signals:
            named = variables.get(f"OTEL_{name}_EXPORTER")
            why = f"OTEL_{name}_EXPORTER={named}" if named else "only another signal has an endpoint"
            yield ExporterHealth("off", f"OTLP: {signal} are not exported ({why})")
        elif signal == "metrics" or variables.get(f"{_PREFIX}_{name}_ENDPOINT"):
            yield _endpoint(signal, variables)


def _endpoint(signal: str, variables: Mapping[str, str]) -> ExporterHealth:
    """Report whether the endpoint of a signal accepts it."""
    name = signal.upper()
    base = (variables.get(f"{_PREFIX}_ENDPOINT") or "http://localhost:4318").rstrip("/") + f"/v1/{signal}"
    address = variables.get(f"{_PREFIX}_{name}_ENDPOINT") or base
    shown = _USER.sub("***@", address)
    headers = variables.get(f"{_PREFIX}_{name}_HEADERS") or variables.get(f"{_PREFIX}_HEADERS", "")
    try:
        status = _post_nothing(address, headers)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        hint = "; 4317 is the gRPC port, Radiosonde uses HTTP on 4318" if ":4317" in address else ""
        said = (
            f"OTLP: no response from {shown} ({reason}){hint}; until it responds, metrics wait and the oldest "
            "sketches are dropped: start the collector, or correct OTEL_EXPORTER_OTLP_ENDPOINT"
        )
        return ExporterHealth("fix", said, f"curl -v {shlex.quote(shown)}")
    if status in (401, 403):
        return ExporterHealth("fix", f"OTLP: {shown} refused the request ({status}); check OTEL_EXPORTER_OTLP_HEADERS")
    if not is_success(status):
        said = f"OTLP: {shown} answers {status}; it is not an OTLP/HTTP endpoint for {signal}"
        return ExporterHealth("fix", said, f"curl -v {shlex.quote(shown)}")
    return ExporterHealth("ok", f"OTLP: {shown} accepts {signal}")


def _unusable(variables: Mapping[str, str]) -> Iterator[ExporterHealth]:
    """Yield the unsupported OpenTelemetry variables for OTLP."""
    for name, value in sorted(variables.items()):
        found = _VARIABLE.fullmatch(name)
        text = value.strip()
        if found is None or not text:
            continue
        kind = found[1]
        if kind == "PROTOCOL":
            if text != "http/protobuf":
                yield ExporterHealth("note", f"OTLP: {name} is {text}; Radiosonde supports http/protobuf only")
        elif kind == "COMPRESSION":
            if text.lower() not in ("none", "gzip", "deflate"):
                yield ExporterHealth("fix", f"OTLP: {name} is {text}; use gzip, deflate or none")
        elif kind == "TIMEOUT":
            if not _is_number(text):
                yield ExporterHealth("fix", f"OTLP: {name} is {text}; give seconds")
        elif not Path(text).is_file():
            yield ExporterHealth("fix", f"OTLP: {name} is {text}; there is no file of that name")


def _is_number(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False


def _post_nothing(address: str, headers: str) -> int:
    """Send a request of no bytes, which is an export of no metrics, and return the status.

    Raises:
        OSError: no answer within `TIMEOUT_S`.
        ValueError: *address* is none.
    """
    import urllib.error
    import urllib.parse
    import urllib.request

    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise ValueError("an endpoint begins with http:// or https://")
    sent = {"Content-Type": "application/x-protobuf"}
    for pair in headers.split(","):
        name, separator, value = pair.partition("=")
        if separator:
            sent[name.strip()] = urllib.parse.unquote(value.strip())
    request = urllib.request.Request(address, b"", sent, method="POST")  # noqa: S310 - the scheme is checked above
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - same
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
