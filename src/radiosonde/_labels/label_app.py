"""`LabelRoute` as an application to mount: ASGI (Starlette, FastAPI, uvicorn) and WSGI (Flask, gunicorn) in one object.

    app.mount("/radiosonde", LabelApp(route))                                        # Starlette, FastAPI
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/radiosonde": LabelApp(route).wsgi})   # Flask

Both protocols are plain calls, so no framework is imported, none is needed, and this is not a plug-in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

from radiosonde._labels.label_route import (
    MOST_BYTES,
    LabelResponse,
    LabelRoute,
    cut_short,
    not_allowed,
    not_found,
    too_large,
)

PATH = "/labels"

Scope = MutableMapping[str, Any]
AsgiReceive = Callable[[], Awaitable[MutableMapping[str, Any]]]
AsgiSend = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class LabelApp:
    """Serves ``POST /labels`` below wherever it is mounted: call it as ASGI, `wsgi` as WSGI."""

    def __init__(self, route: LabelRoute) -> None:
        self._route = route

    async def __call__(self, scope: Scope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        if (elsewhere := _elsewhere(scope["path"], scope["method"])) is not None:
            answer = elsewhere
        else:
            answer = await self._answer(dict(scope["headers"]), receive)
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in _headers(answer)]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, headers: Mapping[bytes, bytes], receive: AsgiReceive) -> LabelResponse:
        given = headers.get(b"authorization")
        authorization = None if given is None else given.decode("latin-1")
        if not self._route.admits(authorization):
            return self._route.answer(b"", authorization)  # before reading the body of an unauthorized request
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return cut_short()
            body += message.get("body", b"")
            if len(body) > MOST_BYTES:
                return too_large()
            more = message.get("more_body", False)
        # Keeping labels waits for a disk or a network: not on the event loop.
        return await asyncio.to_thread(self._route.answer, bytes(body), authorization)

    def wsgi(self, environ: Mapping[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        """Answer one WSGI request."""
        elsewhere = _elsewhere(environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"])
        answer = self._wsgi_answer(environ) if elsewhere is None else elsewhere
        status = f"{answer.status} {HTTPStatus(answer.status).phrase}"
        start_response(status, list(_headers(answer)))
        return [answer.body]

    def _wsgi_answer(self, environ: Mapping[str, Any]) -> LabelResponse:
        authorization = environ.get("HTTP_AUTHORIZATION")
        if not self._route.admits(authorization):
            return self._route.answer(b"", authorization)
        length = environ.get("CONTENT_LENGTH") or ""
        if length.isdecimal():
            length_bytes = int(length[:20])
        else:  # in chunks: only a server that ends the stream where the body ends may be asked for more than it said
            length_bytes = MOST_BYTES + 1 if environ.get("wsgi.input_terminated") else 0
        if length.isdecimal() and length_bytes > MOST_BYTES:
            return too_large()
        body = environ["wsgi.input"].read(length_bytes)
        if length.isdecimal() and len(body) < length_bytes:
            return cut_short()
        return self._route.answer(body, authorization)


def _elsewhere(path: str, method: str) -> LabelResponse | None:
    """Return the answer to a request that does not post labels, None when it does.

    Only the end of the path is checked: the path passed to a mounted application differs between frameworks, between their versions, and
    behind a proxy.
    """
    if not path.endswith(PATH):
        return not_found()
    return None if method == "POST" else not_allowed()


async def _live(receive: AsgiReceive, send: AsgiSend) -> None:
    """Take part in the start and end of a server that this is the only application of."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _headers(answer: LabelResponse) -> Iterable[tuple[str, str]]:
    yield "Content-Type", "application/json"
    yield "Content-Length", str(len(answer.body))
    yield from answer.headers
