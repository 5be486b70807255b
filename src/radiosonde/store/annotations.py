"""What people say about stored windows: intervals that are no baseline, incidents that are acknowledged or muted.

In a table of the store, and not in a file beside it: it travels with the windows it is about, every reader of the store sees the same, and writing it
is one transaction. The table is made by the first annotation and the schema version stays: what only reads and writes windows does not mind a table
more, and a server of a former version must go on writing after a newer command has said something. Nothing is ever deleted: what is withdrawn says when.

A folder of sealed hours has no SQLite file; there the table is in ``annotations.sqlite`` inside the folder.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, Literal, NamedTuple

from radiosonde.errors import StoreError
from radiosonde.store.connection import reading, writing

Purpose = Literal["exclude", "ack", "mute"]

SIDECAR = "annotations.sqlite"
"""Name of the file in a folder of sealed hours."""

MAX_ANNOTATIONS: Final = 10_000
"""Rows a store may hold; each is at most a few kilobytes."""

MAX_TEXT: Final = 500

_TABLE = """
CREATE TABLE IF NOT EXISTS annotations (
    annotation_id INTEGER PRIMARY KEY AUTOINCREMENT,
    purpose       TEXT    NOT NULL,  -- exclude: an interval that is no baseline; ack, mute: an incident
    model         TEXT    NOT NULL,  -- '': every model
    incident      TEXT    NOT NULL,  -- its id; '' for an interval
    identity      TEXT    NOT NULL,  -- by what the incident is known again: check, feature, and its onset; JSON
    start_ns      INTEGER NOT NULL,  -- exclude: event time; ack, mute: wall clock
    end_ns        INTEGER NOT NULL,
    why           TEXT    NOT NULL,
    author        TEXT    NOT NULL,
    written_ns    INTEGER NOT NULL,  -- wall clock
    withdrawn_ns  INTEGER            -- NULL: in force
)
"""
_COLUMNS = "annotation_id, purpose, model, incident, identity, start_ns, end_ns, why, author, written_ns, withdrawn_ns"


class Annotation(NamedTuple):
    """Something that a person said.

    Attributes:
        annotation_id: its number in the store.
        purpose: ``exclude``, ``ack`` or ``mute``.
        model: the model; ``""`` for every model.
        incident: id of the incident; ``""`` for an interval.
        identity: by what the incident is known again, as JSON; ``""`` for an interval.
        start_ns: start; event time of an interval, wall clock otherwise.
        end_ns: end; a mute or an acknowledgement is over then.
        why: the reason.
        author: who said it.
        written_ns: when, by wall clock.
        withdrawn_ns: when it was taken back; None while it is in force.
    """

    annotation_id: int
    purpose: Purpose
    model: str
    incident: str
    identity: str
    start_ns: int
    end_ns: int
    why: str
    author: str
    written_ns: int
    withdrawn_ns: int | None = None


def read_annotations(path: Path) -> list[Annotation]:
    """Return everything said in the store at *path*, withdrawn or not, in its order.

    Raises:
        StoreError: the store cannot be read.
    """
    with reading(path) as connection:
        if not _has_table(connection):
            return []
        return [Annotation(*row) for row in connection.execute(f"SELECT {_COLUMNS} FROM annotations ORDER BY 1")]  # noqa: S608 - our own text


def add_annotation(path: Path, said: Annotation) -> Annotation:
    """Write *said* to the store at *path*, and return it with its number.

    Raises:
        StoreError: the store cannot be written, or holds too many annotations.
    """
    with writing(path) as connection:
        connection.execute(_TABLE)
        (held,) = connection.execute("SELECT count(*) FROM annotations").fetchone()
        if held >= MAX_ANNOTATIONS:
            raise StoreError(
                f"{path} holds {held} annotations, the maximum: delete old rows of its table `annotations`"
            )
        connection.execute(
            f"INSERT INTO annotations ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own text
            (*said[1:7], said.why[:MAX_TEXT], said.author[:MAX_TEXT], *said[9:]),
        )
        (number,) = connection.execute("SELECT last_insert_rowid()").fetchone()
    return said._replace(annotation_id=number)


def withdraw_annotation(path: Path, annotation_id: int, now_ns: int) -> bool:
    """Take back the annotation of that number, and return whether it was in force.

    Raises:
        StoreError: the store cannot be written.
    """
    with writing(path) as connection:
        if not _has_table(connection):
            return False
        changed = connection.execute(
            "UPDATE annotations SET withdrawn_ns = ? WHERE annotation_id = ? AND withdrawn_ns IS NULL",
            (now_ns, annotation_id),
        )
        return changed.rowcount > 0


def _has_table(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'annotations'").fetchone() is not None
