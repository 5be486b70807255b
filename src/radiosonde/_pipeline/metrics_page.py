"""A ``/metrics`` page on a port of 127.0.0.1, for a server or an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde.errors import ConfigurationError

if TYPE_CHECKING:
    from radiosonde.export.prometheus import PrometheusCollector


class MetricsPage:
    """Serves a collector until it is closed.

    Args:
        collector: whose samples are shown.
        port: where; 0 takes a free one.

    Raises:
        ConfigurationError: the port is taken.
    """

    def __init__(self, collector: PrometheusCollector, port: int) -> None:
        from radiosonde.export.prometheus import serve

        try:
            self._server, self._thread = serve(collector, port)
        except OSError as error:
            raise ConfigurationError(
                f"prometheus_port {port} cannot be listened on ({error}); end what listens there or give another port"
            ) from error

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}/metrics"

    def close(self, timeout_s: float) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout_s)
