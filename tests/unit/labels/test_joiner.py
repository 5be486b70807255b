"""Joined labels become windows in the store, each outcome once, for any joiner and any failure in between."""

from __future__ import annotations

from collections import Counter

import pytest

import radiosonde
from radiosonde._join.sqlite import SqliteJoinStore
from radiosonde.errors import StoreError
from radiosonde.store.reader import Interval, StoreReader
from radiosonde.store.writer import StoreWriter
from radiosonde.testing import fly

START_S = 1_362_096_000


@pytest.fixture
def store(tmp_path):
    """Return the path of a store."""
    return tmp_path / "flights.sqlite"


def outcomes(store) -> Counter:
    """Return the outcomes of all windows in a store, by window start in seconds, cohort and result."""
    counted: Counter = Counter()
    for _, window in StoreReader(store).parts(Interval()):
        for (result, _), rows in window.labels.outcomes.items() if window.labels else ():
            counted[window.start_ns // 10**9 - START_S, window.key.cohort, result] += rows
    return counted


def predicted(rs, at_s: int, *, plan: str = "pro") -> str:
    """Predict once and return the id."""
    with rs.at(START_S + at_s), rs.cohort(plan=plan):
        rs.observe("delays")(lambda _: "yes")([1.0])
    return radiosonde.current().id


def test_the_outcome_belongs_to_the_window_and_cohort_of_the_prediction(store):
    """However late the label, it counts where the prediction did."""
    with fly(store=store, cohorts={"plan": ["pro", "free"]}) as rs:
        early, late = predicted(rs, 70), predicted(rs, 100_000, plan="free")
        rs.label(early, "no", START_S + 99_999)
        rs.label(late, "yes", START_S + 100_001)
        assert rs.flush()
    assert outcomes(store) == {(60, "plan=pro", "incorrect"): 1, (99_960, "plan=free", "correct"): 1}


def test_another_process_labels_and_counts_what_this_one_predicted(store):
    """They share a store and the join store beside it; neither needs to live when the other does."""
    with fly(store=store, cohorts={"plan": ["pro"]}) as rs:
        made = [predicted(rs, 70) for _ in range(5)]
    with fly(store=store) as rs:
        rs.label(made, ["yes"] * 5, START_S + 80)
        assert rs.flush()
        assert rs.statistics().labels["joined"] == 5
    assert outcomes(store) == {(60, "plan=pro", "correct"): 5}


def test_a_store_that_fails_for_a_while_counts_a_batch_once(store, monkeypatch):
    """The batch is not acknowledged before its windows are written, and not counted again when it is returned again."""
    with fly(store=store, reraise=False, cohorts={"plan": ["pro"]}) as rs:
        made = predicted(rs, 70)
        assert rs.flush()
        write, failures = StoreWriter.write, [StoreError("disk full")] * 2

        def failing(self, *args, **kwargs):
            if failures:
                raise failures.pop()
            return write(self, *args, **kwargs)

        monkeypatch.setattr(StoreWriter, "write", failing)
        rs.label(made, "yes", START_S + 80)
        for _ in range(3):
            rs.flush()
        assert rs.statistics().labels["joined"] == 1
    assert outcomes(store) == {(60, "plan=pro", "correct"): 1}


def test_a_process_that_died_before_it_acknowledged_is_not_counted_again(store, monkeypatch):
    """The batch comes to another after a while, and the store remembers that its outcomes are in the windows."""
    with fly(store=store, cohorts={"plan": ["pro"]}) as rs:
        made = predicted(rs, 70)
        acknowledge = SqliteJoinStore.acknowledge
        monkeypatch.setattr(SqliteJoinStore, "acknowledge", lambda *_: None)
        rs.label(made, "yes", START_S + 80)
        rs.flush()
    monkeypatch.setattr(SqliteJoinStore, "acknowledge", acknowledge)
    now_ns = radiosonde._labels.label_queue.wall_ns()
    monkeypatch.setattr("radiosonde._labels.label_queue.wall_ns", lambda: now_ns + 61 * 10**9)
    with fly(store=store) as rs:
        rs.label("somebody-elses", "yes")
        assert rs.flush()
        assert rs.statistics().labels["joined"] == 1  # acknowledged now, counted before
    assert outcomes(store) == {(60, "plan=pro", "correct"): 1}


def test_without_a_store_a_durable_join_counts_in_memory(tmp_path):
    """Metrics alone: the batch is acknowledged when it is in this process's totals."""
    with fly(labels=tmp_path / "labels.sqlite") as rs:
        made = predicted(rs, 70)
        rs.label(made, "yes", START_S + 80)
        assert rs.flush()
        (window,) = rs.windows()
        assert (window.calls, dict(window.labels.outcomes)) == (1, {("correct", "1h"): 1})


def test_a_join_store_that_cannot_be_reached_makes_labels_wait(tmp_path, monkeypatch):
    """Nothing is lost while it is away; a label that must be durable is refused."""
    with fly(labels=tmp_path / "labels.sqlite", reraise=False) as rs:
        made = predicted(rs, 70)
        rs.flush()
        receive = SqliteJoinStore.receive

        def unreachable(*_):
            raise StoreError("away")

        monkeypatch.setattr(SqliteJoinStore, "receive", unreachable)
        rs.label(made, "yes", START_S + 80)
        rs.flush()
        assert rs.pipeline()._label_queue.waiting == 1
        with pytest.raises(StoreError, match="away"):
            rs.label([made], ["yes"])
        monkeypatch.setattr(SqliteJoinStore, "receive", receive)
        assert rs.flush()
        assert rs.statistics().labels["joined"] == 1


def test_labels_in_memory_beside_a_store_need_no_file(store, tmp_path):
    """A join store in memory leaves only windows."""
    with fly(store=store, labels="memory", cohorts={"plan": ["pro"]}) as rs:
        rs.label(predicted(rs, 70), "yes", START_S + 80)
        assert rs.flush()
    assert outcomes(store) == {(60, "plan=pro", "correct"): 1}
    assert [path.name for path in tmp_path.iterdir()] == ["flights.sqlite"]
