"""The web application: routes, headers and errors. It reads no store and computes no verdict: it renders a `Board`.

Safe by construction: only GET and HEAD are answered, only to the names of this machine (a page of another site cannot read it by rebinding a
name to 127.0.0.1), and the content security policy allows nothing but the desk's own files: no inline script or style, no frame, no other host.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources
from typing import TYPE_CHECKING, Any, Protocol

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from radiosonde._clock import wall_ns
from radiosonde.desk.pages.feature import feature_of, feature_page
from radiosonde.desk.pages.fleet import fleet_page
from radiosonde.desk.pages.incident import incident_page
from radiosonde.desk.pages.model import model_page, series_json
from radiosonde.desk.rendering import name_of_line, render
from radiosonde.desk.words import page_url
from radiosonde.diagnose.html import FIGURE_STYLE

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from radiosonde.desk.board import Board


class BoardSource(Protocol):
    """Keeps a board up to date in the background."""

    board: Board

    def ask(self) -> None:
        """Look soon, if a store has grown. Cheap."""


HOSTS = ("127.0.0.1", "localhost")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
EVENTS_S = 0.5
"""Seconds between two checks for a new board, of a page that is open."""
ALIVE_S = 15.0
LONGEST_QUERY = 4096


def make_app(looking: BoardSource) -> Starlette:
    """Return the application over the board of *looking*."""
    page = Pages(looking)
    folder = resources.files("radiosonde.desk").joinpath("static")
    routes = [
        Route("/", page.fleet),
        Route("/model", page.model),
        Route("/series", page.series),
        Route("/feature", page.feature),
        Route("/incident", page.incident),
        Route("/stores", page.stores),
        Route("/events", page.events),
        Route("/figures.css", _figures_css),
        Mount("/static", StaticFiles(directory=_path(folder)), name="static"),
    ]
    middleware = [
        Middleware(SafeHeaders),
        Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS)),
        Middleware(GZipMiddleware, minimum_size=2000),
    ]
    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        HTTPException: page.refused,
        Exception: page.failed,
    }
    return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)


def _path(folder: Any) -> Path:
    found: Path = folder
    return found


async def _figures_css(_: Request) -> Response:
    return Response(FIGURE_STYLE, media_type="text/css")


class SafeHeaders:
    """Adds `HEADERS` to every response, refuses what is not read-only, and bounds the query.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = dict(message["headers"])
                kept = {b"cache-control": b"no-cache"} | HEADERS
                message["headers"] = [
                    *message["headers"],
                    *((name, value) for name, value in kept.items() if name not in given),
                ]
            await send(message)

        if scope["method"] not in ("GET", "HEAD"):
            refusal = Response("The desk only reads: use GET.\n", 405, {"allow": "GET, HEAD"}, "text/plain")
            await refusal(scope, receive, with_headers)
        elif len(scope["query_string"]) > LONGEST_QUERY:
            await Response("The address is too long.\n", 414, media_type="text/plain")(scope, receive, with_headers)
        else:
            await self._app(scope, receive, with_headers)


class Pages:
    """The pages, each a method.

    Args:
        looking: the background look.
    """

    def __init__(self, looking: BoardSource) -> None:
        self._looking = looking
        self.is_ending = False

    async def fleet(self, request: Request) -> Response:
        """Show all models."""
        board = self._board()
        return self._page(request, board, "fleet.html", "Fleet", fleet_page(board))

    async def model(self, request: Request) -> Response:
        """Show one model."""
        board, name = self._board(), request.query_params.get("name", "")
        state = board.model(name)
        if state is None:
            return self._missing(request, board, "model", name)
        values = model_page(board, state, request.query_params)
        return self._page(request, board, "model.html", name_of_line(name), values)

    async def series(self, request: Request) -> Response:
        """Return the charts of a model as JSON."""
        board, name = self._board(), request.query_params.get("name", "")
        state = board.model(name)
        if state is None:
            return Response('{"error": "there is no such model"}', 404, media_type="application/json")
        record = series_json(board, state, request.query_params)
        return Response(json.dumps(record, allow_nan=False), media_type="application/json")

    async def feature(self, request: Request) -> Response:
        """Show one feature of a model."""
        board, query = self._board(), request.query_params
        state, name = board.model(query.get("model", "")), query.get("name", "")
        if state is None:
            return self._missing(request, board, "model", query.get("model", ""))
        found = feature_of(state, name)
        if found is None:
            return self._missing(request, board, "feature", name)
        values = feature_page(board, state, found, query)
        return self._page(request, board, "feature.html", f"{name_of_line(found)}, {name_of_line(state.model)}", values)

    async def incident(self, request: Request) -> Response:
        """Show one incident."""
        board, name = self._board(), request.query_params.get("id", "")
        incident = board.incidents.get(name)
        if incident is None:
            return self._missing(request, board, "incident", name)
        values = incident_page(board, incident)
        return self._page(request, board, "incident.html", name_of_line(incident.finding.title), values)

    async def stores(self, request: Request) -> Response:
        """Show the state of the stores."""
        return self._page(request, self._board(), "stores.html", "Stores", {})

    async def events(self, request: Request) -> Response:
        """Send an event when the board has changed, until the reader goes away."""

        async def changes() -> AsyncIterator[str]:
            known, quiet_s = self._looking.board.number, 0.0
            yield f"retry: 3000\nevent: ready\ndata: {known}\n\n"
            while not self.is_ending and not await request.is_disconnected():
                self._looking.ask()
                number = self._looking.board.number
                quiet_s += EVENTS_S
                if number != known:
                    known, quiet_s = number, 0.0
                    yield f"event: look\ndata: {number}\n\n"
                elif quiet_s >= ALIVE_S:
                    quiet_s = 0.0
                    yield ": alive\n\n"
                await anyio.sleep(EVENTS_S)

        return StreamingResponse(changes(), media_type="text/event-stream", headers={"content-encoding": "identity"})

    async def refused(self, request: Request, error: Exception) -> Response:
        """Show that there is no such page, or no such file."""
        code = error.status_code if isinstance(error, HTTPException) else 500
        if code != 404:
            return Response("This request cannot be answered.\n", code, media_type="text/plain")
        return self._missing(request, self._looking.board, "page", request.url.path)

    async def failed(self, request: Request, error: Exception) -> Response:
        """Show that a page failed; the server logs the error."""
        values = {"what": "error", "name": type(error).__name__}
        return self._page(request, self._looking.board, "missing.html", "Error", values, 500)

    def _board(self) -> Board:
        self._looking.ask()
        return self._looking.board

    def _missing(self, request: Request, board: Board, what: str, name: str) -> Response:
        if what == "model" and name in board.waiting:
            return self._page(request, board, "waiting.html", "First diagnosis", {"name": name}, 503)
        return self._page(request, board, "missing.html", "Not found", {"what": what, "name": name}, 404)

    def _page(
        self, request: Request, board: Board, template: str, title: str, values: dict[str, Any], code: int = 200
    ) -> Response:
        here = page_url(request.url.path, **dict(request.query_params))
        common = {"board": board, "title": title, "here": here, "now_ns": wall_ns(), "path": request.url.path}
        return HTMLResponse(render(template, **common, **values), code)
