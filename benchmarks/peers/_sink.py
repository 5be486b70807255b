"""A local OTLP/HTTP receiver that answers at once and counts what arrived, by peer: the first part of the path."""

from __future__ import annotations

import gzip
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Sink:
    """What arrived. Bodies are read when asked, so that nothing is parsed while peers are measured.

    Attributes:
        port: on 127.0.0.1.
        received_bytes: by peer, as sent.
    """

    def __init__(self) -> None:
        self.port = 0
        self.received_bytes: Counter[str] = Counter()
        self._traces: dict[str, list[bytes]] = defaultdict(list)
        self._metrics: dict[str, bytes] = {}

    def endpoint(self, peer: str) -> str:
        """Return the base address for a peer's exporters."""
        return f"http://127.0.0.1:{self.port}/{peer}"

    def take(self, path: str, body: bytes) -> None:
        """Keep the body of a request: all traces, the last metrics (they are cumulative)."""
        _, peer, *_, signal = path.split("/")
        self.received_bytes[peer] += len(body)
        if signal == "traces":
            self._traces[peer].append(body)
        elif signal == "metrics":
            self._metrics[peer] = body

    def count(self, peer: str, name: str) -> int:
        """Return how many spans of a peer arrived (*name* is ``spans``), or the last value of a counter, all series."""
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        if name == "spans":
            requests = map(ExportTraceServiceRequest.FromString, self._traces[peer])
            return sum(len(s.spans) for r in requests for resource in r.resource_spans for s in resource.scope_spans)
        last = ExportMetricsServiceRequest.FromString(self._metrics.get(peer, b""))
        metrics = [m for r in last.resource_metrics for scope in r.scope_metrics for m in scope.metrics]
        return sum(int(p.as_int or p.as_double) for m in metrics if m.name == name for p in m.sum.data_points)


@contextmanager
def sink() -> Iterator[Sink]:
    """Serve a sink while the block runs."""
    kept = Sink()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections stay open, as with a real collector

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.take(self.path, gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        kept.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join(10)
