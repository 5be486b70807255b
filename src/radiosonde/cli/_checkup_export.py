"""Whether what is counted gets out: OTLP endpoint, Prometheus port, store, labels and spool, each really tried.

Nothing is made or changed: an OTLP backend gets a request without a metric, files are looked at and not created.
"""

from __future__ import annotations

import os
import shlex
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from radiosonde._ring.spool import AGENT_LOCK, Spool, is_held
from radiosonde._settings import Settings
from radiosonde.cli._checkup import Line, without_user
from radiosonde.cli._checkup_server import DISTRO, INSTRUMENT, Server, distro
from radiosonde.errors import RadiosondeError
from radiosonde.sketches.library import HOW_TO_INSTALL, is_available
from radiosonde.store.reader import StoreReader

TIMEOUT_S = 1.0
_PREFIX = "OTEL_EXPORTER_OTLP"
_LOCAL = "127.0.0.1"
_LOCAL_COLLECTOR = "http://localhost:4318"


def export_lines(settings: Settings, variables: Mapping[str, str], server: Server) -> Iterator[Line]:
    """Yield one line per way out."""
    yield _otlp(settings, variables, server)
    yield _prometheus(settings)
    yield _store(settings)
    yield _labels(settings)
    yield _spool(settings, variables)
    if not is_available():
        said = f"sketches: none, datasketches is not installed; every count is exact without it; {HOW_TO_INSTALL}"
        yield Line("export", "off", said)


def _otlp(settings: Settings, variables: Mapping[str, str], server: Server) -> Line:
    if not settings.otlp:
        if distro() and variables.get("OTEL_METRICS_EXPORTER") is None and "RADIOSONDE_OTLP" not in variables:
            said = (
                f"OTLP: off, unless {INSTRUMENT} starts the server: {DISTRO} is installed and then exports to localhost:4318; "
                "RADIOSONDE_OTLP=false says no, OTEL_EXPORTER_OTLP_ENDPOINT where to"
            )
            return Line("export", "note", said)
        return Line("export", "off", "OTLP: off; set OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 to export")
    base = variables.get(f"{_PREFIX}_ENDPOINT", _LOCAL_COLLECTOR).rstrip("/") + "/v1/metrics"
    address = variables.get(f"{_PREFIX}_METRICS_ENDPOINT") or base
    shown = without_user(address)
    port = urllib.parse.urlsplit(address).port
    headers = variables.get(f"{_PREFIX}_METRICS_HEADERS") or variables.get(f"{_PREFIX}_HEADERS", "")
    try:
        status = _post_nothing(address, headers)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        hint = "; 4317 is the port of gRPC, Radiosonde speaks HTTP on 4318" if port == 4317 else ""
        said = (
            f"OTLP: no answer from {shown} ({reason}){hint}; until it answers metrics wait and sketches are dropped "
            "beyond a bound: start the collector, or correct OTEL_EXPORTER_OTLP_ENDPOINT"
        )
        if server.is_instrumented and distro() and address == f"{_LOCAL_COLLECTOR}/v1/metrics":
            said += f"; {DISTRO} is installed, which exports there unless RADIOSONDE_OTLP=false"
        return Line("export", "fix", said, f"curl -v {shlex.quote(shown)}")
    if status in (401, 403):
        return Line("export", "fix", f"OTLP: {shown} refuses us ({status}); check OTEL_EXPORTER_OTLP_HEADERS")
    if status >= 300:
        said = f"OTLP: {shown} answers {status}; it is no OTLP/HTTP endpoint for metrics"
        return Line("export", "fix", said, f"curl -v {shlex.quote(shown)}")
    return Line("export", "ok", f"OTLP: {shown} takes metrics")


def _post_nothing(address: str, headers: str) -> int:
    """Send a request of no bytes, which is an export of no metrics, and return the status.

    Raises:
        OSError: no answer within `TIMEOUT_S`.
        ValueError: *address* is none.
    """
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise ValueError("an endpoint begins with http:// or https://")
    sent = {"Content-Type": "application/x-protobuf"}
    for pair in headers.split(","):
        name, separator, value = pair.partition("=")
        if separator:
            sent[name.strip()] = urllib.parse.unquote(value.strip())
    request = urllib.request.Request(address, b"", sent, method="POST")  # noqa: S310 - the scheme is checked above
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - same
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def _prometheus(settings: Settings) -> Line:
    port = settings.prometheus_port
    if port is None:
        where = "prometheus-client's default registry" if settings.prometheus else "off"
        said = f"Prometheus: {where}; RADIOSONDE_PROMETHEUS_PORT=9464 serves /metrics without code"
        return Line("export", "off", said)
    host = settings.prometheus_host
    whom = (
        "to this machine only; RADIOSONDE_PROMETHEUS_HOST=0.0.0.0 lets others scrape it"
        if host == _LOCAL
        else f"on {host}"
    )
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return Line("export", "ok", f"Prometheus: port {port} is free, /metrics will be served {whom}")
    except OSError as error:
        if _is_our_page(port):
            return Line("export", "ok", f"Prometheus: a running Radiosonde serves port {port}")
        said = f"Prometheus: port {port} of {host} cannot be listened on ({error.strerror})"
        return Line("export", "fix", said, f"ss -ltnp 'sport = :{port}'")


def _is_our_page(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{_LOCAL}:{port}/metrics", timeout=TIMEOUT_S) as page:
            return b"radiosonde_sdk_" in page.read(10_000_000)
    except (OSError, ValueError):
        return False


def _store(settings: Settings) -> Line:
    if settings.store is None:
        said = "store: off; RADIOSONDE_STORE=radiosonde.sqlite keeps windows for `radiosonde diagnose`"
        return Line("export", "off", said)
    path = Path(settings.store)
    fault = _unwritable(path)
    if fault:
        return Line("export", "fix", f"store: {fault}", _make_folder(path.parent))
    if not path.exists() or not path.stat().st_size:
        return Line("export", "ok", f"store: {path} will be made")
    try:
        models = sorted({summary.model for summary in StoreReader(path).summaries()})
    except RadiosondeError as error:
        return Line("export", "fix", f"store: {error}")
    said = f"store: {path} holds {', '.join(models) if models else 'no model yet'}"
    return Line("export", "ok", said)


def _labels(settings: Settings) -> Line:
    target = settings.join_target
    if target is None:
        return Line("export", "off", "labels: wait in this process only; a store, or RADIOSONDE_LABELS, keeps them")
    if not target.startswith(("redis://", "rediss://")):
        path = Path(target)
        if settings.spool is not None and path.parent == Path(settings.spool) and not path.parent.exists():
            return Line(
                "export", "ok", f"labels: predictions will wait for them in {target}"
            )  # whoever makes the spool
        fault = _unwritable(path)
        if fault:
            return Line("export", "fix", f"labels: {fault}", _make_folder(path.parent))
        return Line("export", "ok", f"labels: predictions wait for them in {target}")
    address = urllib.parse.urlsplit(target)
    shown = without_user(target)
    try:
        with socket.create_connection((address.hostname or "localhost", address.port or 6379), TIMEOUT_S) as connection:
            if address.scheme == "redis":
                connection.sendall(b"PING\r\n")
                if not connection.recv(64).startswith((b"+PONG", b"-NOAUTH", b"-DENIED")):
                    return Line("export", "fix", f"labels: what listens at {shown} is no Redis")
    except (OSError, ValueError) as error:
        return Line("export", "fix", f"labels: no answer from {shown} ({error})", f"redis-cli -u {shown} ping")
    return Line("export", "ok", f"labels: {shown} answers")


def _spool(settings: Settings, variables: Mapping[str, str]) -> Line:
    if settings.spool is None:
        said = "spool: off; RADIOSONDE_SPOOL=DIR lets the last predictions outlive a crash, and an agent drain them"
        return Line("export", "off", said)
    folder = Path(settings.spool)
    try:
        if folder.exists():
            Spool(folder)
        elif not os.access(_nearest(folder), os.W_OK):
            return Line("export", "fix", f"spool: {folder} cannot be made in {_nearest(folder)}", _make_folder(folder))
    except RadiosondeError as error:
        return Line("export", "fix", str(error))
    starts_itself = variables.get("RADIOSONDE_AGENT", "").strip().lower() == "auto"
    if settings.agent and not starts_itself and not is_held(folder / AGENT_LOCK):
        said = f"spool: no agent drains {folder}; what is recorded there will be overwritten"
        return Line("export", "fix", said, f"radiosonde agent --spool {shlex.quote(str(folder))}")
    who = "an agent" if settings.agent else "each process for itself"
    made = "" if folder.exists() else " will be made and"
    return Line("export", "ok", f"spool: {folder}{made or ','} drained by {who}")


def _unwritable(path: Path) -> str:
    """Return why *path* cannot be written, ``""`` when it can."""
    if not path.parent.is_dir():
        return f"folder {path.parent} does not exist"
    if path.exists() and not os.access(path, os.W_OK):
        return f"{path} cannot be written by this user"
    return "" if os.access(path.parent, os.W_OK) else f"folder {path.parent} cannot be written by this user"


def _make_folder(folder: Path) -> str:
    return f"install -d -m 700 -o $(id -un) {shlex.quote(str(folder))}"


def _nearest(folder: Path) -> Path:
    return next(parent for parent in folder.absolute().parents if parent.exists())
