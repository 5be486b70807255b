"""The health of workers reaches the windows and metrics of their agent exactly once, despite kills."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from radiosonde._agent import workers_health
from radiosonde._agent.agent import Agent
from radiosonde._guard import Guard
from radiosonde._ring.spool import Spool
from radiosonde.errors import StoreError
from radiosonde.model import RUNTIME_MODEL, RuntimeCounts, Window
from radiosonde.model.runtime import LEVELS
from radiosonde.store.documents import group_document
from radiosonde.store.reader import Interval, StoreReader
from radiosonde.store.writer import StoreWriter
from tests.factories import make_durations
from tests.unit.pipeline.spooled import draining

MINUTE_NS = 60 * 10**9
START_NS = 1_362_096_000 * 10**9
"""A full minute."""

_WORKER = """
import json, os, sys
from pathlib import Path
from radiosonde._ring.process_pages import HEALTH, HealthReading, ProcessPage
from radiosonde.model import RuntimeCounts
from radiosonde.store.documents import group_document

page = None
for line in sys.stdin:
    order = json.loads(line)
    page = page or ProcessPage(Path(order["path"]), HEALTH)
    page.write(HealthReading(order["time_ns"], group_document(RuntimeCounts).read(order["total"])))
    print("done", flush=True)
"""


class Worker:
    """A process that publishes given totals in a page of health."""

    def __init__(self, path: Path, process: subprocess.Popen[str]) -> None:
        self.path = path
        self._process = process

    def leave(self, at_s: float, **total: Any) -> None:
        """Leave *total* as sampled *at_s* after the start; the process is as old as that."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        document = group_document(RuntimeCounts).write(RuntimeCounts(**{"observed_s": float(at_s), **total}))
        order = {"path": str(self.path), "total": document, "time_ns": START_NS + round(at_s * 1e9)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait(20)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Return the path of a spool."""
    return Spool(tmp_path / "spool").folder


@contextmanager
def working(spool: Path, name: str = "worker-1") -> Iterator[Worker]:
    """Run a process that is to leave its health under *name*."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield Worker(Spool(spool).page_path(name, ".health"), process)
        finally:
            process.kill()


def look(agent: Agent) -> None:
    """Make the agent read the pages, and commit."""
    agent._looked_ns = 0
    agent.turn()
    agent.commit()


def stored(spool: Path) -> list[Window]:
    """Return the windows of health in the store, as they were written."""
    return [window for _, window in StoreReader(spool / "agent.sqlite").parts(Interval(runtime=True))]


def counted(spool: Path) -> list[tuple[float, float, float, int]]:
    """Return minute, seconds observed, CPU seconds and resident memory of each window in the store."""
    return [
        ((window.start_ns - START_NS) / MINUTE_NS, each.observed_s, each.cpu_s, each.rss_bytes)
        for window in stored(spool)
        if (each := window.runtime) is not None
    ]


def test_a_window_holds_what_was_added_in_it_and_the_highest_level(spool: Path) -> None:
    """One row per process and window, written when it is over; totals are shown at once."""
    pauses = make_durations([0.001] * 20)
    with draining(spool) as agent, working(spool) as worker:
        worker.leave(10, cpu_s=1.0, rss_bytes=80, periods=100, throttled_periods=3, throttled_s=0.25)
        look(agent)
        worker.leave(30, cpu_s=3.0, rss_bytes=50, periods=300, throttled_periods=5, throttled_s=0.5, gc_pauses=pauses)
        look(agent)
        assert counted(spool) == []
        worker.leave(61, cpu_s=4.0, rss_bytes=60, periods=610, throttled_periods=5, throttled_s=0.5, gc_pauses=pauses)
        look(agent)
        (window,) = stored(spool)
        assert (window.key.model, window.key.cohort, window.process) == (RUNTIME_MODEL, agent.process, "worker-1")
        assert (window.start_ns, window.end_ns) == (START_NS, START_NS + MINUTE_NS)
        assert (window.calls, window.rows) == (0, 0)
        document = group_document(RuntimeCounts).write(
            RuntimeCounts(30.0, 3.0, 300, 5, 0.5, 80, gc_pauses=pauses)  # until the last look in it
        )
        assert group_document(RuntimeCounts).write(window.runtime) == document
        (shown,) = agent.snapshot().runtimes.values()
        assert (shown.cpu_s, shown.rss_bytes, shown.periods) == (4.0, 60, 610)
        worker.kill()
        look(agent)
        assert counted(spool) == [(0, 30.0, 3.0, 80), (1, 31.0, 1.0, 60)]
        assert list(spool.glob("*.health")) == []


@pytest.mark.parametrize("level", LEVELS)
def test_a_window_holds_the_peak_of_every_level(spool: Path, level: str) -> None:
    """Each level as it was highest within the window, also where it was higher in the window before."""
    with draining(spool) as agent, working(spool) as worker:
        for at_s, value in ((10, 8), (30, 90), (50, 40), (61, 20), (90, 50), (110, 30), (121, 1)):
            worker.leave(at_s, **{level: value})
            look(agent)
        assert [getattr(window.runtime, level) for window in stored(spool)] == [90, 50]


def test_workers_are_told_apart(spool: Path) -> None:
    """Each has windows and metrics of its own."""
    with draining(spool) as agent, working(spool, "a") as one, working(spool, "b") as two:
        one.leave(1, cpu_s=0.5)
        two.leave(2, cpu_s=0.25)
        look(agent)
        assert {name: total.cpu_s for name, total in agent.snapshot().runtimes.items()} == {"a": 0.5, "b": 0.25}
        one.kill()
        two.kill()
        look(agent)
    assert {window.process: window.runtime.cpu_s for window in stored(spool)} == {"a": 0.5, "b": 0.25}


WHOLE = [(0, 30.0), (1, 31.0), (2, 69.0)]


@pytest.mark.parametrize(
    ("kills", "windows"),
    [
        ((), WHOLE),
        ((10,), WHOLE),
        # What only the killed one had seen of a window is in the window in which the next one looks first.
        ((30,), [(1, 61.0), (2, 69.0)]),
        ((61,), [(0, 30.0), (2, 100.0)]),
        ((10, 30, 61, 130), [(2, 130.0)]),
        ((61, 130), [(0, 30.0), (2, 100.0)]),
    ],
)
def test_an_agent_that_is_killed_leaves_nothing_out_and_counts_nothing_twice(
    spool: Path, kills: tuple[int, ...], windows: list[tuple[int, float]]
) -> None:
    """Whenever it dies, the windows add up to the worker's total."""
    with working(spool) as worker:
        steps = [10, 30, 61, 130]
        while steps:
            with draining(spool) as agent:
                while steps:
                    at_s = steps.pop(0)
                    worker.leave(at_s, cpu_s=at_s / 10, gc_pauses=make_durations([0.25] * at_s))
                    look(agent)
                    if at_s in kills:
                        break
        worker.kill()
        with draining(spool) as agent:
            look(agent)
    assert [(minute, observed_s) for minute, observed_s, _, _ in counted(spool)] == windows
    assert sum(int(window.runtime.gc_pauses.counts.sum()) for window in stored(spool)) == 130


def test_what_came_while_no_agent_ran_is_in_the_window_of_the_first_look(spool: Path) -> None:
    """Ten minutes are one part, which says that it covers them."""
    with working(spool) as worker:
        with draining(spool) as agent:
            worker.leave(5, cpu_s=1.0)
            look(agent)
        worker.leave(605, cpu_s=2.0)
        with draining(spool) as agent:
            look(agent)
            agent.close()
    assert counted(spool) == [(10, 605.0, 2.0, 0)]


def test_an_agent_that_ends_writes_the_open_window_and_the_next_goes_on(spool: Path) -> None:
    """Parts of one window, which add up."""
    with working(spool) as worker:
        for at_s in (10, 20):
            with draining(spool) as agent:
                worker.leave(at_s, cpu_s=at_s / 10)
                agent._looked_ns = 0
                assert agent.close()
    assert counted(spool) == [(0, 10.0, 1.0, 0), (0, 10.0, 1.0, 0)]


def test_a_page_that_was_counted_and_not_removed_is_not_counted_again(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the commit and the removal, or unable to remove: now and later, by this agent and the next."""
    with working(spool) as worker:
        worker.leave(10, cpu_s=1.0)
        worker.kill()
    with monkeypatch.context() as patch, draining(spool) as agent:
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        for _ in range(3):
            look(agent)
        assert len(list(spool.glob("*.health"))) == 1
    with draining(spool) as agent:
        look(agent)
    assert counted(spool) == [(0, 10.0, 1.0, 0)]
    assert list(spool.glob("*.health")) == []


def test_while_the_store_is_away_one_window_takes_what_comes(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the outage, and nothing is lost by it."""
    with working(spool) as worker, draining(spool, Guard()) as agent:
        worker.leave(1, cpu_s=0.5)
        look(agent)
        with monkeypatch.context() as patch:

            def refuse(*_: object, **__: object) -> None:
                raise StoreError("away")

            patch.setattr(StoreWriter, "write", refuse)
            for minute in range(1, 20):
                worker.leave(60 * minute + 1, cpu_s=minute + 0.5)
                look(agent)
            assert len(agent._health.windows()) == 1
        look(agent)
        worker.kill()
        look(agent)
    assert [(minute, cpu_s) for minute, _, cpu_s, _ in counted(spool)] == [(0, 0.5), (1, 19.0)]


def test_a_page_that_cannot_be_read_costs_a_line_in_the_log(spool: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One, regardless of the number of reads; its neighbours count."""
    (spool / "torn.health").write_bytes(b"torn")
    with working(spool) as worker, draining(spool) as agent:
        worker.leave(1, cpu_s=0.5)
        for _ in range(3):
            look(agent)
        assert list(agent.snapshot().runtimes) == ["worker-1"]
    assert [record.getMessage().split(" is ")[0] for record in caplog.records] == [str(spool / "torn.health")]


def test_the_dead_are_shown_without_memory_for_a_while(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend gets their last counts; what they held is free again."""
    with draining(spool) as agent, working(spool, "a") as one, working(spool, "z") as two:
        one.leave(1, cpu_s=0.5, rss_bytes=80)
        two.leave(1, cpu_s=0.25, rss_bytes=90)
        look(agent)
        one.leave(2, cpu_s=0.75, rss_bytes=80)
        one.kill()
        look(agent)
        assert shown(agent) == {"z": (0.25, 90), "a": (0.75, 0)}
        assert next(iter(shown(agent))) == "z"  # the living come first
        monkeypatch.setattr(workers_health, "SHOWN_NS", 0)
        look(agent)
        assert shown(agent) == {"z": (0.25, 90)}


def test_no_more_than_the_newest_dead_are_shown(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that crashes in a loop does not fill the page of metrics."""
    monkeypatch.setattr(workers_health, "SHOWN_DEAD", 2)
    with draining(spool) as agent:
        for name in "abcd":
            with working(spool, name) as worker:
                worker.leave(1, cpu_s=0.5)
                worker.kill()
            look(agent)
        look(agent)
        assert list(shown(agent)) == ["c", "d"]


def test_a_page_that_somebody_removed_is_counted_as_far_as_it_was_seen(spool: Path) -> None:
    """Its process is shown no longer than a dead one."""
    with draining(spool) as agent, working(spool) as worker:
        worker.leave(1, cpu_s=0.5, rss_bytes=80)
        look(agent)
        worker.path.unlink()
        look(agent)
        assert counted(spool) == [(0, 1.0, 0.5, 80)]
        assert shown(agent) == {"worker-1": (0.5, 0)}


def test_an_agent_stays_while_a_worker_lives_and_until_its_page_is_counted(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``RADIOSONDE_AGENT=auto`` it ends a minute after the last one, with everything durable."""
    with working(spool) as worker, draining(spool) as agent:
        worker.leave(1, cpu_s=0.5)
        look(agent)
        seen_ns = agent._writer_seen_ns
        look(agent)
        assert agent._writer_seen_ns > seen_ns
        worker.kill()
        agent._looked_ns = 0
        agent.turn()
        assert agent.idle_s == 0.0
        agent.commit()
        assert agent.idle_s > 0.0


def shown(agent: Agent) -> Mapping[str, tuple[float, int]]:
    """Return CPU seconds and memory by process, as the metrics say."""
    return {name: (total.cpu_s, total.rss_bytes) for name, total in agent.snapshot().runtimes.items()}
