"""What the agent serves and sends: one ``/metrics`` and one OTLP stream for all processes of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from radiosonde._pipeline._worker import Worker
from radiosonde._settings import Settings
from radiosonde.errors import ConfigurationError
from radiosonde.model import losses
from radiosonde.semconv import attributes

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde._pipeline.agent import Agent
    from radiosonde.export.otlp import OtlpExporter


class AgentOutlets:
    """Prometheus and OTLP of one agent.

    Args:
        agent: whose snapshots go out.
        guard: counts what is lost.
        port: serve ``/metrics`` on 127.0.0.1 at this port; None does not, 0 takes a free one.
        otlp: export over OTLP/HTTP every `Settings.export_interval_s` of the environment.

    Raises:
        ConfigurationError: the port is taken.

    Attributes:
        said: what is served where, for people.
    """

    def __init__(self, agent: Agent, guard: Guard, *, port: int | None, otlp: bool) -> None:
        self._agent, self._guard = agent, guard
        self._server: Any = None
        self._exporter: OtlpExporter | None = None
        self.said = ""
        if port is not None:
            from radiosonde.export.prometheus import PrometheusCollector, serve

            try:
                self._server = serve(PrometheusCollector(agent.snapshot), port)
            except OSError as error:
                raise ConfigurationError(f"port {port} cannot be served: {error.strerror}; name another") from error
            self.said = f", metrics on http://127.0.0.1:{self._server[0].server_port}/metrics"
        settings = Settings.resolve(otlp=otlp or None)
        self._sender = Worker(self._send, settings.export_interval_s, "radiosonde-sender")
        if settings.otlp:
            from radiosonde.export.otlp import OtlpExporter

            said = {attributes.SERVICE_INSTANCE_ID: agent.process}
            if settings.service_name:
                said[attributes.SERVICE_NAME] = settings.service_name
            self._exporter = OtlpExporter(resource_attributes=said)
            self._sender.start()
            self.said += ", OTLP"

    def _send(self) -> None:
        self._guard.call("sender", self.export)

    def export(self) -> None:
        """Send the metrics once."""
        if self._exporter is not None:
            result = self._exporter.export_metrics(self._agent.snapshot())
            if not result.ok:
                self._guard.lose(losses.EXPORT_FAILED)
                self._guard.tell("otlp", "Export failed: %s", result.error)

    def close(self) -> None:
        """Send once more, end the thread and the server."""
        self._sender.stop(5.0)
        if self._exporter is not None:
            self._send()
            self._exporter.shutdown(5.0)
        if self._server is not None:
            server, thread = self._server
            server.shutdown()
            server.server_close()
            thread.join(5.0)
