"""Sentences of a benchmark about its numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from radiosonde.bench.results import MeasuredArm, Results, lines, results_of, verdict
from radiosonde.bench.rounds import difference


def arm(median_us, count=100_000):
    """Return an arm of calls around a median."""
    took_ns = (np.linspace(0.5, 1.5, count) * median_us * 1000).astype(np.int64)
    return MeasuredArm.of(took_ns, cpu_ns=float(took_ns.sum()), wall_ns=float(took_ns.sum()))


def found(bare_us=100.0, added_us=5.0, noise_us=1.0, **fields):
    """Return results."""
    counts = {"made": 1000, "counted": 1000, **fields}
    return Results(
        "m:f", arm(bare_us), arm(bare_us + added_us), added_us, added_us, noise_us, 3.0, histogram_us=10.0, **counts
    )


def test_quantiles_are_numpys_and_left_out_where_too_few_calls_say_them():
    """Ten calls must lie beyond."""
    took_ns = np.random.default_rng(1).integers(1_000, 9_000, size=12_345)
    assert dict(MeasuredArm.of(took_ns, None, 1e9).caller_us) == pytest.approx(
        {
            "p50": np.quantile(took_ns, 0.5) / 1000,
            "p99": np.quantile(took_ns, 0.99) / 1000,
            "p99.9": np.quantile(took_ns, 0.999) / 1000,
        }
    )
    assert MeasuredArm.of(took_ns[:2000], None, 1e9).caller_us["p99.9"] is None
    assert set(MeasuredArm.of(took_ns[:3], None, 1e9).caller_us.values()) == {np.median(took_ns[:3]) / 1000, None}


@pytest.mark.parametrize(
    ("results", "said"),
    [
        (
            found(),
            "Observing adds 5.00 us (give or take 1.00 us) to a call of 100.0 us (5 %), 0.5 times what one Histogram.record costs. Every call was counted.",
        ),
        (found(added_us=0.5), "adds no measurable overhead (noise 1.00 us) to a call of 100.0 us"),
        (found(added_us=-0.5), "adds no measurable overhead"),
        (
            found(bare_us=1.0, added_us=4.0),
            "Observing adds 4.00 us (give or take 1.00 us) to a call of 1.00 us (400 %)",
        ),
        (
            found(bare_us=50_000.0, added_us=20.0),
            "Observing adds 20.0 us (give or take 1.00 us) to a call of 50.0 ms (0.04 %)",
        ),
        (found(counted=990), "990 of 1,000 calls were counted."),
        (found(counted=None), "costs."),
        (found(added_us=0.5), "100.0 us. Every call"),  # no multiple of nothing
    ],
)
def test_the_verdict_is_a_sentence(results, said):
    """With the share, the yardstick, and whether all calls were counted; noise is called so."""
    assert said in verdict(results)


def test_what_observing_adds_is_not_moved_by_one_disturbed_round():
    """The median of the rounds' differences."""
    bare = [np.full(100, 1_000)] * 5
    observed = [np.full(100, 3_000)] * 4 + [np.full(100, 900_000)]
    assert difference(bare, observed) == (2.0, 0.0)


def test_results_survive_their_document():
    """Through JSON, with the verdict beside them."""
    document = json.loads(json.dumps(found().document()))
    assert results_of(document) == found()
    assert document["verdict"] == verdict(found())
    assert document["added_ratio"] == pytest.approx(0.05, rel=1e-3)
    assert len(lines(found())) == 8


def test_more_rounds_give_a_closer_answer():
    """The interval of the median covers the truth nineteen times in twenty, and shrinks with the root of the rounds."""
    generator = np.random.default_rng(4)
    widths, covered = {}, 0
    for rounds in (16, 64):
        found = []
        for _ in range(200):
            bare = [np.full(3, value) for value in generator.normal(50_000, 2_000, rounds)]
            observed = [np.full(3, value) for value in generator.normal(60_000, 2_000, rounds)]
            found.append(difference(bare, observed))
        widths[rounds] = np.median([noise for _, noise in found])
        covered += sum(abs(added - 10.0) <= noise for added, noise in found)
    assert covered / 400 > 0.9
    assert 1.5 < widths[16] / widths[64] < 2.7
