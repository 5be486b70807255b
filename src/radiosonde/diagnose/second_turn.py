"""Formulates that an incident may be the second turn of a rhythm.

One rise at the same time a day or a week ago is weak evidence of a rhythm: a weekly job fails some calls, a market opens on Mondays. The hour-of-week
profile is known after two turns. Until then such an incident is reported, as a ticket and with this reason, unless it outlasts the former
one or is far above it (`radiosonde.diagnose.replay`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde.diagnose.finding import Evidence, iso

if TYPE_CHECKING:
    from radiosonde.diagnose.replay import Precedent

_AGO = {1: ("the day before", "daily"), 7: ("a week before", "weekly")}


def second_turn_evidence(precedent: Precedent, at_ns: int) -> Evidence:
    """Return *precedent*, which began at *at_ns*, as evidence."""
    ago, rhythm = _AGO[precedent.days]
    return Evidence(
        "second_turn",
        precedent.days,
        "days",
        f"a rise like it came at the same time {ago} ({iso(at_ns)}); a {rhythm} rhythm is known after two",
    )


def second_turn_words(precedent: Precedent) -> str:
    """Return why the severity is that of a ticket, as a sentence."""
    ago, rhythm = _AGO[precedent.days]
    return f"It may be {rhythm}: a rise like it came at the same time {ago}. It becomes a page if it lasts twice as long, or gets far worse."
