"""Real servers of real frameworks under concurrent load: ids, labels, cohorts, series, spans and exemplars."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from itertools import islice

import httpx
import pytest

from tests.e2e._receivers import attributes, otlp_sink, wait_for
from tests.e2e._web import START_S, ask_all, calls, environment, label_elsewhere, outcomes, web_server, windows

pytestmark = pytest.mark.timeout(2 * START_S)

FASTAPI, FLASK = "tests.e2e._served_fastapi:app", "tests.e2e._served_flask:app"
ROUTES = {  # path: (predictions in the header, predictions in all)
    "fastapi": {"/sync": (1, 1), "/async": (2, 2), "/pooled": (1, 1), "/background": (1, 2), "/streamed": (1, 1),
                "/v1/routed": (1, 1), "/sub/mounted": (1, 1), "/broken": (0, 0)},
    "flask": {"/sync": (1, 1), "/async": (2, 2), "/streamed": (1, 1), "/v1/routed": (1, 1), "/broken": (0, 0)},
}  # fmt: skip
PARAMETER = {"fastapi": "{carrier}", "flask": "<carrier>"}
CARRIERS = {"UA": "carrier=UA", "DL": "carrier=other"}
REPEATS = 6
NO_EXPORT = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}

KINDS = {
    "FastAPI, uvicorn": (FASTAPI, "uvicorn", {}),
    "FastAPI, uvicorn, middleware": (FASTAPI, "uvicorn", {"MIDDLEWARE": "1"}),
    "FastAPI, gunicorn": (FASTAPI, "gunicorn", {}),
    "Flask, gthread": (FLASK, "gthread", {}),
}
PRESENT = ("instrumented without code", "instrumented before", "instrumented after")
"""How OpenTelemetry's own instrumentation of the framework is there beside ours; else it is not."""
ARRANGEMENTS = [
    *(("FastAPI, uvicorn", plugin) for plugin in PRESENT),
    ("FastAPI, gunicorn", PRESENT[0]),
    *(("Flask, gthread", plugin) for plugin in PRESENT),
]


def arranged(app, plugin):
    """Return variables and program that have OpenTelemetry's instrumentation there as *plugin* says, or skip without it."""
    framework = "flask" if app is FLASK else "fastapi"
    if plugin in PRESENT:  # not among the locked requirements; tests/matrix has it
        pytest.importorskip(f"opentelemetry.instrumentation.{framework}")
    by = ["opentelemetry-instrument"] if plugin == PRESENT[0] else []
    return framework, {"INSTRUMENTED": plugin.rpartition(" ")[2]}, by


def asked_for(framework):
    """Return all requested paths."""
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


@pytest.mark.parametrize(("kind", "plugin"), [*((kind, "alone") for kind in KINDS), *ARRANGEMENTS])
def test_every_response_has_its_ids_and_every_id_labels(kind, plugin, tmp_path):
    """Each request is one call of its route's series in its cohort; each of its ids is unique and is labelled."""
    app, server, more = KINDS[kind]
    framework, arrangement, by = arranged(app, plugin)
    variables = environment(tmp_path, **NO_EXPORT, **more, **arrangement)
    with web_server(app, server, tmp_path, variables, by=by) as (process, url):
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


def ancestors(span, spans):
    """Return the ids of the ancestors of a span, including those that were not received."""
    by_id = {each.span_id: each for each in spans}
    found = []
    while span is not None and span.parent_span_id:
        found.append(span.parent_span_id)
        span = by_id.get(span.parent_span_id)
    return found


def makes_server_spans(framework, plugin):
    """Return whether each request gets a server span: from OpenTelemetry's instrumentation, or from FastAPI itself."""
    return plugin in PRESENT or (framework == "fastapi" and find_spec("fastapi.telemetry") is not None)


@pytest.mark.parametrize(
    ("kind", "plugin"),
    [("FastAPI, uvicorn", "alone"), ("FastAPI, gunicorn", "alone"), ("Flask, gthread", "alone"), *ARRANGEMENTS],
)
def test_spans_and_exemplars_are_in_the_clients_trace(kind, plugin, tmp_path):
    """The server's span says model, version and id; the prediction's span is below it; exemplars point into the traces."""
    app, server, _ = KINDS[kind]
    framework, arrangement, by = arranged(app, plugin)
    with otlp_sink() as sink:
        variables = environment(
            tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_EXPORTER_OTLP_COMPRESSION="none", OTEL_BSP_SCHEDULE_DELAY="200", OTEL_METRIC_EXPORT_INTERVAL="1000", PROVIDER="1",
            **arrangement,
        )  # fmt: skip
        with web_server(app, server, tmp_path, variables, by=by) as (_, url):
            asked = ask_all(url, asked_for(framework), {"x-plan": "pro"})
            is_served = makes_server_spans(framework, plugin)
            wanted = {one.trace_id for one in asked if one.ids or is_served}
            wait_for(lambda: spans_by_trace(sink).keys() >= wanted, "a span of every request")
            wait_for(lambda: len(predicted(sink)) >= all_made(framework), "every prediction's span")
        by_trace = spans_by_trace(sink)
        points = sink.metrics()["radiosonde.prediction.duration"].histogram.data_points
    for one in asked:
        spans = by_trace.get(one.trace_id, [])
        below = [span for span in spans if span.name == "predict delays"]
        assert len(below) == ROUTES[framework][one.path.rsplit("/", 1)[0]][1]
        assert {attributes(span.attributes)["radiosonde.prediction.id"] for span in below} >= set(one.ids)
        if not is_served:
            assert {span.parent_span_id.hex() for span in below} <= {one.parent_id}
            continue
        (root,) = [span for span in spans if span.parent_span_id.hex() == one.parent_id]
        assert all(root.span_id in ancestors(span, spans) for span in below)
        said = {name: value for name, value in attributes(root.attributes).items() if name.startswith("radiosonde.")}
        assert said == (
            {
                "radiosonde.prediction.id": one.ids[0],
                "radiosonde.model.name": "delays",
                "radiosonde.model.version": "2",
                "radiosonde.variant": "stable",
            }
            if one.ids
            else {}
        )
    exemplars = [exemplar for point in points for exemplar in point.exemplars]
    known = {(span.trace_id, span.span_id) for spans in by_trace.values() for span in spans}
    pointed_to = {(exemplar.trace_id, exemplar.span_id) for exemplar in exemplars}
    assert pointed_to <= known
    assert {exemplar.trace_id.hex() for exemplar in exemplars} & wanted


def all_made(framework):
    """Return the number of predictions for all requested paths."""
    return sum(made for _, made in ROUTES[framework].values()) * REPEATS * len(CARRIERS)


def predicted(sink):
    """Return the spans of predictions."""
    return [span for span in islice(sink.spans(), None) if span.name == "predict delays"]
