"""Laws of a consumer, for both of its hosts: a model server that drains its own rings, and an agent that drains those of others.

A host is given the same orders, takes turns in between, and ends; what counts is what its store holds then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from radiosonde._agent.agent import Agent
from radiosonde._guard import Guard
from radiosonde._ring.spool import Spool
from radiosonde.model import SeriesKey, Window
from radiosonde.sketches.merge import merge_windows, with_key
from radiosonde.store.reader import Interval, StoreReader
from tests.unit.pipeline.spooled import Server, rings, serving

LATE, FETCHED, FAILED = ({"wind": 1.0}, "late", ""), ({"wind": 2.0}, "on_time", "fetch"), ({"wind": 3.0}, "error", "")
SMALL = {"ring_bytes": 1 << 16}


class Host(NamedTuple):
    """A server, and the turn and the end of the consumer of its rings."""

    server: Server
    turn: Callable[[], object]
    end: Callable[[], dict[str, Window]]


def stored(path: Path) -> dict[str, Window]:
    """Return the contents of a store, one window per model."""
    counted = [each for _, each in StoreReader(path, sketches=False).parts(Interval()) if each.calls or each.labels]
    whole = [with_key(window, SeriesKey(window.key.model, "", "", "")) for window in counted]
    merged = merge_windows(whole, by=lambda each: each.key)
    return {window.key.model: window for window in merged}


@contextmanager
def process(folder: Path, **settings: object) -> Iterator[Host]:
    """A server that drains, joins and stores by itself."""
    store = folder / "store.sqlite"
    options = {"agent": False, "store": str(store), "labels": str(folder / "labels.sqlite"), "runtime": False}
    with serving(folder / "spool", **options, **settings) as server:

        def end() -> dict[str, Window]:
            server.end()
            return stored(store)

        yield Host(server, lambda: server.do("flush"), end)


@contextmanager
def agent(folder: Path, **settings: object) -> Iterator[Host]:
    """A server whose rings an agent drains."""
    with serving(folder / "spool", runtime=False, **settings) as server:
        draining = Agent(Spool(folder / "spool"), Guard(reraise=True))

        def end() -> dict[str, Window]:
            server.end()
            assert draining.close()
            return stored(draining.store)

        yield Host(server, draining.turn, end)


HOSTS = {"process": process, "agent": agent}


@pytest.fixture(params=sorted(HOSTS))
def host(request, tmp_path: Path) -> Iterator[Host]:
    """Return each host in turn."""
    with HOSTS[request.param](tmp_path) as made:
        yield made


@pytest.fixture(params=sorted(HOSTS))
def small(request, tmp_path: Path) -> Iterator[Host]:
    """Return each host in turn, with rings of a few hundred slots."""
    with HOSTS[request.param](tmp_path, **SMALL) as made:
        yield made


@pytest.mark.parametrize("turns", [(), (1,), (0, 1, 1, 2)], ids=["none", "one", "several"])
def test_however_turns_fall_each_call_counts_once(host, turns):
    """Calls, errors, classes and phases, summed over cohorts, are what was made; turns before, between and after add nothing."""
    orders = [
        lambda: host.server.predict(LATE, FETCHED, times=3),
        lambda: host.server.predict(FAILED, LATE, times=4, carrier="UA"),
    ]
    for place, order in enumerate(orders):
        for _ in range(turns.count(place)):
            host.turn()
        order()
    for _ in range(turns.count(len(orders))):
        host.turn()
    window = host.end()["delays"]
    assert (window.calls, dict(window.errors)) == (14, {"ValueError": 4})
    assert dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)) == {
        "late": 7,
        "on_time": 3,
    }
    assert list(window.latency.phases) == ["fetch"]
    assert int(window.latency.counts.sum()) == 14


def test_idle_turns_change_nothing(host):
    """Turns in which nothing was recorded leave every count as it is."""
    host.server.predict(LATE, times=5)
    for _ in range(4):
        host.turn()
    window = host.end()["delays"]
    assert (window.calls, window.rows) == (5, 5)


def test_batches_count_by_row(host):
    """A batch is one call of many rows, and each row has its answer; before and after a turn."""
    host.server.do("batch", rows=300, value=1.5, answer="late")
    host.turn()
    host.server.do("batch", rows=200, value=2.5, answer="on_time")
    window = host.end()["batches"]
    assert (window.calls, window.rows) == (2, 500)
    assert dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)) == {
        "late": 300,
        "on_time": 200,
    }


def test_a_ring_that_runs_over_between_turns_loses_no_call(small):
    """Twenty times as many calls as a ring holds, and no turn in between: counts are exact, errors too."""
    small.server.predict(LATE, times=9_000)
    small.server.predict(FAILED, times=1_000)
    window = small.end()["delays"]
    assert (window.calls, dict(window.errors)) == (10_000, {"ValueError": 1_000})
    assert int(window.latency.counts.sum()) == 10_000


@pytest.mark.parametrize("labelled", ["before the drain", "after a turn"])
def test_a_label_meets_its_prediction_once(host, labelled):
    """Labels join whether their predictions were drained before or not, and no turn joins them again."""
    host.server.predict(LATE, times=6)
    if labelled == "after a turn":
        host.turn()
    host.server.do("label", first=0, last=4, value="late")
    host.server.do("label", first=4, last=6, value="on_time")
    host.turn()
    host.turn()
    window = host.end()["delays"]
    outcomes: Counter[str] = Counter()
    for (result, _), rows in window.labels.outcomes.items():
        outcomes[result] += rows
    assert outcomes == {"correct": 4, "incorrect": 2}
    assert window.calls == 6


def test_models_do_not_mix(host):
    """Rings of two models are drained in one turn, and each counts for its own."""
    host.server.predict(LATE, times=2)
    host.server.do("batch", rows=7, value=1.0, answer="late")
    host.turn()
    host.server.predict(FETCHED, times=3)
    windows = host.end()
    assert {name: (window.calls, window.rows) for name, window in windows.items()} == {
        "delays": (5, 5),
        "batches": (1, 7),
    }


def test_an_end_leaves_no_ring_behind(host, tmp_path):
    """A fully drained ring is removed from the spool."""
    host.server.predict(LATE, times=2)
    host.turn()
    host.server.predict(FETCHED, times=2)
    assert host.end()["delays"].calls == 4
    assert rings(tmp_path / "spool") == []
