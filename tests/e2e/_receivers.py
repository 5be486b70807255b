"""Receivers for tests: a sink that keeps every OTLP request, the Rust collector of PyPI's `rotel`, Debian's Prometheus.

Everything listens on 127.0.0.1, on a port that was free a moment ago, is ended by its own handle, and waits for nothing
longer than `PATIENCE_S`.
"""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.http_server import Handler, http_server

PATIENCE_S = 120.0
_SIGNALS = {
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
    "/v1/traces": ExportTraceServiceRequest,
}


def free_port() -> int:
    """Return a free TCP port on 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Return the first true value of *condition*; fail with *what* was waited for when it does not come."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {patience_s:.0f} s in vain for {what}")


@dataclass
class OtlpSink:
    """A server that records its requests.

    Attributes:
        endpoint: base URL, for ``OTEL_EXPORTER_OTLP_ENDPOINT``.
        requests: decoded requests by path, in order of arrival.
        body_bytes: size of each body as it came, same order over all paths.
        answers: HTTP statuses to answer with, first come first; 200 when there are none left. Refused requests are not
            kept.
        body: what a request is answered with, beside status 200.
    """

    endpoint: str = ""
    requests: dict[str, list[Any]] = field(default_factory=lambda: {path: [] for path in _SIGNALS})
    body_bytes: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    body: bytes = b""

    def metrics(self) -> dict[str, Any]:
        """Return the metrics received, by name; points of several requests follow each other."""
        found: dict[str, Any] = {}
        for request in self.requests["/v1/metrics"]:
            for resource in request.resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        found.setdefault(metric.name, type(metric)()).MergeFrom(metric)
        return found

    def logs(self) -> list[Any]:
        """Return the log records received."""
        return [
            record
            for request in self.requests["/v1/logs"]
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def spans(self) -> list[Any]:
        """Return the spans received."""
        return [
            span
            for request in self.requests["/v1/traces"]
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@contextmanager
def otlp_sink(port: int = 0, sink: OtlpSink | None = None) -> Iterator[OtlpSink]:
    """Run a sink for OTLP over HTTP with protobuf; at its end its connections are cut, also those kept alive.

    Args:
        port: where to listen; 0 takes a free port.
        sink: a former one, which continues to record.
    """
    sink = sink or OtlpSink()
    connections: list[socket.socket] = []

    class Receiver(Handler):
        def setup(self) -> None:
            super().setup()
            connections.append(self.connection)

        def respond(self) -> None:
            body = self.body()
            status = sink.answers.pop(0) if sink.answers else 200
            if status == 200:
                sink.body_bytes.append(len(body))
                plain = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                sink.requests[self.path].append(_SIGNALS[self.path].FromString(plain))
            self.answer(status, sink.body if status == 200 else b"", Content_Type="application/x-protobuf")

    with http_server(Receiver, port) as server:
        sink.endpoint = server.url
        try:
            yield sink
        finally:
            server.shutdown()
            for connection in connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def running(command: Sequence[str | Path], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, its output in *log*; end it by its handle: terminate, wait, kill."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@contextmanager
def rotel(sink: OtlpSink, folder: Path) -> Iterator[str]:
    """Run the Rust collector, which forwards everything to *sink*; yield its endpoint for OTLP over HTTP."""
    program = Path(str(resources.files("rotel"))) / "rotel-agent"
    port, grpc_port = free_port(), free_port()
    command = [
        program,
        "start",
        *("--otlp-http-endpoint", f"127.0.0.1:{port}"),
        *("--otlp-grpc-endpoint", f"127.0.0.1:{grpc_port}"),
        *("--exporter", "otlp"),
        *("--otlp-exporter-endpoint", sink.endpoint),
        *("--otlp-exporter-protocol", "http"),
        *("--otlp-exporter-compression", "none"),
        *("--batch-timeout", "100ms"),
    ]
    log = folder / "rotel.log"
    with running(command, log) as process:
        wait_for(lambda: process.poll() is not None or _accepts(port), "rotel to listen")
        assert process.poll() is None, f"rotel ended: {log.read_text()}"
        yield f"http://127.0.0.1:{port}"


@contextmanager
def prometheus(
    program: Path,
    target_ports: int | Sequence[int],
    folder: Path,
    rules: Sequence[Path] = (),
    features: str = "exemplar-storage",
) -> Iterator[str]:
    """Run Prometheus, which scrapes *target_ports* of 127.0.0.1 every half second and evaluates *rules*; yield its base URL."""
    port = free_port()
    configuration = folder / "prometheus.yml"
    ports = [target_ports] if isinstance(target_ports, int) else target_ports
    targets = ", ".join(f"'127.0.0.1:{target}'" for target in ports)
    configuration.write_text(
        "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\n"
        f"rule_files: {json.dumps([str(path) for path in rules])}\n"
        f"scrape_configs: [{{job_name: radiosonde, static_configs: [{{targets: [{targets}]}}]}}]\n"
    )
    command = [
        program,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--enable-feature={features}",
    ]
    log = folder / "prometheus.log"
    with running(command, log) as process:
        wait_for(lambda: process.poll() is not None or _accepts(port), "Prometheus to listen")
        assert process.poll() is None, f"Prometheus ended: {log.read_text()}"
        yield f"http://127.0.0.1:{port}"


def query(base: str, expression: str) -> list[dict[str, Any]]:
    """Return the result of an instant query, or nothing while Prometheus is not ready."""
    return ask(base, "query", query=expression).get("result", [])


def ask(base: str, path: str, **parameters: str) -> Any:
    """Return the ``data`` of an answer of Prometheus' HTTP API; empty while it is not ready."""
    url = f"{base}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 503:
                return {}
            raise AssertionError(error.read().decode()) from error


def attributes(pairs: Any) -> dict[str, Any]:
    """Return protobuf attributes as a dictionary of plain values."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
