"""The pipeline of one process: records in, windows out. Knows all stages; each stage knows only its neighbours below.

Turns: one turn drains every ring that has enough waiting (or waited long enough), folds, joins labels, closes windows.
The consumer thread takes turns; `flush`, a scrape and the exit take one too, in their own thread, under the same lock.
"""

from __future__ import annotations

import threading
import uuid
import weakref
from functools import partial
from typing import TYPE_CHECKING

from radiosonde._aggregate.aggregator import Aggregator
from radiosonde._aggregate.sampling_controller import SamplingController
from radiosonde._aggregate.tail_sampler import TailSampler
from radiosonde._clock import NS, anchor_ns, monotonic_ns, thread_time_ns, wall_ns
from radiosonde._guard import Guard
from radiosonde._pipeline._worker import Worker, in_a_hurry, survive_multiprocessing
from radiosonde._pipeline.cadence import OFTEN_NS, Cadence
from radiosonde._pipeline.deferred import Deferred
from radiosonde._pipeline.forgiving import open_part
from radiosonde._pipeline.health import Health
from radiosonde._pipeline.joiner import Joiner, label_queue_for
from radiosonde._pipeline.outlets import Outlets
from radiosonde._pipeline.own_spool import open_spool
from radiosonde._pipeline.profiles import Profiles, profiles_in_use
from radiosonde._pipeline.ring_consumer import RingConsumer, fold_in_slices
from radiosonde._pipeline.span_source import SpanSource
from radiosonde._pipeline.worker_publisher import WorkerPublisher
from radiosonde.model import Statistics, losses
from radiosonde.reference.profile import Reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde._record.record_writer import RecordWriter
    from radiosonde._record.recorder import Recorder
    from radiosonde._record.token import Token
    from radiosonde._record.tracing import LiveSpans
    from radiosonde._ring.spool import Spool
    from radiosonde._settings import Settings
    from radiosonde.export.snapshot import Snapshot

LOOK_EVERY_S = 0.25
"""How often the consumer looks whether anything is due. Rings that fill need no look: their writers wake it."""

STORE_EVERY_S = 5.0
"""Seconds between attempts to write windows that wait; new ones are written at once."""

EXIT_TIMEOUT_S = 5.0
"""What an exit waits for the consumer, the last export and the sender together."""

_TURN_TIMEOUT_S = 10.0
_HURRIED_TURNS = 10


class Pipeline:
    """Everything behind the recorders of one process.

    Args:
        settings: what is on.
        guard: counts errors and losses.

    Attributes, beside the two:
        is_shut: whether `shutdown` has ended recording until `configure`.
        deferred: what callers leave to the consumer, which does it before it drains next.
        anchor: one-element list, wall minus monotonic clock; recorders read it on every call.
    """

    def __init__(self, settings: Settings, guard: Guard | None = None) -> None:
        self.settings = settings
        self.guard = guard or Guard()
        self.anchor = [anchor_ns()]
        self.is_shut = False
        self._recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()
        self._profiles = Profiles()
        self._make_workers()
        self._begin()

    def _make_workers(self) -> None:
        self._consumer = Worker(self._step, LOOK_EVERY_S, "radiosonde-consumer")
        self._sender = Worker(self._send, self.settings.export_interval_s, "radiosonde-sender", self._prepare)
        self._storer = Worker(self._store, STORE_EVERY_S, "radiosonde-storer")

    def _begin(self) -> None:
        self.process = uuid.uuid4().hex
        self._start_ns = wall_ns()
        self._spool: Spool | None = None
        self._turn = threading.Lock()
        self._turn_owner = 0
        self._loading = threading.Lock()  # held while the sender imports its exporter
        self._held: list[threading.Lock] = []
        self._is_label_queue_held = self._has_labelled = False
        self._ring_consumers: list[RingConsumer] = []
        self.deferred = Deferred(self.guard, self._consumer.start)
        self._by_nonce: dict[int, RingConsumer] = {}
        self._sampling = SamplingController(self.settings.cpu_budget, monotonic_ns())
        # Where nobody would send them, no spans are made.
        bound = self.settings.spans_per_minute if self.settings.otlp else 0
        self._tail_sampler = TailSampler(bound, self.guard) if bound else None
        self._aggregator = Aggregator(self.settings.window_s, self.process, self._tail_sampler, sampling=self._sampling)
        self.health = Health(self.settings.window_s, self.process) if self.settings.runtime else None
        self._label_queue = label_queue_for(self.settings, self.guard)
        self._outlets = Outlets(self.settings, self.guard, self.snapshot, self.process)
        self._joiner = Joiner(self._label_queue, self._aggregator, self._outlets, self.guard, self.process)
        self._publisher = WorkerPublisher(
            self.settings, self.guard, self.process, lambda: self.spool, self._label_queue.results, self.health
        )
        self._span_source = SpanSource(self.guard, self._cells_of)
        self._cadence = Cadence(self.settings.window_s)
        self._folded_ns = self._looked_ns = monotonic_ns()
        self._lag_s = 0.0
        self._visited_ns = 0  # CPU of turns that were taken in users' threads: a scrape, a flush, the exit
        self._sampling_spent_ns = 0

    @property
    def is_recording(self) -> bool:
        """Whether a ring is drained."""
        return bool(self._ring_consumers) and not self.is_shut

    def configure(self, settings: Settings) -> None:
        """Begin anew with other settings; nothing is recording."""
        self._outlets.close(EXIT_TIMEOUT_S)  # of a start that failed
        self.settings = settings
        self.is_shut = False
        self._make_workers()
        self._restart()

    def _restart(self) -> None:
        self._begin()
        for recorder in list(self._recorders):
            recorder.reset()

    # What recorders need ---------------------------------------------------------------------------------------------

    def add(self, recorder: Recorder) -> None:
        """Remember a recorder, so that a fork can reset it."""
        self._recorders.add(recorder)

    def attach(self, writer: RecordWriter) -> None:
        """Drain *writer* from now on; the first one starts the consumer."""
        consumer = RingConsumer.of_writer(writer, self.reference_for(writer.recorder))
        # No lock: a signal handler or finaliser whose first prediction interrupts this one attaches a writer too.
        self._by_nonce[writer.ring.nonce] = consumer
        self._ring_consumers.append(consumer)
        survive_multiprocessing()
        if self.health is not None:
            with self.guard("watch_loop"):
                self.health.watch_running_loop()
        self._consumer.start()
        if self.settings.agent:
            return  # it stores and exports
        if self.settings.otlp:
            self._sender.start()
        if self._stores:
            self._storer.start()

    @property
    def _stores(self) -> bool:
        """Whether there is work for the storing thread: windows or joins that go to a disk or over the network."""
        return not self.settings.agent and (self.settings.store is not None or self.settings.join_target is not None)

    def wake(self) -> None:
        """Let the consumer look at the rings now; an agent looks by itself."""
        if not self.settings.agent:
            self._consumer.wake()

    @property
    def spool(self) -> Spool | None:
        """The folder of the rings, or None.

        Raises:
            SpoolError: it cannot be used.
        """
        if self._spool is None and self.settings.spool is not None:
            self._spool = open_spool(self.settings.spool, self.guard)
        return self._spool

    def reference_for(self, recorder: Recorder) -> Reference | None:
        """Return the profile given to ``observe``, or the one in the settings, or None; a bad file is told and counted."""
        if recorder.observed.reference is not None:
            return recorder.observed.reference
        path = self.settings.references.get(recorder.name) or self.settings.references.get("*")
        if path is not None:
            with self.guard("reference"):
                return self._profiles.load(path)
        return None

    def spans_for(self, recorder: Recorder) -> LiveSpans | None:
        """Return the maker of live spans, None when the user has set no tracer provider. Does not raise."""
        return self._span_source.find()

    def _cells_of(self, writer: RecordWriter, token: Token) -> str | None:
        consumer, row = self._by_nonce.get(writer.ring.nonce), writer.features_of(token)
        return None if consumer is None or row is None else consumer.cells_text(row)

    # Turns -----------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the outlets now; errors are the caller's to see, unless a variable of the environment is to blame.

        Raises:
            RadiosondeError: store, spool or Prometheus cannot be opened, or a reference profile cannot be read.
        """
        open_part(self.settings, self.guard, "spool", lambda: self.spool)
        for path in self.settings.references.values():
            open_part(self.settings, self.guard, "references", partial(self._profiles.load, path))
        if not self.settings.agent:
            self._outlets.open()

    def _step(self) -> None:
        with self.guard("step"):
            self._consume()

    def _consume(self) -> None:
        self.anchor[0] = anchor_ns()
        now_ns = monotonic_ns()
        if now_ns - self._looked_ns >= OFTEN_NS:
            self._looked_ns = now_ns
            self._look_around()
        if self.settings.agent:
            return
        filling = [consumer for consumer in self._ring_consumers if consumer.is_filling]
        if filling:
            with in_a_hurry():
                # As long as rings fill while others are drained; bounded, because the thread has other things to do.
                for _ in range(_HURRIED_TURNS):
                    self.take_turn(filling)
                    filling = [consumer for consumer in self._ring_consumers if consumer.is_filling]
                    if not filling:
                        break
        waiting = max([len(self.deferred), *(consumer.waiting for consumer in self._ring_consumers)])
        joins_here = self.settings.join_target is None and self._label_queue.waiting > 0
        if self._cadence.is_due(monotonic_ns() - self._folded_ns, waiting, is_awaited=joins_here):
            self.take_turn()

    def _look_around(self) -> None:
        """Once a second: see what has changed around us, and leave the rings to the agent if there is one."""
        if self.settings.agent:
            self._catch_up()
            self._publisher.look()
        for recorder in list(self._recorders):
            with self.guard("retrace"):
                recorder.retrace(self.spans_for(recorder))
        if self.settings.join_target is not None and self._label_queue.waiting:
            self._storer.wake()  # labels and names are in no ring: a process that is killed loses those it has not handed over

    def _catch_up(self) -> None:
        """Do what callers left to us. Versions first: one that is worked out late would split the series of its requests."""
        for consumer in list(self._ring_consumers):
            consumer.settle()
        self.deferred.run()

    def take_turn(
        self,
        consumers: list[RingConsumer] | None = None,
        *,
        everything: bool = False,
        timeout_s: float = _TURN_TIMEOUT_S,
    ) -> bool:
        """Drain *consumers* (default: all), join labels, close what is due; return whether the turn could be taken.

        Args:
            consumers: which rings; labels are joined only in a turn of all.
            everything: close every window, due or not.
            timeout_s: how long to wait for another's turn to end.
        """
        if consumers is None:
            self._catch_up()
        if self.settings.agent:
            return True
        # A signal handler that flushes in the middle of this thread's own turn would wait for itself.
        if self._turn_owner == threading.get_ident() or not self._turn.acquire(timeout=max(0.0, timeout_s)):
            return False
        try:
            self._turn_owner = threading.get_ident()
            cpu_ns = thread_time_ns()
            if not self._outlets.was_opened:
                self._outlets.open_what_can_be()
            is_whole = consumers is None or len(consumers) == len(self._ring_consumers)
            if is_whole:
                self._folded_ns = monotonic_ns()
            for consumer in list(self._ring_consumers) if consumers is None else consumers:
                self._drain(consumer)
            if is_whole and self.settings.join_target is None:
                self._joiner.join()
            windows = self._aggregator.close(everything=everything)
            if is_whole and self.health is not None:
                # A flush leaves the health's window open, an end does not: nobody flushes to see half a second of it.
                with self.guard("health_sample"):
                    windows += self.health.sample(everything=everything and self.is_shut)
            self._outlets.take(windows, self._tail_sampler.take() if self._tail_sampler else ())
            if windows and self._stores:
                self._storer.wake()
            if not self._consumer.note_cpu():
                self._visited_ns += thread_time_ns() - cpu_ns
            spent_ns = self._cpu_ns
            self._sampling.turn(monotonic_ns(), spent_ns - self._sampling_spent_ns)
            self._sampling_spent_ns = spent_ns
        finally:
            self._turn_owner = 0
            self._turn.release()
        return True

    @property
    def _cpu_ns(self) -> int:
        """CPU time of all our threads, and of turns in others."""
        return self._consumer.cpu_ns + self._storer.cpu_ns + self._sender.cpu_ns + self._visited_ns

    def _drain(self, consumer: RingConsumer) -> None:
        block = consumer.drain(self.guard)
        if len(block):
            self._lag_s = max(0.0, (wall_ns() - int(block.headers["start_ns"].min())) / NS)
        fold_in_slices(consumer, block, self._aggregator, self.guard, self._label_queue)
        if self._label_queue.is_crowded and self._stores:
            self._storer.wake()

    def _store(self) -> None:
        references = profiles_in_use(self._ring_consumers)
        if self.settings.agent:
            self._joiner.deliver()
            return
        if self.settings.join_target is not None:
            self._joiner.join(references)
        with self.guard("store"):
            self._outlets.write(references)

    def _prepare(self) -> None:
        with self._loading, self.guard("export_prepare"):
            self._outlets.prepare()

    def _send(self) -> None:
        with self.guard("export"):
            self._outlets.export()

    # What users call -------------------------------------------------------------------------------------------------

    def label(self, prediction_id: object, value: object, time_ns: int | None) -> None:
        """Queue a label."""
        self._label_queue.put(prediction_id, value, time_ns)
        self._labelled()

    def receive(self, labels: Sequence[tuple[object, object, int | None]]) -> int:
        """Hand labels to the join store now; return how many it took. They are durable when this returns.

        Raises:
            StoreError: the join store cannot be reached; none was taken.
        """
        taken = self._label_queue.receive(labels)
        self._labelled()
        return taken

    def alias(self, own_id: object, prediction_id: str) -> None:
        """Let the caller's own id mean a prediction too."""
        self._label_queue.alias(own_id, prediction_id)
        self._labelled()

    def _labelled(self) -> None:
        """See that somebody takes the label: a process may label that has predicted nothing."""
        self._has_labelled = True
        if not self.is_shut:
            (self._storer if self.settings.join_target is not None else self._consumer).start()

    def flush(self, timeout_s: float) -> bool:
        """Drain, close all windows, write the store, export; return whether all of it was done in time."""
        self._catch_up()
        return not (self.is_recording or self._has_labelled) or self._flush(monotonic_ns() + round(timeout_s * NS))

    def _flush(self, deadline_ns: int) -> bool:
        done = False
        with self.guard("flush"):
            done = self.take_turn(everything=True, timeout_s=_left_s(deadline_ns))
        if self.settings.agent:
            if self._has_labelled:
                done = self._storer.ask(_left_s(deadline_ns)) and done
            return done and monotonic_ns() <= deadline_ns
        # In their own threads, here too: a disk or a backend that hangs hangs there. The store first: it is the nearer.
        if self._stores or (self._has_labelled and self.settings.join_target is not None):
            done = self._storer.ask(_left_s(deadline_ns)) and done
        if self.settings.otlp:
            done = self._sender.ask(_left_s(deadline_ns)) and done
        return done and monotonic_ns() <= deadline_ns

    def snapshot(self) -> Snapshot:
        """Return everything counted since the start, frozen."""
        from radiosonde.export.snapshot import Snapshot

        with self.guard("scrape"):
            self.take_turn()
        return Snapshot(
            start_ns=self._start_ns,
            time_ns=wall_ns(),
            windows=self._aggregator.snapshot(),
            references=profiles_in_use(self._ring_consumers),
            statistics=self.statistics(),
            # Where an agent drains the rings, it tells the health too.
            runtime=self.health.total
            if self.health is not None and self.health.is_running and not self.settings.agent
            else None,
        )

    def statistics(self) -> Statistics:
        """Return our own counts."""
        consumers = list(self._ring_consumers)
        feature_rows = sum(consumer.feature_rows for consumer in consumers)
        lost = {**dict.fromkeys(losses.ALL_LOSSES, 0), **self.guard.losses()}
        return Statistics(
            records=sum(consumer.records for consumer in consumers),
            rows=sum(consumer.rows for consumer in consumers),
            in_flight=sum(consumer.reader.in_flight for consumer in consumers),
            losses={**lost, losses.SERIES_CUT: self._outlets.series_cut},
            labels=self._label_queue.results(),
            series=self._aggregator.series,
            windows_open=self._aggregator.open_windows,
            windows_closed=self._aggregator.closed,
            drain_lag_s=self._lag_s,
            consumer_cpu_s=self._cpu_ns / NS,
            exports=dict(self._outlets.exports),
            exported_bytes=self._outlets.exported_bytes,
            sampling_ratio=min(1.0, self._aggregator.counted_rows / feature_rows) if feature_rows else 1.0,
            guarded=self.guard.errors(),
        )

    # Ends ------------------------------------------------------------------------------------------------------------

    def shutdown(self, timeout_s: float) -> bool:
        """Flush, end the threads, close the outlets; nothing is recorded until `configure`, and nothing is refused."""
        if self.is_shut:
            return True
        self._catch_up()
        was_recording = self.is_recording or self._has_labelled
        self.is_shut = True
        deadline_ns = monotonic_ns() + round(timeout_s * NS)
        # First of all, so that what begins from now on is not recorded and what has begun is drained below.
        for recorder in list(self._recorders):
            recorder.reset()
        done = self._consumer.stop(timeout_s)
        if was_recording:
            done = self._flush(deadline_ns) and done
            if self.settings.agent:
                self._publisher.end()
        if self.health is not None:
            self.health.stop()
        done = self._sender.stop(_left_s(deadline_ns)) and done
        done = self._storer.stop(_left_s(deadline_ns)) and done
        with self.guard("close_exporters"):
            self._outlets.close(_left_s(deadline_ns))
        with self.guard("close_labels"):
            self._label_queue.close()
        # Drained to the end: what a clean exit leaves behind would look like a crash.
        for consumer in self._ring_consumers:
            if consumer.ring.file is not None and self._spool is not None and not self.settings.agent:
                self.guard.attempt(self._spool.remove, consumer.ring.file)
        return done

    def at_exit(self) -> None:
        """Flush within a deadline; a worker that is recycled must not hang on its telemetry."""
        self._catch_up()
        if not self.is_shut and (self.is_recording or self._has_labelled):
            self.shutdown(EXIT_TIMEOUT_S)

    def before_fork(self) -> None:
        """Hold still while the process forks: no turn is taken, nobody is inside SQLite, and nobody imports.

        A child forked while another thread imports inherits the module's lock for ever: its own first import of that
        module, at the latest the one at its exit, would wait for a thread that is not there. Turns import at first use.
        """
        locks = [self._loading] if self._turn_owner == threading.get_ident() else [self._turn, self._loading]
        self._held = [lock for lock in locks if lock.acquire(timeout=_TURN_TIMEOUT_S)]
        self._outlets.hold_for_fork()
        self._is_label_queue_held = self._label_queue.hold_for_fork(_TURN_TIMEOUT_S)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._is_label_queue_held:
            self._label_queue.release_after_fork()
        self._outlets.release_after_fork()
        for lock in self._held:
            lock.release()
        self._held = []

    def after_fork_in_child(self) -> None:
        """Start with empty state, new locks, no threads and a new identity; the parent's records are the parent's."""
        self.guard.reset()
        for consumer in self._ring_consumers:
            if consumer.writer is not None:
                consumer.writer.abandon()
        self._outlets.abandon()
        if self.health is not None:
            self.health.stop()
        self._consumer.reset_after_fork()
        self._sender.reset_after_fork()
        self._storer.reset_after_fork()
        self._restart()


def _left_s(deadline_ns: int) -> float:
    return max(0.0, (deadline_ns - monotonic_ns()) / NS)
