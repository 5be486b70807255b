"""Slack's incoming webhooks, and compatible ones (Mattermost, Rocket.Chat): a headline, the verdict, the facts, the links."""

from __future__ import annotations

import json

from radiosonde.diagnose.finding import iso
from radiosonde.model.watched import IncidentEvent
from radiosonde.watch.channels.channel import PostingChannel, Request

_MARKS = {"page": ":red_circle:", "ticket": ":large_yellow_circle:"}
_WORDS = {"opened": "", "changed": "changed: ", "recovered": "recovered: ", "verified": "verified: "}
# Slack refuses a message with a longer text (https://api.slack.com/reference/block-kit/blocks).
_SECTION = 2900


class Slack(PostingChannel):
    """Posts events as messages.

    Args:
        name: of the channel.
        url: the incoming webhook.
    """

    def __init__(self, name: str, url: str) -> None:
        super().__init__(name)
        self._url = url

    def request(self, event: IncidentEvent) -> Request:
        """Return the message; its `text` is shown by notifications and clients without blocks."""
        mark = ":white_check_mark:" if event.is_over else _MARKS.get(event.incident.severity, "")
        head = f"{mark} *{_WORDS[event.kind]}{_escaped(event.title)}*"
        blocks = [_section(f"{head}\n{_escaped(event.verdict)}"), _section("\n".join(_facts(event)))]
        links = [
            f"<{url}|{word}>"
            for word, url in (
                ("runbook", event.runbook_url),
                ("dashboard", event.dashboard_url),
                ("trace", event.trace_url),
            )
            if url
        ]
        if links:
            blocks.append(_section(" · ".join(links)))
        text = f"[{event.incident.severity}] {_WORDS[event.kind]}{_escaped(event.title)} ({_escaped(event.incident.model)})"
        body = json.dumps({"text": text[:_SECTION], "blocks": blocks}, ensure_ascii=False).encode("utf-8", "replace")
        return Request(self._url, body)


def _facts(event: IncidentEvent) -> list[str]:
    incident = event.incident
    until = "" if event.ended_ns is None else f" to {iso(event.ended_ns)}"
    facts = {
        "model": f"{incident.model} {incident.version}".strip(),
        "where": incident.place,
        "since": iso(event.onset_ns) + until,
        "impact": event.impact,
        "likeliest cause": "" if incident.hypothesis == "unknown" else incident.hypothesis,
        "owner": ", ".join(part for part in (event.owner, *event.contacts) if part),
        "rollback": event.rollback and not event.is_over and f"`{event.rollback}`",
        "incident": incident.id,
    }
    return [f"*{name}:* {_escaped(str(value))}" for name, value in facts.items() if value]


def _section(text: str) -> dict[str, object]:
    clipped = text if len(text) <= _SECTION else f"{text[:_SECTION]}..."
    return {"type": "section", "text": {"type": "mrkdwn", "text": clipped}}


def _escaped(text: str) -> str:
    """Return *text* with the three characters that Slack takes for its own (https://api.slack.com/reference/surfaces/formatting)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
