"""What works where Linux's own parts, or the library of sketches, are missing: simulated in fresh interpreters.

A prelude takes away what another system does not have, before Radiosonde is imported. `sys.platform` stays: the standard
library itself depends on it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NO_SKETCHES = """
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    names = {"datasketches", "_datasketches"}
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""
NO_PROC = """
import builtins, io, os
real_open, real_stat, real_path_open = io.open, os.stat, os.open
def is_linux(path):
    return isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(("/proc/", "/sys/"))
def open_elsewhere(path, *arguments, **options):
    if is_linux(path):
        raise FileNotFoundError(2, "No such file or directory", path)
    return real_open(path, *arguments, **options)
builtins.open = io.open = open_elsewhere
"""
NO_POSIX = (
    NO_PROC
    + """
import mmap, os, sys
for name in ("fcntl", "pwd", "grp", "resource", "termios", "posix_ipc"):
    sys.modules[name] = None
for name in ("fork", "register_at_fork", "posix_fallocate", "geteuid", "getuid", "sched_getaffinity", "sysconf", "forkpty"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("MAP_PRIVATE", "MAP_ANONYMOUS", "MAP_ANON", "MAP_SHARED"):
    if hasattr(mmap, name):
        delattr(mmap, name)
"""
)
MACOS = (
    NO_PROC
    + """
import os
for name in ("posix_fallocate", "sched_getaffinity"):
    delattr(os, name)
"""
)
PLACES = {
    "without the library of sketches": NO_SKETCHES,
    "without /proc and Linux's calls": MACOS,
    "without POSIX": NO_POSIX,
    "without POSIX or sketches": NO_SKETCHES + NO_POSIX,
}

SERVE = """
import json, sys
import numpy as np
import radiosonde as rs
rs.start(store="s.sqlite", prometheus=False, cpu_budget=float("inf"))

@rs.observe("delays", version="1", features=["wind", "visibility"], classes=["on time", "late"])
def predict(row):
    if row[0, 0] > 39:
        raise ValueError(row)
    with rs.stage("score"):
        return np.array([[0.2, 0.8]]) if row[0, 0] > 20 else np.array([[0.9, 0.1]])

failed = 0
for number in range(2000):
    try:
        predict(np.array([[number % 41, 1.0 if number % 10 else np.nan]]))
    except ValueError:
        failed += 1
assert rs.flush()
lost = {reason: count for reason, count in rs.statistics().losses.items() if count}
print(json.dumps({"records": rs.statistics().records, "failed": failed, "lost": lost}))
"""
READ = """
import json, sys
from radiosonde.sources import open_source
windows = [window for window in open_source(["s.sqlite"]).windows() if window.key.model == "delays"]
from radiosonde.sketches.merge import merge_windows
(window,) = merge_windows(windows, by=lambda window: window.key)
print(json.dumps({
    "calls": window.calls, "errors": dict(window.errors), "phases": list(window.latency.phases),
    "classes": dict(zip(window.output.classes, window.output.class_counts.tolist())),
    "rows": int(window.features.cells.sum() // 2), "missing": int(window.features.cells[1, -2]),
}))
"""


def run(prelude: str, script: str, folder: Path, *, code: int = 0) -> str:
    """Run *script* after *prelude* in a fresh interpreter and return its output."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "RADIOSONDE_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", prelude + script],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.mark.parametrize("place", PLACES)
def test_decorating_storing_and_reading_work(place: str, tmp_path: Path) -> None:
    """Calls, errors, phases, classes and cells are counted exactly, stored, merged and read."""
    served = json.loads(run(PLACES[place], SERVE, tmp_path).splitlines()[-1])
    failed = sum(number % 41 == 40 for number in range(2000))
    assert served == {"records": 2000, "failed": failed, "lost": {}}
    read = json.loads(run(PLACES[place], READ, tmp_path).splitlines()[-1])
    late = sum(20 < number % 41 < 40 for number in range(2000))
    assert read == {
        "calls": 2000,
        "errors": {"ValueError": failed},
        "phases": ["score"],
        "classes": {"on time": 2000 - failed - late, "late": late},
        "rows": 2000,
        "missing": 200,
    }


@pytest.mark.parametrize("place", PLACES)
def test_diagnosing_works(place: str, tmp_path: Path) -> None:
    """A store is diagnosed: 2 % of calls fail in all of it, and what the code 1 or 0 or 3 says is an answer, never a crash."""
    run("", SERVE, tmp_path)
    script = "from radiosonde.cli import main\nprint(main(['diagnose', 's.sqlite', '--json']) != 2)"
    told = run(PLACES[place], script, tmp_path)
    assert told.splitlines()[-1] == "True"
    document = json.loads(told[: told.rindex("True")])
    assert document["calls"] == 2000


def test_sketches_of_other_hosts_are_left_out_and_counts_kept(tmp_path: Path) -> None:
    """Windows that hold sketches merge where the library is missing; the sum has all counts and no sketch."""
    run("", SERVE, tmp_path)
    halves = (
        "windows = [window for window in windows if window.features and window.features.sketches]\n"
        "assert windows\nwindows = windows * 2\n"
    )
    script = READ.replace("from radiosonde.sketches.merge", halves + "from radiosonde.sketches.merge")
    told = run(NO_SKETCHES, script + "print(len(window.features.sketches), window.rows)", tmp_path)
    assert json.loads(told.splitlines()[-2])["rows"] == 4000
    assert told.splitlines()[-1].split()[0] == "0"


def test_a_sketch_names_what_is_missing(tmp_path: Path) -> None:
    """Requesting a sketch without the library raises with installation advice; doctor reports the same."""
    script = (
        "from radiosonde.sketches import KllSketch\n"
        "from radiosonde.errors import ConfigurationError\n"
        "try:\n    KllSketch()\nexcept ConfigurationError as error:\n    print(error)\n"
    )
    assert "pip install 'radiosonde[sketches]'" in run(NO_SKETCHES, script, tmp_path)
    doctor = "from radiosonde.cli import main\nmain(['doctor'])"
    assert "datasketches is not installed" in run(NO_SKETCHES, doctor, tmp_path).replace("\n                ", " ")


def test_a_spool_is_refused_with_a_way_out(tmp_path: Path) -> None:
    """Without suitable file locks, a spool raises an error that says what to remove from the configuration."""
    script = (
        "import radiosonde as rs\n"
        "try:\n    rs.start(spool='spool', prometheus=False)\nexcept rs.errors.SpoolError as error:\n    print(error)\n"
    )
    for prelude in (MACOS, NO_POSIX):
        assert "leave spool='spool' out" in run(prelude, script, tmp_path)
    assert not (tmp_path / "spool").exists()
