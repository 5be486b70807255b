"""Events of incidents as log records: the whole finding as attributes, and links to runbook, dashboard and trace.

Each is a ``LogRecord`` of OTLP. Severity numbers are those of OpenTelemetry's log data model: a page is an
error, a ticket a warning, and a resolved incident is information.
"""

from __future__ import annotations

from radiosonde.export.otlp_encoding import Value, any_value, attribute_messages
from radiosonde.export.wire import fixed64, message, text, whole
from radiosonde.model.watched import EventKind, IncidentEvent
from radiosonde.semconv import attributes as names
from radiosonde.semconv import events

EVENTS: dict[EventKind, str] = {
    "opened": events.INCIDENT_OPENED,
    "changed": events.INCIDENT_CHANGED,
    "recovered": events.INCIDENT_RECOVERED,
    "verified": events.INCIDENT_VERIFIED,
}
_INFO = (9, "INFO")
_SEVERITY = {"page": (17, "ERROR"), "ticket": (13, "WARN")}


def incident_record(event: IncidentEvent) -> bytes:
    """Return the log record of *event*."""
    incident, name = event.incident, EVENTS[event.kind]
    attributes: dict[str, Value] = {
        names.EVENT_NAME: name,
        names.MODEL_NAME: incident.model,
        names.MODEL_VERSION: incident.version,
        names.VARIANT: incident.variant,
        names.INCIDENT_ID: incident.id,
        names.INCIDENT_NAME: incident.name,
        names.INCIDENT_KIND: incident.kind,
        names.INCIDENT_SEVERITY: incident.severity,
        names.INCIDENT_PLACE: incident.place,
        names.INCIDENT_EVENT_ID: event.event_id,
        names.INCIDENT_EVIDENCE: float(incident.ln_e),
        names.INCIDENT_HYPOTHESIS: incident.hypothesis,
        names.INCIDENT_ONSET: event.onset_ns,
        names.INCIDENT_TITLE: event.title,
        names.INCIDENT_VERDICT: event.verdict,
        names.INCIDENT_FINDING: event.finding,
    }
    links = {
        names.INCIDENT_IMPACT: event.impact,
        names.INCIDENT_OWNER: event.owner,
        names.INCIDENT_RUNBOOK_URL: event.runbook_url,
        names.INCIDENT_DASHBOARD_URL: event.dashboard_url,
        names.INCIDENT_TRACE_URL: event.trace_url,
        names.COHORT: event.cohort,
        names.FEATURE_NAME: event.feature,
        names.PHASE: event.phase,
    }
    attributes |= {key: value for key, value in links.items() if value}
    severity, word = _INFO if event.is_over else _SEVERITY.get(incident.severity, _INFO)
    return b"".join(
        (
            fixed64(1, event.at_ns),
            whole(2, severity),
            text(3, word),
            message(5, any_value(event.title)),
            attribute_messages(6, attributes.items()),
            # The affected call, so that a backend links the event with its trace.
            message(9, bytes.fromhex(event.trace_id)) if event.trace_id else b"",
            message(10, bytes.fromhex(event.span_id)) if event.span_id else b"",
            fixed64(11, event.at_ns),
            text(12, name),
        )
    )
