"""The list of carriers: how telemetry leaves a process. Adding one is its file in this package, a line here, and its setting."""

from __future__ import annotations

from radiosonde.export import multiprocess_exporter, otlp_exporter, prometheus_exporters, store_exporter
from radiosonde.export.exporter import Carrier, ExportContext, Exporter

CARRIERS: list[Carrier] = [
    Carrier("OTLP", "otlp", otlp_exporter.make, otlp_exporter.health),
    Carrier(
        "Prometheus registry", "prometheus", prometheus_exporters.make_registry, prometheus_exporters.registry_health
    ),
    Carrier("Prometheus page", "prometheus_port", prometheus_exporters.make_page, prometheus_exporters.page_health),
    Carrier("Prometheus files", "prometheus_folder", multiprocess_exporter.make, multiprocess_exporter.health),
    Carrier("store", "store", store_exporter.make, store_exporter.health),
]


def make_exporters(context: ExportContext) -> list[Exporter]:
    """Return the exporters that the settings select."""
    made = [carrier.make(context) for carrier in CARRIERS]
    return [exporter for exporter in made if exporter is not None]
