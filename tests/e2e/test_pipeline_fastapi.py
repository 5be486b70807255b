"""A real server with many concurrent clients: counts in Prometheus, over OTLP and in the store equal the requests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from radiosonde.store.reader import Interval, StoreReader
from tests.e2e._receivers import attributes, free_port, otlp_sink, wait_for

CARRIERS = ("UA", "AA", "DL")  # the last one is not on the allow-list
REQUESTS = [
    *(("/plain", {"wind": 20.0 if n % 4 == 0 else 5.0, "carrier": CARRIERS[n % 3]}) for n in range(120)),
    *(("/async", {"wind": -1.0 if n % 5 == 0 else 5.0, "carrier": CARRIERS[n % 2]}) for n in range(100)),
    *(("/pooled", {"rows": 2 + n % 3, "carrier": CARRIERS[n % 3]}) for n in range(60)),
    *(("/streamed", {"wind": 20.0 if n % 2 else 5.0, "carrier": CARRIERS[n % 3]}) for n in range(60)),
]


def expected_calls() -> Counter:
    """Return the calls by model and cohort."""
    names = {"/plain": "plain", "/async": "async", "/pooled": "pooled", "/streamed": "streamed"}
    cohorts = {"UA": "carrier=UA", "AA": "carrier=AA", "DL": "carrier=other"}
    return Counter((names[path], cohorts[str(query["carrier"])]) for path, query in REQUESTS)


@pytest.fixture(scope="module")
def flown(tmp_path_factory):
    """Serve, ask everything at once, scrape, end the server; return scrape, OTLP sink and store."""
    folder = tmp_path_factory.mktemp("served")
    port, metrics_port, store = free_port(), free_port(), folder / "store.db"
    with otlp_sink() as sink:
        environment = {**os.environ, "RADIOSONDE_STORE": str(store), "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}
        command = [sys.executable, Path(__file__).with_name("_pipeline_served.py"), str(port), str(metrics_port)]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
                wait_for(lambda: server.poll() is not None or is_up(client), "the server")
                assert server.poll() is None, (folder / "log").read_text()
                with ThreadPoolExecutor(8) as askers:
                    answers = list(askers.map(lambda ask: client.get(ask[0], params=ask[1]), REQUESTS))
                assert {answer.status_code for answer in answers} == {200}
                scrape = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics", timeout=120).text
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(10)
        assert (folder / "log").read_text() == ""
        yield answers, scrape, sink, [window for _, window in StoreReader(store).parts(Interval())]


def is_up(client):
    """Return whether the server responds."""
    try:
        return client.get("/openapi.json").status_code == 200
    except httpx.TransportError:
        return False


def samples(scrape, name):
    """Return the samples of one family as (labels, value)."""
    families = {family.name: family for family in text_string_to_metric_families(scrape)}
    return [(sample.labels, sample.value) for sample in families[name].samples if not sample.name.endswith("_created")]


def test_answers_are_the_models_own(flown):
    """Streams, errors and results reach the client as without Radiosonde."""
    answers, *_ = flown
    texts = Counter(answer.text for (path, _), answer in zip(REQUESTS, answers, strict=True) if path == "/streamed")
    assert texts == {"it is late ": 30, "it is early ": 30}
    errors = [answer for (path, _), answer in zip(REQUESTS, answers, strict=True) if path == "/async"]
    assert sum("error" in answer.json() for answer in errors) == 20
    ids = [answer.json()["id"] for answer in answers[:120]]
    assert len(set(ids)) == 120


def test_the_scrape_counts_every_call_in_its_cohort(flown):
    """Calls, errors and stages by model and cohort, in a text that prometheus-client's own parser reads."""
    _, scrape, *_ = flown
    found = Counter()
    for labels, value in samples(scrape, "radiosonde_prediction_calls"):
        found[labels["radiosonde_model_name"], labels["radiosonde_cohort"]] += int(value)
    assert found == expected_calls()
    errors = samples(scrape, "radiosonde_prediction_errors")
    assert {(labels["radiosonde_model_name"], labels["error_type"]) for labels, _ in errors} == {
        ("async", "ValueError")
    }
    assert sum(value for _, value in errors) == 20
    assert sum(value for _, value in samples(scrape, "radiosonde_sdk_losses")) == 0


def test_otlp_carries_the_same_totals(flown):
    """The export at the end has what the scrape had."""
    _, _, sink, _ = flown
    points = sink.metrics()["radiosonde.prediction.calls"].sum.data_points
    newest = max(point.time_unix_nano for point in points)
    found = Counter()
    for point in points:
        if point.time_unix_nano == newest:
            named = attributes(point.attributes)
            found[named["radiosonde.model.name"], named["radiosonde.cohort"]] += point.as_int
    assert found == expected_calls()


def test_the_store_has_rows_classes_stages_and_outcomes(flown):
    """Windows of the store add up to the requests, batch rows and labels included."""
    *_, windows = flown
    calls, rows, classes, results = Counter(), Counter(), Counter(), Counter()
    phases: dict[str, set[str]] = {}
    for window in windows:
        calls[window.key.model, window.key.cohort] += window.calls
        rows[window.key.model] += window.rows
        for name, count in zip(window.output.classes, window.output.class_counts.tolist(), strict=True):
            classes[window.key.model, name] += count
        for (result, _), count in (window.labels.outcomes if window.labels else {}).items():
            results[result] += count
        phases.setdefault(window.key.model, set()).update(window.latency.phases)
    assert calls == expected_calls()
    assert rows == {"plain": 120, "async": 80, "pooled": 180, "streamed": 60}
    assert {place: count for place, count in classes.items() if count} == {
        ("plain", "late"): 30, ("plain", "early"): 90, ("async", "late"): 80, ("pooled", "1"): 180,
        ("streamed", "late"): 30, ("streamed", "early"): 30,
    }  # fmt: skip
    assert results == {"correct": 30, "incorrect": 90}
    assert phases == {"plain": {"fetch", "score"}, "async": {"fetch"}, "pooled": {"score"}, "streamed": set()}
    cells = sum(int(w.features.cells.sum()) for w in windows if w.features and w.key.model == "pooled")
    assert cells == 3 * 180
