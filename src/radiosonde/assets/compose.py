"""A compose file for the whole chain: model server, Collector, Prometheus, Alertmanager, ClickHouse, Grafana, and a watch.

The folder is complete: it holds the files of the other backends that the containers mount. Prometheus scrapes only the Collector, because a
server that is scraped too would be counted twice. The watch sends its metrics over OTLP for the same reason, and not to Alertmanager: the
alerts on ``radiosonde_incident_active`` notify already. The Collector has no health check, because its image contains nothing that could ask.
"""

from __future__ import annotations

from typing import Any

from radiosonde.assets import alertmanager, collector, grafana, prometheus
from radiosonde.assets.asset import Asset, AssetOptions
from radiosonde.assets.collector import DATABASE, ENDPOINT, OTLP_GRPC, OTLP_HTTP, PASSWORD, USER
from radiosonde.assets.provisioning import (
    ALERTMANAGER_PORT,
    CLICKHOUSE_HTTP,
    CLICKHOUSE_NATIVE,
    COLLECTOR_MEMORY,
    DASHBOARDS_FOLDER,
    GRAFANA_PORT,
    IMAGES,
    PLUGIN,
    PLUGIN_VERSION,
    PROMETHEUS_PORT,
    dashboards,
    datasources_document,
    providers_document,
    scrape_document,
)
from radiosonde.assets.views import clickhouse
from radiosonde.assets.yaml_text import yaml_text
from radiosonde.config import WatchConfig

UNRUN = "Checked by tests, but never run: no test has a container engine."
"""First line of every file that belongs to the chain alone."""

_COMMENT = f"""\
{UNRUN}
A model server, OpenTelemetry's Collector, Prometheus, Alertmanager, ClickHouse, Grafana and a watch. Made by: radiosonde assets compose
Set CLICKHOUSE_PASSWORD and GRAFANA_PASSWORD, in the environment or in a file .env beside this one, and run: docker compose up --build
Grafana is at http://127.0.0.1:{GRAFANA_PORT}. Replace model/serve.py by your server, and configure the receivers in alertmanager/alertmanager.yml."""

_STORE = "/data/models.sqlite"
_SERVICE = "delays"

_DOCKERFILE = f"""\
# {UNRUN}
# The model server and the watch. Made by: radiosonde assets compose
FROM {IMAGES["python"]}
ARG REQUIREMENT=radiosonde
RUN pip install --no-cache-dir "$REQUIREMENT" && useradd --uid 10001 radiosonde && install -d -o radiosonde /data
COPY serve.py /app/serve.py
USER radiosonde
CMD ["python", "/app/serve.py"]
"""

_SERVE = '''\
# Run by tests as a process, but never in a container. Made by: radiosonde assets compose
"""Stand-in for a model server: replace it by your own. The environment says where telemetry goes."""

from __future__ import annotations

import itertools
import time

import radiosonde as rs


@rs.observe("delays", version="1.0.0", classes=["on time", "late"])
def predict(row: dict[str, float]) -> list[float]:
    """Return the probability of each class."""
    return [0.2, 0.8] if row["wind"] > 20 else [0.9, 0.1]


rs.start()
for number in itertools.count():
    predict({"wind": 5.0 + 7 * number % 31})
    time.sleep(0.1)
'''


def make(options: AssetOptions) -> list[Asset]:
    """Return the compose file and every file that it mounts."""
    mounted = {
        "prometheus": prometheus.make(options),
        "alertmanager": alertmanager.make(options),
        "otel-collector": collector.make(options),
        "clickhouse": clickhouse.make(options),
        "grafana": grafana.make(options),
    }
    own = [
        Asset("prometheus/prometheus.yml", yaml_text(_prometheus_document(), UNRUN)),
        Asset("grafana/provisioning/datasources/radiosonde.yaml", yaml_text(_datasources(options), UNRUN)),
        Asset("grafana/provisioning/dashboards/radiosonde.yaml", yaml_text(providers_document(), UNRUN)),
        Asset("model/Dockerfile", _DOCKERFILE),
        Asset("model/serve.py", _SERVE),
    ]
    others = [Asset(f"{folder}/{each.path}", each.content) for folder, assets in mounted.items() for each in assets]
    return [Asset("compose.yaml", yaml_text(_compose_document(options), _COMMENT)), *own, *others]


def _compose_document(options: AssetOptions) -> dict[str, Any]:
    services = {
        "model": _model(),
        "watch": _watch(),
        "collector": _collector(),
        "prometheus": _prometheus(),
        "alertmanager": _alertmanager(),
        "clickhouse": _clickhouse(),
        "views": _views(),
        "grafana": _grafana(options),
    }
    volumes = ("store", "prometheus", "alertmanager", "clickhouse", "grafana")
    return {"name": "radiosonde", "services": services, "volumes": {name: {} for name in volumes}}


def _model() -> dict[str, Any]:
    return {
        **_radiosonde(_SERVICE),
        "healthcheck": _healthy("python", "-c", f"import os, sys; sys.exit(not os.path.exists('{_STORE}'))"),
    }


def _watch() -> dict[str, Any]:
    page = f"http://127.0.0.1:{WatchConfig().port}/metrics"
    return {
        **_radiosonde("radiosonde-watch"),
        "command": ["radiosonde", "watch", _STORE, "--otlp"],
        "depends_on": {"model": {"condition": "service_healthy"}, "collector": {"condition": "service_started"}},
        "healthcheck": _healthy("python", "-c", f"import urllib.request; urllib.request.urlopen('{page}', timeout=5)"),
    }


def _radiosonde(service: str) -> dict[str, Any]:
    """Return image, store and destination of telemetry, which the server and the watch share."""
    return {
        "build": {"context": "./model", "args": {"REQUIREMENT": "${RADIOSONDE_REQUIREMENT:-radiosonde}"}},
        "restart": "unless-stopped",
        # Without one, the first process of a container ignores SIGTERM unless it handles it.
        "init": True,
        "environment": {
            "RADIOSONDE_STORE": _STORE,
            "OTEL_SERVICE_NAME": service,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://collector:{OTLP_HTTP}",
        },
        "volumes": ["store:/data"],
        "depends_on": {"collector": {"condition": "service_started"}},
    }


def _collector() -> dict[str, Any]:
    return {
        "image": IMAGES["collector"],
        "restart": "unless-stopped",
        "command": ["--config=/etc/radiosonde/collector.yaml"],
        "environment": {ENDPOINT: f"tcp://clickhouse:{CLICKHOUSE_NATIVE}", **_credentials()},
        "volumes": ["./otel-collector/collector.yaml:/etc/radiosonde/collector.yaml:ro"],
        "ports": [_local(OTLP_HTTP), _local(OTLP_GRPC)],
        "mem_limit": COLLECTOR_MEMORY.lower().removesuffix("i"),
        "depends_on": {"clickhouse": {"condition": "service_healthy"}},
    }


def _prometheus() -> dict[str, Any]:
    files = ("prometheus.yml", prometheus.RULES, prometheus.ALERTS)
    return {
        "image": IMAGES["prometheus"],
        "restart": "unless-stopped",
        "command": [
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            "--storage.tsdb.retention.time=30d",
            "--enable-feature=exemplar-storage",
        ],
        "volumes": [
            *(f"./prometheus/{name}:/etc/prometheus/{name}:ro" for name in files),
            "prometheus:/prometheus",
        ],
        "ports": [_local(PROMETHEUS_PORT)],
        "healthcheck": _healthy("promtool", "query", "instant", f"http://127.0.0.1:{PROMETHEUS_PORT}", "vector(1)"),
        "depends_on": {
            "collector": {"condition": "service_started"},
            "alertmanager": {"condition": "service_healthy"},
        },
    }


def _prometheus_document() -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": [prometheus.RULES, prometheus.ALERTS],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"alertmanager:{ALERTMANAGER_PORT}"]}]}]},
        "scrape_configs": [scrape_document("collector")],
    }


def _alertmanager() -> dict[str, Any]:
    return {
        "image": IMAGES["alertmanager"],
        "restart": "unless-stopped",
        "command": ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"],
        "volumes": [
            "./alertmanager/alertmanager.yml:/etc/alertmanager/alertmanager.yml:ro",
            "alertmanager:/alertmanager",
        ],
        "ports": [_local(ALERTMANAGER_PORT)],
        "healthcheck": _healthy(
            "amtool", "cluster", "show", f"--alertmanager.url=http://127.0.0.1:{ALERTMANAGER_PORT}"
        ),
    }


def _clickhouse() -> dict[str, Any]:
    return {
        "image": IMAGES["clickhouse"],
        "restart": "unless-stopped",
        "environment": {"CLICKHOUSE_DB": DATABASE, **_credentials()},
        "ulimits": {"nofile": {"soft": 262_144, "hard": 262_144}},
        "volumes": ["clickhouse:/var/lib/clickhouse"],
        "ports": [_local(CLICKHOUSE_HTTP)],
        "healthcheck": _answers(CLICKHOUSE_HTTP, "/ping"),
    }


def _views() -> dict[str, Any]:
    """Return the job that makes the views: it fails, and is started again, until the Collector has made its tables."""
    return {
        "image": IMAGES["clickhouse"],
        "restart": "on-failure:30",
        "entrypoint": ["clickhouse-client", "--database", DATABASE, "--queries-file", "/radiosonde/views.sql"],
        "environment": {"CLICKHOUSE_HOST": "clickhouse", **_credentials()},
        "volumes": ["./clickhouse/views.sql:/radiosonde/views.sql:ro"],
        "depends_on": {"clickhouse": {"condition": "service_healthy"}, "collector": {"condition": "service_started"}},
    }


def _grafana(options: AssetOptions) -> dict[str, Any]:
    return {
        "image": IMAGES["grafana"],
        "restart": "unless-stopped",
        "environment": {
            "GF_SECURITY_ADMIN_PASSWORD": "${GRAFANA_PASSWORD:?set GRAFANA_PASSWORD}",
            "GF_PLUGINS_PREINSTALL_SYNC": f"{PLUGIN}@{PLUGIN_VERSION}",
            **_credentials(),
        },
        "volumes": [
            "./grafana/provisioning:/etc/grafana/provisioning:ro",
            *(f"./{path}:{DASHBOARDS_FOLDER}/{name}:ro" for path, name in dashboards(options).items()),
            "grafana:/var/lib/grafana",
        ],
        "ports": [_local(GRAFANA_PORT)],
        "healthcheck": _answers(GRAFANA_PORT, "/api/health"),
        "depends_on": {
            "prometheus": {"condition": "service_healthy"},
            "clickhouse": {"condition": "service_healthy"},
        },
    }


def _datasources(options: AssetOptions) -> dict[str, Any]:
    return datasources_document(options, f"http://prometheus:{PROMETHEUS_PORT}", "clickhouse")


def _credentials() -> dict[str, str]:
    return {USER: f"${{{USER}:-radiosonde}}", PASSWORD: f"${{{PASSWORD}:?set {PASSWORD}}}"}


def _local(port: int) -> str:
    """Return the binding of a port to this machine alone."""
    return f"127.0.0.1:{port}:{port}"


def _answers(port: int, path: str) -> dict[str, Any]:
    return _healthy("wget", "--quiet", "--spider", f"http://127.0.0.1:{port}{path}")


def _healthy(*command: str) -> dict[str, Any]:
    return {"test": ["CMD", *command], "interval": "10s", "timeout": "10s", "retries": 12, "start_period": "20s"}
