"""The control area: the checks of writers each time they enter a segment, and tallies of many series."""

from __future__ import annotations

import numpy as np
import pytest

from radiosonde._ring.anonymous import anonymous_memory
from radiosonde._ring.control import Control, size_bytes
from radiosonde._ring.layout import DONE, HEADER, OUTPUT_CLASS
from radiosonde._ring.tally import (
    ANSWERED,
    CALLS,
    CHUNK,
    CLASSES,
    CONFIDENCES,
    DURATIONS,
    ENTRY,
    SIZES,
    Tallier,
    coarsen,
    take_apart,
)

CAPACITY = 64


@pytest.mark.parametrize(
    "left", [[], [0], [63], [5, 40], list(range(64))], ids=["none", "first", "last", "some", "all"]
)
@pytest.mark.parametrize("length", [0, 1, 16, 63, 64, 100])
def test_a_record_left_behind_is_seen_where_it_is(left: list[int], length: int) -> None:
    """In its own slot and in no other, wherever the range begins and whether or not it goes around the end of the ring."""
    control = Control(anonymous_memory(size_bytes(CAPACITY)), 0, CAPACITY)
    control.left[left] = True
    for start in range(1000, 1000 + CAPACITY):
        expected = any(index % CAPACITY in left for index in range(start, start + length))
        assert control.has_left(start, start + length) is expected


@pytest.mark.parametrize("held", [0, 1, 7])
def test_slots_are_given_away_as_by_a_reclaim_of_nothing(held: int) -> None:
    """Existing counts stay."""
    nothing = Tallier().count(np.empty(0, dtype=HEADER))
    given, reclaimed = (Control(anonymous_memory(size_bytes(CAPACITY)), 0, CAPACITY) for _ in range(2))
    for control in (given, reclaimed):
        control.reclaim(3, np.zeros(held, dtype=nothing.dtype))
    given.give(40)
    reclaimed.reclaim(40, nothing)
    assert bytes(given._words) == bytes(reclaimed._words)
    assert given.given == 40
    assert len(given.open_tally()) == held


def _chunk(seed: int, second: int, series: int, classes: int) -> np.ndarray:
    """Return the tally of one chunk of calls of *series* series in one second."""
    rng = np.random.default_rng(seed)
    headers = np.zeros(CHUNK, dtype=HEADER)
    headers["start_ns"] = second * 10**9
    headers["series"] = rng.integers(0, series, CHUNK)
    headers["duration_ns"] = np.exp(rng.normal(16, 0.7, CHUNK)).astype(np.int64)
    headers["output_kind"], headers["rows"] = OUTPUT_CLASS, 1
    headers["class_code"], headers["confidence"] = rng.integers(0, classes, CHUNK), rng.random(CHUNK)
    headers["mark"] = DONE
    return Tallier().count(headers)


@pytest.mark.parametrize(
    ("series", "classes", "chunks", "is_lossless"),
    [
        (1, 2, 300, True),
        (20, 2, 300, True),
        (190, 2, 200, True),
        (20, 30, 100, True),
        (400, 2, 60, True),
        (190, 60, 100, False),
        (50_000, 2, 60, False),
    ],
)
def test_calls_of_many_series_are_counted_or_returned(
    series: int, classes: int, chunks: int, is_lossless: bool
) -> None:
    """While nothing is drained: no call vanishes, none leaves the seconds that were counted, and no series loses a part of its counts."""
    capacity, first = 2 * CAPACITY, 1_700_000_000
    control = Control(anonymous_memory(size_bytes(capacity)), 0, capacity)
    lost = sum(
        control.reclaim(number + 1, _chunk(number, first + number % 7, series, classes)) for number in range(chunks)
    )
    entries = control.open_tally()
    counted = take_apart(entries)
    calls = np.bincount(counted.of(CALLS).series, counted.of(CALLS).counts, series)
    assert int(calls.sum()) + lost == chunks * CHUNK
    assert (lost == 0) is is_lossless
    assert first <= entries["second"].min()
    assert entries["second"].max() <= first + 6
    for kind in (SIZES, DURATIONS, CLASSES, CONFIDENCES, ANSWERED):
        assert np.array_equal(np.bincount(counted.of(kind).series, counted.of(kind).counts, series), calls)


@pytest.mark.parametrize("length_s", [60, 3600, 86400, 1 << 40])
def test_a_coarser_date_is_the_last_of_its_time(length_s: int) -> None:
    """Of the seconds in one minute, hour or day, the largest."""
    seconds = np.sort(np.random.default_rng(length_s).integers(1_700_000_000, 1_700_400_000, 500))
    entries = np.zeros(500, dtype=ENTRY)
    entries["second"] = seconds
    expected = [max(other for other in seconds if other // length_s == each // length_s) for each in seconds]
    assert coarsen(entries, length_s)["second"].tolist() == expected
    assert len(coarsen(entries[:0], length_s)) == 0
