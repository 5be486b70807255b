"""Exports windows into the SQLite store of `radiosonde.store`. It is a durable sink too: joined labels are committed with them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde.errors import RadiosondeError
from radiosonde.export.exporter import BaseExporter, ExportContext, ExportCounts, ExporterHealth, References
from radiosonde.export.lost_windows import LostWindows
from radiosonde.export.waiting import waiting_windows
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._join.store import Batch
    from radiosonde._settings import Settings
    from radiosonde.model import Window
    from radiosonde.model.spans import KeptSpan
    from radiosonde.store.writer import StoreWriter

RETRY_EVERY_S = 5.0
"""Seconds between attempts to write windows that wait; new ones are written at once."""

WRITE_BYTES = 8 << 20
"""Windows written in one transaction, in the bytes they hold in memory."""


class StoreExporter(BaseExporter):
    """Writes closed windows to one file.

    Args:
        context: names the file; `settings.store` is set.
    """

    setting = "store"
    interval_s: float | None = RETRY_EVERY_S

    def __init__(self, context: ExportContext) -> None:
        self._path, self._guard, self._process = str(context.settings.store), context.guard, context.process
        self._references, self._tiers = context.references, context.settings.store_tiers
        self._store: StoreWriter | None = None
        self._lost = LostWindows(context.process)
        self._waiting = waiting_windows(
            context.guard,
            losses.STORE_FAILED,
            patient=True,
            dropped=partial(self._lost.add, reason=losses.STORE_FAILED),
        )
        self._told_lost, self._is_stored, self._refused = 0, True, 0
        self._exports = self._payload_bytes = self._pruned = 0

    def open(self) -> None:
        """Open the file.

        Raises:
            StoreError: it cannot be opened.
        """
        self._opened()

    def _opened(self) -> StoreWriter:
        if self._store is None:
            from radiosonde.store.compact import Tiers
            from radiosonde.store.writer import StoreWriter

            self._store = StoreWriter(self._path, process=self._process, tiers=Tiers.of_days(self._tiers))
            self._pruned = 0
        return self._store

    def export(self, windows: Sequence[Window], spans: Sequence[KeptSpan]) -> None:
        """Keep windows until they are written."""
        self._waiting.put(windows)

    def flush(self) -> None:
        """Write the waiting windows; unwritten ones keep waiting."""
        self.write(self._references())

    def was_counted(self, batch: Batch) -> bool:
        """Return whether the store has the outcomes of *batch*: it was written, and not acknowledged any more.

        Raises:
            StoreError: the store cannot be read.
        """
        return self._opened().was_joined(batch.id)

    def write(self, references: References, batch: Batch | None = None) -> bool:
        """Write the waiting windows; return whether none is left.

        Args:
            references: the profiles that the windows are read against.
            batch: labels whose outcomes are among them; remembered in the same transaction.
        """
        while self._write_some(references, batch):
            if batch is not None or not (len(self._waiting) or len(self._lost)):
                return True
        return False

    def _write_some(self, references: References, batch: Batch | None) -> bool:
        """Write as many windows as go into one transaction; return whether that went well."""
        # A batch of labels and its outcomes are one transaction; else as much at a time as memory may hold twice.
        windows = self._waiting.take(WRITE_BYTES if batch is None else None)
        if not windows and batch is None and not len(self._lost):
            return True
        written = self._guard.attempt(self._write_batch, windows, references, [] if batch is None else [batch.id])
        self._is_stored = not isinstance(written, Exception)
        if isinstance(written, Exception):
            self._guard.warn("store", "The store cannot be written (%s); %d windows wait", written, len(windows))
            self._waiting.settle(0)
            self._lost.keep()
            return False
        self._lost.settle()
        self._lost.add(self._opened().refused, losses.STORE_REFUSED)
        self._waiting.settle(len(windows))
        self._exports += 1
        self._payload_bytes += written
        return True

    def _write_batch(self, windows: Sequence[Window], references: References, joined: Sequence[str]) -> int:
        store = self._opened()  # again, if it could not be opened before
        written = store.write([*windows, *self._lost.windows()], references, joined=joined)
        if store.pruned > self._pruned:
            self._guard.lose(losses.STORE_PRUNED, store.pruned - self._pruned)
            self._pruned = store.pruned
        if store.refused:
            self._guard.lose(losses.STORE_REFUSED, len(store.refused))
            self._guard.warn(
                "store rows", "%d windows contain names or numbers that cannot be stored", len(store.refused)
            )
            self._refused += len(store.refused)
        return written

    @property
    def is_crowded(self) -> bool:
        """Whether more waits than may wait in an outage: the store should be written now."""
        return self._waiting.is_crowded

    def give_up(self) -> None:
        """Treat a store whose write does not finish as down, which bounds the queue."""
        self._waiting.give_up()

    def has_kept_all(self) -> bool:
        """Return whether the last write succeeded and no window was lost since the last call."""
        told, self._told_lost = self._told_lost, self._waiting.lost + self._refused
        return self._is_stored and told == self._told_lost

    def close(self, timeout_s: float) -> None:
        """Count waiting windows as lost and close the file."""
        self._waiting.abandon()
        if self._store is not None:
            self._store.close()
        self._store = None

    def counts(self) -> ExportCounts:
        """Return the number of writes."""
        return ExportCounts({"store": self._exports} if self._exports else {}, self._payload_bytes)


def make(context: ExportContext) -> StoreExporter | None:
    """Return the exporter, None without a store."""
    return None if context.settings.store is None else StoreExporter(context)


def health(settings: Settings, variables: Mapping[str, str]) -> Iterator[ExporterHealth]:  # noqa: ARG001 - of all carriers
    """Report whether the store can be written, and its contents."""
    from radiosonde.store.reader import StoreReader

    if settings.store is None:
        yield ExporterHealth(
            "off", "store: off; RADIOSONDE_STORE=radiosonde.sqlite keeps windows for `radiosonde diagnose`"
        )
        return
    path = Path(settings.store)
    fault = unwritable(path)
    if fault:
        yield ExporterHealth("fix", f"store: {fault}", make_folder(path.parent))
        return
    if not path.exists() or not path.stat().st_size:
        yield ExporterHealth("ok", f"store: {path} will be created")
        return
    try:
        models = sorted({summary.model for summary in StoreReader(path).summaries()})
    except RadiosondeError as error:
        yield ExporterHealth("fix", f"store: {error}")
        return
    yield ExporterHealth("ok", f"store: {path} holds {', '.join(models) if models else 'no model yet'}")


def unwritable(path: Path) -> str:
    """Return why *path* cannot be written, ``""`` when it can."""
    if not path.parent.is_dir():
        return f"folder {path.parent} does not exist"
    if path.exists() and not os.access(path, os.W_OK):
        return f"{path} cannot be written by this user"
    return "" if os.access(path.parent, os.W_OK) else f"folder {path.parent} cannot be written by this user"


def make_folder(folder: Path) -> str:
    """Return the command that makes a folder of this user's."""
    return f"install -d -m 700 -o $(id -un) {shlex.quote(str(folder))}"
