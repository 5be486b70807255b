"""Four gunicorn workers and an agent under a steady load: nothing grows, and all requests are counted.

The model is reloaded every few seconds, rows are named tuples made per request, one call in a hundred fails, and labels come late: some
twice, some corrected, some of no value. What was sent is what was stored, and what has the name of a loss.
``make soak`` runs ten minutes; here it is `SOAK_S`, or what the variable ``SOAK_S`` says.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from radiosonde._join.store import RESULTS as LABEL_RESULTS
from radiosonde.model import losses
from radiosonde.store.reader import Interval, StoreReader
from radiosonde.store.totals import read_cumulative_state
from tests.e2e._prefork import agent, ask, children, ended, serving, stop
from tests.e2e._receivers import wait_for

SOAK_S = float(os.environ.get("SOAK_S", "20"))
RELOAD_S = min(8.0, max(2.0, SOAK_S / 10))
"""Seconds after which a model is reloaded."""

GUNICORN = ["gunicorn", "-w", "4", "-b", "127.0.0.1:PORT", "--log-level", "error", "soaked:app"]
LABEL_AFTER = 200
"""Predictions that a worker makes until it labels one."""

STEADY_S = 240.0
"""A soak at least so long shows memory that grows; a shorter one is over before heaps have their size."""

MOST_GROWTH_FILES = 6
"""What descriptors may grow by, likewise: two rings that are being replaced have theirs open beside their successors'."""

MOST_GROWTH_BYTES = 2 << 20
"""What resident memory may grow by over the second half of a soak, by the line through its samples."""

APP = """
import collections, os, time
import pandas as pd
import radiosonde as rs

reload_s, label_after, rows_a_request = float(os.environ["RELOAD_S"]), int(os.environ["LABEL_AFTER"]), 5
log = os.open(os.environ["LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
loaded_s, loads, predict, waiting, labelled = 0.0, 0, None, collections.deque(), 0
NAMES = os.environ["NAMES"].split()
LABELS = {
    10: [("late", "joined"), ("late", "duplicate")],
    20: [("late", "joined"), ("on time", "corrected")],
    30: [(float("nan"), "invalid")],
}


class Model:
    def __init__(self):
        self.weights = [float(number) for number in range(10_000)]

    def predict(self, row):
        if row.number % 100 == 7:
            raise KeyError("one in a hundred")
        return "late" if (row.number * 7919) % 10 < 3 else "on time"


def app(environ, start_response):
    global loaded_s, loads, predict, labelled
    if time.monotonic() - loaded_s > reload_s:
        loaded_s, loads = time.monotonic(), loads + 1
        predict = rs.observe("delays", version=str(loads % 2))(Model().predict)
    first = int(environ["QUERY_STRING"]) * rows_a_request
    frame = pd.DataFrame({"number": range(first, first + rows_a_request), "distance": 1.5, "carrier": "UA"})
    made = collections.Counter()
    for row in frame.itertuples(index=False):
        try:
            predict(row)
            made["calls"] += 1
            waiting.append(rs.current().id)
        except KeyError:
            made["calls"] += 1
            made["errors"] += 1
        while len(waiting) > label_after:
            labelled += 1
            for value, result in LABELS.get(labelled % 50, [("late", "joined")]):
                rs.label(waiting[0], value)
                made[result] += 1
            waiting.popleft()
    os.write(log, (" ".join(str(made[name]) for name in NAMES) + "\\n").encode())
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


RESULTS = ("joined", "duplicate", "corrected", "invalid")
NAMES = ("calls", "errors", *RESULTS)

OF_PREDICTIONS = frozenset((
    losses.RING_OVERWRITTEN, losses.RING_ABANDONED, losses.RECORD_FAILED, losses.WINDOWS_FAILED, losses.STORE_FAILED,
    losses.STORE_REFUSED, losses.AGENT_FAILED, losses.DIED_IN_FLIGHT,
))  # fmt: skip
"""Losses of whole predictions, or of windows of them."""


class Sample(NamedTuple):
    """Resources of a process at a time in seconds."""

    at_s: float
    resident_bytes: int
    descriptors: int


def sample(pid: int) -> Sample:
    """Inspect a process (Linux)."""
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Sample(time.monotonic(), resident, len(list(Path(f"/proc/{pid}/fd").iterdir())))


class Growth(NamedTuple):
    """By how much something grows, and the standard error of that."""

    amount: float
    noise: float

    def exceeds(self, bound: float) -> bool:
        """Return whether it is more than the bound by more than noise."""
        return self.amount - 2 * self.noise > bound

    def shown(self, unit: float = 1.0) -> str:
        """Return both as text, in *unit*."""
        return f"{self.amount / unit:+.2f} ± {self.noise / unit:.2f}"


def growth(samples: list[Sample], field: str) -> Growth:
    """Return by how much a field grows over the second half, by the least-squares line through it."""
    half = samples[len(samples) // 2 :]
    at_s = np.array([each.at_s for each in half])
    (slope, _), covariance = np.polyfit(at_s - at_s[0], [getattr(each, field) for each in half], 1, cov=True)
    length_s = at_s[-1] - at_s[0]
    return Growth(float(slope * length_s), float(np.sqrt(covariance[0, 0]) * length_s))


def ask_steadily(port: int, over: threading.Event) -> None:
    """Ask from two threads until it is over, a hundred times a second at most."""
    numbers, turn = itertools.count(1), threading.Lock()

    def client() -> None:
        while not over.wait(0.02):
            with turn:
                number = next(numbers)
            assert ask(port, number) == "ok"

    clients = [threading.Thread(target=client) for _ in range(2)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()


class Stored(NamedTuple):
    """What the agent's store holds at the end.

    Attributes:
        counts: calls, errors, results of labels.
        outcomes: labels in windows, those that a correction took back included.
        lost: losses by name, those that did not happen left out.
    """

    counts: Counter[str]
    outcomes: int
    lost: dict[str, int]


def stored(spool: Path) -> Stored:
    """Return the counts of the agent's store, and its losses."""
    found = Counter[str]()
    process, outcomes = "", 0
    for _, window in StoreReader(spool / "agent.sqlite", sketches=False).parts(Interval()):
        found.update({"calls": window.calls, "errors": sum(window.errors.values())})
        outcomes += 0 if window.labels is None else sum(window.labels.outcomes.values())
        process = window.process or process
    counts = read_cumulative_state(spool / "agent.sqlite", process).counts["counts"]
    found.update({name.removeprefix("label."): count for name, count in counts.items() if name.startswith("label.")})
    lost = {name.removeprefix("loss."): count for name, count in counts.items() if name.startswith("loss.") and count}
    return Stored(+found, outcomes, lost)


@pytest.mark.slow
@pytest.mark.timeout(SOAK_S + 300)
def test_a_server_under_a_steady_load_grows_by_nothing(tmp_path: Path) -> None:
    """Descriptors stay, and memory does after its heaps have their size; calls and labels sent are those stored and those lost by name."""
    spool, over = tmp_path / "spool", threading.Event()
    (tmp_path / "soaked.py").write_text(APP)
    environment = {
        "RADIOSONDE_SPOOL": str(spool),
        "RADIOSONDE_AGENT": "1",
        "RADIOSONDE_WINDOW_S": "10",
        "RADIOSONDE_PROVISIONAL_S": "0",
        "RELOAD_S": str(RELOAD_S),
        "LABEL_AFTER": str(LABEL_AFTER),
        "NAMES": " ".join(NAMES),
    }
    drainer, _ = agent(spool, **environment)
    with ended(drainer):
        with serving(tmp_path, GUNICORN, environment) as (server, port):
            workers = wait_for(lambda: len(found := children(server.pid)) == 4 and found, "four workers")
            samples: dict[int, list[Sample]] = {pid: [] for pid in [drainer.pid, *workers]}
            load = threading.Thread(target=ask_steadily, args=(port, over))
            load.start()
            try:
                until_s = time.monotonic() + SOAK_S
                while time.monotonic() < until_s:
                    for pid, seen in samples.items():
                        seen.append(sample(pid))
                    time.sleep(min(1.0, SOAK_S / 60))
            finally:
                over.set()
                load.join()
            assert children(server.pid) == workers
        assert stop(drainer) == 0
    made = Counter[str]()
    for line in (tmp_path / "predictions.log").read_text().splitlines():
        made.update(dict(zip(NAMES, map(int, line.split()), strict=True)))
    found = stored(spool)
    for pid, seen in samples.items():
        sys.stdout.write(
            f"{'agent' if pid == drainer.pid else 'worker'}: {seen[0].resident_bytes >> 20} to {seen[-1].resident_bytes >> 20} MiB, "
            f"second half {growth(seen, 'resident_bytes').shown(1 << 20)} MiB; descriptors {seen[0].descriptors} to "
            f"{seen[-1].descriptors}, second half {growth(seen, 'descriptors').shown()}\n"
        )
    sys.stdout.write(f"sent {dict(made)}, stored {dict(found.counts)}, {found.outcomes} outcomes, lost {found.lost}\n")
    lost_predictions = sum(found.lost.get(name, 0) for name in OF_PREDICTIONS)
    assert found.counts["calls"] + lost_predictions == made["calls"]
    assert found.counts["errors"] == made["errors"] or lost_predictions
    labels, lost_labels = sum(found.counts[name] for name in LABEL_RESULTS), found.lost.get(losses.LABEL_QUEUE_FULL, 0)
    assert labels + lost_labels == sum(made[name] for name in RESULTS)
    assert {name: found.counts[name] for name in RESULTS} == {name: made[name] for name in RESULTS} or lost_labels
    assert found.outcomes == found.counts["joined"] + found.counts["corrected"]
    assert not any(growth(seen, "descriptors").exceeds(MOST_GROWTH_FILES) for seen in samples.values())
    if SOAK_S >= STEADY_S:
        assert not any(growth(seen, "resident_bytes").exceeds(MOST_GROWTH_BYTES) for seen in samples.values())
