"""Options of a web plug-in, and parsing of request headers and query strings."""

from __future__ import annotations

from collections.abc import Mapping

from radiosonde.errors import ConfigurationError
from radiosonde_integrations._remote import HEADERS as TRACE_HEADERS

ID_HEADER = "x-prediction-id"
LONGEST_QUEUE_S = 300.0
"""A proxy's time of arrival further back than this is a clock that is wrong, or not a time at all."""

QUEUE_HEADERS = ("x-request-start", "x-queue-start")


class RequestOptions:
    """The options of `radiosonde.instrument_app`.

    Args:
        cohorts: where each cohort dimension comes from: ``header:NAME``, ``path:PARAMETER``, ``query:PARAMETER`` or
            ``baggage:KEY``. Values count as `radiosonde.cohort` admits them.
        id_header: response header that carries the ids of the request's predictions; None for none.
        receipt_header: response header that carries the receipt of its last prediction; None for none.

    Attributes:
        of_header, of_path, of_query, of_baggage: pairs (dimension, name) by kind of source; path parameters are known
            late, and the query is parsed only where something of it is wanted.
        wanted: request headers to read, in lower case.

    Raises:
        ConfigurationError: a source is none of these.
    """

    def __init__(
        self,
        cohorts: Mapping[str, str] | None = None,
        id_header: str | None = ID_HEADER,
        receipt_header: str | None = None,
    ) -> None:
        self.cohorts, self.id_header, self.receipt_header = dict(cohorts or {}), id_header, receipt_header
        found: dict[str, list[tuple[str, str]]] = {"header": [], "path": [], "query": [], "baggage": []}
        for dimension, source in self.cohorts.items():
            kind, separator, name = source.partition(":")
            if kind not in found or not separator or not name:
                raise ConfigurationError(
                    f"cohorts[{dimension!r}] is {source!r}; give header:NAME, path:PARAMETER, query:PARAMETER or baggage:KEY"
                )
            found[kind].append((dimension, name.lower() if kind == "header" else name))
        self.of_header, self.of_path, self.of_query, self.of_baggage = map(tuple, found.values())
        names = {*QUEUE_HEADERS, *TRACE_HEADERS, *(name for _, name in self.of_header)} | (
            {"baggage"} if self.of_baggage else set()
        )
        self.wanted = frozenset(names)


def queue_s(headers: Mapping[str, str], now_ns: int) -> float:
    """Return the seconds since a proxy received the request, 0.0 if unknown or if its clock is off.

    ``X-Request-Start`` is ``t=`` and seconds (nginx), or milliseconds or microseconds (others); distinguished by magnitude.
    """
    text = headers.get("x-request-start") or headers.get("x-queue-start")
    if not text:
        return 0.0
    try:
        number = float(text.removeprefix("t="))
    except ValueError:
        return 0.0
    for unit in (1.0, 1e3, 1e6):
        waited_s = now_ns / 1e9 - number / unit
        if 0.0 <= waited_s <= LONGEST_QUEUE_S:
            return waited_s
    return 0.0


def query_values(query: str) -> dict[str, str]:
    """Return the parameters of a query string; of a repeated one the last value."""
    from urllib.parse import parse_qsl

    return dict(parse_qsl(query))


def baggage_entry(text: str, key: str) -> str | None:
    """Return the value of *key* in a ``baggage`` header, None if it is not there."""
    from urllib.parse import unquote

    for entry in text.split(","):
        name, separator, value = entry.partition(";")[0].partition("=")
        if separator and name.strip() == key:
            return unquote(value.strip())
    return None
