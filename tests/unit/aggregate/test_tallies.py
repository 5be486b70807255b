"""A tally of records, added up later, is what folding the records themselves counts: in everything but features."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from radiosonde._aggregate.aggregator import Aggregator
from radiosonde._aggregate.provisional import PROVISIONAL_ROWS
from radiosonde._ring.block import Block
from radiosonde._ring.control import _COARSER_S
from radiosonde._ring.layout import (
    DONE,
    FAILED,
    HEADER,
    INPUT_ROW,
    OUTPUT_CLASS,
    OUTPUT_NONE,
    OUTPUT_SCORE,
    OUTPUT_UNREADABLE,
)
from radiosonde._ring.tally import CHUNK, Outputs, Tallier, merge, take_apart
from tests.factories import make_feature, make_reference
from tests.unit.aggregate.blocks import NS, START_NS, block, stream

EDGES = (-1.0, 0.0, 2.5)


def records(seed, count, *, seconds=1, series=1, batches=0.0, failures=0.0, kinds=(OUTPUT_CLASS,)):
    """Return random records as a block, and the outputs of its batches as a tallier takes them."""
    rng = np.random.default_rng(seed)
    headers = np.zeros(count, dtype=HEADER)
    headers["start_ns"] = START_NS + rng.integers(0, seconds, count) * NS + rng.integers(0, NS, count)
    headers["event_ns"] = np.where(rng.random(count) < 0.3, headers["start_ns"] + 61 * NS, 0)
    headers["series"] = rng.integers(0, series, count)
    headers["duration_ns"] = np.exp(rng.normal(15, 4, count)).astype(np.int64)
    headers["phase_s"][:, 0] = np.where(rng.random(count) < 0.5, rng.random(count), 0)
    headers["output_kind"] = rng.choice(kinds, count)
    headers["class_code"] = rng.integers(0, 2, count)
    headers["confidence"] = np.where(rng.random(count) < 0.2, np.nan, rng.random(count))
    headers["score"] = np.where(rng.random(count) < 0.1, np.nan, rng.normal(0, 2, count))
    headers["rows"] = headers["step"] = headers["kept"] = 1
    headers["input_kind"] = np.where(rng.random(count) < 0.9, INPUT_ROW, 0)
    is_failed = rng.random(count) < failures
    headers["mark"] = (np.arange(count) + 1) * 4 + np.where(is_failed, FAILED, DONE)
    headers["error"] = is_failed
    outputs, positions, values = np.full(count, None, dtype=np.object_), [], []
    for place in np.flatnonzero(rng.random(count) < batches).tolist():
        kept, step = int(rng.integers(1, 9)), int(rng.integers(1, 4))
        headers["batch"][place], headers["input_kind"][place] = 1, 0
        headers["rows"][place], headers["kept"][place], headers["step"][place] = kept * step, kept, step
        if is_failed[place] or headers["output_kind"][place] not in (OUTPUT_CLASS, OUTPUT_SCORE):
            continue
        first = rng.integers(-1, 2, kept) if headers["output_kind"][place] == OUTPUT_CLASS else rng.normal(0, 2, kept)
        outputs[place] = np.column_stack([first, np.where(rng.random(kept) < 0.5, np.nan, rng.random(kept))])
        positions.append(np.full(kept, place))
        values.append(outputs[place])
    block = Block(headers, np.zeros((count, 1)), np.arange(count), None, outputs if positions else None)
    return block, Outputs(np.concatenate(positions), np.concatenate(values)) if positions else None


def described(window):
    """Return the counts of a window, except features, as plain values."""
    output, latency = window.output, window.latency
    return {
        "calls": window.calls, "rows": window.rows, "errors": window.errors, "sizes": window.batch_sizes.tolist(),
        "durations": latency.counts.tolist(), "sums_s": latency.sums_s.tolist(),
        "phases": latency.phase_sums_s.ravel().tolist(), "edges": latency.edge_counts.tolist(),
        "classes": dict(zip(output.classes, output.class_counts.tolist(), strict=True)),
        "confidence": output.confidence.tolist(), "confidences": output.confidence_sums.ravel().tolist(),
        "values": output.value_counts.tolist(), "value_sum": output.value_sum,
        "unreadable": output.unreadable, "looked at": (output.counted_rows, output.weight_square_sum),
    }  # fmt: skip


SUMS = ("sums_s", "phases", "confidences", "value_sum")
"""What may differ in the last digits, because it was added up in another order."""

CASES = {
    "one second, one series": {},
    "many seconds": {"seconds": 100},
    "many series": {"series": 2, "seconds": 3},
    "a second each": {"seconds": 10_000_000},
    "errors": {"failures": 0.3, "series": 2},
    "nothing but errors": {"failures": 1.0},
    "batches": {"batches": 0.4, "failures": 0.1, "series": 2},
    "scores": {"kinds": (OUTPUT_SCORE,), "batches": 0.3},
    "all kinds": {"kinds": (OUTPUT_NONE, OUTPUT_CLASS, OUTPUT_SCORE, OUTPUT_UNREADABLE), "batches": 0.2, "series": 2},
    "no answers": {"kinds": (OUTPUT_NONE,)},
}


@pytest.mark.parametrize("count", [1, 7, CHUNK])
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_a_tally_adds_up_to_what_folding_counts(options, count):
    """Calls, rows, errors, sizes, durations, phases, classes, confidences and values, per window and series."""
    edges = EDGES if options.get("kinds") == (OUTPUT_SCORE,) else ()
    reference = make_reference([make_feature("f0", (1, 1, 0, 0, 0, 0))], value_edges=edges)
    for seed in range(3):
        made = [records(10 * seed + part, count, **options) for part in range(3)]
        folded, tallied = Aggregator(60.0, "me"), Aggregator(60.0, "me")
        folding, tallying = stream(reference), stream(reference)
        for folded_block, _ in made:
            folded.fold(folding, folded_block)
        entries = np.concatenate([Tallier(edges).count(block.headers, outputs) for block, outputs in made])
        for part in (entries[: len(entries) // 2], merge(entries[len(entries) // 2 :])):
            tallied.add_tally(tallying, part)
        expected = {(window.key, window.start_ns): described(window) for window in folded.close(everything=True)}
        found = {(window.key, window.start_ns): described(window) for window in tallied.close(everything=True)}
        assert found.keys() == expected.keys()
        for place, counts in expected.items():
            close = {name: pytest.approx(counts[name], rel=1e-6) for name in SUMS}
            assert found[place] == counts | close


def test_rows_whose_features_were_given_up_are_stood_for_by_the_next():
    """The cells of a window sum to all rows; the window records how many were sampled."""
    aggregator, feed = Aggregator(60.0, "me"), stream(make_reference([make_feature("f0", (1, 1, 0, 0, 0, 0))]))
    block, _ = records(1, 100)
    block.headers["input_kind"], block.headers["event_ns"] = INPUT_ROW, 0
    aggregator.add_tally(feed, Tallier().count(block.headers))
    aggregator.fold(feed, block.part(slice(0, 30)))
    (window,) = aggregator.close(everything=True)
    assert (window.calls, int(window.features.cells.sum()), window.features.counted_rows) == (130, 130, 30)
    assert window.features.weight_square_sum == 20 * 4 * 4 + 10 * 5 * 5


@pytest.mark.parametrize(("tallied", "waited"), [(1, 30), (100, 30), (100, 1), (2_000, 30), (7, 300)])
@pytest.mark.parametrize("ends", ["at its rows", "by the end"])
def test_rows_that_wait_for_a_reference_are_weighted_for_those_that_were_given_up(tallied, waited, ends):
    """The cells of a cohort sum to all of its rows, up to 64 a row; those of another cohort are not affected."""
    aggregator, feed = Aggregator(60.0, "me"), stream()
    made, _ = records(1, tallied + waited)
    made.headers["input_kind"] = INPUT_ROW
    made.headers["event_ns"] = START_NS + np.arange(len(made)) % 5 * 60 * NS  # in five windows
    aggregator.add_tally(feed, Tallier().count(made.headers[:tallied]))
    aggregator.fold(feed, made.part(slice(tallied, None)))
    others = PROVISIONAL_ROWS if ends == "at its rows" else 50
    aggregator.fold(feed, block([0] * others, np.zeros((others, 1)), series=1))
    cells = Counter()
    for window in aggregator.close(everything=True, is_end=ends == "by the end"):
        if window.features is not None:
            cells[window.key.cohort] += int(window.features.cells[0].sum())
    assert cells == {"": min(tallied + waited, 65 * waited), "plan=pro": others}


@pytest.mark.parametrize("length_s", _COARSER_S)
def test_merged_entries_keep_every_sum(length_s):
    """For any merge, counts and totals by kind are unchanged; no key remains twice."""
    entries = np.concatenate(
        [Tallier().count(records(seed, CHUNK, seconds=5000, series=2)[0].headers) for seed in range(4)]
    )
    coarse = entries.copy()
    coarse["second"] -= coarse["second"] % length_s
    merged = merge(coarse)
    assert len(merged) < len(entries)
    assert len(np.unique(merged[["second", "key"]])) == len(merged)
    for kind in range(12):
        before, after = take_apart(entries).of(kind), take_apart(merged).of(kind)
        assert int(before.counts.sum()) == int(after.counts.sum())
        assert float(before.totals.sum()) == pytest.approx(float(after.totals.sum()))
