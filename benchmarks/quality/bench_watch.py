"""What `radiosonde watch` costs: 20 models of 200 features, a window of a minute each, with and without anything to find.

The CPU of a look at a window in which nothing is wrong, its share of a core with what diagnoses without an occasion may take, the windows
from the beginning of a fault to its incident and to the webhook of a running watch, and the memory of a watch as a process of its own. Also the CPU of
sending a window as an event, which a watch of a database needs, and of copying it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._measure import Figure
from benchmarks.quality.incidents.service import MINUTE_NS, START_NS, Traffic
from radiosonde.diagnose import Policy
from radiosonde.export.otlp_windows import window_event
from radiosonde.model import SeriesKey
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.store.copied import NumberedWindow, StoreCopy
from radiosonde.store.window_text import window_of_text, window_text
from radiosonde.watch.looking import StoreLooker
from tests.e2e._watched import Service, hook, watching
from tests.factories import make_feature, make_features, make_reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from radiosonde.model import Window

MODELS, FEATURES, MINUTES, LOOKS = 20, 200, 60, 10
TWO_DAYS = 2880
SHARE = 0.01
LATER_NS = START_NS + 10**6 * MINUTE_NS
NAMES = [f"f{number:03d}" for number in range(FEATURES)]
REFERENCE = make_reference([make_feature(name, (10,) * 10 + (0,) * 4) for name in NAMES])
BLANK = make_features(REFERENCE, {name: [1] * 10 + [0] * 4 for name in NAMES})


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the cost of a quiet window, the windows until a fault is found, and the memory."""
    del rounds
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store.sqlite"
        long = Path(folder) / "long.sqlite"
        for first in range(0, TWO_DAYS, 120):
            _write(long, range(first, first + 120), rng, models=1)
        yield Figure("watch-memory", "resident memory of a watch, two days of minutes", [_memory_mib(long)], unit="MiB")
        _write(store, range(MINUTES), rng)
        looker = StoreLooker([store], lambda stores, source: Policy(), share=SHARE)
        began, look = time.process_time(), looker.look(LATER_NS)
        while look.is_partial:
            look = looker.look(LATER_NS)
        first = time.process_time() - began
        quiet = []
        for minute in range(MINUTES, MINUTES + LOOKS):
            _write(store, [minute], rng)
            looker._credit_ns = -1e12
            began = time.process_time()
            looker.look(LATER_NS)
            quiet.append(1000 * (time.process_time() - began))
        yield Figure(
            "watch-look", "CPU of a look at a quiet window", quiet, unit="ms", absolute=f"the first {first:.1f} s"
        )
        # Diagnoses in turn take what is left of the share.
        shares = [100 * max(SHARE, cost / 1000 / 60) for cost in quiet]
        yield Figure("watch-share", "of a core, with diagnoses in turn, at windows of a minute", shares, unit="%")
        yield Figure(
            "watch-detect",
            "windows until 30 % failures are found",
            [_windows_until_found(store, looker, rng)],
            unit="windows",
        )
        yield Figure(
            "watch-webhook",
            "windows until the webhook of a running watch is called",
            [_windows_until_told(Path(folder))],
            unit="windows",
        )
        yield from _cost_of_events(Path(folder), rng)


def _windows_until_told(folder: Path) -> float:
    """Return after how many windows of a fault a webhook was called."""
    service = Service(folder / "service.sqlite")
    with hook() as receiver, watching(service.path, folder, "--webhook", receiver.url) as watch:
        watch.has_looked_at(service.write(1) - 60)
        for windows in range(1, 20):
            watch.has_looked_at(service.write(1))
            deadline = time.monotonic() + 5
            while not receiver.taken and time.monotonic() < deadline:
                time.sleep(0.05)
            if receiver.taken:
                return float(windows)
    return float("nan")


def _cost_of_events(folder: Path, rng: np.random.Generator) -> Iterator[Figure]:
    """Yield the CPU of sending and of copying a window of 200 features as an event."""
    store = folder / "events.sqlite"
    _write(store, range(10), rng)
    windows = open_source(store, sketches=False).windows()
    sends, copies = [], []
    copy = StoreCopy(folder / "copy.sqlite", "benchmark")
    for number, window in enumerate(windows, 1):
        began = time.process_time()
        body = window_text(window, process="p", written_ns=1)
        window_event(window, body, number, 1)
        sends.append(1000 * (time.process_time() - began))
        began = time.process_time()
        copy.write([NumberedWindow("p", number, window.end_ns, window_of_text(body))])
        copies.append(1000 * (time.process_time() - began))
    copy.close()
    size = f"{len(body) / 1e3:.0f} kB each"
    yield Figure("watch-event", "CPU of a window as an event, at its sender", sends, unit="ms", absolute=size)
    yield Figure("watch-copy", "CPU of a window copied from a database", copies, unit="ms", absolute=size)


def _windows_until_found(store: Path, looker: StoreLooker, rng: np.random.Generator) -> float:
    for windows in range(1, 20):
        _write(store, [MINUTES + LOOKS + windows - 1], rng, failing=0.3)
        look = looker.look(LATER_NS)
        while look.is_partial:  # a watch looks again at once
            look = looker.look(LATER_NS)
        if look.diagnosis.findings:
            return float(windows)
    return float("nan")


def _write(
    store: Path, minutes: Iterable[int], rng: np.random.Generator, failing: float = 0.001, models: int = MODELS
) -> None:
    windows: list[Window] = []
    for minute in minutes:
        for model in range(models):
            key = SeriesKey(f"m{model:02d}", "v1", "stable", "")
            rate = failing if model == 7 else 0.001
            traffic = Traffic([key], np.array([[1500.0]]), np.array([[float(rng.binomial(1500, rate))]]))
            cells = np.zeros_like(BLANK.cells)
            cells[:, :10] = rng.multinomial(1500, [0.1] * 10, size=FEATURES)
            (window,) = traffic.windows()
            at = {"start_ns": START_NS + minute * MINUTE_NS, "end_ns": START_NS + (minute + 1) * MINUTE_NS}
            windows.append(replace(window, **at, features=replace(BLANK, cells=cells)))
    writer = StoreWriter(store)
    writer.write(windows, {(window.key.model, "v1"): REFERENCE for window in windows})
    writer.close()


def _memory_mib(store: Path) -> float:
    """Return the peak memory of a watch after it has diagnosed all models."""
    command = [
        sys.executable,
        "-m",
        "radiosonde.cli",
        "watch",
        str(store),
        "--every",
        "1s",
        "--port",
        "0",
        "--cpu",
        "0.9",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        most, deadline = 0, time.monotonic() + 40
        while time.monotonic() < deadline and process.poll() is None:
            found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
            most = max(most, int(found[1]) if found else 0)
            time.sleep(1)
        return most / 1024
    finally:
        process.terminate()
        process.wait(30)
