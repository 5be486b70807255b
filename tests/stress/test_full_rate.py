"""Callers that never rest: every call, error, class and duration is counted, in a thread and under an agent, beside a hog.

Each case runs in a separate process, which reports its calls; the store, its own or an agent's, holds the counts.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from radiosonde.store.reader import Interval, StoreReader
from radiosonde.store.totals import read_cumulative_state
from tests.slow import mostly_slow

CALLERS = """
import atexit, collections, json, os, sys, threading, time

made = collections.Counter()
# After the exit of Radiosonde: what is registered first is called last.
atexit.register(lambda: print(json.dumps([made, rs.statistics().losses.get("features_unfinished", 0)])))

import numpy as np
import radiosonde as rs

options = json.loads(sys.argv[1])
ROWS = [np.random.default_rng(seed).random((options["batch"], options["features"])) for seed in range(97)]
NAMES = np.array(["no", "yes", "maybe"])

@rs.observe("delays")
def predict(rows):
    until = time.perf_counter_ns() + options["model_us"] * 1000
    if rows[0, 0] < 0.05:
        raise ValueError
    if options["answers"] == "scores":
        answer = rows[:, 1] * 4 - 2
    else:
        answer = NAMES[(rows[:, 1] * 3).astype(int)]
    while time.perf_counter_ns() < until:
        pass
    return answer if options["batch"] > 1 else answer[0]

def python_hog():
    while True:
        sum(range(1000))

def native_hog():  # keeps the interpreter lock for some ten milliseconds at a time
    numbers = [float(number % 1009) for number in range(100_000)]
    while True:
        sorted(numbers)

def numpy_hog():  # takes and gives the lock all the time
    numbers = np.random.default_rng(0).random((200, 200))
    while True:
        np.sort(numbers, axis=0)

HOGS = {"thread": [python_hog], "native": [native_hog], "numpy": [numpy_hog], "all": [python_hog, native_hog, numpy_hog] * 2}

def call(place):
    mine = collections.Counter()
    for number in range(options["calls"]):
        mine["calls"] += 1
        try:
            answer = predict(ROWS[(number * 7 + place) % 97])
        except ValueError:
            mine["ValueError"] += 1
        else:
            mine["rows"] += options["batch"]
            if options["answers"] == "classes":
                mine.update(np.atleast_1d(answer).tolist())
    made.update(mine)

for hog in HOGS.get(options["hog"], ()):
    threading.Thread(target=hog, daemon=True).start()
threads = [threading.Thread(target=call, args=(place,)) for place in range(options["threads"])]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if options["ends"] == "by kill":
    print(json.dumps([made, 0]), flush=True)
    os.kill(os.getpid(), 9)
rs.flush()
lost = {name: count for name, count in rs.statistics().losses.items() if count}
if lost:
    sys.exit(f"lost {lost}")
"""

PLAIN = {
    "model_us": 0, "threads": 1, "calls": 30_000, "batch": 1, "features": 30, "answers": "classes", "hog": "process",
    "ends": "", "environment": {},
}  # fmt: skip

CASES = {
    "0 us": {},
    "10 us": {"model_us": 10},
    "100 us": {"model_us": 100, "calls": 5_000},
    "0 us, four threads": {"threads": 4, "calls": 8_000},
    "10 us, four threads": {"threads": 4, "model_us": 10, "calls": 5_000},
    "100 us, four threads": {"threads": 4, "model_us": 100, "calls": 1_500},
    "a hog in the same process": {"hog": "thread"},
    "a hog of C code in the same process": {"hog": "native", "calls": 15_000},
    "a hog of numpy in the same process": {"hog": "numpy"},
    "six hogs in the same process": {"hog": "all", "calls": 10_000},
    "sixteen threads and a hog in the same process": {"threads": 16, "calls": 2_000, "hog": "thread"},
    "two features, a large ring": {"features": 2},
    "wide rows, a small ring": {"features": 300, "calls": 8_000, "environment": {"RADIOSONDE_RING_BYTES": "300000"}},
    "scores": {"answers": "scores"},
    "small batches": {"batch": 20, "calls": 8_000},
    "batches of a third of the arena": {"batch": 5_000, "calls": 150},
    "batches larger than the arena": {"batch": 40_000, "calls": 40},
    "scores of batches larger than the arena": {"batch": 40_000, "calls": 20, "answers": "scores", "threads": 2},
    "a budget that thins features": {"environment": {"RADIOSONDE_CPU_BUDGET": "0.001"}},
}


QUICK = {"0 us", "sixteen threads and a hog in the same process"}


@contextmanager
def hog() -> Iterator[None]:
    """Keep a core busy."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def callers(options: dict[str, object], **environment: str) -> tuple[Counter[str], int]:
    """Run callers in a process of their own; return what they made, and the rows whose features it gave up at its exit."""
    chosen = {**PLAIN, **options}
    found = {**os.environ, **environment, **chosen["environment"]}
    with ExitStack() as stack:
        if chosen["hog"] == "process":
            stack.enter_context(hog())
        command = [sys.executable, "-c", CALLERS, json.dumps(chosen)]
        done = subprocess.run(command, env=found, capture_output=True, text=True, timeout=240, check=False)
    expected = -signal.SIGKILL if chosen["ends"] == "by kill" else 0
    assert done.returncode == expected, done.stderr
    made, unfinished = json.loads(done.stdout)
    return Counter(made), unfinished


def counted(store: Path) -> tuple[Counter[str], Counter[str]]:
    """Return the counts of a store, like `callers`, and its checks: durations, values, and cells of the first feature."""
    found: Counter[str] = Counter()
    checks: Counter[str] = Counter()
    for _, window in StoreReader(store, sketches=False).parts(Interval()):
        found.update({"calls": window.calls, "rows": window.rows, **window.errors})
        classes = zip(window.output.classes, window.output.class_counts.tolist(), strict=True)
        found.update(dict(classes))
        checks["durations"] += int(window.latency.counts.sum())
        checks["values"] += int(window.output.value_counts.sum()) + window.output.unreadable
        if window.features is not None:
            checks["cells"] += int(window.features.cells[0].sum())
            checks["looked at"] += window.features.counted_rows
    return +found, checks


def assert_all_counted(made: Counter[str], unfinished: int, store: Path, options: dict[str, object]) -> None:
    """Fail unless a store counted exactly the calls; features may be a sample, or be given up and counted as lost."""
    found, checks = counted(store)
    assert found == made
    assert checks["durations"] == made["calls"]
    assert checks["values"] == (made["rows"] if options.get("answers") == "scores" else 0)
    rows = made["calls"] * options.get("batch", 1)
    # A sample's weights add up to the rows there were only on average, to within one weight each time it is drawn.
    assert checks["looked at"] <= checks["cells"]
    weighted = checks["cells"] + unfinished
    assert weighted <= 1.1 * rows + 1000
    if "batch" not in options:  # a row is weighted for at most 64 others
        assert weighted >= 0.9 * min(rows, 65 * checks["looked at"]) - 1000
    assert checks["looked at"] or unfinished


@pytest.mark.parametrize("options", mostly_slow(CASES, QUICK))
def test_every_call_is_counted_by_a_thread(tmp_path, options):
    """The thread of the same process drains when it can; records that it misses are counted by the callers."""
    made, unfinished = callers(options, RADIOSONDE_STORE=str(tmp_path / "store.sqlite"))
    assert_all_counted(made, unfinished, tmp_path / "store.sqlite", options)


class Agents:
    """Agents of one spool, one at a time."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start one and wait until it says that it drains."""
        command = [sys.executable, "-m", "radiosonde.cli", "agent", "--spool", str(self.spool)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline()

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.communicate(timeout=60)
            self._process = None

    def losses(self) -> dict[str, int]:
        """Return the losses of the agents and their processes."""
        process = (self.spool / "agent.id").read_text()
        counts = read_cumulative_state(self.spool / "agent.sqlite", process).counts["counts"]
        return {name: count for name, count in counts.items() if name.startswith("loss.") and count}

    def finish(self) -> None:
        """Wait until all rings of dead processes are counted, and end."""
        until_s = time.monotonic() + 60
        while list(self.spool.glob("*.ring")) and time.monotonic() < until_s:
            time.sleep(0.05)
        self.end()
        assert not list(self.spool.glob("*.ring"))


@pytest.fixture
def agents(tmp_path):
    """Yield the agents of a spool."""
    (tmp_path / "spool").mkdir(mode=0o700)
    made = Agents(tmp_path / "spool")
    yield made
    made.end(signal.SIGKILL)


AGENT_CASES = {name: options for name, options in CASES.items() if "budget" not in name}


@pytest.mark.parametrize("options", mostly_slow(AGENT_CASES, QUICK))
def test_every_call_is_counted_by_an_agent(agents, options):
    """The agent drains when it can; records that it misses are counted beside the ring."""
    agents.start()
    made, unfinished = callers(options, RADIOSONDE_SPOOL=str(agents.spool), RADIOSONDE_AGENT="true")
    agents.finish()
    assert_all_counted(made, unfinished, agents.spool / "agent.sqlite", options)
    assert agents.losses() == {}


@pytest.mark.parametrize("begins", mostly_slow(["before", "after"], ["before"]))
@pytest.mark.parametrize("options", [{}, {"threads": 4, "calls": 8_000}, {"batch": 20, "calls": 5_000}], ids=str)
def test_what_a_killed_process_has_counted_is_counted_once(agents, options, begins):
    """A process is killed right after its last call, its agent running or not yet: each call is counted exactly once."""
    if begins == "before":
        agents.start()
    options = {**options, "ends": "by kill"}
    made, _ = callers(options, RADIOSONDE_SPOOL=str(agents.spool), RADIOSONDE_AGENT="true")
    if begins == "after":
        agents.start()
    agents.finish()
    found, checks = counted(agents.spool / "agent.sqlite")
    assert (found, checks["durations"]) == (made, made["calls"])


@pytest.mark.slow
def test_an_agent_that_is_killed_counts_no_tally_twice(agents):
    """Agents are killed while callers go on: nothing is counted twice, and only what an agent had taken is missing."""
    agents.start()
    with ExitStack() as stack:
        stack.enter_context(hog())
        chosen = {**PLAIN, "calls": 120_000, "ends": "by kill"}
        environment = {**os.environ, "RADIOSONDE_SPOOL": str(agents.spool), "RADIOSONDE_AGENT": "true"}
        command = [sys.executable, "-c", CALLERS, json.dumps(chosen)]
        process = stack.enter_context(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        while process.poll() is None:
            time.sleep(0.4)
            agents.end(signal.SIGKILL)
            agents.start()
        made = Counter(json.loads(process.communicate()[0])[0])
    agents.finish()
    found, _ = counted(agents.spool / "agent.sqlite")
    assert found["calls"] <= made["calls"]
    assert all(found[name] <= count for name, count in made.items())
    assert found["calls"] > 0.5 * made["calls"]
