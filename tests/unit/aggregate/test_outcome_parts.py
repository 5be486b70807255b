"""Outcomes in the windows of predictions that this process may never have made."""

from __future__ import annotations

import math

import pytest

from radiosonde._aggregate.aggregator import Aggregator
from radiosonde.model import Outcome, SeriesKey
from tests.factories import make_feature, make_reference
from tests.unit.aggregate.blocks import NS, START_NS, block, stream

CANARY = SeriesKey("delays", "2", "canary")
REFERENCE = make_reference([make_feature("f0", (1, 0, 0, 0, 0, 0, 0), bounds=(1.0, 2.0, 3.0))])


@pytest.fixture
def aggregator():
    """Return an aggregator of one-minute windows."""
    return Aggregator(60.0, "labels-1")


def outcome(at_s: float, key: SeriesKey = CANARY, cells: bytes = b"", grid: str = "g1") -> Outcome:
    """Return a right answer *at_s* seconds after the start."""
    features = ("f0",) if cells else ()
    return Outcome(key, START_NS + round(at_s * NS), "yes", 0.75, math.nan, "yes", 60.0, None, math.nan, (), cells, grid, features)  # fmt: skip


def rows(window) -> int:
    """Return the labelled rows of a window."""
    return sum(window.labels.outcomes.values())


def test_outcomes_are_grouped_by_window_series_and_grid(aggregator):
    """Each group is one part with the bounds of the prediction's window; what carries no cells is on no grid."""
    other = CANARY._replace(cohort="plan=pro")
    parts = aggregator.update_outcomes(
        [outcome(1), outcome(59), outcome(60), outcome(1, other), outcome(2, cells=b"\0"), outcome(3, cells=b"\0", grid="g2")]
    )  # fmt: skip
    assert aggregator.close(everything=True) == []
    found = sorted(((p.start_ns - START_NS) // NS, p.key.cohort, p.labels.grid, rows(p)) for p in parts)
    assert found == [(0, "", "", 2), (0, "", "g1", 1), (0, "", "g2", 1), (0, "plan=pro", "", 1), (60, "", "", 1)]
    assert {(part.end_ns - part.start_ns, part.calls, part.rows, part.process) for part in parts} == {
        (60 * NS, 0, 0, "labels-1")
    }


def test_outcomes_are_in_the_snapshot_at_once_and_stay_there(aggregator):
    """The total holds each outcome once, beside the traffic of its series."""
    aggregator.fold(stream(), block([10, 11]))
    served = SeriesKey("delays", "1", "stable", "")
    aggregator.update_outcomes([outcome(10, served), outcome(5)])
    for _ in range(2):
        assert [(w.key, w.calls, rows(w)) for w in aggregator.snapshot()] == [(served, 2, 1), (CANARY, 0, 1)]
        aggregator.close(everything=True)
    aggregator.update_outcomes([outcome(10, served)])
    assert [rows(window) for window in aggregator.snapshot()] == [2, 1]


def test_tables_are_as_wide_as_those_of_the_features_they_join(aggregator):
    """Where this process knows the grid, labelled cells and feature cells have the same columns."""
    feed = stream(REFERENCE)
    aggregator.fold(feed, block([1], [[0.5]]))
    key = SeriesKey("delays", "1", "stable", "")
    aggregator.update_outcomes(
        [outcome(1, key, feed.grid.ordinals(block([1], [[0.5]]).rows)[0].tobytes(), feed.grid.id)]
    )
    (window,) = aggregator.snapshot()
    assert window.labels.cells["yes"].tolist() == window.features.cells.tolist() == [[1, 0, 0, 0, 0, 0, 0]]


def test_cells_of_another_length_are_refused_whole(aggregator):
    """Nothing of such a batch is counted, so the caller can report the error."""
    with pytest.raises(ValueError, match="2 bytes of cells for 1 features"):
        aggregator.update_outcomes([outcome(1), outcome(1, cells=b"\0\0")])
    assert aggregator.snapshot() == ()
