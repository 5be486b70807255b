"""The agent: counts, durability, and the death of an agent or a server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from radiosonde._guard import Guard
from radiosonde._ring.spool import Spool
from radiosonde.export.prometheus import PrometheusCollector
from tests.unit.pipeline.spooled import draining, rings, serving, stored

CALL = ({"wind": 1.0}, "late", "")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Return the path of a spool that its first user creates."""
    return tmp_path / "spool"


def test_rings_left_to_the_agent_are_drained_and_those_of_others_left_alone(spool: Path) -> None:
    """The page of a ring names its consumer; no other process drains it, living or dead."""
    with serving(spool) as left, serving(spool, agent=False) as own, draining(spool) as agent:
        left.predict(CALL, times=3)
        own.predict(CALL, times=5)
        agent.turn()
        assert [window.calls for window in agent.snapshot().windows] == [3]
        own.kill()
        left.end()
        agent.turn()
        assert stored(spool).calls == 3
        assert rings(spool) == [".names", ".ring"]
        assert agent.statistics().records == 3


def test_an_agent_goes_on_where_a_killed_one_had_committed(spool: Path) -> None:
    """Uncommitted records are drained again; predictions in flight over the restart are counted once."""
    with serving(spool) as server:
        with draining(spool) as first:
            server.predict(CALL, times=10)
            server.do("hold", row={"wind": 2.0})
            first.turn()
            assert first.commit()
            server.predict(CALL, times=20)
            first.turn()  # counted, and lost with it
            assert first.snapshot().windows[0].calls == 30
        with draining(spool) as second:
            assert second.snapshot().windows[0].calls == 10
            second.turn()
            assert second.statistics().in_flight == 1
            server.do("release")
            server.predict(CALL, times=4)
            second.turn()
            assert second.snapshot().windows[0].calls == 35
        with draining(spool) as third:
            assert third.close()
    total = stored(spool)
    assert (total.calls, int(total.features.cells.sum())) == (35, 35)


def test_a_commit_that_fails_is_made_up_for(spool: Path) -> None:
    """While the store cannot be written nothing is lost, also not over a crash; then everything is there once."""
    guard = Guard()
    with serving(spool) as server:
        with draining(spool, guard) as first:
            server.predict(CALL, times=7)
            first.turn()
            store = spool / "agent.sqlite"
            store.rename(spool / "elsewhere")
            store.mkdir()
            assert not first.commit()
            server.predict(CALL, times=5)
            first.turn()
            assert not first.commit()
            assert first.snapshot().windows[0].calls == 12
            server.end()
            first.turn()
            assert rings(spool) == [".names", ".ring"]  # not durable, so not removed
            store.rmdir()
            (spool / "elsewhere").rename(store)
            assert first.commit()
            assert stored(spool).calls == 12
            assert rings(spool) == []
        with draining(spool) as second:
            second.turn()
            assert second.snapshot().windows[0].calls == 12


def test_a_crash_while_the_store_fails_loses_nothing(spool: Path) -> None:
    """Counts that waited in memory are still in the ring for the next agent."""
    with serving(spool) as server:
        with draining(spool, Guard()) as first:
            server.predict(CALL, times=7)
            store = spool / "agent.sqlite"
            store.rename(spool / "elsewhere")
            store.mkdir()
            first.turn()
            assert not first.commit()
            store.rmdir()
            (spool / "elsewhere").rename(store)
        with draining(spool) as second:
            assert second.close()
    assert stored(spool).calls == 7


def test_a_ring_that_was_counted_and_not_removed_is_not_counted_again(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the last commit of a ring and its removal: the next agent knows, and removes it."""
    with serving(spool) as server:
        server.predict(CALL, times=9)
        server.end()
    with monkeypatch.context() as patch, draining(spool) as first:
        patch.setattr(Spool, "remove", lambda *_: None)
        first.turn()
        assert stored(spool).calls == 9
    assert rings(spool) == [".names", ".ring"]
    with draining(spool) as second:
        assert second.close()
        assert second.statistics().records == 0
    assert stored(spool).calls == 9
    assert rings(spool) == []


def test_counters_never_go_back_over_restarts(spool: Path) -> None:
    """Every counter of predictions and cells that Prometheus saw is there after each restart, and not smaller."""
    seen: dict[str, float] = {}
    with serving(spool, cohorts={"plan": ["pro"]}) as server:
        for restart in range(4):
            with draining(spool) as agent:
                for _ in range(2):
                    server.predict(CALL, ({"wind": 5.0}, "error", ""), times=5 * restart + 1, plan="pro")
                    agent.turn()
                    agent.commit(is_end=True)  # counted by an interim reference, cells are another series
                    now = counters(agent)
                    assert seen.keys() <= now.keys()
                    assert [name for name in seen if now[name] < seen[name]] == []
                    seen = now
        server.end()
    with draining(spool) as last:
        last.turn()
        assert rings(spool) == []
        assert counters(last) == seen
        assert last.snapshot().start_ns <= last.snapshot().windows[0].start_ns


def counters(agent: object) -> dict[str, float]:
    """Return the samples of the predictions' counters."""
    text = PrometheusCollector(agent.snapshot).render().decode()  # type: ignore[attr-defined]
    samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    # Without our own statistics, which begin anew with each agent as every process's do.
    found = {name: float(value) for name, _, value in samples if "delays" in name and "_total" in name}
    assert len(found) > 10
    return found


def test_a_second_agent_is_refused(spool: Path) -> None:
    """One agent per folder; the other one reports what to do, and exits with 2."""
    with draining(spool):
        done = subprocess.run(
            [Path(sys.executable).with_name("radiosonde"), "agent", "--spool", spool],
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == f"radiosonde: another agent drains {spool}; only one may; stop it first\n"


def test_a_torn_ring_is_told_once_and_the_others_are_drained(spool: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is not a ring costs one line in the log."""
    with serving(spool) as server, draining(spool) as agent:
        (spool / "a-00000000.ring").write_bytes(b"torn")
        server.predict(CALL, times=2)
        for _ in range(3):
            agent.turn()
        assert agent.snapshot().windows[0].calls == 2
        assert [record.getMessage() for record in caplog.records if "a-00000000" in record.getMessage()] != []
        assert len(caplog.records) == 1
        assert (spool / "a-00000000.ring").exists()


def test_a_commit_comes_before_a_ring_can_run_over(spool: Path) -> None:
    """Half a ring, or half an arena, that is not durable is committed at once."""
    with serving(spool, ring_bytes=65_536) as server, draining(spool) as agent:
        server.predict(CALL)
        agent.turn()
        commits = agent.statistics().exports["store"]
        agent.turn()
        assert agent.statistics().exports["store"] == commits
        server.predict(CALL, times=130)  # of 256 slots: 65 536 / (128 + 8) bytes, rounded down to a power of two
        agent.turn()
        assert agent.statistics().exports["store"] == commits + 1
        server.do("batch", rows=1500, value=1.0, answer="late")  # 1500 x (2 + 2) values of 8192
        agent.turn()
        agent.commit()
        commits = agent.statistics().exports["store"]
        server.do("batch", rows=900, value=1.0, answer="late")
        agent.turn()
        assert agent.statistics().exports["store"] == commits
        server.do("batch", rows=900, value=1.0, answer="late")
        agent.turn()
        assert agent.statistics().exports["store"] == commits + 1


def test_an_identity_half_written_is_none(spool: Path) -> None:
    """All agents of a spool export as one process, regardless of when the first of them was killed."""
    spool.mkdir(mode=0o700)
    (spool / "agent.id.new").write_text("")
    with draining(spool) as first:
        assert len(first.process) == 32
    with draining(spool) as second:
        assert second.process == first.process
