"""The list of backends. Adding one is its module in this package and a line here."""

from __future__ import annotations

from radiosonde.assets import alertmanager, collector, compose, grafana, helm, perses, prometheus, runbooks
from radiosonde.assets.asset import Backend
from radiosonde.assets.views import clickhouse, duckdb

BACKENDS = (
    Backend("prometheus", "recording rules, alerts, and scrape configurations", prometheus.make),
    Backend("alertmanager", "routing, grouping and inhibition of the alerts", alertmanager.make),
    Backend("grafana", "dashboards of all models and of one", grafana.make),
    Backend("perses", "the same dashboards for Perses", perses.make),
    Backend("otel-collector", "metrics to Prometheus and ClickHouse, sketches and spans to ClickHouse", collector.make),
    Backend(
        "clickhouse",
        "views over the tables of OpenTelemetry's exporter, and a Grafana dashboard of them",
        clickhouse.make,
    ),
    Backend("duckdb", "the same views over sealed Parquet", duckdb.make),
    Backend("compose", "a compose file for the whole chain, with every file that it mounts", compose.make),
    Backend("helm", "values for the charts kube-prometheus-stack, opentelemetry-collector and grafana", helm.make),
    Backend("runbooks", "a page for each alert: cause, verification, roll-back, pitfalls", runbooks.make),
)
