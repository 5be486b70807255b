"""Stand-alone mode: this process drains its own rings, joins labels, closes windows and exports them.

One turn (`radiosonde._pipeline.turn`) drains every ring that has enough waiting (or waited long enough). The consumer's thread
takes turns; a flush, a scrape and the exit take one too, in their own thread, under the same lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde._clock import NS, monotonic_ns, thread_time_ns
from radiosonde._pipeline.cadence import Cadence
from radiosonde._pipeline.hurry import in_a_hurry
from radiosonde._pipeline.rings import RingsOfProcess
from radiosonde._pipeline.spool_watch import SpoolWatch
from radiosonde._pipeline.turn import Extent, Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde._pipeline.parts import Parts
    from radiosonde._pipeline.ring_consumer import RingConsumer
    from radiosonde.model import RuntimeCounts, Window

TURN_TIMEOUT_S = 10.0

RELEASE_TIMEOUT_S = 0.05
"""Longest wait of a caller that opens a ring for the thread that takes a turn."""

_HURRIED_TURNS = 10


class OwnRings:
    """Drains the rings of this process and delivers the windows; see `parts.Draining` and `turn.WindowSink`.

    Args:
        parts: the parts of the consumer.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._watch = SpoolWatch(parts.guard, parts.rings, parts.spool, parts.process, is_drained_here=True)
        self._cadence = Cadence(parts.settings.window_s)
        self._folded_ns = monotonic_ns()
        self._visited_ns = 0  # CPU of turns that were taken in users' threads: a scrape, a flush, the exit
        self._sampling_spent_ns = 0
        self._source = RingsOfProcess(parts.rings, parts.aggregator, parts.spool, parts.guard)
        joiner = None if parts.delivery.takes_labels else parts.joiner
        self._turn = Turn(self._source, self, parts.aggregator, parts.label_queue, joiner, parts.guard)

    @property
    def lag_s(self) -> float:
        """Age of the oldest record of the last drain."""
        return self._turn.lag_s

    @property
    def cpu_ns(self) -> int:
        """CPU time of all threads of Radiosonde, and of turns in other threads."""
        return self._parts.thread.cpu_ns + self._parts.delivery.cpu_ns + self._visited_ns

    def attached(self) -> None:
        """Start the threads that store and export."""
        self._parts.delivery.start()

    def wake(self) -> None:
        """Wake the consumer's thread."""
        self._parts.thread.wake()

    def open(self) -> None:
        """Open the exporters.

        Raises:
            RadiosondeError: one cannot be opened, and no variable of the environment asked for it.
        """
        self._parts.delivery.open()

    def look(self) -> None:
        """See that the rings lie in the spool, and hand labels over, which a process that is killed would lose."""
        if self._parts.settings.spool is not None:
            with self._parts.guard("own_spool_watch"):
                self._watch.look()
        if self._parts.delivery.takes_labels and self._parts.label_queue.waiting:
            self._parts.delivery.wake_store()

    def release(self, rings: Sequence[RingConsumer]) -> None:
        """Drain *rings* to their end and remove them; nothing where another thread takes a long turn."""
        parts = self._parts
        for ring in rings:
            ring.settle()
        if not parts.turn.acquire(timeout=RELEASE_TIMEOUT_S):
            return
        try:
            cpu_ns = thread_time_ns()
            self._turn.drain(rings)
            self._visited_ns += thread_time_ns() - cpu_ns
        finally:
            parts.turn.release()

    def step(self) -> None:
        """Drain rings that fill, at once; drain all when a turn is due."""
        rings = self._parts.rings
        filling = [ring for ring in rings if ring.is_filling]
        if filling:
            with in_a_hurry():
                # As long as rings fill while others are drained; bounded, because the thread has other things to do.
                for _ in range(_HURRIED_TURNS):
                    self._take_turn(filling)
                    filling = [ring for ring in rings if ring.is_filling]
                    if not filling:
                        break
        waiting = max([len(self._parts.deferred), *(ring.waiting for ring in rings)])
        joins_here = not self._parts.delivery.takes_labels and self._parts.label_queue.waiting > 0
        if self._cadence.is_due(monotonic_ns() - self._folded_ns, waiting, is_awaited=joins_here):
            self.take_turn()
        self._parts.delivery.let_store_catch_up()

    def make_room(self, ring: RingConsumer) -> int:
        """Drain *ring* here and now if it is half full, and return the monotonic clock after it; else return 0."""
        if not ring.is_half_full or not self._take_turn([ring]):
            return 0
        self._parts.delivery.let_store_catch_up()
        return monotonic_ns()

    def take_turn(self, *, everything: bool = False, is_end: bool = False, timeout_s: float = TURN_TIMEOUT_S) -> bool:
        """Drain all rings, join labels, close the windows that are due; return whether the turn could be taken."""
        self._parts.catch_up()
        return self._take_turn(None, everything=everything, is_end=is_end, timeout_s=timeout_s)

    def _take_turn(
        self,
        rings: Sequence[RingConsumer] | None,
        *,
        everything: bool = False,
        is_end: bool = False,
        timeout_s: float = TURN_TIMEOUT_S,
    ) -> bool:
        """Take a turn of some *rings*, or of all."""
        parts, until_ns = self._parts, monotonic_ns() + round(timeout_s * NS)
        if not parts.turn.acquire(timeout=max(0.0, timeout_s)):
            return False
        try:
            cpu_ns = thread_time_ns()
            if not parts.delivery.was_opened:
                parts.delivery.open_what_can_be()
            if rings is None or len(rings) == len(parts.rings):
                rings, self._folded_ns = None, monotonic_ns()
            self._turn.take(Extent(everything=everything, is_end=is_end, until_ns=until_ns), rings)
            if not parts.thread.note_cpu():
                self._visited_ns += thread_time_ns() - cpu_ns
            spent_ns = self.cpu_ns
            parts.sampling.turn(monotonic_ns(), spent_ns - self._sampling_spent_ns)
            self._sampling_spent_ns = spent_ns
        finally:
            parts.turn.release()
        return True

    # Windows -----------------------------------------------------------------------------------------

    def is_due(self, *, has_ended: bool) -> bool:
        """Return True: windows that are due are handed on in every turn."""
        return True

    def labels_are_crowded(self) -> None:
        """Wake the thread that hands labels on."""
        self._parts.delivery.wake_store()

    def hand_on(self, extent: Extent, *, is_whole: bool) -> None:
        """Close the windows that are due, sample the health, and give both to the exporters."""
        parts = self._parts
        windows = self._close(everything=extent.everything, is_end=extent.is_end, until_ns=extent.until_ns)
        if is_whole and parts.health is not None:
            # A flush leaves the health's window open, an end does not: half a second of it is of no use to a flush.
            with parts.guard("health_sample"):
                windows += parts.health.sample(everything=extent.everything and extent.is_end)
        parts.delivery.export(windows, parts.tail_sampler.take() if parts.tail_sampler else ())

    def _close(self, *, everything: bool, is_end: bool, until_ns: int) -> list[Window]:
        if not (everything and is_end):
            return self._parts.aggregator.close(everything=everything)
        # Half of the time: the counted features have to be frozen, written and exported, too.
        now_ns = monotonic_ns()
        return self._parts.aggregator.close(everything=True, is_end=True, deadline_ns=now_ns + (until_ns - now_ns) // 2)

    def runtime(self) -> RuntimeCounts | None:
        """Return the health of the process so far."""
        health = self._parts.health
        return health.total if health is not None and health.is_running else None

    def end(self) -> None:
        """Remove the files of the rings."""
        self._source.end()
