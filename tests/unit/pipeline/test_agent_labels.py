"""Labels given in any process reach the agent, which joins them with the predictions it drained, each once."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest

import radiosonde
from radiosonde._agent.agent import Agent
from radiosonde._guard import Guard
from radiosonde._pipeline import delivery
from radiosonde._ring.spool import Spool
from radiosonde.errors import ConfigurationError
from radiosonde.store.reader import Interval, StoreReader
from radiosonde.store.writer import StoreWriter
from radiosonde.testing import fly

START_S = 1_362_096_000


@pytest.fixture
def spool(tmp_path):
    """Return the path of a spool."""
    return tmp_path / "spool"


def predicted(rs, count: int) -> list[str]:
    """Predict and return the ids."""
    predict = rs.observe("delays")(lambda _: "yes")
    ids = []
    with rs.at(START_S):
        for _ in range(count):
            predict([1.0])
            ids.append(radiosonde.current().id)
    return ids


def outcomes(store) -> Counter:
    """Return the outcomes in a store by result."""
    counted: Counter = Counter()
    for _, window in StoreReader(store).parts(Interval()):
        for (result, _), rows in window.labels.outcomes.items() if window.labels else ():
            counted[result] += rows
    return counted


def test_a_worker_labels_and_the_agent_joins(spool):
    """One at a time or in columns; the agent counts the results and shows the outcomes."""
    with fly(spool=spool, agent=True) as rs:
        first, *rest = predicted(rs, 5)
        rs.label(first, "no", START_S + 60)
        rs.label(rest, ["yes"] * 4, START_S + 60)
        assert rs.flush()
        assert set(rs.statistics().losses.values()) == {0}
    agent = Agent(Spool(spool), Guard(reraise=True))
    assert agent.close()
    assert outcomes(agent.store) == {"correct": 4, "incorrect": 1}
    assert agent.statistics().labels["joined"] == 5
    (window,) = agent.snapshot().windows
    assert (window.calls, sum(window.labels.outcomes.values())) == (5, 5)


def test_classes_beyond_the_bound_are_right_or_wrong_through_an_agent_too(spool):
    """150 classes of single rows and of a batch: the agent counts each, under 101 names, and knows right from wrong."""
    with fly(spool=spool, agent=True) as rs, rs.at(START_S):
        predict = rs.observe("delays")(lambda row: f"c{row[0]:g}")
        batch = rs.observe("batches")(lambda rows: [f"c{place}" for place in range(len(rows))])
        for place in range(150):
            predict([float(place)])
            rs.label(radiosonde.current().id, f"c{place if place % 3 else place + 1}", START_S + 60)
        batch(np.zeros((150, 2)))
        assert rs.flush()
    agent = Agent(Spool(spool), Guard(reraise=True))
    assert agent.close()
    assert outcomes(agent.store) == {"correct": 100, "incorrect": 50}
    for window in agent.snapshot().windows:
        assert window.output.class_counts.sum() == 150
        assert dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True))["__other__"] == 50
        assert len(window.output.classes) == 101


def test_labels_leave_the_process_within_seconds(spool, monkeypatch):
    """Without a flush, and ten minutes before the storing thread: a killed process loses its pending labels."""
    monkeypatch.setattr(delivery, "RETRY_EVERY_S", 600.0)
    with fly(spool=spool, agent=True) as rs:
        (made,) = predicted(rs, 1)
        rs.label(made, "yes")
        radiosonde.current().alias("order-7")
        ends_s = time.monotonic() + 60
        while rs.pipeline()._label_queue.waiting:
            assert time.monotonic() < ends_s, "the label is still here"
            time.sleep(0.05)


def test_labels_of_predictions_that_are_still_in_the_ring_wait(spool):
    """The label comes first; the agent that drains later finds both."""
    with fly(spool=spool, agent=True) as rs:
        ids = predicted(rs, 3)
        with fly(labels=spool / "labels.sqlite") as elsewhere:
            elsewhere.label(ids, ["yes"] * 3, START_S + 60)
        agent = Agent(Spool(spool), Guard(reraise=True))
        agent.turn()
        assert agent.close()
    assert outcomes(agent.store) == {"correct": 3}


def test_an_agent_that_is_killed_between_join_and_commit_counts_once(spool, monkeypatch):
    """Uncommitted joins are repeated by the next agent, and committed ones are not."""
    with fly(spool=spool, agent=True) as rs:
        ids = predicted(rs, 4)
        rs.label(ids, ["yes"] * 4, START_S + 60)
    agent = Agent(Spool(spool), Guard(reraise=True))
    with monkeypatch.context() as dying:
        dying.setattr(StoreWriter, "write", lambda *_, **__: 1 / 0)
        agent.turn()
        agent.commit()
    agent._lock.close()  # as the kernel does for a killed process
    after = Agent(Spool(spool), Guard(reraise=True))
    after.turn()
    assert after.close()
    again = Agent(Spool(spool), Guard(reraise=True))
    again.turn()
    assert again.close()
    assert outcomes(again.store) == {"correct": 4}
    assert again.statistics().labels["joined"] == 4
    assert sum(sum(window.labels.outcomes.values()) for window in again.snapshot().windows) == 4


def test_labels_in_memory_are_refused_where_an_agent_drains(spool):
    """They would never meet their predictions."""
    with (
        pytest.raises(ConfigurationError, match="cannot reach the agent"),
        fly(spool=spool, agent=True, labels="memory"),
    ):
        pass
