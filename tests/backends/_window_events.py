"""Windows and sketches as events in a database of their own, without a collector, with what a process sends as attributes."""

from __future__ import annotations

import itertools
import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from radiosonde.model import Window
from radiosonde.semconv import attributes as names
from radiosonde.semconv import events
from radiosonde.store.window_text import window_text
from tests.factories import START_NS

_DATABASES = itertools.count()
_ROW = "at Int64, service String, body String, resource Map(String, String), attributes Map(String, String)"


class EventDatabase:
    """One more database of an engine, with the tables of OpenTelemetry's exporter.

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
        for table in TABLES:
            engine.run(table, database=self.name)

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
        self._insert(rows)

    def insert_sketches(self, sketches: Sequence[bytes], *, process: str = "one") -> None:
        """Insert *sketches* of one feature, each of a window of its own."""
        rows = []
        for number, sketch in enumerate(sketches, 1):
            attributes = {
                names.EVENT_NAME: events.SKETCH_WINDOW, names.MODEL_NAME: "m", names.MODEL_VERSION: "1", names.VARIANT: "stable",
                names.COHORT: "", names.FEATURE_NAME: "wind", names.SKETCH_KIND: "kll_double", names.WINDOW_START: str(START_NS),
                names.WINDOW_END: str(START_NS + 1), names.WINDOW_NUMBER: str(number),
            }  # fmt: skip
            resource = {names.SERVICE_INSTANCE_ID: process}
            body = b64encode(sketch).decode()
            rows.append(
                {"at": START_NS + 1, "service": "s", "body": body, "resource": resource, "attributes": attributes}
            )
        self._insert(rows)

    def run_file(self, text: str) -> None:
        """Run the statements of a file."""
        for statement in re.sub("^--.*$", "", text, flags=re.MULTILINE).split(";"):
            if statement.strip():
                self._engine.run(statement, database=self.name)

    def columns(self, query: str) -> list[str]:
        """Return the names of the columns of a query."""
        head: str = self._engine.run(query, "TSVWithNames", self.name).decode().partition("\n")[0]
        return head.split("\t")

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return rows by column."""
        return [json.loads(line) for line in self._engine.run(query, "JSONEachRow", self.name).splitlines()]

    def _insert(self, rows: Sequence[dict[str, Any]]) -> None:
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
