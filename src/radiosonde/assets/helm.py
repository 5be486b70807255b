"""Values for the charts of the community: kube-prometheus-stack, opentelemetry-collector and grafana.

A sketch of the same chain as the compose file, on Kubernetes. Rules, routing and the Collector's configuration are written into the values.
Dashboards are too large for that and come from a ConfigMap, which is made from the files of ``radiosonde assets grafana`` and ``clickhouse``.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from radiosonde.assets.alertmanager import routing_document
from radiosonde.assets.asset import Asset, AssetOptions
from radiosonde.assets.collector import (
    ENDPOINT,
    HEALTH_PORT,
    METRICS_PORT,
    OTLP_GRPC,
    OTLP_HTTP,
    PASSWORD,
    USER,
    collector_document,
)
from radiosonde.assets.prometheus import rule_documents
from radiosonde.assets.provisioning import (
    CLICKHOUSE_NATIVE,
    COLLECTOR_MEMORY,
    DASHBOARDS_FOLDER,
    IMAGES,
    PLUGIN,
    PLUGIN_VERSION,
    PROMETHEUS_PORT,
    dashboards,
    datasources_document,
    providers_document,
    scrape_document,
)
from radiosonde.assets.yaml_text import yaml_text

_UNRUN = "Checked by tests, but never run: no test has a cluster. A sketch: read it before you install it."
_COLLECTOR, _CLICKHOUSE = "radiosonde-collector", "clickhouse"
_SECRET, _ADMIN, _CONFIG_MAP = "radiosonde-clickhouse", "radiosonde-grafana", "radiosonde-dashboards"
_PROMETHEUS = "prometheus-operated"
"""Service that the operator makes for the Prometheus of its namespace."""

_STACK = f"""\
{_UNRUN}
Values for the chart kube-prometheus-stack: rules, alerts, routing, and the scrape of the Collector. Made by: radiosonde assets helm
helm install prometheus prometheus-community/kube-prometheus-stack --values kube-prometheus-stack.yaml"""

_COLLECTOR_HEAD = f"""\
{_UNRUN}
Values for the chart opentelemetry-collector. Made by: radiosonde assets helm
kubectl create secret generic {_SECRET} --from-literal={USER}=... --from-literal={PASSWORD}=...
helm install collector open-telemetry/opentelemetry-collector --values opentelemetry-collector.yaml
Model servers send to it: OTEL_EXPORTER_OTLP_ENDPOINT=http://{_COLLECTOR}:{OTLP_HTTP}"""


def make(options: AssetOptions) -> list[Asset]:
    """Return the values, one file for each chart."""
    return [
        Asset("kube-prometheus-stack.yaml", yaml_text(_stack(options), _STACK)),
        Asset("opentelemetry-collector.yaml", yaml_text(_collector(), _COLLECTOR_HEAD)),
        Asset("grafana.yaml", yaml_text(_grafana(options), _grafana_head(options))),
    ]


def _stack(options: AssetOptions) -> dict[str, Any]:
    return {
        "grafana": {"enabled": False},
        "alertmanager": {"config": routing_document(options)},
        "additionalPrometheusRulesMap": {
            f"radiosonde-{PurePosixPath(name).stem}": document for name, document in rule_documents(options).items()
        },
        "prometheus": {
            "prometheusSpec": {
                "retention": "30d",
                "enableFeatures": ["exemplar-storage"],
                "additionalScrapeConfigs": [scrape_document(_COLLECTOR)],
            }
        },
    }


def _collector() -> dict[str, Any]:
    repository, _, tag = IMAGES["collector"].partition(":")
    open_ports = {"otlp": OTLP_GRPC, "otlp-http": OTLP_HTTP, "prometheus": METRICS_PORT}
    closed_ports = ("jaeger-compact", "jaeger-thrift", "jaeger-grpc", "zipkin")
    return {
        "mode": "deployment",
        "fullnameOverride": _COLLECTOR,
        "image": {"repository": repository, "tag": tag},
        "command": {"name": "otelcol-contrib"},
        # Not ``config``, into which the chart would merge receivers of its own.
        "alternateConfig": collector_document(),
        "ports": {
            **{
                name: {"enabled": True, "containerPort": port, "servicePort": port, "protocol": "TCP"}
                for name, port in open_ports.items()
            },
            **{name: {"enabled": False} for name in closed_ports},
        },
        **{
            f"{probe}Probe": {"httpGet": {"path": "/", "port": HEALTH_PORT}} for probe in ("liveness", "readiness")
        },
        "extraEnvs": [
            {"name": ENDPOINT, "value": f"tcp://{_CLICKHOUSE}:{CLICKHOUSE_NATIVE}"},
            *({"name": name, "valueFrom": {"secretKeyRef": {"name": _SECRET, "key": name}}} for name in (USER, PASSWORD)),
        ],
        "resources": {"limits": {"memory": COLLECTOR_MEMORY}},
    }  # fmt: skip


def _grafana(options: AssetOptions) -> dict[str, Any]:
    prometheus_url = f"http://{_PROMETHEUS}:{PROMETHEUS_PORT}"
    return {
        "image": {"tag": IMAGES["grafana"].partition(":")[2]},
        "admin": {"existingSecret": _ADMIN},
        "env": {"GF_PLUGINS_PREINSTALL_SYNC": f"{PLUGIN}@{PLUGIN_VERSION}"},
        "envFromSecrets": [{"name": _SECRET}],
        "datasources": {"datasources.yaml": datasources_document(options, prometheus_url, _CLICKHOUSE)},
        "dashboardProviders": {"dashboardproviders.yaml": providers_document()},
        "dashboardsConfigMaps": {PurePosixPath(DASHBOARDS_FOLDER).name: _CONFIG_MAP},
    }


def _grafana_head(options: AssetOptions) -> str:
    files = " ".join(f"--from-file={name}=../{path}" for path, name in dashboards(options).items())
    return f"""\
{_UNRUN}
Values for the chart grafana. Made by: radiosonde assets helm
The dashboards are those of radiosonde assets grafana and clickhouse, in folders beside this one:
kubectl create configmap {_CONFIG_MAP} {files}
kubectl create secret generic {_ADMIN} --from-literal=admin-user=admin --from-literal=admin-password=...
helm install grafana grafana/grafana --values grafana.yaml"""
