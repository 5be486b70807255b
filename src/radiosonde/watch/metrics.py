"""Sends the metrics of a watch over OTLP."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde.export.otlp import OtlpExporter
    from radiosonde.export.snapshot import Snapshot


class OtlpMetrics:
    """Sends a snapshot again and again.

    Args:
        make: creates the exporter, in the first run: it loads OpenTelemetry.
        snapshot: returns the snapshot to send.
        every_s: interval in seconds.
        guard: logs and contains.
    """

    name = "otlp-metrics"

    def __init__(
        self, make: Callable[[], OtlpExporter], snapshot: Callable[[], Snapshot], every_s: float, guard: Guard
    ) -> None:
        self._make, self._snapshot, self._every_s, self._guard = make, snapshot, every_s, guard
        self._exporter: OtlpExporter | None = None

    def turn(self) -> float:
        """Send one; return the seconds until the next."""
        with self._guard("watch_metrics"):
            self._exporter = self._exporter or self._make()
            result = self._exporter.export_metrics(self._snapshot())
            if not result.ok:
                self._guard.warn("watch metrics", "Export failed: %s", result.error)
        return self._every_s

    def close(self) -> None:
        """Close the connections."""
        if self._exporter is not None:
            self._exporter.shutdown()
