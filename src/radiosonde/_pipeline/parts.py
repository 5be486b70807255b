"""Parts of a consumer, and its two modes: draining by itself, or leaving its rings to an agent.

`compose` is the one place that asks which. Everything else calls a `Draining` and knows no mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from radiosonde._aggregate.aggregator import Aggregator
    from radiosonde._aggregate.sampling_controller import SamplingController
    from radiosonde._aggregate.tail_sampler import TailSampler
    from radiosonde._guard import Guard
    from radiosonde._health.health import HealthSampler
    from radiosonde._labels.joiner import Joiner
    from radiosonde._labels.label_queue import LabelQueue
    from radiosonde._native import OwnedLock
    from radiosonde._pipeline._worker import Worker
    from radiosonde._pipeline.deferred import Deferred
    from radiosonde._pipeline.delivery import Delivery
    from radiosonde._pipeline.ring_consumer import RingConsumer
    from radiosonde._pipeline.rings import Rings
    from radiosonde._ring.spool import Spool
    from radiosonde._settings import Settings
    from radiosonde.model import RuntimeCounts


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process's consumer is composed of.

    Attributes:
        settings: what is on.
        guard: counts errors and losses.
        process: identity of the process.
        thread: the consumer's thread.
        turn: held during a turn.
        rings: what is drained; grows as models are opened.
        deferred: what callers leave to the consumer.
        sampling: how many rows' features may be counted.
        tail_sampler: chooses predictions that get a span after the fact; None makes none.
        aggregator: counts.
        health: samples the health of the process; None where it is not wanted.
        label_queue: predictions that wait for labels, and labels.
        joiner: joins them.
        delivery: where windows go.
        spool: returns the spool, None without one; may raise.
    """

    settings: Settings
    guard: Guard
    process: str
    thread: Worker
    turn: OwnedLock
    rings: Rings[RingConsumer]
    deferred: Deferred
    sampling: SamplingController
    tail_sampler: TailSampler | None
    aggregator: Aggregator
    health: HealthSampler | None
    label_queue: LabelQueue
    joiner: Joiner
    delivery: Delivery
    spool: Callable[[], Spool | None]

    def catch_up(self) -> None:
        """Do what callers left to us. Versions first: one that is worked out late would split the series of its requests."""
        for ring in list(self.rings):
            ring.settle()
        self.deferred.run()


class Draining(Protocol):
    """What becomes of the records of a process."""

    @property
    def lag_s(self) -> float:
        """How long the oldest record of the last drain had waited."""

    @property
    def cpu_ns(self) -> int:
        """CPU time spent, of all threads."""

    def attached(self) -> None:
        """A ring was opened: start what drains it."""

    def wake(self) -> None:
        """A ring fills. Called by its writer."""

    def open(self) -> None:
        """Open what records end in.

        Raises:
            RadiosondeError: it cannot be opened.
        """

    def look(self) -> None:
        """See what has changed around us. Once a second, in the consumer's thread."""

    def step(self) -> None:
        """Drain what is due. Each time the consumer's thread wakes."""

    def make_room(self, ring: RingConsumer) -> int:
        """Drain *ring* if it is half full, for a replay; return the monotonic clock after it, 0 if nothing was done."""

    def take_turn(self, *, everything: bool = False, is_end: bool = False, timeout_s: float = 10.0) -> bool:
        """Drain all rings, join labels, close the windows that are due; return whether the turn could be taken.

        Args:
            everything: close every window, due or not.
            is_end: nothing is recorded any more.
            timeout_s: how long to wait for another's turn to end.
        """

    def runtime(self) -> RuntimeCounts | None:
        """Return the health of the process so far, if it is exported from here."""

    def end(self) -> None:
        """Leave the rings as they should be found. After the last turn."""
