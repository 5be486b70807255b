"""The spool goes away under living workers and their agent, or has no room: every call is counted, in the end, once.

A worker of its own predicts without a pause in between, a real agent drains, and the store, which lies elsewhere, says what was
counted. What the worker is to do next is written to it line by line.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from radiosonde._ring.names import NameReader
from radiosonde.store.reader import Interval, StoreReader
from tests.slow import mostly_slow

WORKER = """
import collections, json, resource, sys, threading
import numpy as np
import radiosonde as rs

ROW, LIMIT = np.zeros((1, 3)), int(sys.argv[1])
BATCH = np.zeros((20, 3))
made, over = collections.Counter(), threading.Event()

if LIMIT:  # what a full disk is: no file of the spool may be larger than this
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))

@rs.observe("delays")
def predict(rows, answer):
    if answer == "fails":
        raise KeyError(answer)
    return answer if len(rows) == 1 else [answer] * len(rows)

held = threading.Event()

@rs.observe("slow")
def outlast(row):
    held.wait()
    return "late"

def work():
    number = 0
    while not over.wait(0.0005):
        number += 1
        answer = ("yes", "no", "fails", f"class {number // 400}")[number % 4]
        rows = BATCH if number % 50 == 1 else ROW
        made["calls"] += 1
        try:
            predict(rows, answer)
        except KeyError:
            made["KeyError"] += 1
        else:
            made[answer] += len(rows)

slow = threading.Thread(target=outlast, args=(ROW,))
slow.start()
made["calls"] += 1
made["late"] += 1
threads = [threading.Thread(target=work) for _ in range(2)]
threads[0].start()
for line in sys.stdin:
    if line == "room\\n":
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if line == "end\\n":
        break
    print(json.dumps([made["calls"], rs.statistics().losses]), flush=True)
over.set()
held.set()
slow.join()
threads[0].join()
rs.shutdown()
print(json.dumps([made, rs.statistics().losses]), flush=True)
"""


class Worker:
    """A process that predicts.

    Args:
        spool: its spool.
        limit: size in bytes beyond which it may make no file; 0 for none.
        agent: value of RADIOSONDE_AGENT.
    """

    def __init__(self, spool: Path, *, limit: int = 0, agent: str = "1") -> None:
        environment = {**os.environ, "RADIOSONDE_SPOOL": str(spool), "RADIOSONDE_AGENT": agent}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(limit)], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def say(self, line: str = "how many") -> tuple[int, Counter[str]]:
        """Say something to it; return its calls and its losses."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        calls, lost = json.loads(self.process.stdout.readline())
        return calls, +Counter(lost)

    def end(self) -> tuple[Counter[str], Counter[str], str]:
        """End it; return its calls, its reported losses, and its log."""
        output, errors = self.process.communicate("end\n", timeout=60)
        assert self.process.returncode == 0, errors
        made, lost = json.loads(output)
        return Counter(made), +Counter(lost), errors


def wait_for(what: Callable[[], object], description: str) -> None:
    """Wait until something is so."""
    until_s = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until_s, description
        time.sleep(0.02)


def rings(spool: Path) -> list[Path]:
    """Return the rings in a spool that workers write, without those left for the agent only."""
    return [path for path in spool.glob("*.ring") if path.stat().st_size > 1 << 20]


def counted(store: Path) -> Counter[str]:
    """Return the counts of a store, like the worker."""
    found: Counter[str] = Counter()
    for _, window in StoreReader(store, sketches=False).parts(Interval()):
        classes = zip(window.output.classes, window.output.class_counts.tolist(), strict=True)
        found.update({"calls": window.calls, **window.errors})
        found.update(dict(classes))
    return +found


class Agent:
    """A real agent whose store lies outside of the spool."""

    def __init__(self, spool: Path, store: Path) -> None:
        command = [sys.executable, "-m", "radiosonde.cli", "agent", "--spool", str(spool), "--store", str(store)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline()

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it; return its return code."""
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Return a spool."""
    (tmp_path / "spool").mkdir(mode=0o700)
    return tmp_path / "spool"


@pytest.fixture
def start() -> Iterator[Callable[..., Worker]]:
    """Return a starter of workers, and end the remaining ones."""
    started: list[Worker] = []

    def start_one(*args: object, **options: object) -> Worker:
        started.append(Worker(*args, **options))
        return started[-1]

    yield start_one
    for worker in started:
        if worker.process.poll() is None:
            worker.process.kill()
            worker.process.communicate(timeout=60)


@pytest.fixture
def agent(spool: Path, tmp_path: Path) -> Iterator[Agent]:
    """Yield an agent of it."""
    made = Agent(spool, tmp_path / "store.sqlite")
    yield made
    if made.process.poll() is None:
        made.end(signal.SIGKILL)


def remove(*suffixes: str) -> Callable[[Path], None]:
    """Return a function that removes the files of a spool with these suffixes."""

    def act(spool: Path) -> None:
        for path in list(spool.iterdir()):
            if path.suffix in suffixes:
                path.unlink()

    return act


def replace(spool: Path) -> None:
    """Put a copy in the place of each ring."""
    for path in rings(spool):
        copy = path.with_suffix(".copy")
        shutil.copy(path, copy)
        copy.rename(path)


def make_again(spool: Path) -> None:
    """Remove the folder, and make it again."""
    shutil.rmtree(spool)
    spool.mkdir(mode=0o700)


def move_away(spool: Path) -> None:
    """Rename the folder."""
    spool.rename(spool.with_name("elsewhere"))


REMOVALS = {
    "its ring": remove(".ring"),
    "its names": remove(".names"),
    "its batches": remove(".arena"),
    "all of a ring's files": remove(".ring", ".names", ".arena"),
    "its counts and health": remove(".counts", ".health"),
    "the agent's lock and identity": remove(".lock", ".id"),
    "rings that copies replace": replace,
    "the folder": shutil.rmtree,
    "the folder, made again": make_again,
    "the folder, renamed": move_away,
}


@pytest.mark.parametrize("act", mostly_slow(REMOVALS, quick=list(REMOVALS)[:2]))
def test_what_is_removed_under_a_living_worker_costs_no_count(spool, agent, start, tmp_path, act):
    """A new ring is there soon, the old one is counted to its end, and calls that were in flight are, too."""
    worker = start(spool)
    wait_for(lambda: worker.say()[0] > 200 and len(rings(spool)) == 2, "the worker to begin")
    wait_for(lambda: list(spool.glob("*.arena")), "batches")
    before = set(rings(spool))
    act(spool)
    if act is not REMOVALS["its counts and health"] and act is not REMOVALS["the agent's lock and identity"]:
        wait_for(lambda: spool.exists() and set(rings(spool)) - before, "a new ring")
        wait_for(lambda: worker.say()[1]["spool_removed"], "the loss to be counted")
    wait_for(lambda: (spool / "agent.lock").exists() and list(spool.glob("*.health")), "the other files")
    calls = worker.say()[0]
    wait_for(lambda: worker.say()[0] > calls + 200, "more calls")
    made, lost, errors = worker.end()
    wait_for(lambda: not list(spool.glob("*.ring")), "the agent to count all")
    assert agent.end() == 0
    assert set(lost) <= {"spool_removed", "features_learning"}, errors
    assert counted(tmp_path / "store.sqlite") == made


@pytest.mark.parametrize("limit", [2048, 200_000, 1 << 20], ids=["for nothing", "for its names", "for a small ring"])
@pytest.mark.parametrize("gets_room", [True, False], ids=["room later", "never room"])
def test_a_worker_that_starts_while_the_spool_is_full_is_counted(spool, agent, start, tmp_path, limit, gets_room):
    """Its rings wait in memory; they move to the spool when there is room, and what never finds any is a loss with a name."""
    worker = start(spool, limit=limit)
    wait_for(lambda: worker.say()[0] > 500, "the worker to begin")
    assert not rings(spool)
    assert worker.say()[1]["spool_failed"] >= 2
    if gets_room:
        worker.say("room")
        wait_for(lambda: len(rings(spool)) == 2, "the rings to move into the spool")
    made, lost, errors = worker.end()
    wait_for(lambda: not list(spool.glob("*.ring")), "the agent to count all")
    assert agent.end() == 0
    found = counted(tmp_path / "store.sqlite")
    if gets_room or limit >= 1 << 20:
        assert lost["spool_undrained"] == 0
        assert found == made
    else:
        assert lost["spool_undrained"] == made["calls"]
        assert "free space" in errors
        assert not found


def test_a_full_spool_without_an_agent_is_not_filled_further(spool, start, tmp_path, request):
    """Without an agent nothing is left there: it waits in memory until an agent is running."""
    worker = start(spool, limit=1 << 20)
    wait_for(lambda: worker.say()[0] > 2500, "the worker to look at its spool more than once")
    assert not list(spool.glob("*.ring"))
    agent = request.getfixturevalue("agent")
    calls = worker.say()[0]
    wait_for(
        lambda: (tmp_path / "store.sqlite").exists() and counted(tmp_path / "store.sqlite")["calls"] > calls, "counts"
    )
    made, lost, _ = worker.end()
    wait_for(lambda: not list(spool.glob("*.ring")), "the agent to count all")
    assert agent.end() == 0
    assert lost["spool_undrained"] == 0
    assert counted(tmp_path / "store.sqlite") == made


def test_names_are_whole_in_what_is_handed_over(spool, agent, start):
    """Rings left in the spool for the agent name their classes: no code is used as a name there."""
    agent.end()
    worker = start(spool)
    wait_for(lambda: worker.say()[0] > 200 and len(rings(spool)) == 2, "the worker to begin")
    remove(".ring", ".names", ".arena")(spool)
    small = lambda: [path for path in spool.glob("*.ring") if path.stat().st_size < 1 << 20]  # noqa: E731
    wait_for(small, "what is handed over")
    (path,) = [
        each for each in small() if "yes" in {name.text for name in NameReader(each.with_suffix(".names")).read()}
    ]
    names = {name.text for name in NameReader(path.with_suffix(".names")).read()}
    assert {"yes", "no", "KeyError"} <= names
    worker.end()
