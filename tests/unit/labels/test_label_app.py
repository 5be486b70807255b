"""The mountable application, through the frameworks that mount it and the servers that run it."""

from __future__ import annotations

import http.client
import io
import json
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import fastapi
import flask
import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from radiosonde._labels.label_app import LabelApp
from radiosonde._labels.label_route import MOST_BYTES, LabelRoute
from tests.unit.join.recording import RecordingStore

BEARER = {"Authorization": "Bearer s3cret"}
ITEM = {"id": "order-7", "label": "late"}


@pytest.fixture
def store():
    """Return a store that records its arguments and threads."""
    return RecordingStore()


@pytest.fixture
def app(store):
    """Return the application."""
    return LabelApp(LabelRoute("s3cret", store.receive))


def mounted(kind, app):
    """Return a client of *app* mounted under ``/radiosonde`` in a framework, or served alone."""
    if kind == "fastapi":
        outer = fastapi.FastAPI()
        outer.mount("/radiosonde", app)
    elif kind == "starlette":
        outer = Starlette(routes=[Mount("/radiosonde", app)])
    else:
        outer = app
    return httpx.AsyncClient(transport=httpx.ASGITransport(outer), base_url="http://test")


@pytest.mark.parametrize("kind", ["fastapi", "starlette", "alone"])
async def test_asgi(kind, app, store):
    """Labels are received below where it is mounted; other paths, methods and strangers have their answers."""
    async with mounted(kind, app) as client:
        answer = await client.post("/radiosonde/labels", json=[ITEM, ITEM], headers=BEARER)
        assert (answer.status_code, answer.json()) == (202, {"received": 2})
        assert answer.headers["content-type"] == "application/json"
        assert (await client.post("/radiosonde/labels", json=ITEM)).status_code == 401
        asked = await client.get("/radiosonde/labels", headers=BEARER)
        assert (asked.status_code, asked.headers["allow"]) == (405, "POST")
        assert (await client.post("/radiosonde/other", json=ITEM, headers=BEARER)).status_code == 404
        refused = await client.post("/radiosonde/labels", content=b"{", headers=BEARER)
        assert (refused.status_code, refused.json()["received"]) == (400, 0)
        large = await client.post("/radiosonde/labels", content=b" " * (MOST_BYTES + 1), headers=BEARER)
        assert large.status_code == 413
    assert [label.prediction_id for label in store.labels] == ["order-7", "order-7"]


async def test_asgi_keeps_labels_off_the_event_loop():
    """A slow store does not hold up the other requests of the server."""
    seen = []
    app = LabelApp(LabelRoute("s3cret", lambda labels: seen.append(threading.current_thread())))
    async with mounted("alone", app) as client:
        assert (await client.post("/labels", json=ITEM, headers=BEARER)).status_code == 202
    assert seen[0] is not threading.current_thread()


async def asgi(app, messages, scope):
    """Drive an application by hand; return its messages."""
    sent, waiting = [], iter(messages)

    async def receive():
        return next(waiting)

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent


def request(**headers):
    """Return the scope of a post."""
    pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http", "path": "/labels", "method": "POST", "headers": pairs}


async def test_asgi_reads_a_body_in_parts_and_no_more_than_it_takes(app, store):
    """Parts are put together; a body without end is refused where it becomes too long; one cut short is no body."""
    body = json.dumps(ITEM).encode()
    parts = [
        {"type": "http.request", "body": body[place : place + 5], "more_body": True} for place in range(0, len(body), 5)
    ]
    sent = await asgi(app, [*parts, {"type": "http.request"}], request(**BEARER))
    assert sent[0]["status"] == 202
    endless = ({"type": "http.request", "body": b" " * 1_000_000, "more_body": True} for _ in range(5))
    assert (await asgi(app, endless, request(**BEARER)))[0]["status"] == 413
    assert (await asgi(app, [parts[0], {"type": "http.disconnect"}], request(**BEARER)))[0]["status"] == 400
    assert len(store.chunks) == 1


async def test_asgi_reads_nothing_of_a_stranger(app):
    """The answer comes before the body: `receive` would fail here."""
    assert (await asgi(app, [], request()))[0]["status"] == 401
    assert (await asgi(app, [], request(Authorization="Bearer é")))[0]["status"] == 401


async def test_asgi_takes_part_in_a_servers_life_and_closes_websockets(app):
    """So that it can be served alone, too."""
    life = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    assert await asgi(app, life, {"type": "lifespan"}) == [
        {"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"},
    ]  # fmt: skip
    assert await asgi(app, [], {"type": "websocket"}) == [{"type": "websocket.close", "code": 1000}]


def test_wsgi_below_flask(app, store):
    """Mounted beside an application of Flask's, which goes on answering."""
    outer = flask.Flask("outer")
    outer.add_url_rule("/hello", view_func=lambda: "hello")
    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/radiosonde": app.wsgi})
    client = outer.test_client()
    assert client.get("/hello").text == "hello"
    answer = client.post("/radiosonde/labels", json=[ITEM, ITEM], headers=BEARER)
    assert (answer.status, answer.json) == ("202 Accepted", {"received": 2})
    assert client.post("/radiosonde/labels", json=ITEM).status_code == 401
    asked = client.get("/radiosonde/labels", headers=BEARER)
    assert (asked.status_code, asked.headers["Allow"]) == (405, "POST")
    assert client.post("/radiosonde/other", json=ITEM, headers=BEARER).status_code == 404
    assert client.post("/radiosonde/labels", data=b" " * (MOST_BYTES + 1), headers=BEARER).status_code == 413
    assert [label.prediction_id for label in store.labels] == ["order-7", "order-7"]


class Quiet(WSGIRequestHandler):
    """Logs nothing."""

    def log_message(self, *_):
        pass


def test_wsgi_behind_a_real_server(app, store):
    """By the standard library's server, over a socket."""
    with make_server("127.0.0.1", 0, app.wsgi, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
        try:
            connection.request("POST", "/labels", json.dumps(ITEM), BEARER)
            answer = connection.getresponse()
            assert (answer.status, json.loads(answer.read())) == (202, {"received": 1})
        finally:
            connection.close()
            thread.join(10)
    assert store.labels[0].value == "late"


@pytest.mark.parametrize(
    ("environ", "body", "status"),
    [
        ({"CONTENT_LENGTH": "36"}, b'{"id": "order-7", "label": "late"}  ', "202"),
        ({"wsgi.input_terminated": True}, b'{"id": "order-7", "label": "late"}', "202"),
        ({"wsgi.input_terminated": True}, b" " * (MOST_BYTES + 1), "413"),
        ({}, b'{"id": "order-7", "label": "late"}', "400"),
        ({"CONTENT_LENGTH": "37"}, b'{"id": "order-7", "label": "late"}', "400"),
        ({"CONTENT_LENGTH": "9" * 30}, b"", "413"),
        ({"CONTENT_LENGTH": "-1"}, b"{}", "400"),
    ],
    ids=["length", "chunked", "chunked-large", "no-length", "cut", "huge", "negative"],
)
def test_wsgi_trusts_no_length(app, environ, body, status):
    """A body is read as far as the server says that it goes, and no further than is taken."""
    said = []
    request = {
        "PATH_INFO": "/labels",
        "REQUEST_METHOD": "POST",
        "HTTP_AUTHORIZATION": "Bearer s3cret",
        "wsgi.input": io.BytesIO(body),
    }
    b"".join(app.wsgi(request | environ, lambda status, headers: said.append(status.split()[0])))
    assert said == [status]
