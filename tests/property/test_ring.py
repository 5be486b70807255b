from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from radiosonde._ring.reader import RingReader
from radiosonde._ring.ring import Ring
from tests.unit.ring.writers import begin, finish


class RingMachine(RuleBasedStateMachine):
    """Any interleaving of beginnings, ends and drains: each record comes out once, or is counted, or is in flight."""

    def __init__(self):
        super().__init__()
        self.ring = Ring(1, total_bytes=0)
        self.reader = RingReader(self.ring)
        self.running: list[int] = []
        self.begun = 0
        self.taken: list[int] = []

    @rule(count=st.sampled_from([1, 2, 30, 63, 64, 65, 200]), completes=st.booleans())
    def begin_some(self, count, completes):
        """Begin records, and end those at once that complete."""
        for _ in range(count):
            index = begin(self.ring)
            self.begun += 1
            if completes:
                assert finish(self.ring, index)
            else:
                self.running.append(index)

    @precondition(lambda self: self.running)
    @rule(place=st.floats(0, 0.999), is_failed=st.booleans())
    def end_one(self, place, is_failed):
        """End any record that runs; whether its slot is still its own depends on how many have begun since."""
        index = self.running.pop(int(place * len(self.running)))
        still_its_own = self.begun - index <= 64
        assert finish(self.ring, index, is_failed=is_failed) is still_its_own

    @rule()
    def drain(self):
        """Take finished records: in order, whole."""
        block = self.reader.drain()
        indices = block.indices.tolist()
        assert indices == sorted(indices)
        assert block.rows[:, 0].tolist() == block.headers["start_ns"].tolist() == indices
        self.taken += indices
        held = [index for index in self.running if self.begun - index <= 64]
        assert self.reader.in_flight == len(held)
        assert len(self.taken) + self.reader.overwritten + len(held) == self.begun

    @invariant()
    def nothing_comes_twice(self):
        """No record comes out twice."""
        assert len(self.taken) == len(set(self.taken))


TestRing = RingMachine.TestCase


@given(order=st.permutations(range(40)), cuts=st.sets(st.integers(0, 39), max_size=5))
def test_any_order_of_ends_gives_each_record_once(order, cuts):
    """Records that end in any order, drained at any moments, all come out once."""
    ring = Ring(1, total_bytes=0)
    reader = RingReader(ring)
    indices = [begin(ring) for _ in range(40)]
    taken = []
    for step, place in enumerate(order):
        assert finish(ring, indices[place])
        if step in cuts:
            taken += reader.drain().indices.tolist()
    taken += reader.drain().indices.tolist()
    assert sorted(taken) == indices
    assert (reader.overwritten, reader.abandoned, reader.in_flight) == (0, 0, 0)
