"""The peers: what they are called, whose they are, and what an operator gets from them. Ids (module names) are permanent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """A line of the table.

    Attributes:
        id: name of its module and of its requirements.
        name: for people.
        distribution: the distribution whose version is reported.
        modules: what a user of it imports.
        delivers: the signals that arrive, and those that do not.
        briefly: the same for the README.
    """

    id: str
    name: str
    distribution: str
    modules: tuple[str, ...]
    delivers: str
    briefly: str


BARE = Peer("bare", "bare call", "numpy", (), "nothing", "nothing")
OURS = Peer(
    "radiosonde_all",
    "Radiosonde",
    "radiosonde",
    ("radiosonde",),
    "calls, errors, duration by phase, classes, confidence; 14 cells per feature (edges learned from the first 1 000 rows); sketches of "
    "quantiles, distinct and frequent values; predictions that labels can join; over OTLP, Prometheus and in a store. No spans: no "
    "tracer is set",
    "the signals; 14 cells and sketches a feature",
)
PEERS = (
    BARE,
    OURS,
    Peer(
        "opentelemetry_by_hand",
        "OpenTelemetry by hand",
        "opentelemetry-sdk",
        (
            "opentelemetry.metrics",
            "opentelemetry.sdk.metrics",
            "opentelemetry.exporter.otlp.proto.http.metric_exporter",
        ),
        "calls, errors, duration, classes, confidence; 12 buckets per feature, edges written by hand; over OTLP. No missing or unseen "
        "values, sketches, phases or labels",
        "the signals; 12 buckets a feature",
    ),
    Peer(
        "prometheus_by_hand",
        "prometheus-client by hand",
        "prometheus-client",
        ("prometheus_client",),
        "calls, errors, duration, classes, confidence; 12 buckets per feature, edges written by hand; to be scraped. No missing or "
        "unseen values, sketches, phases or labels",
        "the signals; 12 buckets a feature",
    ),
    Peer(
        "whylogs_rolling",
        "whylogs, rolling logger",
        "whylogs",
        ("whylogs",),
        "profiles in files: counts, types, missing, quantiles, distinct and frequent values of features, class, confidence and "
        "duration. No errors, no confidence by class, no OTLP or scrape",
        "sketches a column, in files; no errors",
    ),
    Peer(
        "logfire_instrument",
        "Logfire `@instrument`",
        "logfire",
        ("logfire",),
        "a span per call: duration, error, the row as an attribute; over OTLP. No answers; nothing is counted or binned, that is left "
        "to a backend",
        "a span a call, with its row; no counts",
    ),
)
