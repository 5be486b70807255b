"""Without a reference the first thousand rows make one, and are counted by it exactly once.

By default a reference is due at a thousand rows here, regardless of the time they cover.
"""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from radiosonde._aggregate import aggregator as aggregator_module
from radiosonde._aggregate import backlogs as backlogs_module
from radiosonde._aggregate import provisional as provisional_module
from radiosonde._aggregate.aggregator import Aggregator
from radiosonde._aggregate.provisional import BACKLOG_BYTES, HURRIED_ROWS, PIECE_BYTES
from radiosonde._clock import NS
from radiosonde._ring.text_codes import boxed
from radiosonde.model import cell_names, losses
from radiosonde.testing import fly
from tests.unit.aggregate.blocks import block, stream


def only(windows):
    """Return the features of the only window that has some."""
    (found,) = [window.features for window in windows if window.features is not None]
    return found


def test_rows_wait_for_the_thousandth():
    """No grid is there before row 1000, everything is counted from it on, each row once."""
    aggregator, feed = Aggregator(60.0, ""), stream()
    values = np.random.default_rng(7).normal(size=(1700, 1))
    aggregator.fold(feed, block([1] * 999, values[:999]))
    assert feed.grid is None
    aggregator.fold(feed, block([2] * 701, values[999:]))
    assert feed.grid is not None
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
    windows = [window for window in aggregator.close(everything=True, is_end=True) if window.features is not None]
    counted = {(w.start_ns // 10**9 % 3600, w.key.cohort): int(w.features.cells.sum()) for w in windows}
    assert counted == {(0, ""): 300, (60, "plan=pro"): 500, (0, "plan=pro"): 200}


def test_the_end_makes_do_with_fewer_rows():
    """At the end a short backlog is counted with the rows there are."""
    aggregator, feed = Aggregator(60.0, ""), stream()
    aggregator.fold(feed, block([1] * 3, [[1.0], [2.0], [math.nan]]))
    features = only(aggregator.close(everything=True, is_end=True))
    assert features.provisional
    assert features.cells.sum() == 3
    assert features.cells[0, -2] == 1
    assert feed.reference is not None
    assert feed.reference.rows == 3


def test_thinned_rows_of_the_backlog_keep_their_weight():
    """A row of weight four counts four times after the replay too."""
    aggregator, feed = Aggregator(60.0, ""), stream()
    position = feed.arena.reserve(2 * 3)
    feed.arena.block(position, 2, 1)[:] = 5.0
    record = block([0], [[0.0]])
    record.headers["batch"], record.headers["rows"], record.headers["kept"] = position + 1, 8, 2
    record.headers["step"] = 4
    aggregator.fold(feed, record)
    assert only(aggregator.close(everything=True, is_end=True)).cells.sum() == 8


def test_categories_are_ranked_anew():
    """Codes in the ring are in order of first sight, cells in order of frequency; later categories are unseen."""
    names = ["rare", "common"]
    aggregator, feed = Aggregator(60.0, ""), stream(categories=[names])
    aggregator.fold(feed, block([1] * 10, [[0.0]] * 3 + [[1.0]] * 7))
    first = only(aggregator.close(everything=True, is_end=True))
    (profile,) = feed.reference.features
    assert profile.categories == ("common", "rare")
    body = first.cells.shape[1] - 4
    assert dict(zip(cell_names(2, categorical=True)[:2], first.cells[0, :2].tolist(), strict=True)) == {
        "c00": 7,
        "c01": 3,
    }
    names.append("new")
    aggregator.fold(feed, block([1] * 4, [[2.0], [2.0], [0.0], [math.nan]]))
    (window,) = aggregator.close(everything=True, is_end=True)
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


def test_a_reference_needs_rows_and_time():
    """A thousand rows in a minute make no reference, nor does an hour of a few; a thousand over an hour do."""
    hour = Aggregator(60.0, "", provisional_s=3600.0)
    crowded, sparse = stream(), stream()
    sparse.model = "another"
    hour.fold(crowded, block([0] * 5000, np.arange(5000.0).reshape(-1, 1)))
    hour.fold(sparse, block([0, 5000], [[1.0], [2.0]]))
    assert (crowded.grid, sparse.grid) == (None, None)
    assert all(window.features is None for window in hour.close(everything=True))
    hour.fold(crowded, block([3600], [[1.0]]))
    hour.fold(sparse, block([5001] * 998, np.ones((998, 1))))
    assert crowded.reference.rows == 5001
    assert sparse.reference.rows == 1000
    counted = {
        window.key.model: int(window.features.cells.sum()) for window in hour.snapshot() if window.features is not None
    }
    assert counted == {"delays": 5001, "another": 1000}


def test_a_look_shows_every_waiting_row_once():
    """A snapshot counts waiting rows with an interim reference, which does not affect closed windows."""
    aggregator, feed = Aggregator(60.0, "", provisional_s=3600.0), stream()
    for minute, rows in enumerate((3, 40, 2)):
        aggregator.fold(feed, block([60 * minute] * rows, np.full((rows, 1), float(minute))))
        (window,) = aggregator.snapshot()
        assert window.features.provisional
        assert window.features.cells.sum() == window.calls == sum((3, 40, 2)[: minute + 1])
        assert aggregator.interims["delays", "1"].provisional
    assert [window.features for window in aggregator.close(everything=True)] == [None] * 3
    (window,) = aggregator.snapshot()
    assert window.features.cells.sum() == window.calls == 45
    assert (
        sum(
            int(w.features.cells.sum())
            for w in aggregator.close(everything=True, is_end=True)
            if w.features is not None
        )
        == 45
    )


@pytest.mark.parametrize("features", [1, 30, 400])
def test_what_waits_is_bounded_in_bytes_and_estimates_what_came(features):
    """Beyond the bound rows are dropped and the others weighted: the total is right within four deviations."""
    aggregator, feed = Aggregator(60.0, "", provisional_s=3600.0), stream(categories=[None] * features)
    total = 3 * BACKLOG_BYTES // (8 * features)
    for start in range(0, total, 5000):
        rows = min(5000, total - start)
        aggregator.fold(feed, block([0] * rows, np.random.default_rng(start).normal(size=(rows, features))))
    (backlog,) = aggregator.backlogs
    assert sum(part.rows.nbytes for part in backlog.parts()) <= BACKLOG_BYTES
    (window,) = [w for w in aggregator.close(everything=True, is_end=True) if w.features is not None]
    counted = window.features.cells.sum(axis=1)
    assert (counted == counted[0]).all()
    assert abs(int(counted[0]) - total) <= 4 * math.sqrt(4 * total)
    assert window.features.weight_square_sum > window.features.counted_rows


MIXED = {
    "missing first": ([None, "UA", "AA", "UA"], {"UA": 2, "AA": 1}, {"null": 1}),
    "a number first": ([7, "UA", "AA", "UA"], {"UA": 2, "AA": 1, "7": 1}, {}),
    "n/a first": (["n/a", 1.0, 2.0, 3.0], None, {"unseen": 1}),
    "n/a later": ([1.0, 2.0, "n/a", None], None, {"unseen": 1, "null": 1}),
    "mostly numbers": ([True, 2, "3", "x", 4.5], None, {"unseen": 2}),
    "missing throughout": ([None, float("nan"), None], None, {"null": 3}),
}


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("batch", [False, True])
def test_what_a_feature_holds_is_decided_by_most_of_its_values(name, batch):
    """The majority of values determines whether a feature is text or a number, in any order, and every value is counted."""
    values, categories, special = MIXED[name]
    with fly() as rs:
        predict = rs.observe("m")(lambda _: "x")
        rows = [{"x": value, "other": 1.0} for value in values]
        for part in [rows] if batch else rows:
            predict(part)
        snapshot = rs.pipeline().snapshot()
        (window,) = snapshot.windows
        feature = snapshot.references["m", ""].features[0]
        row = window.features.cells[0].tolist()
        assert {name: row[place] for name, place in (("null", -2), ("unseen", -1)) if row[place]} == special
        if categories is None:
            assert feature.kind == "numeric"
            assert sum(row[:-2]) == len(values) - sum(special.values())
        else:
            assert dict(zip(feature.categories, row, strict=False)) == categories


def test_texts_of_two_processes_meet_in_one_reference():
    """Streams with different codes for texts wait together, and count by name."""
    aggregator = Aggregator(60.0, "", provisional_s=3600.0)
    one, two = stream(categories=[["a", "b"]]), stream(categories=[["b", "c", "a"]])
    one.is_open = two.is_open = True
    aggregator.fold(one, block([0] * 3, [[boxed(0)], [boxed(1)], [boxed(1)]]))
    aggregator.fold(two, block([0] * 4, [[boxed(0)], [boxed(1)], [boxed(2)], [math.nan]]))
    (window,) = aggregator.snapshot()
    reference = aggregator.interims["delays", "1"]
    assert dict(zip(reference.features[0].categories, window.features.cells[0].tolist(), strict=False)) == {
        "b": 3, "a": 2, "c": 1,
    }  # fmt: skip
    assert window.features.cells[0, -2] == 1


@pytest.mark.parametrize(("features", "part_rows"), [(1, 8192), (3, 1), (30, 8192), (30, 700)])
def test_a_snapshot_of_what_waits_takes_little_from_the_heap(features, part_rows):
    """For 10 000 rows in pieces of any size, counting them for a snapshot needs a small part of their bytes at once."""
    aggregator, feed = Aggregator(60.0, "", provisional_s=3600.0), stream(categories=[None] * features)
    rows = 10_000
    values = np.random.default_rng(features).normal(size=(rows, features))
    for start in range(0, rows, part_rows):
        part = values[start : start + part_rows]
        aggregator.fold(feed, block([0] * len(part), part))
    aggregator.snapshot()  # what it loads and keeps
    tracemalloc.start()
    try:
        windows = [window for window in aggregator.snapshot() if window.features is not None]
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [window.features.cells[0].sum() for window in windows] == [rows]
    assert peak - kept < 10 * PIECE_BYTES


@pytest.mark.parametrize("cohorts", [1, 3, 40])
@pytest.mark.parametrize("features", [1, 30])
def test_rows_that_trickle_in_all_stay_while_their_bytes_do(monkeypatch, cohorts, features):
    """Many more pieces than may wait, a row each, of some cohorts and two windows: every row is counted, for itself."""
    aggregator, feed = Aggregator(60.0, "", provisional_s=3600.0), stream(categories=[None] * features)
    feed.cohorts = [f"plan={number}" for number in range(cohorts)]
    monkeypatch.setattr(provisional_module, "BACKLOG_PARTS", 200)
    rows = 1010
    for number in range(rows):
        values = np.full((1, features), float(number))
        aggregator.fold(feed, block([number % 2 * 60], values, series=number % cohorts))
    windows = [window for window in aggregator.close(everything=True, is_end=True) if window.features is not None]
    assert len(windows) == (2 * cohorts if cohorts % 2 else cohorts)
    assert sum(window.features.counted_rows for window in windows) == rows
    assert sum(int(window.features.cells[0].sum()) for window in windows) == rows


class SlowClock:
    """A monotonic clock that advances a millisecond per read, and *jump_s* at one of them."""

    def __init__(self, jump_at: int, jump_s: float) -> None:
        self.asked = 0
        self._jump_at, self._jump_ns = jump_at, round(jump_s * NS)

    def __call__(self) -> int:
        """Return the time in nanoseconds."""
        self.asked += 1
        return NS + self.asked * NS // 1000 + (self._jump_ns if self.asked >= self._jump_at else 0)


@pytest.mark.parametrize("features", [1, 3, 30])
@pytest.mark.parametrize(
    ("amid", "passed_ratio"), [("the fit", 0.6), ("the fit", 2), ("the counting", 0.6), ("the counting", 2)]
)
def test_an_exit_without_time_for_all_counts_a_sample(monkeypatch, features, amid, passed_ratio):
    """Few rows are weighted for the rest; without a reference by the deadline every row is a loss; none is counted twice."""
    rows, parts = 60_000 // features, 20

    def closed(clock: SlowClock):
        aggregator, feed = Aggregator(60.0, "", provisional_s=3600.0), stream(categories=[None] * features)
        values = np.random.default_rng(features).normal(size=(rows, features))
        for part in np.split(values, parts):
            aggregator.fold(feed, block([0] * len(part), part))
        with monkeypatch.context() as patch:
            patch.setattr(aggregator_module, "monotonic_ns", clock)
            patch.setattr(backlogs_module, "monotonic_ns", clock)
            patch.setattr(provisional_module, "monotonic_ns", clock)
            windows = aggregator.close(everything=True, is_end=True, deadline_ns=clock() + 100 * NS)
        found = [window.features for window in windows if window.features is not None]
        return found, aggregator._guard.losses().get(losses.FEATURES_UNFINISHED, 0)

    quiet = SlowClock(jump_at=1 << 60, jump_s=0)
    (everything,), lost = closed(quiet)
    assert (everything.counted_rows, lost) == (rows, 0)
    found, lost = closed(SlowClock(jump_at=5 if amid == "the fit" else quiet.asked - 4, jump_s=100 * passed_ratio))
    if amid == "the fit" and passed_ratio > 1:
        assert found == []
        counted = 0
    else:
        (late,) = found
        assert 0 < late.counted_rows < rows
        cells = late.cells.sum(axis=1)
        assert (cells == cells[0]).all()
        counted = int(cells[0])
        assert lost == 0
    assert abs(counted + lost - rows) <= parts * rows / HURRIED_ROWS
