"""Runs the measurement of a function in a child process, and returns its results."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from radiosonde._settings import bench_environment
from radiosonde.bench.results import Results, results_of
from radiosonde.errors import ConfigurationError, RadiosondeError
from radiosonde.sources import open_source

STOP_S: Final = 20.0
"""Time limit for a child to end after Ctrl-C: its current block, and writing its results."""


class Orders(NamedTuple):
    """The parameters of a measurement.

    Attributes:
        target: ``module:function``.
        input: path of a file of rows; None: rows are generated.
        form: how a row is passed; see `radiosonde.bench.rows.FORMS`.
        batch: rows per call.
        seconds: how long to measure.
        reference: path of a reference profile.
    """

    target: str
    input: str | None = None
    form: str = "auto"
    batch: int = 1
    seconds: float = 10.0
    reference: str | None = None


def measure(orders: Orders, progress: Callable[[int, int], None] | None) -> Results:
    """Measure a function.

    Raises:
        ConfigurationError: it cannot be imported or called.
        RadiosondeError: the child ended without an answer.
        KeyboardInterrupt: Ctrl-C came before a first round was measured; later it ends the measurement early.
    """
    with tempfile.TemporaryDirectory(prefix="radiosonde-bench-") as name:
        folder = Path(name)
        (folder / "orders.json").write_text(json.dumps(orders._asdict()), encoding="utf-8")
        store = folder / "windows.sqlite"
        # Output of the user's code goes to stderr: stdout is for the results.
        child = subprocess.Popen(
            [sys.executable, "-m", "radiosonde.bench._child", name],
            env=bench_environment(str(store)), stdin=subprocess.DEVNULL, stdout=2, start_new_session=True,
        )  # fmt: skip
        try:
            _wait(child, folder, progress)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        document = _found(folder, child.returncode)
        results = results_of(document)
        return replace(results, counted=counted_calls(store, document["model"]))


def _wait(child: subprocess.Popen[bytes], folder: Path, progress: Callable[[int, int], None] | None) -> None:
    while True:
        try:
            with suppress(subprocess.TimeoutExpired):
                child.wait(0.2)
                return
            if progress is not None:
                with suppress(OSError, ValueError):
                    progress(round(1000 * float((folder / "progress").read_text(encoding="ascii"))), 1000)
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                child.wait(STOP_S)
            return


def _found(folder: Path, code: int) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise RadiosondeError(
            f"the measuring process ended with code {code} and left no results; its own output says why"
        ) from None
    if "error" in document:
        raise ConfigurationError(document["error"])
    if "interrupted" in document:
        raise KeyboardInterrupt
    return document


def counted_calls(store: Path, model: str, wait_s: float = 0.0) -> int:
    """Return the calls of *model* in a store; retries for *wait_s* while there are none."""
    until_s = time.monotonic() + wait_s
    while True:
        if store.exists():
            count = sum(window.calls for window in open_source([str(store)]).windows() if window.key.model == model)
            if count or time.monotonic() >= until_s:
                return int(count)
        elif time.monotonic() >= until_s:
            return 0
        time.sleep(0.1)
