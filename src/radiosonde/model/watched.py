"""State of a watch and events of incidents, as plain values, so that exporters do not depend on the diagnosis."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal

EventKind = Literal["opened", "changed", "recovered", "verified"]

MAX_FINDING_BYTES: Final = 32 * 1024
"""Bytes of the JSON text of a finding in an event."""


@dataclass(frozen=True, slots=True)
class WatchedIncident:
    """An incident as metrics show it.

    Attributes:
        id: its id, which stays.
        model: its model.
        version: model version; ``""`` for all.
        variant: variant; ``""`` for all.
        name: stable name of the finding.
        kind: family of the cause.
        severity: ``page`` or ``ticket``.
        place: cohort, feature, phase, or ``all``.
        hypothesis: likeliest cause, or ``unknown``.
        ln_e: natural logarithm of the e-value.
        is_active: it is open and not muted.
    """

    id: str
    model: str
    version: str
    variant: str
    name: str
    kind: str
    severity: str
    place: str
    hypothesis: str
    ln_e: float
    is_active: bool


@dataclass(frozen=True, slots=True)
class IncidentEvent:
    """One event in the life of an incident, with everything that a receiver may want to know.

    Attributes:
        event_id: the incident's id and the number of the event.
        kind: type of the event.
        at_ns: wall clock of the diagnosis that detected it.
        incident: the incident.
        title: one line.
        verdict: interpretation of the incident.
        onset_ns: onset in event time.
        ended_ns: until when; None while it lasts.
        cohort: cohort it is about; ``""`` for all.
        feature: feature it is about; ``""`` for none.
        phase: affected phase; ``""`` for none.
        impact: cost so far.
        owner: owner of the model; ``""`` if not declared.
        contacts: contacts of the owner.
        rollback: command that restores the previous version.
        runbook_url: runbook; ``""`` for none.
        dashboard_url: dashboard; ``""`` for none.
        trace_url: an affected call; ``""`` for none.
        trace_id: its trace, 32 hexadecimal digits; ``""`` for none.
        span_id: its span, 16 hexadecimal digits.
        finding: the whole finding as JSON text, without figures.
    """

    event_id: str
    kind: EventKind
    at_ns: int
    incident: WatchedIncident
    title: str
    verdict: str
    onset_ns: int
    ended_ns: int | None = None
    cohort: str = ""
    feature: str = ""
    phase: str = ""
    impact: str = ""
    owner: str = ""
    contacts: tuple[str, ...] = ()
    rollback: str = ""
    runbook_url: str = ""
    dashboard_url: str = ""
    trace_url: str = ""
    trace_id: str = ""
    span_id: str = ""
    finding: str = "{}"

    @property
    def is_over(self) -> bool:
        """Whether no action is needed: it has ended or was muted."""
        return not self.incident.is_active

    def to_text(self) -> str:
        """Return the event as JSON text, fit for a database."""
        return json.dumps(asdict(self), ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")


def event_from_text(text: str) -> IncidentEvent:
    """Return the event that `IncidentEvent.to_text` wrote; fields that a later version added are left out.

    Raises:
        ValueError: *text* is none.
    """
    try:
        said: dict[str, Any] = json.loads(text)
        known = {each.name for each in fields(IncidentEvent)}
        mine = {name: value for name, value in said.items() if name in known}
        incident = {each.name: mine["incident"][each.name] for each in fields(WatchedIncident)}
        return IncidentEvent(
            **{**mine, "incident": WatchedIncident(**incident), "contacts": tuple(mine.get("contacts", ()))}
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no event of an incident: {error}") from error


@dataclass(frozen=True, slots=True)
class WatchedFloor:
    """The smallest change that a check would have reported.

    Attributes:
        model: the model.
        check: name of the check.
        unit: unit of the change.
        bound: ``smallest`` or ``largest`` of the check's floors in this unit.
        value: the change; infinite where it would have reported none.
    """

    model: str
    check: str
    unit: str
    bound: str
    value: float


@dataclass(frozen=True, slots=True)
class Watched:
    """The exported state of a watch.

    Attributes:
        is_leading: it holds the lease of its source. Otherwise it exports no incidents, floors, results and statuses.
        last_look_ns: when the last diagnosis was finished, by wall clock; 0 before the first.
        last_window_ns: end of the newest window of that diagnosis in event time; 0 without any.
        looks: number of diagnoses by result.
        incidents: incidents that are open or were open within a day.
        floors: detection floors.
        results: checks by model, check and result.
        statuses: status by model.
        notifications: notifications by channel and result.
        pending: notifications that wait, by channel.
    """

    is_leading: bool = False
    last_look_ns: int = 0
    last_window_ns: int = 0
    looks: Mapping[str, int] = field(default_factory=dict)
    incidents: tuple[WatchedIncident, ...] = ()
    floors: tuple[WatchedFloor, ...] = ()
    results: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    statuses: Mapping[str, str] = field(default_factory=dict)
    notifications: Mapping[tuple[str, str], int] = field(default_factory=dict)
    pending: Mapping[str, int] = field(default_factory=dict)
