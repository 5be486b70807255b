"""Writes closed windows to a store, one transaction per batch.

Any thread of any number of processes may write. A batch is stored whole or not at all; when it cannot be stored the
caller gets a `StoreError` and counts the loss. Only a lock and the encoded references (and, if requested, the connection) outlive a call;
see `radiosonde.store.connection` for the reason. Forks wait for a write (`radiosonde._sqlite_gate`); a child creates its own writer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from radiosonde._clock import wall_ns
from radiosonde._native import allocate_lock
from radiosonde.errors import StoreError
from radiosonde.model import Window
from radiosonde.reference.profile import Reference
from radiosonde.store.compact import Tiers, compact
from radiosonde.store.connection import KeptConnection, look_up, writing
from radiosonde.store.inserting import REFUSALS, encoded, insert_parts, insert_rows, next_window_id, savepoint
from radiosonde.store.progress import RingProgress, has_joined, write_joined, write_progress
from radiosonde.store.references import encode_reference
from radiosonde.store.retention import MAX_BYTES, drop_beyond, drop_older
from radiosonde.store.rows import Row, payload_bytes
from radiosonde.store.totals import CumulativeState, total_rows, write_cumulative_state

References = Mapping[tuple[str, str], Reference]

# A reference that came back after another one is the newest again; one seen last time keeps its date and its page.
_INSERT_REFERENCE = "INSERT INTO reference_profiles VALUES (?, ?, ?, ?, ?) ON CONFLICT DO "
_NEW_REFERENCE = f"{_INSERT_REFERENCE} UPDATE SET written_ns = excluded.written_ns"
_KNOWN_REFERENCE = f"{_INSERT_REFERENCE} NOTHING"


COMPACT_EVERY_NS = 60 * 1_000_000_000
FEW_PARTS = 200
"""Number of parts written between searches for parts to merge."""
COMPACTED_SLOTS = 50
"""Slots added up in one transaction."""


class StoreWriter:
    """Writes windows to the store at *path*, and keeps the store bounded.

    Args:
        path: the SQLite file; made when missing, its folder must exist.
        process: identity stored with windows that carry none.
        max_bytes: beyond this the windows written first are removed.
        clock_ns: wall clock, nanoseconds since the epoch.
        tiers: ages at which parts are added up to hours and days, and removed.
        is_kept: keep the connection between writes (the agent's, which writes often and never forks).

    Raises:
        StoreError: no store can be opened or made at *path*.

    Attributes:
        pruned: windows removed so far to stay within age and size.
        refused: windows of the last write that no store can hold.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        process: str = "",
        max_bytes: int = MAX_BYTES,
        clock_ns: Callable[[], int] = wall_ns,
        is_kept: bool = False,
        tiers: Tiers | None = None,
    ) -> None:
        self._path = Path(path)
        self._process = process
        self._max_bytes = max_bytes
        self._clock_ns = clock_ns
        self._lock = allocate_lock()
        self._closed = False
        self._tiers, self._compacted_ns = tiers or Tiers(), 0
        self._kept = KeptConnection(self._path) if is_kept else None  # guarded by _lock
        self._encoded: dict[tuple[str, str], tuple[Reference, Row]] = {}  # guarded by _lock
        self.pruned = 0
        self.refused: Sequence[Window] = ()
        with writing(self._path, self._kept):
            pass  # opens or creates the store now, so that errors reach the caller

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self._path

    def write(
        self,
        windows: Sequence[Window],
        references: References | None = None,
        *,
        drained: Sequence[RingProgress] | None = None,
        cumulative: CumulativeState | None = None,
        joined: Sequence[str] = (),
    ) -> int:
        """Store *windows* in one transaction and return their size in bytes, before SQLite's own overhead.

        Args:
            windows: parts of windows; equal ones are stored again, because parts are deltas.
            references: reference profiles of the windows, by (model, version); known ones cost a lookup.
            drained: positions of all rings as of these windows (agent only); None keeps the stored ones.
            cumulative: state for the next agent, likewise.
            joined: ids of the batches of labels whose outcomes are among the windows.

        Raises:
            StoreError: nothing of the batch was stored.
        """
        written_ns = self._clock_ns()
        # Encoded before the transaction begins: other processes wait only for the inserts.
        rows = [(window, encoded(window, self._process, written_ns)) for window in windows]
        taken = [(window, part) for window, part in rows if part is not None]
        parts = [part for _, part in taken]
        totals = total_rows(cumulative.totals, self._process) if cumulative is not None else []
        with self._lock:
            if self._closed:
                raise StoreError(f"the writer of {self._path} is closed: make a new StoreWriter")
            with writing(self._path, self._kept) as connection:
                pruned = self._prune(connection, written_ns - self._tiers.days_ns)
                refused = [taken[place][0] for place in insert_parts(connection, parts)]
                for key, reference in (references or {}).items():
                    with suppress(*REFUSALS):
                        self._write_reference(connection, key, reference, written_ns)
                if drained is not None:
                    write_progress(connection, drained)
                if cumulative is not None:
                    write_cumulative_state(connection, self._process, totals, cumulative.counts)
                write_joined(connection, joined, written_ns)
            self._compact_some(written_ns)
            self.pruned += pruned
            self.refused = [window for window, part in rows if part is None] + refused
        return payload_bytes(row for part in parts for table in part for row in table)

    def was_joined(self, batch_id: str) -> bool:
        """Return whether windows counted from that batch of labels were written.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._lock:
            return look_up(self._path, partial(has_joined, batch_id=batch_id))

    def compact(self, now_ns: int | None = None, progress: Callable[[int], None] | None = None) -> int:
        """Merge all parts that are due by their age, and return the decrease in parts.

        In steps of milliseconds, each a transaction: others write in between, and an interruption loses nothing.

        Args:
            now_ns: wall clock; by default the writer's.
            progress: called after each step with the number of parts that are fewer by now.

        Raises:
            StoreError: the store cannot be written; earlier steps stay.
        """
        fewer, step = 0, 1
        while step:
            with self._lock, writing(self._path, self._kept) as connection:
                step = compact(connection, self._clock_ns() if now_ns is None else now_ns, self._tiers, COMPACTED_SLOTS)
            fewer += step
            if progress is not None:
                progress(fewer)
        return fewer

    def _compact_some(self, now_ns: int) -> None:
        """Merge some parts from time to time: often enough to keep up with writes, in small steps."""
        if now_ns - self._compacted_ns < COMPACT_EVERY_NS:
            return
        self._compacted_ns = now_ns
        with suppress(StoreError), writing(self._path, self._kept) as connection:
            if next_window_id(connection) > FEW_PARTS and compact(connection, now_ns, self._tiers, COMPACTED_SLOTS):
                self._compacted_ns = 0  # there may be more

    def close(self) -> None:
        """Refuse further writes; waits for one that is under way. Any thread may call it, any number of times."""
        with self._lock:
            self._closed = True
            if self._kept is not None:
                self._kept.close()

    def _prune(self, connection: sqlite3.Connection, older_than_ns: int) -> int:
        return drop_older(connection, older_than_ns) + drop_beyond(connection, self._max_bytes)

    def _write_reference(
        self, connection: sqlite3.Connection, key: tuple[str, str], reference: Reference, written_ns: int
    ) -> None:
        known = self._encoded.get(key)
        if known is not None and known[0] is reference:
            connection.execute(_KNOWN_REFERENCE, known[1])
            return
        row: Row = (*key, *encode_reference(reference), written_ns)
        with savepoint(connection):
            insert_rows(connection, _NEW_REFERENCE, [row])
        self._encoded[key] = (reference, row)
