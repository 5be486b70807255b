"""PagerDuty's Events API v2: an incident there for each incident here, by its id, so that a repeated event changes nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from radiosonde.model.watched import IncidentEvent
from radiosonde.watch.channels.channel import PostingChannel, Request
from radiosonde.watch.channels.webhook import event_fields

_SEVERITY = {"page": "critical", "ticket": "warning"}
_SUMMARY = 1024  # characters that PagerDuty takes (https://developer.pagerduty.com/docs/events-api-v2/trigger-events/)


class PagerDuty(PostingChannel):
    """Triggers and resolves.

    Args:
        name: of the channel.
        url: where events are received.
        key: routing key of the service.
    """

    def __init__(self, name: str, url: str, key: str) -> None:
        super().__init__(name)
        self._url, self._key = url, key

    def takes(self, event: IncidentEvent) -> bool:
        """Take all but verifications: an incident that recovered is resolved already."""
        return event.kind != "verified"

    def request(self, event: IncidentEvent) -> Request:
        """Return the event."""
        return self._request(event, self._key)

    def show(self, event: IncidentEvent) -> str:
        """Return the request without the key."""
        request = self._request(event, "(not shown)")
        return f"POST {request.url}\n{request.body.decode('utf-8', 'replace')}"

    def _request(self, event: IncidentEvent, key: str) -> Request:
        incident = event.incident
        details = {
            name: value for name, value in event_fields(event).items() if name != "finding" and value not in ("", [])
        }
        links = [
            {"href": url, "text": word}
            for word, url in (
                ("Runbook", event.runbook_url),
                ("Dashboard", event.dashboard_url),
                ("Trace", event.trace_url),
            )
            if url
        ]
        document = {
            "routing_key": key,
            "event_action": "resolve" if event.is_over else "trigger",
            "dedup_key": f"radiosonde-{incident.id}",
            "client": "Radiosonde",
            "links": links,
            "payload": {
                "summary": f"{event.title} ({incident.model})"[:_SUMMARY],
                "source": incident.model,
                "severity": _SEVERITY.get(incident.severity, "warning"),
                "timestamp": datetime.fromtimestamp(event.at_ns / 1e9, UTC).isoformat(),
                "component": incident.place,
                "group": incident.model,
                "class": incident.name,
                "custom_details": details,
            },
        }
        return Request(self._url, json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"))
