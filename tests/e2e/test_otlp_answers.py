"""Backends that do not respond with success: real servers, real exports, and the counts."""

from __future__ import annotations

import gzip
import time
import zlib
from contextlib import contextmanager

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from radiosonde._settings import otlp_signals
from radiosonde.cli import main
from radiosonde.export.otlp_answers import MOST_BYTES, judge
from radiosonde.model import losses
from radiosonde.testing import fly
from tests.e2e._receivers import free_port, otlp_sink
from tests.http_server import Handler, http_server

PROTOBUF, HTML = "application/x-protobuf", "text/html; charset=utf-8"
RESPONSES = {
    "metrics": ExportMetricsServiceResponse,
    "logs": ExportLogsServiceResponse,
    "traces": ExportTraceServiceResponse,
}
UNSURE = {"label": "yes", "confidence": 0.5}


def partial(signal, rejected=0, message=""):
    """Return the body of an answer that takes all but some."""
    response = RESPONSES[signal]()
    said = response.partial_success
    said.error_message = message
    for name in ("rejected_data_points", "rejected_log_records", "rejected_spans"):
        if hasattr(said, name):
            setattr(said, name, rejected)
    return response.SerializeToString()


@contextmanager
def backend(answer):
    """Run a server that answers each request by *answer(handler, signal)*; yield its base URL and the paths that were asked."""
    asked = []

    class Backend(Handler):
        def respond(self):
            if self.command == "GET":
                asked.append(f"GET {self.path}")
                say(self, 200, HTML, b"<html>Sign in</html>")
                return
            self.body()
            asked.append(self.path)
            try:
                answer(self, self.path.rsplit("/", 1)[-1])
            except OSError:  # the exporter has read enough
                self.close_connection = True

    with http_server(Backend) as server:
        yield server.url, asked


def say(handler, status, kind, body, **headers):
    """Answer."""
    handler.answer(status, body, **({"Content-Type": kind} if kind else {}), **headers)


def endless(handler, part, pause_s=0.0):
    """Answer 200 and go on until the other side has had enough."""
    handler.send_response(200)
    handler.send_header("Content-Type", PROTOBUF)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    while True:
        handler.wfile.write(part)
        time.sleep(pause_s)


def exported(monkeypatch, answer):
    """Export metrics, sketches and spans once to a backend, and return the statistics and the requests."""
    with backend(answer) as (url, asked):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
        with fly(otlp=True) as rs:
            predict = rs.observe("m")(lambda row: UNSURE)
            for value in range(30):
                predict([float(value)])
            rs.flush(120)
        return rs.statistics(), list(asked)


FAILURES = {
    "redirect to a login page": lambda handler, _: say(handler, 302, HTML, b"", Location="/login"),
    "moved": lambda handler, _: say(handler, 301, HTML, b"moved", Location="/v2/metrics"),
    "redirect to itself": lambda handler, _: say(handler, 307, "", b"", Location="/v1/metrics"),
    "not modified": lambda handler, _: say(handler, 304, "", b""),
    "a web page": lambda handler, _: say(handler, 200, HTML, b"<html>Welcome</html>"),
    "text": lambda handler, _: say(handler, 200, "text/plain", b"ok"),
    "noise called protobuf": lambda handler, _: say(handler, 200, PROTOBUF, b"\xff\xff\xff"),
    "noise called JSON": lambda handler, _: say(handler, 200, "application/json", b"<"),
    "JSON of another kind": lambda handler, _: say(handler, 200, "application/json", b"[1]"),
    "a bomb": lambda handler, _: say(handler, 200, PROTOBUF, gzip.compress(bytes(40 << 20)), Content_Encoding="gzip"),
    "an unknown packing": lambda handler, _: say(handler, 200, PROTOBUF, b"abc", Content_Encoding="br"),
    "endless": lambda handler, _: endless(handler, bytes(65_536)),
    "endless drops": lambda handler, _: endless(handler, b"\0", 0.05),
    "too long": lambda handler, _: say(handler, 200, PROTOBUF, bytes(MOST_BYTES + 1)),
    "part of a response": lambda handler, _: say(handler, 206, "", b""),
    "part of a success": lambda handler, signal: say(
        handler, 206, PROTOBUF, partial(signal), Content_Range="bytes 0-1/2"
    ),
    "results of several requests": lambda handler, _: say(handler, 207, "", b""),
    "a web page for created": lambda handler, _: say(handler, 201, HTML, b"<html>Created</html>"),
    "a web page for accepted": lambda handler, _: say(handler, 202, HTML, b"<html>Queued</html>"),
    "a web page of a proxy": lambda handler, _: say(handler, 203, HTML, b"<html>Welcome</html>"),
    "refused": lambda handler, _: say(handler, 401, "", b""),
    "redirect without end": lambda handler, _: endless_redirect(handler),
}


def endless_redirect(handler):
    """Answer 302 with a body that never ends."""
    handler.send_response(302)
    handler.send_header("Location", "/login")
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    while True:
        handler.wfile.write(bytes(65_536))


@pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES.keys())
def test_what_is_no_success_is_a_failed_export(monkeypatch, answer):
    """It is counted as one, for each of the three signals; no redirect is followed, and nothing counts as delivered."""
    statistics, asked = exported(monkeypatch, answer)
    assert statistics.losses[losses.EXPORT_FAILED] >= 3
    assert not [path for path in asked if path.startswith("GET") or "v2" in path]
    assert not {carrier: count for carrier, count in statistics.exports.items() if carrier.startswith("otlp") and count}
    assert not dict(statistics.guarded)


SUCCESSES = {
    "empty": lambda handler, _: say(handler, 200, "", b""),
    "no content": lambda handler, _: say(handler, 204, "", b""),
    "accepted": lambda handler, _: say(handler, 202, PROTOBUF, b""),
    "created": lambda handler, signal: say(handler, 201, PROTOBUF, partial(signal)),
    "passed on by a proxy": lambda handler, signal: say(handler, 203, PROTOBUF, partial(signal)),
    "nothing to show": lambda handler, _: say(handler, 205, "", b""),
    "protobuf": lambda handler, signal: say(handler, 200, PROTOBUF, partial(signal)),
    "a warning": lambda handler, signal: say(handler, 200, PROTOBUF, partial(signal, 0, "slow down")),
    "packed": lambda handler, signal: say(
        handler, 200, PROTOBUF, gzip.compress(partial(signal)), Content_Encoding="gzip"
    ),
    "deflated": lambda handler, signal: say(
        handler, 200, PROTOBUF, zlib.compress(partial(signal)), Content_Encoding="deflate"
    ),
    "JSON": lambda handler, _: say(handler, 200, "application/json", b'{"partialSuccess": {}}'),
}


@pytest.mark.parametrize("answer", SUCCESSES.values(), ids=SUCCESSES.keys())
def test_every_success_of_the_protocol_is_one(monkeypatch, answer):
    """For any form: nothing is lost, and all three signals count."""
    statistics, _ = exported(monkeypatch, answer)
    assert not statistics.losses.get(losses.EXPORT_FAILED)
    assert not statistics.losses.get(losses.EXPORT_REJECTED)
    assert {carrier for carrier, count in statistics.exports.items() if count} >= {
        "otlp.metrics",
        "otlp.sketches",
        "otlp.spans",
    }


@pytest.mark.parametrize(
    "answer",
    [
        lambda handler, signal: say(handler, 200, PROTOBUF, partial(signal, 3, "out of order")),
        lambda handler, signal: say(handler, 200, "application/json; charset=utf-8", b'{"partialSuccess": {"%s": "3"}}' % {
            "metrics": b"rejectedDataPoints", "logs": b"rejectedLogRecords", "traces": b"rejectedSpans",
        }[signal]),
        lambda handler, signal: say(handler, 200, PROTOBUF, gzip.compress(partial(signal, 3)), Content_Encoding="gzip"),
    ],
    ids=["protobuf", "JSON", "packed"],
)  # fmt: skip
def test_what_a_backend_rejects_is_counted_and_not_sent_again(monkeypatch, caplog, answer):
    """A partial success counts its rejected points with the reason, and is not a delivery; the next flush does not repeat them."""
    statistics, asked = exported(monkeypatch, answer)
    requests = len(asked)
    assert statistics.losses[losses.EXPORT_REJECTED] == 3 * requests
    assert not statistics.losses.get(losses.EXPORT_FAILED)
    assert statistics.exports.get("otlp.metrics", 0) == 0
    assert "rejected" in caplog.text
    assert sum(path == "/v1/traces" for path in asked) == 1


@pytest.mark.parametrize(
    ("status", "kind", "body", "rejected"),
    [
        (200, PROTOBUF, partial("traces", 7), 7),
        (200, PROTOBUF, partial("metrics", -7), 0),
        (200, "application/json", b'{"partialSuccess": null}', 0),
    ],
)
def test_a_count_of_rejected_is_never_negative(status, kind, body, rejected):
    """Whatever a backend says."""
    assert judge(status, kind, body) == (status, "", rejected, "")


def test_a_status_is_a_success_unless_its_outcome_is_elsewhere():
    """Of all statuses, those of 2xx are one, without partial content and those of WebDAV and deltas."""
    succeeded = {status for status in range(100, 600) if not judge(status, PROTOBUF, b"").fault}
    assert succeeded == {*range(200, 300)} - {206, 207, 208, 226}


def test_doctor_takes_no_other_status_for_a_receiver(monkeypatch, capsys):
    """An endpoint that answers 206 is reported, and doctor exits with 1."""
    with backend(lambda handler, _: say(handler, 206, "", b"")) as (url, _):
        monkeypatch.setenv(BASE, url)
        assert main(["doctor"]) == 1
    assert "answers 206; it is not an OTLP/HTTP endpoint" in " ".join(capsys.readouterr().out.split())


BASE, METRICS, TRACES, LOGS = (f"OTEL_EXPORTER_OTLP_{name}ENDPOINT" for name in ("", "METRICS_", "TRACES_", "LOGS_"))
ALL = {"metrics", "logs", "traces"}


@pytest.mark.parametrize(
    ("variables", "signals"),
    [
        ({}, ALL),
        ({BASE: "http://a:4318"}, ALL),
        ({METRICS: "http://a/v1/metrics"}, {"metrics"}),
        ({METRICS: "http://a/v1/metrics", "OTEL_LOGS_EXPORTER": "none"}, {"metrics"}),
        ({METRICS: "http://a/v1/metrics", LOGS: "http://a/v1/logs"}, {"metrics", "logs"}),
        ({TRACES: "http://a/v1/traces"}, {"traces"}),
        ({BASE: "http://a:4318", "OTEL_LOGS_EXPORTER": "none"}, {"metrics", "traces"}),
        ({BASE: "http://a:4318", "OTEL_TRACES_EXPORTER": " none "}, {"metrics", "logs"}),
        ({BASE: "http://a:4318", "OTEL_METRICS_EXPORTER": "prometheus"}, {"logs", "traces"}),
        ({BASE: "http://a:4318", "OTEL_METRICS_EXPORTER": "console,otlp"}, ALL),
        ({METRICS: "http://a/v1/metrics", "OTEL_LOGS_EXPORTER": "otlp"}, {"metrics", "logs"}),
        ({"OTEL_LOGS_EXPORTER": "otlp_proto_http"}, ALL),
        ({BASE: "  "}, ALL),
    ],
)
def test_each_signal_has_variables_of_its_own(variables, signals):
    """An exporter that is named decides; else an endpoint; a signal without one, where another has its own, goes nowhere."""
    assert otlp_signals(variables) == signals


def test_sketches_do_not_go_where_only_metrics_were_sent_to(monkeypatch):
    """With only the endpoint of metrics set, nothing else is sent, to there or to localhost."""
    with otlp_sink() as sink:
        monkeypatch.setenv(METRICS, f"{sink.endpoint}/v1/metrics")
        with fly(otlp=True) as rs:
            predict = rs.observe("m")(lambda row: UNSURE)
            for value in range(30):
                predict([float(value)])
            assert rs.flush(60)
            assert {reason: count for reason, count in rs.statistics().losses.items() if count} == {}
    assert {path: bool(requests) for path, requests in sink.requests.items()} == {
        "/v1/metrics": True, "/v1/logs": False, "/v1/traces": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd", "gzip"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli", "gzip"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "soon", "seconds"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file.pem", "no file"),
        ("OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", "/no/such/key.pem", "no file"),
    ],
)
def test_doctor_says_what_of_the_variables_is_not_supported(monkeypatch, capsys, name, value, said):
    """One line names the variable and what works."""
    with otlp_sink() as sink:
        monkeypatch.setenv(BASE, sink.endpoint)
        monkeypatch.setenv(name, value)
        assert main(["doctor"]) in (0, 1)
    shown = " ".join(capsys.readouterr().out.split())
    assert name in shown
    assert said in shown[shown.index(f"OTLP: {name}") :]


def test_doctor_asks_the_endpoint_that_each_signal_has(monkeypatch, capsys):
    """Metrics are accepted, and the endpoint of sketches is unreachable: doctor reports it, and exits with 1."""
    with otlp_sink() as sink:
        monkeypatch.setenv(BASE, sink.endpoint)
        monkeypatch.setenv(LOGS, f"http://127.0.0.1:{free_port()}/v1/logs")
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
        assert main(["doctor"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{sink.endpoint}/v1/metrics accepts metrics" in shown
    assert "/v1/logs" in shown
    assert "OTLP: traces are not exported" in shown
