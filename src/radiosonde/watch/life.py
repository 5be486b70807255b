"""The life cycle of incidents: compares a diagnosis with the known incidents, and creates events from the differences.

Pure: no clock, no file. The diagnosis of an incident is used unchanged; this module adds memory:

* An incident keeps its first reported id, even if a later diagnosis dates it differently (`is_known_again`).
* Only evidence closes one: the diagnosis lists it as ended. One that a diagnosis of its model no longer mentions stays open for `MISSES`
  more diagnoses, and is then withdrawn.
* Severity, place and name of an open incident may change. A page is reported at once, other changes once per `QUIET_NS`.
* The first diagnosis of a store reports open incidents only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple

from radiosonde.diagnose import Diagnosis, Finding
from radiosonde.diagnose.incidents import identity_of, is_known_again
from radiosonde.model.watched import MAX_FINDING_BYTES, EventKind, IncidentEvent, WatchedIncident, event_from_text

MISSES = 3
"""Looks in a row that do not mention an incident before it is withdrawn."""
QUIET_NS = 15 * 60 * 1_000_000_000
"""Between two events of kind changed of one incident."""
KEPT_NS = 7 * 86_400 * 1_000_000_000
"""How long an incident that is over is remembered, lest it opens as another."""
SHOWN_NS = 86_400 * 1_000_000_000
"""How long the metrics of one that is over are 0 before they end."""
_WITHDRAWN = "Withdrawn: later windows do not support it any more, or it is part of another incident. "
_CLIPPED = 2000

State = Literal["open", "muted", "recovered", "verified"]


@dataclass(frozen=True, slots=True)
class KnownIncident:
    """An incident as the watch knows it.

    Attributes:
        incident: the incident as shown in metrics.
        state: its state.
        identity: identifies it in later diagnoses, as JSON.
        number: number of events so far.
        misses: consecutive diagnoses without it.
        changed_ns: wall clock of the last event.
        over_ns: wall clock of its end; 0 while it is open.
        severities: all reported severities, the latest last.
        event: the last event, as JSON; ``""`` for none.
    """

    incident: WatchedIncident
    state: State
    identity: str
    number: int = 0
    misses: int = 0
    changed_ns: int = 0
    over_ns: int = 0
    severities: tuple[str, ...] = ()
    event: str = field(default="", repr=False)

    @property
    def is_open(self) -> bool:
        """Whether it goes on, muted or not."""
        return self.state in ("open", "muted")

    def to_text(self) -> str:
        """Return it as JSON text, fit for a database."""
        return json.dumps(asdict(self), ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")


def known_from_text(text: str) -> KnownIncident:
    """Return the incident that `KnownIncident.to_text` wrote; fields that a later version added are left out.

    Raises:
        ValueError: *text* is none.
    """
    try:
        said: dict[str, Any] = json.loads(text)
        mine = {each.name: said[each.name] for each in fields(KnownIncident) if each.name in said}
        shown = WatchedIncident(**{each.name: mine["incident"][each.name] for each in fields(WatchedIncident)})
        return KnownIncident(**{**mine, "incident": shown, "severities": tuple(mine.get("severities", ()))})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no incident of a watch: {error}") from error


class Links(NamedTuple):
    """Makes the links of an event.

    Attributes:
        runbook: returns the runbook of an incident.
        dashboard: returns the dashboard for an incident and its onset and end in nanoseconds.
        trace: of a finding: URL, trace id and span id of an affected call; each ``""`` for none.
    """

    runbook: Callable[[WatchedIncident], str]
    dashboard: Callable[[WatchedIncident, int, int | None], str]
    trace: Callable[[Finding], tuple[str, str, str]]


class Turned(NamedTuple):
    """Changes of one diagnosis.

    Attributes:
        known: all known incidents, by id.
        changed: ids of changed incidents.
        forgotten: ids of removed incidents.
        events: events to send, in order.
    """

    known: dict[str, KnownIncident]
    changed: set[str]
    forgotten: set[str]
    events: list[IncidentEvent]


class Moment(NamedTuple):
    """Time of a diagnosis, and the state before.

    Attributes:
        now_ns: wall clock.
        window_ns: length of the windows.
        before_ns: of a model: end of the newest window of the diagnosis before in event time; 0 for the first of this store.
    """

    now_ns: int
    window_ns: int
    before_ns: Callable[[str], int]


def turn(known: Mapping[str, KnownIncident], diagnosis: Diagnosis, moment: Moment, links: Links) -> Turned:
    """Update the *known* incidents from *diagnosis*."""
    found = _matched(known, diagnosis.incidents, moment.window_ns)
    turned = Turned(dict(known), set(), set(), [])
    causes = _causes(diagnosis)
    for incident_id, finding in found.items():
        before = known.get(incident_id)
        shown = _shown(incident_id, finding, causes, before)
        kind, after = _step(before, finding, shown, moment)
        if after is None:
            continue
        if kind is not None:
            event = _event(kind, after, finding, moment.now_ns, links)
            turned.events.append(event)
            after = _told(after, event, moment.now_ns)
        _put(turned, after)
    for incident_id, before in known.items():
        if incident_id not in found:
            _miss(turned, before, diagnosis, moment)
    return turned


def _put(turned: Turned, after: KnownIncident) -> None:
    incident_id = after.incident.id
    if turned.known.get(incident_id) != after:
        turned.known[incident_id] = after
        turned.changed.add(incident_id)


def _matched(known: Mapping[str, KnownIncident], found: Iterable[Finding], window_ns: int) -> dict[str, Finding]:
    """Return the findings by the id under which each is known, or else by their own."""
    matched: dict[str, Finding] = {}
    rest = []
    for finding in found:
        if finding.id in known and finding.id not in matched:
            matched[finding.id] = finding
        else:
            rest.append(finding)
    for finding in rest:
        former = next(
            (
                each.incident.id for each in known.values()
                if each.incident.id not in matched and each.incident.model == finding.where.model
                and is_known_again(each.identity, finding, finding.check, window_ns)
            ),
            finding.id,
        )  # fmt: skip
        # Two findings of one incident: the first, which is the open or the later one, is used.
        matched.setdefault(former, finding)
    return matched


def _step(
    before: KnownIncident | None, finding: Finding, shown: WatchedIncident, moment: Moment
) -> tuple[EventKind | None, KnownIncident | None]:
    """Return the event and the new state of an incident in the diagnosis; None for incidents that are not tracked."""
    identity = identity_of(finding, finding.check)
    if finding.onset.ended_ns is None:
        if finding.severity == "info" and before is None:
            return None, None
        muted = finding.state == "muted"
        after = replace(
            before or KnownIncident(shown, "open", identity),
            incident=shown, state="muted" if muted else "open", identity=identity, misses=0, over_ns=0,
        )  # fmt: skip
        if before is None or not before.is_open:
            return (None if muted else "opened"), after
        if before.state != after.state:
            return ("opened" if not before.number else "changed"), after
        return _changed(before, after, moment), after
    state: State = "verified" if finding.state == "verified" else "recovered"
    if before is None:
        opened_ns = finding.onset.at_ns if finding.opened_ns is None else finding.opened_ns
        before_ns = moment.before_ns(finding.where.model)
        if not before_ns or opened_ns <= before_ns:
            return None, None
        # It opened and ended since the last diagnosis, as after an outage of the source: reported once, as over.
        return "recovered", KnownIncident(shown, state, identity, over_ns=moment.now_ns)
    over_ns = before.over_ns or moment.now_ns
    if before.is_open:
        after = replace(before, incident=shown, state="recovered", identity=identity, misses=0, over_ns=over_ns)
        return ("recovered" if before.number else None), after
    after = replace(before, state="verified" if "verified" in (before.state, state) else state)
    return ("verified" if before.state == "recovered" and state == "verified" and before.number else None), after


def _changed(before: KnownIncident, after: KnownIncident, moment: Moment) -> EventKind | None:
    said = _said_before(before)
    differs = (said.severity, said.place, said.name) != (
        after.incident.severity,
        after.incident.place,
        after.incident.name,
    )
    is_urgent = after.incident.severity == "page" and said.severity != "page"
    return "changed" if differs and (is_urgent or moment.now_ns - before.changed_ns >= QUIET_NS) else None


def _said_before(before: KnownIncident) -> WatchedIncident:
    """Return the last reported incident, for comparison with changes that were too early to report."""
    if not before.event:
        return before.incident
    return WatchedIncident(**json.loads(before.event)["incident"])


def _told(after: KnownIncident, event: IncidentEvent, now_ns: int) -> KnownIncident:
    severity = after.incident.severity
    severities = (*(each for each in after.severities if each != severity), severity)
    return replace(
        after,
        number=after.number + 1,
        changed_ns=now_ns,
        severities=severities,
        event=replace(event, finding="{}").to_text(),
    )


def _miss(turned: Turned, before: KnownIncident, diagnosis: Diagnosis, moment: Moment) -> None:
    """Follow an incident that the diagnosis does not mention."""
    if not before.is_open:
        if moment.now_ns - before.over_ns > KEPT_NS:
            del turned.known[before.incident.id]
            turned.forgotten.add(before.incident.id)
        return
    if not _looked_at(diagnosis, before.incident.model):
        return
    misses = before.misses + 1
    if misses < MISSES:
        _put(turned, replace(before, misses=misses))
        return
    shown = replace(before.incident, is_active=False)
    after = replace(before, incident=shown, state="recovered", misses=0, over_ns=moment.now_ns)
    if before.event:
        said = event_from_text(before.event)
        event = replace(
            said, event_id=_event_id(after), kind="recovered", at_ns=moment.now_ns, incident=shown,
            verdict=_WITHDRAWN + said.verdict,
        )  # fmt: skip
        turned.events.append(event)
        after = _told(after, event, moment.now_ns)
    _put(turned, after)


def _looked_at(diagnosis: Diagnosis, model: str) -> bool:
    """Return whether the diagnosis had windows of *model*: missing data closes nothing."""
    return any(each.where.model == model for each in diagnosis.checked) and not any(
        gap.subject == "all" and gap.where.model in (model, "") for gap in diagnosis.missing
    )


def _shown(
    incident_id: str, finding: Finding, causes: Mapping[tuple[str, str], str], before: KnownIncident | None
) -> WatchedIncident:
    where = finding.where
    is_over = finding.onset.ended_ns is not None
    # Ended incidents are listed as notes; the severity is kept.
    severity = before.incident.severity if finding.severity == "info" and before is not None else finding.severity
    hypothesis = causes.get((where.model, finding.title), "unknown")
    if is_over and before is not None:
        hypothesis = before.incident.hypothesis
    return WatchedIncident(
        incident_id, where.model, where.version, where.variant, finding.name, finding.kind,
        "ticket" if severity == "info" else severity, place_of(finding), hypothesis,
        finding.confidence.ln_e, not is_over and finding.state != "muted",
    )  # fmt: skip


def place_of(finding: Finding) -> str:
    """Return cohort, feature and phase of a finding in one text, or ``all``."""
    where = finding.where
    return " ".join(part for part in (where.cohort, where.feature, where.phase) if part) or "all"


def _causes(diagnosis: Diagnosis) -> dict[tuple[str, str], str]:
    """Return the likeliest cause supported by each finding, by model and title."""
    causes: dict[tuple[str, str], str] = {}
    for hypothesis in diagnosis.hypotheses:
        for fact in hypothesis.speaks_for:
            causes.setdefault((hypothesis.model, fact.text), hypothesis.cause)
    return causes


def _event(kind: EventKind, after: KnownIncident, finding: Finding, now_ns: int, links: Links) -> IncidentEvent:
    responsible, where, onset = finding.responsible, finding.where, finding.onset
    trace_url, trace_id, span_id = links.trace(finding)
    return IncidentEvent(
        event_id=_event_id(after),
        kind=kind,
        at_ns=now_ns,
        incident=after.incident,
        title=finding.title[:_CLIPPED],
        verdict=finding.verdict[:_CLIPPED],
        onset_ns=onset.at_ns,
        ended_ns=onset.ended_ns,
        cohort=where.cohort,
        feature=where.feature,
        phase=where.phase,
        impact="" if finding.impact is None else finding.impact.text,
        owner="" if responsible is None else responsible.owner,
        contacts=() if responsible is None else responsible.contacts,
        rollback="" if responsible is None else responsible.rollback,
        runbook_url=links.runbook(after.incident),
        dashboard_url=links.dashboard(after.incident, onset.at_ns, onset.ended_ns),
        trace_url=trace_url,
        trace_id=trace_id,
        span_id=span_id,
        finding=_document(finding, after.incident.id),
    )


def _document(finding: Finding, incident_id: str) -> str:
    """Return the finding as JSON, without figures and fields too long for an event."""
    plain = replace(finding, figures=(), id=incident_id).to_json()
    text = json.dumps(plain, ensure_ascii=False)
    for name in ("evidence", "next_steps", "verdict"):
        if len(text.encode("utf-8", "replace")) <= MAX_FINDING_BYTES:
            break
        plain[name] = [] if isinstance(plain[name], list) else ""
        text = json.dumps(plain, ensure_ascii=False)
    return text if len(text.encode("utf-8", "replace")) <= MAX_FINDING_BYTES else "{}"


def _event_id(after: KnownIncident) -> str:
    return f"{after.incident.id}-{after.number + 1}"


def shown_incidents(known: Iterable[KnownIncident], now_ns: int) -> Sequence[WatchedIncident]:
    """Return the incidents for metrics: those that are open or were open within a day."""
    return [each.incident for each in known if each.is_open or now_ns - each.over_ns <= SHOWN_NS]
