"""OpenTelemetry's variables for one OTLP signal: where it goes, and how. A signal's own variable is stronger than the common one.

Read by OpenTelemetry's rules: a value that is not defined is ignored, and the default is used (``radiosonde doctor`` names it).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from radiosonde._settings.environment import in_force

_PREFIX = "OTEL_EXPORTER_OTLP"
_DEFAULT_BASE = "http://localhost:4318"
_DEFAULT_TIMEOUT_S = 10.0
_PROVIDER = "OTEL_PYTHON_EXPORTER_OTLP_HTTP{}_CREDENTIAL_PROVIDER"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the requests of one signal go.

    Attributes:
        signal: ``metrics``, ``logs`` or ``traces``.
        endpoint: URL of the signal.
        headers: additional headers, names in lower case.
        timeout_s: for one request and its retries together.
        compression: ``gzip``, ``deflate``, or nothing.
        certificate: file (or folder) of trusted authorities; None trusts the system's and those of `certifi`, if it is installed.
        client_certificate: file of our own certificate.
        client_key: file of its key, if separate.
        credential_provider: entry point that makes a ``requests`` session which holds credentials.
        may_have_proxy: whether the environment or the system may name a proxy.
    """

    signal: str
    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = _DEFAULT_TIMEOUT_S
    compression: str = ""
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    credential_provider: str | None = None
    may_have_proxy: bool = False


def otlp_destination(signal: str, environment: Mapping[str, str] | None = None) -> Destination:
    """Return the destination of *signal*."""
    env, own = in_force(environment), f"_{signal.upper()}"

    def value(name: str) -> str:
        return env.get(f"{_PREFIX}{own}_{name}", "").strip() or env.get(f"{_PREFIX}_{name}", "").strip()

    base = env.get(f"{_PREFIX}_ENDPOINT", "").strip() or _DEFAULT_BASE
    compression = value("COMPRESSION").lower()
    return Destination(
        signal=signal,
        endpoint=env.get(f"{_PREFIX}{own}_ENDPOINT", "").strip() or f"{base.removesuffix('/')}/v1/{signal}",
        headers=_headers(value("HEADERS")),
        timeout_s=_seconds(value("TIMEOUT")),
        compression=compression if compression in ("gzip", "deflate") else "",
        # The last two are used by Python's HTTP libraries, and apply when the others are not set.
        certificate=value("CERTIFICATE") or env.get("REQUESTS_CA_BUNDLE") or env.get("CURL_CA_BUNDLE") or None,
        client_certificate=value("CLIENT_CERTIFICATE") or None,
        client_key=value("CLIENT_KEY") or None,
        credential_provider=env.get(_PROVIDER.format("")) or env.get(_PROVIDER.format(own)) or None,
        may_have_proxy=sys.platform in ("darwin", "win32") or any(name.lower().endswith("_proxy") for name in env),
    )


def prefers_delta(environment: Mapping[str, str] | None = None) -> dict[str, bool]:
    """Return whether counters and histograms are to be sent as deltas.

    The counters correspond to OpenTelemetry's observable counters, which ``lowmemory`` leaves cumulative.
    """
    preferred = in_force(environment).get(f"{_PREFIX}_METRICS_TEMPORALITY_PREFERENCE", "").strip().lower()
    return {"counter": preferred == "delta", "histogram": preferred in ("delta", "lowmemory")}


def resource_variables(environment: Mapping[str, str] | None = None) -> tuple[dict[str, str], bool]:
    """Return the resource attributes that the environment names, and whether it names detectors beside OpenTelemetry's own."""
    from urllib.parse import unquote

    env = in_force(environment)
    found = {}
    for item in env.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        name, separator, text = item.partition("=")
        if separator and name.strip():
            found[name.strip()] = unquote(text.strip())
    if env.get("OTEL_SERVICE_NAME"):
        found["service.name"] = env["OTEL_SERVICE_NAME"]
    detectors = {name.strip() for name in env.get("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "").split(",")}
    return found, bool(detectors - {"", "otel"})


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        return _DEFAULT_TIMEOUT_S
    return found if 0 < found < float("inf") else _DEFAULT_TIMEOUT_S


def _headers(text: str) -> Mapping[str, str]:
    if not text:
        return {}
    from opentelemetry.util.re import parse_env_headers  # imported only if needed

    return dict(parse_env_headers(text, liberal=True))
