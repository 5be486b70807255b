"""Mitigations that people ran against incidents: what was run, when, how it ended, and the end of its output.

They are kept in a table of the store beside the annotations, which the first mitigation creates, for the reasons given in
`radiosonde.store.annotations`. A row is written before its command starts: a store that cannot be written is known before anything is
changed, and a command whose caller was killed has left a row without an end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, NamedTuple

from radiosonde.store.connection import reading, writing
from radiosonde.store.small_tables import SmallTable

MitigationOutcome = Literal["running", "done", "failed", "timed out", "interrupted"]

MAX_MITIGATIONS: Final = 10_000
"""Rows a store may hold; each is at most ten kilobytes."""

MAX_OUTPUT: Final = 8_000
"""Characters of output that are kept: the last ones, where an error is."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS mitigations (
    mitigation_id INTEGER PRIMARY KEY AUTOINCREMENT,
    model         TEXT    NOT NULL,
    incident      TEXT    NOT NULL,  -- its id
    action        TEXT    NOT NULL,  -- key in radiosonde.toml
    command       TEXT    NOT NULL,  -- as it was declared
    started_ns    INTEGER NOT NULL,  -- wall clock
    ended_ns      INTEGER,           -- wall clock; NULL: running, or its caller was killed
    outcome       TEXT    NOT NULL,  -- running, done, failed, timed out, interrupted
    exit_code     INTEGER,           -- NULL: it has none
    output        TEXT    NOT NULL,  -- the end of it
    author        TEXT    NOT NULL
)
"""
_TABLE = SmallTable(
    "mitigations",
    _SCHEMA,
    "mitigation_id, model, incident, action, command, started_ns, ended_ns, outcome, exit_code, output, author",
)


class MitigationRun(NamedTuple):
    """A command that was run against an incident.

    Attributes:
        mitigation_id: its number in the store.
        model: the model.
        incident: id of the incident.
        action: key of the command in `radiosonde.toml`.
        command: the command as it was declared.
        started_ns: wall clock of its start.
        ended_ns: wall clock of its end; None while it runs, or if its caller was killed.
        outcome: how it ended; ``done`` is exit code 0.
        exit_code: its exit code; None if it has none.
        output: the last `MAX_OUTPUT` characters of its output.
        author: who ran it.
    """

    mitigation_id: int
    model: str
    incident: str
    action: str
    command: str
    started_ns: int
    ended_ns: int | None
    outcome: MitigationOutcome
    exit_code: int | None
    output: str
    author: str


def read_mitigations(path: Path) -> list[MitigationRun]:
    """Return all mitigations in the store at *path*, in the order of their start.

    Raises:
        StoreError: the store cannot be read.
    """
    with reading(path) as connection:
        return [MitigationRun(*row) for row in _TABLE.rows(connection)]


def begin_mitigation(path: Path, run: MitigationRun) -> int:
    """Write the mitigation *run*, which is about to start, to the store at *path*, and return its number.

    Raises:
        StoreError: the store cannot be written, or holds too many mitigations.
    """
    return _TABLE.append(path, run[1:], MAX_MITIGATIONS)


def end_mitigation(path: Path, run: MitigationRun) -> None:
    """Write the end of *run*, by its number, to the store at *path*.

    Raises:
        StoreError: the store cannot be written.
    """
    with writing(path) as connection:
        connection.execute(
            "UPDATE mitigations SET ended_ns = ?, outcome = ?, exit_code = ?, output = ? WHERE mitigation_id = ?",
            (run.ended_ns, run.outcome, run.exit_code, run.output[-MAX_OUTPUT:], run.mitigation_id),
        )
