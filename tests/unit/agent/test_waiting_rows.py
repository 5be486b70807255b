"""Rows wait for a provisional reference in an agent as they do in a process, and survive agents that are killed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from radiosonde._agent.agent import Agent
from radiosonde._agent.waiting_rows import WaitingRows
from radiosonde._aggregate.aggregator import Aggregator
from radiosonde._aggregate.provisional import BACKLOG_BYTES
from radiosonde._guard import Guard
from radiosonde._ring.text_codes import boxed
from radiosonde._settings import Settings
from radiosonde.model import losses
from radiosonde.testing import fly
from tests.unit.aggregate.blocks import block, stream
from tests.unit.pipeline.spooled import draining, serving, stored


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Return the path of a spool that its first user creates."""
    return tmp_path / "spool"


def calls(values: np.ndarray) -> list[tuple[dict[str, float], str, str]]:
    """Return predictions of one feature."""
    return [({"wind": float(value)}, "late", "") for value in values]


def shortened(spool: Path) -> Settings:
    """Return settings in which a thousand rows form a reference, regardless of the time they cover."""
    return Settings(spool=str(spool), agent=True, provisional_s=0.0)


def waiting(agent: Agent) -> int:
    """Return how many rows wait."""
    return sum(len(part.rows) * part.weight for each in agent._aggregator.backlogs for part in each.parts())


@pytest.mark.parametrize("commits", [[11], [1, 36, 400], [999]])
def test_a_commit_makes_no_reference(spool: Path, commits: list[int]) -> None:
    """However many commits come before a thousand rows and an hour, rows wait, and the snapshot shows each of them once."""
    rng = np.random.default_rng(8)
    with serving(spool) as server, draining(spool) as agent:
        for count in commits:
            server.predict(*calls(rng.normal(size=count)))
            agent.turn()
            assert agent.commit()
            (window,) = agent.snapshot().windows
            assert stored(spool).features is None
            assert window.features.cells.sum() == window.calls == waiting(agent)
    assert stored(spool).calls == sum(commits)


def test_an_agent_makes_the_reference_that_a_process_makes(spool: Path) -> None:
    """Of the same rows in the same order, the agent and the process itself make the same profile and the same cells."""
    values = np.random.default_rng(9).normal(size=1500)
    with serving(spool) as server:
        for start in range(0, 1500, 300):  # four agents are killed before there are rows enough
            with draining(spool, settings=shortened(spool)) as agent:
                server.predict(*calls(values[start : start + 300]))
                agent.turn()
                assert agent.commit()
                found = agent.snapshot()
    with fly(provisional_s=0.0) as rs:
        predict = rs.observe("delays", version="1")(lambda _: "late")
        for start in range(0, 1500, 300):
            for value in values[start : start + 300]:
                predict({"wind": float(value)})
            rs.pipeline().take_turn()
        expected = rs.pipeline().snapshot()
    reference, ours = expected.references["delays", "1"], found.references["delays", "1"]
    assert (ours.rows, ours.provisional, ours.features) == (reference.rows, True, reference.features)
    assert ours.rows == 1200
    (window,), (wanted,) = found.windows, expected.windows
    assert window.features.cells.tolist() == wanted.features.cells.tolist()
    assert stored(spool).features.cells.sum() == 1500
    assert list(spool.glob("*.waiting")) == []


@pytest.mark.parametrize("killed_at", ["before any commit", "after a commit", "between the file and the commit"])
def test_rows_that_wait_survive_their_agent(spool: Path, killed_at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever an agent is killed, the next one has every row once."""
    values = np.random.default_rng(10).normal(size=90)
    with serving(spool) as server:
        with draining(spool, Guard()) as first:
            server.predict(*calls(values[:50]))
            first.turn()
            if killed_at != "before any commit":
                assert first.commit()
            server.predict(*calls(values[50:70]))
            first.turn()
            if killed_at.startswith("between"):
                monkeypatch.setattr(first._writer, "write", _killed)
                assert not first.commit()
        with draining(spool) as second:
            second.turn()
            assert waiting(second) == 70
            assert second.commit()
        with draining(spool) as third:
            server.predict(*calls(values[70:]))
            assert third.close()
    total = stored(spool)
    assert (total.calls, int(total.features.cells.sum())) == (90, 90)
    assert total.features.cells[0, :-4].tolist() == [9] * 10


def _killed(*_: object, **__: object) -> None:
    raise OSError("killed here")


def test_rows_whose_file_is_gone_are_counted_as_lost(spool: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that was removed, cut or overwritten costs its rows by name, and the log says which file."""
    with serving(spool) as server:
        for damage in ("removed", "cut", "overwritten"):
            with draining(spool, Guard()) as agent:
                server.predict(*calls(np.arange(40.0)))
                agent.turn()
                assert agent.commit()
                (path,) = spool.glob("*.waiting")
            if damage == "removed":
                path.unlink()
            elif damage == "cut":
                path.write_bytes(path.read_bytes()[:-1])
            else:
                path.write_bytes(b"nothing that could be read\n")
            with draining(spool, Guard()) as agent:
                assert agent.statistics().losses[losses.FEATURES_UNFINISHED] >= 40
                assert waiting(agent) == 0
                assert agent.commit()
    with draining(spool, Guard()) as agent:
        assert agent.statistics().losses[losses.FEATURES_UNFINISHED] == 120
        assert agent.snapshot().windows[0].calls == 120
    assert str(path) in caplog.text


def _kept(aggregator: Aggregator, folder: Path) -> dict[str, int]:
    """Return the state written by an agent with this aggregator, its file and the number of its bytes."""
    return WaitingRows(folder, Guard()).save(aggregator.backlogs)


MIXED = {
    "numbers": (stream(), [[1.0], [math.nan], [math.inf]]),
    "texts": (stream(categories=[["b", "a", 'quote " and\nline']]), [[0.0], [2.0], [1.0]]),
    "open": (stream(categories=[["a", "ü"], None]), [[boxed(1), 1.5], [7.0, math.nan], [boxed(0), -0.0]]),
}


@pytest.mark.parametrize("name", MIXED)
def test_rows_come_back_as_they_were(name: str, tmp_path: Path) -> None:
    """Bits, weights, windows, cohorts and categories of rows are those that were saved, over several saves."""
    feed, rows = MIXED[name]
    feed.is_open = name == "open"
    aggregator, kept = Aggregator(60.0, "", provisional_s=3600.0), WaitingRows(tmp_path, Guard(reraise=True))
    for minute in range(3):
        aggregator.fold(feed, block([60 * minute] * 3, rows, series=minute % 2))
        document = json.loads(json.dumps(kept.save(aggregator.backlogs)))
    (backlog,) = aggregator.backlogs
    found = WaitingRows(tmp_path, Guard(reraise=True)).load(document)
    assert [(part.start_ns, part.cohort, part.weight) for part in found] == [
        (part.start_ns, part.cohort, part.weight) for part in backlog.parts()
    ]
    assert b"".join(part.rows.tobytes() for part in found) == b"".join(
        np.ascontiguousarray(part.rows).tobytes() for part in backlog.parts()
    )
    assert len({id(part.stream) for part in found}) == 1
    assert found[0].stream.categories == feed.categories
    assert (found[0].stream.identity, found[0].stream.is_open) == (feed.identity, feed.is_open)


def test_thinned_rows_are_written_anew(tmp_path: Path) -> None:
    """Beyond the bound in bytes rows are thinned; the next file holds those that stay, and the former one goes."""
    aggregator, kept = Aggregator(60.0, "", provisional_s=3600.0), WaitingRows(tmp_path, Guard(reraise=True))
    feed = stream()
    rows = BACKLOG_BYTES // 8 - 100
    aggregator.fold(feed, block([0] * rows, np.arange(float(rows)).reshape(-1, 1)))
    first = kept.save(aggregator.backlogs)
    kept.committed()
    aggregator.fold(feed, block([0] * 1000, np.zeros((1000, 1))))
    second = kept.save(aggregator.backlogs)
    kept.committed()
    assert second["number"] == first["number"] + 1
    assert second["bytes"] < first["bytes"]
    assert [path.name for path in tmp_path.iterdir()] == [f"{second['number']}.waiting"]
    found = WaitingRows(tmp_path, Guard(reraise=True)).load(second)
    assert sum(len(part.rows) * part.weight for part in found) == second["rows"]
