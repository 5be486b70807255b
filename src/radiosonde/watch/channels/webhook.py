"""A generic webhook: each event as JSON, in our own form or in that of a template.

A template is a JSON file; variables such as `${title}` in its texts are replaced by their values. Because the template is read as JSON and
written as JSON, no title can break it. A text that consists of one variable takes the unconverted value, including numbers and lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radiosonde.diagnose.finding import iso
from radiosonde.errors import ConfigurationError
from radiosonde.model.watched import IncidentEvent, WatchedIncident
from radiosonde.watch.channels.channel import PostingChannel, Request

SCHEMA = "radiosonde.incident-event/1"
MAX_TEMPLATE_BYTES = 64 * 1024
_NAME = re.compile(r"\$\{([^}]*)\}")


def event_fields(event: IncidentEvent) -> dict[str, Any]:
    """Return the fields of a webhook, by the names in templates."""
    incident = event.incident
    return {
        "schema": SCHEMA,
        "event": event.kind,
        "event_id": event.event_id,
        "incident_id": incident.id,
        "is_over": event.is_over,
        "severity": incident.severity,
        "model": incident.model,
        "version": incident.version,
        "variant": incident.variant,
        "cohort": event.cohort,
        "feature": event.feature,
        "phase": event.phase,
        "place": incident.place,
        "name": incident.name,
        "kind": incident.kind,
        "title": event.title,
        "verdict": event.verdict,
        "hypothesis": incident.hypothesis,
        "evidence": round(incident.ln_e, 2),
        "impact": event.impact,
        "since": iso(event.onset_ns),
        "until": "" if event.ended_ns is None else iso(event.ended_ns),
        "at": iso(event.at_ns),
        "owner": event.owner,
        "contacts": list(event.contacts),
        "rollback": event.rollback,
        "runbook_url": event.runbook_url,
        "dashboard_url": event.dashboard_url,
        "trace_url": event.trace_url,
        "finding": json.loads(event.finding),
    }


class Webhook(PostingChannel):
    """Posts events to one address.

    Args:
        name: of the channel.
        url: the address.
        template: the JSON template; None for all fields.
    """

    def __init__(self, name: str, url: str, template: Any = None) -> None:
        super().__init__(name)
        self._url, self._template = url, template

    def request(self, event: IncidentEvent) -> Request:
        """Return the event as JSON. With the key a receiver can drop duplicates."""
        said = event_fields(event)
        document = said if self._template is None else _filled(self._template, said)
        body = json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        return Request(self._url, body, {"Idempotency-Key": event.event_id})


def read_template(path: Path) -> Any:
    """Return the template in the file at *path*.

    Raises:
        ConfigurationError: there is no such file, it is too large or no JSON, or it names what events do not have.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TEMPLATE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"webhook_template {path} cannot be read ({error.strerror}); correct its path"
        ) from error
    if len(content) > MAX_TEMPLATE_BYTES:
        raise ConfigurationError(f"webhook_template {path} is larger than {MAX_TEMPLATE_BYTES // 1024} KiB; shorten it")
    try:
        template = json.loads(content)
    except ValueError as error:
        raise ConfigurationError(f"webhook_template {path} is no JSON ({error}); correct it") from error
    known = event_fields(_EXAMPLE)
    unknown = sorted(_names(template) - known.keys())
    if unknown:
        raise ConfigurationError(
            f"webhook_template {path} names ${{{unknown[0]}}}, which events do not have; they have {', '.join(known)}"
        )
    return template


def _names(template: Any) -> set[str]:
    if isinstance(template, str):
        return set(_NAME.findall(template))
    entries = template.values() if isinstance(template, dict) else template if isinstance(template, list) else ()
    return {name for entry in entries for name in _names(entry)}


def _filled(template: Any, said: Mapping[str, Any]) -> Any:
    if isinstance(template, dict):
        return {name: _filled(entry, said) for name, entry in template.items()}
    if isinstance(template, list):
        return [_filled(entry, said) for entry in template]
    if not isinstance(template, str):
        return template
    whole = _NAME.fullmatch(template)
    if whole:
        return said[whole[1]]
    return _NAME.sub(lambda found: _text(said[found[1]]), template)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return ", ".join(value) if isinstance(value, list) else json.dumps(value, ensure_ascii=False)


_EXAMPLE = IncidentEvent("", "opened", 0, WatchedIncident("", "", "", "", "", "", "", "", "", 0.0, True), "", "", 0)
