"""Where windows go: store, Prometheus, OTLP. Each failure is a counted loss; what waits for a dead backend is bounded.

Store and OTLP have a thread each: a backend that hangs for its whole timeout, or a disk that takes seconds for a sync,
would otherwise let the rings run over.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from radiosonde._pipeline.span_outlet import SpanOutlet
from radiosonde.errors import ConfigurationError
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde._settings import Settings
    from radiosonde.export.otlp import OtlpExporter
    from radiosonde.export.result import ExportResult
    from radiosonde.export.snapshot import Snapshot
    from radiosonde.model import Window
    from radiosonde.model.spans import KeptSpan
    from radiosonde.reference.profile import Reference
    from radiosonde.store.writer import StoreWriter

References = Mapping[tuple[str, str], "Reference"]

WAITING_WINDOWS = 2000
"""Closed windows kept for a store or backend that does not answer; the oldest beyond it are dropped and counted."""


class Outlets:
    """Store, Prometheus and OTLP of one process.

    Args:
        settings: which are on.
        guard: counts what is lost.
        snapshot: makes the cumulative snapshot that metrics are exported from.
        process: identity of the process.
    """

    def __init__(self, settings: Settings, guard: Guard, snapshot: Callable[[], Snapshot], process: str) -> None:
        self._settings, self._guard, self._snapshot, self._process = settings, guard, snapshot, process
        self._store: StoreWriter | None = None
        self._otlp: OtlpExporter | None = None
        self._collector: Any = None
        self._server: Any = None
        self._for_store: deque[Window] = deque()
        self._for_otlp: deque[Window] = deque()
        self._spans = SpanOutlet(guard)
        self.exports: Counter[str] = Counter()
        self.exported_bytes = 0
        self.series_cut = 0
        self._pruned = self._dropped = 0
        self.was_opened = False

    def open(self) -> None:
        """Open the store and register with Prometheus: all of it or nothing.

        Raises:
            ConfigurationError: the Prometheus port is taken, or another Radiosonde is in the registry.
            StoreError: the store cannot be opened.
        """
        self.was_opened = True
        try:
            for part in self._parts():
                part()
            self.prepare()
        except Exception:
            self.close(1.0)
            raise

    def open_what_can_be(self) -> None:
        """Open at the first prediction, with nobody there to hear of errors: each outlet on its own, once."""
        self.was_opened = True
        for part in self._parts():
            failure = self._guard.attempt(part)
            if isinstance(failure, Exception):
                self._guard.tell(repr(part), "%s", failure)

    def _parts(self) -> list[Callable[[], object]]:
        settings = self._settings
        prometheus = settings.prometheus or settings.prometheus_port is not None
        return [self._open_store] * (settings.store is not None) + [self._open_prometheus] * prometheus

    def _open_store(self) -> StoreWriter:
        if self._store is None:
            from radiosonde.store.writer import StoreWriter

            self._store = StoreWriter(str(self._settings.store), process=self._process)
            self._pruned = 0
        return self._store

    def _open_prometheus(self) -> None:
        settings = self._settings
        from radiosonde.export.prometheus import PrometheusCollector, serve

        collector = PrometheusCollector(self._scraped)
        if settings.prometheus:
            import prometheus_client

            try:
                prometheus_client.REGISTRY.register(collector)
            except ValueError as error:
                raise ConfigurationError(
                    "Prometheus' default registry has these metrics already; shut the other Radiosonde of this process "
                    "down, or start with prometheus=False"
                ) from error
            self._collector = collector
        if settings.prometheus_port is not None:
            try:
                self._server = serve(collector, settings.prometheus_port)
            except OSError as error:
                raise ConfigurationError(
                    f"prometheus_port {settings.prometheus_port} cannot be listened on ({error}); end what listens "
                    "there or give another port"
                ) from error

    def _scraped(self) -> Snapshot:
        self.exports["prometheus"] += 1
        return self._snapshot()

    # Windows ---------------------------------------------------------------------------------------------------------

    def take(self, windows: Sequence[Window], spans: Sequence[KeptSpan] = ()) -> None:
        """Keep closed windows for the store and for OTLP, and spans for OTLP. The consumer's."""
        self._spans.take(spans)
        if self._settings.store is not None:
            self._for_store.extend(windows)
            self._dropped += self._bound(self._for_store, losses.STORE_FAILED)
        if self._settings.otlp:
            self._for_otlp.extend(window for window in windows if window.features and window.features.sketches)
            self._bound(self._for_otlp, losses.SKETCH_EVENTS_DROPPED)

    def write(self, references: References) -> None:
        """Write the waiting windows to the store. The storing thread's."""
        # What the bound drops meanwhile is in the batch already, and is counted though it is stored: the bound is meant
        # for a store that does not answer at all.
        batch, dropped = list(self._for_store), self._dropped
        if not batch:
            return
        written = self._guard.attempt(self._write_batch, batch, references)
        if isinstance(written, Exception):
            self._guard.tell("store", "The store cannot be written (%s); %d windows wait", written, len(batch))
            return
        for _ in range(len(batch) - (self._dropped - dropped)):
            self._for_store.popleft()
        self.exports["store"] += 1
        self.exported_bytes += written

    def _write_batch(self, batch: Sequence[Window], references: References) -> int:
        store = self._open_store()  # again, if it could not be opened before
        written = store.write(batch, references)
        if store.pruned > self._pruned:
            self._guard.lose(losses.STORE_PRUNED, store.pruned - self._pruned)
            self._pruned = store.pruned
        return written

    def _bound(self, waiting: deque[Window], reason: str) -> int:
        excess = len(waiting) - WAITING_WINDOWS
        for _ in range(excess):
            waiting.popleft()
        if excess > 0:
            self._guard.lose(reason, excess)
        return max(0, excess)

    # OTLP ------------------------------------------------------------------------------------------------------------

    def export(self) -> None:
        """Send metrics and waiting sketches over OTLP. The exporting thread's, and the exit's."""
        if not self._settings.otlp:
            return
        exporter = self._exporter()
        self._count("otlp.metrics", exporter.export_metrics(self._snapshot()))
        waiting = [self._for_otlp.popleft() for _ in range(len(self._for_otlp))]
        delivered = 0
        try:
            if waiting:
                result = exporter.export_sketches(waiting)
                delivered = len(waiting) if result.ok else result.windows
                self._count("otlp.sketches", result)
        finally:
            self._for_otlp.extendleft(reversed(waiting[delivered:]))
            self._bound(self._for_otlp, losses.SKETCH_EVENTS_DROPPED)
        sent = self._spans.export(exporter)
        if sent is not None:
            self._count("otlp.spans", sent)

    def _exporter(self) -> OtlpExporter:
        if self._otlp is None:
            from radiosonde.export.otlp import OtlpExporter

            self._otlp = OtlpExporter(resource_attributes=resource_attributes(self._settings, self._process))
        return self._otlp

    def prepare(self) -> None:
        """Make the OTLP exporter now: its resource cannot be resolved once the interpreter exits."""
        if self._settings.otlp:
            self._exporter()

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

    # Ends ------------------------------------------------------------------------------------------------------------

    def close(self, timeout_s: float) -> None:
        """Close everything that `open` opened."""
        for waiting, reason in (
            (self._for_store, losses.STORE_FAILED),
            (self._for_otlp, losses.SKETCH_EVENTS_DROPPED),
        ):
            if waiting:
                self._guard.lose(reason, len(waiting))
                waiting.clear()
        self._spans.close()
        if self._collector is not None:
            import prometheus_client

            self._guard.attempt(prometheus_client.REGISTRY.unregister, self._collector)
        if self._server is not None:
            server, thread = self._server
            server.shutdown()
            server.server_close()
            thread.join(timeout_s)
        if self._store is not None:
            self._store.close()
        if self._otlp is not None:
            self._otlp.shutdown(timeout_s)
        self._store = self._otlp = self._collector = self._server = None

    def hold_for_fork(self) -> None:
        """Wait until nobody is inside SQLite."""
        if self._store is not None:
            self._store.hold_for_fork()

    def release_after_fork(self) -> None:
        """Go on, in the parent."""
        if self._store is not None:
            self._store.release_after_fork()

    def abandon(self) -> None:
        """Let go of the parent's collector, in a forked child; its sockets and connections are not touched."""
        if self._collector is not None:
            import prometheus_client

            self._guard.attempt(prometheus_client.REGISTRY.unregister, self._collector)


def resource_attributes(settings: Settings, process: str) -> dict[str, str]:
    """Return the resource attributes that are ours to say."""
    from radiosonde.semconv import attributes

    said = {attributes.SERVICE_INSTANCE_ID: process}
    if settings.service_name:
        said[attributes.SERVICE_NAME] = settings.service_name
    return said
