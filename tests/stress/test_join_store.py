"""Many processes on one join store, and processes that die."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys

import pytest

from radiosonde._join.opening import open_join_store
from radiosonde._join.sqlite import SqliteJoinStore
from tests.redis_server import running_redis
from tests.unit.join.predictions import BASE_NS, CLASSES, S, predictions

NOW_NS = BASE_NS + 100_000 * S

RECEIVES = """
import sys
from radiosonde._join.opening import open_join_store
from radiosonde._join.store import Label
from tests.unit.join.predictions import CLASSES, id_of
path, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store = open_join_store(path)
for index in range(first, last):
    store.receive([Label(id_of(CLASSES, index), "yes", 2_000_000_000 * 10**9)])
    print(index, flush=True)
store.close()
"""

JOINS = """
import sys
from radiosonde._join.opening import open_join_store
store, counted = open_join_store(sys.argv[1]), 0
while sys.stdin.read(1):
    while (batch := store.join(sys.argv[2], now_ns=int(sys.argv[3]), limit=50)) is not None:
        counted += len(batch.outcomes)
        store.acknowledge(batch.id)
store.close()
print(counted)
"""


def started(script, *arguments):
    """Start a script in a process of its own."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ended(processes):
    """End processes by their handles."""
    for process in processes:
        process.kill()
        process.communicate()


def join_all(store, owner="me"):
    """Join and acknowledge everything; return the outcomes and the labels by result."""
    outcomes, results = [], {}
    while (batch := store.join(owner, now_ns=NOW_NS, limit=50)) is not None:
        outcomes += batch.outcomes
        for result, count in batch.results.items():
            results[result] = results.get(result, 0) + count
        store.acknowledge(batch.id)
    return outcomes, results


def test_a_label_that_was_acknowledged_survives_kill_9(tmp_path):
    """Receivers are killed at random moments: each label they said they have is joined once, and at most one more."""
    path = tmp_path / "join.sqlite"
    store = SqliteJoinStore(path)
    rng = random.Random(7)
    for turn in range(6):
        first = 10_000 * turn
        store.remember([predictions(CLASSES, list(range(first, first + 2000)))])
        receiver = started(RECEIVES, path, first, first + 2000)
        try:
            said = [int(receiver.stdout.readline()) for _ in range(rng.randrange(1, 150))]
            os.kill(receiver.pid, signal.SIGKILL)
            said += [int(line) for line in receiver.stdout if line.endswith("\n")]
        finally:
            ended([receiver])
        outcomes, results = join_all(store)
        joined = sorted((each.event_ns - BASE_NS) // S + 60 for each in outcomes)
        expected = [index % 65_536 for index in said]
        assert joined in (expected, [*expected, expected[-1] + 1])
        assert results == {"joined": len(joined)}
    store.close()


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def target(request, require_program, tmp_path_factory):
    """Return the openers of all stores that processes can share."""
    folder = tmp_path_factory.mktemp("shared")
    if request.param == "sqlite":
        yield str(folder / "join.sqlite")
    else:
        with running_redis(require_program("redis-server"), folder) as url:
            yield url


def test_receivers_and_joiners_at_once_count_each_label_once(target):
    """Two processes receive, two join while predictions go on coming: the outcomes of all add up."""
    store = open_join_store(target)
    receivers = [started(RECEIVES, target, first, first + 400) for first in (0, 300)]
    joiners = [started(JOINS, target, f"joiner-{number}", NOW_NS) for number in (1, 2)]
    try:
        for first in range(0, 700, 50):
            store.remember([predictions(CLASSES, list(range(first, first + 50)))])
            for joiner in joiners:
                joiner.stdin.write("jjj")
                joiner.stdin.flush()
            said = [receiver.stdout.readline() for receiver in receivers for _ in range(20)]  # paces the predictions
            assert all(said)
        for receiver in receivers:
            receiver.communicate(timeout=240)
        counted = [int(joiner.communicate("jj", timeout=240)[0]) for joiner in joiners]
    finally:
        ended([*receivers, *joiners])
    outcomes, _ = join_all(store)
    assert sum(counted) + len(outcomes) == 700
    assert store.waiting == 0
    store.close()
