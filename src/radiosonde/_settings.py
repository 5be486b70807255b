"""Settings, resolved once, at first use: arguments of ``start`` first, then ``RADIOSONDE_*``, then ``OTEL_*``.

The only module that reads the environment. Reading happens in `Settings.resolve`, never at import.

Variables: ``RADIOSONDE_DISABLED``, ``RADIOSONDE_STORE``, ``RADIOSONDE_SPOOL``, ``RADIOSONDE_AGENT``, ``RADIOSONDE_WINDOW_S``, ``RADIOSONDE_REFERENCE`` (a path, or
``model=path`` pairs joined by commas), ``RADIOSONDE_COHORTS`` (``plan=free|pro,carrier=UA|AA|*``),
``RADIOSONDE_PROMETHEUS_PORT``, ``RADIOSONDE_RING_BYTES``, ``RADIOSONDE_MAX_SERIES``, ``RADIOSONDE_CPU_BUDGET``, ``RADIOSONDE_OTLP``; and
``OTEL_SDK_DISABLED``, ``OTEL_SERVICE_NAME``, ``OTEL_METRIC_EXPORT_INTERVAL``, ``OTEL_EXPORTER_OTLP_ENDPOINT`` (and
``..._METRICS_ENDPOINT``), ``OTEL_METRICS_EXPORTER``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from radiosonde.errors import ConfigurationError

ANY = "*"
"""In a cohort's allow-list: every value passes as it is (up to the bound on series)."""

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set.

    Attributes:
        store: path of the SQLite store, or None for no store.
        spool: folder where the rings lie as files and outlive the process, or None for rings in memory.
        agent: leave the rings in the spool to ``radiosonde agent``; this process only writes them.
        window_s: length of a window in seconds of event time.
        references: path of a reference profile by model name; ``"*"`` serves models without one.
        cohorts: allowed values by cohort dimension; ``"*"`` among them lets every value pass. Values outside become
            ``other``; values of a dimension that is not listed are hashed.
        service_name: ``service.name`` of the telemetry; None leaves it to OpenTelemetry's own rules.
        otlp: export over OTLP/HTTP; default: when an OTLP endpoint or exporter is named in the environment.
        export_interval_s: seconds between exports of metrics.
        prometheus: register a collector in prometheus-client's default registry.
        prometheus_port: serve ``/metrics`` on 127.0.0.1 at this port; None does not.
        ring_bytes: size of one model's ring.
        max_series: cohort cells per model before further ones fold into ``__overflow__``.
        cpu_budget: CPU seconds per second, so share of one core, that our threads in this process may use together. Held
            by looking at the features and outputs of fewer rows, each for several; calls, rows, errors, durations and
            phases stay exact. ``inf`` looks at every row.
        disabled: everything is off; decorators return the functions they were given.
    """

    store: str | None = None
    spool: str | None = None
    agent: bool = False
    window_s: float = 60.0
    references: Mapping[str, str] = field(default_factory=dict)
    cohorts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    service_name: str | None = None
    otlp: bool = False
    export_interval_s: float = 60.0
    prometheus: bool = True
    prometheus_port: int | None = None
    ring_bytes: int = 4 << 20
    max_series: int = 200
    cpu_budget: float = 0.01
    disabled: bool = False

    def __post_init__(self) -> None:
        if self.agent and self.spool is None:
            raise ConfigurationError("agent needs a spool: set RADIOSONDE_SPOOL or start(spool=...)")
        if not 1 <= self.window_s < math.inf:
            raise ConfigurationError(f"window_s is {self.window_s}; it must be at least 1 second")
        if not self.export_interval_s > 0:
            raise ConfigurationError(f"export_interval_s is {self.export_interval_s}; it must be above 0 seconds")
        if not 65_536 <= self.ring_bytes <= 1 << 32:
            raise ConfigurationError(f"ring_bytes is {self.ring_bytes}; it must be between 65536 and {1 << 32}")
        if not self.max_series >= 1:
            raise ConfigurationError(f"max_series is {self.max_series}; it must be at least 1")
        if not self.cpu_budget > 0:
            raise ConfigurationError(
                f"cpu_budget is {self.cpu_budget}; it must be above 0: 0.01 is 1 % of a core, inf looks at every row"
            )

    @classmethod
    def resolve(cls, environment: Mapping[str, str] | None = None, **arguments: Any) -> Settings:
        """Return the settings in force: *arguments* that are not None win over the environment.

        Raises:
            ConfigurationError: an argument is unknown, or a value cannot be used; the message says which and why.
        """
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(arguments) - known)
        if unknown:
            raise ConfigurationError(f"unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        settings = cls(**_from_environment(os.environ if environment is None else environment))
        given = {name: value for name, value in arguments.items() if value is not None}
        for path in {"store", "spool"} & set(given):
            given[path] = os.fspath(given[path])
        return replace(settings, **given)


def is_disabled(environment: Mapping[str, str] | None = None) -> bool:
    """Say whether the environment switches everything off."""
    env = os.environ if environment is None else environment
    # OpenTelemetry's rule for its own variable: everything but "true" is false, and nothing is an error.
    return _boolean(env, "RADIOSONDE_DISABLED") or env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {"disabled": is_disabled(env), "otlp": _wants_otlp(env)}
    if env.get("RADIOSONDE_SPOOL"):
        values["agent"] = _boolean(env, "RADIOSONDE_AGENT")
    for name, key in (("RADIOSONDE_STORE", "store"), ("RADIOSONDE_SPOOL", "spool")):
        if text := env.get(name):
            values[key] = text
    if text := env.get("OTEL_SERVICE_NAME"):
        values["service_name"] = text
    if text := env.get("RADIOSONDE_REFERENCE"):
        values["references"] = _pairs(text)
    if text := env.get("RADIOSONDE_COHORTS"):
        values["cohorts"] = {name: tuple(allowed.split("|")) for name, allowed in _pairs(text).items()}
    interval_ms = env.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip()
    if interval_ms.isdecimal() and int(interval_ms) > 0:  # not ours to refuse: OpenTelemetry falls back to its default
        values["export_interval_s"] = int(interval_ms) / 1000
    for name, key, kind in (
        ("RADIOSONDE_WINDOW_S", "window_s", float),
        ("RADIOSONDE_PROMETHEUS_PORT", "prometheus_port", int),
        ("RADIOSONDE_RING_BYTES", "ring_bytes", int),
        ("RADIOSONDE_MAX_SERIES", "max_series", int),
        ("RADIOSONDE_CPU_BUDGET", "cpu_budget", float),
    ):
        if text := env.get(name):
            values[key] = _number(text, name, kind)
    return values


def _wants_otlp(env: Mapping[str, str]) -> bool:
    if "RADIOSONDE_OTLP" in env:
        return _boolean(env, "RADIOSONDE_OTLP")
    exporters = {name.strip() for name in env.get("OTEL_METRICS_EXPORTER", "").split(",")}
    if "none" in exporters:
        return False
    named = env.get("OTEL_EXPORTER_OTLP_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
    return bool(named) or any(name.startswith("otlp") for name in exporters)


def _pairs(text: str) -> dict[str, str]:
    pairs = {}
    for item in text.split(","):
        name, separator, value = item.partition("=")
        pairs[name.strip() if separator else ANY] = (value if separator else name).strip()
    return pairs


def _boolean(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name, "").strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ConfigurationError(f"{name} is {text!r}; use true or false")


def _number(text: str, name: str, kind: type[int | float]) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ConfigurationError(f"{name} is {text!r}; it must be a number") from None
