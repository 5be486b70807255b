"""Windows as events in a database of their own, without a collector: one insert a batch, with what a process sends as attributes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from radiosonde.model import Window
from radiosonde.semconv import attributes as names
from radiosonde.semconv import events
from radiosonde.store.window_text import window_text

_DATABASES = itertools.count()
_ROW = "at Int64, service String, body String, resource Map(String, String), attributes Map(String, String)"


class EventDatabase:
    """One more database of an engine, with table ``otel_logs``.

    Attributes:
        name: its name.
        address: as commands take it.
        written_ns: when windows are written; None: at their ends.
    """

    written_ns: int | None = None

    def __init__(self, engine: Any, folder: Path) -> None:
        from tests.backends._clickhouse import TABLES

        self._engine, self._folder = engine, folder
        self.name = f"events{next(_DATABASES)}"
        self.address = engine.address.replace("/otel", f"/{self.name}")
        engine.run(f"CREATE DATABASE {self.name}")
        (logs,) = (each for each in TABLES if "otel_logs" in each)
        engine.run(logs, database=self.name)

    def insert(self, windows: Sequence[Window], *, process: str = "one", first: int = 1) -> None:
        """Insert *windows* with the numbers from *first* on."""
        rows = []
        for number, window in enumerate(windows, first):
            at_ns = window.end_ns if self.written_ns is None else self.written_ns
            attributes = {
                names.EVENT_NAME: events.WINDOW, names.MODEL_NAME: window.key.model, names.MODEL_VERSION: window.key.version,
                names.VARIANT: window.key.variant, names.COHORT: window.key.cohort, names.WINDOW_START: str(window.start_ns),
                names.WINDOW_END: str(window.end_ns), names.WINDOW_NUMBER: str(number), names.WINDOW_WRITTEN: str(at_ns),
            }  # fmt: skip
            body = window_text(window, process=process, written_ns=at_ns)
            resource = {names.SERVICE_INSTANCE_ID: process}
            rows.append(
                {"at": window.end_ns, "service": "s", "body": body, "resource": resource, "attributes": attributes}
            )
        path = self._folder / "events.json"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        columns = "Timestamp, ServiceName, Body, ResourceAttributes, LogAttributes"
        values = "fromUnixTimestamp64Nano(at), service, body, resource, attributes"
        source = f"file('{path}', JSONEachRow, '{_ROW}')"
        self._engine.run(f"INSERT INTO otel_logs ({columns}) SELECT {values} FROM {source}", database=self.name)
        path.unlink()

    def drop(self) -> None:
        """Drop the database."""
        self._engine.run(f"DROP DATABASE {self.name}")


def event_database(engine: Any, folder: Path) -> Iterator[EventDatabase]:
    """Yield a database, and drop it afterwards."""
    made = EventDatabase(engine, folder)
    try:
        yield made
    finally:
        made.drop()
