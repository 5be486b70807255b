"""Samples are fair: each row with probability 1/step and independent of the order of rows, in drains and in batches."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from radiosonde._aggregate.thinning import Thinner, inner_steps
from radiosonde._record.blocks import kept_rows


@pytest.mark.parametrize(("rows", "step"), [(10, 1), (0, 4), (1, 4), (10, 3), (12, 4), (13, 4), (3, 100)])
def test_each_row_is_drawn_with_probability_one_over_step(rows, step):
    """Over 20 000 draws every position comes up as often as it should, the last short stratum included."""
    thinner, draws = Thinner(7), 20_000
    hits = np.zeros(rows)
    for _ in range(draws):
        positions = thinner.positions(rows, step)
        assert (np.diff(positions) > 0).all()
        hits[positions] += 1
    tolerance = 4.5 * np.sqrt(draws / step * (1 - 1 / step)) if step > 1 else 0
    assert (abs(hits - draws / step) <= tolerance).all()


def test_rows_apart_by_the_step_are_drawn_independently():
    """Of an order periodic in the step one drain sees all phases, not one: neighbouring strata draw apart."""
    positions = Thinner(3).positions(4000, 4)
    phases = Counter((positions % 4).tolist())
    assert all(abs(phases[phase] - 250) < 4.5 * np.sqrt(1000 * 0.25 * 0.75) for phase in range(4))


def test_without_a_seed_no_two_thinners_draw_alike():
    """Processes that were forked from one another must not sample the same rows."""
    assert Thinner().positions(4000, 4).tolist() != Thinner().positions(4000, 4).tolist()


@pytest.mark.parametrize("step", [1, 2, 3, 6, 24, 96, 1536])
def test_each_row_of_batches_of_all_sizes_stands_for_what_it_should(step):
    """Chosen batches times their weight estimate the rows of each size without bias."""
    sizes = np.array([2, 15, 16, 31, 32, 100, 100, 500, 1000, 8192] * 20)
    thinner, draws = Thinner(11), 400
    estimates = np.zeros((draws, len(sizes)))
    for draw in range(draws):
        for position, within in thinner.batches(sizes, step):
            rows = len(thinner.positions(int(sizes[position]), within))
            estimates[draw, position] += rows * (step // within * within)
    for size in np.unique(sizes):
        found = estimates[:, sizes == size].sum(axis=1)
        error = found.std(ddof=1) / np.sqrt(draws)
        assert abs(found.mean() - size * (sizes == size).sum()) <= 4.5 * error + 1e-9


def test_rows_within_a_batch_are_thinned_to_sixteen_at_least():
    """A batch of 100 by a step of 50 gives every fourth row; a step below that is not exceeded."""
    assert inner_steps(np.array([1, 16, 31, 32, 100, 8192]), 50).tolist() == [1, 1, 1, 2, 4, 32]
    assert inner_steps(np.array([8192, 8192]), 3).tolist() == [2, 2]


@pytest.mark.parametrize("step", [2, 3, 4, 5, 7, 8, 12, 16, 60])
@pytest.mark.parametrize("stride", [1, 2, 3, 5, 8, 10, 60, 64, 100, 128, 1000])
def test_the_first_kept_row_of_a_large_batch_is_uniform_whatever_the_records_between(step, stride):
    """Batches that the arena thins at every *stride*-th record start at each offset equally often (chi square)."""
    offsets = [int(kept_rows(index, step, step)[0]) for index in range(5, 5 + 2_000 * stride, stride)]
    assert is_uniform(offsets, step)


@pytest.mark.parametrize("step", [2, 3, 7, 12, 60, 733])
@pytest.mark.parametrize("index", [0, 1, 17, 1 << 20, (1 << 40) + 3])
def test_rows_kept_of_one_batch_are_uniform_whatever_its_period(step, index):
    """Within one batch the strata draw apart: of any period no phase is preferred (chi square)."""
    kept = kept_rows(index, 3_000 * step, step)
    assert (kept // step == np.arange(3_000)).all()
    assert kept.tolist() == kept_rows(index, 3_000 * step, step).tolist()
    for period in (2, 3, step, 2 * step):
        assert is_uniform(kept % period, period)


def is_uniform(places, count):
    """Whether places are uniform over ``range(count)``: chi square below one in a million for any of these counts."""
    counts = np.bincount(places, minlength=count)
    expected = len(places) / count
    return (
        len(counts) == count
        and ((counts - expected) ** 2 / expected).sum() < count - 1 + 6 * np.sqrt(2 * (count - 1)) + 14
    )
