"""Servers without a line about Radiosonde under `opentelemetry-instrument`; and clients that go away."""

from __future__ import annotations

import http.client

import pytest

from tests.e2e._receivers import wait_for
from tests.e2e._web import START_S, ask_all, calls, environment, label_elsewhere, outcomes, web_server, windows

pytestmark = pytest.mark.timeout(2 * START_S)

NO_EXPORT = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
REQUESTS = 40


@pytest.mark.parametrize(
    ("app", "server", "parameter"),
    [
        ("tests.e2e._unaware:api", "uvicorn", "{carrier}"),
        pytest.param("tests.e2e._unaware:api", "gunicorn", "{carrier}", marks=pytest.mark.slow),
        pytest.param("tests.e2e._unaware:web", "gthread", "<carrier>", marks=pytest.mark.slow),
    ],
    ids=["FastAPI, uvicorn", "FastAPI, gunicorn", "Flask, gthread"],
)
def test_a_server_that_nobody_edited_is_observed(app, server, parameter, tmp_path):
    """Ids, labels, series, phases, classes, names, version and feature cells come from the environment alone."""
    pytest.importorskip("sklearn")
    variables = environment(tmp_path, **NO_EXPORT)
    with web_server(app, server, tmp_path, variables, by=["opentelemetry-instrument"]) as (_, url):
        asked = ask_all(url, [f"/delays/UA?wind={(-1) ** number * 3}" for number in range(REQUESTS)], {})
        ids = [each for one in asked for each in one.ids]
        label_elsewhere(variables, dict.fromkeys(ids, "late"))
    assert {one.answer.status_code for one in asked} == {200}
    assert len(set(ids)) == REQUESTS
    route = f"GET /delays/{parameter}"
    found = calls(tmp_path)
    assert (found[route, ""], found["LogisticRegression", ""]) == (REQUESTS, REQUESTS)
    assert outcomes(tmp_path) == {"correct": REQUESTS // 2, "incorrect": REQUESTS // 2}
    models = [window for window in windows(tmp_path) if window.key.model == "LogisticRegression"]
    assert {window.key.version.partition("-")[0] for window in models} == {"params"}
    assert sum(int(window.output.class_counts.sum()) for window in models) == REQUESTS
    requests = [window for window in windows(tmp_path) if window.key.model == route]
    assert {"parse", "predict", "serialise"} <= set(requests[0].latency.phases)


def test_a_client_that_goes_away_is_an_error_of_its_own(tmp_path):
    """A stream without a reader ends, and is recorded as such; the server continues."""
    variables = environment(tmp_path, WORDS="1000")
    with web_server("tests.e2e._served_fastapi:app", "uvicorn", tmp_path, variables) as (_, url):
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        connection.request("GET", "/streamed/UA?wind=1")
        answer = connection.getresponse()
        assert answer.read(5) == b"early"
        answer.close()
        connection.close()
        (whole,) = ask_all(url, ["/sync/UA?wind=1"], {})
        assert whole.answer.status_code == 200
    errors = {window.key.model: dict(window.errors) for window in windows(tmp_path) if window.errors}
    assert errors == {"GET /streamed/{carrier}": {"client_disconnected": 1}}
    wait_for(lambda: calls(tmp_path)["GET /sync/{carrier}", "carrier=UA"] == 1, "the other request")
