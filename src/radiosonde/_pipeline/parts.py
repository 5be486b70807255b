"""Parts of a consumer, and its two modes: draining by itself, or leaving its rings to an agent.

`compose` is the only place that chooses. All other code calls a `Draining` and is independent of the mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    """The parts of a process's consumer.

    Attributes:
        settings: the settings.
        guard: counts errors and losses.
        process: identity of the process.
        thread: the consumer's thread.
        turn: held during a turn.
        rings: the rings to drain; grows as models are opened.
        deferred: functions that callers left to the consumer.
        sampling: sets the sampling rate of features.
        tail_sampler: selects predictions that get a span after they ended; None: no spans.
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
        """Run deferred functions. Versions first: one that is resolved late would split the series of its requests."""
        for ring in list(self.rings):
            ring.settle()
        self.deferred.run()


class Draining(Protocol):
    """Consumer of the records of a process."""

    @property
    def lag_s(self) -> float:
        """Age of the oldest record of the last drain."""

    @property
    def cpu_ns(self) -> int:
        """CPU time spent, of all threads."""

    def attached(self) -> None:
        """Start the consumer after a ring was opened."""

    def wake(self) -> None:
        """A ring fills. Called by its writer."""

    def open(self) -> None:
        """Open the destinations of records.

        Raises:
            RadiosondeError: it cannot be opened.
        """

    def look(self) -> None:
        """Check for external changes. Once a second, in the consumer's thread."""

    def release(self, rings: Sequence[RingConsumer]) -> None:
        """Release *rings*, whose writers are gone, now, in the thread of a caller: many were opened one after the other."""

    def step(self) -> None:
        """Drain the rings that are due. Called each time the consumer's thread wakes."""

    def make_room(self, ring: RingConsumer) -> int:
        """Drain *ring* if it is half full, for a replay; return the monotonic clock after it, 0 if nothing was done."""

    def take_turn(self, *, everything: bool = False, is_end: bool = False, timeout_s: float = 10.0) -> bool:
        """Drain all rings, join labels, close the windows that are due; return whether the turn could be taken.

        Args:
            everything: close every window, due or not.
            is_end: recording has ended.
            timeout_s: longest wait for another thread's turn.
        """

    def runtime(self) -> RuntimeCounts | None:
        """Return the health of the process so far, if it is exported from here."""

    def end(self) -> None:
        """Leave the rings as they should be found. After the last turn."""
