"""Under gunicorn with prometheus-client's multiprocess mode, the application's own page holds every prediction."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

APP = """
import os
import radiosonde as rs
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

requests = Counter("requests", "Of the application.")

@rs.observe("delays", output=lambda answer: answer)
def predict(number):
    return "late" if number % 2 else "ok"

def app(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        body = generate_latest(registry)
    else:
        requests.inc()
        predict(int(environ["QUERY_STRING"]))
        body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

PROGRAMS = Path(sys.executable).parent
CALLS = 40


def get(port, path):
    """Return the body of an answer."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return answer.read().decode()


def wait_for(condition, seconds=60):
    """Poll until *condition* holds; return whether it did."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError):
            if condition():
                return True
        time.sleep(0.1)
    return False


def counted(port, name):
    """Return the sum of a counter on the application's page."""
    return sum(
        float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", get(port, "/metrics"), re.MULTILINE)
    )


@pytest.mark.parametrize("agent", [False, True], ids=["each-for-itself", "agent"])
def test_the_applications_page_holds_every_prediction(tmp_path, free_port, agent):
    """Of two workers, one of which is replaced in between; beside the application's own metrics."""
    (tmp_path / "served.py").write_text(APP)
    folder = tmp_path / "multiproc"
    folder.mkdir()
    variables = {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    if agent:
        variables |= {"RADIOSONDE_SPOOL": str(tmp_path / "spool"), "RADIOSONDE_AGENT": "auto"}
    command = [PROGRAMS / "gunicorn", "-w", "2", "-b", f"127.0.0.1:{free_port}", "served:app"]
    with subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            assert wait_for(lambda: get(free_port, "/?0"))
            made = counted(free_port, "requests_total")
            pids = {get(free_port, f"/?{number}") for number in range(CALLS)}
            os.kill(int(pids.pop()), signal.SIGTERM)
            made += CALLS
            assert wait_for(lambda: get(free_port, "/?1"))
            made = counted(free_port, "requests_total")
            assert made > CALLS
            assert wait_for(lambda: counted(free_port, "radiosonde_prediction_calls_total") == made), (
                made, counted(free_port, "radiosonde_prediction_calls_total"),
            )  # fmt: skip
            assert counted(free_port, "radiosonde_prediction_duration_seconds_count") == made
        finally:
            server.terminate()
            server.wait(60)
            _end_agent(tmp_path / "spool")


def _end_agent(spool):
    """End the agent that a worker started, if one did."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(spool).encode() in (folder / "cmdline").read_bytes():
                pid = int(folder.name)
                os.kill(pid, signal.SIGTERM)
                wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists(), 30)
