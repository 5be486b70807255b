"""What connects the backends of one chain: the scrape of the Collector, and Grafana's data sources and folder of dashboards.

Shared by the compose file and the Helm values, so that both serve the same series and dashboards.
"""

from __future__ import annotations

from typing import Any

from radiosonde.assets import grafana
from radiosonde.assets.asset import AssetOptions
from radiosonde.assets.collector import DATABASE, METRICS_PORT, PASSWORD, USER
from radiosonde.assets.views import clickhouse

PROMETHEUS_PORT, ALERTMANAGER_PORT, GRAFANA_PORT = 9090, 9093, 3000
CLICKHOUSE_HTTP, CLICKHOUSE_NATIVE = 8123, 9000

IMAGES = {
    # 3.13 has long-term support until July 2027.
    "prometheus": "prom/prometheus:v3.13.2",
    "alertmanager": "prom/alertmanager:v0.34.1",
    # The release of the engine on which the tests run the views.
    "clickhouse": "clickhouse/clickhouse-server:26.9.6.6",
    "collector": "otel/opentelemetry-collector-contrib:0.139.0",
    "grafana": "grafana/grafana:12.3.1",
    "python": "python:3.13-slim",
}
"""Images by their role, each with an exact tag."""

COLLECTOR_MEMORY = "1Gi"
"""Limit of the Collector's memory, of which its `memory_limiter` takes a share."""

PLUGIN, PLUGIN_VERSION = "grafana-clickhouse-datasource", "4.20.0"
DASHBOARDS_FOLDER = "/var/lib/grafana/dashboards/radiosonde"


def scrape_document(host: str) -> dict[str, Any]:
    """Return the scrape configuration of the Collector at *host*.

    All processes are on its one page, so their own ``job`` and ``instance``, which are service and process, must be kept.
    """
    return {
        "job_name": "radiosonde-collector",
        "honor_labels": True,
        "static_configs": [{"targets": [f"{host}:{METRICS_PORT}"]}],
    }


def datasources_document(options: AssetOptions, prometheus_url: str, clickhouse_host: str) -> dict[str, Any]:
    """Return Grafana's data sources; credentials come from Grafana's environment."""
    return {
        "apiVersion": 1,
        "datasources": [
            {
                "name": options.datasource or "Prometheus",
                "type": "prometheus",
                "access": "proxy",
                "url": prometheus_url,
                "isDefault": True,
            },
            {
                "name": "ClickHouse",
                "type": PLUGIN,
                "jsonData": {
                    "host": clickhouse_host,
                    "port": CLICKHOUSE_NATIVE,
                    "protocol": "native",
                    "username": f"${USER}",
                    "defaultDatabase": DATABASE,
                },
                "secureJsonData": {"password": f"${PASSWORD}"},
            },
        ],
    }


def providers_document() -> dict[str, Any]:
    """Return the provider that loads the dashboards from `DASHBOARDS_FOLDER`."""
    return {
        "apiVersion": 1,
        "providers": [
            {"name": "radiosonde", "folder": "Radiosonde", "type": "file", "options": {"path": DASHBOARDS_FOLDER}}
        ],
    }


def dashboards(options: AssetOptions) -> dict[str, str]:
    """Return the name of each dashboard in `DASHBOARDS_FOLDER`, by its path among the assets of all backends."""
    ours = {f"grafana/{asset.path}": asset.path for asset in grafana.make(options)}
    views = {
        f"clickhouse/{asset.path}": f"clickhouse-{asset.path}"
        for asset in clickhouse.make(options)
        if asset.path.endswith(".json")
    }
    return {**ours, **views}
