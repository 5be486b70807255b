"""The grid against a cell finder written from the profile's docstring, one value at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from radiosonde.reference import FeatureProfile
from radiosonde.reference.grid import ReferenceGrid

NUMBERS = st.sampled_from([-0.0, 0.0, 1.0, 2.0, 2.5, 3.0, 5e-324, 1e308, -1e308]) | st.floats()
BOUNDS = st.lists(st.sampled_from([-2.0, 0.0, 1.0, 2.5, 3.0, 1e308]), unique=True, max_size=6).map(sorted)


@st.composite
def profiles(draw, name):
    """Draw the geometry of a feature of either kind, with none to six body cells."""
    if draw(st.booleans()):
        return FeatureProfile(name, "categorical", 0.0, (), tuple("abcdefg"[: draw(st.integers(0, 7))]), (), ())
    bounds = tuple(draw(BOUNDS))
    low = bounds[0] - draw(st.sampled_from([0.0, 1.0])) if bounds else 0.0
    return FeatureProfile(name, "numeric", low, bounds, (), (), ())


@st.composite
def counted(draw):
    """Draw a grid's features and a block of values or codes for it."""
    features = [draw(profiles(f"f{index}")) for index in range(draw(st.integers(1, 4)))]
    rows = draw(st.integers(0, 12))
    values = draw(st.lists(NUMBERS, min_size=rows * len(features), max_size=rows * len(features)))
    return features, np.array(values, dtype=np.float64).reshape(rows, len(features))


def cell_of(feature: FeatureProfile, value: float, body: int) -> int:
    """Return the column of one value in the cell table, by the words of the profile's docstring."""
    below, above, null, unseen = range(body, body + 4)
    if math.isnan(value):
        return null
    if math.isinf(value):
        return unseen
    if feature.kind == "categorical":
        return int(value) if 0 <= value < len(feature.categories) else unseen
    if not feature.bounds:
        return above
    if value < feature.low:
        return below
    return next((index for index, bound in enumerate(feature.bounds) if value <= bound), above)


@given(counted())
def test_every_value_falls_into_the_cell_the_docstring_says(case):
    """Assigned columns are those of the scalar finder, and counts are the counts of assigned columns."""
    features, block = case
    grid = ReferenceGrid(features)
    expected = [[cell_of(f, v, grid.body) for f, v in zip(features, row, strict=True)] for row in block.tolist()]
    assert grid.assign(block).tolist() == expected
    counts = np.zeros((len(features), grid.width), dtype=np.int64)
    for row in expected:
        for index, column in enumerate(row):
            counts[index, column] += 1
    assert grid.count(block).tolist() == counts.tolist()


@given(counted())
def test_sorted_columns_count_alike_and_show_where_they_are_finite(case):
    """Counting sorted columns gives the counts of the block, and the rows between which values are finite."""
    features, block = case
    block[np.abs(block) < np.finfo(np.float64).tiny] = 0.0  # negative subnormals count as zero there, by contract
    grid = ReferenceGrid(features)
    columns = np.sort(block, axis=0)
    counts, finite = grid.count_sorted(columns)
    assert counts.tolist() == grid.count(block).tolist()
    for column, (first, last) in zip(columns.T, finite.tolist(), strict=True):
        assert column[first:last].tolist() == column[np.isfinite(column)].tolist()


@given(counted(), st.integers(0, 12))
def test_counts_add_over_any_split(case, cut):
    """Counting two parts and adding equals counting the whole, in row-major and column-major blocks."""
    features, block = case
    grid = ReferenceGrid(features)
    whole = grid.count(np.asfortranarray(block))
    assert (grid.count(block[:cut]) + grid.count(block[cut:])).tolist() == whole.tolist()


def test_blocks_longer_than_a_chunk_count_every_row():
    """5 000 rows (more than two chunks) of a mixed grid are all counted, none twice."""
    features = [
        FeatureProfile("x", "numeric", 0.0, (0.5, 1.0), (), (), ()),
        FeatureProfile("c", "categorical", 0.0, (), ("a", "b", "c"), (), ()),
    ]
    block = np.random.default_rng(5).random((5000, 2))
    block[:, 1] = np.floor(block[:, 1] * 4)
    counts = ReferenceGrid(features).count(block)
    first = int((block[:, 0] <= 0.5).sum())
    assert counts[0].tolist() == [first, 5000 - first, 0, 0, 0, 0, 0]
    codes = np.bincount(block[:, 1].astype(int), minlength=4).tolist()
    assert counts[1].tolist() == [*codes[:3], 0, 0, 0, codes[3]]
