"""The agent: drains the rings of all processes in a spool and exports for all of them.

Everything after the ring is the same code as in the model server, except that rings come from files and that the agent may be killed at any
time. Only durable records are therefore counted: every few seconds the windows counted so far are written to the store as parts, *with* the
position reached in every ring, in one transaction. A new agent reads both and continues; records drained by the former one since its last
commit are still in the rings.

* Nothing is lost or counted twice as long as no ring wraps around between two commits; a commit is therefore also made when a ring is half
  full of records that are not durable. Records overwritten beyond that are counted (``ring_overwritten``).
* A ring whose writer is dead is drained to its last published slot, its predictions in flight are logged and counted, and its files are
  removed after the commit that contains it.
* The cumulative metrics continue after a restart: each commit writes the totals of the series it changed, so the time of a start does not
  grow with the store, and windows removed by retention or sealing stay counted.
* Counts of processes outside their rings (losses, label results, health) are read from their pages in the spool.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from radiosonde._agent.agent_exports import AgentExports
from radiosonde._agent.cumulative_counts import CumulativeCounts
from radiosonde._agent.spool_rings import SpoolRings
from radiosonde._agent.waiting_rows import WaitingRows
from radiosonde._agent.workers_health import WorkersHealth
from radiosonde._aggregate.aggregator import Aggregator
from radiosonde._clock import NS, monotonic_ns, thread_time_ns, wall_ns
from radiosonde._labels.joiner import Joiner, label_queue_for
from radiosonde._pipeline.turn import Extent, Turn
from radiosonde._ring.spool import AGENT_LOCK, Spool, hold, is_held, is_removed, remember
from radiosonde._settings import Settings
from radiosonde.errors import SpoolError
from radiosonde.export.lost_windows import LostWindows
from radiosonde.export.snapshot import Snapshot
from radiosonde.export.waiting import WAITING_BYTES, newest_within
from radiosonde.model import Statistics, losses, policies
from radiosonde.reference.codec import from_text
from radiosonde.sketches.merge import merge_windows
from radiosonde.store.compact import Tiers
from radiosonde.store.progress import read_progress
from radiosonde.store.reader import Interval, StoreReader
from radiosonde.store.totals import CumulativeState, read_cumulative_state
from radiosonde.store.writer import StoreWriter

if TYPE_CHECKING:
    from radiosonde._agent.attached_ring import AttachedRing
    from radiosonde._guard import Guard
    from radiosonde._join.store import Batch
    from radiosonde._labels.label_queue import LabelQueue
    from radiosonde.model import SeriesKey, Window
    from radiosonde.reference.profile import Reference

IDENTITY, STORE = "agent.id", "agent.sqlite"

COMMIT_EVERY_NS = 5 * NS
"""Largest interval between commits; the loss by a power cut, and the shortest part of a window."""

LOOK_EVERY_NS = NS
"""Interval between reads of the pages of counts and of health."""

HEALTH, WAITING = "health", "waiting"
"""Keys of the processes' health, and of rows that wait for a reference, in the counts that one agent leaves to the next."""


class Agent:
    """Drains a spool. For one thread; `snapshot` may be called from another.

    Args:
        spool: the folder.
        guard: counts errors and losses.
        store: path of the store; default: ``agent.sqlite`` in the spool.
        window_s: length of a window in seconds of event time.
        label_queue: receives the joinable predictions, and joins; default: a join store in the spool.
        make_exports: creates the exports of its snapshots and commits from a function that returns a snapshot and the identity of the
            agents of this spool; default: nothing is exported.
        settings: all other settings; default: the defaults, with labels in the spool.

    Raises:
        SpoolError: another agent drains this spool.
        StoreError: the store cannot be opened.

    Attributes:
        exports: exports its snapshots and commits; opened by the caller.
        is_superseded: whether the spool was removed and belongs to another agent now: close this one.
    """

    def __init__(
        self,
        spool: Spool,
        guard: Guard,
        *,
        store: Path | None = None,
        window_s: float = 60.0,
        label_queue: LabelQueue | None = None,
        make_exports: Callable[[Callable[[], Snapshot], str], AgentExports] | None = None,
        settings: Settings | None = None,
    ) -> None:
        self._spool, self._guard = spool, guard
        settings = settings or Settings(spool=str(spool.folder), agent=True)
        self._lock = _claim(spool)
        self.is_superseded = False
        self.process = _identity(spool.folder / IDENTITY)
        self.store = store or spool.folder / STORE
        self._writer = StoreWriter(
            self.store, process=self.process, is_kept=True, tiers=Tiers.of_days(settings.store_tiers)
        )
        make_exports = make_exports or partial(AgentExports, settings, guard)
        self.exports = make_exports(self.snapshot, self.process)
        self._aggregator = Aggregator(
            window_s, self.process, self.exports.tail_sampler, guard=guard, provisional_s=settings.provisional_s
        )
        self._label_queue = label_queue or label_queue_for(settings, guard)
        self._joiner = Joiner(self._label_queue, self._aggregator, self, guard, self.process)
        self._committed_ns = self._writer_seen_ns = monotonic_ns()
        self._looked_ns = 0
        self._uncommitted: list[Window] = []
        self._lost = LostWindows(self.process)
        self._untold: set[SeriesKey] = set()  # series whose totals the store does not have as they are
        self._is_durable = True  # the last commit went well; else the next one waits its turn
        self._commits = self._cpu_ns = 0
        self._start_ns = self._restore(window_s)
        self._source = SpoolRings(
            spool, guard, read_progress(self.store), lambda identity: identity in self._counts.buried
        )
        self._turn = Turn(self._source, self, self._aggregator, self._label_queue, self._joiner, guard)

    def _restore(self, window_s: float) -> int:
        """Take up the totals of the agents before; return when the first of them began."""
        cumulative = read_cumulative_state(self.store, self.process)
        self._counts = CumulativeCounts(self._spool, self._guard, cumulative.counts, self._label_queue.results)
        self._health = WorkersHealth(
            self._spool, self._guard, cumulative.counts.get(HEALTH, {}), window_s, self.process
        )
        reader = StoreReader(self.store, sketches=False)
        newest_last = sorted(reader.references(), key=lambda row: row.written_ns)
        stored = {(row.model, row.version): from_text(row.document, origin=str(self.store)) for row in newest_last}
        self._profiles: dict[tuple[str, str], Reference] = stored
        provisional = {place: reference for place, reference in stored.items() if reference.provisional}
        totals = cumulative.totals
        if not cumulative.counts:  # never written: the store is new, or from a version that kept no totals
            own = [window for _, window in reader.parts(Interval()) if window.process == self.process]
            totals = merge_windows(own, by=lambda window: window.key)
            self._untold = {window.key for window in totals}
        self._waiting = WaitingRows(self._spool.folder, self._guard)
        self._aggregator.restore(totals, provisional, self._waiting.load(cumulative.counts.get(WAITING, {})))
        return min((window.start_ns for window in totals), default=wall_ns())

    # Turns -----------------------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """Attach new rings, drain all, commit when due."""
        cpu_ns = thread_time_ns()
        if monotonic_ns() - self._looked_ns >= LOOK_EVERY_NS:
            self._look_around()
        self._turn.take(Extent())
        if self._source.has_living or self._counts.has_living or self._health.has_living:
            self._writer_seen_ns = monotonic_ns()
        self._cpu_ns += thread_time_ns() - cpu_ns

    def _look_around(self) -> None:
        self._looked_ns = monotonic_ns()
        if is_removed(self._spool.folder / AGENT_LOCK):
            self._claim_again()
        with self._guard("agent_counts"):
            self._counts.look()
        with self._guard("agent_health"):
            self._health.look()

    def _claim_again(self) -> None:
        """Acquire the spool again after its files were removed, or detect that another agent was faster.

        Rings whose files were removed are still drained; new rings are found in the new spool.
        """
        self._guard.warn(
            "removed", "Files of %s were removed while it was drained; it is attached again", self._spool.folder
        )
        try:
            Spool(self._spool.folder)  # makes the folder
            lock = _claim(self._spool)
        except SpoolError as error:
            self.is_superseded = is_held(self._spool.folder / AGENT_LOCK)
            self._guard.warn("superseded", "%s", error)
            return
        self._lock.close()
        self._lock = lock
        _identity(self._spool.folder / IDENTITY, self.process)

    @property
    def is_filling(self) -> bool:
        """Whether a ring fills so fast that the next turn should come at once."""
        return self._source.is_filling

    @property
    def idle_s(self) -> float:
        """Seconds since the last process that writes into the spool was seen; 0 while something is not durable."""
        has_waiting = self._source.rings() or self._uncommitted
        if has_waiting or not self._counts.is_durable or not self._health.is_settled:
            return 0.0
        return (monotonic_ns() - self._writer_seen_ns) / NS

    # Commits ---------------------------------------------------------------------------------------------------------

    def is_due(self, *, has_ended: bool) -> bool:
        """Return whether to commit now: a writer has died, the interval is over, or a ring is half full of uncommitted records."""
        if has_ended or monotonic_ns() - self._committed_ns >= COMMIT_EVERY_NS:
            return True
        return self._is_durable and self._source.is_half_undurable

    def labels_are_crowded(self) -> None:
        """Do nothing: labels are joined before the next commit."""

    def hand_on(self, extent: Extent, *, is_whole: bool) -> None:
        """Commit."""
        self.commit(is_end=extent.is_end)

    def take(self, windows: Sequence[Window]) -> None:
        """Keep windows of outcomes until the next commit."""
        self._uncommitted += windows

    def was_counted(self, batch: Batch) -> bool:
        """Return whether the outcomes of *batch* are in the store.

        Raises:
            StoreError: the store cannot be read.
        """
        return self._writer.was_joined(batch.id)

    def write(self, references: Mapping[tuple[str, str], Reference], batch: Batch | None = None) -> bool:
        """Commit the counts, *batch* included; return whether that succeeded."""
        return self.commit(batch)

    def commit(self, batch: Batch | None = None, *, is_end: bool = False) -> bool:
        """Commit the counts and the positions; return whether that succeeded.

        Features that wait for a provisional reference are not counted yet; they are kept for the next agent
        (`radiosonde._agent.waiting_rows`).

        Args:
            batch: labels whose outcomes were taken; remembered with them.
            is_end: this is the last commit; waiting rows are counted with the rows there are.
        """
        # One part per window, not one per process; while the store fails, bounded by the windows, not by the attempts.
        self._uncommitted = merge_windows([*self._uncommitted, *self._aggregator.close(everything=True, is_end=is_end)])
        self._untold |= {window.key for window in self._uncommitted}
        # Includes finished rings: a successor may find their files after a crash between this commit and their removal.
        progress, finished = self._source.progress(), self._source.finished
        for ring in finished:
            self._tell_death(ring)
        told = self._untold
        counts = {**self._counts.document(ring.identity for ring in finished), HEALTH: self._health.document()}
        if not self.is_superseded:
            counts[WAITING] = self._waiting.save(self._aggregator.backlogs)
        cumulative = CumulativeState(self._aggregator.totals(told), counts)
        joined = [] if batch is None else [batch.id]
        windows = [*self._uncommitted, *self._health.windows(), *self._lost.windows()]
        written = self._guard.attempt(
            lambda: self._writer.write(
                windows,
                self._references(),
                joined=joined,
                # Another agent's are its own.
                drained=None if self.is_superseded else progress,
                cumulative=None if self.is_superseded else cumulative,
            )
        )
        self._committed_ns = monotonic_ns()
        self._is_durable = not isinstance(written, Exception)
        self._health.committed(is_durable=self._is_durable)
        if not self._is_durable:
            self._guard.warn("store", "The agent's store cannot be written (%s); its counts wait in memory", written)
            self._hold()
            return False
        self._lost.settle()
        if self._writer.refused:
            self._guard.lose(losses.STORE_REFUSED, len(self._writer.refused))
            self._lost.add(self._writer.refused, losses.STORE_REFUSED)
        durable, self._uncommitted, self._untold = self._uncommitted, [], set()
        self._commits += 1
        self._counts.committed(ring.identity for ring in finished)
        if not self.is_superseded:
            self._waiting.committed()
        self._source.committed(progress)
        self.exports.take(durable)
        return True

    def _hold(self) -> None:
        """Keep unwritten windows up to the bound."""
        self._lost.keep()
        kept = newest_within(self._uncommitted, WAITING_BYTES)
        if len(kept) < len(self._uncommitted):
            dropped = self._uncommitted[: len(self._uncommitted) - len(kept)]
            self._guard.lose(losses.STORE_FAILED, len(dropped))
            self._lost.add(dropped, losses.STORE_FAILED)
        self._uncommitted = kept

    def _tell_death(self, ring: AttachedRing) -> None:
        """Count the predictions that were in flight in a ring whose writer died, once, before the commit that records it."""
        if ring.is_told:
            return
        ring.is_told = True
        count = ring.count_in_flight()
        if not count:
            return
        died = ring.in_flight()
        self._guard.lose(losses.DIED_IN_FLIGHT, count)
        # Ids only: values stay in the spool.
        self._guard.warn(
            f"died {ring.identity}", "Process %s died with %d predictions in flight (%s); radiosonde blackbox %s",
            ring.file.process, count, ", ".join(died[:3]), self._spool.folder,
        )  # fmt: skip
        self._guard.attempt(ring.write_crash_report, self._spool)

    def _references(self) -> Mapping[tuple[str, str], Reference]:
        """Return the profile of each version ever counted: its series are exported when its processes are gone, too."""
        self._profiles |= self._aggregator.provisional | self._source.rings().profiles()
        return dict(self._profiles)

    # Views -----------------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return everything the agents of this spool have counted, frozen."""
        return Snapshot(
            start_ns=self._start_ns,
            time_ns=wall_ns(),
            windows=self._aggregator.snapshot(),
            references={**self._aggregator.interims, **self._references()},
            statistics=self.statistics(),
            runtimes=self._health.totals(),
        )

    def statistics(self) -> Statistics:
        """Return the agent's own counts since it started; losses and label results of all processes and agents."""
        rings = self._source.rings()
        lost, labels, guarded = self._counts.sums()
        spans_bounded = lost.pop(policies.SPANS_BOUNDED, 0)
        delivered = self.exports.counts()
        return Statistics(
            records=rings.records,
            rows=rings.rows,
            in_flight=rings.in_flight,
            losses=lost,
            labels=labels,
            series=self._aggregator.series,
            windows_open=self._aggregator.open_windows,
            windows_closed=self._aggregator.closed,
            drain_lag_s=self._turn.lag_s,
            consumer_cpu_s=self._cpu_ns / NS,
            exports={"store": self._commits, **delivered.exports},
            exported_bytes=delivered.payload_bytes,
            series_cut=delivered.series_cut,
            spans_bounded=spans_bounded,
            guarded=guarded,
        )

    def close(self) -> bool:
        """Drain once more, commit, export, release the spool; return whether everything is durable."""
        self._looked_ns, done = 0, False
        with self._guard("agent_last_turn"):
            self.turn()
            self._joiner.join()
            self._health.end_all()
        with self._guard("agent_last_commit"):
            done = self.commit(is_end=True)
        # After the last commit: includes the last drained records, and rows that waited for a provisional reference.
        self.exports.close()
        with self._guard("agent_close_labels"):
            self._label_queue.close()
        self._writer.close()
        self._source.close()
        self._lock.close()
        return done


def _claim(spool: Spool) -> IO[bytes]:
    """Take the lock of the one agent.

    Raises:
        SpoolError: another agent holds it.
    """
    path = spool.folder / AGENT_LOCK
    lock = hold(path)
    remember(path, lock.fileno())
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n".encode())  # for people
    lock.flush()
    return lock


def _identity(path: Path, identity: str = "") -> str:
    """Return the identity all agents of a spool share, so that their counts are one process's; *identity* if there is none."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        identity = identity or uuid.uuid4().hex
        # Renamed when whole: an agent killed in between must not leave an empty identity to its successors.
        draft = path.with_suffix(".id.new")
        draft.touch(mode=0o600)
        draft.write_text(identity)
        draft.rename(path)
        return identity
