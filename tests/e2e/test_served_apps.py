"""Real servers of real frameworks under concurrent load: ids, labels, cohorts, series, spans and exemplars."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import httpx
import pytest

from tests.e2e._receivers import attributes, otlp_sink, wait_for
from tests.e2e._web import ask_all, calls, environment, label_elsewhere, outcomes, web_server, windows

FASTAPI, FLASK = "tests.e2e._served_fastapi:app", "tests.e2e._served_flask:app"
ROUTES = {  # path: (predictions in the header, predictions in all)
    "fastapi": {"/sync": (1, 1), "/async": (2, 2), "/pooled": (1, 1), "/background": (1, 2), "/streamed": (1, 1),
                "/v1/routed": (1, 1), "/sub/mounted": (1, 1), "/broken": (0, 0)},
    "flask": {"/sync": (1, 1), "/async": (2, 2), "/streamed": (1, 1), "/v1/routed": (1, 1), "/broken": (0, 0)},
}  # fmt: skip
PARAMETER = {"fastapi": "{carrier}", "flask": "<carrier>"}
CARRIERS = {"UA": "carrier=UA", "DL": "carrier=other"}
REPEATS = 6

KINDS = {
    "FastAPI, uvicorn": (FASTAPI, "uvicorn", {}),
    "FastAPI, uvicorn, middleware": (FASTAPI, "uvicorn", {"MIDDLEWARE": "1"}),
    "FastAPI, gunicorn": (FASTAPI, "gunicorn", {}),
    "Flask, gthread": (FLASK, "gthread", {}),
}


def asked_for(framework):
    """Return all paths that are asked for."""
    kinds = ROUTES[framework]
    return [f"{route}/{carrier}?wind=20" for _ in range(REPEATS) for route in kinds for carrier in CARRIERS]


def expected_calls(framework):
    """Return calls by model and cohort: those of the requests, and those of the model."""
    expected = Counter()
    for route, (_, made) in ROUTES[framework].items():
        for cohort in CARRIERS.values():
            expected[f"GET {route}/{PARAMETER[framework]}", f"{cohort},plan=pro"] += REPEATS
            expected["delays", f"{cohort},plan=pro"] += REPEATS * made
    return expected


def label(url, variables, ids):
    """Label half over HTTP, refused without the token, and half from another process."""
    half = len(ids) // 2
    body = [{"id": each, "label": "late"} for each in ids[:half]]
    assert httpx.post(f"{url}/radiosonde/labels", json=body).status_code == 401
    answer = httpx.post(f"{url}/radiosonde/labels", json=body, headers={"Authorization": "Bearer secret"})
    assert (answer.status_code, answer.json()) == (202, {"received": half})
    label_elsewhere(variables, dict.fromkeys(ids[half:], "late"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_response_has_its_ids_and_every_id_labels(kind, tmp_path):
    """Each request is one call of its route's series in its cohort; each of its ids is unique and is labelled."""
    app, server, more = KINDS[kind]
    framework = "flask" if app is FLASK else "fastapi"
    variables = environment(tmp_path, **more)
    with web_server(app, server, tmp_path, variables) as (process, url):
        asked = ask_all(url, asked_for(framework), {"x-plan": "pro"})
        label(url, variables, [each for one in asked for each in one.ids])
        httpx.post(f"{url}/sync/UA")
        httpx.head(f"{url}/sync/UA")
        httpx.options(f"{url}/sync/UA")
        httpx.request("BREW", f"{url}/sync/UA")
    assert process.returncode in (0, -15)
    for one in asked:
        route = one.path.rsplit("/", 1)[0]
        assert (len(one.ids), one.answer.status_code) == (
            ROUTES[framework][route][0],
            500 if "broken" in route else 200,
        )
    ids = [each for one in asked for each in one.ids]
    assert len(ids) == len(set(ids))
    found = calls(tmp_path)
    assert {key: count for key, count in found.items() if "plan" in key[1]} == expected_calls(framework)
    assert not [name for name, _ in found if "labels" in name]
    assert {name.split()[0] for name, _ in found} >= {"POST", "HEAD", "OPTIONS", "_OTHER"}
    assert outcomes(tmp_path) == {"correct": len(ids)}
    errors = Counter()
    for window in windows(tmp_path):
        errors.update({(window.key.model, error): count for error, count in dict(window.errors).items()})
    failed = f"GET /broken/{PARAMETER[framework]}"
    assert {key: count for key, count in errors.items() if key[0] == failed} == {
        (failed, "500" if framework == "flask" else "KeyError"): 2 * REPEATS
    }


def spans_by_trace(sink):
    """Return the spans received by trace id."""
    found = {}
    for span in sink.spans():
        found.setdefault(span.trace_id.hex(), []).append(span)
    return found


@pytest.mark.parametrize(
    ("app", "server", "by"),
    [
        (FASTAPI, "uvicorn", ["opentelemetry-instrument"]),
        (FASTAPI, "uvicorn", []),
        (FASTAPI, "gunicorn", []),
        (FLASK, "gthread", ["opentelemetry-instrument"]),
    ],
    ids=["FastAPI, plug-in of OpenTelemetry", "FastAPI, telemetry of its own", "the same, gunicorn", "Flask, plug-in"],
)
def test_spans_and_exemplars_are_in_the_clients_trace(app, server, by, tmp_path):
    """The server's span says model, version and id; the prediction's span is below it; exemplars point into the traces."""
    framework = "flask" if app is FLASK else "fastapi"
    if by:  # not among the locked requirements: its releases ask for an API older than the locked one
        pytest.importorskip(f"opentelemetry.instrumentation.{framework}")
    with otlp_sink() as sink:
        variables = environment(
            tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_EXPORTER_OTLP_COMPRESSION="none", OTEL_BSP_SCHEDULE_DELAY="200", OTEL_METRIC_EXPORT_INTERVAL="1000", PROVIDER="1",
        )  # fmt: skip
        with web_server(app, server, tmp_path, variables, by=by) as (_, url):
            asked = ask_all(url, asked_for(framework), {"x-plan": "pro"})
            wanted = {one.trace_id for one in asked}
            wait_for(lambda: spans_by_trace(sink).keys() >= wanted, "a span of every request")
            wait_for(lambda: len(predicted(sink)) >= sum(len(one.ids) for one in asked), "every prediction's span")
        by_trace = spans_by_trace(sink)
        points = sink.metrics()["radiosonde.prediction.duration"].histogram.data_points
    for one in asked:
        (root,) = [span for span in by_trace[one.trace_id] if span.parent_span_id.hex() == one.parent_id]
        said = attributes(root.attributes)
        below = [span for span in by_trace[one.trace_id] if span.name == "predict delays"]
        assert len(below) >= len(one.ids)
        if one.ids:
            assert said["radiosonde.prediction.id"] == one.ids[0]
            assert (said["radiosonde.model.name"], said["radiosonde.model.version"]) == ("delays", "2")
            assert {attributes(span.attributes)["radiosonde.prediction.id"] for span in below} >= set(one.ids)
    exemplars = [exemplar for point in points for exemplar in point.exemplars]
    assert exemplars
    known = {(span.trace_id, span.span_id) for spans in by_trace.values() for span in spans}
    assert {(exemplar.trace_id, exemplar.span_id) for exemplar in exemplars} <= known


def predicted(sink):
    """Return the spans of predictions."""
    return [span for span in islice(sink.spans(), None) if span.name == "predict delays"]
