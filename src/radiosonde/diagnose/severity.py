"""The severity of a finding follows from its impact: the share of calls that suffer.

A call suffers when it fails, when it takes far longer than the slow calls did before, or when it comes while its process stands still. An
incident is a page from 2 % of the calls of its place on, or from 0.5 % of all calls of the model; otherwise it is a ticket. Only what was
added counts: calls that suffered before the incident as well are what is usual. Where owners declared an objective, it replaces these
limits: what keeps it is a ticket, however much it changed.

How long an incident has lasted plays no part, and neither does its evidence: the evidence decides whether there is a finding at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from radiosonde.diagnose.finding import Severity

PAGE_RATE, PAGE_SHARE = 0.02, 0.005
"""Suffering share of the calls of the place, or of all calls of the model, from which an incident is a page."""

FAR_SLOWER, FAR_SLOWER_S = 2.0, 0.02
"""A call is far slower than the 99th percentile before from this ratio and this difference in seconds on. Twice is what a timeout or a
capacity plan seldom allows for, and up to 20 ms no caller waits for noticeably. Both are conventions: an objective replaces them."""


class AffectedShares(NamedTuple):
    """The calls that suffer.

    Attributes:
        of_place: their share of the calls of the place.
        of_all: their share of all calls of the model at that time.
    """

    of_place: float
    of_all: float


def severity_of(impact: AffectedShares, allowed: float | None = None) -> Severity:
    """Return ``page`` or ``ticket``.

    Args:
        impact: shares of the calls that suffer; with an objective all such calls, else those beyond what is usual.
        allowed: the share of all calls that the objective allows; None without an objective.
    """
    rate, share = (PAGE_RATE, PAGE_SHARE) if allowed is None else (max(PAGE_RATE, allowed), allowed)
    return "page" if impact.of_place >= rate or impact.of_all >= share else "ticket"


def far_slower_s(p99_s: float) -> float:
    """Return the duration in seconds from which a call suffers, where the slowest call in a hundred usually takes *p99_s*."""
    return max(FAR_SLOWER * p99_s, p99_s + FAR_SLOWER_S)
