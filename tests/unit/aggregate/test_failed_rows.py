"""Cells of rows whose call raised: counted beside the cells of all rows, from single rows and batches, with and without a grid."""

from __future__ import annotations

import numpy as np
import pytest

from radiosonde import Reference
from radiosonde._aggregate.aggregator import Aggregator
from radiosonde._aggregate.features import FAILED_ROWS
from radiosonde._aggregate.thinning import Thinner
from radiosonde._ring.layout import FAILED
from radiosonde.sketches.merge import sum_windows
from radiosonde.sources import open_source
from radiosonde.testing import fly
from tests.unit.aggregate.blocks import block, stream
from tests.unit.aggregate.test_sampling import REFERENCE, Steps, batches, singles

PARTS = [np.arange(200) % 4] * 10


def counted(aggregator):
    """Return the features of the only window that has some."""
    (found,) = [window.features for window in aggregator.close(everything=True, is_end=True) if window.features]
    return found


@pytest.mark.parametrize("every", [4, 5, 7])
def test_rows_of_failing_calls_are_counted_apart_and_among_all(every):
    """Every *every*th of 2 000 calls raises: in each fold all of them are counted."""
    aggregator, feed = Aggregator(60.0, ""), stream(REFERENCE)
    for part in PARTS:
        aggregator.fold(feed, singles(part, failed_every=every))
    found = counted(aggregator)
    expected = np.bincount(np.concatenate([part[::every] for part in PARTS]), minlength=4)
    assert found.failed_cells[0].tolist() == [*expected, 0, 0, 0, 0]
    assert found.cells[0].tolist() == [500, 500, 500, 500, 0, 0, 0, 0]


def test_of_an_outage_a_bounded_sample_stands_for_all():
    """6 400 failing rows in one fold: 64 are counted with weight 100; a period of two rows hides neither."""
    aggregator, feed = Aggregator(60.0, ""), stream(REFERENCE)
    for _ in range(20):
        aggregator.fold(feed, singles(np.arange(100 * FAILED_ROWS) % 2, failed_every=1))
    failed = counted(aggregator).failed_cells[0]
    assert failed.sum() == 20 * 100 * FAILED_ROWS
    assert failed[:2].tolist() == pytest.approx([64_000] * 2, rel=0.15)


def test_rows_of_failing_batches_are_counted_apart():
    """Each fifth batch of twenty rows raises; all its rows are of a failing call."""
    aggregator, feed = Aggregator(60.0, ""), stream(REFERENCE)
    made = batches(feed, np.arange(300) % 4, 20)
    made.headers["mark"][::5] = made.headers["mark"][::5] // 4 * 4 + FAILED
    aggregator.fold(feed, made)
    found = counted(aggregator)
    assert found.failed_cells[0].tolist() == [15, 15, 15, 15, 0, 0, 0, 0]
    assert found.cells[0].tolist() == [75, 75, 75, 75, 0, 0, 0, 0]


def test_thinned_rows_stand_for_the_others():
    """One row in ten is counted: both tables are estimates."""
    aggregator = Aggregator(60.0, "", sampling=Steps(10), thinner=Thinner(3))
    aggregator.fold(stream(REFERENCE), singles(np.arange(20_000) % 4, failed_every=2))
    found = counted(aggregator)
    assert found.cells[0].sum() == 20_000
    assert found.failed_cells[0].sum() == pytest.approx(10_000, rel=0.1)
    assert found.failed_cells[0][[1, 3]].sum() == 0


def test_rows_that_wait_for_a_provisional_reference_keep_their_result():
    """A hundred of the first thousand rows raise; they are the largest, and lie in the last cell of the grid they helped to make."""
    aggregator, feed = Aggregator(60.0, ""), stream()
    made = block([1] * 1000, np.arange(1000.0).reshape(-1, 1))
    made.headers["mark"][900:] = made.headers["mark"][900:] // 4 * 4 + FAILED
    aggregator.fold(feed, made)
    assert counted(aggregator).failed_cells[0].tolist() == [0] * 9 + [100, 0, 0, 0, 0]


def test_nothing_is_held_where_no_call_fails_and_sums_keep_what_there_is():
    """A table without elements has no say in a sum."""
    windows = []
    for every in (0, 4):
        aggregator = Aggregator(60.0, "")
        aggregator.fold(stream(REFERENCE), singles(PARTS[0], failed_every=every))
        (window,) = [each for each in aggregator.close(everything=True, is_end=True) if each.features]
        windows.append(window)
    assert windows[0].features.failed_cells.size == 0
    assert sum_windows(windows).features.failed_cells[0].tolist() == [50, 0, 0, 0, 0, 0, 0, 0]


def test_a_store_holds_what_failing_calls_had(tmp_path):
    """From the decorator to the store: the feature that made the call raise is in one cell, the other in all."""

    def predict(row):
        if row["plan"] == "pro":
            raise KeyError(row["plan"])
        return "yes"

    with fly(store=tmp_path / "a.db", runtime=False) as rs:
        reference = Reference.fit({"plan": ["free", "pro"] * 50, "age": list(range(100))}, model="m")
        observed = rs.observe("m", reference=reference)(predict)
        for call in range(60):
            try:
                observed({"plan": "pro" if call % 3 == 0 else "free", "age": call})
            except KeyError:
                continue
    (features,) = [window.features for window in open_source(tmp_path / "a.db").windows() if window.features]
    plan, age = (features.failed_cells[features.names.index(name)] for name in ("plan", "age"))
    assert (plan.max(), plan.sum(), age.max(), age.sum()) == (20, 20, 4, 20)
