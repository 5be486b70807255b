from __future__ import annotations

import gzip
import http.client
import io
import socket
from contextlib import contextmanager
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest, start_http_server
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from radiosonde.export.prometheus import PrometheusCollector, metrics_app, serve
from radiosonde.model import Exemplar
from radiosonde.semconv.catalogue import METRICS
from radiosonde.semconv.definition import MetricDefinition
from radiosonde.semconv.prometheus import prometheus_name
from tests.factories import (
    START_NS,
    make_full_snapshot,
)

PROMETHEUS_ACCEPT = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


@pytest.fixture
def collector():
    """Return a collector over a snapshot that has something of everything."""
    seen = make_full_snapshot({1: Exemplar(0.004, START_NS, 1, 2)})
    return PrometheusCollector(lambda: seen)


def traced(exemplar) -> tuple:
    """Return an exemplar in a form that compares: the ways of writing its time differ in trailing zeros."""
    return (tuple(sorted(exemplar.labels.items())), exemplar.value, float(exemplar.timestamp)) if exemplar else ()


def samples(families) -> set:
    """Return all samples of parsed families in a form that compares."""
    return {
        (
            found.name,
            found.type,
            found.documentation,
            s.name,
            tuple(sorted(s.labels.items())),
            s.value,
            traced(s.exemplar),
        )
        for found in families
        for s in found.samples
    }


def test_registry_and_rendered_text_say_the_same(collector):
    """A user's own registry and our applications expose the same families and samples, exemplars included."""
    registry = CollectorRegistry()
    registry.register(collector)
    rendered, generated = collector.render().decode(), generate_latest(registry).decode()
    assert samples(parse_text(rendered)) == samples(parse_text(generated))
    rendered = collector.render(openmetrics=True).decode()
    generated = generate_openmetrics(registry).decode()
    ours, theirs = samples(parse_openmetrics(rendered)), samples(parse_openmetrics(generated))
    assert ours == theirs
    assert sum(bool(item[-1]) for item in ours) == 1


def test_registering_takes_no_snapshot():
    """A collector can be registered before there is anything to count."""

    def never() -> None:
        raise AssertionError("asked for a snapshot")

    registry = CollectorRegistry(auto_describe=True)
    registry.register(PrometheusCollector(never))
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Counter("radiosonde_prediction_calls", "Taken.", registry=registry)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (PROMETHEUS_ACCEPT, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text;q=0.0", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text; version=2.0.0", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;;q", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
def test_the_format_is_negotiated(collector, accept, content_type):
    """OpenMetrics is served on request and the classic text otherwise."""
    body, given = collector.respond(accept)
    assert given == content_type
    assert body.endswith(b"# EOF\n") == content_type.startswith("application")


def test_the_wsgi_application_answers_a_scrape(collector):
    """The application keeps to WSGI and gives the rendered text."""
    environ = {"HTTP_ACCEPT": PROMETHEUS_ACCEPT, "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    environ["wsgi.errors"] = io.StringIO()
    started = []
    answer = validator(metrics_app(collector))(environ, lambda status, headers, *_: started.append((status, headers)))
    body = b"".join(answer)
    answer.close()
    ((status, headers),) = started
    assert status == "200 OK"
    assert dict(headers)["Content-Type"].startswith("application/openmetrics-text")
    assert body == collector.render(openmetrics=True)


def _has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@contextmanager
def served(collector, *host):
    """Serve a collector; yield the server."""
    server, thread = serve(collector, 0, *host)
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def fetch(server, host, query="", method="GET", **headers):
    """Return status, headers and body of a request."""
    connection = http.client.HTTPConnection(host, server.server_port, timeout=60)
    try:
        connection.request(method, f"/metrics{query}", headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_serve_listens_on_this_machine_alone(collector):
    """The rendered page is served, on 127.0.0.1 unless another address is given."""
    with served(collector) as server:
        assert server.server_address[0] == "127.0.0.1"
        assert fetch(server, "127.0.0.1")[2] == collector.render()


@pytest.mark.parametrize(
    ("host", "asked"),
    [("0.0.0.0", "127.0.0.2"), ("127.0.0.3", "127.0.0.3"), ("::1", "::1"), ("localhost", "localhost")],
)
def test_serve_listens_where_it_is_told(collector, host, asked):
    """On every address, on one, on one of version 6, by name."""
    if ":" in host and not _has_ipv6():
        pytest.skip("this machine has no address of version 6")
    with served(collector, host) as server:
        assert fetch(server, asked)[2] == collector.render()


def test_a_scrape_is_packed_where_the_scraper_takes_it(collector):
    """By gzip, and not unasked; OpenMetrics as well."""
    accept = {"Accept": PROMETHEUS_ACCEPT, "Accept-Encoding": "gzip"}
    with served(collector) as server:
        _, headers, body = fetch(server, "127.0.0.1", **accept)
        assert (headers["Content-Encoding"], gzip.decompress(body)) == ("gzip", collector.render(openmetrics=True))
        assert "Content-Encoding" not in fetch(server, "127.0.0.1")[1]


def test_what_else_prometheus_client_answers_is_answered(collector):
    """A choice of names, OPTIONS, and methods that are none: as its own application does."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    own, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        with served(collector) as server:
            for query, method in (
                ("?name[]=radiosonde_prediction_calls_total", "GET"),
                ("?name%5B%5D=nothing", "GET"),
                ("", "OPTIONS"),
                ("", "PUT"),
            ):
                status, _, body = fetch(server, "127.0.0.1", query, method)
                expected = fetch(own, "127.0.0.1", query, method)
                assert (status, body) == (expected[0], expected[2])
    finally:
        own.shutdown()
        own.server_close()
        thread.join(10)


@pytest.mark.parametrize(
    ("name", "instrument", "unit", "expected"),
    [
        ("radiosonde.prediction.duration", "histogram", "s", ("radiosonde_prediction_duration_seconds", "histogram", "seconds")),
        ("radiosonde.prediction.calls", "counter", "{call}", ("radiosonde_prediction_calls", "counter", "")),
        ("radiosonde.sdk.exported", "counter", "By", ("radiosonde_sdk_exported_bytes", "counter", "bytes")),
        ("radiosonde.sdk.sampling.ratio", "gauge", "1", ("radiosonde_sdk_sampling_ratio", "gauge", "ratio")),
        ("radiosonde.share", "gauge", "1", ("radiosonde_share_ratio", "gauge", "ratio")),
        ("radiosonde.sum", "counter", "1", ("radiosonde_sum", "counter", "")),
    ],
)  # fmt: skip
def test_names_are_translated_as_opentelemetry_prescribes(name, instrument, unit, expected):
    """Dots, units and kinds become Prometheus' own."""
    assert prometheus_name(MetricDefinition(name, instrument, unit, "", ())) == expected


def test_no_two_metrics_share_a_name_in_prometheus():
    """The translation of the registry has no clash, sample suffixes included."""
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
    names = [
        found.family + suffix for found in map(prometheus_name, METRICS.values()) for suffix in suffixes[found.kind]
    ]
    assert sorted(names) == sorted(set(names))


def test_exported_attributes_are_those_of_the_registry(collector):
    """Every label of every sample is listed for its metric in the registry, and every required one is there."""
    from radiosonde.export.builder import BlockBuilder

    blocks = BlockBuilder().build(collector._snapshot())
    optional = {"otel.metric.overflow", "radiosonde.process"}
    for name, family in blocks.families.items():
        for block in family:
            for row in block.labels.rows:
                listed = set(METRICS[name].attributes)
                assert listed - optional <= set(dict(row)) <= listed, name
