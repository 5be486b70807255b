"""Counts of a sample: unbiased in every cell, and exact in everything that is not sampled."""

from __future__ import annotations

from itertools import cycle, islice

import numpy as np
import pytest

from radiosonde._aggregate.aggregator import Aggregator
from radiosonde._aggregate.sampling_controller import SamplingController
from radiosonde._aggregate.thinning import Thinner
from radiosonde._ring.block import Block
from radiosonde._ring.layout import DONE, FAILED, HEADER, INPUT_ROW, OUTPUT_CLASS
from tests.factories import make_feature, make_reference
from tests.unit.aggregate.blocks import NS, START_NS, stream

SEEDS = 150
REFERENCE = make_reference([make_feature("f0", (25, 25, 25, 25, 0, 0, 0, 0))])
"""Cells up to 1, 2, 3 and 4: the value 0.5 is in the first, 1.5 in the second and so on."""


class Steps(SamplingController):
    """A controller that returns given steps, one per fold, in a cycle."""

    def __init__(self, *steps):
        super().__init__()
        self._steps = cycle(steps)

    def offer(self, rows, now_ns):
        return next(self._steps)


def singles(cells, *, failed_every=0):
    """Return single rows in *cells*, answered with class ``cell % 2`` and a confidence that depends on the cell."""
    count = len(cells)
    headers = np.zeros(count, dtype=HEADER)
    headers["start_ns"], headers["duration_ns"] = START_NS, NS // 100
    headers["rows"] = headers["kept"] = headers["step"] = 1
    headers["input_kind"], headers["output_kind"] = INPUT_ROW, OUTPUT_CLASS
    headers["class_code"], headers["confidence"] = cells % 2, 0.5 + cells / 10
    headers["mark"] = (np.arange(count) + 1) * 4 + DONE
    if failed_every:
        headers["mark"][::failed_every] = (np.arange(count)[::failed_every] + 1) * 4 + FAILED
        headers["error"][::failed_every] = 1
    return Block(headers, cells[:, None] + 0.5, np.arange(count))


def batches(made, cells, size):
    """Return batches of *size* rows in *cells*, lying in the stream's arena, answered like `singles`."""
    headers = np.zeros(len(cells) // size, dtype=HEADER)
    headers["start_ns"], headers["duration_ns"], headers["step"] = START_NS, NS // 100, 1
    headers["rows"] = headers["kept"] = size
    headers["input_kind"], headers["output_kind"] = INPUT_ROW, OUTPUT_CLASS
    headers["mark"] = (np.arange(len(headers)) + 1) * 4 + DONE
    outputs = np.full(len(headers), None, dtype=np.object_)
    for number, header in enumerate(headers):
        part = cells[number * size : (number + 1) * size]
        position = made.arena.reserve(3 * size)
        made.arena.block(position, size, 1)[:] = part[:, None] + 0.5
        made.arena.block(position + size, size, 2)[:] = np.column_stack([part % 2, 0.5 + part / 10])
        header["batch"] = position + 1
        outputs[number] = made.arena.block(position + size, size, 2).copy()
    return Block(headers, np.zeros((len(headers), 1)), np.arange(len(headers)), None, outputs)


def aggregator(seed, *steps):
    """Return an aggregator with these steps, and its stream."""
    return Aggregator(60.0, "me", sampling=Steps(*steps), thinner=Thinner(seed)), stream(REFERENCE)


ORDERS = {
    "periodic in the step": list(islice(cycle([0, 0, 1, 2, 3, 3]), 1200)),
    "every step-th row alone": list(islice(cycle([3, 0, 0, 0, 0, 0]), 1200)),
    "sorted": sorted(islice(cycle([0, 0, 1, 2, 3, 3]), 1200)),
    "one row in a hundred": ([1] + [0] * 99) * 12,
}


def assert_unbiased(estimates, exact):
    """Fail where the mean over the seeds is more than four standard errors from the truth."""
    estimates = np.array(estimates, dtype=np.float64)
    error = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
    assert (abs(estimates.mean(axis=0) - exact) <= 4 * error + 1e-9).all(), (estimates.mean(axis=0), exact, error)


def exact_counts(cells):
    """Return the true counts by cell, by class, and of each class's confidence bins."""
    by_cell = np.bincount(cells, minlength=4)
    return [*by_cell, by_cell[0] + by_cell[2], by_cell[1] + by_cell[3], *by_cell]


def estimated_counts(window):
    """Return the same figures of a window, in the same order."""
    cells, output = window.features.cells[0, :4], window.output
    named = dict(zip(output.classes, output.class_counts.tolist(), strict=True))
    bins = dict(zip(output.classes, output.confidence, strict=True))
    none = np.zeros(20)
    sure = [bins.get(("no", "yes")[cell % 2], none)[10 + 2 * cell] for cell in range(4)]
    return [*cells.tolist(), named.get("no", 0), named.get("yes", 0), *sure]


@pytest.mark.parametrize("steps", [(6,), (24,), (1, 6, 48)], ids=str)
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("batch", [0, 4, 100, 300], ids=lambda batch: f"batch {batch}" if batch else "single rows")
def test_estimates_are_unbiased_whatever_the_order_the_step_and_its_changes(batch, order, steps):
    """Cells are right on average, for single rows and batches, steps changing in mid-window; classes are right."""
    cells = np.array(order)
    estimates = []
    for seed in range(SEEDS):
        fold, made = aggregator(seed, *steps)
        for part in np.split(cells, 2 if batch == 300 else 3):
            block = batches(made, part, batch) if batch else singles(part)
            fold.fold(made, block)
        (window,) = fold.close(everything=True) or [None]
        estimates.append(exact_counts(cells[:0]) if window.features is None else estimated_counts(window))
        assert made.unseen == {}
        assert window.features is None or estimated_counts(window)[4:] == exact_counts(cells)[4:]
    assert_unbiased(estimates, exact_counts(cells))


@pytest.mark.parametrize("steps", [(1,), (6,), (96,), (1, 6, 48)], ids=str)
def test_what_is_not_sampled_is_exact(steps):
    """Calls, rows, errors, batch sizes and durations are those of every record, for any step."""
    for seed in range(20):
        fold, made = aggregator(seed, *steps)
        for part in np.split(np.array(ORDERS["sorted"]), 3):
            fold.fold(made, singles(part, failed_every=7))
        fold.fold(made, batches(made, np.zeros(1000, dtype=int), 100))
        (window,) = fold.close(everything=True)
        failed = 3 * 58  # of 400 rows every seventh from the first on
        assert (window.calls, window.rows) == (1210, 1200 - failed + 1000)
        assert window.errors == {"ValueError": failed}
        assert (window.batch_sizes[0], window.batch_sizes[6]) == (1200, 10)
        assert int(window.latency.counts.sum()) == int(window.latency.edge_counts.sum()) == 1210
        assert window.latency.sums_s.sum() == pytest.approx(12.10)


def test_a_window_says_how_many_rows_it_looked_at_and_what_they_weigh():
    """With step 6 a sixth of the rows is counted; sums of squares are of the weights; fingerprints are of rows of weight one."""
    fold, made = aggregator(1, 6)
    fold.fold(made, singles(np.zeros(1200, dtype=int)))
    (window,) = fold.close(everything=True)
    features, output = window.features, window.output
    assert (features.counted_rows, features.weight_square_sum) == (200, 200 * 36)
    assert (int(features.cells.sum()), features.is_exact, features.evidence_ratio) == (1200, False, 1 / 6)
    assert features.fingerprints.tolist() == [0]
    assert (output.counted_rows, output.weight_square_sum, output.evidence_ratio) == (1200, 1200, 1.0)
    assert fold.counted_rows == 200


@pytest.mark.parametrize("step", [1, 6, 96, 3000])
@pytest.mark.parametrize("batch", [0, 4, 300])
def test_outputs_are_never_thinned(batch, step):
    """For any budget of features, every output is counted once, with its confidence."""
    fold, made = aggregator(1, step)
    cells = np.array(ORDERS["one row in a hundred"])
    fold.fold(made, batches(made, cells, batch) if batch else singles(cells))
    (window,) = fold.close(everything=True)
    assert (window.output.counted_rows, window.output.weight_square_sum) == (1200, 1200)
    assert window.output.class_counts.tolist() == [1188, 12]
    assert [int(bins.sum()) for bins in window.output.confidence] == [1188, 12]


def test_the_rows_of_a_provisional_reference_are_never_thinned():
    """Without a grid every row is counted, regardless of the controller: they are few, and they form the reference."""
    fold, made = Aggregator(60.0, "me", sampling=Steps(96), thinner=Thinner(1)), stream()
    fold.fold(made, singles(np.array(ORDERS["sorted"])))
    (features,) = [window.features for window in fold.close(everything=True) if window.features]
    assert (fold.counted_rows, features.counted_rows, features.is_exact) == (1200, 1200, True)


def test_an_overwritten_batch_is_stood_for_by_other_rows_whether_it_was_chosen_or_not():
    """Only the features of an overwritten block are lost; the next rows of the series are weighted for them."""
    for seed in range(10):
        fold, made = aggregator(seed, 96, 1, 1)
        block = batches(made, np.zeros(1000, dtype=int), 100)
        for _ in range(2):  # once around and over them all
            made.arena.reserve(made.arena.largest)
        fold.fold(made, block)
        assert made.unseen == {"": 1000}
        fold.fold(made, singles(np.array([0, 1, 2])))
        assert made.unseen == {"": 1000 - 3 * 64}
        fold.fold(made, singles(np.arange(100) % 4))
        assert made.unseen == {}
        (window,) = fold.close(everything=True)
        assert (window.calls, window.rows, window.output.class_counts.tolist()) == (113, 1103, [1052, 51])
        assert (int(window.features.cells.sum()), window.features.is_exact) == (1103, False)
        assert window.features.counted_rows == 103
