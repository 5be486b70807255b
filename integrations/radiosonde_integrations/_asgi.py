"""An ASGI middleware that observes requests; FastAPI and Starlette are two of its users."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from radiosonde_integrations._requests import RequestOptions, begin_request, error_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class RequestMiddleware:
    """Observes each HTTP request of *app*.

    Args:
        app: the application inside.
        options: what is wanted.
    """

    def __init__(self, app: App, options: RequestOptions) -> None:
        self.app = app
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope.get("headers", ())}
        request = begin_request(
            self._options,
            lambda name: (
                headers[name.encode("latin-1")].decode("latin-1") if name.encode("latin-1") in headers else None
            ),
            _query(scope),
        )
        if request is None:
            await self.app(scope, receive, send)
            return
        status = 0

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                added = [
                    (name.encode("latin-1"), value.encode("latin-1")) for name, value in request.response_headers()
                ]
                message = {**message, "headers": [*message.get("headers", ()), *added]}
                request.describe_span()  # before it is sent: the server's span may end in the sending
            await send(message)

        try:
            await self.app(scope, receive, send_observed)
        except BaseException as error:
            request.end(_name(scope), error)
            raise
        request.end(_name(scope), error_of(status))


def _query(scope: Scope) -> dict[str, str]:
    from urllib.parse import parse_qsl

    return dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))


def _name(scope: Scope) -> str:
    """Return method and route; requests that no route took share one name, because their paths are anybody's."""
    route = scope.get("route")
    path = getattr(route, "path", None)
    if path is None:
        name = getattr(scope.get("endpoint"), "__qualname__", "no route")
        path = f"({name})"
    return f"{scope['method']} {scope.get('root_path', '')}{path}"
