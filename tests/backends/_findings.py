"""What the commands find in a store, or in a database."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.backends._readers import Lab


def diagnosis_of(lab: Lab, source: str | Path) -> dict[str, Any]:
    """Return the diagnosis of *source* at the end of the lab."""
    done = lab.command("diagnose", source, "--json", "--until", lab.end)
    assert done.returncode == 1, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def first_findings(lab: Lab, source: str | Path) -> list[dict[str, Any]]:
    """Return the findings of the events that a watch of *source* sends at its first look."""
    came: list[dict[str, Any]] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        hook, state = f"http://127.0.0.1:{server.server_port}/", lab.folder / "state.sqlite"
        state.unlink(missing_ok=True)
        done = lab.command("watch", source, "--once", "--webhook", hook, "--state", state)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
    assert done.returncode == 1, done.stderr
    return [event["finding"] for event in came]
