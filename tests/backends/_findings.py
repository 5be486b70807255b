"""What the commands find in a store, or in a database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.backends._readers import Lab
from tests.http_server import Handler, http_server


def diagnosis_of(lab: Lab, source: str | Path) -> dict[str, Any]:
    """Return the diagnosis of *source* at the end of the lab."""
    done = lab.command("diagnose", source, "--json", "--until", lab.end)
    assert done.returncode == 1, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def first_findings(lab: Lab, source: str | Path) -> list[dict[str, Any]]:
    """Return the findings of the events that a watch of *source* sends at its first look."""
    came: list[dict[str, Any]] = []

    class Webhook(Handler):
        def respond(self) -> None:
            came.append(json.loads(self.body()))
            self.answer(200)

    with http_server(Webhook) as server:
        state = lab.folder / "state.sqlite"
        state.unlink(missing_ok=True)
        done = lab.command("watch", source, "--once", "--webhook", f"{server.url}/", "--state", state)
    assert done.returncode == 1, done.stderr
    return [event["finding"] for event in came]
