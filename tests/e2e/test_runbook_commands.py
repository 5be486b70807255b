"""Every command of a runbook is run as printed, in a shell, on the store that it was printed for."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.flight_windows import Incident, reference, windows
from benchmarks.quality.incidents.service import Traffic, calls, failing, plant, series
from radiosonde.model import SeriesKey
from radiosonde.store import StoreWriter
from tests.e2e._runbooks import answer, commands_of, faults_of, kind_of, shell

pytestmark = pytest.mark.slow

DECLARED = """
[model.delays]
owner = "Flight operations"
contacts = ["#delays-oncall"]
rollback = "echo rolled back"
mitigate.canary_off = "echo canary off"
mitigate.fallback = "echo fallback"
mitigate.flag_off = "echo flag off"
mitigate.restart = "echo restarted"
mitigate.scale = "echo scaled"
mitigate.throttle = "echo throttled"
escalation = ["15m team lead"]
updates = ["#incidents"]
"""

INCIDENTS = (
    Incident("scale", 110, 0.44704, "wind_speed"),
    Incident("errors", 110, 1.0, version="v2", carrier="WN"),
    Incident("slow", 120, 0.08, share=0.03),
)
"""The three incidents of the demo, at hours of a replay of real flights."""

LEFT = re.compile(r"\b(STORE|MODEL|ID|CONFIG|SPOOL|REFERENCE|LABELS|FIXED|FROM|TO|TODO)\b|\.\.\.|<\w+>|\{\w*\}")

HOSTILE = "-$(touch owned)`touch owned`'\";touch owned;# !! ID STORE [x](y) <b>"


def left_in(page):
    """Return the placeholders that are left on *page*; SQL has words of its own in capitals."""
    return [found[0] for found in LEFT.finditer(re.sub(r"\$ sqlite3 .*", "", page))]


@pytest.fixture(scope="module")
def flights(tmp_path_factory):
    """Return a folder with the store of the flights and a configuration that declares everything."""
    folder = tmp_path_factory.mktemp("flights")
    profile = reference()
    writer = StoreWriter(folder / "flights.sqlite")
    writer.write(windows(days=12, incidents=INCIDENTS), {("delays", "v1"): profile, ("delays", "v2"): profile})
    writer.close()
    (folder / "radiosonde.toml").write_text(DECLARED)
    return folder


@pytest.mark.timeout(900)
def test_every_command_of_every_runbook_runs_and_shows_the_fault(flights, tmp_path, monkeypatch, capsys):
    """Exit codes are defined, queries return rows, and reports name the incident; nothing is left to fill in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    listed = json.loads(shell("radiosonde incident list flights.sqlite --open --json", flights).stdout)["incidents"]
    assert {each["kind"] for each in listed} == {"data", "version", "latency"}
    written = shell(f"radiosonde runbook delays --store flights.sqlite --out {tmp_path / 'books'}", flights)
    assert (written.returncode, written.stderr) == (0, "")
    pages = {path.stem: path.read_text("utf-8") for path in (tmp_path / "books").iterdir()}
    assert len(pages) == 12
    run = {}
    for each in listed:
        page = pages.pop(f"{each['kind']}-{each['id']}")
        assert left_in(page) == []
        by_id = {name: [each["title"]] for name in ("incident show", "diagnose", "triage")}
        shown = by_id | {"incident list": [each["id"], each["title"]], "incident verify": [each["id"], each["title"]]}
        commands = commands_of(page)
        assert {"incident show", "incident verify", "incident ack", "config show", "echo"} <= {*map(kind_of, commands)}
        run |= dict.fromkeys(commands, shown)
    for page in pages.values():
        assert left_in(page) == []
        run |= {command: {} for command in commands_of(page) if command not in run}
    missing = [] if shutil.which("sqlite3") else ["sqlite3"]
    # An acknowledgement changes what later commands show, so these come last.
    ordered = sorted((command for command in run if kind_of(command) not in missing), key=lambda each: " ack " in each)
    ended = [
        answer(command, capsys) if command.startswith("radiosonde ") else shell(command, tmp_path)
        for command in ordered
    ]
    found = [faults_of(command, done, run[command]) for command, done in zip(ordered, ended, strict=True)]
    assert [fault for fault in found if fault] == []


@pytest.mark.timeout(900)
def test_no_command_of_a_runbook_with_hostile_names_runs_anything_of_them(tmp_path):
    """Model, version, cohort, store and folder have hostile names: each command answers, and nothing is created."""
    name, rng = HOSTILE, np.random.default_rng(1)
    keys = series(1, region=2)
    made = calls(rng, 420, keys, 60.0, swing=0.0)
    traffic = Traffic(keys, made, failing(rng, made, 0.001))
    parts = plant(rng, traffic, 0.5, 300, None, cohort="region=r1").windows()
    named = {key: SeriesKey(name, name, name, f"region={name}{key.cohort[-2:]}") for key in keys}
    folder = tmp_path / "$(touch owned) it's"
    folder.mkdir()
    store = folder / "a 'b' $(touch owned).sqlite"
    writer = StoreWriter(store)
    writer.write([replace(part, key=named[part.key]) for part in parts], {})
    writer.close()

    page = shell(f"radiosonde incident runbook {_single(store)} 2026", folder)
    assert (page.returncode, page.stderr) == (0, "")
    commands = commands_of(page.stdout)
    assert {"incident show", "incident verify", "triage", "diagnose"} <= {*map(kind_of, commands)}
    found = [faults_of(command, shell(command, folder), {"incident show": [name]}) for command in commands]
    assert [fault for fault in found if fault] == []
    kept = {path.name for path in folder.iterdir()}
    assert {path for path in kept if not path.startswith(store.name)} == set()


def _single(path):
    """Return *path* in single quotes."""
    return "'" + str(path).replace("'", "'\\''") + "'"
