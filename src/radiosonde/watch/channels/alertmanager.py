"""Alertmanager, API v2: the alerts of all open incidents, sent again every minute.

Not a queue of events, because Alertmanager does not accept events: it accepts the alerts that are firing now, and drops those that are not
repeated. Nothing is queued here, nothing is lost by a restart of either, and repeating is idempotent. An alert is identified by its labels,
which are constant over an incident's life: model and id, and the severity for the routing. When the severity changes, the alert with the
former one is ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from radiosonde.model.watched import event_from_text
from radiosonde.semconv import attributes as names
from radiosonde.semconv.prometheus import label_name
from radiosonde.watch.channels.channel import Request
from radiosonde.watch.life import KnownIncident

AGAIN_S = 60.0
"""Interval between two transmissions of all alerts."""
VALID_NS = 15 * 60 * 1_000_000_000
"""Expiry of an alert that is not repeated, as during a restart of the watch; and time for which a resolution is repeated."""
_OLDEST_NS = 7 * 86_400 * 1_000_000_000

ALERT_NAMES = {"page": "RadiosondeIncidentPage", "ticket": "RadiosondeIncidentTicket"}
"""The names of the alerts that rules make of `radiosonde_incident_active`, so that one runbook and one routing hold for both ways."""


class AlertmanagerFeed:
    """Makes the requests for one Alertmanager.

    Args:
        name: of the channel.
        url: of the Alertmanager, with its path prefix.
        labels: that every alert gets.
        severities: those that are notified.
    """

    def __init__(self, name: str, url: str, labels: Mapping[str, str], severities: frozenset[str]) -> None:
        self.name = name
        self._url, self._labels, self._severities = f"{url.rstrip('/')}/api/v2/alerts", dict(labels), severities

    def request(self, known: Iterable[KnownIncident], now_ns: int) -> Request | None:
        """Return the alerts at *now_ns*; None where there are none."""
        alerts = [alert for each in known for alert in self._alerts(each, now_ns)]
        return Request(self._url, json.dumps(alerts, ensure_ascii=False).encode("utf-8", "replace")) if alerts else None

    def _alerts(self, each: KnownIncident, now_ns: int) -> Iterator[dict[str, Any]]:
        if not each.event:
            return
        event, is_recent = event_from_text(each.event), now_ns - each.changed_ns <= VALID_NS
        start_ns = event.onset_ns if 0 <= now_ns - event.onset_ns <= _OLDEST_NS else each.changed_ns
        for severity in each.severities:
            if severity not in self._severities:
                continue
            is_firing = each.incident.is_active and severity == each.severities[-1]
            if not is_firing and not is_recent:
                continue
            end_ns = now_ns + VALID_NS if is_firing else each.changed_ns
            yield {
                "labels": {
                    **self._labels,
                    "alertname": ALERT_NAMES[severity],
                    "severity": severity,
                    "component": "radiosonde",
                    label_name(names.MODEL_NAME): each.incident.model,
                    label_name(names.INCIDENT_ID): each.incident.id,
                },
                "annotations": {
                    name: text
                    for name, text in {
                        "summary": event.title,
                        "description": event.verdict,
                        "place": each.incident.place,
                        "version": each.incident.version,
                        "impact": event.impact,
                        "owner": event.owner,
                        "rollback": event.rollback,
                        "runbook_url": event.runbook_url,
                        "dashboard_url": event.dashboard_url,
                        "trace_url": event.trace_url,
                    }.items()
                    if text
                },
                "startsAt": _time(min(start_ns, end_ns)),
                "endsAt": _time(end_ns),
                **({"generatorURL": event.dashboard_url} if event.dashboard_url else {}),
            }


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat()
