"""Every command that a diagnosis prints is run as printed, in a shell, on the store it was printed for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.quality.flight_windows import Incident, reference, windows
from radiosonde.store import StoreWriter

INCIDENTS = (
    Incident("null", 130, 0.4, "visib"),
    Incident("errors", 110, 1.0, version="v2", carrier="WN"),
    Incident("slow", 120, 0.08, share=0.03),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return a store with a finding of each kind."""
    path = tmp_path_factory.mktemp("store") / "flights.sqlite"
    writer = StoreWriter(path)
    profile = reference()
    writer.write(windows(days=12, incidents=INCIDENTS), {("delays", "v1"): profile, ("delays", "v2"): profile})
    writer.close()
    return path


def diagnose(*arguments):
    """Run the command line in a process of its own."""
    program = "from radiosonde.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", program, "diagnose", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "100"}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environment)


@pytest.mark.slow
def test_every_printed_query_runs_and_every_printed_diagnosis_is_quiet_about_its_finding(store, tmp_path):
    """SQL answers with rows where there are any; the same diagnosis before the onset does not show the finding."""
    report = tmp_path / "report.html"
    shown = diagnose(store, "--html", report)
    assert shown.returncode == 1, shown.stderr
    commands = [
        line.strip() for line in shown.stdout.splitlines() if line.strip().startswith(("sqlite3 ", "radiosonde "))
    ]
    document = json.loads(diagnose(store, "--json").stdout)
    assert {finding["kind"] for finding in document["findings"]} == {"data", "version", "latency"}
    assert len(commands) == sum(len(finding["next_steps"]) for finding in document["findings"])
    queries = [command for command in commands if command.startswith("sqlite3 ")]
    if shutil.which("sqlite3"):
        answers = [
            subprocess.run(["sh", "-c", query], capture_output=True, text=True, timeout=120, check=False)
            for query in queries
        ]
        assert [(answer.returncode, answer.stderr) for answer in answers] == [(0, "")] * len(queries)
        together = "".join(answer.stdout for answer in answers)
        assert "KeyError" in together
        assert "2013-03-06" in together
    for finding in document["findings"]:
        (again,) = [step["command"] for step in finding["next_steps"] if step["command"].startswith("radiosonde")]
        before = json.loads(diagnose(store, "--json", *again.split()[3:]).stdout)
        assert finding["name"] not in {earlier["name"] for earlier in before["findings"]}


def test_the_report_renders_in_a_browser(store, tmp_path, require_program):
    """Headless Chromium, where there is one, draws the page without asking the network."""
    browser = require_program("chromium")
    report, picture = tmp_path / "report.html", tmp_path / "report.png"
    assert diagnose(store, "--html", report).returncode == 1
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1000,1600",
    ]
    subprocess.run(
        [browser, *flags, f"--screenshot={picture}", report.as_uri()], capture_output=True, timeout=240, check=True
    )
    assert Path(picture).read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 20_000
