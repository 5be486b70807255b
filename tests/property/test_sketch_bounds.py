"""Each sentence of a sketch's bargain, checked against exact answers."""

from __future__ import annotations

from collections import Counter

import datasketches
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde.model import name_of
from radiosonde.sketches import FrequentSketch, HllSketch, KllSketch
from radiosonde.sketches.frequent import COUNT_ERROR_RATIO
from radiosonde.sketches.hll import RELATIVE_ERROR_RATIO
from radiosonde.sketches.kll import RANK_ERROR_RATIO


def fed(kind, values):
    """Return a sketch of *kind* fed with *values*."""
    sketch = kind()
    sketch.update(values)
    return sketch


def largest_rank_error(sketch: KllSketch, values: np.ndarray) -> float:
    """Return the largest error over 200 ranks, against the sorted values."""
    ordered = np.sort(values)
    probes = ordered[:: max(len(ordered) // 200, 1)]
    exact = np.searchsorted(ordered, probes, side="right") / len(ordered)
    return max(abs(sketch.rank(p) - r) for p, r in zip(probes.tolist(), exact.tolist(), strict=True))


def test_kll_rank_error_stays_within_the_stated_bound():
    """At most 5 of 100 sketches of 20 000 values (half of them merged from ten) exceed what 1 of 100 may."""
    rng = np.random.default_rng(3)
    exceeded = 0
    for trial in range(100):
        values = rng.lognormal(size=20_000)
        sketch = KllSketch()
        for part in np.array_split(values, 10 if trial % 2 else 1):
            sketch.merge(fed(KllSketch, part))
        exceeded += largest_rank_error(sketch, values) > RANK_ERROR_RATIO
    assert exceeded <= 5


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=200))
def test_kll_is_exact_up_to_200_values(values):
    """Quantiles and ranks of a short stream are those of the sorted list; the ends are the extremes."""
    sketch = fed(KllSketch, np.array(values))
    ordered = sorted(values)
    assert sketch.quantiles([0.0, 1.0]) == [ordered[0], ordered[-1]]
    assert sketch.rank(ordered[0]) == pytest.approx(ordered.count(ordered[0]) / len(values))
    assert sketch.quantiles([0.5]) == [ordered[(len(values) - 1) // 2]]


def test_kll_takes_at_most_5_kib_for_100_000_rows_and_8_bytes_for_none():
    """The memory of the docstring, and NaN answers when empty."""
    assert len(fed(KllSketch, np.random.default_rng(1).normal(size=100_000)).to_bytes()) <= 5 * 1024
    assert len(KllSketch().to_bytes()) == 8
    assert np.isnan([*KllSketch().quantiles([0.0, 0.5]), KllSketch().rank(1.0)]).all()


def test_kll_knows_the_extremes_of_a_long_stream_exactly():
    """Rank 0 is the smallest value seen and rank 1 the largest, whether or not they were retained."""
    values = np.random.default_rng(4).normal(size=50_000)
    sketch = fed(KllSketch, values)
    assert sketch.quantiles([0.0, 0.5, 1.0])[::2] == [values.min(), values.max()]


def test_kll_counts_finite_values_only():
    """N is the number of finite values."""
    assert fed(KllSketch, np.array([1.0, np.nan, np.inf, 2.0])).n == 2


def test_kll_bytes_are_those_of_datasketches():
    """The library reads our bytes by itself, to the same quantiles."""
    sketch = fed(KllSketch, np.arange(5000.0))
    plain = datasketches.kll_doubles_sketch.deserialize(sketch.to_bytes())
    assert plain.n == 5000
    assert plain.get_quantiles([0.1, 0.9], inclusive=True) == sketch.quantiles([0.1, 0.9])


@pytest.mark.parametrize("distinct", [1, 10, 1_000, 30_000])
def test_hll_error_stays_within_three_standard_errors(distinct):
    """Counts of 50 independent streams are within 3 standard errors but for one, merged from four parts each."""
    outside = 0
    for stream in range(50):
        values = np.arange(distinct) + stream * 1e6
        sketch = HllSketch()
        for part in np.array_split(values, 4):
            sketch.merge(fed(HllSketch, part))
        outside += abs(sketch.distinct_count() / distinct - 1) > 3 * RELATIVE_ERROR_RATIO
    assert outside <= 1


def test_hll_merge_is_idempotent_and_memory_is_bounded():
    """Merging a sketch with itself changes no estimate; 30 000 distinct values take 3 KiB."""
    sketch = fed(HllSketch, np.arange(30_000.0))
    twice = HllSketch.from_bytes(sketch.to_bytes())
    twice.merge(sketch)
    thrice = HllSketch.from_bytes(twice.to_bytes())
    thrice.merge(sketch)
    assert thrice.distinct_count() == twice.distinct_count()
    assert 3 * 1024 <= len(sketch.to_bytes()) <= 3 * 1024 + 64
    assert len(HllSketch().to_bytes()) == 8
    assert HllSketch().distinct_count() == 0.0


def test_hll_tells_numbers_from_text_and_joins_equal_numbers():
    """1, 1.0 and True are one value, both zeros are one, the text "1" is another value."""
    sketch = HllSketch()
    sketch.update(np.array([1, 1]))
    sketch.update(np.array([1.0, 0.0, -0.0]))
    sketch.update(np.array([True]))
    assert round(sketch.distinct_count()) == 2
    sketch.update(np.array(["1", None], dtype=object))
    assert round(sketch.distinct_count()) == 3


@given(st.lists(st.lists(st.integers(0, 400), max_size=300), min_size=1, max_size=4))
def test_frequent_bounds_hold_the_exact_count(parts):
    """After any merges each listed value's count is within its bounds, the bounds are tight, and no big one is missed."""
    sketch = FrequentSketch()
    for part in parts:
        sketch.merge(fed(FrequentSketch, np.array(part, dtype=np.int64)))
    exact = Counter(repr(float(value)) for part in parts for value in part)
    listed = {item.value: item for item in sketch.top(1000)}
    assert all(item.low <= exact[item.value] <= item.high for item in listed.values())
    assert all(item.high - item.low <= COUNT_ERROR_RATIO * sketch.n for item in listed.values())
    assert {value for value, count in exact.items() if count > COUNT_ERROR_RATIO * sketch.n} <= set(listed)
    assert sketch.n == exact.total()


def test_frequent_keeps_at_most_96_values_and_cuts_long_text():
    """10 000 distinct texts of 12 characters take at most 2.4 kB; a text is cut to 256 characters."""
    sketch = fed(FrequentSketch, np.array([f"{number:012d}" for number in range(10_000)], dtype=object))
    assert len(sketch.to_bytes()) <= 2_400
    assert fed(FrequentSketch, np.array(["x" * 1000], dtype=object)).top() == [(name_of("x" * 1000), 1, 1)]


def test_frequent_names_the_top_share():
    """A constant value has share 1, an empty sketch 0, and a lone surrogate does no harm."""
    assert fed(FrequentSketch, np.full(50, 3)).top() == [("3.0", 50, 50)]
    assert fed(FrequentSketch, np.full(50, 3)).top_share_ratio() == 1.0
    assert FrequentSketch().top_share_ratio() == 0.0
    assert fed(FrequentSketch, np.array(["a\ud800"], dtype=object)).top() == [(name_of("a\ud800"), 1, 1)]
    assert len(FrequentSketch().to_bytes()) == 8
