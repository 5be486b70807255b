"""For any traffic, the pipeline's counts equal a brute-force count, for any split."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings

from radiosonde.sketches.merge import merge_windows
from radiosonde.store.reader import Interval, StoreReader
from radiosonde.testing import fly
from tests.unit.aggregate.flat import Flat, differences, flatten, total
from tests.unit.aggregate.traffic import KINDS, START_S, WINDOW_S, Clock, Driver, scripts, scripts_with_thinned

NS = 1_000_000_000


@contextmanager
def driver(**options: object) -> Iterator[Driver]:
    """Yield a driver of a pipeline whose recording side reads a clock that only the script moves."""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("radiosonde._record.record_writer.monotonic_ns", clock)
        patch.setattr("radiosonde._record.current.monotonic_ns", clock)
        settings_ = {"window_s": WINDOW_S, "cohorts": {"carrier": ["UA", "AA"]}, "ring_bytes": 65_536, **options}
        with fly(**settings_) as flight:
            yield Driver(flight, clock)


def by_cohort(windows: Iterator) -> dict[str, Flat]:
    """Return the counts of *windows* added up per cohort."""
    found = list(windows)
    cohorts = {window.key.cohort for window in found}
    return {name: total(flatten(w, KINDS) for w in found if w.key.cohort == name) for name in cohorts}


def assert_same(found: dict, expected: dict) -> None:
    """Fail with the places that differ."""
    assert found.keys() == expected.keys()
    assert not {key: diff for key in found if (diff := differences(found[key], expected[key]))}


@settings(max_examples=60)
@given(scripts)
def test_every_count_is_the_brute_force_count(script):
    """Calls, errors, sizes, durations, phases, classes, confidence, cells, fingerprints and outcomes are all exact."""
    with driver() as play:
        play.play(script)
        found = by_cohort(play.flight.windows())
        assert_same(found, play.oracle.by_cohort())
        results = play.flight.statistics().labels
        assert Counter({name: count for name, count in results.items() if count}) == play.oracle.results


@settings(max_examples=15)
@given(scripts_with_thinned)
def test_thinned_batches_weigh_what_they_stand_for(script):
    """Of a batch too large for the arena every third row is kept and counts three times; fingerprints are of whole batches."""
    with driver() as play:
        play.play(script)
        assert_same(by_cohort(play.flight.windows()), play.oracle.by_cohort())
        kept = play.flight.statistics().sampling_ratio
        assert kept < 1


@settings(max_examples=25)
@given(scripts)
def test_many_small_drains_are_one_large_drain(script):
    """Draining after every record and draining once at the end count the same."""
    with driver() as small:
        for operation in script:
            small.play([operation, ("turn",)])
        with driver() as large:
            with large.flight.pipeline()._turn:  # the consumer waits while everything is recorded
                large.play(script, turns=False)
            assert_same(by_cohort(large.flight.windows()), by_cohort(small.flight.windows()))


@settings(max_examples=20)
@given(scripts)
def test_windows_in_the_store_sum_to_the_snapshot(script):
    """Windows have the bounds of their event times, and their parts add up to the cumulative count."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "store.db")
        with driver(store=path) as play:
            half = len(script) // 2
            play.play(script[:half])
            play.flight.flush()  # what follows for the same windows arrives in further parts
            play.play(script[half:])
            play.flight.flush()
            snapshot = by_cohort(play.flight.windows())
            expected = play.oracle
        windows = [window for _, window in StoreReader(path).parts(Interval())]
    assert all(window.end_ns - window.start_ns == WINDOW_S * NS for window in windows)
    assert all(window.start_ns % (WINDOW_S * NS) == 0 for window in windows)
    assert all(window.start_ns >= START_S * NS for window in windows)
    assert_same(by_cohort(windows), snapshot)
    places = {(window.start_ns // NS, window.key.cohort) for window in windows}
    merged = {place: Counter() for place in places}
    for window in merge_windows(windows):
        place = (window.start_ns // NS, window.key.cohort)
        merged[place] = total([merged[place], flatten(window, KINDS)])
    assert_same(merged, expected.by_window())


EXACT = {"calls", "rows", "error", "batch", "latency", "latency_s", "edge", "phase_s", "outcome", "label", "lag",
         "calibration", "correct", "calibration_s"}  # fmt: skip


@settings(max_examples=40)
@given(scripts)
def test_no_budget_is_too_small_for_exact_traffic(script):
    """With a budget that pays for nothing, calls, rows, errors, durations, phases and outcomes are the brute-force count."""
    with driver(cpu_budget=1e-9) as play:
        play.play(script)
        found, expected = (
            {
                cohort: Counter({place: n for place, n in flat.items() if place[0] in EXACT})
                for cohort, flat in flats.items()
            }
            for flats in (by_cohort(play.flight.windows()), play.oracle.by_cohort())
        )
        assert_same(found, expected)
        results = play.flight.statistics().labels
        assert Counter({name: count for name, count in results.items() if count}) == play.oracle.results
