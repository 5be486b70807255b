"""Serves ``/metrics`` on a separate port, for a server or an agent."""

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
        host: address to listen on.

    Raises:
        ConfigurationError: the address is none of this machine's, or the port is taken.
    """

    def __init__(self, collector: PrometheusCollector, port: int, host: str) -> None:
        from radiosonde.export.prometheus import serve

        self._host = host
        try:
            self._server, self._thread = serve(collector, port, host)
        except OSError as error:
            raise ConfigurationError(
                f"prometheus_port {port} of prometheus_host {host} is not available ({error}); stop what listens there, choose "
                "another port, or an address of this machine"
            ) from error

    @property
    def url(self) -> str:
        """Where it is."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.server_port}/metrics"

    def close(self, timeout_s: float) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout_s)
