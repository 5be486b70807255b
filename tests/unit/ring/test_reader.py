from __future__ import annotations

import numpy as np
import pytest

from radiosonde._ring.layout import SPAN_IDS
from radiosonde._ring.reader import RingReader
from radiosonde._ring.ring import Ring
from tests.unit.ring.writers import begin, finish


def make(features=2):
    """Return a ring of 64 slots and its reader."""
    ring = Ring(features, total_bytes=0)
    assert ring.capacity == 64
    return ring, RingReader(ring)


def test_an_empty_ring_gives_an_empty_block():
    """Nothing was written, nothing comes out."""
    ring, reader = make()
    block = reader.drain()
    assert (len(block), reader.overwritten, reader.in_flight, reader.abandoned) == (0, 0, 0, 0)
    assert block.rows.shape == (0, ring.features)


def test_records_come_out_once_in_order():
    """Done records come out whole, in the order they began, and never again."""
    ring, reader = make()
    for index in [begin(ring) for _ in range(5)]:
        finish(ring, index, is_failed=index == 3)
    assert reader.waiting() == 5
    block = reader.drain()
    assert block.indices.tolist() == block.headers["start_ns"].tolist() == [0, 1, 2, 3, 4]
    assert (block.headers["mark"] & 3).tolist() == [2, 2, 2, 3, 2]
    assert block.rows.tolist() == [[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]]
    assert len(reader.drain()) == 0
    assert reader.waiting() == 0


def test_a_block_is_a_copy():
    """Later writes do not change a drained block."""
    ring, reader = make()
    finish(ring, begin(ring))
    block = reader.drain()
    for _ in range(64):
        finish(ring, begin(ring))
    assert (block.rows.tolist(), block.headers["start_ns"].tolist()) == ([[0, 0]], [0])


def test_a_straggler_holds_nobody_up():
    """A prediction still running comes out at the drain after its end, among those that overtook it."""
    ring, reader = make()
    slow, quick = begin(ring), begin(ring)
    finish(ring, quick)
    assert reader.drain().indices.tolist() == [quick]
    assert reader.in_flight == 1
    later = begin(ring)
    finish(ring, later)
    finish(ring, slow)
    assert reader.drain().indices.tolist() == [slow, later]
    assert (reader.in_flight, reader.overwritten) == (0, 0)


def test_overwritten_records_are_counted_one_by_one():
    """A reader that comes late gets the last capacity records and counts the others."""
    ring, reader = make()
    for _ in range(64 + 17):
        finish(ring, begin(ring))
    block = reader.drain()
    assert (block.indices.tolist(), reader.overwritten) == (list(range(17, 81)), 17)


def test_a_straggler_whose_slot_is_given_away_is_counted_once():
    """A prediction in flight for more than a lap is overwritten: counted once, and its late end changes nothing."""
    ring, reader = make()
    slow = begin(ring)
    reader.drain()
    for _ in range(64):
        finish(ring, begin(ring))
    assert finish(ring, slow) is False
    block = reader.drain()
    assert (block.indices.tolist(), reader.overwritten, reader.in_flight) == (list(range(1, 65)), 1, 0)
    reader.drain()
    assert reader.overwritten == 1


class Interrupted:
    """Headers during whose copy something else is written, as by a handler that predicts more than there is room for."""

    def __init__(self, headers, write):
        self._headers, self._write = headers, write

    def __getitem__(self, key):
        found = self._headers[key]
        if key == "mark" and self._write is not None:
            return Marks(found, self)
        return found

    def interrupt(self):
        write, self._write = self._write, None
        if write is not None:
            write()


class Marks:
    """Marks that are overwritten after some of them were copied."""

    def __init__(self, marks, headers):
        self._marks, self._headers = marks, headers

    def __getitem__(self, key):
        found = self._marks[key].copy()
        return Copied(found, self._headers)

    def max(self):
        return self._marks.max()


class Copied:
    def __init__(self, marks, headers):
        self._marks, self._headers = marks, headers

    def max(self):
        return self._marks.max()

    def copy(self):
        self._headers.interrupt()
        return self._marks


@pytest.mark.parametrize("laps", [1, 2])
def test_a_torn_copy_is_dropped_and_counted(laps):
    """Records overwritten while they are copied are dropped and counted; those of the new lap come out next."""
    ring, reader = make()
    for _ in range(64):
        finish(ring, begin(ring))
    real = ring.headers

    def overwrite():
        for _ in range(10 + 64 * (laps - 1)):
            finish(ring, begin(ring))

    ring.headers = Interrupted(real, overwrite)
    first = reader.drain()
    ring.headers = real
    expected = list(range(10, 64)) if laps == 1 else []
    assert first.indices.tolist() == expected
    assert np.array_equal(first.rows[:, 0], expected)
    second = reader.drain()
    assert second.indices[-1] == 64 + 10 + 64 * (laps - 1) - 1
    assert len(first) + len(second) + reader.overwritten == 64 + 10 + 64 * (laps - 1)


def test_a_ring_without_features():
    """A function that records no features has rows of no width."""
    ring, reader = make(features=0)
    finish(ring, begin(ring))
    assert reader.drain().rows.shape == (1, 0)


@pytest.mark.parametrize("begun_before", [0, 40, 5000])
@pytest.mark.parametrize("waiting", [0, 1, 31, 32, 33, 63, 64, 1000, 4095, 4096, 6000])
def test_a_glance_is_right_to_a_sixteenth_and_never_too_large(begun_before, waiting):
    """Wherever in the ring the cursor is, and when the ring has gone around under it."""
    ring = Ring(2, total_bytes=600_000)
    assert ring.capacity == 4096
    reader = RingReader(ring)
    for _ in range(begun_before):
        finish(ring, begin(ring))
    reader.drain()
    for _ in range(waiting):
        begin(ring)
    there = min(waiting, ring.capacity)
    assert there * 15 / 16 - 1 <= reader.glance() <= there


def test_records_behind_slots_that_were_never_marked_are_drained_at_last():
    """A gap of more slots than one scan (failed reservations) hides the records behind it from one drain only."""
    ring = Ring(2, total_bytes=600_000)
    reader = RingReader(ring)
    finish(ring, begin(ring))
    for _ in range(2500):
        next(ring.indices)
    finish(ring, begin(ring))
    assert [index for _ in range(2) for index in reader.drain().indices.tolist()] == [0, 2501]


def test_ids_in_a_block_are_those_of_spans_that_exist():
    """Ids of a live span stay in the header, those of a span around it move aside, and the flag is taken off."""
    ring, reader = make()
    written = {1: (0xAA << 64 | 0xBB, 0xCC, False), 2: (0xDD << 64 | 0xEE, 0xFF, True)}
    for index in [begin(ring) for _ in range(3)]:
        if index in written:
            trace_id, span_id, is_live = written[index]
            SPAN_IDS.pack_into(
                ring.memory, ring.header_offset + index * 128 + 16, trace_id.to_bytes(16, "little"), span_id
            )
            ring.words[index * 16 + 5] |= is_live << 31
            ring.headers[index]["series"] |= 7
        finish(ring, index)
    block = reader.drain()
    assert block.headers["series"].tolist() == [0, 7, 7]
    assert block.headers["rows_begun"].tolist() == [1, 1, 1]
    names = ("trace_hi", "trace_lo", "span_id")
    assert [[int(header[name]) for name in names] for header in block.headers] == [
        [0, 0, 0], [0, 0, 0], [0xDD, 0xEE, 0xFF],
    ]  # fmt: skip
    assert block.parents.tolist() == [[0, 0, 0], [0xAA, 0xBB, 0xCC], [0, 0, 0]]
    assert block.part(slice(1, 2)).parents.tolist() == [[0xAA, 0xBB, 0xCC]]
    finish(ring, begin(ring))
    assert reader.drain().parents is None
