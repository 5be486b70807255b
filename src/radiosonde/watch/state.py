"""Persistent state of a watch, in tables of the store: the lease, the incidents, and the pending notifications.

In the store for the same reasons as annotations (`radiosonde.store.annotations`): it stays with its windows, two watches of one store share
it, and a step is one transaction. The tables are created by the first watch, without a new schema version.

A step of a watch writes the incidents *and* the resulting notifications in one transaction, if it still holds the lease. A notification is
removed after its receiver has answered. So a watch that is killed anywhere loses none, and repeats at most
the one whose answer it had not read; that one has the same event id.
"""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from radiosonde.store.connection import reading, writing

MAX_WAITING = 1000
"""Notifications that wait for one channel, each at most some 40 KiB."""
MAX_INCIDENTS = 10_000

_TABLES = """
CREATE TABLE IF NOT EXISTS watch_lease (
    lease_id INTEGER PRIMARY KEY CHECK (lease_id = 1),
    holder   TEXT    NOT NULL,  -- one watch of one process
    host     TEXT    NOT NULL,  -- its machine, boot and process namespace
    pid      INTEGER NOT NULL,
    began    TEXT    NOT NULL,  -- start of its process, from the kernel
    until_ns INTEGER NOT NULL   -- wall clock
);
CREATE TABLE IF NOT EXISTS watch_looks (
    look_id   INTEGER PRIMARY KEY CHECK (look_id = 1),
    looked_ns INTEGER NOT NULL,  -- last diagnosis, wall clock
    end_ns    INTEGER NOT NULL   -- end of its newest window, event time
);
CREATE TABLE IF NOT EXISTS watch_incidents (
    incident TEXT PRIMARY KEY,   -- its id
    document TEXT NOT NULL       -- JSON
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS watch_outbox (
    delivery_id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel     TEXT    NOT NULL,
    incident    TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    is_page     INTEGER NOT NULL,
    event       TEXT    NOT NULL,  -- JSON
    written_ns  INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    next_ns     INTEGER NOT NULL   -- not before, wall clock
);
CREATE INDEX IF NOT EXISTS watch_outbox_by_channel ON watch_outbox (channel, incident, delivery_id);
"""

# Pages first. A later event of an incident waits for an earlier one, or "recovered" could overtake "opened".
_DUE = """
SELECT delivery_id, channel, incident, kind, event, written_ns, attempts, next_ns FROM watch_outbox AS o
WHERE channel = ? AND NOT EXISTS (
    SELECT 1 FROM watch_outbox AS e WHERE e.channel = o.channel AND e.incident = o.incident AND e.delivery_id < o.delivery_id)
ORDER BY next_ns > ?, is_page DESC, next_ns, delivery_id LIMIT 1
"""


class Owner(NamedTuple):
    """Identity of a watch: a process, unique on its machine."""

    holder: str
    host: str
    pid: int
    began: str


class KeptState(NamedTuple):
    """The state left by an earlier watch, or by an earlier step of this one.

    Attributes:
        incidents: JSON texts by id.
        looked_ns: wall clock of the last diagnosis; 0 for none.
        end_ns: end of its newest window.
    """

    incidents: Mapping[str, str]
    looked_ns: int
    end_ns: int


class Note(NamedTuple):
    """A notification to be kept.

    Attributes:
        channel: where it goes.
        incident: id of the incident.
        kind: kind of the event.
        is_page: it goes before tickets.
        event: the event as JSON.
    """

    channel: str
    incident: str
    kind: str
    is_page: bool
    event: str


class PendingDelivery(NamedTuple):
    """A notification that waits."""

    delivery_id: int
    channel: str
    incident: str
    kind: str
    event: str
    written_ns: int
    attempts: int
    next_ns: int


class StoredStep(NamedTuple):
    """The changes of a step of a watch.

    Attributes:
        incidents: JSON texts of the incidents that changed, by id.
        forgotten: ids of incidents that are dropped.
        notes: notifications.
        looked_ns: wall clock.
        end_ns: end of the newest window.
    """

    incidents: Mapping[str, str]
    forgotten: Collection[str]
    notes: Sequence[Note]
    looked_ns: int
    end_ns: int


def owner(holder: str) -> Owner:
    """Return this process as the owner of a lease, under the name *holder*."""
    return Owner(holder, _host(), os.getpid(), _began(os.getpid()))


class WatchState:
    """The tables of one watch. Any thread may call it; each call is one transaction.

    Args:
        path: the SQLite file.
        mine: identity of this watch in the lease.
    """

    def __init__(self, path: Path, mine: Owner) -> None:
        self.path, self._mine = path, mine

    def take_lease(self, now_ns: int, length_ns: int) -> bool:
        """Take or prolong the lease until *length_ns* from now; return whether it is ours.

        The lease of a process of this machine that has died is free at once, any other when its time is over.

        Raises:
            StoreError: the store cannot be written.
        """
        with writing(self.path) as connection:
            if not _has_tables(connection):
                for statement in _TABLES.split(";"):  # executescript would commit
                    connection.execute(statement)
            held = connection.execute("SELECT holder, host, pid, began, until_ns FROM watch_lease").fetchone()
            # A lease that ends further ahead than any can was written by a clock that has been put back since.
            is_free = held is None or not now_ns < held[4] <= now_ns + 2 * length_ns or _has_died(Owner(*held[:4]))
            if not is_free and held[0] != self._mine.holder:
                return False
            connection.execute(
                "INSERT OR REPLACE INTO watch_lease VALUES (1, ?, ?, ?, ?, ?)", (*self._mine, now_ns + length_ns)
            )
        return True

    def give_back(self) -> None:
        """Give the lease back, so that another watch need not wait.

        Raises:
            StoreError: the store cannot be written.
        """
        with writing(self.path) as connection:
            if _has_tables(connection):
                connection.execute("DELETE FROM watch_lease WHERE holder = ?", (self._mine.holder,))

    def load(self) -> KeptState:
        """Return the stored state.

        Raises:
            StoreError: the store cannot be read.
        """
        with reading(self.path) as connection:
            if not _has_tables(connection):
                return KeptState({}, 0, 0)
            found = dict(connection.execute("SELECT incident, document FROM watch_incidents").fetchall())
            looked = connection.execute("SELECT looked_ns, end_ns FROM watch_looks").fetchone()
            return KeptState(found, *(looked or (0, 0)))

    def save(self, step: StoredStep) -> int | None:
        """Write a step if this watch holds the lease; return how many notifications were dropped for lack of room, None where it does not.

        Raises:
            StoreError: nothing was written.
        """
        with writing(self.path) as connection:
            if not self._is_mine(connection):
                return None
            connection.executemany("INSERT OR REPLACE INTO watch_incidents VALUES (?, ?)", step.incidents.items())
            connection.executemany(
                "DELETE FROM watch_incidents WHERE incident = ?", [(each,) for each in step.forgotten]
            )
            connection.execute("INSERT OR REPLACE INTO watch_looks VALUES (1, ?, ?)", (step.looked_ns, step.end_ns))
            return sum(_put(connection, note, step.looked_ns) for note in step.notes)

    def next_delivery(self, channel: str, now_ns: int) -> PendingDelivery | None:
        """Return the notification of *channel* that is due, or else the one that will be next.

        Raises:
            StoreError: the store cannot be read.
        """
        with reading(self.path) as connection:
            if not _has_tables(connection):
                return None
            row = connection.execute(_DUE, (channel, now_ns)).fetchone()
            return None if row is None else PendingDelivery(*row)

    def begin(self, delivery: PendingDelivery, next_ns: int) -> bool:
        """Count an attempt, the next of which comes at *next_ns*; return whether this watch may make it.

        Raises:
            StoreError: the store cannot be written.
        """
        with writing(self.path) as connection:
            if not self._is_mine(connection):
                return False
            changed = connection.execute(
                "UPDATE watch_outbox SET attempts = attempts + 1, next_ns = ? WHERE delivery_id = ? AND attempts = ?",
                (next_ns, delivery.delivery_id, delivery.attempts),
            )
            return changed.rowcount == 1

    def postpone(self, delivery: PendingDelivery, next_ns: int) -> None:
        """Make the next attempt not before *next_ns*.

        Raises:
            StoreError: the store cannot be written.
        """
        with writing(self.path) as connection:
            connection.execute(
                "UPDATE watch_outbox SET next_ns = ? WHERE delivery_id = ?", (next_ns, delivery.delivery_id)
            )

    def remove(self, delivery: PendingDelivery) -> None:
        """Forget a notification: it was delivered, or is dropped.

        Raises:
            StoreError: the store cannot be written.
        """
        with writing(self.path) as connection:
            connection.execute("DELETE FROM watch_outbox WHERE delivery_id = ?", (delivery.delivery_id,))

    def pending(self) -> dict[str, int]:
        """Return the number of pending notifications, by channel.

        Raises:
            StoreError: the store cannot be read.
        """
        with reading(self.path) as connection:
            if not _has_tables(connection):
                return {}
            return dict(connection.execute("SELECT channel, count(*) FROM watch_outbox GROUP BY channel").fetchall())

    def lease(self) -> tuple[Owner, int] | None:
        """Return the holder and the expiry of the lease; None if it is free.

        Raises:
            StoreError: the store cannot be read.
        """
        with reading(self.path) as connection:
            if not _has_tables(connection):
                return None
            row = connection.execute("SELECT holder, host, pid, began, until_ns FROM watch_lease").fetchone()
            return None if row is None else (Owner(*row[:4]), int(row[4]))

    def _is_mine(self, connection: sqlite3.Connection) -> bool:
        held = connection.execute("SELECT holder FROM watch_lease").fetchone()
        return held is not None and held[0] == self._mine.holder


def _has_tables(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'watch_outbox'").fetchone() is not None


def _put(connection: sqlite3.Connection, note: Note, now_ns: int) -> int:
    """Add a notification; return the number of others dropped for it."""
    if note.kind == "changed":  # it supersedes an earlier one
        connection.execute(
            "DELETE FROM watch_outbox WHERE channel = ? AND incident = ? AND kind = 'changed' AND attempts = 0",
            (note.channel, note.incident),
        )
    (held,) = connection.execute("SELECT count(*) FROM watch_outbox WHERE channel = ?", (note.channel,)).fetchone()
    dropped = 0
    if held >= MAX_WAITING:
        dropped = connection.execute(
            "DELETE FROM watch_outbox WHERE delivery_id IN (SELECT delivery_id FROM watch_outbox WHERE channel = ? "
            "ORDER BY kind = 'opened' AND is_page, kind <> 'changed', delivery_id LIMIT ?)",
            (note.channel, held - MAX_WAITING + 1),
        ).rowcount
    connection.execute(
        "INSERT INTO watch_outbox VALUES (NULL, ?, ?, ?, ?, ?, ?, 0, 0)",
        (note.channel, note.incident, note.kind, int(note.is_page), note.event, now_ns),
    )
    return dropped


def _host() -> str:
    """Return the identity of this machine, boot and process namespace, within which a process id is unique."""
    boot, namespace = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return f"{socket.gethostname()} {boot} {namespace}".strip()


def _began(pid: int) -> str:
    """Return the start of a process, in ticks since the boot; ``""`` if it does not run or is unknown."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    return ""


def _has_died(held: Owner) -> bool:
    """Return whether the owner is a process of this machine that does not run any more."""
    return bool(held.began) and held.host == _host() and _began(held.pid) != held.began
