"""`import radiosonde` is cheap and does nothing: measured in fresh interpreters, against `import numpy` of the same run."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

# Modules that must be imported on demand: extras that may be absent, and those slower to import than the whole package.
HEAVY = (
    "duckdb",
    "opentelemetry.exporter",
    "opentelemetry.sdk",
    "pandas",
    "polars",
    "prometheus_client",
    "pyarrow",
    "requests",
    "rich",
    "sklearn",
    "sqlite3",
)
NEW_MODULES = 90
TIME_RATIO = 0.5  # of `import numpy`; the budget in milliseconds is measured by benchmarks

# Watches the second import: what it loads, and every effect beyond defining names. Audit hooks see what C code does too.
PROBE = """
import atexit, json, os, signal, sys, threading, time
began = time.thread_time()
import numpy
between = time.thread_time()
handlers = lambda: [signal.getsignal(number) for number in sorted(signal.valid_signals())]
before, handled = set(sys.modules), handlers()
effects, home = [], os.path.join(sys.argv[2], sys.argv[1]) + os.sep

def audit(event, args):
    if event == "open":
        path, mode, flags = str(args[0]), args[1] or "", args[2]
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            effects.append(f"writes {path}")
        elif path.startswith(home) and not path.endswith((".py", ".pyc")):
            effects.append(f"reads {path}")
    elif event.split(".")[0] in {"socket", "subprocess", "sqlite3", "urllib"} or event in {
        "os.fork", "os.putenv", "os.posix_spawn", "mmap.__new__"}:
        effects.append(event)

start = threading.Thread.start
def started_thread(self):
    effects.append("starts a thread")
    start(self)

def ours():
    # Whether our own module made the call, and not a library that it loads: skip the frames of os and its bases.
    frame = sys._getframe(2)
    while frame and os.path.basename(frame.f_code.co_filename).strip("<>") in {
        "os.py", "frozen os", "_collections_abc.py", "frozen _collections_abc"}:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(home)

read, register = type(os.environ).__getitem__, atexit.register
def spied_read(self, key):
    if ours():
        effects.append(f"reads the environment variable {key}")
    return read(self, key)
def spied_register(*args, **kwargs):
    if ours():
        effects.append("registers an exit function")
    return register(*args, **kwargs)

if sys.argv[3] == "watch":
    type(os.environ).__getitem__, atexit.register, threading.Thread.start = spied_read, spied_register, started_thread
    sys.addaudithook(audit)
started = time.thread_time()
__import__(sys.argv[1])
ended = time.thread_time()
if handlers() != handled:
    effects.append("sets a signal handler")
new = sorted(set(sys.modules) - before)
print(json.dumps({"new": new, "effects": sorted(set(effects)), "ratio": (ended - started) / (between - began)}))
"""


def probe(module: str, folder: Path, mode: str = "watch") -> dict[str, list[str]]:
    """Import a module of a folder in a fresh interpreter; return its new modules, its effects and its time over numpy's."""
    result = subprocess.run(
        [sys.executable, "-B", "-c", PROBE, module, str(folder), mode],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def home() -> Path:
    """Return the folder of the package, compiled: numpy's bytecode is there, and to compile ours is not what imports cost.

    Probes write no bytecode, and where ``PYTHONDONTWRITEBYTECODE`` is set nobody else has.
    """
    folder = Path(__file__).parents[2] / "src"
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", "import radiosonde"]
    subprocess.run(command, env={**variables, "PYTHONPATH": str(folder)}, check=True, timeout=240)
    return folder


@pytest.fixture(scope="module")
def imported(home: Path) -> dict[str, list[str]]:
    """Return the effects of one watched import of the package."""
    return probe("radiosonde", home)


def heavy(modules: list[str]) -> list[str]:
    """Return the modules that must not be loaded by a bare import."""
    return [name for name in modules if name.startswith(tuple(f"{h}." for h in HEAVY)) or name in HEAVY]


def test_import_loads_nothing_heavy(imported: dict[str, list[str]]) -> None:
    """No extra, no SDK, no exporter is loaded before it is needed: import it inside the function that uses it."""
    assert heavy(imported["new"]) == []


def test_import_loads_few_modules(imported: dict[str, list[str]]) -> None:
    """The number of modules over `import numpy` stays bounded."""
    assert "radiosonde" in imported["new"]
    assert len(imported["new"]) <= NEW_MODULES, imported["new"]


def test_import_has_no_effect(imported: dict[str, list[str]]) -> None:
    """Importing reads no setting, opens no file or socket, starts no thread and registers nothing: `start()` does."""
    assert imported["effects"] == []


def test_import_is_quick(home: Path) -> None:
    """Importing takes a small part of the time numpy's import takes (CPU time, median of five fresh interpreters)."""
    ratios = [float(probe("radiosonde", home, "time")["ratio"]) for _ in range(5)]
    assert statistics.median(ratios) <= TIME_RATIO, ratios


@pytest.mark.parametrize(
    ("source", "effect"),
    [
        ("import threading\nthreading.Thread(target=print, daemon=True).start()", "starts a thread"),
        ("import signal\nsignal.signal(signal.SIGTERM, print)", "sets a signal handler"),
        ("import atexit\natexit.register(int)", "registers an exit function"),
        ("import os\nos.environ.get('HOME')", "reads the environment variable HOME"),
        ("import os\nos.getenv('OTEL_SDK_DISABLED')", "reads the environment variable OTEL_SDK_DISABLED"),
        ("import socket\nsocket.socket().close()", "socket.__new__"),
        ("import pathlib\npathlib.Path(__file__).with_name('names.yaml').read_text()", "reads {home}/names.yaml"),
        ("import pathlib\npathlib.Path(__file__).with_name('names.txt').write_text('')", "writes {home}/names.txt"),
        ("import sqlite3\nsqlite3.connect(':memory:').close()", "sqlite3.connect"),
        ("import subprocess\nsubprocess.run(['true'])", "subprocess.Popen"),
    ],
)
def test_an_effect_is_seen(tmp_path: Path, source: str, effect: str) -> None:
    """Each kind of effect of an import is reported."""
    home = tmp_path / "loud"
    home.mkdir()
    (home / "names.yaml").touch()
    (home / "__init__.py").write_text(source + "\n")
    assert effect.format(home=home) in probe("loud", tmp_path)["effects"]


def test_a_heavy_import_is_seen(tmp_path: Path) -> None:
    """A module that loads the SDK is reported, and takes longer than the bound allows."""
    (tmp_path / "slow.py").write_text("import opentelemetry.sdk.metrics, pandas\n")
    found = probe("slow", tmp_path)
    assert {"opentelemetry.sdk", "pandas"} <= set(heavy(found["new"]))
    assert len(found["new"]) > NEW_MODULES
    assert float(probe("slow", tmp_path, "time")["ratio"]) > TIME_RATIO
