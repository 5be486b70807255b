from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from radiosonde.errors import MergeError
from radiosonde.model import Exemplar, FeatureCounts, OutputCounts
from radiosonde.sketches import KllSketch
from radiosonde.sketches.merge import merge_windows, sum_windows, with_key
from tests.property.strategies import KEY, empty_window


def features(grid: str = "g1", **changes: object) -> FeatureCounts:
    """Return one row of cells and one sketch of a single value."""
    sketch = KllSketch()
    sketch.update(np.array([1.0]))
    held = {("wind", "kll_double"): sketch.to_bytes()}
    cells = np.array([[1, 0, 0, 0, 0]])
    counts = FeatureCounts(grid, "r1", False, ("wind",), cells, np.array([2**64 - 1], dtype=np.uint64), 1, held)
    return replace(counts, **changes)


def window(**changes: object):
    """Return a window with features and one row."""
    return replace(empty_window(), rows=1, features=features(), **changes)


def test_windows_of_different_series_do_not_add():
    """The error names both keys and what to do."""
    other = with_key(window(), KEY._replace(version="2"))
    with pytest.raises(MergeError, match=r"version='1'.* and .*version='2'.*with_key"):
        sum_windows((window(), other))


def test_an_empty_list_has_no_sum():
    """There is no series to count nothing under."""
    with pytest.raises(MergeError, match="no window to add"):
        sum_windows([])


def test_different_geometry_does_not_add_but_is_kept_apart():
    """sum_windows raises MergeError that names the difference; merge_windows keeps both windows."""
    changed = replace(window(), features=features("g2"))
    with pytest.raises(MergeError, match="grids of cells differ: 'g1' and 'g2'"):
        sum_windows((window(), changed))
    merged = merge_windows([window(), changed, window(), changed])
    assert [part.rows for part in merged] == [2, 2]


@pytest.mark.parametrize(
    ("edges_s", "common_s", "counts", "buckets"),
    [
        ((0.1, 0.2, 1.0), (0.2, 1.0), [6, 4, 1], [0, 1]),
        ((0.1, 0.5), (), [11], [0]),
        ((0.2, 0.3, 1.0, 9.0), (0.2, 1.0), [6, 4, 1], [0, 1]),
        ((0.2, 1.0), (0.2, 1.0), [6, 4, 1], [0, 1]),
    ],
)
def test_edges_that_changed_leave_those_common_to_both(edges_s, common_s, counts, buckets):
    """Windows from before and after a change of latency edges add up to the edges both have; exemplars move to their bucket."""
    values_s = [0.05, 0.06, 0.12, 0.6]
    before, after = (
        replace(
            window(),
            latency=replace(
                empty_window().latency,
                edges_s=edges,
                edge_counts=np.array(
                    [sum(bisect_left(edges, value) == place for value in spent) for place in range(len(edges) + 1)]
                ),
                exemplars={
                    bisect_left(edges, value): Exemplar(value, place, 1, 1) for place, value in enumerate(spent)
                },
            ),
        )
        for edges, spent in ((edges_s, [*values_s, 2.0]), ((0.2, 1.0), [0.2, 0.15, 0.19, 0.9, 0.8, 0.7]))
    )
    for parts in ((before, after), (after, before)):
        latency = sum_windows(parts).latency
        assert (latency.edges_s, latency.edge_counts.tolist()) == (common_s, counts)
        assert {bucket: bisect_left(common_s, each.value_s) for bucket, each in latency.exemplars.items()} == dict(
            zip(latency.exemplars, latency.exemplars, strict=True)
        )
        assert set(buckets) <= set(latency.exemplars)


def test_a_window_without_features_joins_the_window_that_has_some():
    """Errors counted before any feature was seen are not left in a window of their own."""
    failed = replace(empty_window(), calls=1, errors={"ValueError": 1})
    (merged,) = merge_windows([failed, window()])
    assert merged.errors == {"ValueError": 1}
    assert merged.features.cells.tolist() == [[1, 0, 0, 0, 0]]


def test_value_bins_with_other_edges_do_not_add():
    """Regression outputs binned on different edges raise MergeError."""
    no_rows = empty_window().output
    one, two = (
        replace(window(), output=replace(no_rows, value_edges=np.array([edge]), value_counts=np.array([1, 0])))
        for edge in (0.0, 5.0)
    )
    with pytest.raises(MergeError, match="output value edges differ"):
        sum_windows((one, two))


def test_tables_of_another_shape_are_damage():
    """Equal grid ids with unequal widths raise MergeError instead of broadcasting."""
    wide = replace(window(), features=features(cells=np.ones((1, 6), dtype=np.int64)))
    with pytest.raises(MergeError, match=r"feature cells have shapes \[\(1, 5\), \(1, 6\)\]"):
        sum_windows((window(), wide))


def test_a_damaged_sketch_is_named():
    """The error says which kind of sketch the bytes are not."""
    damaged = replace(window(), features=features(sketches={("wind", "kll_double"): b"?"}))
    with pytest.raises(MergeError, match="not a kll_double sketch"):
        sum_windows((window(), damaged))


def test_the_sum_spans_both_windows_and_forgets_what_differs():
    """Start is the earlier, end the later; process and reference are kept only where both agree."""
    later = replace(window(), start_ns=60, end_ns=120, process="p2", features=features(reference_id="r2"))
    total = sum_windows((later, window()))
    assert (total.start_ns, total.end_ns, total.process, total.features.reference_id) == (0, 120, "", "")
    assert sum_windows((window(), window())).process == "p1"
    assert sum_windows((window(), window())).features.reference_id == "r1"


def test_fingerprints_wrap_around():
    """The sum of fingerprints is modulo 2**64, without a warning."""
    assert sum_windows((window(), window())).features.fingerprints.tolist() == [2**64 - 2]


def test_sketches_merge_by_feature_and_kind():
    """A sketch held by both windows merges, one held by one alone is kept."""
    alone = KllSketch()
    alone.update(np.array([5.0]))
    other = features(sketches={**features().sketches, ("rain", "kll_double"): alone.to_bytes()})
    total = sum_windows((window(), replace(window(), features=other))).features
    assert list(total.sketches) == [("rain", "kll_double"), ("wind", "kll_double")]
    assert KllSketch.from_bytes(total.sketches["wind", "kll_double"]).n == 2
    assert total.sketches["rain", "kll_double"] == alone.to_bytes()


def test_the_latest_exemplar_of_a_bucket_stays():
    """Per explicit bucket one exemplar is kept: the most recent."""
    latency = empty_window().latency
    old, new, elsewhere = (Exemplar(0.5, time, 1, 1) for time in (1, 9, 5))
    one = replace(window(), latency=replace(latency, exemplars={0: new}))
    two = replace(window(), latency=replace(latency, exemplars={0: old, 2: elsewhere}))
    assert sum_windows((one, two)).latency.exemplars == {0: new, 2: elsewhere}


def test_classes_in_one_order_keep_it_and_in_several_are_sorted():
    """Rows of a named table are added by name, not by position."""

    def with_classes(*classes: str):
        tables = np.zeros((len(classes), 20))
        numbers = np.arange(1, len(classes) + 1)
        output = OutputCounts(classes, numbers, tables.astype(np.int64), tables, np.empty(0), np.empty(0, np.int64))
        return replace(window(), output=output)

    kept = sum_windows((with_classes("yes", "no"), with_classes("yes", "no"))).output
    assert (kept.classes, kept.class_counts.tolist()) == (("yes", "no"), [2, 4])
    mixed = sum_windows((with_classes("yes", "no"), with_classes("no", "maybe"))).output
    assert (mixed.classes, mixed.class_counts.tolist()) == (("maybe", "no", "yes"), [2, 3, 1])


def test_merging_over_time_takes_one_window_per_key():
    """With the key as group, windows of any bounds become one that spans them."""
    later = replace(window(), start_ns=60, end_ns=120)
    other = with_key(window(), KEY._replace(cohort=""))
    merged = merge_windows([later, other, window()], by=lambda part: part.key)
    assert [(part.key.cohort, part.start_ns, part.end_ns, part.rows) for part in merged] == [
        ("", 0, 60, 1),
        ("carrier=UA", 0, 120, 2),
    ]


def test_where_a_window_without_features_goes_does_not_depend_on_order():
    """Between two grids it joins the same one whichever window comes first."""
    failed = replace(empty_window(), calls=1)
    parts = [window(), replace(window(), features=features("g2")), failed]
    merged = [[(part.features.grid, part.calls) for part in merge_windows(order)] for order in permutations(parts)]
    assert merged == [[("g1", 1), ("g2", 0)]] * 6
