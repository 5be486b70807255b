"""The interface of channels, and posting of requests: bounded in time and in bytes, without redirects, with every response a value."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol
from urllib.parse import urlsplit

from radiosonde._version import __version__
from radiosonde.model.watched import IncidentEvent

TIMEOUT_S = 10.0
_ANSWER_BYTES = 4096
_REFUSED = frozenset({400, 405, 410, 411, 413, 414, 415, 422, 501})
"""Statuses that the same request will get again."""


class Request(NamedTuple):
    """A request to be posted.

    Attributes:
        url: the address.
        body: the body.
        headers: besides the content type, which is JSON.
    """

    url: str
    body: bytes
    headers: Mapping[str, str] = {}


class ChannelResult(NamedTuple):
    """The result of an attempt.

    Attributes:
        outcome: ``delivered``; ``retry``: a retry may succeed; ``refused``: a retry would be refused again.
        said: the reason; ``""`` when it was delivered.
        wait_s: wait requested by the receiver; None if not given.
    """

    outcome: Literal["delivered", "retry", "refused"]
    said: str = ""
    wait_s: float | None = None


class Channel(Protocol):
    """Somewhere events go.

    Attributes:
        name: of the channel; notifications wait under it, so it must not change over restarts.
    """

    name: str

    def takes(self, event: IncidentEvent) -> bool:
        """Return whether the channel sends such an event."""
        ...

    def send(self, event: IncidentEvent) -> ChannelResult:
        """Make one attempt. May take some seconds."""
        ...

    def show(self, event: IncidentEvent) -> str:
        """Return a readable form of the message."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class PostingChannel:
    """A channel that posts one request for each event; subclasses define it.

    Args:
        name: of the channel.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def takes(self, event: IncidentEvent) -> bool:
        """Take every event."""
        return True

    def request(self, event: IncidentEvent) -> Request:
        """Return the request for *event*."""
        raise NotImplementedError

    def send(self, event: IncidentEvent) -> ChannelResult:
        """Post the request."""
        return post(self.request(event))

    def show(self, event: IncidentEvent) -> str:
        """Return the request as text; of its address only the host, because the rest may be a secret."""
        request = self.request(event)
        return f"POST {masked(request.url)}\n{request.body.decode('utf-8', 'replace')}"

    def close(self) -> None:
        """Do nothing."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST becomes a GET, whose answer would pass for a delivery."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def post(request: Request) -> ChannelResult:
    """Post *request* and return the result."""
    headers = {"Content-Type": "application/json", "User-Agent": f"radiosonde/{__version__}", **request.headers}
    try:
        asked = urllib.request.Request(request.url, request.body, headers, method="POST")  # noqa: S310 - the scheme is checked by the configuration
        with _OPENER.open(asked, timeout=TIMEOUT_S) as answer:
            answer.read(_ANSWER_BYTES)
            return ChannelResult("delivered")
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(_ANSWER_BYTES).decode("utf-8", "replace").strip()
            said = f"{masked(request.url)} answers {error.code} {text[:200]}".strip()
            outcome: Literal["retry", "refused"] = "refused" if error.code in _REFUSED else "retry"
            return ChannelResult(outcome, said, _wait_s(error.headers.get("Retry-After", "")))
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return ChannelResult("retry", f"no answer from {masked(request.url)} ({reason})")


def masked(url: str) -> str:
    """Return scheme and host of *url*: the path of a webhook is often its password."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}/..."
    except ValueError:
        return "an address that cannot be used"


def _wait_s(text: str) -> float | None:
    return min(float(text), 3600.0) if re.fullmatch(r"\s*\d{1,6}\s*", text) else None
