"""When windows open and close."""

from __future__ import annotations

import math

import numpy as np
import pytest

from radiosonde._aggregate.aggregator import Aggregator
from radiosonde.model import Outcome, SeriesKey
from tests.factories import make_feature, make_reference
from tests.unit.aggregate.blocks import MINUTE_NS, NS, START_NS, Clock, block, stream


@pytest.fixture
def clock(monkeypatch):
    """Return the clock that the aggregator reads."""
    clock = Clock()
    monkeypatch.setattr("radiosonde._aggregate.aggregator.monotonic_ns", clock)
    monkeypatch.setattr("radiosonde._aggregate.state.monotonic_ns", clock)
    return clock


@pytest.fixture
def aggregator(clock):
    """Return an aggregator of one-minute windows."""
    return Aggregator(60.0, "worker-1")


def spans(windows):
    """Return (start in s, calls) of windows."""
    return sorted(((window.start_ns - START_NS) / NS, window.calls) for window in windows)


def test_a_window_holds_its_start_and_not_its_end(aggregator):
    """Bounds are multiples of the length since the epoch; the end belongs to the next window."""
    aggregator.fold(stream(), block([0, 59.999999999, 60, 119]))
    windows = aggregator.close(everything=True)
    assert spans(windows) == [(0, 2), (60, 2)]
    assert {window.end_ns - window.start_ns for window in windows} == {MINUTE_NS}
    assert {window.process for window in windows} == {"worker-1"}


def test_a_record_without_event_time_counts_at_its_start(aggregator):
    """Event time 0 means the time of the call."""
    records = block([0])
    records.headers["event_ns"] = 0
    aggregator.fold(stream(), records)
    (window,) = aggregator.close(everything=True)
    assert (window.start_ns, window.end_ns) == (START_NS, START_NS + MINUTE_NS)


def test_series_are_kept_apart(aggregator):
    """Cohorts of one block become separate windows, in any order of the records."""
    mixed = block([5, 1, 70, 2])
    mixed.headers["series"] = [0, 1, 0, 1]
    aggregator.fold(stream(), mixed)
    windows = aggregator.close(everything=True)
    found = {(window.key.cohort, (window.start_ns - START_NS) // NS): window.calls for window in windows}
    assert found == {("", 0): 1, ("plan=pro", 0): 2, ("", 60): 1}
    assert windows[0].key[:3] == SeriesKey("delays", "1", "stable")[:3]


def test_the_watermark_closes_a_tenth_of_the_length_behind_the_end(aggregator):
    """A window stays open while records may be late by less than 6 seconds."""
    feed = stream()
    aggregator.fold(feed, block([10]))
    aggregator.fold(feed, block([65.9]))
    assert aggregator.close() == []
    aggregator.fold(feed, block([66]))
    assert spans(aggregator.close()) == [(0, 1)]
    assert aggregator.open_windows == 1


def test_a_silent_window_closes_after_its_length(aggregator, clock):
    """Nothing came for a minute: the window closes without a watermark."""
    aggregator.fold(stream(), block([10]))
    clock.pass_s(59)
    assert aggregator.close() == []
    clock.pass_s(1)
    assert spans(aggregator.close()) == [(0, 1)]


def test_late_records_wait_and_come_out_as_one_delta(aggregator, clock):
    """Records far behind the watermark are held ten seconds and become a further part of their window."""
    feed = stream()
    aggregator.fold(feed, block([10, 600]))
    assert spans(aggregator.close()) == []  # opened behind the watermark, so held
    clock.pass_s(4)
    aggregator.fold(feed, block([11]))
    assert aggregator.close() == []
    clock.pass_s(6)
    assert spans(aggregator.close()) == [(0, 2)]
    aggregator.fold(feed, block([12]))
    clock.pass_s(10)
    assert spans(aggregator.close()) == [(0, 1)]
    assert [window.calls for window in aggregator.snapshot()] == [4]


def test_closing_everything_leaves_nothing_open(aggregator):
    """A flush closes all windows; the snapshot is unchanged."""
    aggregator.fold(stream(), block([10, 300, 301]))
    before = [window.calls for window in aggregator.snapshot()]
    assert spans(aggregator.close(everything=True)) == [(0, 1), (300, 2)]
    assert aggregator.open_windows == 0
    assert [window.calls for window in aggregator.snapshot()] == before == [3]
    assert aggregator.closed == 2
    assert aggregator.close(everything=True) == []


def test_labels_open_a_part_without_calls(aggregator, clock):
    """An outcome for a window long closed becomes a delta of outcomes only."""
    feed = stream()
    aggregator.fold(feed, block([10, 600]))
    aggregator.close(everything=True)
    key = SeriesKey("delays", "1", "stable", "plan=pro")
    (part,) = aggregator.update_outcomes([Outcome(key, START_NS + 10 * NS, "yes", 0.975, math.nan, "yes", 7200.0)])
    assert aggregator.close(everything=True) == []
    assert (part.start_ns, part.calls, part.key.cohort, part.features) == (START_NS, 0, "plan=pro", None)
    assert dict(part.labels.outcomes) == {("correct", "1d"): 1}
    assert part.labels.calibration[19].tolist() == [1, 1, pytest.approx(0.975)]


def test_an_overwritten_batch_counts_as_a_call_without_rows_in_the_cells(aggregator):
    """Call, rows and duration of a batch survive its features; other rows are weighted for them."""
    feed = stream()
    position = feed.arena.reserve(10 * 3)
    feed.arena.block(position, 10, 3)[:] = 0.0
    record = block([0], [[0.0]])
    record.headers["batch"], record.headers["rows"], record.headers["kept"] = position + 1, 10, 10
    for _ in range(3):
        feed.arena.reserve(feed.arena.largest)
    aggregator.fold(feed, record)
    (window,) = aggregator.close(everything=True)
    assert (window.calls, window.rows, window.features) == (1, 10, None)
    assert feed.unseen == {"": 10}


def test_frozen_windows_do_not_change(aggregator):
    """A snapshot keeps its numbers while the window it was taken of goes on filling."""
    feed = stream()
    aggregator.fold(feed, block([1]))
    (before,) = aggregator.snapshot()
    aggregator.fold(feed, block([2]))
    assert (before.calls, int(before.latency.counts.sum()), np.sum(before.batch_sizes)) == (1, 1, 1)
    (after,) = aggregator.snapshot()
    assert after.calls == 2


def test_a_backfill_does_not_hold_windows_without_bound(aggregator, monkeypatch):
    """Late windows are held for their stragglers only while few are open; all counts stay exact."""
    monkeypatch.setattr("radiosonde._aggregate.aggregator.OPEN_WINDOWS", 5)
    feed = stream(make_reference([make_feature("f0", (1, 0, 0, 0, 0), bounds=(1.0,))]))
    aggregator.fold(feed, block([60 * minute for minute in range(20)], [[0.5]] * 20))
    closed = aggregator.close()
    assert aggregator.open_windows <= 2  # those that the watermark has not passed by a tenth
    aggregator.fold(feed, block([0, 1], [[0.5]] * 2))
    assert aggregator.close() == []  # few again: held
    parts = [*closed, *aggregator.close(everything=True)]
    assert sum(int(part.features.cells.sum()) for part in parts) == 22
