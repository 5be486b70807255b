"""Requests of FastAPI and Starlette applications are observed, for any kind of endpoint."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import re
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import fastapi
import httpx
import pytest
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import radiosonde
from radiosonde._pipeline.cadence import Cadence
from radiosonde.errors import ConfigurationError
from radiosonde.testing import fly
from radiosonde_integrations import _asgi
from radiosonde_integrations._requests import REQUEST
from radiosonde_integrations.fastapi import FastAPIInstrumentor
from tests.e2e._receivers import wait_for
from tests.unit.integrations.standing_in import stand_in


@pytest.fixture
def rs(monkeypatch):
    """Return a Radiosonde that the plug-in reports to."""
    with fly(cohorts={"carrier": ["UA", "AA"], "plan": ["pro"]}) as flight:
        stand_in(monkeypatch, flight)
        yield flight


@pytest.fixture
def pool():
    """Return a thread pool of the server's own."""
    with ThreadPoolExecutor(2) as threads:
        yield threads


def served(rs, pool):
    """Return an application with every kind of endpoint."""
    app = fastapi.FastAPI()
    predict = rs.observe("delays", version="2")(lambda wind: "late" if wind > 10 else "early")

    @app.get("/sync/{carrier}")
    def sync(carrier: str, wind: float = 5.0):
        time.sleep(0.002)  # fetching features
        return {"answer": predict(wind), "carrier": carrier}

    @app.get("/async")
    async def asynchronous(wind: float = 5.0):
        await asyncio.sleep(0)
        return predict(wind), predict(wind + 10)

    @app.get("/executor")
    async def in_executor():
        return await asyncio.get_running_loop().run_in_executor(pool, predict, 20.0)

    @app.get("/streamed")
    async def streamed():
        async def words():
            yield predict(1.0)
            yield predict(20.0)

        return StreamingResponse(words())

    @app.get("/background")
    async def background(tasks: fastapi.BackgroundTasks):
        tasks.add_task(predict, 3.0)
        return "soon"

    @app.get("/broken")
    def broken():
        raise KeyError("features")

    @app.get("/refused")
    def refused():
        raise fastapi.HTTPException(403)

    return app


def asked(app, *paths, raising=False, **headers):
    """Return the responses of the application; *raising*: propagate its exceptions."""

    async def ask():
        transport = httpx.ASGITransport(app, raise_app_exceptions=raising)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await asyncio.gather(*(client.get(path, headers=headers) for path in paths))

    return asyncio.run(ask())


def windows(rs):
    """Return the windows by model."""
    return {window.key.model: window for window in rs.windows()}


def test_every_kind_of_endpoint_answers_with_its_ids(rs, pool):
    """Sync, async and executor endpoints carry the ids of the predictions they made, and each id can be labelled."""
    app = served(rs, pool)
    rs.instrument_app(app)
    answers = asked(app, "/sync/UA", "/async", "/executor")
    ids = [answer.headers["x-prediction-id"].split(", ") for answer in answers]
    assert [len(each) for each in ids] == [1, 2, 1]
    for prediction_id in itertools.chain.from_iterable(ids):
        rs.label(prediction_id, "late")
    rs.windows()
    assert rs.statistics().labels["joined"] == 4


@pytest.mark.parametrize(("made", "header"), [(0, "one, two"), (1, "ID, one, two"), (9, "ID, " * 9 + "one, ...")])
def test_ids_given_by_other_processes_follow_the_requests_own(rs, made, header):
    """What predicts elsewhere for a request has its ids in the header as well, within the same bound."""
    app, predict = fastapi.FastAPI(), rs.observe("delays")(lambda wind: wind)

    @app.get("/delay")
    def delay():
        for number in range(made):
            predict(float(number))
        REQUEST.get().elsewhere = ["one", "two"]

    rs.instrument_app(app)
    (answer,) = asked(app, "/delay")
    assert re.sub(r"[0-9a-f]{32}", "ID", answer.headers["x-prediction-id"]) == header


def test_requests_are_a_series_by_route_under_the_models_version(rs, pool):
    """Method and route template name the series; its version is the model's; its calls are the requests."""
    app = served(rs, pool)
    rs.instrument_app(app)
    asked(app, "/sync/UA", "/sync/AA", "/async")
    found = windows(rs)
    assert (found["GET /sync/{carrier}"].calls, found["GET /async"].calls, found["delays"].calls) == (2, 1, 4)
    assert {found[name].key.version for name in found} == {"2"}


def test_the_time_of_a_request_is_in_its_phases(rs, pool):
    """Parsing, fetching features, predicting and serialising, and before them the proxy's queue."""
    app = served(rs, pool)
    rs.instrument_app(app)
    asked(app, "/sync/UA", **{"x-request-start": f"t={time.time() - 2.0:.3f}"})
    latency = windows(rs)["GET /sync/{carrier}"].latency
    spent = dict(zip(latency.phases, latency.phase_sums_s.sum(axis=1).tolist(), strict=True))
    assert set(spent) == {"queue", "parse", "feature_fetch", "predict", "serialise"}
    assert spent["queue"] == pytest.approx(2.0, abs=1.0)
    assert spent["feature_fetch"] >= 0.002
    assert sum(spent.values()) == pytest.approx(latency.sums_s.sum(), rel=0.02)


@pytest.mark.parametrize(
    ("path", "status", "name", "error"),
    [
        ("/broken", 500, "GET /broken", "KeyError"),
        ("/async?wind=x", 422, "GET /async", "422"),
        ("/refused", 403, "GET /refused", None),
        ("/nowhere/at/all", 404, "GET (no route)", None),
    ],
)
def test_requests_that_never_predict_count_too(rs, pool, path, status, name, error):
    """What fails before any prediction is a call, and an error where it says something of data or server."""
    app = served(rs, pool)
    rs.instrument_app(app)
    (answer,) = asked(app, path)
    window = windows(rs)[name]
    assert (answer.status_code, window.calls) == (status, 1)
    assert dict(window.errors) == ({error: 1} if error else {})
    assert "x-prediction-id" not in answer.headers


def test_a_cohort_comes_from_header_path_query_or_baggage(rs, pool):
    """Each source reaches the predictions and the request, through the allow-list; what is absent is left out."""
    sources = {"/sync/UA": "path:carrier", "/async?carrier=UA": "query:carrier"}
    for path, source in sources.items():
        app = served(rs, pool)
        rs.instrument_app(app, cohorts={"carrier": source, "plan": "baggage:plan", "region": "header:x-region"})
        asked(app, path, baggage="other=1,plan=pro;ttl=3")
    assert {window.key.cohort for window in rs.windows()} == {"carrier=UA,plan=pro"}
    app = served(rs, pool)
    rs.instrument_app(app, cohorts={"carrier": "header:X-Carrier"})
    asked(app, "/executor", **{"x-carrier": "ZZ"})
    assert "carrier=other" in {window.key.cohort for window in rs.windows() if window.key.model == "delays"}


def test_requests_at_the_same_time_keep_their_own_predictions(rs, pool):
    """Interleaved requests on one loop and in threads never see each other's ids."""
    app = served(rs, pool)
    rs.instrument_app(app)
    answers = asked(app, *(["/sync/UA", "/async", "/executor"] * 20))
    ids = [each for answer in answers for each in answer.headers["x-prediction-id"].split(", ")]
    assert len(ids) == len(set(ids)) == 80


def test_a_streamed_response_is_whole_and_counts_once(rs, pool):
    """What predicts while the body is sent comes too late for the header, and in time for the record."""
    app = served(rs, pool)
    rs.instrument_app(app)
    (answer,) = asked(app, "/streamed")
    assert answer.text == "earlylate"
    assert windows(rs)["GET /streamed"].calls == 1


def test_background_tasks_predict_in_the_cohort_of_their_request(rs, pool):
    """They run after the response and within its context."""
    app = served(rs, pool)
    rs.instrument_app(app, cohorts={"carrier": "header:x-carrier"})
    asked(app, "/background", **{"x-carrier": "UA"})
    assert windows(rs)["delays"].key.cohort == "carrier=UA"


def test_starlette_without_fastapi_is_observed(rs):
    """The start of the endpoint is unknown; everything else is the same."""
    predict = rs.observe("delays")(lambda wind: wind)

    def endpoint(request):
        return PlainTextResponse(str(predict(float(request.path_params["wind"]))))

    app = Starlette(routes=[Route("/delay/{wind}", endpoint)])
    rs.instrument_app(app)
    (answer,) = asked(app, "/delay/3")
    assert (answer.text, len(answer.headers["x-prediction-id"])) == ("3.0", 32)
    assert windows(rs)["GET /delay/{wind}"].calls == 1


def test_an_application_made_after_instrumenting_needs_no_call(rs, pool):
    """Zero code: each application gets the middleware once, and none after undoing."""
    plugin = FastAPIInstrumentor()
    plugin.instrument()
    try:
        app = served(rs, pool)
        (answer,) = asked(app, "/executor")
        assert len(answer.headers["x-prediction-id"]) == 32
        rs.instrument_app(late := served(rs, pool), id_header="x-id")
        (answer,) = asked(late, "/sync/UA")
        assert "x-prediction-id" not in answer.headers
        assert len(answer.headers["x-id"]) == 32
    finally:
        plugin.uninstrument()
    (answer,) = asked(served(rs, pool), "/executor")
    assert "x-prediction-id" not in answer.headers
    assert windows(rs)["GET /sync/{carrier}"].calls == 1


def test_an_application_that_has_served_is_refused(rs, pool):
    """A middleware cannot be added any more, and the message says where to call."""
    app = served(rs, pool)
    asked(app, "/async")
    with pytest.raises(ConfigurationError, match="before it starts"):
        rs.instrument_app(app)


@pytest.mark.parametrize("source", ["x-carrier", "cookie:plan", "header:"])
def test_a_source_that_is_none_is_refused(rs, source):
    """The message lists what can be given."""
    with pytest.raises(ConfigurationError, match="header:NAME"):
        rs.instrument_app(fastapi.FastAPI(), cohorts={"carrier": source})


def test_an_object_that_is_no_application_is_refused(rs):
    """The message says which frameworks are known."""
    with pytest.raises(ConfigurationError, match="fastapi, flask, starlette"):
        rs.instrument_app(object())


@pytest.mark.parametrize("name", ["collect", "defer"])
def test_a_request_is_served_when_we_fail(rs, pool, monkeypatch, caplog, name):
    """Our own error is logged once, and every answer is as before."""
    app = served(rs, pool)
    rs.instrument_app(app)
    monkeypatch.setattr(radiosonde.plugin, name, lambda *_: 1 / 0)
    with caplog.at_level(logging.WARNING, "radiosonde"):
        answers = asked(app, "/executor", "/executor", raising=True)
    assert [answer.text for answer in answers] == ['"late"'] * 2
    assert sum("observed with less" in line for line in caplog.messages) <= 1


class Application(fastapi.FastAPI):
    """An application of a user's own class; OpenTelemetry's instrumentation makes one too."""


@pytest.mark.parametrize("outer", [Application, Starlette])
def test_paths_of_included_routers_are_cohorts_whatever_class_the_application_is(rs, outer):
    """Newer FastAPI handles an included route by a method of its own, which is only there where FastAPI is."""
    router = fastapi.APIRouter()
    predict = rs.observe("delays")(lambda wind: "late")
    router.get("/late/{carrier}")(lambda carrier: predict(20.0))
    app = application = Application()
    application.include_router(router, prefix="/v1")
    if outer is Starlette:
        app = Starlette(routes=[Mount("/in", application)])
    rs.instrument_app(app, cohorts={"carrier": "path:carrier"})
    path = "/in/v1/late" if outer is Starlette else "/v1/late"
    (answer,) = asked(app, f"{path}/UA")
    assert answer.status_code == 200
    assert {window.key.cohort for window in rs.windows() if window.key.model == "delays"} == {"carrier=UA"}


class Held:
    """Something large that an application puts into a context variable, or has in hand when it fails."""


HELD: ContextVar[Held] = ContextVar("held")


@pytest.mark.parametrize("ends", ["well", "badly"])
@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("carried", [{}, {"plan": "pro"}])
def test_nothing_of_a_request_is_held_until_it_is_described(ends, kind, carried, rs, monkeypatch):
    """Neither its context nor the frames of its exception: a request waits for its record for seconds."""
    monkeypatch.setattr(Cadence, "is_due", lambda *_, **__: False)
    app, predict, held = fastapi.FastAPI(), rs.observe("delays", version="2")(lambda wind: "late"), []

    def serve():
        features = Held()
        held.append(weakref.ref(features))
        HELD.set(features)
        predict(1.0)
        if ends == "badly":
            raise KeyError("features")

    async def serve_in_the_loop():
        serve()

    app.get("/delay")(serve if kind == "sync" else serve_in_the_loop)
    rs.instrument_app(app, cohorts={"plan": "header:x-plan"})
    asked(app, "/delay", **{f"x-{name}": value for name, value in carried.items()})

    def is_free():
        gc.collect()
        return held[0]() is None

    wait_for(is_free, "whoever holds it; a server's own thread lets go of an exception when it ends")
    assert len(rs.pipeline().deferred) == 1
    window = windows(rs)["GET /delay"]
    assert (window.calls, window.key.version, window.key.cohort) == (1, "2", ",".join(map("=".join, carried.items())))
    assert dict(window.errors) == ({"KeyError": 1} if ends == "badly" else {})


def test_of_headers_that_repeat_all_values_count():
    """Joined as in HTTP; unwanted headers are not read."""
    headers = [(b"x-plan", b"pro"), (b"accept", b"*/*"), (b"x-plan", b"free")]
    assert _asgi._read(headers, {b"x-plan": "x-plan"}) == {"x-plan": "pro,free"}
    assert _asgi._read(headers, {b"baggage": "baggage"}) == {}
