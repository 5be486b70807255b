"""Where a process's windows go: store, Prometheus, OTLP. Each failure is a counted loss; what waits is bounded.

Store and OTLP have a thread each: a backend that hangs for its whole timeout, or a disk that takes seconds for a sync,
would otherwise let the rings run over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from radiosonde._pipeline.forgiving import open_part
from radiosonde._pipeline.metrics_page import MetricsPage
from radiosonde._pipeline.otlp_outlet import OtlpOutlet, resource_attributes
from radiosonde._pipeline.waiting import WaitingWindows
from radiosonde.errors import ConfigurationError
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde._join.store import Batch
    from radiosonde._settings import Settings
    from radiosonde.export.prometheus import PrometheusCollector
    from radiosonde.export.snapshot import Snapshot
    from radiosonde.model import Window
    from radiosonde.model.spans import KeptSpan
    from radiosonde.reference.profile import Reference
    from radiosonde.store.writer import StoreWriter

References = Mapping[tuple[str, str], "Reference"]


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
        self._collector: PrometheusCollector | None = None
        self._page: MetricsPage | None = None
        self._for_store = WaitingWindows(guard, losses.STORE_FAILED)
        self.otlp = OtlpOutlet(guard, snapshot, resource_attributes(settings, process)) if settings.otlp else None
        self._exports: Counter[str] = Counter()
        self._stored_bytes = self._pruned = 0
        self.was_opened = False

    @property
    def exports(self) -> Counter[str]:
        """Successful exports by carrier."""
        return self._exports + (self.otlp.exports if self.otlp else Counter())

    @property
    def exported_bytes(self) -> int:
        """Bytes handed to carriers."""
        return self._stored_bytes + (self.otlp.exported_bytes if self.otlp else 0)

    @property
    def series_cut(self) -> int:
        """Time series left out of the last OTLP export."""
        return self.otlp.series_cut if self.otlp else 0

    def open(self) -> None:
        """Open the store and register with Prometheus: all of it or nothing.

        Raises:
            ConfigurationError: the Prometheus port is taken, or another Radiosonde is in the registry.
            StoreError: the store cannot be opened.
        """
        self.was_opened = True
        try:
            for setting, part in self._parts():
                open_part(self._settings, self._guard, setting, part)
            self.prepare()
        except Exception:
            self.close(1.0)
            raise

    def open_what_can_be(self) -> None:
        """Open at the first prediction, with nobody there to hear of errors: each outlet on its own, once."""
        self.was_opened = True
        for setting, part in self._parts():
            failure = self._guard.attempt(part)
            if isinstance(failure, Exception):
                self._guard.tell(f"setting {setting}", "%s", failure)

    def _parts(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield what is to be opened, each with the setting that asks for it."""
        if self._settings.store is not None:
            yield "store", self._open_store
        if self._settings.prometheus:
            yield "prometheus", self._register_collector
        if self._settings.prometheus_port is not None:
            yield "prometheus_port", self._serve_page

    def _open_store(self) -> StoreWriter:
        if self._store is None:
            from radiosonde.store.writer import StoreWriter

            self._store = StoreWriter(str(self._settings.store), process=self._process)
            self._pruned = 0
        return self._store

    def _register_collector(self) -> None:
        import prometheus_client

        from radiosonde.export.prometheus import PrometheusCollector

        collector = PrometheusCollector(self._scraped)
        try:
            prometheus_client.REGISTRY.register(collector)
        except ValueError as error:
            raise ConfigurationError(
                "Prometheus' default registry has these metrics already; shut the other Radiosonde of this process "
                "down, or start with prometheus=False"
            ) from error
        self._collector = collector

    def _serve_page(self) -> None:
        from radiosonde.export.prometheus import PrometheusCollector

        port, host = self._settings.prometheus_port or 0, self._settings.prometheus_host
        self._page = MetricsPage(PrometheusCollector(self._scraped), port, host)

    def _scraped(self) -> Snapshot:
        self._exports["prometheus"] += 1
        return self._snapshot()

    # Windows ---------------------------------------------------------------------------------------------------------

    def take(self, windows: Sequence[Window], spans: Sequence[KeptSpan] = ()) -> None:
        """Keep closed windows for the store and for OTLP, and spans for OTLP. The consumer's."""
        if self._settings.store is not None:
            self._for_store.put(windows)
        if self.otlp is not None:
            self.otlp.take(windows, spans)

    def was_counted(self, batch: Batch) -> bool:
        """Say whether the store has the outcomes of *batch*: it was written, and not acknowledged any more.

        Raises:
            StoreError: the store cannot be read.
        """
        return self._settings.store is not None and self._open_store().was_joined(batch.id)

    def write(self, references: References, batch: Batch | None = None) -> bool:
        """Write the waiting windows to the store; return whether none waits any more. The storing thread's.

        Args:
            references: the profiles they are read against.
            batch: whose outcomes are among them; it is remembered in the same transaction.
        """
        if self._settings.store is None:
            return True
        windows = self._for_store.take()
        if not windows and batch is None:
            return True
        written = self._guard.attempt(self._write_batch, windows, references, [] if batch is None else [batch.id])
        if isinstance(written, Exception):
            self._guard.tell("store", "The store cannot be written (%s); %d windows wait", written, len(windows))
            self._for_store.settle(0)
            return False
        self._for_store.settle(len(windows))
        self._exports["store"] += 1
        self._stored_bytes += written
        return True

    def _write_batch(self, windows: Sequence[Window], references: References, joined: Sequence[str]) -> int:
        store = self._open_store()  # again, if it could not be opened before
        written = store.write(windows, references, joined=joined)
        if store.pruned > self._pruned:
            self._guard.lose(losses.STORE_PRUNED, store.pruned - self._pruned)
            self._pruned = store.pruned
        return written

    def export(self) -> None:
        """Send metrics and waiting sketches over OTLP. The exporting thread's, and the exit's."""
        if self.otlp is not None:
            self.otlp.export()

    def prepare(self) -> None:
        """Make the OTLP exporter now: its resource cannot be resolved once the interpreter exits."""
        if self.otlp is not None:
            self.otlp.exporter()

    # Ends ------------------------------------------------------------------------------------------------------------

    def close(self, timeout_s: float) -> None:
        """Close everything that `open` opened."""
        self._for_store.abandon()
        if self._collector is not None:
            import prometheus_client

            self._guard.attempt(prometheus_client.REGISTRY.unregister, self._collector)
        if self._page is not None:
            self._page.close(timeout_s)
        if self._store is not None:
            self._store.close()
        if self.otlp is not None:
            self.otlp.close(timeout_s)
        self._store = self._collector = self._page = None

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
