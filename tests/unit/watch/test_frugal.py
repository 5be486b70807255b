"""A watch reads all windows of a model, each once, in parts whose cells are narrowed before the next is read."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from radiosonde.diagnose.feature_panel import make_feature_panels
from radiosonde.diagnose.panel import make_axis
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.watch.frugal import frugal_windows
from tests.factories import START_NS, make_feature, make_features, make_reference, make_window

MINUTE_NS, HOUR_NS, DAY_NS = 60 * 10**9, 3600 * 10**9, 86_400 * 10**9
REFERENCE = make_reference([make_feature(f"f{number}", (5,) * 14) for number in range(200)])


def window(start_ns, length_ns, most=9):
    """Return a window with cells up to *most*."""
    counts = {profile.name: [most - 1] * 13 + [most] for profile in REFERENCE.features}
    return make_window(start_ns=start_ns, end_ns=start_ns + length_ns, features=make_features(REFERENCE, counts))


def written(tmp_path, windows):
    """Return the source of a store with *windows*."""
    writer = StoreWriter(tmp_path / "store.sqlite", process="one")
    writer.write(windows)
    writer.close()
    return open_source(tmp_path / "store.sqlite", sketches=False)


SHAPES = {
    "minutes of three days": [(minute * MINUTE_NS, MINUTE_NS) for minute in range(0, 3 * 1440, 45)],
    "hours and minutes": [*((hour * HOUR_NS, HOUR_NS) for hour in range(0, 100, 3)), (100 * HOUR_NS, MINUTE_NS)],
    "over every bound": [(at * HOUR_NS - MINUTE_NS, 2 * MINUTE_NS) for at in range(0, 80, 5)],
    "days of two months": [(day * DAY_NS, DAY_NS) for day in range(0, 60, 2)],
    "a gap of a year": [(0, MINUTE_NS), (365 * DAY_NS, MINUTE_NS)],
    "one": [(0, MINUTE_NS)],
    "some at once": [(0, MINUTE_NS), (0, HOUR_NS), (0, DAY_NS)],
}


@pytest.mark.parametrize("spans", SHAPES.values(), ids=SHAPES)
def test_every_window_is_read_once_with_its_counts(tmp_path, spans):
    """Whatever its length, and on whichever bound of a part it lies."""
    source = written(tmp_path, [window(START_NS + start, length) for start, length in spans])
    model = source.windows()[0].key.model
    ends = [START_NS + start + length for start, length in spans]
    found = frugal_windows(source, model, START_NS + min(start for start, _ in spans), max(ends))
    assert sorted((each.start_ns, each.end_ns) for each in found) == sorted(
        (START_NS + start, START_NS + start + length) for start, length in spans
    )
    expected = {(each.start_ns, each.end_ns): each for each in source.windows()}
    for each in found:
        full = expected[each.start_ns, each.end_ns]
        assert np.array_equal(each.features.cells, full.features.cells)
        assert np.array_equal(each.latency.counts, full.latency.counts)


@pytest.mark.parametrize(
    ("most", "kind"), [(9, np.int16), (32_767, np.int16), (32_768, np.int32), (2**31 - 1, np.int32), (2**31, np.int64)]
)
def test_cells_are_as_narrow_as_holds_them(tmp_path, most, kind):
    """And the same numbers."""
    source = written(tmp_path, [window(START_NS, MINUTE_NS, most)])
    (found,) = frugal_windows(source, source.windows()[0].key.model, START_NS, START_NS + MINUTE_NS)
    assert (found.features.cells.dtype, found.features.cells.max()) == (kind, most)


def test_reading_adds_little_to_what_is_held(tmp_path):
    """A part of an hour, not all windows with wide cells."""
    one = window(START_NS, MINUTE_NS)
    moved = [
        replace(one, start_ns=one.start_ns + each * MINUTE_NS, end_ns=one.end_ns + each * MINUTE_NS)
        for each in range(240)
    ]
    source, size = written(tmp_path, moved), 240 * one.features.cells.nbytes
    tracemalloc.start()
    try:
        found = frugal_windows(source, one.key.model, START_NS, moved[-1].end_ns)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) == 240
    assert peak - held < size * 0.6


def test_laying_out_cells_takes_a_few_arrays_of_bounded_size():
    """Not another copy of all cells, or several."""
    one = window(START_NS, MINUTE_NS)
    moved = [
        replace(one, start_ns=one.start_ns + each * MINUTE_NS, end_ns=one.end_ns + each * MINUTE_NS)
        for each in range(2880)
    ]
    size = len(moved) * one.features.cells.nbytes
    axis = make_axis(moved)
    tracemalloc.start()
    try:
        (panel,) = make_feature_panels(moved, {}, axis)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - panel.cells.nbytes < size / 4
    assert panel.cells.sum() == len(moved) * one.features.cells.sum()
