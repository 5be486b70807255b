"""One name on every road: what a scrape shows and what OTLP becomes in a Prometheus are the same samples.

The translation is written here once more, from OpenTelemetry's specification ("Prometheus and OpenMetrics compatibility") and not from
our code. Where VictoriaMetrics is installed in a version that knows ``-opentelemetry.usePrometheusNaming``, it is asked as well.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from radiosonde.export.builder import BlockBuilder
from radiosonde.export.exposition import render
from radiosonde.export.otlp import OtlpExporter
from radiosonde.export.snapshot import Snapshot
from radiosonde.model import SeriesKey
from radiosonde.semconv import attributes as attribute_names
from radiosonde.semconv.catalogue import METRICS
from tests.e2e._receivers import attributes, free_port, otlp_sink, running, wait_for
from tests.e2e.test_restarted_replica import REFERENCES, windows
from tests.factories import make_durations, make_runtime, make_snapshot, make_watched, make_window

UNITS = {"s": "seconds", "By": "bytes", "ms": "milliseconds", "m": "meters"}
Samples = set[tuple[str, frozenset[tuple[str, str]]]]


def everything() -> Snapshot:
    """Return a snapshot with some of each metric, cohorts and the overflow among them."""
    snapshot = make_snapshot(
        *windows(3),
        make_window(SeriesKey("delays", "1", "canary", "carrier=UA,plan=pro")),
        make_window(SeriesKey("delays", "1", "stable", "__overflow__"), errors={"ValueError": 1}),
        make_window(SeriesKey("GET /fares/{id}", "", "stable", "")),
        references={
            **REFERENCES,
            ("delays", "1"): replace(
                REFERENCES["delays", "1"],
                output=replace(
                    REFERENCES["delays", "1"].output,
                    predicted_counts=(3, 4),
                    score_label_counts=((0,) * 18 + (3, 1), (0,) * 18 + (0, 4)),
                ),
            ),
        },
        losses={"ring_overwritten": 1}, labels={"joined": 2}, exports={"otlp.metrics": 3}, guarded={"fold": 4},
    )  # fmt: skip
    durations = make_durations([0.1])
    runtime = make_runtime(gpu_bytes=3, loop_lags=durations, pool_waits=durations)
    return replace(snapshot, runtime=runtime, watched=make_watched())


def scraped(snapshot: Snapshot) -> Samples:
    """Return the samples of a scrape, by name and labels; bounds as numbers, because they are written in two ways."""
    page = render(BlockBuilder().build(snapshot), openmetrics=False).decode()
    return {
        (
            sample.name,
            frozenset((name, _bound(value) if name == "le" else value) for name, value in sample.labels.items()),
        )
        for family in parse_text(page)
        for sample in family.samples
    }


def _bound(text: str) -> str:
    return repr(float(text))


def translated_name(name: str, unit: str, kind: str, *, is_monotonic: bool) -> str:
    """Return the name of a metric in Prometheus, by the specification."""
    name = re.sub(r"[^a-zA-Z0-9_:]", "_", name)
    written = UNITS.get(unit, "" if unit.startswith("{") or unit == "1" else unit)
    if written and written not in name.split("_"):
        name = f"{name}_{written}"
    if is_monotonic and not name.endswith("_total"):
        name = f"{name}_total"
    if kind == "gauge" and unit == "1" and not name.endswith("_ratio"):
        name = f"{name}_ratio"
    return name


def translated(metric: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the samples of an OTLP metric, by the specification."""
    kind = metric.WhichOneof("data")
    name = translated_name(metric.name, metric.unit, kind, is_monotonic=kind == "sum" and metric.sum.is_monotonic)
    for point in getattr(metric, kind).data_points:
        labels = {
            re.sub(r"[^a-zA-Z0-9_]", "_", key): _text(value) for key, value in attributes(point.attributes).items()
        }
        if kind != "histogram":
            yield name, labels
            continue
        yield f"{name}_count", labels
        if point.HasField("sum"):
            yield f"{name}_sum", labels
        for bound in (*point.explicit_bounds, np.inf):
            yield f"{name}_bucket", {**labels, "le": repr(float(bound))}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def exported(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the metrics that a receiver of OTLP gets, by name."""
    with otlp_sink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint)
        exporter = OtlpExporter()
        assert exporter.export_metrics(snapshot).ok
        exporter.shutdown()
        return sink.metrics()


def test_a_scrape_and_the_translation_of_otlp_are_the_same_samples(monkeypatch):
    """Every sample of every metric, by name and by labels; no metric is left out of the comparison."""
    snapshot = everything()
    found = exported(snapshot, monkeypatch)
    assert METRICS.keys() == found.keys()
    by_rule = {(name, frozenset(labels.items())) for metric in found.values() for name, labels in translated(metric)}
    assert by_rule == scraped(snapshot)


def test_what_is_no_histogram_has_none_of_its_suffixes():
    """A counter that ends in `_count` or a gauge that ends in `_sum` is taken for a part of a histogram by every reader."""
    for metric in METRICS.values():
        assert not re.search(r"[._](sum|count|bucket|total|info_total)$", metric.name), metric.name
        assert metric.instrument == "gauge" or metric.unit != "1" or metric.instrument == "histogram", metric.name


def test_promtool_has_nothing_to_say(require_program):
    """The lint of Prometheus over a page with some of each metric."""
    page = render(BlockBuilder().build(everything()), openmetrics=False)
    ran = subprocess.run(
        [require_program("promtool"), "check", "metrics"], input=page, capture_output=True, timeout=120, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


def test_victoriametrics_makes_the_same_samples_of_otlp(monkeypatch, tmp_path):
    """A real reader of OTLP that names as Prometheus does; labels of the resource aside."""
    program = shutil.which("victoria-metrics")
    if program is None or b"opentelemetry.usePrometheusNaming" not in subprocess.run([program, "-help"], capture_output=True, check=False).stdout:  # fmt: skip
        pytest.skip("no VictoriaMetrics that knows -opentelemetry.usePrometheusNaming (1.107 and later)")
    port, snapshot = free_port(), replace(everything(), start_ns=time.time_ns() - 10**9, time_ns=time.time_ns())
    base = f"http://127.0.0.1:{port}"
    command = [
        program,
        "-opentelemetry.usePrometheusNaming",
        f"-storageDataPath={tmp_path / 'vm'}",
        f"-httpListenAddr=127.0.0.1:{port}",
    ]
    with running(command, tmp_path / "vm.log"):
        wait_for(lambda: _answers(f"{base}/health"), "VictoriaMetrics to listen")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{base}/opentelemetry/v1/metrics")
        exporter = OtlpExporter()
        assert exporter.export_metrics(snapshot).ok
        exporter.shutdown()
        # A label without a value is one that is not there.
        expected = {(name, frozenset(pair for pair in labels if pair[1])) for name, labels in scraped(snapshot)}

        def stored() -> Samples:
            said = json.loads(
                _get(f"{base}/api/v1/series?" + urllib.parse.urlencode({"match[]": '{__name__=~"radiosonde_.*"}'}))
            )
            return {_of_ours(labels) for labels in said["data"]}

        wait_for(lambda: len(stored()) >= len(expected), "the samples to be found", 30)
        assert stored() == expected


def _of_ours(labels: dict[str, str]) -> tuple[str, frozenset[tuple[str, str]]]:
    ours = {
        name: value
        for name, value in labels.items()
        if name.startswith("radiosonde_") or name in {"error_type", "le", "otel_metric_overflow"}
    }
    if "le" in ours:
        ours["le"] = _bound(ours["le"])
    return labels["__name__"], frozenset(ours.items())


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        content: bytes = answer.read()
        return content


def _answers(url: str) -> bool:
    try:
        return bool(_get(url))
    except OSError:
        return False


def test_the_page_of_renamed_series_names_what_is_exported():
    """Replacements exist, and renamed series do not."""
    page = (Path(__file__).parents[2] / "docs/migrating/series.md").read_text()
    exported_names = {name for name, _ in scraped(everything())}
    rows = [line.split(" | ", 1) for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) == 11
    for before, now in rows:
        (former,) = re.findall(r"radiosonde_\w+(?=[`{])", before)
        assert "{" in before or former not in exported_names
        for name in set(re.findall(r"radiosonde_\w+?_(?:total|bound|cut)\b", now)):
            assert name in exported_names, name


def test_the_page_of_names_beside_opentelemetry_names_ours():
    """Every name of Radiosonde on it is in the registry."""
    page = (Path(__file__).parents[2] / "docs/otel-names.md").read_text()
    ours = {
        *METRICS,
        *(value for name, value in vars(attribute_names).items() if name.isupper() and isinstance(value, str)),
    }
    for name in set(re.findall(r"`(radiosonde\.[a-z_.*]+)`", page)):
        assert name in ours or any(known.startswith(name.removesuffix("*")) for known in ours if name.endswith(".*")), (
            name
        )
