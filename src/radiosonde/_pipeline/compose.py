"""Composes the consumer of a process from its settings: draining by itself or by an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from radiosonde._aggregate.aggregator import Aggregator
from radiosonde._aggregate.sampling_controller import SamplingController
from radiosonde._aggregate.tail_sampler import TailSampler
from radiosonde._clock import monotonic_ns
from radiosonde._health.health import HealthSampler
from radiosonde._labels.joiner import Joiner, label_queue_for
from radiosonde._native import OwnedLock
from radiosonde._pipeline.deferred import Deferred
from radiosonde._pipeline.delivery import Delivery
from radiosonde._pipeline.launch import Launcher
from radiosonde._pipeline.left_to_agent import LeftToAgent
from radiosonde._pipeline.own_rings import OwnRings
from radiosonde._pipeline.parts import Draining, Parts
from radiosonde._pipeline.rings import Rings
from radiosonde._pipeline.worker_publisher import WorkerPublisher
from radiosonde._ring.spool import AGENT, SELF
from radiosonde._settings import AUTO, Settings
from radiosonde.export.carriers import make_exporters
from radiosonde.export.exporter import ExportContext

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from radiosonde._guard import Guard
    from radiosonde._pipeline._worker import Worker
    from radiosonde._pipeline.ring_consumer import RingConsumer
    from radiosonde._ring.spool import Spool
    from radiosonde.export.exporter import Exporter
    from radiosonde.export.snapshot import Snapshot


class Surroundings(NamedTuple):
    """The result of composing a consumer.

    Attributes:
        guard: counts errors and losses.
        process: identity of the process.
        thread: the consumer's thread.
        snapshot: returns everything counted since the start.
        spool: returns the spool, None without one; may raise.
    """

    guard: Guard
    process: str
    thread: Worker
    snapshot: Callable[[], Snapshot]
    spool: Callable[[], Spool | None]


class Composition(NamedTuple):
    """A consumer.

    Attributes:
        parts: its parts.
        draining: consumes the records.
        drained_by: consumer of the rings, as recorded in their pages.
    """

    parts: Parts
    draining: Draining
    drained_by: str


def compose(settings: Settings, around: Surroundings) -> Composition:
    """Return the consumer for the settings; nothing is opened and no thread is started."""
    if not settings.agent:
        return _own_rings(settings, around)
    return _left_to_agent(settings, around)


def _own_rings(settings: Settings, around: Surroundings) -> Composition:
    """Compose a consumer that drains, joins, stores and exports."""
    rings: Rings[RingConsumer] = Rings()
    context = ExportContext(settings, around.guard, around.snapshot, rings.profiles, around.process)
    exporters = make_exporters(context)

    def join() -> None:
        parts.joiner.join(context.references())

    # Labels in memory are joined in turns: no disk and no network is in the way.
    parts = _parts(settings, around, rings, exporters, None if settings.join_target is None else join)
    return Composition(parts, OwnRings(parts), SELF)


def _left_to_agent(settings: Settings, around: Surroundings) -> Composition:
    """Compose a consumer that publishes its counts and hands labels on; the agent does the rest."""

    def deliver() -> None:
        parts.joiner.deliver()

    parts = _parts(settings, around, Rings(), [], deliver)
    launcher = Launcher(settings, around.guard) if settings.agent == AUTO else None
    publisher = WorkerPublisher(
        parts.guard, parts.process, parts.spool, parts.label_queue.results, parts.health, launcher
    )
    return Composition(parts, LeftToAgent(parts, publisher), AGENT)


def _parts(
    settings: Settings,
    around: Surroundings,
    rings: Rings[RingConsumer],
    exporters: Sequence[Exporter],
    labels: Callable[[], None] | None,
) -> Parts:
    guard, process = around.guard, around.process
    sampling = SamplingController(settings.cpu_budget, monotonic_ns())
    # Without an exporter for them, no spans are created.
    bound = settings.spans_per_minute if any(each.takes_spans for each in exporters) else 0
    tail_sampler = TailSampler(bound, guard) if bound else None
    aggregator = Aggregator(
        settings.window_s, process, tail_sampler, sampling=sampling, guard=guard, provisional_s=settings.provisional_s
    )
    label_queue = label_queue_for(settings, guard)
    delivery = Delivery(settings, guard, exporters, labels)
    return Parts(
        settings=settings,
        guard=guard,
        process=process,
        thread=around.thread,
        turn=OwnedLock(),
        rings=rings,
        deferred=Deferred(guard, around.thread.start),
        sampling=sampling,
        tail_sampler=tail_sampler,
        aggregator=aggregator,
        health=HealthSampler(settings.window_s, process) if settings.runtime else None,
        label_queue=label_queue,
        joiner=Joiner(label_queue, aggregator, delivery, guard, process),
        delivery=delivery,
        spool=around.spool,
    )
