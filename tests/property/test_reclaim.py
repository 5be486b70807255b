"""For any order of recording, draining, committing and killing, every record is counted once."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from radiosonde._ring.reader import RingReader
from radiosonde._ring.ring import Ring
from radiosonde._ring.spool import AGENT, Spool
from radiosonde._ring.tally import CALLS, take_apart
from tests.unit.ring.writers import begin, finish, reclaimer_of


class ReclaimMachine(RuleBasedStateMachine):
    """A writer that never runs out of room, and consumers, one after the other, each of which may be killed."""

    def __init__(self):
        super().__init__()
        self.lost: dict[str, int] = {}
        self.running: list[int] = []
        self.begun = 0
        self.drained: list[int] = []  # by the consumer that lives, since its last commit
        self.tallied = 0
        self.durable: list[int] = []
        self.durable_tallied = 0
        self.committed = 0, (), 0
        self.gone = 0

    @initialize(capacity=st.sampled_from([64, 256]), is_shared=st.booleans())
    def open(self, capacity, is_shared):
        """Open a ring in memory, or in a file that two processes would share."""
        total_bytes = 0 if capacity == 64 else capacity * (128 + 8)
        self.folder = tempfile.TemporaryDirectory()
        spool = Spool(Path(self.folder.name) / "spool") if is_shared else None
        self.ring = Ring(
            1, total_bytes=total_bytes, spool=spool, process="p", schema={"consumer": AGENT} if is_shared else {}
        )
        assert self.ring.capacity == capacity
        self.reclaimer = reclaimer_of(self.ring, self.lost)
        self.reader = RingReader(self.ring)

    @rule(count=st.sampled_from([1, 7, 30, 64, 65, 300, 2000]), completes=st.booleans(), holds=st.integers(0, 9))
    def begin_some(self, count, completes, holds):
        """Begin records and end them at once, a few excepted."""
        for number in range(count):
            index = begin(self.ring, self.reclaimer)
            self.begun += 1
            if completes and (number % 97 or number >= holds * 97):
                assert finish(self.ring, index, self.reclaimer)
            else:
                self.running.append(index)

    @precondition(lambda self: self.running)
    @rule(place=st.floats(0, 0.999), count=st.sampled_from([1, 5, 50]))
    def end_some(self, place, count):
        """End some that run, however long ago they began."""
        for _ in range(min(count, len(self.running))):
            index = self.running.pop(int(place * len(self.running)))
            assert finish(self.ring, index, self.reclaimer, is_failed=index % 3 == 0)

    @rule()
    def drain(self):
        """Take finished records: in order, whole, never twice."""
        self.reclaimer.take_joinable()
        block = self.reader.drain()
        indices = block.indices.tolist()
        assert indices == sorted(indices)
        assert block.rows[:, 0].tolist() == block.headers["start_ns"].tolist() == indices
        self.drained += indices
        for entries in self.reader.take_tallies():
            self.tallied += int(take_apart(entries).of(CALLS).counts.sum())

    @rule()
    def commit(self):
        """Commit the drained records."""
        self.durable += self.drained
        self.durable_tallied += self.tallied
        self.drained, self.tallied = [], 0
        self.committed = self.reader.progress()
        self.reader.mark_durable(self.committed[2])

    @rule()
    def kill_the_consumer(self):
        """Uncommitted records are taken again by the next consumer, or were overwritten meanwhile and are counted as such."""
        self.gone += len(self.drained)
        self.drained, self.tallied = [], 0
        self.reader = RingReader(self.ring)
        self.reader.resume(*self.committed)

    def teardown(self):
        if not hasattr(self, "ring"):
            return
        while self.running:
            self.end_some(0.5, 50)
        for _ in range(4):
            self.drain()
            self.commit()
        assert len(self.durable) == len(set(self.durable))
        counted = len(self.durable) + self.durable_tallied
        assert self.begun - self.gone <= counted <= self.begun
        assert self.lost == {}
        self.folder.cleanup()


TestReclaim = ReclaimMachine.TestCase
TestReclaim.settings = settings(max_examples=40, stateful_step_count=25)


def test_without_kills_every_record_is_counted_in_the_end():
    """A hundred laps with stragglers of every age, drained now and then, sum up exactly."""
    for every, hold in itertools.product([3, 40, 10_000], [0, 5, 50]):
        ring, lost = Ring(2, total_bytes=0), {}
        reclaimer, reader = reclaimer_of(ring, lost), RingReader(ring)
        running, counted = [], 0
        for number in range(6400):
            running.append(begin(ring, reclaimer))
            if len(running) > hold:
                assert finish(ring, running.pop(number % len(running)), reclaimer)
            reclaimer.take_joinable()
            if number % every == 0:
                counted += len(reader.drain())
                reader.mark_durable(reader.progress()[2])
        for index in running:
            finish(ring, index, reclaimer)
        for _ in range(2):
            counted += len(reader.drain())
            reader.mark_durable(reader.progress()[2])
        counted += sum(int(take_apart(entries).of(CALLS).counts.sum()) for entries in reader.take_tallies())
        assert (counted, lost, reader.overwritten, ring.control.displaced) == (6400, {}, 0, 0)
