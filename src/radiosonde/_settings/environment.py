"""The environment: the only module that reads it. Nothing is read at import.

OpenTelemetry's own variables are read by OpenTelemetry's rules: undefined values are not an error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

SERVER_VARIABLES = ("GUNICORN_CMD_ARGS", "WEB_CONCURRENCY", "UVICORN_WORKERS", "GRANIAN_WORKERS", "FLASK_DEBUG")

OTHER_VARIABLES = {
    "RADIOSONDE_CONFIG": "file with objectives and owners ([`radiosonde.toml`](configuration.md)); by default the one beside the store",
    "RADIOSONDE_MODEL_NAME": "name of untagged models observed by plug-ins",
    "RADIOSONDE_MODEL_VARIANT": "their variant: `stable`, `canary`, `shadow`, a flag's variant",
    "RADIOSONDE_MODEL_VERSION": "their version",
    "RADIOSONDE_PUBLIC_FILES": "`true`: stores, labels, Parquet files and profiles get the umask's mode instead of 0600",
}
"""Variables that are not settings, with their documentation."""


def in_force(environment: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return *environment*, or the process's where it is None."""
    return os.environ if environment is None else environment


def variables_in_force(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the relevant variables of the environment by name: Radiosonde's, OpenTelemetry's, and those of servers."""
    env = in_force(environment)
    return {
        name: env[name]
        for name in sorted(env)
        if name.startswith(("RADIOSONDE_", "OTEL_")) or name in (*SERVER_VARIABLES, "PROMETHEUS_MULTIPROC_DIR")
    }


def files_are_public(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether files get the umask's mode. Read for each file: files are created before settings are resolved."""
    return in_force(environment).get("RADIOSONDE_PUBLIC_FILES", "").strip().lower() in {"1", "true", "yes", "on"}


def model_tag(environment: Mapping[str, str] | None = None) -> tuple[str | None, str | None, str | None]:
    """Return the name, version and variant that the environment sets for untagged models."""
    env = in_force(environment)
    name, version, variant = (env.get(f"RADIOSONDE_MODEL_{part}") or None for part in ("NAME", "VERSION", "VARIANT"))
    return name, version, variant


def prometheus_folder(env: Mapping[str, str]) -> str | None:
    """Return the folder of prometheus-client's multiprocess mode, None where it is off."""
    return env.get("PROMETHEUS_MULTIPROC_DIR") or env.get("prometheus_multiproc_dir") or None


def otel_disabled(env: Mapping[str, str]) -> bool | None:
    """Return True where OpenTelemetry is switched off. Its rule: everything but "true" is false, and nothing is an error."""
    return True if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" else None


def otel_service_name(env: Mapping[str, str]) -> str | None:
    """Return the service name, None without one."""
    return env.get("OTEL_SERVICE_NAME") or None


def otel_interval_s(env: Mapping[str, str]) -> float | None:
    """Return the seconds between exports; None for an unset or invalid variable: OpenTelemetry falls back to its default."""
    interval_ms = env.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip()
    return int(interval_ms) / 1000 if interval_ms.isdecimal() and int(interval_ms) > 0 else None


OTLP_SIGNALS = ("metrics", "logs", "traces")


def otlp_signals(environment: Mapping[str, str] | None = None) -> frozenset[str]:
    """Return the signals that OpenTelemetry's variables send out over OTLP, where OTLP is on.

    Each has its own variables: ``OTEL_LOGS_EXPORTER`` decides on logs (the sketches), if it is set. If not, logs are exported if they have
    an endpoint, their own or the common one. If there is neither, they go to localhost, as in OpenTelemetry, unless another signal has its
    own endpoint: then only that signal is exported.
    """
    env, prefix = in_force(environment), "OTEL_EXPORTER_OTLP"
    is_common = bool(env.get(f"{prefix}_ENDPOINT", "").strip())
    own = {signal for signal in OTLP_SIGNALS if env.get(f"{prefix}_{signal.upper()}_ENDPOINT", "").strip()}
    taken = set()
    for signal in OTLP_SIGNALS:
        exporters = [name.strip() for name in env.get(f"OTEL_{signal.upper()}_EXPORTER", "").split(",") if name.strip()]
        if exporters:
            is_taken = any(name.startswith("otlp") for name in exporters) and "none" not in exporters
        else:
            is_taken = is_common or signal in own or not own
        if is_taken:
            taken.add(signal)
    return frozenset(taken)


def otel_takes_metrics(env: Mapping[str, str]) -> bool | None:
    """Return whether OpenTelemetry's variables enable the export of metrics over OTLP."""
    exporters = [name.strip() for name in env.get("OTEL_METRICS_EXPORTER", "").split(",")]
    named = env.get("OTEL_EXPORTER_OTLP_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
    return "metrics" in otlp_signals(env) and (bool(named) or any(name.startswith("otlp") for name in exporters))


def otel_spans_per_minute(env: Mapping[str, str]) -> int | None:
    """Return 0 where traces have nowhere to go."""
    return None if "traces" in otlp_signals(env) else 0
