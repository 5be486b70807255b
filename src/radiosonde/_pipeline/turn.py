"""One turn of a consumer: find rings, drain them, fold the records, release rings, join labels, deliver windows.

A model server that drains its own rings and an agent that drains those of others take the same turn. They differ in the source of rings
(`RingSource`) and in the sink of windows (`WindowSink`): a server delivers them in every turn, an agent commits them every few seconds
together with the position reached in each ring.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from radiosonde._clock import NS, wall_ns
from radiosonde._pipeline.ring_consumer import fold_in_slices

if TYPE_CHECKING:
    from collections.abc import Iterable

    from radiosonde._aggregate.aggregator import Aggregator
    from radiosonde._guard import Guard
    from radiosonde._labels.joiner import Joiner
    from radiosonde._labels.label_queue import LabelQueue
    from radiosonde._pipeline.ring_consumer import RingConsumer


class RingSource(Protocol):
    """Where the rings of a consumer come from: the recorders of this process, or the files of a spool."""

    def look(self) -> None:
        """Find new rings. Before a turn of all rings."""

    def rings(self) -> Iterable[RingConsumer]:
        """Return the rings to drain."""

    def ended(self, ring: RingConsumer) -> bool:
        """Record that *ring* was drained after its writer had gone; return whether its counts are to be delivered now."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The scope of a turn.

    Attributes:
        everything: close every window, due or not.
        is_end: nothing is recorded any more.
        until_ns: when an end has to be done, monotonic clock; 0: no matter when.
    """

    everything: bool = False
    is_end: bool = False
    until_ns: int = 0


class WindowSink(Protocol):
    """Destination of the windows of a consumer."""

    def is_due(self, *, has_ended: bool) -> bool:
        """Return whether windows are handed on in this turn.

        Args:
            has_ended: a ring has ended whose counts are to be handed on now.
        """

    def labels_are_crowded(self) -> None:
        """See that predictions and labels leave the queue. In the middle of a turn."""

    def hand_on(self, extent: Extent, *, is_whole: bool) -> None:
        """Close windows and hand them on.

        Args:
            extent: which.
            is_whole: all rings were drained.
        """


class Turn:
    """Takes turns. Guarded by the consumer's lock; in the agent, used by its only thread.

    Args:
        source: finds the rings.
        sink: receives the windows.
        aggregator: counts.
        label_queue: takes the predictions that may be labelled.
        joiner: joins labels before windows are handed on; None where another thread does.
        guard: counts errors and losses.

    Attributes:
        lag_s: age of the oldest record of the last drain.
    """

    def __init__(
        self,
        source: RingSource,
        sink: WindowSink,
        aggregator: Aggregator,
        label_queue: LabelQueue,
        joiner: Joiner | None,
        guard: Guard,
    ) -> None:
        self._source, self._sink = source, sink
        self._aggregator, self._label_queue, self._joiner, self._guard = aggregator, label_queue, joiner, guard
        self.lag_s = 0.0

    def take(self, extent: Extent, rings: Iterable[RingConsumer] | None = None) -> None:
        """Take a turn of some *rings*, or of all. Labels are joined in a turn of all.

        Predictions are joined before windows are handed on: once the progress of their ring is durable, nothing else would
        remember them for their labels.
        """
        is_whole, has_ended = rings is None, False
        if rings is None:
            self._source.look()
            rings = self._source.rings()
        for ring in list(rings):
            has_ended = self._drain(ring) or has_ended
        if not self._sink.is_due(has_ended=has_ended):
            return
        if is_whole and self._joiner is not None:
            self._joiner.join()
        self._sink.hand_on(extent, is_whole=is_whole)

    def drain(self, rings: Iterable[RingConsumer]) -> None:
        """Drain some *rings* without handing windows on, and release those that have ended."""
        for ring in rings:
            self._drain(ring)

    def _drain(self, ring: RingConsumer) -> bool:
        """Drain a ring and count the records; return whether its counts are to be delivered now."""
        if ring.is_closed:  # by a turn between the selection of rings and this one
            return False
        is_over = ring.is_over  # checked first: the last records of its writer are in this drain
        block = ring.drain(self._guard)
        if len(block):
            self.lag_s = max(0.0, (wall_ns() - int(block.headers["start_ns"].min())) / NS)
        fold_in_slices(ring, block, self._aggregator, self._guard, self._label_queue)
        if self._label_queue.is_crowded:
            self._sink.labels_are_crowded()
        return is_over and self._source.ended(ring)
