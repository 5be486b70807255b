"""Helpers for tests of networks: a flight with a plug-in on, and user code in a separate process."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from radiosonde.sketches.merge import merge_windows
from radiosonde.store.reader import Interval, StoreReader
from radiosonde.testing import fly
from tests.unit.integrations.standing_in import stand_in


@contextmanager
def flying(monkeypatch, plugin, **options):
    """Fly with a plug-in on."""
    with fly() as rs:
        stand_in(monkeypatch, rs)
        plugin.instrument(**options)
        try:
            yield rs
        finally:
            plugin.uninstrument()


def told(window) -> dict[str, Any]:
    """Return the figures of a window for these tests."""
    output, features = window.output, window.features
    return {
        "model": window.key.model,
        "calls": window.calls,
        "rows": window.rows,
        "classes": dict(zip(output.classes, output.class_counts.tolist(), strict=True)),
        "sure": int(output.confidence.sum()),
        "values": int(output.value_counts.sum()),
        "features": None if features is None else features.names,
    }


def only(rs) -> dict[str, Any]:
    """Return the figures of the only window; checks that nothing was lost."""
    assert rs.losses() == {}
    (window,) = rs.windows()
    return told(window)


def run(script: str, folder: Path, *arguments: object, instrumented: bool, **environment: str) -> str:
    """Run user code in a fresh interpreter, under `opentelemetry-instrument` or not; return its output."""
    path = folder / "serve.py"
    path.write_text(script)
    command = [sys.executable, str(path), *map(str, arguments)]
    if instrumented:
        command.insert(0, str(Path(sys.executable).with_name("opentelemetry-instrument")))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "RADIOSONDE_"))}
    settings = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=clean | settings | {"RADIOSONDE_STORE": str(folder / "flights.sqlite")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def stored(folder: Path) -> list[Any]:
    """Return the store of an ended process, one window per series."""
    parts = (window for _, window in StoreReader(folder / "flights.sqlite").parts(Interval()))
    return merge_windows(parts, by=lambda window: window.key)


def attributes(*owners: Any) -> list[dict[str, Any]]:
    """Return everything that classes or modules hold, as it is now."""
    return [dict(vars(owner)) for owner in owners]
