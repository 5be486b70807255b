"""Prometheus: one collector, three ways to the scrape.

* `metrics_app`: a WSGI application, which also supports protobuf for native histograms (`radiosonde.export.protobuf`); the fast way,
  because the text is rendered from kept prefixes (`radiosonde.export.exposition`).
* `PrometheusCollector.collect`: prometheus-client's protocol, for a custom registry.
* `serve`: prometheus-client's own HTTP server, with `metrics_app`.

All use the same blocks. The multiprocess mode of prometheus-client does not support custom collectors; for it the same blocks are written
into its files (`radiosonde.export.multiprocess`).
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, make_wsgi_app, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as PrometheusExemplar

from radiosonde.export.blocks import Distribution, Scalars
from radiosonde.export.builder import BlockBuilder
from radiosonde.export.cardinality import MAX_SERIES
from radiosonde.export.exposition import (
    OPENMETRICS,
    TEXT,
    bound_text,
    exemplar_labels,
    label_pairs,
    render,
    sample_suffix,
)
from radiosonde.export.protobuf import PROTOBUF, render_protobuf
from radiosonde.export.snapshot import Snapshot
from radiosonde.semconv.catalogue import METRICS
from radiosonde.semconv.prometheus import prometheus_name

if TYPE_CHECKING:
    from threading import Thread
    from wsgiref.simple_server import WSGIServer
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class PrometheusCollector(Collector):
    """Telemetry of this process in Prometheus' terms.

    Args:
        snapshot: called at every scrape, in the thread of the scrape.
        max_series: time series per scrape, see `radiosonde.export.cardinality`.
    """

    def __init__(self, snapshot: Callable[[], Snapshot], *, max_series: int = MAX_SERIES) -> None:
        self._snapshot = snapshot
        self._builder = BlockBuilder(max_series)

    def render(self, *, openmetrics: bool = False) -> bytes:
        """Return the exposition: OpenMetrics with exemplars, or the classic text."""
        return render(self._builder.build(self._snapshot()), openmetrics=openmetrics)

    def respond(self, accept: str = "") -> tuple[bytes, str]:
        """Return body and content type for the *accept* header of a scrape."""
        if _prefers_protobuf(accept):
            return render_protobuf(self._builder.build(self._snapshot())), PROTOBUF
        openmetrics = _accepts_openmetrics(accept)
        return self.render(openmetrics=openmetrics), OPENMETRICS if openmetrics else TEXT

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families for prometheus-client's registry."""
        for family in self._builder.build(self._snapshot()).families.values():
            name = prometheus_name(family[0].metric)
            metric = Metric(name.family, family[0].metric.brief, name.kind, name.unit)
            for block in family:
                if isinstance(block, Scalars):
                    sample = name.family + sample_suffix(name)
                    for row, value in zip(block.labels.rows, block.values, strict=True):
                        metric.add_sample(sample, label_pairs(row), value)
                else:
                    _add_histogram(metric, block)
            yield metric

    def describe(self) -> Iterator[Metric]:
        """Yield the families without samples, so that registering takes no snapshot."""
        for definition in METRICS.values():
            name = prometheus_name(definition)
            yield Metric(name.family, definition.brief, name.kind, name.unit)


def metrics_app(collector: PrometheusCollector) -> WSGIApplication:
    """Return a WSGI application that answers scrapes.

    A ``GET`` of all metrics is rendered from cached prefixes and compressed at zlib's fastest level, if the scraper accepts gzip. All other
    requests (``name[]=``, other methods, ``/favicon.ico``) are left to prometheus-client's own application.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    other: WSGIApplication = make_wsgi_app(registry)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        is_whole = "name" not in environ.get("QUERY_STRING", "") and environ.get("PATH_INFO", "") != "/favicon.ico"
        if environ["REQUEST_METHOD"] != "GET" or not is_whole:
            return other(environ, start_response)
        body, content_type = collector.respond(environ.get("HTTP_ACCEPT", ""))
        headers = [("Content-Type", content_type)]
        if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
            body = gzip.compress(body, 1)
            headers.append(("Content-Encoding", "gzip"))
        start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
        return [body]

    return application


def serve(collector: PrometheusCollector, port: int, host: str = "127.0.0.1") -> tuple[WSGIServer, Thread]:
    """Serve ``/metrics`` on a thread of prometheus-client; end it with ``server.shutdown()`` and ``server_close()``.

    Args:
        collector: the collector to serve.
        port: TCP port; 0 takes a free one, see ``server.server_port``.
        host: address to listen on; the default admits this machine only.

    Raises:
        OSError: the port is taken.
    """
    server, thread = start_http_server(port, addr=host, registry=CollectorRegistry(auto_describe=False))
    server.set_app(metrics_app(collector))  # before the port is known to anyone
    return server, thread


def _add_histogram(metric: Metric, block: Distribution) -> None:
    (row,) = block.labels.rows
    labels = label_pairs(row)
    cumulative = 0
    for bucket, count in enumerate(block.counts):
        cumulative += count
        bound = block.labels.edges[bucket] if bucket < len(block.labels.edges) else float("inf")
        found = block.exemplars.get(bucket)
        exemplar = found and PrometheusExemplar(exemplar_labels(found), found.value_s, found.time_ns / 1e9)
        pairs = {**labels, "le": bound_text(bound)}
        metric.add_sample(f"{metric.name}_bucket", pairs, cumulative, exemplar=exemplar)
    metric.add_sample(f"{metric.name}_count", labels, cumulative)
    metric.add_sample(f"{metric.name}_sum", labels, block.total)


def _prefers_protobuf(accept: str) -> bool:
    """Return whether a scraper prefers delimited protobuf, as those with native histograms do."""
    best, asked = 0.0, 0.0
    for choice in accept.split(","):
        media, *parameters = (part.strip() for part in choice.split(";"))
        given = dict(parameter.partition("=")[::2] for parameter in parameters)
        try:
            quality = float(given.get("q", "1"))
        except ValueError:
            continue
        if media == "application/vnd.google.protobuf" and given.get("encoding") == "delimited":
            asked = max(asked, quality)
        else:
            best = max(best, quality)
    return asked > 0 and asked >= best


def _accepts_openmetrics(accept: str) -> bool:
    """Return whether a scraper accepts OpenMetrics 1.0; a quality of zero refuses it."""
    for choice in accept.split(","):
        media, *parameters = (part.strip() for part in choice.split(";"))
        if media != "application/openmetrics-text":
            continue
        given = dict(parameter.partition("=")[::2] for parameter in parameters)
        if given.get("version", "1.0.0") in {"1.0.0", "0.0.1"} and given.get("q", "1").strip("0."):
            return True
    return False
