"""Windows merge exactly: in any order, in any grouping, and like the counts of the undivided stream."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde.errors import MergeError
from radiosonde.model import FeatureCounts, LabelCounts, Window
from radiosonde.model.addition import emptied
from radiosonde.model.fingerprints import fingerprints
from radiosonde.reference import FeatureProfile
from radiosonde.reference.grid import ReferenceGrid
from radiosonde.sketches import HllSketch, KllSketch
from radiosonde.sketches.hll import RELATIVE_ERROR_RATIO
from radiosonde.sketches.kll import RANK_ERROR_RATIO
from radiosonde.sketches.merge import merge_windows, sum_windows, with_key
from tests.property.strategies import KEY, contents, empty_window
from tests.window_strategies import EXACT, windows

PARTS = st.lists(windows(EXACT, ("g1",)), min_size=1, max_size=4)


def plus(first, second):
    """Return the sum of two windows."""
    return sum_windows((first, second))


@given(PARTS, st.randoms(use_true_random=False))
def test_order_does_not_matter(parts, random):
    """The sum of windows is the same, field by field, in any order."""
    shuffled = random.sample(parts, len(parts))
    assert contents(reduce(plus, shuffled)) == contents(reduce(plus, parts))


@given(st.lists(windows(EXACT, ("g1",)), min_size=3, max_size=3))
def test_grouping_does_not_matter(parts):
    """(a + b) + c, a + (b + c) and the sum of all three at once are the same window."""
    a, b, c = parts
    left = contents(plus(plus(a, b), c))
    assert contents(plus(a, plus(b, c))) == left
    assert contents(sum_windows(parts)) == left


@given(PARTS)
def test_counts_are_the_sums_by_name(parts):
    """Every named count of the sum is the sum of that name over the parts."""
    total = sum_windows(parts)
    expected = Counter()
    for part in parts:
        for name, count in zip(part.output.classes, part.output.class_counts.tolist(), strict=True):
            expected[name] += count
        for phase, row in zip(part.latency.phases, part.latency.phase_sums_s, strict=True):
            expected["phase", phase] += row[2]
        for name, count in part.errors.items():
            expected["error", name] += count
    found = Counter(dict(zip(total.output.classes, total.output.class_counts.tolist(), strict=True)))
    found.update(
        {("phase", name): row[2] for name, row in zip(total.latency.phases, total.latency.phase_sums_s, strict=True)}
    )
    found.update({("error", name): count for name, count in total.errors.items()})
    assert found == expected
    assert total.rows == sum(part.rows for part in parts)
    assert total.latency.counts.tolist() == sum(part.latency.counts for part in parts).tolist()


@given(PARTS)
def test_parts_are_left_alone(parts):
    """Adding windows writes to none of them."""
    before = [contents(part) for part in parts]
    sum_windows([*parts, parts[0]])
    assert [contents(part) for part in parts] == before


@given(windows(EXACT, ("g1",)))
def test_an_empty_window_changes_no_count(window):
    """A window in which nothing happened is the identity of addition, names and their order included."""
    summed = contents(plus(window, replace(empty_window(), start_ns=0, process=window.process)))
    assert {**summed, "start_ns": 0, "end_ns": 0} == {**contents(window), "start_ns": 0, "end_ns": 0}


@given(windows(EXACT, ("g1",)))
def test_an_emptied_window_changes_no_count(window):
    """A window without its counts is the identity of addition, and keeps the given fields."""
    assert contents(sum_windows([window, emptied(window)])) == contents(window)
    kept = emptied(window, keep={"sketches", "sketched_rows", "calls"})
    assert (kept.calls, kept.rows, dict(kept.errors)) == (window.calls, 0, {})
    if window.features is not None:
        assert kept.features.sketches == window.features.sketches
        assert kept.features.sketched_rows == window.features.sketched_rows
        assert not kept.features.cells.any()


@given(st.lists(windows(EXACT, ("g1", "g2")), max_size=6), st.randoms(use_true_random=False))
def test_merge_windows_is_order_free_and_loses_nothing(parts, random):
    """Merging a list gives the same list in any order, keeps grids apart, and keeps every row and cell."""
    merged = merge_windows(parts)
    assert [contents(w) for w in merge_windows(random.sample(parts, len(parts)))] == [contents(w) for w in merged]
    assert sum(w.rows for w in merged) == sum(w.rows for w in parts)
    for grid in ("g1", "g2"):
        cells = [sum(_cells(w, grid).sum() for w in group) for group in (parts, merged)]
        assert cells[0] == cells[1]
        assert _labelled(parts, grid) == _labelled(merged, grid)
    assert len({(w.start_ns, _grid(w)) for w in merged}) == len(merged)


@given(PARTS)
def test_net_tables_are_the_sums_by_name(parts):
    """Joint counts, labelled cells, lags and residuals of the sum are those of the parts, including retractions."""
    total = sum_windows(parts).labels
    held = [part.labels for part in parts if part.labels is not None]
    if not held:
        assert total is None
        return
    assert total.never == sum(labels.never for labels in held)
    retractions = Counter()
    for labels in held:
        retractions.update(labels.retractions)
    assert total.retractions == retractions
    assert {pair: table[3].tolist() for pair, table in total.joint.items()} == {
        pair: sum(labels.joint[pair][3] for labels in held if pair in labels.joint).tolist()
        for pair in {pair for labels in held for pair in labels.joint}
    }
    for row, name in enumerate(total.classes if total.lags.size else ()):
        counted = [labels for labels in held if labels.lags.size and name in labels.classes]
        assert total.lags[row, 7] == sum(labels.lags[labels.classes.index(name), 7] for labels in counted)
    for name in {name for labels in held for name in labels.cells}:
        tables = [labels.cells[name] for labels in held if name in labels.cells]
        found, body = total.cells[name], total.cells[name].shape[1] - 4
        assert found[:, body:].tolist() == sum(table[:, -4:] for table in tables).tolist()
        for column in range(body):
            assert (
                found[:, column].tolist()
                == sum((table[:, column] for table in tables if column < table.shape[1] - 4), np.zeros(2)).tolist()
            )
    if total.grid:
        missed = [labels.residual_cells for labels in held if labels.grid]
        assert total.residual_cells[:, -4:].tolist() == sum(table[:, -4:] for table in missed).tolist()


def test_labels_alone_join_the_window_of_their_grid():
    """A part that only holds labelled cells adds to the features of its own grid, and stops the sum with another."""
    features = [_window(np.zeros((rows, 1))) for rows in (1, 2)]
    features[1] = replace(features[1], features=replace(features[1].features, grid="later"))
    cells = {"yes": np.ones((1, 5), np.int64)}
    late = replace(
        empty_window(),
        labels=LabelCounts({}, np.zeros((20, 3)), ("yes",), np.ones(1, np.int64), np.ones((1, 3), np.int64), (1.0, 2.0),
                           grid="later", features=("wind",), cells=cells),
    )  # fmt: skip
    merged = merge_windows([*features, late])
    assert [(w.rows, w.features.grid, w.labels and w.labels.grid) for w in sorted(merged, key=lambda w: w.rows)] == [
        (1, GRID.id, None),
        (2, "later", "later"),
    ]
    with pytest.raises(MergeError, match=r"grids of cells differ: .* and later"):
        plus(features[0], late)


@given(PARTS)
def test_cohorts_under_one_key_add_up(parts):
    """Windows of two cohorts, given one key without cohort, hold the rows of both."""
    other = [with_key(part, KEY._replace(cohort="carrier=AA")) for part in parts]
    keyed = [with_key(part, part.key._replace(cohort="")) for part in (*parts, *other)]
    summed = merge_windows(keyed, by=lambda window: window.key)
    assert [window.key for window in summed] == [KEY._replace(cohort="")]
    assert summed[0].rows == 2 * sum(part.rows for part in parts)


GRID = ReferenceGrid([FeatureProfile("wind", "numeric", -1.0, (-0.5, 0.0, 0.5, 1.0), (), (), ())])


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 3000), max_size=4))
def test_a_split_stream_counts_like_the_whole(seed, cuts):
    """Cells and fingerprints of a stream split anywhere are exactly those of the whole; sketches are within bounds."""
    values = np.random.default_rng(seed).normal(size=(3000, 1))
    values[::50] = np.nan
    whole = _counted(values)
    merged = sum_windows([_window(part) for part in np.split(values, sorted(cuts))]).features
    assert merged.cells.tolist() == whole.cells.tolist()
    assert merged.fingerprints.tolist() == whole.fingerprints.tolist()
    finite = np.sort(values[np.isfinite(values)])
    ranks = np.searchsorted(finite, finite, side="right") / finite.size
    sketch = KllSketch.from_bytes(merged.sketches["wind", "kll_double"])
    # Twice the bound that holds with probability 0.99: a random sketch must not make a test random.
    assert max(abs(sketch.rank(v) - r) for v, r in zip(finite[::20], ranks[::20], strict=True)) < 2 * RANK_ERROR_RATIO
    distinct = HllSketch.from_bytes(merged.sketches["wind", "hll"]).distinct_count()
    assert abs(distinct / finite.size - 1) < 5 * RELATIVE_ERROR_RATIO


def _cells(window: Window, grid: str) -> np.ndarray:
    held = window.features
    return held.cells if held is not None and held.grid == grid else np.zeros((2, 6), dtype=np.int64)


def _labelled(parts: list[Window], grid: str) -> tuple[int, ...]:
    held = [part.labels for part in parts if part.labels is not None and part.labels.grid == grid]
    return tuple(
        int(sum(labels.cells[name].sum() for labels in held if name in labels.cells)) for name in ("no", "yes")
    )


def _grid(window: Window) -> str | None:
    return window.features.grid if window.features else window.labels.grid or None if window.labels else None


def _counted(values: np.ndarray) -> FeatureCounts:
    kll, hll = KllSketch(), HllSketch()
    kll.update(values[:, 0])
    hll.update(values[:, 0])
    sketches = {("wind", "kll_double"): kll.to_bytes(), ("wind", "hll"): hll.to_bytes()}
    return FeatureCounts(
        GRID.id, "r", False, GRID.names, GRID.count(values), fingerprints(values), len(values), sketches
    )


def _window(values: np.ndarray) -> Window:
    return replace(empty_window(), rows=len(values), features=_counted(values))
