"""Settings, resolved once, at first use: arguments of ``start`` first, then ``RADIOSONDE_*``, then ``OTEL_*``.

The only module that reads the environment. Reading happens in `Settings.resolve`, never at import.

Variables: ``RADIOSONDE_DISABLED``, ``RADIOSONDE_STORE``, ``RADIOSONDE_LABELS``, ``RADIOSONDE_SPOOL``,
``RADIOSONDE_AGENT`` (true, false, ``auto``), ``RADIOSONDE_WINDOW_S``, ``RADIOSONDE_REFERENCE`` (a path, or
``model=path`` pairs joined by commas), ``RADIOSONDE_COHORTS`` (``plan=free|pro,carrier=UA|AA|*``),
``RADIOSONDE_PROMETHEUS_PORT``, ``RADIOSONDE_RING_BYTES``, ``RADIOSONDE_MAX_SERIES``, ``RADIOSONDE_OTLP``,
``RADIOSONDE_SPANS_PER_MINUTE``, ``RADIOSONDE_CPU_BUDGET``, ``RADIOSONDE_RUNTIME``,
``RADIOSONDE_RECEIPT_KEYS`` (``k2=SECRET,k1=SECRET``, secrets in hexadecimal or base64), ``RADIOSONDE_RECEIPT_TTL_S``; and
``OTEL_SDK_DISABLED``, ``OTEL_SERVICE_NAME``, ``OTEL_METRIC_EXPORT_INTERVAL``, ``OTEL_EXPORTER_OTLP_ENDPOINT`` (and
``..._METRICS_ENDPOINT``, ``..._TRACES_ENDPOINT``), ``OTEL_METRICS_EXPORTER``, ``OTEL_TRACES_EXPORTER``. For models that
plug-ins meet: ``RADIOSONDE_MODEL_NAME``, ``RADIOSONDE_MODEL_VERSION``, ``RADIOSONDE_MODEL_VARIANT``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from radiosonde.errors import ConfigurationError

ANY = "*"
"""In a cohort's allow-list: every value passes as it is (up to the bound on series)."""

AUTO: Literal["auto"] = "auto"
"""For ``agent``: the first process that finds none starts one."""

_LONGEST_TTL_S = 315_360_000
"""Ten years; a receipt has 32 bits for its expiry, which end in 2106."""

MAX_SPANS_PER_MINUTE = 6000
"""Bounds memory: each waits until it is sent, and the bound itself is kept by remembering what was granted."""

VARIABLES = (
    "RADIOSONDE_AGENT",
    "RADIOSONDE_COHORTS",
    "RADIOSONDE_CPU_BUDGET",
    "RADIOSONDE_DISABLED",
    "RADIOSONDE_LABELS",
    "RADIOSONDE_MAX_SERIES",
    "RADIOSONDE_MODEL_NAME",
    "RADIOSONDE_MODEL_VARIANT",
    "RADIOSONDE_MODEL_VERSION",
    "RADIOSONDE_OTLP",
    "RADIOSONDE_PROMETHEUS_PORT",
    "RADIOSONDE_RECEIPT_KEYS",
    "RADIOSONDE_RECEIPT_TTL_S",
    "RADIOSONDE_REFERENCE",
    "RADIOSONDE_RING_BYTES",
    "RADIOSONDE_RUNTIME",
    "RADIOSONDE_SPANS_PER_MINUTE",
    "RADIOSONDE_SPOOL",
    "RADIOSONDE_STORE",
    "RADIOSONDE_WINDOW_S",
)
"""Our own; any other name that begins like these is a misspelling, which ``radiosonde doctor`` points out."""

SERVER_VARIABLES = ("GUNICORN_CMD_ARGS", "WEB_CONCURRENCY")

MEMORY = "memory"

SPOOL_LABELS = "labels.sqlite"
"""Name of the join store in a spool that an agent drains."""

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set.

    Attributes:
        store: path of the SQLite store, or None for no store.
        labels: where predictions wait for their labels: path of a SQLite file of its own, ``redis://`` address, or
            ``memory``; None: `join_target` says.
        spool: folder where the rings lie as files and outlive the process, or None for rings in memory.
        agent: leave the rings in the spool to ``radiosonde agent``; this process only writes them. ``"auto"``: and start
            an agent where none runs.
        window_s: length of a window in seconds of event time.
        references: path of a reference profile by model name; ``"*"`` serves models without one.
        cohorts: allowed values by cohort dimension; ``"*"`` among them lets every value pass. Values outside become
            ``other``; values of a dimension that is not listed are hashed.
        service_name: ``service.name`` of the telemetry; None leaves it to OpenTelemetry's own rules.
        otlp: export over OTLP/HTTP; default: when an OTLP endpoint or exporter is named in the environment.
        export_interval_s: seconds between exports of metrics.
        spans_per_minute: spans made after the fact at most, of predictions whose trace was not recorded, when OTLP is
            on; 0 makes none. Default: 60, or 0 when the environment says that no backend takes traces.
        prometheus: register a collector in prometheus-client's default registry.
        prometheus_port: serve ``/metrics`` on 127.0.0.1 at this port; None does not.
        ring_bytes: size of one model's ring.
        max_series: cohort cells per model before further ones fold into ``__overflow__``.
        cpu_budget: CPU seconds per second, so share of one core, that our threads in this process may use together. Held
            by looking at the features and outputs of fewer rows, each for several; calls, rows, errors, durations and
            phases stay exact. ``inf`` looks at every row.
        disabled: everything is off; decorators return the functions they were given.
        receipt_keys: ``id=secret`` pairs joined by commas: the first signs receipts, all verify them; empty: no receipts.
            Left out of the ``repr``.
        receipt_ttl_s: seconds a receipt is good for.
        runtime: count the health of the process too (CPU, throttling, memory, garbage collector, loop lag, pool waits).
    """

    store: str | None = None
    spool: str | None = None
    agent: bool | Literal["auto"] = False
    window_s: float = 60.0
    references: Mapping[str, str] = field(default_factory=dict)
    cohorts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    service_name: str | None = None
    otlp: bool = False
    export_interval_s: float = 60.0
    spans_per_minute: int = 60
    prometheus: bool = True
    prometheus_port: int | None = None
    ring_bytes: int = 4 << 20
    max_series: int = 200
    cpu_budget: float = 0.01
    disabled: bool = False
    labels: str | None = None
    receipt_keys: str = field(default="", repr=False)
    receipt_ttl_s: float = 90 * 86_400.0
    runtime: bool = True

    def __post_init__(self) -> None:
        if self.agent not in (True, False, "auto"):
            raise ConfigurationError(f'agent is {self.agent!r}; use True, False or "auto"')
        if self.agent and self.spool is None:
            raise ConfigurationError("agent needs a spool: set RADIOSONDE_SPOOL or start(spool=...)")
        if self.agent and self.labels == MEMORY:
            raise ConfigurationError(
                "labels in memory cannot reach the agent: leave RADIOSONDE_LABELS out, or name a place"
            )
        if not 1 <= self.window_s < math.inf:
            raise ConfigurationError(f"window_s is {self.window_s}; it must be at least 1 second")
        if not self.export_interval_s > 0:
            raise ConfigurationError(f"export_interval_s is {self.export_interval_s}; it must be above 0 seconds")
        if not 0 <= self.spans_per_minute <= MAX_SPANS_PER_MINUTE:
            raise ConfigurationError(
                f"spans_per_minute is {self.spans_per_minute}; it must be between 0 and {MAX_SPANS_PER_MINUTE}"
            )
        if not 65_536 <= self.ring_bytes <= 1 << 32:
            raise ConfigurationError(f"ring_bytes is {self.ring_bytes}; it must be between 65536 and {1 << 32}")
        if not self.max_series >= 1:
            raise ConfigurationError(f"max_series is {self.max_series}; it must be at least 1")
        if not self.cpu_budget > 0:
            raise ConfigurationError(
                f"cpu_budget is {self.cpu_budget}; it must be above 0: 0.01 is 1 % of a core, inf looks at every row"
            )
        if not 1 <= self.receipt_ttl_s <= _LONGEST_TTL_S:
            raise ConfigurationError(
                f"receipt_ttl_s is {self.receipt_ttl_s}; it must be between 1 and {_LONGEST_TTL_S} seconds (ten years)"
            )

    @property
    def join_target(self) -> str | None:
        """Where predictions wait for their labels; None: in memory.

        As told, else in the agent's spool, else beside the store: ``flights.labels.sqlite`` beside ``flights.sqlite``.
        """
        if self.labels is not None:
            return None if self.labels == MEMORY else self.labels
        if self.agent and self.spool is not None:
            return f"{self.spool}/{SPOOL_LABELS}"
        if self.store is None:
            return None
        stem, suffix = os.path.splitext(self.store)  # noqa: PTH122 - a path keeps its form: no "./" is lost
        return f"{stem}.labels{suffix}"

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
        for path in {"store", "spool", "labels"} & set(given):
            given[path] = os.fspath(given[path])
        return replace(settings, **given)


def child_environment(settings: Settings) -> dict[str, str]:
    """Return this process's environment with *settings* in it, for an agent that is to do as this process was told."""
    told = {
        "RADIOSONDE_STORE": settings.store and os.path.abspath(settings.store),  # noqa: PTH100 - the same in text
        "RADIOSONDE_WINDOW_S": f"{settings.window_s:.17g}",
        "RADIOSONDE_OTLP": "true" if settings.otlp else "false",
        "RADIOSONDE_PROMETHEUS_PORT": None if settings.prometheus_port is None else str(settings.prometheus_port),
        "OTEL_SERVICE_NAME": settings.service_name,
        "OTEL_METRIC_EXPORT_INTERVAL": str(max(1, round(settings.export_interval_s * 1000))),
    }
    return {**os.environ, **{name: value for name, value in told.items() if value is not None}}


def is_disabled(environment: Mapping[str, str] | None = None) -> bool:
    """Say whether the environment switches everything off."""
    env = os.environ if environment is None else environment
    # OpenTelemetry's rule for its own variable: everything but "true" is false, and nothing is an error.
    return _boolean(env, "RADIOSONDE_DISABLED") or env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def variables_in_force(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of the environment that concern us, by name: ours, OpenTelemetry's, those of servers."""
    env = os.environ if environment is None else environment
    return {
        name: env[name] for name in sorted(env) if name.startswith(("RADIOSONDE_", "OTEL_")) or name in SERVER_VARIABLES
    }


def model_tag(environment: Mapping[str, str] | None = None) -> tuple[str | None, str | None, str | None]:
    """Return the name, version and variant that the environment gives to models nobody has tagged."""
    env = os.environ if environment is None else environment
    name, version, variant = (env.get(f"RADIOSONDE_MODEL_{part}") or None for part in ("NAME", "VERSION", "VARIANT"))
    return name, version, variant


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {"disabled": is_disabled(env), "otlp": _wants_otlp(env)}
    if "RADIOSONDE_RUNTIME" in env:
        values["runtime"] = _boolean(env, "RADIOSONDE_RUNTIME")
    if env.get("RADIOSONDE_SPOOL"):
        is_auto = env.get("RADIOSONDE_AGENT", "").strip().lower() == AUTO
        values["agent"] = AUTO if is_auto else _boolean(env, "RADIOSONDE_AGENT")
    for name, key in (
        ("RADIOSONDE_STORE", "store"),
        ("RADIOSONDE_SPOOL", "spool"),
        ("RADIOSONDE_LABELS", "labels"),
        ("RADIOSONDE_RECEIPT_KEYS", "receipt_keys"),
    ):
        if text := env.get(name):
            values[key] = text
    if text := env.get("OTEL_SERVICE_NAME"):
        values["service_name"] = text
    if not _takes_spans(env):
        values["spans_per_minute"] = 0
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
        ("RADIOSONDE_RECEIPT_TTL_S", "receipt_ttl_s", float),
        ("RADIOSONDE_SPANS_PER_MINUTE", "spans_per_minute", int),
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


def _takes_spans(env: Mapping[str, str]) -> bool:
    """Say whether traces have somewhere to go: not where they are switched off, or only metrics have an endpoint."""
    if env.get("OTEL_TRACES_EXPORTER", "").strip() == "none":
        return False
    prefix = "OTEL_EXPORTER_OTLP"
    named = env.get(f"{prefix}_ENDPOINT") or env.get(f"{prefix}_TRACES_ENDPOINT")
    return bool(named) or not env.get(f"{prefix}_METRICS_ENDPOINT")


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
