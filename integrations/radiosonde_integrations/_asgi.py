"""An ASGI middleware that observes requests; FastAPI and Starlette are two of its users.

A request is over when its last byte was handed to the server: what a framework runs after that (background tasks) keeps
the request's cohort and is none of its time.

When the server shuts down, everything is flushed at the end of the application's lifespan. It has to be there: uvicorn
ends by the very signal it was sent, so that nothing that waits for the exit of the process is run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import radiosonde
from radiosonde_integrations._options import RequestOptions
from radiosonde_integrations._quiet import quiet
from radiosonde_integrations._requests import ObservedRequest, begin_request, error_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KEY = "radiosonde.request"
"""Key in a scope: this request is being observed already, by an application that this one is mounted in."""

FLUSH_TIMEOUT_S = 5.0
"""What the end of a lifespan waits for the telemetry; servers are killed when they take too long, gunicorn's after 30 s."""

DISCONNECTED = "client_disconnected"
"""The error of a request whose client went away before its response was complete."""


class RequestMiddleware:
    """Observes each HTTP request of *app*.

    Args:
        app: the application inside.
        options: what is wanted.
    """

    def __init__(self, app: App, options: RequestOptions) -> None:
        self.app = app
        self._options = options
        self._wanted = {name.encode("latin-1"): name for name in options.wanted}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or KEY in scope:
            await self.app(scope, receive, _flushing(send) if scope["type"] == "lifespan" else send)
            return
        request = begin_request(self._options, self._headers(scope), scope.get("query_string", b"").decode("latin-1"))
        if request is None:
            await self.app(scope, receive, send)
            return
        scope[KEY] = root_path = scope.get("root_path", "")
        status = 0

        async def send_observed(message: Message) -> None:
            nonlocal status
            kind = message["type"]
            if kind == "http.response.start":
                status = message["status"]
                if request.predictions or request.elsewhere:
                    added = [
                        (name.encode("latin-1"), value.encode("latin-1")) for name, value in request.response_headers()
                    ]
                    message = {**message, "headers": [*message.get("headers", ()), *added]}
                request.describe_span()  # before it is sent: the server's span may end in the sending
                await send(message)
                return
            await send(message)
            if not message.get("more_body") and kind in ("http.response.body", "http.response.pathsend"):
                request.end(scope["method"], _path(scope, root_path, request), error_of(status))

        try:
            await self.app(scope, receive, send_observed)
        except BaseException as error:
            request.end(scope["method"], _path(scope, root_path, request), _error(error))
            raise
        else:
            # Not ended yet: the client went away, or the application sent nothing or not all.
            request.end(scope["method"], _path(scope, root_path, request), error_of(status) or DISCONNECTED)
        finally:
            request.leave()

    def _headers(self, scope: Scope) -> dict[str, str]:
        found: dict[str, str] = {}
        wanted = self._wanted
        for name, value in scope["headers"]:
            if name in wanted:
                key, text = wanted[name], value.decode("latin-1")
                found[key] = f"{found[key]},{text}" if key in found else text
        return found


def _flushing(send: Send) -> Send:
    """Return the *send* of a lifespan, which flushes before it says that the application has shut down."""

    async def send_flushed(message: Message) -> None:
        if message["type"] == "lifespan.shutdown.complete":
            await asyncio.to_thread(quiet(False)(radiosonde.flush), FLUSH_TIMEOUT_S)
        await send(message)

    return send_flushed


def _error(error: BaseException) -> BaseException | str:
    # Starlette raises one of its own when what it streams can no longer be sent; servers cancel.
    is_disconnect = type(error).__name__ in ("ClientDisconnect", "CancelledError")
    return DISCONNECTED if is_disconnect else error


def _path(scope: Scope, root_path: str, request: ObservedRequest) -> str:
    """Return the route; requests that no route took share one name, because their paths are anybody's."""
    path = request.route or getattr(scope.get("route"), "path", None)
    if path is None:
        return f"({getattr(scope.get('endpoint'), '__qualname__', 'no route')})"
    # What is left of the root path are mounts; a proxy's prefix was there from the beginning.
    mounts: str = scope.get("root_path", "")
    return path if mounts == root_path else f"{mounts.removeprefix(root_path)}{path}"
