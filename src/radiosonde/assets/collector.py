"""OpenTelemetry Collector: metrics to Prometheus and ClickHouse, sketches and spans to ClickHouse; also for rotel."""

from __future__ import annotations

from typing import Any

from radiosonde.assets.asset import Asset, AssetOptions
from radiosonde.assets.yaml_text import yaml_text

OTLP_HTTP, OTLP_GRPC = 4318, 4317
METRICS_PORT = 9464
"""Port of the page that Prometheus scrapes."""
HEALTH_PORT = 13133
DATABASE = "otel"
"""Database of ClickHouse that holds the tables of the exporter, and our views."""
ENDPOINT, USER, PASSWORD = "CLICKHOUSE_ENDPOINT", "CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD"
"""Environment variables that `collector_document` reads."""

_COMMENT = """\
OpenTelemetry Collector (contrib, 0.120 or later) for Radiosonde. Made by: radiosonde assets otel-collector
Checked against the documentation, and not run: no test has a Collector binary. Set CLICKHOUSE_ENDPOINT, as tcp://clickhouse:9000,
and CLICKHOUSE_USER and CLICKHOUSE_PASSWORD unless ClickHouse's default user has no password.
Services send to port 4318: OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"""

_ROTEL = """\
# rotel for Radiosonde: the same way into ClickHouse, without a page for Prometheus. Made by: radiosonde assets otel-collector
# The tables must exist: rotel has a tool that makes them, and so does OpenTelemetry's Collector at its start.
ROTEL_OTLP_HTTP_ENDPOINT=0.0.0.0:4318
ROTEL_OTLP_GRPC_ENDPOINT=0.0.0.0:4317
# A request may carry the sketches of many features; the default is 4.
ROTEL_OTLP_GRPC_MAX_RECV_MSG_SIZE_MIB=16
ROTEL_BATCH_TIMEOUT=1s
# A batch that is split loses its resource, and with it the process that counted (rotel 0.0.1a15; the default is 8192 points).
ROTEL_BATCH_MAX_SIZE=1000000
ROTEL_EXPORTER=clickhouse
ROTEL_CLICKHOUSE_EXPORTER_ENDPOINT=http://clickhouse:8123
ROTEL_CLICKHOUSE_EXPORTER_DATABASE=otel
ROTEL_CLICKHOUSE_EXPORTER_COMPRESSION=lz4
ROTEL_CLICKHOUSE_EXPORTER_ASYNC_INSERT=true
"""

_LARGEST_REQUEST = 16 << 20
"""Bytes of a request over HTTP: the sketches of an export of many features."""


def make(_: AssetOptions) -> list[Asset]:
    """Return the Collector's configuration, and rotel's environment."""
    return [Asset("collector.yaml", yaml_text(collector_document(), _COMMENT)), Asset("rotel.env", _ROTEL)]


def collector_document() -> dict[str, Any]:
    """Return the Collector's configuration."""
    into_clickhouse = {"receivers": ["otlp"], "processors": ["memory_limiter", "batch"], "exporters": ["clickhouse"]}
    return {
        "receivers": {
            "otlp": {
                "protocols": {
                    "http": {"endpoint": f"0.0.0.0:{OTLP_HTTP}", "max_request_body_size": _LARGEST_REQUEST},
                    "grpc": {"endpoint": f"0.0.0.0:{OTLP_GRPC}", "max_recv_msg_size_mib": _LARGEST_REQUEST >> 20},
                }
            }
        },
        "processors": {
            # First, so that it refuses data beyond its memory: senders retry.
            "memory_limiter": {"check_interval": "1s", "limit_percentage": 75, "spike_limit_percentage": 20},
            "batch": {"timeout": "5s", "send_batch_size": 10_000, "send_batch_max_size": 20_000},
        },
        "exporters": {
            "clickhouse": {
                "endpoint": f"${{env:{ENDPOINT}}}",
                # Empty where the variables are not set, and then those of the endpoint or of the server.
                "username": f"${{env:{USER}}}",
                "password": f"${{env:{PASSWORD}}}",
                "database": DATABASE,
                "create_schema": True,
                "ttl": "720h",
                "timeout": "10s",
                "sending_queue": {"queue_size": 1_000},
                "retry_on_failure": {"enabled": True, "initial_interval": "5s", "max_interval": "30s", "max_elapsed_time": "300s"},
            },
            "prometheus": {
                "endpoint": f"0.0.0.0:{METRICS_PORT}",
                "add_metric_suffixes": True,
                "enable_open_metrics": True,
                # A series of a process that has ended stays for as long, so that a rate over five minutes sees its end.
                "metric_expiration": "5m",
                "resource_to_telemetry_conversion": {"enabled": False},
            },
        },
        "extensions": {"health_check": {"endpoint": f"0.0.0.0:{HEALTH_PORT}"}},
        "service": {
            "extensions": ["health_check"],
            "pipelines": {
                "metrics": {**into_clickhouse, "exporters": ["clickhouse", "prometheus"]},
                # Sketches are log records of some kilobytes, of no use to Prometheus or a store of logs.
                "logs": into_clickhouse,
                "traces": into_clickhouse,
            },
        },
    }  # fmt: skip
