"""An ASGI middleware that observes requests, used by FastAPI and Starlette.

A request is over when its last byte was passed to the server: later work of a framework (background tasks) keeps the request's cohort and
is not part of its duration.

When the server shuts down, everything is flushed at the end of the application's lifespan. It has to be there: uvicorn
ends by the very signal it was sent, so that nothing that waits for the exit of the process is run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import partial
from types import FunctionType
from typing import Any

import radiosonde
from radiosonde_integrations._options import RequestOptions
from radiosonde_integrations._quiet import quiet
from radiosonde_integrations._requests import DISCONNECTED, REQUEST, ObservedRequest, error_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KEY = "radiosonde.request"
"""Key in a scope: the root path the request came with; it is being observed already, by an application that this one is
mounted in."""

FLUSH_TIMEOUT_S = 5.0
"""Longest wait for the telemetry at the end of a lifespan; servers are killed when they take too long, gunicorn's after 30 s."""


class RequestMiddleware:
    """Observes each HTTP request of *app*.

    Args:
        app: the application inside.
        options: the options.
    """

    def __init__(self, app: App, options: RequestOptions) -> None:
        self.app = app
        self._options = options
        self._wanted = {name.encode("latin-1"): name for name in options.wanted}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or KEY in scope:
            await self.app(scope, receive, _flushing(send) if scope["type"] == "lifespan" else send)
            return
        options = self._options
        query = scope.get("query_string", b"").decode("latin-1") if options.of_query else ""
        request = ObservedRequest(options, partial(_read, scope["headers"], self._wanted), query)
        if not request.is_begun:
            await self.app(scope, receive, send)
            return
        scope[KEY] = scope.get("root_path", "")

        def send_observed(message: Message) -> Awaitable[None]:  # no coroutine of its own: each layer costs
            kind = message["type"]
            if kind == "http.response.start":
                request.status = message["status"]
                added = request.response_headers()
                if added:
                    headers = list(message.get("headers", ()))
                    for name, value in added:
                        headers.append((name.encode("latin-1"), value.encode("latin-1")))
                    message = {**message, "headers": headers}
            elif kind in _LAST and not message.get("more_body"):
                return _send_last(send, message, scope, request)
            return send(message)

        try:
            await self.app(scope, receive, send_observed)
        except BaseException as error:
            _end(scope, request, _error(error))
            raise
        else:
            if not request.is_over:  # the client went away, or the application sent nothing or not all
                _end(scope, request, error_of(request.status) or DISCONNECTED)
        finally:
            request.leave()


_LAST = frozenset({"http.response.body", "http.response.pathsend"})
"""Messages that may be a response's last."""


def _read(headers: Iterable[tuple[bytes, bytes]], wanted: Mapping[bytes, str]) -> dict[str, str]:
    """Return those of a request's headers that are wanted; values of a repeated one are joined by commas."""
    read: dict[str, str] = {}
    for name, value in headers:
        if name in wanted:
            known, text = wanted[name], value.decode("latin-1")
            read[known] = f"{read[known]},{text}" if known in read else text
    return read


async def _send_last(send: Send, message: Message, scope: Scope, request: ObservedRequest) -> None:
    """Send the last message of a response, and end its request."""
    await send(message)
    _end(scope, request, request.status if request.cut is None else request.cut)


def _end(scope: Scope, request: ObservedRequest, error: BaseException | type[BaseException] | str | int) -> None:
    """End a request; one that a page of the framework's own answered is none of a model's."""
    if _is_page(scope.get("endpoint")):
        request.drop()
    else:
        request.end(scope["method"], _path(scope, request), error)


def _is_page(endpoint: object) -> bool:
    """Return whether an endpoint is the framework's own: FastAPI's documentation and its schema, or an application of static files."""
    kind = type(endpoint)
    if kind is FunctionType:
        return endpoint.__module__ == "fastapi.applications"
    # A mounted application is the endpoint of the requests that none of its routes took: these count.
    return any(base.__module__ == "starlette.staticfiles" for base in kind.__mro__)


def watching(app: App) -> App:
    """Wrap *app*, which is inside a layer that completes responses it breaks off.

    Starlette's ``BaseHTTPMiddleware`` runs the application in a task and sends on what comes. When the application raises in the
    middle of a response, or stops because the client disconnected, it still sends the last message.
    """

    async def watched_app(scope: Scope, receive: Receive, send: Send) -> None:
        request = REQUEST.get() if scope["type"] == "http" else None
        if request is None:
            await app(scope, receive, send)
            return
        is_begun = is_complete = False

        def send_watched(message: Message) -> Awaitable[None]:
            nonlocal is_begun, is_complete
            is_begun = True
            is_complete = is_complete or (message["type"] in _LAST and not message.get("more_body"))
            return send(message)

        cut: BaseException | str = DISCONNECTED
        try:
            await app(scope, receive, send_watched)
        except BaseException as error:
            cut = _error(error)
            raise
        finally:
            # Of several such layers the innermost one knows.
            if is_begun and not is_complete and request.cut is None:
                request.cut = type(cut) if isinstance(cut, BaseException) else cut

    return watched_app


def _flushing(send: Send) -> Send:
    """Return the *send* of a lifespan, which flushes before it says that the application has shut down."""

    async def send_flushed(message: Message) -> None:
        if message["type"] == "lifespan.shutdown.complete":
            await asyncio.to_thread(quiet(False)(radiosonde.flush), FLUSH_TIMEOUT_S)
        await send(message)

    return send_flushed


def _error(error: BaseException) -> BaseException | str:
    # Starlette raises its own exception when a stream can no longer be sent; servers cancel.
    is_disconnect = type(error).__name__ in ("ClientDisconnect", "CancelledError")
    return DISCONNECTED if is_disconnect else error


def _path(scope: Scope, request: ObservedRequest) -> str:
    """Return the route; requests that no route took share one name, because their paths are anybody's."""
    path = request.route
    if path is None:
        # A route of an included router: its own path lacks the router's prefix, that of the inclusion has it.
        included = scope.get("fastapi")
        included = None if included is None else included.get("effective_route_context")
        path = getattr(included or scope.get("route"), "path", None)
    if path is None:
        return f"({getattr(scope.get('endpoint'), '__qualname__', 'no route')})"
    # The rest of the root path are mounts; a proxy's prefix was there from the beginning.
    mounts, root_path = scope.get("root_path", ""), scope[KEY]
    return str(path if mounts == root_path else f"{mounts.removeprefix(root_path)}{path}")
