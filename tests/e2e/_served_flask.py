"""A Flask server for tests, run by gunicorn: each kind of view that a model server has."""

from __future__ import annotations

import flask

import radiosonde as rs
from tests.e2e._provider import instrument_after, instrument_before, set_provider

set_provider()
app = flask.Flask(__name__)
blueprint = flask.Blueprint("v1", __name__)


@rs.observe("delays", version="2", classes=["early", "late"])
def predict(features: dict[str, float]) -> str:
    """Answer by the wind."""
    return "late" if features["wind"] > 10 else "early"


def wind() -> dict[str, float]:
    """Return the features of the request."""
    return {"wind": float(flask.request.args["wind"])}


@app.get("/sync/<carrier>")
def synchronous(carrier: str) -> str:
    """Predict."""
    return predict(wind())


@app.get("/async/<carrier>")
def twice(carrier: str) -> list[str]:
    """Predict twice."""
    return [predict(wind()), predict(wind())]


@app.get("/streamed/<carrier>")
def streamed(carrier: str) -> flask.Response:
    """Predict before the first word."""
    first = predict(wind())
    return flask.Response(iter([first, " later"]))


@app.get("/broken/<carrier>")
def broken(carrier: str) -> None:
    """Fail before any prediction."""
    raise KeyError("features")


@blueprint.get("/routed/<carrier>")
def routed(carrier: str) -> str:
    """Predict in a blueprint with a prefix."""
    return predict(wind())


app.register_blueprint(blueprint, url_prefix="/v1")
instrument_before(app, "flask")
rs.instrument_app(app, cohorts={"carrier": "path:carrier", "plan": "header:x-plan"}, labels_token="secret")
instrument_after(app, "flask")
