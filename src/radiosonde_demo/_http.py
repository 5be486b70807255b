"""A minimal keep-alive HTTP/1.1 connection for the replay.

The client shares two cores with the server it loads. A general HTTP client costs more CPU per request than FastAPI
needs to answer one, so the replay would measure the client. This one writes a request, reads the head and the
Content-Length, and opens a new connection when the server has closed the old one, as it does after an error.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import NamedTuple


class Answer(NamedTuple):
    """Status, headers with lower-case names, and body of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A connection to ``127.0.0.1:port``, opened at the first request; one request at a time.

    Args:
        port: TCP port of the server.
        timeout_s: longest time to wait for one answer.
    """

    def __init__(self, port: int, timeout_s: float = 30.0) -> None:
        """Remember where to connect."""
        self._port = port
        self._timeout_s = timeout_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes) -> Answer:
        """Post a JSON *body* and return the answer.

        Raises:
            OSError: the server cannot be reached, or went away before it had answered.
            TimeoutError: no answer came in time.
        """
        async with asyncio.timeout(self._timeout_s):
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            try:
                answer = await _answer(reader)
            except asyncio.IncompleteReadError as ended:
                raise ConnectionResetError("the server closed the connection before it had answered") from ended
        if answer.status >= 500 or answer.headers.get("connection") == "close":
            await self.close()
        return answer

    async def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            writer.close()
            with suppress(OSError):  # The server was faster: closed is closed.
                await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *lines = head[:-4].split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Answer(int(status.split(" ", 2)[1]), headers, body)
