"""Send metrics and sketches over OTLP: here to a sink of twenty lines, in earnest to any collector.

The endpoint, headers and resource come from OpenTelemetry's own variables; setting the endpoint switches the export on.
"""

import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

received = []


class Sink(BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    def do_POST(self):
        """Take one request."""
        received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


sink = HTTPServer(("127.0.0.1", 0), Sink)
thread = threading.Thread(target=sink.serve_forever)
thread.start()
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{sink.server_port}"
os.environ["OTEL_SERVICE_NAME"] = "delays"

import radiosonde as rs  # noqa: E402 - settings are read at the first use, not at import


@rs.observe("delays", version="1.0.0")
def predict(row):
    return "late" if row["wind"] > 20 else "on time"


for number in range(1500):
    predict({"wind": number % 40, "visibility": 10.0})
rs.shutdown()  # a server exports every minute; the end exports what is left
sink.shutdown()
thread.join()
sink.server_close()

for path, body in received:
    if path == "/v1/metrics":
        (scope,) = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics
        print(f"{path}: {len(body)} bytes, {len(scope.metrics)} metrics, such as {scope.metrics[0].name}")
    else:
        (scope,) = ExportLogsServiceRequest.FromString(body).resource_logs[0].scope_logs
        print(
            f"{path}: {len(body)} bytes, {len(scope.log_records)} sketches, such as {scope.log_records[0].event_name}"
        )
