"""Requests of Flask applications are observed."""

from __future__ import annotations

import threading

import flask
import pytest

from radiosonde.testing import fly
from radiosonde_integrations.flask import FlaskInstrumentor
from tests.unit.integrations.standing_in import stand_in


@pytest.fixture
def rs(monkeypatch):
    """Return a Radiosonde that the plug-in reports to."""
    with fly(cohorts={"carrier": ["UA", "AA"]}) as flight:
        stand_in(monkeypatch, flight)
        yield flight


def served(rs):
    """Return an application."""
    app = flask.Flask("served")
    predict = rs.observe("delays", version="2")(lambda wind: "late" if wind > 10 else "early")

    @app.get("/delay/<carrier>")
    def delay(carrier):
        return {"answer": predict(float(flask.request.args["wind"])), "carrier": carrier}

    @app.get("/broken")
    def broken():
        raise KeyError("features")

    @app.get("/streamed")
    def streamed():
        return flask.Response(flask.stream_with_context(predict(wind) for wind in (1.0, 20.0)))

    return app


def windows(rs):
    """Return the windows by model."""
    return {window.key.model: window for window in rs.windows()}


def test_a_request_carries_its_id_and_is_a_series_of_its_own(rs):
    """The id labels; the series is method and rule, under the model's version, with its phases and cohort."""
    app = served(rs)
    rs.instrument_app(app, cohorts={"carrier": "path:carrier"})
    answer = app.test_client().get("/delay/UA?wind=20", headers={"X-Request-Start": "t=0"}, buffered=True)
    rs.label(answer.headers["X-Prediction-Id"], "late")
    window = windows(rs)["GET /delay/<carrier>"]
    assert (window.calls, window.key.version, window.key.cohort) == (1, "2", "carrier=UA")
    assert set(window.latency.phases) == {"parse", "feature_fetch", "predict", "serialise"}
    assert windows(rs)["delays"].key.cohort == "carrier=UA"
    assert rs.statistics().labels["joined"] == 1


@pytest.mark.parametrize(
    ("path", "status", "name", "error"),
    [
        ("/broken", 500, "GET /broken", "500"),
        ("/delay/UA", 400, "GET /delay/<carrier>", "400"),
        ("/nowhere", 404, "GET (no route)", None),
    ],
)
def test_requests_that_never_predict_count_too(rs, path, status, name, error):
    """What fails before any prediction is a call, and an error where it says something of data or server."""
    app = served(rs)
    rs.instrument_app(app)
    assert app.test_client().get(path, buffered=True).status_code == status
    window = windows(rs)[name]
    assert window.calls == 1
    assert dict(window.errors) == ({error: 1} if error else {})


def test_a_streamed_response_is_whole_and_counts_once(rs):
    """The request ends when its body has been sent."""
    app = served(rs)
    rs.instrument_app(app)
    assert app.test_client().get("/streamed", buffered=True).text == "earlylate"
    assert (windows(rs)["GET /streamed"].calls, windows(rs)["delays"].calls) == (1, 2)


def test_requests_at_the_same_time_keep_their_own_predictions(rs):
    """Threads of one server never see each other's ids."""
    app = served(rs)
    rs.instrument_app(app)
    ids: list[str] = []

    def ask():
        client = app.test_client()
        ids.extend(client.get("/delay/UA?wind=20", buffered=True).headers["X-Prediction-Id"] for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 80
    assert all(len(each) == 32 for each in ids)


def test_an_application_made_after_instrumenting_needs_no_call(rs):
    """Zero code; called besides, `instrument_app` changes the options and observes nothing twice."""
    plugin = FlaskInstrumentor()
    plugin.instrument()
    try:
        app = served(rs)
    finally:
        plugin.uninstrument()
    assert len(app.test_client().get("/delay/UA?wind=1", buffered=True).headers["X-Prediction-Id"]) == 32
    rs.instrument_app(app, id_header="X-Id")
    assert len(app.test_client().get("/delay/UA?wind=1", buffered=True).headers["X-Id"]) == 32
    assert windows(rs)["GET /delay/<carrier>"].calls == 2
    assert "X-Prediction-Id" not in served(rs).test_client().get("/delay/UA?wind=1", buffered=True).headers
