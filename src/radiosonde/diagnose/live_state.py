"""The state file of live detectors: counts per step and series, and reported incidents.

SQLite, one transaction per update: a new process knows what a killed one had reported. Detectors themselves are not stored. They are a
function of the counts, rebuilt when the file is opened, so the format does not depend on the detectors.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from radiosonde._files import prepare
from radiosonde._sqlite import commit, is_ours, switch_to_wal, told
from radiosonde.diagnose.live_table import Cell, CountedStep, unpacked
from radiosonde.model import SeriesKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

APPLICATION_ID: Final = 0x52534C56
"""``RSLV``; shown by ``file`` and ``PRAGMA application_id``."""

SCHEMA_VERSION: Final = 2
_TIMEOUT_S = 5.0

_SCHEMA = f"""
CREATE TABLE series (number INTEGER PRIMARY KEY, model TEXT, version TEXT, variant TEXT, cohort TEXT);
CREATE TABLE steps (
    model    TEXT    NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns   INTEGER NOT NULL,
    cells    TEXT    NOT NULL,  -- JSON: per series [number, calls, failed calls by type, [latency bucket, calls, ...]]
    PRIMARY KEY (model, start_ns)
) WITHOUT ROWID;
CREATE TABLE reported (incident TEXT PRIMARY KEY, model TEXT, state TEXT, place TEXT, severity TEXT) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""


class Reported(NamedTuple):
    """The last report of an incident.

    Attributes:
        incident: its id.
        model: its model.
        state: ``open``, ``recovered`` or ``verified``.
        place: where, as text.
        severity: severity while it was open.
    """

    incident: str
    model: str
    state: str
    place: str
    severity: str


class LiveState:
    """The open file.

    Args:
        path: the file; made when it is not there. None keeps everything in memory.

    Raises:
        StoreError: the file cannot be opened, or is something else.
    """

    def __init__(self, path: Path | None) -> None:
        self._name = Path(":memory:") if path is None else path
        with told(self._name):
            if path is not None:
                prepare(path)
            self._connection = sqlite3.connect(
                self._name, timeout=_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            if not is_ours(self._connection, self._name, application_id=APPLICATION_ID, version=SCHEMA_VERSION):
                self._connection.executescript(_SCHEMA)
            if path is not None:
                switch_to_wal(self._connection)
            rows = self._connection.execute("SELECT number, model, version, variant, cohort FROM series")
            self._numbers = {SeriesKey(*row[1:]): int(row[0]) for row in rows}

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def models(self) -> list[str]:
        """Return the models of which there is something."""
        return sorted({key.model for key in self._numbers})

    def keys(self, model: str) -> set[SeriesKey]:
        """Return the series of *model*."""
        return {key for key in self._numbers if key.model == model}

    def steps(self, model: str) -> list[CountedStep]:
        """Return the steps of *model*, ascending."""
        key_of = {number: key for key, number in self._numbers.items()}
        with told(self._name):
            rows = self._connection.execute(
                "SELECT start_ns, end_ns, cells FROM steps WHERE model = ? ORDER BY start_ns", (model,)
            ).fetchall()
        return [
            CountedStep(
                start,
                end,
                tuple(
                    Cell(key_of[number], calls, errors, np.array(durations, np.int32).tobytes())
                    for number, calls, errors, durations in json.loads(cells)
                ),
            )
            for start, end, cells in rows
        ]

    def reported(self) -> dict[str, Reported]:
        """Return the last reports, by incident."""
        with told(self._name):
            rows = self._connection.execute("SELECT incident, model, state, place, severity FROM reported").fetchall()
        return {row[0]: Reported(*row) for row in rows}

    def save(
        self, steps: Iterable[tuple[str, Sequence[CountedStep]]], reported: Iterable[Reported], forgotten: Iterable[str], anew: Iterable[str] = ()
    ) -> None:  # fmt: skip
        """Write everything down in one transaction.

        Args:
            steps: by model, those that are new or different.
            reported: reports of incidents.
            forgotten: ids of incidents to delete.
            anew: models whose other steps are deleted.
        """
        write = self._connection
        with told(self._name):
            write.execute("BEGIN IMMEDIATE")
            try:
                write.executemany("DELETE FROM steps WHERE model = ?", [(model,) for model in anew])
                for model, new in steps:
                    self._number(cell.key for step in new for cell in step.cells)
                    write.executemany(
                        "INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?)",
                        [(model, step.start_ns, step.end_ns, self._text(step)) for step in new],
                    )
                write.executemany("INSERT OR REPLACE INTO reported VALUES (?, ?, ?, ?, ?)", list(reported))
                write.executemany("DELETE FROM reported WHERE incident = ?", [(each,) for each in forgotten])
                commit(write)
            except BaseException:
                write.rollback()
                raise

    def _number(self, keys: Iterable[SeriesKey]) -> None:
        for key in keys:
            if key not in self._numbers:
                number = len(self._numbers) + 1
                self._connection.execute("INSERT INTO series VALUES (?, ?, ?, ?, ?)", (number, *key))
                self._numbers[key] = number

    def _text(self, step: CountedStep) -> str:
        return json.dumps(
            [
                [self._numbers[cell.key], cell.calls, dict(cell.errors), unpacked(cell.durations).ravel().tolist()]
                for cell in step.cells
            ]
        )
