"""A watch as its own process over a store that grows, and receivers that keep what they are sent."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import numpy as np

from benchmarks.quality.incidents.service import Traffic, calls, failing, plant, series
from radiosonde.model import Window
from radiosonde.store import StoreWriter
from tests.e2e._receivers import free_port, running, wait_for
from tests.http_server import Handler, http_server

HEALTHY, FAULTY = 300, 420
"""Minutes of the service at which the fault begins and ends."""


@dataclass
class Hook:
    """A server that keeps the JSON it is sent.

    Attributes:
        url: where it is.
        taken: documents of the requests that were answered with 200, in order.
        headers: headers of these requests.
        answers: statuses to answer with, first come first; 200 when there are none left.
        asked: how many requests came.
    """

    url: str = ""
    taken: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    asked: int = 0


@contextmanager
def hook() -> Iterator[Hook]:
    """Run a receiver of JSON."""
    kept = Hook()

    class Receiver(Handler):
        def respond(self) -> None:
            body = self.body()
            kept.asked += 1
            status = kept.answers.pop(0) if kept.answers else 200
            if status == 200:
                kept.headers.append(dict(self.headers))
                kept.taken.append(json.loads(body))
            self.answer(status)

    with http_server(Receiver) as server:
        kept.url = f"{server.url}/hook"
        yield kept


class Service:
    """A service whose minutes are written to a store one after the other.

    Args:
        path: the store, in which the healthy minutes are at once.
    """

    def __init__(self, path: Path) -> None:
        rng = np.random.default_rng(1)
        keys = series(1, region=2)
        made = calls(rng, 900, keys, 200.0, swing=0.0)
        traffic = Traffic(keys, made, failing(rng, made, 0.001))
        self._traffic = plant(rng, traffic, 0.3, HEALTHY, FAULTY, cohort="region=r1")
        self.path, self._minute = path, 0
        self.write(HEALTHY)

    def write(self, minutes: int) -> int:
        """Write the next minutes and return the end of the last, in seconds."""
        windows: list[Window] = self._traffic.windows(self._minute, self._minute + minutes)
        self._minute += minutes
        self.store(windows)
        return max(window.end_ns for window in windows) // 10**9

    def store(self, windows: Sequence[Window]) -> None:
        """Write *windows* to the store."""
        writer = StoreWriter(self.path)
        writer.write(windows)
        writer.close()


@dataclass
class Watch:
    """A watch that runs.

    Attributes:
        process: its process.
        port: of its metrics.
        log: what it prints.
    """

    process: Popen[bytes]
    port: int
    log: Path

    def page(self) -> str:
        """Return its metrics; empty while it does not listen."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return ""

    def value(self, name: str, *labels: str) -> float | None:
        """Return the value of the first sample of that name that has all *labels*, such as ``a="b"``."""
        for line in self.page().splitlines():
            if re.match(rf"{name}[{{ ]", line) and all(label in line for label in labels):
                return float(line.rpartition(" ")[2])
        return None

    def has_looked_at(self, end_s: int) -> None:
        """Wait until it has diagnosed the window that ends at *end_s*."""
        wait_for(
            lambda: (self.value("radiosonde_watch_last_window_timestamp_seconds") or 0) >= end_s,
            f"a look at the window that ends at {end_s}",
        )


@contextmanager
def watching(store: Path | str, folder: Path, *options: str, name: str = "watch") -> Iterator[Watch]:
    """Run ``radiosonde watch`` on *store*, with a look a second; yield it when it serves its metrics."""
    port, log = free_port(), folder / f"{name}.log"
    command: Sequence[str | Path] = [
        sys.executable, "-m", "radiosonde.cli", "watch", store, "--every", "1s", "--cpu", "0.9", "--port", str(port), *options,
    ]  # fmt: skip
    with running(command, log) as process:
        watch = Watch(process, port, log)
        wait_for(lambda: process.poll() is not None or watch.page(), "the watch to serve its metrics")
        assert process.poll() is None, log.read_text()
        yield watch


def until(condition: Callable[[], Any], what: str, watch: Watch) -> Any:
    """Wait for *condition*; say what the watch printed when it does not come."""
    try:
        return wait_for(condition, what)
    except AssertionError as error:
        raise AssertionError(f"{error}; the watch printed: {watch.log.read_text()}") from None
