"""Responses that end in the middle are errors, with any middleware around the application; pages of the framework are not models."""

from __future__ import annotations

import asyncio

import fastapi
import flask
import pytest
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from radiosonde.testing import fly
from radiosonde_integrations.fastapi import FastAPIInstrumentor
from tests.unit.integrations.standing_in import stand_in


@pytest.fixture
def rs(monkeypatch):
    """Return a Radiosonde that the plug-in reports to."""
    with fly() as flight:
        stand_in(monkeypatch, flight)
        yield flight


class Passing(BaseHTTPMiddleware):
    """Does nothing, as most do to most requests."""

    async def dispatch(self, request, call_next):
        return await call_next(request)


class Plain:
    """An ASGI middleware that needs no base."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


async def half():
    """Break off in the middle."""

    async def body():
        yield "a"
        raise LookupError

    return StreamingResponse(body())


def half_sync():
    """Break off in the middle of a plain generator."""

    def body():
        yield "a"
        raise LookupError

    return StreamingResponse(body())


async def endless():
    """Stream until the client goes away."""

    async def body():
        while True:
            yield "x"
            await asyncio.sleep(0)

    return StreamingResponse(body())


async def whole():
    """Stream to the end."""

    async def body():
        yield "a"
        yield "b"

    return StreamingResponse(body())


async def whole_and_failing_later():
    """Stream to the end, and fail in a task after it."""

    async def body():
        yield "a"

    async def fail():
        raise LookupError

    return StreamingResponse(body(), background=BackgroundTask(fail))


PATHS = {
    "/half": half,
    "/half-sync": half_sync,
    "/endless": endless,
    "/whole": whole,
    "/whole-and-failing-later": whole_and_failing_later,
}


def bare():
    """Return an application without a middleware."""
    app = fastapi.FastAPI()
    for path, endpoint in PATHS.items():
        app.get(path)(endpoint)
    return app


def decorated():
    """Return one with a function as its middleware."""
    app = bare()

    @app.middleware("http")
    async def passing(request, call_next):
        return await call_next(request)

    return app


def stacked():
    """Return one with several, of both kinds."""
    app = bare()
    for each in (Passing, Plain, Passing, GZipMiddleware, Plain):
        app.add_middleware(each)
    return app


def of_starlette():
    """Return one of Starlette."""
    routes = [Route(path, _of_request(endpoint)) for path, endpoint in PATHS.items()]
    return Starlette(routes=routes, middleware=[Middleware(Plain), Middleware(Passing)])


def _of_request(endpoint):
    async def answer(request):
        made = endpoint()
        return await made if asyncio.iscoroutine(made) else made

    return answer


def mounted():
    """Return one around another."""
    return Starlette(routes=[Mount("/", decorated())])


APPLICATIONS = [bare, decorated, stacked, of_starlette, mounted]


def ask(app, path, *, leave=False):
    """Serve one request; with *leave* the client goes away after ten chunks."""

    async def main():
        gone, chunks = asyncio.Event(), 0
        first = True

        async def receive():
            nonlocal first
            if first:
                first = False
                return {"type": "http.request", "body": b"", "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            nonlocal chunks
            chunks += message["type"] == "http.response.body"
            if leave and chunks >= 10:
                gone.set()
            await asyncio.sleep(0)

        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET", "path": path,
            "raw_path": path.encode(), "query_string": b"", "headers": [], "root_path": "", "scheme": "http",
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
        }  # fmt: skip
        try:
            await asyncio.wait_for(app(scope, receive, send), 60)
        except Exception as error:  # noqa: BLE001 - what an application raises is the server's
            assert "LookupError" in repr(error) or "LookupError" in repr(getattr(error, "exceptions", ""))  # noqa: PT017

    asyncio.run(main())


def counted(rs):
    """Return calls and errors by series."""
    return {window.key.model: (window.calls, dict(window.errors)) for window in rs.windows()}


@pytest.mark.parametrize("way", ["instrument_app", "every application"])
@pytest.mark.parametrize("make", APPLICATIONS)
@pytest.mark.parametrize(
    ("path", "errors"),
    [
        ("/half", {"LookupError": 1}),
        ("/half-sync", {"LookupError": 1}),
        ("/endless", {"client_disconnected": 1}),
        ("/whole", {}),
        ("/whole-and-failing-later", {}),
    ],
)
def test_a_response_that_ends_in_the_middle_is_an_error(rs, path, errors, make, way):
    """Behind any middleware: the error of a stream and a client that goes away; not what happens after the last byte."""
    plugin = FastAPIInstrumentor()
    if way == "every application":
        plugin.instrument()
    try:
        app = make()
        if way == "instrument_app":
            rs.instrument_app(app)
        ask(app, path, leave=path == "/endless")
        assert counted(rs) == {f"GET {path}": (1, errors)}
    finally:
        if way == "every application":
            plugin.uninstrument()


def test_a_middleware_that_answers_itself_is_what_counts(rs):
    """It caught the error, or took another response: the client got a whole one, with that status."""
    app = bare()

    @app.get("/broken")
    async def broken():
        raise LookupError

    @app.middleware("http")
    async def answering(request, call_next):
        try:
            response = await call_next(request)
        except LookupError:
            return PlainTextResponse("sorry", status_code=500)
        return PlainTextResponse("instead") if request.url.path == "/endless" else response

    rs.instrument_app(app)
    ask(app, "/broken")
    ask(app, "/endless")
    assert counted(rs) == {"GET /broken": (1, {"500": 1}), "GET /endless": (1, {})}


def test_pages_of_the_framework_are_no_models(rs, tmp_path):
    """The documentation, its schema and static files are not counted; the user's routes are, under any name."""
    (tmp_path / "a.css").write_text("a")
    app = fastapi.FastAPI()
    app.mount("/files", StaticFiles(directory=tmp_path))
    app.get("/docs/mine")(lambda: "mine")
    rs.instrument_app(app)
    for path in ("/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect", "/files/a.css", "/docs/mine"):
        ask(app, path)
    assert counted(rs) == {"GET /docs/mine": (1, {})}


class Pages(StaticFiles):
    """Files of a single-page application, as users subclass them."""


@pytest.mark.parametrize(
    ("mounted", "expected"),
    [
        (lambda _: fastapi.FastAPI(), {"GET (no route)": (1, {})}),
        (lambda _: type("Own", (fastapi.FastAPI,), {})(), {"GET (no route)": (1, {})}),
        (lambda _: Starlette(), {"GET (no route)": (1, {})}),
        (lambda folder: StaticFiles(directory=folder), {}),
        (lambda folder: Pages(directory=folder), {}),
    ],
    ids=["FastAPI", "subclass of FastAPI", "Starlette", "files", "subclass of files"],
)
def test_a_path_that_a_mounted_application_lacks_is_counted(rs, tmp_path, mounted, expected):
    """As one that the application itself lacks is; files are no models, whether or not they exist."""
    app = fastapi.FastAPI()
    app.mount("/sub", mounted(tmp_path))
    rs.instrument_app(app)
    ask(app, "/sub/nope")
    assert counted(rs) == expected


# Flask ---------------------------------------------------------------------------------------------------------------


def flask_app():
    """Return one of Flask."""
    app = flask.Flask(__name__, static_folder=None)

    @app.get("/half")
    def half():
        def body():
            yield "a"
            raise LookupError

        return app.response_class(body())

    @app.get("/endless")
    def endless():
        def body():
            while True:
                yield "x"

        return app.response_class(body())

    @app.get("/whole")
    def whole():
        return app.response_class(iter(["a", "b"]))

    return app


def ask_flask(app, path, *, take=None, method="GET"):
    """Serve one request as a WSGI server does: take the body, or *take* chunks of it, and close it."""
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "SERVER_NAME": "server", "SERVER_PORT": "80", "wsgi.url_scheme": "http",
        "wsgi.input": None, "wsgi.errors": None, "SERVER_PROTOCOL": "HTTP/1.1", "QUERY_STRING": "",
    }  # fmt: skip
    body = app.wsgi_app(environ, lambda *_: None)
    try:
        if take != 0:
            for place, _ in enumerate(body, start=1):
                if place == take:
                    break
    except LookupError:
        assert path == "/half"
    finally:
        body.close()


@pytest.mark.parametrize(
    ("path", "take", "method", "errors"),
    [
        ("/half", None, "GET", {"LookupError": 1}),
        ("/endless", 3, "GET", {"client_disconnected": 1}),
        ("/whole", 1, "GET", {"client_disconnected": 1}),
        ("/whole", None, "GET", {}),
        ("/whole", 0, "HEAD", {}),
    ],
)
def test_a_response_of_flask_that_ends_in_the_middle_is_an_error(rs, path, take, method, errors):
    """A body that raised, one that was closed before its end; not one that the server had no need to begin."""
    app = flask_app()
    rs.instrument_app(app)
    ask_flask(app, path, take=take, method=method)
    assert counted(rs) == {f"{method} {path}": (1, errors)}


def test_static_files_of_flask_are_no_models(rs, tmp_path):
    """Those of the application and of a blueprint; an endpoint of the user's own that is called static is one."""
    (tmp_path / "a.css").write_text("a")
    app = flask.Flask(__name__, static_folder=str(tmp_path), static_url_path="/assets")
    app.register_blueprint(
        flask.Blueprint("part", __name__, static_folder=str(tmp_path), url_prefix="/part", static_url_path="/own")
    )
    app.add_url_rule("/mine", "mine.static", lambda: "mine")
    rs.instrument_app(app)
    for path in ("/assets/a.css", "/part/own/a.css", "/mine"):
        ask_flask(app, path)
    assert counted(rs) == {"GET /mine": (1, {})}
