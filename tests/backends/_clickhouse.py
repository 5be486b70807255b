"""A real ClickHouse engine (chDB, in this process) with the tables of OpenTelemetry's exporter, behind HTTP for a collector to insert into.

`rotel` inserts as ClickHouse's HTTP interface takes it: the statement in the query of the URL, the rows in the body. chDB has no server, so
a small one stands before it: it writes the rows to a file, and the engine reads them from there. As ClickHouse does with inserts that are not
waited for, it answers before the rows are in the table: a collector that waits for too long sends them again.
"""

from __future__ import annotations

import itertools
import json
import queue
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from radiosonde.assets import AssetOptions
from radiosonde.assets.collector import make
from tests.e2e._receivers import _accepts, free_port, running, wait_for
from tests.http_server import Handler, http_server

_ATTRIBUTES = "Map(LowCardinality(String), String)"
_EXEMPLARS = f"Exemplars Nested (FilteredAttributes {_ATTRIBUTES}, TimeUnix DateTime64(9), Value Float64, SpanId String, TraceId String)"
_POINT = f"""
    ResourceAttributes {_ATTRIBUTES}, ResourceSchemaUrl String, ScopeName String, ScopeVersion String, ScopeAttributes {_ATTRIBUTES},
    ScopeDroppedAttrCount UInt32, ScopeSchemaUrl String, ServiceName LowCardinality(String), MetricName String, MetricDescription String,
    MetricUnit String, Attributes {_ATTRIBUTES}, StartTimeUnix DateTime64(9), TimeUnix DateTime64(9), Flags UInt32, {_EXEMPLARS}"""
_ORDER = "ENGINE = MergeTree ORDER BY (ServiceName, MetricName, Attributes, toUnixTimestamp64Nano(TimeUnix))"

TABLES = (
    f"CREATE TABLE otel_metrics_sum ({_POINT}, Value Float64, AggregationTemporality Int32, IsMonotonic Boolean) {_ORDER}",
    f"CREATE TABLE otel_metrics_gauge ({_POINT}, Value Float64) {_ORDER}",
    f"""CREATE TABLE otel_metrics_histogram ({_POINT}, Count UInt64, Sum Float64, BucketCounts Array(UInt64), ExplicitBounds Array(Float64),
    Min Float64, Max Float64, AggregationTemporality Int32) {_ORDER}""",
    f"""CREATE TABLE otel_logs (Timestamp DateTime64(9), TraceId String, SpanId String, TraceFlags UInt8, SeverityText LowCardinality(String),
    SeverityNumber UInt8, ServiceName LowCardinality(String), Body String, ResourceSchemaUrl LowCardinality(String),
    ResourceAttributes {_ATTRIBUTES}, ScopeSchemaUrl LowCardinality(String), ScopeName String, ScopeVersion LowCardinality(String),
    ScopeAttributes {_ATTRIBUTES}, LogAttributes {_ATTRIBUTES}, EventName String) ENGINE = MergeTree ORDER BY (ServiceName, Timestamp)""",
    f"""CREATE TABLE otel_traces (Timestamp DateTime64(9), TraceId String, SpanId String, ParentSpanId String, TraceState String,
    SpanName LowCardinality(String), SpanKind LowCardinality(String), ServiceName LowCardinality(String), ResourceAttributes {_ATTRIBUTES},
    ScopeName String, ScopeVersion String, SpanAttributes {_ATTRIBUTES}, Duration UInt64, StatusCode LowCardinality(String),
    StatusMessage String, Events Nested (Timestamp DateTime64(9), Name LowCardinality(String), Attributes {_ATTRIBUTES}),
    Links Nested (TraceId String, SpanId String, TraceState String, Attributes {_ATTRIBUTES}))
    ENGINE = MergeTree ORDER BY (ServiceName, SpanName, Timestamp)""",
)
"""The columns of OpenTelemetry's exporter that rotel writes too."""

_INSERT = re.compile(r"\s*INSERT INTO (\S+)\s*(\([^)]*\))?\s*(?:SETTINGS .*)?FORMAT (\w+)", re.IGNORECASE | re.DOTALL)


class ClickHouse:
    """A database ``otel`` in a folder.

    Attributes:
        errors: what the engine refused.
        address: of the database, for ``radiosonde diagnose``.
    """

    def __init__(self, folder: Path) -> None:
        from chdb.session import Session

        self._folder = folder
        self._session = Session(str(folder / "chdb"))
        self._lock = threading.Lock()
        self.errors: list[str] = []
        self.address = ""
        self._used = ""
        self._session.query("CREATE DATABASE otel")
        for statement in TABLES:
            self.run(statement)
        tables = [row["name"] for row in self.rows("SHOW TABLES")]
        self._types = {
            table: {row["name"]: row["type"] for row in self.rows(f"DESCRIBE TABLE {table}")} for table in tables
        }
        self._inserts: queue.Queue[tuple[str, Path] | None] = queue.Queue()
        self._numbers = itertools.count()
        self._inserting = threading.Thread(target=self._insert_all)
        self._inserting.start()

    def run(self, statement: str, form: str = "TSV", database: str = "otel") -> bytes:
        """Run one statement, and return its answer as the engine formats it."""
        with self._lock:
            if database != self._used:
                self._session.query(f"USE {database}")
                self._used = database
            return bytes(self._session.query(statement, form).bytes() or b"")

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return rows by column."""
        return [json.loads(line) for line in self.run(query, "JSONEachRow").splitlines()]

    def view(self, name: str, t0: str = "2020-01-01", t1: str = "2040-01-01") -> list[dict[str, Any]]:
        """Return the rows of a view over an interval."""
        return self.rows(f"SELECT * FROM radiosonde_{name}(t0 = '{_instant(t0)}', t1 = '{_instant(t1)}')")

    def between(self, name: str, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        """Return the same for bounds in nanoseconds since the epoch."""
        t0, t1 = (
            f"{datetime.fromtimestamp(bound // 10**9, UTC):%Y-%m-%d %H:%M:%S}.{bound % 10**9:09d}"
            for bound in (start_ns, end_ns)
        )
        return self.view(name, t0, t1)

    def ends_ns(self) -> list[list[int]]:
        """Return when the last export of each process was, sorted, for each table: a collector fills them one after the other.

        Of windows it is when the last was written, 0 while one of those before is missing.
        """
        instance, exported = (
            "GROUP BY ResourceAttributes['service.instance.id']",
            "max(toUnixTimestamp64Nano(TimeUnix))",
        )
        number, written = (f"toInt64(LogAttributes['radiosonde.window.{name}'])" for name in ("number", "written"))
        last = f"if(uniqExact({number}) = max({number}), max({written}), 0)"
        queries = [
            *(f"{exported} AS last FROM otel_metrics_{kind} {instance}" for kind in ("sum", "gauge", "histogram")),
            f"{last} AS last FROM otel_logs WHERE LogAttributes['event.name'] = 'radiosonde.window' {instance}",
        ]
        return [sorted(int(row["last"]) for row in self.rows(f"SELECT {query}")) for query in queries]

    def close(self) -> None:
        """Insert what waits, and end the engine."""
        self._inserts.put(None)
        self._inserting.join()
        self._session.close()

    def accept(self, statement: str, body: bytes, database: str) -> bytes:
        """Run what an HTTP client sent."""
        insert = _INSERT.match(statement)
        if insert is None:
            return self.run(statement, database=database)
        table, columns, form = insert.groups()
        names = [name.strip(' `"') for name in columns.strip("()").split(",")]
        structure = ", ".join(f"`{name}` {self._types[table][name]}" for name in names).replace("'", "''")
        path = self._folder / f"rows-{next(self._numbers)}.bin"
        path.write_bytes(body)
        self._inserts.put((f"INSERT INTO {table} {columns} SELECT * FROM file('{path}', {form}, '{structure}')", path))
        return b""

    def _insert_all(self) -> None:
        while (waiting := self._inserts.get()) is not None:
            statement, path = waiting
            try:
                self.run(statement)
            except RuntimeError as error:
                self.errors.append(str(error))
            path.unlink()


def _instant(text: str) -> str:
    return text if " " in text else f"{text} 00:00:00"


@contextmanager
def clickhouse(folder: Path) -> Iterator[ClickHouse]:
    """Yield an engine whose HTTP interface is served."""
    engine = ClickHouse(folder)
    try:
        with serving(engine) as port:
            engine.address = f"clickhouse://127.0.0.1:{port}/otel"
            yield engine
    finally:
        engine.close()


@contextmanager
def serving(engine: ClickHouse, port: int = 0) -> Iterator[int]:
    """Serve the HTTP interface of *engine* at *port*, 0 for a free one, and yield it."""
    with http_server(_handler(engine), port) as server:
        yield server.server_port


@contextmanager
def collecting(engine: ClickHouse, folder: Path) -> Iterator[str]:
    """Yield the OTLP endpoint of a collector that writes into *engine*."""
    with _collector(int(engine.address.rpartition(":")[2].partition("/")[0]), folder) as endpoint:
        yield endpoint


@contextmanager
def _collector(clickhouse_port: int, folder: Path) -> Iterator[str]:
    """Run rotel with the environment that ships, but for addresses, and for what the server before the engine cannot do."""
    (shipped,) = (asset.content for asset in make(AssetOptions()) if asset.path == "rotel.env")
    port, grpc_port = free_port(), free_port()
    own = {
        "ROTEL_OTLP_HTTP_ENDPOINT": f"127.0.0.1:{port}",
        "ROTEL_OTLP_GRPC_ENDPOINT": f"127.0.0.1:{grpc_port}",
        "ROTEL_CLICKHOUSE_EXPORTER_ENDPOINT": f"http://127.0.0.1:{clickhouse_port}",
        "ROTEL_CLICKHOUSE_EXPORTER_COMPRESSION": "none",
        "ROTEL_CLICKHOUSE_EXPORTER_ASYNC_INSERT": "false",
    }
    variables = dict(line.split("=", 1) for line in shipped.splitlines() if line and not line.startswith("#"))
    assert own.keys() <= variables.keys()
    program = Path(str(resources.files("rotel"))) / "rotel-agent"
    command = ["env", *(f"{name}={value}" for name, value in (variables | own).items()), program, "start"]
    log = folder / "rotel.log"
    with running(command, log) as process:
        wait_for(lambda: process.poll() is not None or _accepts(port), "rotel to listen")
        assert process.poll() is None, f"rotel ended: {log.read_text()}"
        yield f"http://127.0.0.1:{port}"


def _handler(engine: ClickHouse) -> type[Handler]:
    class Database(Handler):
        def respond(self) -> None:
            body = self._chunks() if self._is_chunked() else self.body()
            asked: Mapping[str, list[str]] = parse_qs(urlsplit(self.path).query)
            statement = asked["query"][0] if "query" in asked else body.decode()
            try:
                answer, status = engine.accept(statement, body, self.headers.get("X-ClickHouse-Database", "otel")), 200
            except RuntimeError as error:
                answer, status = str(error).encode(), 500
                engine.errors.append(str(error))
            self.answer(status, answer)

        def _is_chunked(self) -> bool:
            return "chunked" in self.headers.get("Transfer-Encoding", "")

        def _chunks(self) -> bytes:
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

    return Database
