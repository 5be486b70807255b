"""State passed from one agent to the next: totals beyond the store's retention, and counts of processes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from radiosonde._agent.agent import Agent
from radiosonde._guard import Guard
from radiosonde._ring.spool import Spool
from radiosonde.store.connection import writing
from radiosonde.store.retention import drop_older
from tests.unit.pipeline.spooled import Server, draining, rings, serving

CALL = ({"wind": 1.0}, "late", "")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Return the path of a spool that its first user creates."""
    return tmp_path / "spool"


def lost(agent: Agent) -> dict[str, int]:
    """Return the losses reported by an agent."""
    return {reason: count for reason, count in agent.statistics().losses.items() if count}


def look(agent: Agent) -> None:
    """Take a turn in which the pages of counts are read."""
    agent._looked_ns = 0
    agent.turn()


@contextmanager
def losing(spool: Path, count: int) -> Iterator[Server]:
    """Run a server that has lost *count* rows' features, and whose page of counts says so."""
    with serving(spool) as server:
        server.predict(CALL)
        server.do("lose", count=count)
        yield server


def remove_windows(store: Path) -> None:
    """Remove every window, as retention does in time."""
    with writing(store) as connection:
        drop_older(connection, 1 << 62)


def test_totals_stay_when_the_store_lets_its_windows_go(spool: Path) -> None:
    """Retention and sealing take windows out of the store; a new agent counts on from all that was ever counted."""
    with serving(spool) as server:
        for _ in range(3):
            with draining(spool) as agent:
                server.predict(CALL, ({"wind": 9.0}, "error", ""), times=5)
                agent.turn()
                assert agent.commit()
                before = agent.snapshot()
            remove_windows(spool / "agent.sqlite")
        with draining(spool) as agent:
            (window,) = agent.snapshot().windows
            assert (window.calls, dict(window.errors), int(window.features.cells.sum())) == (30, {"ValueError": 15}, 30)
            assert agent.snapshot().start_ns == before.windows[0].start_ns
            assert window.latency.counts.tolist() == before.windows[0].latency.counts.tolist()
            assert window.features.fingerprints.tolist() == before.windows[0].features.fingerprints.tolist()


def test_a_start_reads_totals_and_no_windows(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many windows a store holds, what a start reads is one row per series."""
    with serving(spool) as server, draining(spool) as agent:
        for _ in range(4):
            server.predict(CALL)
            agent.turn()
            agent.commit()
    store = sqlite3.connect(spool / "agent.sqlite")
    assert store.execute("SELECT (SELECT count(*) FROM windows) > 3, (SELECT count(*) FROM totals)").fetchone() == (
        1,
        1,
    )
    store.execute("UPDATE windows SET latency = 'nothing that could be read'")
    store.commit()
    store.close()
    with draining(spool) as agent:
        assert [window.calls for window in agent.snapshot().windows] == [4]


def test_a_store_without_totals_gets_them(spool: Path) -> None:
    """A store from before there were totals is summed up once; from then on they are there."""
    with serving(spool) as server:
        with draining(spool) as agent:
            server.predict(CALL, times=3)
            agent.turn()
            agent.commit()
        store = sqlite3.connect(spool / "agent.sqlite")
        store.execute("DROP TABLE totals")
        store.execute("DROP TABLE carried")
        store.commit()
        store.close()
        with draining(spool) as agent:
            assert agent.commit()
        remove_windows(spool / "agent.sqlite")
        with draining(spool) as agent:
            assert [window.calls for window in agent.snapshot().windows] == [3]


def test_what_workers_lost_reaches_the_agent(spool: Path) -> None:
    """The losses of living processes, of killed ones and of ended ones add up, exactly, over restarts of the agent too."""
    with losing(spool, 7) as one, losing(spool, 20) as two, losing(spool, 100) as three:
        with draining(spool) as agent:
            look(agent)
            assert lost(agent) == {"features_unreadable": 127}
            one.kill()
            look(agent)
            two.end()
            look(agent)
            assert lost(agent) == {"features_unreadable": 127}
            assert agent.commit()
            assert len(list(spool.glob("*.counts"))) == 1
            three.do("lose", count=1000)
            look(agent)
            assert lost(agent) == {"features_unreadable": 1127}
        with draining(spool) as agent:
            look(agent)
            assert lost(agent) == {"features_unreadable": 1127}
            three.kill()
            agent.close()
            assert lost(agent) == {"features_unreadable": 1127}
        with draining(spool) as agent:
            look(agent)
            assert lost(agent) == {"features_unreadable": 1127}
    assert list(spool.glob("*.counts")) == []


def test_a_page_that_was_absorbed_and_not_removed_is_not_added_again(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the commit that absorbed a page and its removal: the next agent knows, and removes it."""
    with losing(spool, 7) as server:
        server.kill()
    with draining(spool) as agent:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", lambda *_, **__: None)
            look(agent)
        assert len(list(spool.glob("*.counts"))) == 1
    with draining(spool) as agent:
        look(agent)
        assert lost(agent) == {"features_unreadable": 7}
    assert list(spool.glob("*.counts")) == []


def test_deaths_are_counted_once_over_a_crash_between_commit_and_removal(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The predictions that died in a ring are in the commit that ends it, and the next agent removes it without a word."""
    with serving(spool) as server:
        server.do("hold", row={"wind": 1.0})
        server.kill()
    with monkeypatch.context() as patch, draining(spool, Guard()) as agent:
        patch.setattr(Spool, "remove", lambda *_: None)
        agent.turn()
        assert lost(agent) == {"died_in_flight": 1}
        agent.turn()
        assert lost(agent) == {"died_in_flight": 1}
    assert rings(spool) == [".names", ".ring"]
    for _ in range(2):
        with draining(spool, Guard()) as agent:
            agent.turn()
            assert lost(agent) == {"died_in_flight": 1}
    assert rings(spool) == []


def test_a_torn_page_of_counts_is_told_and_left(spool: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It costs one line in the log, and neither its neighbours nor the turn."""
    with losing(spool, 7), draining(spool) as agent:
        (spool / "torn.counts").write_bytes(b"torn")
        for _ in range(3):
            look(agent)
        assert lost(agent) == {"features_unreadable": 7}
    assert [record.getMessage().split(" is ")[0] for record in caplog.records] == [str(spool / "torn.counts")]
