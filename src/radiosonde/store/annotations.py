"""Annotations of stored windows by people: intervals excluded as baselines, and incidents that are acknowledged or muted.

Annotations are kept in a table of the store instead of a separate file: they stay with their windows, every reader of the store sees the
same ones, and writing one is one transaction. The first annotation creates the table without a new schema version: an additional table does
not affect code that reads and writes windows, and a server of a former version must be able to write after a newer command has annotated.
Rows are never deleted: withdrawn annotations have a time of withdrawal.

A folder of sealed hours has no SQLite file; there the table is in ``annotations.sqlite`` inside the folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, NamedTuple

from radiosonde.store.connection import reading, writing
from radiosonde.store.small_tables import SmallTable

Purpose = Literal["exclude", "ack", "mute"]

SIDECAR = "annotations.sqlite"
"""Name of the file in a folder of sealed hours."""

MAX_ANNOTATIONS: Final = 10_000
"""Rows a store may hold; each is at most a few kilobytes."""

MAX_TEXT: Final = 500

_SCHEMA = """
CREATE TABLE IF NOT EXISTS annotations (
    annotation_id INTEGER PRIMARY KEY AUTOINCREMENT,
    purpose       TEXT    NOT NULL,  -- exclude: an interval that is no baseline; ack, mute: an incident
    model         TEXT    NOT NULL,  -- '': every model
    incident      TEXT    NOT NULL,  -- its id; '' for an interval
    identity      TEXT    NOT NULL,  -- identifies the incident again: check, feature, and its onset; JSON
    start_ns      INTEGER NOT NULL,  -- exclude: event time; ack, mute: wall clock
    end_ns        INTEGER NOT NULL,
    why           TEXT    NOT NULL,
    author        TEXT    NOT NULL,
    written_ns    INTEGER NOT NULL,  -- wall clock
    withdrawn_ns  INTEGER            -- NULL: in force
)
"""
_TABLE = SmallTable(
    "annotations",
    _SCHEMA,
    "annotation_id, purpose, model, incident, identity, start_ns, end_ns, why, author, written_ns, withdrawn_ns",
)


class Annotation(NamedTuple):
    """An annotation by a person.

    Attributes:
        annotation_id: its number in the store.
        purpose: ``exclude``, ``ack`` or ``mute``.
        model: the model; ``""`` for every model.
        incident: id of the incident; ``""`` for an interval.
        identity: identifies the incident in later diagnoses, as JSON; ``""`` for an interval.
        start_ns: start; event time of an interval, wall clock otherwise.
        end_ns: end; a mute or an acknowledgement is over then.
        why: the reason.
        author: the author.
        written_ns: wall clock of the annotation.
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
    """Return all annotations in the store at *path*, including withdrawn ones, in order.

    Raises:
        StoreError: the store cannot be read.
    """
    with reading(path) as connection:
        return [Annotation(*row) for row in _TABLE.rows(connection)]


def add_annotation(path: Path, said: Annotation) -> Annotation:
    """Write the annotation *said* to the store at *path*, and return it with its number.

    Raises:
        StoreError: the store cannot be written, or holds too many annotations.
    """
    values = (*said[1:7], said.why[:MAX_TEXT], said.author[:MAX_TEXT], *said[9:])
    return said._replace(annotation_id=_TABLE.append(path, values, MAX_ANNOTATIONS))


def withdraw_annotation(path: Path, annotation_id: int, now_ns: int) -> bool:
    """Take back the annotation of that number, and return whether it was in force.

    Raises:
        StoreError: the store cannot be written.
    """
    with writing(path) as connection:
        if not _TABLE.is_in(connection):
            return False
        changed = connection.execute(
            "UPDATE annotations SET withdrawn_ns = ? WHERE annotation_id = ? AND withdrawn_ns IS NULL",
            (now_ns, annotation_id),
        )
        return changed.rowcount > 0
