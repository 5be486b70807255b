"""What every test gets: a clean environment, a check that nothing is left behind, programs by name, free ports.

A test that starts Radiosonde ends it (`radiosonde.shutdown()`, in a fixture): a thread, a child process or a variable
that outlives its test fails that test, not a stranger later in the random order.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REQUIRE_SYSTEM = "RADIOSONDE_REQUIRE_SYSTEM"
OUR_PREFIXES = ("OTEL_", "RADIOSONDE_")
SHOWN = ("numpy", "datasketches", "opentelemetry-sdk", "prometheus-client", "duckdb", "pyarrow", "pandas", "polars")
GRACE_S = 20.0  # a stopping thread may need a moment; polled, so a clean test pays nothing

# Examples run on shared machines: no time limit each. pytest-timeout bounds the test.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")


def pytest_configure() -> None:
    """Forget the developer's own telemetry settings: a test sets what it needs."""
    for name in _our_environment():
        del os.environ[name]


def pytest_report_header() -> str:
    """Name the versions a failure may depend on."""
    return "with: " + ", ".join(f"{name} {_version(name)}" for name in SHOWN)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def _our_environment() -> dict[str, str]:
    ours = {name for name in os.environ if name.startswith(OUR_PREFIXES)} - {REQUIRE_SYSTEM}
    return {name: os.environ[name] for name in ours}


def _threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if not t.daemon or t.name.lower().startswith("radiosonde")}


def _children() -> dict[int, str]:
    """Return the command of each living or unreaped child process, by process id (Linux)."""
    found: dict[int, str] = {}
    for listing in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # the thread or the child ended meanwhile
            for pid in listing.read_text().split():
                command = (
                    Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                )
                # multiprocessing keeps one of these for the life of the interpreter.
                if "resource_tracker" not in command:
                    found[int(pid)] = command or "(ended, not waited for)"
    return found


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread, a child process or a changed environment variable of Radiosonde."""
    threads, children, environment = _threads(), _children(), _our_environment()
    yield
    deadline = time.monotonic() + GRACE_S
    while (_threads() - threads or _children().keys() - children.keys()) and time.monotonic() < deadline:
        time.sleep(0.01)
    left = [f"thread {t.name!r}: stop and join it" for t in _threads() - threads]
    for pid, command in ((p, c) for p, c in _children().items() if p not in children):
        left.append(f"child process {pid} {command!r}: terminate it and wait for it")
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    changed = {name for name, _ in environment.items() ^ _our_environment().items()}
    left += [f"environment variable {name}: set it with monkeypatch.setenv" for name in sorted(changed)]
    for name in changed:
        os.environ.pop(name, None)
    os.environ.update(environment)
    assert not left, "the test left behind: " + "; ".join(left)


@pytest.fixture(scope="session")
def require_program() -> Callable[[str], Path]:
    """Return a function that finds a system program by name; absent, the test skips, and in CI it fails."""

    def find(name: str) -> Path:
        path = shutil.which(name)
        if path:
            return Path(path)
        message = f"the program {name!r} is not installed (Debian: apt-get install {name})"
        if os.environ.get(REQUIRE_SYSTEM) == "1":
            pytest.fail(f"{message}, and {REQUIRE_SYSTEM}=1 asks for it")
        pytest.skip(message)

    return find


@pytest.fixture
def free_port() -> int:
    """Return a free TCP port on 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
