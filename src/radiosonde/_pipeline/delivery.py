"""Delivers windows and snapshots to the enabled exporters, with one thread for each that flushes.

A backend that hangs for its whole timeout, or a disk that takes seconds for a sync, blocks a separate thread only: rings are drained
meanwhile. Labels for a join store share the thread of the store, because their outcomes are written with the windows in one transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from radiosonde._clock import NS, monotonic_ns
from radiosonde._native import allocate_lock
from radiosonde._pipeline._worker import Worker
from radiosonde._pipeline.forgiving import open_part
from radiosonde.export.exporter import ExportCounts
from radiosonde.export.store_exporter import RETRY_EVERY_S, StoreExporter
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde._join.store import Batch
    from radiosonde._settings import Settings
    from radiosonde.export.exporter import Exporter, References
    from radiosonde.model import Window
    from radiosonde.model.spans import KeptSpan

STORE_TURN_S = 10.0
"""Longest wait of the thread that closes windows for a working store."""


class Delivery:
    """The exporters of one process. It is the durable sink of labels that are joined here (`radiosonde._labels.joiner`).

    Args:
        settings: whether a variable of the environment asked for an exporter, whose errors then raise nothing.
        guard: counts losses.
        exporters: the exporters of windows and spans.
        labels: passes labels to a join store, or joins them from one; None if turns do it.

    Attributes:
        was_opened: whether the exporters have been opened.
        loading: held while a thread imports what an exporter needs.
    """

    def __init__(
        self, settings: Settings, guard: Guard, exporters: Sequence[Exporter], labels: Callable[[], None] | None
    ) -> None:
        self._settings, self._guard, self._exporters, self._labels = settings, guard, list(exporters), labels
        self._store = next((each for each in exporters if isinstance(each, StoreExporter)), None)
        self.was_opened = False
        self.loading = allocate_lock()
        self._storer = Worker(self._step_of_store, RETRY_EVERY_S, "radiosonde-store")
        self._flushers = [
            Worker(partial(self._flush, each), each.interval_s, f"radiosonde-{each.setting}")
            for each in exporters
            if each.interval_s is not None and each is not self._store
        ]

    # Threads -----------------------------------------------------------------------------------------------------------

    @property
    def has_storing_thread(self) -> bool:
        """Whether windows or labels go to a disk or over the network."""
        return self._store is not None or self._labels is not None

    @property
    def takes_labels(self) -> bool:
        """Whether labels are handed on by the storing thread."""
        return self._labels is not None

    @property
    def cpu_ns(self) -> int:
        """CPU time of the threads."""
        return self._storer.cpu_ns + sum(each.cpu_ns for each in self._flushers)

    def start(self) -> None:
        """Start the threads that have something to do."""
        for each in self._flushers:
            each.start()
        if self.has_storing_thread:
            self._storer.start()

    def start_storing(self) -> None:
        """Start the thread that hands labels on."""
        self._storer.start()

    def wake_store(self) -> None:
        """Let the storing thread write now."""
        if self.has_storing_thread:
            self._storer.wake()

    def let_store_catch_up(self) -> None:
        """Wait for the storing thread when more windows are pending than the limit for an outage.

        A caller that closes windows faster than the disk takes them (a backfill) waits here. A store whose write does not finish in time
        counts as down.
        """
        if self._store is not None and self._store.is_crowded and not self._storer.ask(STORE_TURN_S):
            self._store.give_up()

    def flush(self, deadline_ns: int) -> bool:
        """Have every thread deliver; return whether all did in time. The store first: it is the nearer."""
        done = True
        if self._store is not None or self._storer.is_running:
            done = self._storer.ask(_left_s(deadline_ns))
        done = (self._store is None or self._store.has_kept_all()) and done
        for each in self._flushers:
            done = each.ask(_left_s(deadline_ns)) and done
        return done

    def stop(self, deadline_ns: int) -> bool:
        """End the threads; return whether all ended in time."""
        done = True
        for each in (*self._flushers, self._storer):
            done = each.stop(_left_s(deadline_ns)) and done
        return done

    def _flush(self, exporter: Exporter) -> None:
        # # Not when the thread starts: slow imports would compete with the first predictions, and a process that exports once a minute has
        # a minute for them.
        with self.loading, self._guard("export_prepare"):
            exporter.prepare()
        with self._guard("export"):
            exporter.flush()

    def _step_of_store(self) -> None:
        if self._labels is not None:
            self._labels()
        if self._store is not None:
            with self._guard("store"):
                self._store.flush()

    # Exporters ---------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open all exporters, or none.

        Raises:
            RadiosondeError: one cannot be opened, and no variable of the environment asked for it.
        """
        self.was_opened = True
        try:
            for each in self._exporters:
                open_part(self._settings, self._guard, each.setting, each.open)
        except Exception:
            self.close(1.0)
            raise

    def open_what_can_be(self) -> None:
        """Open the exporters at the first prediction, each separately, once; errors have no caller to be raised to."""
        self.was_opened = True
        for each in self._exporters:
            failure = self._guard.attempt(each.open)
            if isinstance(failure, Exception):
                self._guard.warn(f"setting {each.setting}", "%s", failure)

    def export(self, windows: Sequence[Window], spans: Sequence[KeptSpan] = ()) -> None:
        """Give every exporter closed windows, and spans."""
        for each in self._exporters:
            with self._guard("export_keep", losses.EXPORT_FAILED):
                each.export(windows, spans)
        if windows:
            self.wake_store()

    def counts(self) -> ExportCounts:
        """Return the delivery counts of all exporters."""
        each = [exporter.counts() for exporter in self._exporters]
        exports = sum((Counter(counts.exports) for counts in each), Counter[str]())
        cut = sum(counts.series_cut for counts in each)
        return ExportCounts(dict(exports), sum(counts.payload_bytes for counts in each), cut)

    def close(self, timeout_s: float) -> None:
        """Close the opened exporters."""
        for each in self._exporters:
            with self._guard("close_exporters"):
                each.close(timeout_s)

    # The durable sink of joined labels -----------------------------------------------------------------------------------

    def take(self, windows: Sequence[Window]) -> None:
        """Keep windows of outcomes until they are written."""
        self.export(windows)

    def was_counted(self, batch: Batch) -> bool:
        """Return whether the store has the outcomes of *batch*.

        Raises:
            StoreError: the store cannot be read.
        """
        return self._store is not None and self._store.was_counted(batch)

    def write(self, references: References, batch: Batch | None = None) -> bool:
        """Write the taken windows together with the batch's id; return whether that succeeded."""
        return self._store is None or self._store.write(references, batch)

    # Fork --------------------------------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """Release the parent's resources in a forked child."""
        for each in self._exporters:
            each.abandon()


def _left_s(deadline_ns: int) -> float:
    return max(0.0, (deadline_ns - monotonic_ns()) / NS)
