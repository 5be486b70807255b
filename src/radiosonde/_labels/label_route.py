"""Implements ``POST /labels`` without a web framework: from the bytes of a request to a status and a body.

The body is JSON: ``{"id" or "receipt": ..., "label": ..., "time": ...}``, or a list of such, at most `MOST_LABELS`. ``time`` may
be omitted. A request is accepted as a whole or not at all: on any status but 202 the client sends it again, and labels that were counted
already count once.

======  ==========================================================================================
status  when
======  ==========================================================================================
202     all labels are received, and durable: ``{"received": 2}``
400     the body is not such JSON, or labels in it are refused: which, and why; none is received
401     the bearer token is missing or another
413     the body, or the list, is too long: send parts
503     the labels cannot be kept now: none is acknowledged, send them again
======  ==========================================================================================
"""

from __future__ import annotations

import hmac
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from radiosonde._clock import wall_ns
from radiosonde._guard import Guard
from radiosonde._join.incoming import LabelReader, Refusal
from radiosonde._join.store import Label
from radiosonde._receipt_keys import ReceiptKeys
from radiosonde.errors import ConfigurationError, StoreError

MOST_LABELS = 10_000
"""Labels of a request: as many as a join store joins in one step."""

MOST_BYTES = 4 << 20
"""Bytes of a request's body: as many labels by receipt, each with a long class."""

SHOWN = 100
"""Refused labels that an answer lists; all are counted."""

_BODY = 'send {"id": ..., "label": ...} or a list of such; "receipt" in place of "id", and "time", may be given'


class LabelResponse(NamedTuple):
    """The response to a request.

    Attributes:
        status: of HTTP.
        body: JSON.
        headers: beyond the content's type and length.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class LabelRoute:
    """Answers requests; for any thread, as far as *receive* is.

    Args:
        token: bearer token of requests: ``Authorization: Bearer TOKEN``.
        receive: stores labels; they are durable when it returns. Raises `StoreError` when they cannot be stored.
        keys: keys that verify receipts; without keys receipts are refused.
        refused: called with the number of refused labels, by reason.

    Raises:
        ConfigurationError: the token is empty, or not valid in a header.
    """

    def __init__(
        self,
        token: str,
        receive: Callable[[Sequence[Label]], object],
        *,
        keys: ReceiptKeys | None = None,
        refused: Callable[[Mapping[str, int]], object] = lambda _: None,
    ) -> None:
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigurationError(
                "the route for labels needs a token of printable ASCII without spaces, which its callers send as "
                "'Authorization: Bearer TOKEN'; make one with: python -c \"import secrets; print(secrets.token_urlsafe())\""
            )
        self._expected = f"bearer {token}".encode()
        self._receive = receive
        self._reader = LabelReader(keys)
        self._refused = refused

    def admits(self, authorization: str | None) -> bool:
        """Return whether a request with this ``Authorization`` may label."""
        scheme, _, token = (authorization or "").strip().partition(" ")
        given = f"{scheme.lower()} {token.strip()}".encode("utf-8", "surrogatepass")
        return hmac.compare_digest(given, self._expected)

    def answer(self, body: bytes, authorization: str | None) -> LabelResponse:
        """Answer a POST."""
        if not self.admits(authorization):
            return _refusal(401, "send 'Authorization: Bearer TOKEN' with the token of this service", _BEARER)
        if len(body) > MOST_BYTES:
            return too_large()
        # Any failure of the parser (nesting, digits, encodings) is one refusal.
        document = Guard.attempt(json.loads, body)
        if isinstance(document, Exception):
            return _refusal(400, f"the body is not JSON; {_BODY}")
        items = document if isinstance(document, list) else [document]
        if len(items) > MOST_LABELS:
            return too_large()
        now_ns = wall_ns()
        # Without times of their own, of two labels for one prediction the later wins.
        return self._take([self._read(item, now_ns + place) for place, item in enumerate(items)])

    def _read(self, item: Any, now_ns: int) -> Label | Refusal:
        if not isinstance(item, dict) or "label" not in item or ("id" in item) == ("receipt" in item):
            return Refusal("malformed", _BODY)
        identity = item["id"] if "id" in item else item["receipt"]
        return self._reader.read(identity, item["label"], item.get("time"), now_ns)

    def _take(self, read: Sequence[Label | Refusal]) -> LabelResponse:
        labels = [label for label in read if isinstance(label, Label)]
        if len(labels) < len(read):
            return self._refuse([(place, why) for place, why in enumerate(read) if isinstance(why, Refusal)])
        try:
            if labels:
                self._receive(labels)
        except StoreError as error:
            return _refusal(
                503, f"the labels cannot be stored now; send them again later: {error}", (("Retry-After", "10"),)
            )
        return LabelResponse(202, _page({"received": len(labels)}))

    def _refuse(self, refusals: Sequence[tuple[int, Refusal]]) -> LabelResponse:
        counts = Counter(refusal.reason for _, refusal in refusals)
        self._refused(counts)
        items = [{"index": place, "reason": why.reason, "message": why.message} for place, why in refusals[:SHOWN]]
        error = "no label was accepted: correct or remove the refused ones, then send the request again"
        return LabelResponse(400, _page({"error": error, "received": 0, "refused": counts, "labels": items}))


_BEARER = (("WWW-Authenticate", "Bearer"),)


def too_large() -> LabelResponse:
    """Return the answer to a request that is too long."""
    return _refusal(413, f"send at most {MOST_LABELS} labels and {MOST_BYTES} bytes at a time")


def cut_short() -> LabelResponse:
    """Return the answer to a request whose body ended early."""
    return _refusal(400, "the body is shorter than its Content-Length; send it again")


def not_found() -> LabelResponse:
    """Return the answer to a request for another path."""
    return _refusal(404, "send labels by POST to .../labels")


def not_allowed() -> LabelResponse:
    """Return the answer to a request with another method."""
    return _refusal(405, "labels are posted", (("Allow", "POST"),))


def _refusal(status: int, error: str, headers: tuple[tuple[str, str], ...] = ()) -> LabelResponse:
    return LabelResponse(status, _page({"error": error, "received": 0}), headers)


def _page(document: object) -> bytes:
    return json.dumps(document).encode()
