"""Series keys: model, version, variant and cohort cell.

The cohort is canonical text (``carrier=UA,plan=pro``, dimensions sorted by name, ``""`` for none), because text is
the form in every carrier (OTLP attribute, Prometheus label, SQL column); keeping it as text from the drain
on means that equality, hashing and merging need no second representation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

OVERFLOW_COHORT = "__overflow__"
"""The one cohort that everything beyond the cardinality bound is counted under."""

REQUEST_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "_OTHER"})
"""Prefix of the name of a request, followed by a space and its route, or by the reason for a missing route in brackets. The kind is part of
the name, so that every store and every carrier can distinguish it."""

_ESCAPES = {"%": "%25", ",": "%2C", "=": "%3D"}


class SeriesKey(NamedTuple):
    """Identity of one series.

    Attributes:
        model: model name, as given to ``observe``.
        version: model version; ``""`` when unknown.
        variant: ``stable``, ``canary``, ``shadow`` or a feature flag's variant.
        cohort: canonical cohort text, see `cohort_text`.
    """

    model: str
    version: str = ""
    variant: str = "stable"
    cohort: str = ""

    @property
    def kind(self) -> str:
        """``request`` for a route of a web application, else ``model``."""
        method, _, path = self.model.partition(" ")
        return "request" if method in REQUEST_METHODS and path[:1] in ("/", "(") else "model"


def cohort_text(dimensions: Mapping[str, str]) -> str:
    """Return the canonical text of a cohort cell: ``name=value`` pairs sorted by name, joined by commas.

    ``%``, ``,`` and ``=`` inside names and values are percent-escaped, so that `parse_cohort` is its exact inverse.
    """
    return ",".join(f"{_escape(name)}={_escape(dimensions[name])}" for name in sorted(dimensions))


def parse_cohort(text: str) -> dict[str, str]:
    """Return the dimensions of canonical cohort text; the overflow cohort and ``""`` have none.

    Raises:
        ValueError: *text* is not canonical cohort text.
    """
    if not text or text == OVERFLOW_COHORT:
        return {}
    dimensions = {}
    for pair in text.split(","):
        name, separator, value = pair.partition("=")
        if not separator:
            raise ValueError(f"not a cohort: {text!r}; expected name=value pairs joined by commas")
        dimensions[_unescape(name)] = _unescape(value)
    return dimensions


def _escape(text: str) -> str:
    for plain, escaped in _ESCAPES.items():
        text = text.replace(plain, escaped)
    return text


def _unescape(text: str) -> str:
    for plain, escaped in reversed(_ESCAPES.items()):
        text = text.replace(escaped, plain)
    return text
