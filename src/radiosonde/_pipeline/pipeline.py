"""The pipeline of one process: entry points for recorders and users, threads, shutdown, and the consumer.

The consumer of the records is composed by `radiosonde._pipeline.compose` and hidden behind a `Draining`: the process drains its rings
itself, or leaves them to an agent. This module does not depend on which.
"""

from __future__ import annotations

import uuid
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from radiosonde._clock import NS, anchor_ns, monotonic_ns, sleep, wall_ns
from radiosonde._guard import Guard
from radiosonde._native import LockType, OwnedLock, has_other_threads
from radiosonde._pipeline._worker import Worker, deliver_at_any_end, look_for_signals
from radiosonde._pipeline.cadence import OFTEN_NS
from radiosonde._pipeline.compose import Surroundings, compose
from radiosonde._pipeline.forgiving import open_part
from radiosonde._pipeline.fork_patience import PATIENCE
from radiosonde._pipeline.hurry import in_a_hurry
from radiosonde._pipeline.idle_models import IdleModels
from radiosonde._pipeline.importing import forget_imports, imports_of_ours
from radiosonde._pipeline.own_spool import open_spool
from radiosonde._pipeline.profiles import Profiles
from radiosonde._pipeline.ring_consumer import RingConsumer
from radiosonde._pipeline.span_source import SpanSource
from radiosonde._ring.descriptors import most_rings
from radiosonde._sqlite_gate import GATE
from radiosonde.model import Statistics, losses, policies
from radiosonde.reference.profile import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radiosonde._record.outputs import OutputReader
    from radiosonde._record.record_writer import RecordWriter
    from radiosonde._record.recorder import Recorder
    from radiosonde._record.schema import Schema
    from radiosonde._record.token import Token
    from radiosonde._record.tracing import LiveSpans
    from radiosonde._ring.spool import Spool
    from radiosonde._settings import Settings
    from radiosonde.export.snapshot import Snapshot

MOST_RELEASED = 8
"""Rings without a writer from which on they are released when another one is opened. Arbitrary: each takes 40 kB, and three descriptors
in a spool."""

RELEASED_AT_ONCE = 2
"""How many of them: their number falls, and the caller waits for few drains."""

LOOK_EVERY_S = 0.25
"""Polling interval of the consumer. Rings that fill need no polling: their writers wake it."""

EXIT_TIMEOUT_S = 5.0
SIGNAL_TIMEOUT_S = 1.0
"""Longest wait of an exit for the consumer, the last export and the sender together."""

_TURN_TIMEOUT_S = 10.0

FORK_NS = NS // 10
"""Longest wait of a fork, for all pipelines together, until the threads of Radiosonde pause and their imports have ended. They continue in
the parent, and the child begins without them."""

SQLITE_S = 10.0
"""Longest wait of a fork for a write to a SQLite file of this process, usually a few milliseconds plus the disk's time. Never for another
process's lock (`radiosonde._sqlite_gate`)."""

IMPORT_LOOK_S = 0.005


class Pipeline:
    """Everything behind the recorders of one process.

    Args:
        settings: the settings.
        guard: counts errors and losses.

    Attributes, beside the two:
        is_shut: whether `shutdown` has ended recording until `configure`.
        is_off: whether that is because Radiosonde was disabled.
        deferred: functions that callers left to the consumer, which runs them before the next drain.
        health: samples the health of the process; None if disabled.
        drained_by: consumer of the rings, as recorded in their pages.
        anchor: one-element list, wall minus monotonic clock; recorders read it on every call.
    """

    def __init__(self, settings: Settings, guard: Guard | None = None) -> None:
        self.settings = settings
        self.guard = guard or Guard()
        self.anchor = [anchor_ns()]
        self.is_shut = self.is_off = False
        self._recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()
        self._profiles = Profiles()
        self._make_thread()
        self._begin()

    def _make_thread(self) -> None:
        self._consumer = Worker(self._step, LOOK_EVERY_S, "radiosonde-consumer")

    def _begin(self) -> None:
        self.process = uuid.uuid4().hex
        self._start_ns = wall_ns()
        self._spool: Spool | None = None
        self._held: list[OwnedLock | LockType] = []
        self._importing: frozenset[str] = frozenset()
        self._has_labelled = False
        self._by_nonce: weakref.WeakValueDictionary[int, RingConsumer] = weakref.WeakValueDictionary()
        around = Surroundings(self.guard, self.process, self._consumer, self.snapshot, lambda: self.spool)
        parts, self._draining, self.drained_by = compose(self.settings, around)
        self._parts, self._ring_consumers, self._turn = parts, parts.rings, parts.turn
        self._aggregator, self._delivery, self._label_queue = parts.aggregator, parts.delivery, parts.label_queue
        self.deferred, self.health = parts.deferred, parts.health
        self._span_source = SpanSource(self.guard, self._cells_of)
        self._looked_ns = monotonic_ns()
        self._idle_models = IdleModels()

    @property
    def is_recording(self) -> bool:
        """Whether something was recorded that may have to be delivered."""
        return self._ring_consumers.were_there and not self.is_shut

    def configure(self, settings: Settings) -> None:
        """Reset with other settings; nothing is recording."""
        self._delivery.close(EXIT_TIMEOUT_S)  # of a start that failed
        self.settings = settings
        self.is_shut = self.is_off = False
        self._make_thread()
        self._restart()

    def _restart(self) -> None:
        self._begin()
        for recorder in list(self._recorders):
            recorder.reset()

    # For recorders ---------------------------------------------------------------------------------------------

    def add(self, recorder: Recorder) -> None:
        """Register a recorder, so that a fork can reset it, and install the exit handlers that deliver its records."""
        self._recorders.add(recorder)
        deliver_at_any_end()

    def attach(self, writer: RecordWriter) -> None:
        """Drain *writer* from now on; the first one starts the consumer."""
        consumer = self._by_nonce.get(writer.ring.nonce)
        if consumer is not None and consumer.ring is writer.ring:
            consumer.attach(writer)
            return
        deliver_at_any_end()  # before anything is registered: at the end of the stack it raises
        self._release_rings()
        consumer = RingConsumer.of_writer(writer, self.reference_for(writer.recorder))
        # No lock: a signal handler or finaliser whose first prediction interrupts this one attaches a writer too.
        self._by_nonce[writer.ring.nonce] = consumer
        self._ring_consumers.append(consumer)
        if self.health is not None:
            with self.guard("watch_loop"):
                self.health.watch_running_loop()
        self._consumer.start()
        self._draining.attached()

    def _release_rings(self) -> None:
        """Release the rings of functions that are gone if there are many: the consumer comes too late where each request opens one."""
        released = [ring for ring in list(self._ring_consumers) if ring.is_released]
        if len(released) >= min(MOST_RELEASED, most_rings() // 2):
            with self.guard("release_rings"):
                self._draining.release(released[:RELEASED_AT_ONCE])

    def claim_ring(self, page: Mapping[str, Any], schema: Schema, outputs: OutputReader) -> RingConsumer | None:
        """Claim a ring with that page and tables whose writer is gone; None if there is none."""
        is_spooled = self.settings.spool is not None
        for consumer in reversed(list(self._ring_consumers)):
            ring = consumer.ring
            if (
                consumer.is_released
                and (ring.file is not None) == is_spooled
                and ring.schema == page
                and consumer.stream.version == page["version"]
                and consumer.tables.are_like(schema, outputs)
                and not ring.is_removed
                and consumer.claim()
            ):
                return consumer
        return None

    def wake(self) -> None:
        """Wake the consumer."""
        self._draining.wake()

    @property
    def spool(self) -> Spool | None:
        """The folder of the rings, or None.

        Raises:
            SpoolError: it cannot be used.
        """
        if self.settings.spool is not None and (self._spool is None or self._spool.is_gone):
            self._spool = None
            self._spool = open_spool(self.settings.spool, self.guard)
        return self._spool

    def reference_for(self, recorder: Recorder) -> Reference | None:
        """Return the profile given to ``observe``, or the one in the settings, or None; a bad file is logged and counted."""
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
        """Open spool, profiles and exporters now; errors are raised to the caller, unless an environment variable causes them.

        Raises:
            RadiosondeError: store, spool or Prometheus cannot be opened, or a reference profile cannot be read.
        """
        deliver_at_any_end()
        open_part(self.settings, self.guard, "spool", lambda: self.spool)
        for path in self.settings.references.values():
            open_part(self.settings, self.guard, "references", partial(self._profiles.load, path))
        self._draining.open()

    def _step(self) -> None:
        look_for_signals()
        with self.guard("step"):
            self._consume()

    def _consume(self) -> None:
        self.anchor[0] = anchor_ns()
        now_ns = monotonic_ns()
        if now_ns - self._looked_ns >= OFTEN_NS:
            self._looked_ns = now_ns
            self._look_around()
        self._draining.step()

    def make_room(self, nonce: int) -> int:
        """Let a replay not outrun its consumer: drain its ring here and now if it is half full."""
        ring = self._by_nonce.get(nonce)
        return 0 if ring is None else self._draining.make_room(ring)

    def _look_around(self) -> None:
        """Check for external changes, once a second."""
        self._draining.look()
        recorders = list(self._recorders)
        for recorder in recorders:
            with self.guard("retrace"):
                recorder.retrace(self.spans_for(recorder))
        with self.guard("idle_models"):
            self._idle_models.look(recorders, self._looked_ns)

    def take_turn(self, *, everything: bool = False, timeout_s: float = _TURN_TIMEOUT_S) -> bool:
        """Drain all rings, join labels, close windows that are due; return whether the turn could be taken.

        Args:
            everything: close every window, due or not.
            timeout_s: longest wait for another thread's turn.
        """
        return self._draining.take_turn(everything=everything, is_end=self.is_shut, timeout_s=timeout_s)

    # For users -------------------------------------------------------------------------------------------------

    def label(self, prediction_id: object, value: object, time_ns: int | None) -> None:
        """Queue a label."""
        self._label_queue.put(prediction_id, value, time_ns)
        self._labelled()

    def receive(self, labels: Sequence[tuple[object, object, int | None]]) -> int:
        """Pass labels to the join store now; return the number accepted. They are durable when this returns.

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
        """Start the consumer for a label: a process may label without predicting."""
        self._has_labelled = True
        if not self.is_shut:
            if self._delivery.takes_labels:
                self._delivery.start_storing()
            else:
                self._consumer.start()

    def flush(self, timeout_s: float) -> bool:
        """Drain, close all windows, write the store, export; return whether all of it was done in time."""
        self._parts.catch_up()
        if not (self.is_recording or self._has_labelled):
            return True
        with in_a_hurry():
            return self._flush(monotonic_ns() + round(timeout_s * NS))

    def _flush(self, deadline_ns: int, *, is_end: bool = False) -> bool:
        done = False
        with self.guard("flush"):
            done = self._draining.take_turn(everything=True, is_end=is_end, timeout_s=_left_s(deadline_ns))
        # In their own threads, here too: a disk or a backend that hangs hangs there.
        done = self._delivery.flush(deadline_ns) and done
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
            references={**self._aggregator.interims, **self._ring_consumers.profiles()},
            statistics=self.statistics(),
            runtime=self._draining.runtime(),
        )

    def statistics(self) -> Statistics:
        """Return the counts of Radiosonde itself."""
        rings = self._ring_consumers
        feature_rows = rings.feature_rows
        delivered = self._delivery.counts()
        lost = {**dict.fromkeys(losses.ALL_LOSSES, 0), **self.guard.losses()}
        spans_bounded = lost.pop(policies.SPANS_BOUNDED, 0)
        return Statistics(
            records=rings.records,
            rows=rings.rows,
            in_flight=rings.in_flight,
            losses=lost,
            labels=self._label_queue.results(),
            series=self._aggregator.series,
            windows_open=self._aggregator.open_windows,
            windows_closed=self._aggregator.closed,
            drain_lag_s=self._draining.lag_s,
            consumer_cpu_s=self._draining.cpu_ns / NS,
            exports=delivered.exports,
            exported_bytes=delivered.payload_bytes,
            series_cut=delivered.series_cut,
            spans_bounded=spans_bounded,
            sampling_ratio=min(1.0, self._aggregator.counted_rows / feature_rows) if feature_rows else 1.0,
            guarded=self.guard.errors(),
        )

    def lose_late_call(self) -> None:
        """Count a call that came after `shutdown`; calls while Radiosonde is disabled are no loss."""
        if not self.is_off:
            self.guard.lose(losses.CALLS_AFTER_END)

    # Ends ------------------------------------------------------------------------------------------------------------

    def shutdown(self, timeout_s: float) -> bool:
        """Flush, end the threads, close the outlets; nothing is recorded until `configure`, and nothing is refused."""
        if self.is_shut:
            return True
        with in_a_hurry():
            return self._shut_down(timeout_s)

    def _shut_down(self, timeout_s: float) -> bool:
        self._parts.catch_up()
        was_recording = self.is_recording or self._has_labelled
        self.is_shut = True
        deadline_ns = monotonic_ns() + round(timeout_s * NS)
        # First, so that later calls are not recorded and calls in progress are drained below.
        for recorder in list(self._recorders):
            recorder.end()
        done = self._consumer.stop(timeout_s)
        if was_recording:
            with self.guard("last_turn"):
                self.take_turn(timeout_s=_left_s(deadline_ns))
            if self._aggregator.waits_long:  # traffic, errors and latency do not wait for features
                self._flush(deadline_ns)
            done = self._flush(deadline_ns, is_end=True) and done
            self._draining.end()
        if self.health is not None:
            self.health.stop()
        done = self._delivery.stop(deadline_ns) and done
        self._delivery.close(_left_s(deadline_ns))
        with self.guard("close_labels"):
            self._label_queue.close()
        return done

    def at_exit(self) -> None:
        """Flush within a deadline; a worker that is recycled must not hang on its telemetry.

        Daemon threads go on predicting meanwhile. Where there are others, what takes long (imports, the first write) comes before the
        recording ends, so that only calls of the last moments are not recorded.
        """
        self._parts.catch_up()
        if not self.is_shut and (self.is_recording or self._has_labelled):
            deadline_ns = monotonic_ns() + round(EXIT_TIMEOUT_S * NS)
            if has_other_threads():
                self.flush(EXIT_TIMEOUT_S - SIGNAL_TIMEOUT_S)
            self.shutdown(_left_s(deadline_ns))

    def before_exec(self) -> None:
        """Deliver before the process becomes another program. Nothing in a child that was forked to do so."""
        if not self.is_shut:
            self.flush(EXIT_TIMEOUT_S)

    def before_signal_ends(self) -> None:
        """Deliver what takes long while predictions are still recorded; the rest is delivered by `at_exit`."""
        if not self.is_shut:
            self.flush(SIGNAL_TIMEOUT_S)

    def before_fork(self) -> None:
        """Pause while the process forks: no turn is taken, no thread is inside SQLite, and none imports.

        Waits at most `FORK_NS` for turns and imports, and `SQLITE_S` for SQLite. A child forked during an import has to repeat it
        (`radiosonde._pipeline.importing`).
        """
        until_ns = PATIENCE.until_ns(FORK_NS)
        missed = self._hold_for_fork(until_ns)
        self._importing = imports_of_ours()
        while self._importing and monotonic_ns() < until_ns:
            self._let_go()  # a thread that imports may need one of the locks to finish
            sleep(IMPORT_LOOK_S)
            missed = self._hold_for_fork(until_ns)
            self._importing = imports_of_ours()
        if missed or self._importing:
            # The child begins with new locks and connections; the work of the parent's threads continues in the parent.
            self.guard.lose(losses.FORK_UNHELD)

    def _hold_for_fork(self, until_ns: int) -> int:
        """Acquire every lock that is free in time; return the number of the others."""
        locks: list[OwnedLock | LockType] = [self._delivery.loading]
        if not self._turn.is_mine:
            locks.insert(0, self._turn)
        self._held = [lock for lock in locks if lock.acquire(timeout=_left_s(until_ns))]
        return len(locks) - len(self._held) + (not GATE.hold(SQLITE_S))

    def after_fork_in_parent(self) -> None:
        """Go on."""
        PATIENCE.end()
        self._let_go()

    def _let_go(self) -> None:
        GATE.release()
        for lock in self._held:
            lock.release()
        self._held = []

    def after_fork_in_child(self) -> None:
        """Start with empty state, new locks, no threads and a new identity; the parent's records are the parent's."""
        PATIENCE.end()
        forget_imports(self._importing)
        GATE.reset_in_child()
        self.guard.reset()
        for consumer in self._ring_consumers:
            writer = consumer.writer
            if writer is not None:
                writer.abandon()
        self._delivery.abandon()
        if self.health is not None:
            self.health.stop()
        self._consumer.reset_after_fork()
        self._restart()


def _left_s(deadline_ns: int) -> float:
    return max(0.0, (deadline_ns - monotonic_ns()) / NS)
