"""The life of incidents over looks: compares a diagnosis with the incidents that were known, and makes events of the differences.

Pure: no clock, no file. What a diagnosis says of an incident is taken as it is; what is added here is memory:

* An incident keeps the id under which it was first told, also where a later look dates it otherwise (`is_known_again`).
* Only evidence closes one: the diagnosis lists it as ended. One that a diagnosis does not mention any more, although it looked at the model,
  is open for `MISSES` more looks, and then withdrawn.
* Severity, place and name of an open incident may change. A page is told at once, anything else once in `QUIET_NS`.
* The first look at a store tells what is open, and nothing of what was over before.
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
        incident: what metrics show.
        state: where it is in its life.
        identity: by what it is known again, as JSON.
        number: events told so far.
        misses: looks in a row that did not mention it.
        changed_ns: wall clock of the last event.
        over_ns: wall clock since when it is over; 0 while it is open.
        severities: all severities under which it was told, the last one last.
        event: the last event told, as JSON; ``""`` for none.
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
        runbook: of an incident: where it says what to do.
        dashboard: of an incident and its onset and end in nanoseconds.
        trace: of a finding: URL, trace id and span id of an affected call; each ``""`` for none.
    """

    runbook: Callable[[WatchedIncident], str]
    dashboard: Callable[[WatchedIncident, int, int | None], str]
    trace: Callable[[Finding], tuple[str, str, str]]


class Turned(NamedTuple):
    """What a look changed.

    Attributes:
        known: all incidents that are known now, by id.
        changed: ids of those that are not what they were.
        forgotten: ids of those that are known no more.
        events: what is to be told, in order.
    """

    known: dict[str, KnownIncident]
    changed: set[str]
    forgotten: set[str]
    events: list[IncidentEvent]


class Moment(NamedTuple):
    """When a look was, and what was before.

    Attributes:
        now_ns: wall clock.
        window_ns: length of the windows.
        before_ns: of a model: end of the newest window of the diagnosis before in event time; 0 for the first of this store.
    """

    now_ns: int
    window_ns: int
    before_ns: Callable[[str], int]


def turn(known: Mapping[str, KnownIncident], diagnosis: Diagnosis, moment: Moment, links: Links) -> Turned:
    """Return what becomes of the *known* incidents after *diagnosis*."""
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
        # Two findings of one incident: the first, which is the open or the later one, speaks for it.
        matched.setdefault(former, finding)
    return matched


def _step(
    before: KnownIncident | None, finding: Finding, shown: WatchedIncident, moment: Moment
) -> tuple[EventKind | None, KnownIncident | None]:
    """Return what happened to an incident that the diagnosis mentions, and what it is now; None for what is not followed."""
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
        # It opened and ended since the last look, as after an outage of the source: told once, as over.
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
    """Return the incident as it was told last: changes that were too soon to be told are compared with that."""
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
    """Return whether the diagnosis had windows of *model*: silence closes nothing."""
    return any(each.where.model == model for each in diagnosis.checked) and not any(
        gap.subject == "all" and gap.where.model in (model, "") for gap in diagnosis.missing
    )


def _shown(
    incident_id: str, finding: Finding, causes: Mapping[tuple[str, str], str], before: KnownIncident | None
) -> WatchedIncident:
    where = finding.where
    is_over = finding.onset.ended_ns is not None
    # What is over is listed as a note; it was what it was.
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
    """Return the likeliest cause that each finding speaks for, by model and title."""
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
    """Return the finding as JSON without its figures, and without what is too long for an event."""
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
    """Return what metrics show: incidents that are open, and those that were a day ago."""
    return [each.incident for each in known if each.is_open or now_ns - each.over_ns <= SHOWN_NS]
