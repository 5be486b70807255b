"""Without a reference the first thousand rows make one, and are counted by it exactly once."""

from __future__ import annotations

import math

import numpy as np

from radiosonde._aggregate.aggregator import Aggregator
from radiosonde.model import cell_names
from radiosonde.testing import fly
from tests.unit.aggregate.blocks import block, stream


def only(windows):
    """Return the features of the only window that has some."""
    (found,) = [window.features for window in windows if window.features is not None]
    return found


def test_rows_wait_for_the_thousandth():
    """Nothing is counted by cells before row 1000, everything from it on, each row once."""
    aggregator, feed = Aggregator(60.0, ""), stream()
    values = np.random.default_rng(7).normal(size=(1700, 1))
    aggregator.fold(feed, block([1] * 999, values[:999]))
    assert [window.features for window in aggregator.snapshot()] == [None]
    aggregator.fold(feed, block([2] * 701, values[999:]))
    features = only(aggregator.snapshot())
    assert features.provisional
    assert features.cells.sum() == 1700
    assert sum(window.calls for window in aggregator.snapshot()) == 1700


def test_bounds_come_from_the_rows_that_waited():
    """The deciles of the backlog are the cells: of the rows it was made from each holds a tenth."""
    aggregator, feed = Aggregator(60.0, ""), stream()
    aggregator.fold(feed, block([1] * 1000, np.arange(1000.0).reshape(-1, 1)))
    features = only(aggregator.snapshot())
    assert features.cells[0].tolist() == [100] * 10 + [0, 0, 0, 0]
    aggregator.fold(feed, block([1] * 4, [[-1.0], [1e9], [math.nan], [math.inf]]))
    assert only(aggregator.snapshot()).cells[0].tolist() == [100] * 10 + [1, 1, 1, 1]


def test_the_backlog_returns_to_its_own_windows():
    """Rows of several windows and cohorts are replayed into the window and cohort they came from."""
    aggregator, feed = Aggregator(60.0, ""), stream()
    aggregator.fold(feed, block([1] * 300, np.ones((300, 1))))
    aggregator.fold(feed, block([61] * 500, np.ones((500, 1)), series=1))
    aggregator.fold(feed, block([1] * 200, np.ones((200, 1)), series=1))
    windows = [window for window in aggregator.close(everything=True) if window.features is not None]
    counted = {(w.start_ns // 10**9 % 3600, w.key.cohort): int(w.features.cells.sum()) for w in windows}
    assert counted == {(0, ""): 300, (60, "plan=pro"): 500, (0, "plan=pro"): 200}


def test_a_flush_makes_do_with_fewer_rows():
    """Closing everything counts a short backlog by what it can tell."""
    aggregator, feed = Aggregator(60.0, ""), stream()
    aggregator.fold(feed, block([1] * 3, [[1.0], [2.0], [math.nan]]))
    windows = aggregator.close(everything=True)
    features = only(windows)
    assert features.provisional
    assert features.cells.sum() == 3
    assert features.cells[0, -2] == 1
    assert feed.reference is not None
    assert feed.reference.rows == 3


def test_thinned_rows_of_the_backlog_keep_their_weight():
    """A row that stands for four counts four times after the replay too."""
    aggregator, feed = Aggregator(60.0, ""), stream()
    position = feed.arena.reserve(2 * 3)
    feed.arena.block(position, 2, 1)[:] = 5.0
    record = block([0], [[0.0]])
    record.headers["batch"], record.headers["rows"], record.headers["kept"] = position + 1, 8, 2
    record.headers["step"] = 4
    aggregator.fold(feed, record)
    assert only(aggregator.close(everything=True)).cells.sum() == 8


def test_categories_are_ranked_anew():
    """Codes in the ring are in order of first sight, cells in order of frequency; later categories are unseen."""
    names = ["rare", "common"]
    aggregator, feed = Aggregator(60.0, ""), stream(categories=[names])
    aggregator.fold(feed, block([1] * 10, [[0.0]] * 3 + [[1.0]] * 7))
    first = only(aggregator.close(everything=True))
    (profile,) = feed.reference.features
    assert profile.categories == ("common", "rare")
    body = first.cells.shape[1] - 4
    assert dict(zip(cell_names(2, categorical=True)[:2], first.cells[0, :2].tolist(), strict=True)) == {
        "c00": 7,
        "c01": 3,
    }
    names.append("new")
    aggregator.fold(feed, block([1] * 4, [[2.0], [2.0], [0.0], [math.nan]]))
    (window,) = aggregator.close(everything=True)
    assert window.features.cells[0, :2].tolist() == [0, 1]
    assert window.features.cells[0, body + 2 :].tolist() == [1, 2]


def test_the_snapshot_names_the_provisional_reference():
    """Exporters find the reference of a model that was given none, marked provisional."""
    with fly() as rs:
        predict = rs.observe("delays", version="2")(lambda _: "no")
        for value in range(1200):
            predict({"wind": float(value), "carrier": "UA" if value % 3 else "AA"})
        snapshot = rs.pipeline().snapshot()
        assert snapshot.references["delays", "2"].provisional
        features = only(snapshot.windows)
        assert features.reference_id == snapshot.references["delays", "2"].id
        assert features.cells[:, :].sum() == 2400
        assert features.cells[1, :2].tolist() == [800, 400]
