"""How OTLP requests travel: TLS, proxies, retries, connections that are kept, credentials. Real servers on 127.0.0.1."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from base64 import b64encode
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from radiosonde._settings import Destination, otlp_destination
from radiosonde.export.otlp import OtlpExporter
from radiosonde.export.otlp_sender import make_sender
from tests.e2e._receivers import free_port
from tests.factories import make_snapshot, make_window
from tests.http_server import Handler, http_server

CERTIFICATES = Path(__file__).parent / "certificates"
"""Of an authority made for these tests, whose key is gone, and a server's and a client's, each with its key."""
AUTHORITY, SERVER, CLIENT = (str(CERTIFICATES / f"{name}.pem") for name in ("authority", "server", "client"))
BASIC = "Basic " + b64encode(b"me:p@ss").decode()


@contextmanager
def server(*statuses, headers=None, tls=None, hang_up=False):
    """Respond with these statuses, then with 200; yield the port and the requests: (method, path, headers, body).

    With *hang_up* each connection is closed after an answer that promises to keep it.
    """
    asked, left = [], list(statuses)

    class Backend(Handler):
        def respond(self):
            asked.append((self.command, self.path, lower(self.headers), self.body()))
            if self.command == "CONNECT":
                self.tunnel()
                return
            self.answer(left.pop(0) if left else 200, **(headers or {}))
            self.close_connection = hang_up

        def tunnel(self):
            host, port = self.path.split(":")
            self.send_response(200)
            self.end_headers()
            with socket.create_connection((host, int(port))) as there:
                back = threading.Thread(target=relay, args=(there, self.connection))
                back.start()
                relay(self.connection, there)
                back.join(30)
            self.close_connection = True

    with http_server(Backend, tls=tls) as found:
        yield found.server_port, asked


def lower(headers):
    """Return headers by their names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


def relay(from_, to):
    """Hand on bytes until there are no more."""
    with suppress(OSError):
        while part := from_.recv(65_536):
            to.sendall(part)
    with suppress(OSError):
        to.shutdown(socket.SHUT_WR)


def tls_of_server(*, asks_client=False):
    """Return the TLS of a server, which may ask for the client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SERVER)
    if asks_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(AUTHORITY)
    return context


@contextmanager
def sender(endpoint, **options):
    """Yield what sends to an address."""
    found = make_sender(Destination("metrics", endpoint, **{"timeout_s": 30.0, **options}))
    try:
        yield found
    finally:
        found.close()


@pytest.mark.parametrize("certificate", [AUTHORITY, None], ids=["trusted", "not trusted"])
def test_a_certificate_is_trusted_only_if_it_is_named(certificate):
    """A backend with an unknown authority gets nothing; there is no retry, and the reason names the certificate."""
    with (
        server(tls=tls_of_server()) as (port, asked),
        sender(f"https://localhost:{port}/v1/metrics", certificate=certificate) as to,
    ):
        delivery = to.send(b"abc")
    assert delivery.ok is bool(certificate)
    assert [body for *_, body in asked] == [b"abc"] * delivery.ok
    assert delivery.ok or "certificate" in delivery.fault


def test_a_certificate_is_for_its_host():
    """A certificate that is trusted, but of another host, is refused."""
    with socket.create_server(("127.0.0.2", 0)) as listener:  # the certificate names 127.0.0.1
        port = listener.getsockname()[1]

        def answer():
            with suppress(OSError):
                tls_of_server().wrap_socket(listener.accept()[0], server_side=True).close()

        thread = threading.Thread(target=answer)
        thread.start()
        with sender(f"https://127.0.0.2:{port}/v1/metrics", certificate=AUTHORITY) as to:
            delivery = to.send(b"abc")
        thread.join(30)
    assert not delivery.ok
    assert "127.0.0.2" in delivery.fault


@pytest.mark.parametrize("client", [CLIENT, None], ids=["with a certificate", "without one"])
def test_a_client_certificate_is_shown(client):
    """A backend that requires one gets it, and accepts nothing without it."""
    with (
        server(tls=tls_of_server(asks_client=True)) as (port, asked),
        sender(f"https://127.0.0.1:{port}/", certificate=AUTHORITY, client_certificate=client, timeout_s=1.5) as to,
    ):
        assert to.send(b"abc").ok is bool(client)
    assert len(asked) == bool(client)


@pytest.mark.parametrize("name", ["certificate", "client_certificate"])
def test_a_certificate_that_cannot_be_read_is_said(tmp_path, name):
    """At once, without a retry, in words that name the variable."""
    with sender("https://127.0.0.1:9/", **{name: str(tmp_path / "none.pem")}) as to:
        delivery = to.send(b"abc")
    assert not delivery.ok
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in delivery.fault


@pytest.mark.parametrize(
    ("variable", "proxy", "said"),
    [
        ("HTTP_PROXY", "http://127.0.0.1:{port}", None),
        ("http_proxy", "127.0.0.1:{port}", None),
        ("ALL_PROXY", "http://me:p%40ss@127.0.0.1:{port}", BASIC),
    ],
)
def test_requests_go_through_the_proxy_that_the_environment_names(monkeypatch, variable, proxy, said):
    """The proxy is asked for the whole address, with its own name and password; the backend's host need not be known here."""
    with server() as (port, asked):
        monkeypatch.setenv(variable, proxy.format(port=port))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.invalid:4318")
        exporter = OtlpExporter()
        result = exporter.export_metrics(make_snapshot(make_window()))
        exporter.shutdown()
    assert result.ok, result.error
    ((_, path, headers, _),) = asked
    assert (path, headers["host"]) == ("http://collector.invalid:4318/v1/metrics", "collector.invalid:4318")
    assert headers.get("proxy-authorization") == said


@pytest.mark.parametrize("value", ["127.0.0.1", "*", "localhost,127.0.0.1"])
def test_a_host_may_be_excepted_from_the_proxy(monkeypatch, value):
    """`NO_PROXY` names hosts that are contacted directly."""
    with server() as (port, asked):
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
        monkeypatch.setenv("NO_PROXY", value)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"http://127.0.0.1:{port}/v1/metrics")
        with closing(make_sender(otlp_destination("metrics"))) as to:
            assert to.send(b"abc").ok
    assert [path for _, path, *_ in asked] == ["/v1/metrics"]


def test_tls_goes_through_a_tunnel(monkeypatch):
    """Behind a proxy the certificate is still the backend's, and the proxy sees none of the request."""
    with server(tls=tls_of_server()) as (port, asked), server() as (proxy, tunnels):
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@127.0.0.1:{proxy}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"https://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", AUTHORITY)
        with closing(make_sender(otlp_destination("traces"))) as to:
            delivery = to.send(b"abc")
    assert delivery.ok, delivery.fault
    assert [(path, body) for _, path, _, body in asked] == [("/v1/traces", b"abc")]
    ((method, path, headers, _),) = tunnels
    assert (method, path, headers.get("proxy-authorization")) == ("CONNECT", f"127.0.0.1:{port}", BASIC)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "ftp://127.0.0.1:21"])
def test_a_proxy_that_is_not_supported_is_said(monkeypatch, proxy):
    """No request goes around it."""
    with server() as (port, asked):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        with closing(make_sender(otlp_destination("logs"))) as to:
            delivery = to.send(b"abc")
    assert not delivery.ok
    assert "proxy" in delivery.fault
    assert not asked


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize("after", ["0", "Mon, 01 Jan 2001 00:00:00 GMT", None])
def test_what_may_succeed_later_is_tried_again(monkeypatch, status, after):
    """The same body is sent again, after the wait requested by the backend."""
    monkeypatch.setattr("radiosonde.export.otlp_sender.random.uniform", lambda *_: 0.01)
    with (
        server(status, headers={"Retry-After": after} if after else None) as (port, asked),
        sender(f"http://127.0.0.1:{port}/v1/logs") as to,
    ):
        assert to.send(b"abc").ok
    assert [body for *_, body in asked] == [b"abc", b"abc"]


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500, 501])
def test_what_will_not_succeed_is_not_tried_again(status):
    """One request, and its status is the reason."""
    with server(status) as (port, asked), sender(f"http://127.0.0.1:{port}/v1/logs") as to:
        delivery = to.send(b"abc")
    assert (delivery.ok, delivery.fault, delivery.is_answered) == (False, f"HTTP {status}", True)
    assert len(asked) == 1


def test_a_wait_that_is_longer_than_there_is_time_ends_the_export():
    """`Retry-After` beyond the timeout is not waited for."""
    with server(503, headers={"Retry-After": "3600"}) as (port, asked), sender(f"http://127.0.0.1:{port}/") as to:
        assert not to.send(b"abc").ok
    assert len(asked) == 1


def test_a_connection_is_kept():
    """Requests that follow each other use one connection, and one that the backend has closed meanwhile is reopened at once."""
    for hang_up, expected in ((False, 1), (True, 3)):
        with server(hang_up=hang_up) as (port, asked), sender(f"http://127.0.0.1:{port}/v1/metrics") as to:
            connections = set()
            for _ in range(3):
                assert to.send(b"abc").ok
                connections.add(id(to._transport._connection.sock))
                kept = to._transport._connection.sock  # so that no id is used twice
                connections.add(id(kept))
                if hang_up:
                    assert kept.recv(1, socket.MSG_PEEK) == b""  # it has been closed by now
        assert len(asked) == 3
        if not hang_up:
            assert len(connections) == expected


@pytest.mark.parametrize(
    "part", [b"HTTP/1.1 200 OK\r\nX-Drip: ", b"HTTP/1.1 ", b""], ids=["headers", "status", "nothing"]
)
def test_an_answer_that_trickles_ends_with_the_timeout(part):
    """A byte now and then, within the status, the headers or not at all: the deadline is for the whole answer."""
    stop = threading.Event()

    def drip(connection):
        with connection, suppress(OSError):
            connection.sendall(part)
            while not stop.wait(0.02):
                connection.sendall(b"x" if part else b"")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: drip(listener.accept()[0]))
        thread.start()
        with sender(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout_s=0.3) as to:
            delivery = to.send(b"abc")
        stop.set()
        thread.join(30)
    assert (delivery.ok, delivery.is_answered) == (False, False)


@pytest.mark.parametrize(
    ("endpoint", "path", "said"),
    [
        ("http://127.0.0.1:{port}/a b/ü?key=1&x=y", "/a%20b/%C3%BC?key=1&x=y", None),
        ("http://me:p%40ss@127.0.0.1:{port}/v1/metrics", "/v1/metrics", BASIC),
        ("http://127.0.0.1:{port}", "/", None),
    ],
)
def test_an_address_means_what_it_says(endpoint, path, said):
    """What has to be escaped in a path is, and a name and password are sent as such and nowhere else."""
    with server() as (port, asked), sender(endpoint.format(port=port)) as to:
        assert to.send(b"").ok
    ((_, found, headers, _),) = asked
    assert (found, headers.get("authorization")) == (path, said)


@pytest.mark.parametrize(
    "endpoint", ["collector:4318", "ftp://127.0.0.1/", "http://", "http://127.0.0.1:port/", "http://a b/"]
)
def test_what_is_no_address_is_said(endpoint):
    """At once, and without a retry."""
    with sender(endpoint) as to:
        delivery = to.send(b"abc")
    assert not delivery.ok
    assert delivery.fault


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Destination("logs", "http://localhost:4318/v1/logs")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1/"}, Destination("logs", "http://c:1/v1/logs")),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://c/x"}, Destination("logs", "http://c/x")),
        (
            {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b,Tenant=t", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "2.5"},
            Destination("logs", "http://localhost:4318/v1/logs", {"api-key": "a b", "tenant": "t"}, 2.5),
        ),
        (
            {"OTEL_EXPORTER_OTLP_TIMEOUT": "soon", "OTEL_EXPORTER_OTLP_COMPRESSION": "brotli", "SSL_CERT_FILE": "x"},
            Destination("logs", "http://localhost:4318/v1/logs"),
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_COMPRESSION": "GZIP",
                "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION": "deflate",
                "no_proxy": "*",
            },
            Destination("logs", "http://localhost:4318/v1/logs", compression="deflate", may_have_proxy=True),
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_CERTIFICATE": "a.pem",
                "OTEL_EXPORTER_OTLP_CLIENT_KEY": "k",
                "REQUESTS_CA_BUNDLE": "b",
            },
            Destination("logs", "http://localhost:4318/v1/logs", certificate="a.pem", client_key="k"),
        ),
    ],
)
def test_a_destination_is_what_the_variables_say(monkeypatch, variables, expected):
    """Those of the signal are stronger than the common ones, and values that OpenTelemetry does not define are ignored."""
    monkeypatch.setattr(sys, "platform", "linux")
    assert otlp_destination("logs", variables) == expected


PROVIDER = """
import requests

class Session(requests.Session):
    def request(self, method, url, **options):
        options["headers"] = {**options["headers"], "authorization": "Bearer token"}
        return super().request(method, url, **options)
"""


@pytest.mark.parametrize("variable", ["", "METRICS_"])
def test_a_credential_provider_is_asked(monkeypatch, tmp_path, variable):
    """The session that a plug-in makes carries the request, and its answers are judged like others."""
    (tmp_path / "tokens_of_tests.py").write_text(PROVIDER)
    info = tmp_path / "tokens-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tokens\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[opentelemetry_otlp_credential_provider]\ntokens = tokens_of_tests:Session\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(f"OTEL_PYTHON_EXPORTER_OTLP_HTTP_{variable}CREDENTIAL_PROVIDER", "tokens")
    with server(200, 302) as (port, asked):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        exporter = OtlpExporter()
        results = [exporter.export_metrics(make_snapshot(make_window())) for _ in range(2)]
        exporter.shutdown()
    assert [result.ok for result in results] == [True, False]
    assert "redirect" in results[1].error
    assert {headers["authorization"] for _, _, headers, _ in asked} == {"Bearer token"}
    ExportMetricsServiceRequest.FromString(asked[0][3])


def test_a_credential_provider_that_is_not_there_is_said(monkeypatch):
    """Nothing is sent without its credentials."""
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER", "none-of-that-name")
    exporter = OtlpExporter()
    result = exporter.export_metrics(make_snapshot(make_window()))
    exporter.shutdown()
    assert not result.ok
    assert "none-of-that-name" in result.error
