"""Checks of the exporters: OTLP endpoint, Prometheus port, store, labels and spool, each actually tried.

Nothing is created or changed: an OTLP backend gets a request without a metric, files are checked and not created.
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
from radiosonde.cli._checkup import CheckupLine, without_user
from radiosonde.cli._checkup_server import DISTRO, INSTRUMENT, Server, distro
from radiosonde.errors import RadiosondeError
from radiosonde.export.carriers import CARRIERS
from radiosonde.export.store_exporter import make_folder, unwritable
from radiosonde.sketches.library import HOW_TO_INSTALL, is_available

TIMEOUT_S = 1.0
_PREFIX = "OTEL_EXPORTER_OTLP"
_LOCAL_COLLECTOR = "http://localhost:4318"


def export_lines(settings: Settings, variables: Mapping[str, str], server: Server) -> Iterator[CheckupLine]:
    """Yield one line per exporter, and lines for labels and spool."""
    for carrier in CARRIERS:
        for health in carrier.health(settings, variables):
            line = CheckupLine("export", *health)
            yield _with_distro(line, settings, variables, server) if carrier.setting == "otlp" else line
    yield _labels(settings)
    yield _spool(settings, variables)
    if not is_available():
        said = f"sketches: off, datasketches is not installed; all counts are exact without it; {HOW_TO_INSTALL}"
        yield CheckupLine("export", "off", said)


def _with_distro(line: CheckupLine, settings: Settings, variables: Mapping[str, str], server: Server) -> CheckupLine:
    """Return the line of OTLP, amended if `opentelemetry-distro` enables exporters by itself."""
    if not distro():
        return line
    if not settings.otlp and variables.get("OTEL_METRICS_EXPORTER") is None and "RADIOSONDE_OTLP" not in variables:
        said = (
            f"OTLP: off, unless {INSTRUMENT} starts the server: {DISTRO} is installed and exports to localhost:4318; "
            "set RADIOSONDE_OTLP=false to disable it, or OTEL_EXPORTER_OTLP_ENDPOINT to another endpoint"
        )
        return CheckupLine("export", "note", said)
    named = variables.get(f"{_PREFIX}_ENDPOINT", _LOCAL_COLLECTOR).rstrip("/") == _LOCAL_COLLECTOR
    if line.state == "fix" and server.is_instrumented and named and f"{_PREFIX}_METRICS_ENDPOINT" not in variables:
        return line._replace(
            said=f"{line.said}; {DISTRO} is installed, which exports there unless RADIOSONDE_OTLP=false"
        )
    return line


def _labels(settings: Settings) -> CheckupLine:
    target = settings.join_target
    if target is None:
        return CheckupLine(
            "export",
            "off",
            "labels: predictions wait for labels in this process only; set RADIOSONDE_STORE or RADIOSONDE_LABELS to persist them",
        )
    if not target.startswith(("redis://", "rediss://")):
        path = Path(target)
        if settings.spool is not None and path.parent == Path(settings.spool) and not path.parent.exists():
            # The folder is created together with the spool.
            return CheckupLine("export", "ok", f"labels: predictions will wait for them in {target}")
        fault = unwritable(path)
        if fault:
            return CheckupLine("export", "fix", f"labels: {fault}", make_folder(path.parent))
        return CheckupLine("export", "ok", f"labels: predictions wait for them in {target}")
    address = urllib.parse.urlsplit(target)
    shown = without_user(target)
    try:
        with socket.create_connection((address.hostname or "localhost", address.port or 6379), TIMEOUT_S) as connection:
            if address.scheme == "redis":
                connection.sendall(b"PING\r\n")
                if not connection.recv(64).startswith((b"+PONG", b"-NOAUTH", b"-DENIED")):
                    return CheckupLine("export", "fix", f"labels: the server at {shown} is not Redis")
    except (OSError, ValueError) as error:
        return CheckupLine("export", "fix", f"labels: no response from {shown} ({error})", f"redis-cli -u {shown} ping")
    return CheckupLine("export", "ok", f"labels: {shown} responds")


def _spool(settings: Settings, variables: Mapping[str, str]) -> CheckupLine:
    if settings.spool is None:
        said = "spool: off; RADIOSONDE_SPOOL=DIR keeps the last predictions after a crash, and lets an agent drain them"
        return CheckupLine("export", "off", said)
    folder = Path(settings.spool)
    try:
        if folder.exists():
            Spool(folder)
        elif not os.access(_nearest(folder), os.W_OK):
            return CheckupLine(
                "export", "fix", f"spool: {folder} cannot be created in {_nearest(folder)}", make_folder(folder)
            )
    except RadiosondeError as error:
        return CheckupLine("export", "fix", str(error))
    starts_itself = variables.get("RADIOSONDE_AGENT", "").strip().lower() == "auto"
    if settings.agent and not starts_itself and not is_held(folder / AGENT_LOCK):
        said = f"spool: no agent drains {folder}; records there will be overwritten"
        return CheckupLine("export", "fix", said, f"radiosonde agent --spool {shlex.quote(str(folder))}")
    who = "an agent" if settings.agent else "each process itself"
    made = "" if folder.exists() else " will be created and"
    return CheckupLine("export", "ok", f"spool: {folder}{made or ','} drained by {who}")


def _nearest(folder: Path) -> Path:
    return next(parent for parent in folder.absolute().parents if parent.exists())
