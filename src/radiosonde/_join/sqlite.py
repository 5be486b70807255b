"""A join store in one SQLite file: for any number of processes of one host, and for labels that come days later.

Every call is one transaction. A ``kill -9`` at any moment leaves it done or not begun; a power cut may take the last
transactions with it (labels received since the log was last synced, a few seconds as a rule), because waiting for the disk
at each label would cost milliseconds. The file never breaks.

Costs (`benchmarks/speed/bench_join.py`): remembering a prediction, with the cells of 30 features, well under a microsecond
of CPU; receiving, joining and acknowledging a label a few ten. Bound: `max_bytes`; beyond it the oldest predictions go, and
their labels are expired. The rows are not compressed: zlib at its quickest costs more than recording the prediction did.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from radiosonde._clock import NS
from radiosonde._join.batches import decode_batch, encode_batch
from radiosonde._join.joining import MAX_AGE_S, WAIT_S, Findings, Patience, give_up, join_labels, known_names, readable
from radiosonde._join.matching import LaneCodes
from radiosonde._join.prediction_chunks import PAGE_ROWS, cut
from radiosonde._join.preview import Preview, preview
from radiosonde._join.sqlite_rows import (
    LaneNumbers,
    SqliteLookup,
    drop_lanes,
    drop_stated,
    replace_chunk,
    take_received,
    take_waiting,
    wake,
    write_chunk,
    write_received,
    write_stated,
    write_waiting,
)
from radiosonde._join.store import LEASE_S, UNKNOWN, Batch, Label, Predictions
from radiosonde._join.tables import PAGE_BYTES, JoinFile
from radiosonde._native import allocate_lock
from radiosonde._sqlite_gate import GATE
from radiosonde.errors import StoreError
from radiosonde.model import Outcome

MAX_BYTES = 1 << 30
"""Some 13 million predictions with the cells of 30 features."""

WAITING = 1 << 20
"""Labels that wait for their predictions; beyond it those that have waited longest are unknown."""


class SqliteJoinStore:
    """Keeps predictions and labels in the file at *path*.

    Args:
        path: the file; made when missing, its folder must exist. Readable by its owner only.
        max_age_s: age at which a prediction expires.
        wait_s: how long a label waits for its prediction.
        max_bytes: bound on the file; unjoined labels may take as much again before they are refused.

    Attributes:
        pruned: predictions this object dropped to stay within *max_bytes*.

    Raises:
        StoreError: no store can be opened or made at *path*.
    """

    def __init__(
        self, path: str | Path, *, max_age_s: float = MAX_AGE_S, wait_s: float = WAIT_S, max_bytes: int = MAX_BYTES
    ) -> None:
        self._file = JoinFile(Path(path))
        self._max_age_s, self._wait_s, self._max_bytes = max_age_s, wait_s, max_bytes
        self._lanes = LaneNumbers()
        self._lock = allocate_lock()
        self.pruned = 0
        with self._lock, self._file.reading():
            pass  # opens or creates the file now, so that errors reach the caller

    def remember(self, predictions: Sequence[Predictions]) -> None:
        """See `JoinStore`."""
        with self._lock, self._file.writing() as connection:
            self._prune(connection)
            has_waiting = connection.execute("SELECT 1 FROM waiting LIMIT 1").fetchone() is not None
            for part in predictions:
                number = self._lanes.number(connection, part.lane)
                for place, chunk in cut(part, LaneCodes(part.lane)):
                    write_chunk(connection, number, place, chunk)
                    if has_waiting:
                        wake(connection, "(nonce, page)", [place])

    def alias(self, names: Sequence[tuple[str, str]]) -> None:
        """See `JoinStore`. The first meaning of a name stays; a target that is not a prediction id is ignored."""
        rows = list(known_names(names))
        with self._lock, self._file.writing() as connection:
            connection.executemany("INSERT OR IGNORE INTO aliases VALUES (?, ?, ?)", rows)
            if connection.execute("SELECT 1 FROM waiting LIMIT 1").fetchone() is not None:
                wake(connection, "id", [own for own, _, _ in rows])

    def receive(self, labels: Sequence[Label]) -> None:
        """See `JoinStore`."""
        rows = [readable(label) for label in labels]
        with self._lock, self._file.writing() as connection:
            if _used_bytes(connection) > 2 * self._max_bytes:
                raise StoreError(
                    f"{self._file.path} is full of labels that no process joins: configure the model server to use it too, "
                    "or raise its max_bytes"
                )
            write_received(connection, rows)

    def preview(self, labels: Sequence[Label], into: Preview) -> None:
        """See `JoinStore`."""
        with self._lock, self._file.reading() as connection:
            preview(labels, SqliteLookup(connection), into)

    def join(self, owner: str, *, now_ns: int, limit: int = 10_000) -> Batch | None:
        """See `JoinStore`."""
        with self._lock:
            # Labels that begin to wait form no batch: continue with the next ones, in a separate transaction each time.
            while self._has_work(owner, now_ns):
                with self._file.writing() as connection:
                    batch = _leased(connection, owner, now_ns)
                    if batch is not None:
                        return batch
                    found = self._find(connection, now_ns, limit)
                    if not found.is_empty:
                        batch = found.batch()
                        row = (batch.id, owner, now_ns, *encode_batch(batch))
                        connection.execute("INSERT INTO batches VALUES (?, ?, ?, ?, ?)", row)
                        return batch
        return None

    def acknowledge(self, batch_id: str) -> None:
        """See `JoinStore`."""
        with self._lock, self._file.writing() as connection:
            connection.execute("DELETE FROM batches WHERE id = ?", (batch_id,))

    @property
    def waiting(self) -> int:
        """See `JoinStore`."""
        with self._lock, self._file.reading() as connection:
            statement = "SELECT (SELECT count(*) FROM received) + (SELECT count(*) FROM waiting)"
            return int(connection.execute(statement).fetchone()[0])

    def close(self) -> None:
        """Close the file and keep its contents. Any later call opens it again."""
        with self._lock:
            GATE.enter()
            try:
                self._file.close()
            finally:
                GATE.leave()

    # ------------------------------------------------------------------------------------------------------------------

    def _patience(self, connection: sqlite3.Connection, now_ns: int) -> Patience:
        return Patience.at(
            now_ns, self._max_age_s, self._wait_s,
            horizons_ns=dict(connection.execute("SELECT nonce, start_ns FROM horizons")),
            has_aliases=connection.execute("SELECT 1 FROM aliases LIMIT 1").fetchone() is not None,
        )  # fmt: skip

    def _has_work(self, owner: str, now_ns: int) -> bool:
        """Look without a write lock: most turns of most processes end here."""
        statement = (
            "SELECT EXISTS (SELECT 1 FROM received) OR EXISTS (SELECT 1 FROM waiting WHERE since_ns <= ?)"
            " OR EXISTS (SELECT 1 FROM fragments WHERE newest_ns < ?)"
            " OR EXISTS (SELECT 1 FROM batches WHERE owner = ? OR leased_ns <= ?)"
        )
        waited_out_ns, oldest_ns, silent_ns = (
            now_ns - round(seconds * NS) for seconds in (self._wait_s, self._max_age_s, LEASE_S)
        )
        with self._file.reading() as connection:
            return bool(connection.execute(statement, (waited_out_ns, oldest_ns, owner, silent_ns)).fetchone()[0])

    def _find(self, connection: sqlite3.Connection, now_ns: int, limit: int) -> Findings:
        patience = self._patience(connection, now_ns)
        labels = take_received(connection, limit)
        lookup = SqliteLookup(connection)
        found = join_labels(labels, lookup)
        write_stated(connection, found.stated)
        if found.unfound:
            write_waiting(connection, patience.sort(found.unfound, found.results))
            (count,) = connection.execute("SELECT count(*) FROM waiting").fetchone()
            found.results[UNKNOWN] += len(take_waiting(connection, now_ns, max(0, count - WAITING)))
        if connection.execute("SELECT 1 FROM received LIMIT 1").fetchone() is None:
            for label in take_waiting(connection, patience.waited_out_ns, max(0, limit - len(labels))):
                found.results[patience.fate(label) or UNKNOWN] += 1
            found.outcomes.extend(self._age(connection, lookup, patience.oldest_ns, limit))
        found.results = +found.results  # without the zeros
        return found

    @staticmethod
    def _age(connection: sqlite3.Connection, lookup: SqliteLookup, oldest_ns: int, room: int) -> Iterator[Outcome]:
        """Expire old predictions, oldest first; yield an outcome for each missing label."""
        nonces = []
        for place, number, newest_ns in lookup.oldest(1 + room // 16):
            if room <= 0 or newest_ns >= oldest_ns:
                break
            page = lookup.at(place)
            chunk = next(each for each in page if each.mark == number)
            siblings = [each for each in page if each is not chunk]
            keys = chunk.keys()
            given = give_up(chunk, siblings, lookup.stated(place[0], keys), room)
            replace_chunk(connection, number, given.rest)
            drop_stated(connection, place[0], given.gone)
            nonces.append(place[0])
            room -= len(given.outcomes)
            yield from given.outcomes
        if nonces:
            drop_lanes(connection, nonces)
        for table in ("aliases", "horizons"):
            connection.execute(f"DELETE FROM {table} WHERE start_ns < ?", (oldest_ns,))  # noqa: S608

    def _prune(self, connection: sqlite3.Connection) -> None:
        """Drop the oldest predictions of a file that has reached its bound."""
        used = _used_bytes(connection)
        if used <= self._max_bytes:
            return
        excess = used - self._max_bytes
        lookup = SqliteLookup(connection)
        nonces = []
        for place, number, newest_ns in lookup.oldest(1 + excess // PAGE_ROWS):
            if excess <= 0:
                break
            page = lookup.at(place)
            chunk = next(each for each in page if each.mark == number)
            elsewhere = {key for each in page if each is not chunk for key in each.keys()}  # noqa: SIM118 - a method
            replace_chunk(connection, number, None)
            drop_stated(connection, place[0], (key for key in chunk.keys() if key not in elsewhere))  # noqa: SIM118
            connection.execute(
                "INSERT INTO horizons VALUES (?1, ?2) ON CONFLICT DO UPDATE SET start_ns = max(start_ns, ?2)",
                (place[0], newest_ns),
            )
            excess -= chunk.rows.nbytes + chunk.cells.nbytes
            self.pruned += len(chunk.rows)
            nonces.append(place[0])
        drop_lanes(connection, nonces)


def _leased(connection: sqlite3.Connection, owner: str, now_ns: int) -> Batch | None:
    """Return a batch that waits for its acknowledgement and may be the owner's, leased to it from now on."""
    row = connection.execute(
        "SELECT id, document, cells FROM batches WHERE owner = ? OR leased_ns <= ? ORDER BY owner <> ? LIMIT 1",
        (owner, now_ns - round(LEASE_S * NS), owner),
    ).fetchone()
    if row is None:
        return None
    connection.execute("UPDATE batches SET owner = ?, leased_ns = ? WHERE id = ?", (owner, now_ns, row[0]))
    return decode_batch(*row)


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    return int(pages - free) * PAGE_BYTES
