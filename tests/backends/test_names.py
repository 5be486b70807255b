"""One name on every road, over all series of the lab: what a scrape shows is what a collector has written, by the documented translation."""

from __future__ import annotations

import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.e2e.test_names_on_every_road import Samples, translated_name

NS = 10**9


def written(engines: Any, table: str, kind: str) -> Samples:
    """Return the samples that the last exports are in Prometheus, of one kind."""
    monotonic = "IsMonotonic" if kind == "sum" else "false"
    bounds = "ExplicitBounds" if kind == "histogram" else "[]"
    found = engines.clickhouse.rows(
        f"SELECT DISTINCT MetricName, MetricUnit, Attributes, {monotonic} AS monotonic, {bounds} AS bounds "
        f"FROM {table} WHERE toUnixTimestamp64Nano(TimeUnix) = {engines.lab.end_ns}"
    )
    samples: Samples = set()
    for row in found:
        name = translated_name(row["MetricName"], row["MetricUnit"], kind, is_monotonic=bool(row["monotonic"]))
        labels = {re.sub(r"[^a-zA-Z0-9_]", "_", key): value for key, value in row["Attributes"].items()}
        if kind != "histogram":
            samples.add((name, frozenset(labels.items())))
            continue
        samples |= {(f"{name}_{part}", frozenset(labels.items())) for part in ("count", "sum")}
        for bound in (*row["bounds"], float("inf")):
            samples.add((f"{name}_bucket", frozenset({**labels, "le": repr(float(bound))}.items())))
    return samples


def scraped(engines: Any) -> Samples:
    """Return the samples of the last scrapes of both replicas, without the labels of a scrape."""
    last = f" {engines.lab.end_ns // NS}"
    lines = [
        line.removesuffix(last)
        for page in engines.lab.folder.glob("pages-*.txt")
        for line in page.read_text().splitlines()
        if line.endswith(last)
    ]
    return {
        (
            sample.name,
            frozenset(
                (name, repr(float(value)) if name == "le" else value)
                for name, value in sample.labels.items()
                if name not in {"job", "instance"}
            ),
        )
        for family in parse_text("\n".join(lines) + "\n")
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("kind", "table"),
    [("sum", "otel_metrics_sum"), ("gauge", "otel_metrics_gauge"), ("histogram", "otel_metrics_histogram")],
)
def test_what_is_written_is_scraped(engines, kind, table):
    """Every series that is in ClickHouse at the last export is on the page at the last scrape."""
    found = written(engines, table, kind)
    assert len(found) > 10
    assert found - scraped(engines) == set()


def test_what_is_scraped_is_written(engines):
    """No series is on the page alone."""
    kinds = {"sum": "otel_metrics_sum", "gauge": "otel_metrics_gauge", "histogram": "otel_metrics_histogram"}
    found = {sample for kind, table in kinds.items() for sample in written(engines, table, kind)}
    assert scraped(engines) - found == set()
