"""Agent mode: this process only writes its rings, and publishes its counts beside them.

The agent stores and exports. Labels go to the join store, where the agent joins them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde._pipeline.spool_watch import SpoolWatch
from radiosonde._ring.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde._pipeline.parts import Parts
    from radiosonde._pipeline.ring_consumer import RingConsumer
    from radiosonde._pipeline.worker_publisher import WorkerPublisher


class LeftToAgent:
    """Leaves the rings of this process to an agent; see `radiosonde._pipeline.parts.Draining`.

    Args:
        parts: the parts of the consumer.
        publisher: publishes its counts and its health.
    """

    lag_s = 0.0

    def __init__(self, parts: Parts, publisher: WorkerPublisher) -> None:
        self._parts, self._publisher = parts, publisher
        self._watch = SpoolWatch(parts.guard, parts.rings, parts.spool, parts.process, is_drained_here=False)

    @property
    def cpu_ns(self) -> int:
        """CPU time of all threads of Radiosonde."""
        return self._parts.thread.cpu_ns + self._parts.delivery.cpu_ns

    def attached(self) -> None:
        """Start nothing: the agent finds the ring in the spool."""

    def wake(self) -> None:
        """Do nothing: the agent polls."""

    def open(self) -> None:
        """Open nothing: the agent stores and exports."""

    def look(self) -> None:
        """Run deferred functions, publish counts and health, and pass labels on."""
        self._parts.catch_up()
        over = [ring for ring in self._parts.rings if ring.is_over]
        with self._parts.guard("spool_watch"):
            self._watch.look()
        self.release(over)  # checked before: the last records have been handed over, if that is needed
        self._publisher.look()
        if self._parts.label_queue.waiting:
            self._parts.delivery.wake_store()

    def release(self, rings: Sequence[RingConsumer]) -> None:
        """Close the rings that need nothing more from this process: their agent drains and removes them."""
        for ring in rings:
            ring.settle()
            is_found = ring.ring.is_shared and not ring.ring.is_removed
            if (is_found or not ring.has_uncounted) and ring.retire(is_drained=False):
                self._parts.rings.let_go(ring)
                if ring.ring.file is not None:
                    Spool.let_go(ring.ring.file)

    def step(self) -> None:
        """Drain nothing."""

    def make_room(self, ring: RingConsumer) -> int:
        """Do nothing."""
        return 0

    def take_turn(self, *, everything: bool = False, is_end: bool = False, timeout_s: float = 0.0) -> bool:
        """Run deferred functions; the agent drains."""
        self._parts.catch_up()
        return True

    def runtime(self) -> None:
        """Return nothing: the agent exports the health of all processes."""

    def end(self) -> None:
        """Hand over the records that the agent cannot find, and publish the counts and the health a last time."""
        with self._parts.guard("spool_end"):
            self._watch.end()
        self._publisher.end()
