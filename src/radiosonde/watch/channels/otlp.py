"""Events over OTLP, as log records, through the exporter that sends all else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from radiosonde.model.watched import IncidentEvent
from radiosonde.watch.channels.channel import ChannelResult

if TYPE_CHECKING:
    from radiosonde.export.otlp import OtlpExporter


class OtlpEvents:
    """Sends events as log records.

    Args:
        make: makes the exporter, at the first event: it loads OpenTelemetry.
    """

    name = "otlp"

    def __init__(self, make: Callable[[], OtlpExporter]) -> None:
        self._make = make
        self._exporter: OtlpExporter | None = None

    def takes(self, event: IncidentEvent) -> bool:
        """Take every event."""
        return True

    def send(self, event: IncidentEvent) -> ChannelResult:
        """Send one record."""
        self._exporter = self._exporter or self._make()
        result = self._exporter.export_incidents([event])
        if result.rejected:
            return ChannelResult("refused", result.error)
        return ChannelResult("delivered") if result.ok else ChannelResult("retry", result.error)

    def show(self, event: IncidentEvent) -> str:
        """Return the event's name and title."""
        return f"OTLP log record radiosonde.incident.{event.kind}: {event.title}"

    def close(self) -> None:
        """Close the connections."""
        if self._exporter is not None:
            self._exporter.shutdown()
