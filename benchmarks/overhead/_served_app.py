"""The server of `bench_served`: FastAPI and a scikit-learn logistic regression on 30 features, bare or observed.

Run as ``python -m benchmarks.overhead._served_app ARM PORT``. What is served is the same in every arm; an arm says who watches:

* ``bare``: no instrumentation.
* ``floor``: no instrumentation, but the layers of Python that it takes to see a request and a prediction: a middleware that forwards
  messages and adds a header as long as an id, and a method around the model's. What any instrumentation in Python costs before it does
  anything.
* ``ours``: the model's plug-in and the middleware for requests, as under ``opentelemetry-instrument``, with a store.
* ``opentelemetry``: OpenTelemetry's API by hand: for the request a server span (its provider samples none) and a duration, for the
  prediction a duration, a counter by class and a confidence. Of features it says nothing: 30 more histograms would be
  260 us.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import fastapi
import numpy as np
import uvicorn
from pydantic import BaseModel
from sklearn.linear_model import LogisticRegression

import radiosonde as rs
from benchmarks.workloads import matrix

HEADER = (b"x-prediction-id", b"0" * 32)
"""What `_floor` adds: as long as a request's own."""


class Row(BaseModel):
    """The features of one row."""

    features: list[float]


def make(arm: str) -> fastapi.FastAPI:
    """Return the application of an arm."""
    if arm == "ours":
        rs.instrument("sklearn")
    rows = matrix(2_000)
    model = LogisticRegression().fit(rows, np.where(rows[:, 0] > 0, "late", "on time"))
    app = fastapi.FastAPI()
    predict: Callable[[Any], Any] = model.predict_proba
    if arm == "opentelemetry":
        predict = _by_hand(app, predict)
    elif arm == "floor":
        predict = _floor(app, predict)

    @app.post("/predict")
    def endpoint(row: Row) -> dict[str, float]:
        late, _ = predict(np.asarray([row.features]))[0]
        return {"late": float(late)}

    if arm == "ours":
        rs.instrument_app(app)
    return app


def _floor(app: fastapi.FastAPI, predict: Callable[[Any], Any]) -> Callable[[Any], Any]:
    class Layer:
        def __init__(self, app: Any) -> None:
            self.inside = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            def send_on(message: Any) -> Any:
                if message["type"] == "http.response.start":
                    message = {**message, "headers": [*message["headers"], HEADER]}
                return send(message)

            await self.inside(scope, receive, send_on)

    app.add_middleware(Layer)

    def observed(*args: Any, **kwargs: Any) -> Any:
        return predict(*args, **kwargs)

    return observed


def _by_hand(app: fastapi.FastAPI, predict: Callable[[Any], Any]) -> Callable[[Any], Any]:
    from opentelemetry import metrics, propagate, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False))
    trace.set_tracer_provider(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    meter, tracer = metrics.get_meter("served"), trace.get_tracer("served")
    duration, request_duration = (
        meter.create_histogram("prediction.duration", "s"),
        meter.create_histogram("request", "s"),
    )
    answers, confidence = meter.create_counter("prediction.classes"), meter.create_histogram("prediction.confidence")
    said = {"model.name": "delays", "model.version": "1", "model.variant": "stable"}
    of_class = [{**said, "class": name} for name in ("late", "on time")]

    class Watch:
        """A middleware without the task group of Starlette's convenient ones, which costs more than what it watches."""

        def __init__(self, app: Any) -> None:
            self.inside = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await self.inside(scope, receive, send)
                return
            began_s = time.perf_counter()
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            with tracer.start_as_current_span("POST /predict", propagate.extract(headers), trace.SpanKind.SERVER):
                await self.inside(scope, receive, send)
            request_duration.record(time.perf_counter() - began_s, {"http.route": "/predict", **said})

    app.add_middleware(Watch)

    def observed(rows: Any) -> Any:
        began_s = time.perf_counter()
        answer = predict(rows)
        duration.record(time.perf_counter() - began_s, said)
        best = int(answer[0].argmax())
        answers.add(1, of_class[best])
        confidence.record(float(answer[0][best]), of_class[best])
        return answer

    return observed


if __name__ == "__main__":
    uvicorn.run(make(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="error", timeout_keep_alive=3600)
