"""The incident of the watch itself: its source is unreadable, and without an incident that would look like health."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from radiosonde.model.watched import IncidentEvent, WatchedIncident, event_from_text
from radiosonde.watch.life import KnownIncident

NAME = "telemetry.watch.source"
PREFIX = "watch-"


def blinded(source: str, since_ns: int, now_ns: int, why: str) -> tuple[KnownIncident, IncidentEvent]:
    """Return the incident of a watch that cannot read *source*, and its event.

    Args:
        source: the source.
        since_ns: wall clock of the last diagnosis.
        now_ns: wall clock.
        why: the error.
    """
    day = datetime.fromtimestamp(since_ns / 1e9, UTC).strftime("%Y%m%d%H%M")
    digest = hashlib.blake2b(source.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()[:6]
    shown = WatchedIncident(
        f"{PREFIX}{day}-{digest}", "", "", "", NAME, "telemetry", "ticket", "all", "telemetry", 0.0, is_active=True
    )
    event = IncidentEvent(
        event_id=f"{shown.id}-1",
        kind="opened",
        at_ns=now_ns,
        incident=shown,
        title="radiosonde watch cannot read its source: the state of all models is unknown",
        verdict=f"{why[:1000]}. Until it can, silence is not health.",
        onset_ns=since_ns,
    )
    known = KnownIncident(shown, "open", "{}", 1, 0, now_ns, 0, ("ticket",), event.to_text())
    return known, event


def sighted(known: KnownIncident, now_ns: int) -> tuple[KnownIncident, IncidentEvent]:
    """Return the incident and its event when the source can be read again."""
    said = event_from_text(known.event)
    shown = replace(known.incident, is_active=False)
    event = replace(
        said,
        event_id=f"{shown.id}-{known.number + 1}",
        kind="recovered",
        at_ns=now_ns,
        incident=shown,
        title="radiosonde watch can read its source again, and has looked at what came meanwhile",
        verdict="",
        ended_ns=now_ns,
    )
    after = replace(
        known, incident=shown, state="recovered", number=known.number + 1, changed_ns=now_ns, over_ns=now_ns,
        event=event.to_text(),
    )  # fmt: skip
    return after, event
