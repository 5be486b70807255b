"""One door each for the SDK, the environment, threads, exit, clocks and the choice of a host."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def rules_broken(place: str, source: str) -> set[str]:
    """Return the rules ruff reports for a source text as if it stood at a place in the tree."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "--output-format=concise",
        "--stdin-filename",
        place,
        "-",
    ]
    result = subprocess.run(command, input=source, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode in {0, 1}, result.stderr
    return {line.split()[1] for line in result.stdout.splitlines() if line.startswith(place)}


@pytest.mark.parametrize(
    ("source", "door"),
    [
        ("from opentelemetry.sdk.metrics.export import Sum\n", "export/otlp.py"),
        ("import os\nX = os.environ\n", "_settings/environment.py"),
        ("from os import getenv\n", "_settings/environment.py"),
        ("import threading\nX = threading.Thread\n", "_pipeline/_worker.py"),
        ("import atexit\natexit.register(print)\n", "_pipeline/_worker.py"),
        ("import os\nos.register_at_fork(before=None)\n", "_pipeline/_worker.py"),
        ("from time import perf_counter_ns\n", "_clock.py"),
        ("import time\nX = time.time()\n", "_record/observe.py"),
    ],
)
def test_a_banned_name_passes_only_through_its_door(source: str, door: str) -> None:
    """A banned name is reported in an ordinary module and accepted in the one that owns it."""
    assert "TID251" in rules_broken("src/radiosonde/store/ordinary.py", source)
    assert "TID251" not in rules_broken(f"src/radiosonde/{door}", source)


def test_only_the_guard_swallows() -> None:
    """A blind `except Exception` is reported everywhere but in `_guard`, where it lives."""
    source = "try:\n    print\nexcept Exception:\n    X = 1\n"
    assert "BLE001" in rules_broken("src/radiosonde/store/ordinary.py", source)
    assert "BLE001" not in rules_broken("src/radiosonde/_guard.py", source)


def test_only_applications_print() -> None:
    """`print` is reported in the library and accepted in the command line and the demo."""
    assert "T201" in rules_broken("src/radiosonde/export/ordinary.py", "print(1)\n")
    assert "T201" not in rules_broken("src/radiosonde/cli/ordinary.py", "print(1)\n")
    assert "T201" not in rules_broken("src/radiosonde_demo/ordinary.py", "print(1)\n")


MODE_READERS = {"_settings/settings.py", "_pipeline/compose.py", "cli/_checkup_export.py", "cli/_checkup_server.py"}
"""The declaration of ``agent``, the one place that composes by it, and what `radiosonde doctor` reports of it."""


def test_only_compose_chooses_between_the_hosts() -> None:
    """No other module of the library reads ``settings.agent``."""
    library = ROOT / "src/radiosonde"
    readers = {
        path.relative_to(library).as_posix()
        for path in library.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "agent" and ast.unparse(node.value).endswith("settings")
    }
    assert readers - MODE_READERS == set()
    assert "_pipeline/compose.py" in readers
