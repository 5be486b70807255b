"""Prometheus scrapes: a collector in prometheus-client's default registry, and a ``/metrics`` page on a separate port.

Both are pulled. A scrape takes a snapshot, in its own thread.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from radiosonde._guard import Guard
from radiosonde.errors import ConfigurationError
from radiosonde.export.exporter import BaseExporter, ExportContext, ExportCounts, ExporterHealth

if TYPE_CHECKING:
    from radiosonde._settings import Settings
    from radiosonde._when_imported import WhenImported
    from radiosonde.export.metrics_page import MetricsPage
    from radiosonde.export.prometheus import PrometheusCollector
    from radiosonde.export.snapshot import Snapshot

TIMEOUT_S = 1.0
_LOCAL = "127.0.0.1"


class _Scraped(BaseExporter):
    """Counts the scrapes."""

    def __init__(self, context: ExportContext) -> None:
        self._settings, self._take_snapshot = context.settings, context.snapshot
        self._scrapes = Counter[str]()

    def _collector(self) -> PrometheusCollector:
        # First, by itself: its import may register a collector (`RegistryExporter._register_late`), whose module must be
        # whole by then, and not in the midst of importing the library.
        import prometheus_client  # noqa: F401

        from radiosonde.export.prometheus import PrometheusCollector

        return PrometheusCollector(self._snapshot)

    def _snapshot(self) -> Snapshot:
        self._scrapes["prometheus"] += 1
        return self._take_snapshot()

    def counts(self) -> ExportCounts:
        """Return the scrapes."""
        return ExportCounts(dict(self._scrapes))


class RegistryExporter(_Scraped):
    """A collector in prometheus-client's default registry.

    The registry is unused until the host has imported the library, which costs 35 ms of CPU and 5 MiB. The collector is registered as soon
    as it has.
    """

    setting = "prometheus"

    def __init__(self, context: ExportContext) -> None:
        super().__init__(context)
        self._guard = context.guard
        self._registered: PrometheusCollector | None = None
        self._awaited: WhenImported | None = None

    def open(self) -> None:
        """Register the collector, now or when prometheus-client is imported.

        Raises:
            ConfigurationError: another Radiosonde is in the registry.
        """
        if self._registered is not None or self._awaited is not None:
            return
        if "prometheus_client" in sys.modules:
            self._register()
        else:
            from radiosonde._when_imported import WhenImported

            self._awaited = WhenImported("prometheus_client", self._register_late)

    def _register_late(self) -> None:
        self._awaited = None
        failure = self._guard.attempt(self._register)
        if isinstance(failure, Exception):
            self._guard.warn(f"setting {self.setting}", "%s", failure)

    def _register(self) -> None:
        import prometheus_client

        collector = self._collector()
        try:
            prometheus_client.REGISTRY.register(collector)
        except ValueError as error:
            raise ConfigurationError(
                "Prometheus' default registry has these metrics already; shut down the other Radiosonde of this "
                "process, or start with prometheus=False"
            ) from error
        self._registered = collector

    def close(self, timeout_s: float) -> None:
        """Unregister the collector."""
        self.abandon()

    def abandon(self) -> None:
        """Unregister the collector: a forked child has its own."""
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            awaited.cancel()
        if self._registered is not None:
            import prometheus_client

            Guard.attempt(prometheus_client.REGISTRY.unregister, self._registered)  # the host may have done it
            self._registered = None


class PageExporter(_Scraped):
    """A ``/metrics`` page on a port.

    Attributes:
        page: the page, while it is open.
    """

    setting = "prometheus_port"

    def __init__(self, context: ExportContext) -> None:
        super().__init__(context)
        self.page: MetricsPage | None = None

    def open(self) -> None:
        """Listen.

        Raises:
            ConfigurationError: the port is taken.
        """
        if self.page is None:
            from radiosonde.export.metrics_page import MetricsPage

            port, host = self._settings.prometheus_port or 0, self._settings.prometheus_host
            self.page = MetricsPage(self._collector(), port, host)

    def close(self, timeout_s: float) -> None:
        """Stop listening."""
        page, self.page = self.page, None
        if page is not None:
            page.close(timeout_s)

    def abandon(self) -> None:
        """Forget the page: its thread and its socket are the parent's."""
        self.page = None


def make_registry(context: ExportContext) -> RegistryExporter | None:
    """Return the exporter, None where it is off."""
    return RegistryExporter(context) if context.settings.prometheus else None


def make_page(context: ExportContext) -> PageExporter | None:
    """Return the exporter, None without a port."""
    return None if context.settings.prometheus_port is None else PageExporter(context)


def registry_health(settings: Settings, variables: Mapping[str, str]) -> Iterator[ExporterHealth]:  # noqa: ARG001 - of all carriers
    """Report whether the registry is used, if there is no page."""
    if settings.prometheus_port is None:
        where = "prometheus-client's default registry" if settings.prometheus else "off"
        yield ExporterHealth(
            "off", f"Prometheus: {where}; RADIOSONDE_PROMETHEUS_PORT=9464 serves /metrics without code"
        )


def page_health(settings: Settings, variables: Mapping[str, str]) -> Iterator[ExporterHealth]:  # noqa: ARG001 - of all carriers
    """Report whether the port is available."""
    port = settings.prometheus_port
    if port is None:
        return
    import socket

    host = settings.prometheus_host
    is_local = host == _LOCAL
    whom = (
        "to this machine only; RADIOSONDE_PROMETHEUS_HOST=0.0.0.0 lets others scrape it" if is_local else f"on {host}"
    )
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            yield ExporterHealth("ok", f"Prometheus: port {port} is free, /metrics will be served {whom}")
    except OSError as error:
        if _is_our_page(port):
            yield ExporterHealth("ok", f"Prometheus: a running Radiosonde serves port {port}")
            return
        said = f"Prometheus: port {port} of {host} is not available ({error.strerror})"
        yield ExporterHealth("fix", said, f"ss -ltnp 'sport = :{port}'")


def _is_our_page(port: int) -> bool:
    import urllib.request

    try:
        with urllib.request.urlopen(f"http://{_LOCAL}:{port}/metrics", timeout=TIMEOUT_S) as page:
            return b"radiosonde_sdk_" in page.read(10_000_000)
    except (OSError, ValueError):
        return False
