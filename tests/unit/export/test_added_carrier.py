"""A carrier is one file and one line in the list: this file is the whole of one, and it takes part in everything.

`CONTRIBUTING.md` describes the same steps.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from radiosonde._agent.agent_exports import AgentExports
from radiosonde._guard import Guard
from radiosonde._settings import Settings
from radiosonde.cli._checkup_export import export_lines
from radiosonde.cli._checkup_server import read_server
from radiosonde.export import carriers
from radiosonde.export.exporter import BaseExporter, Carrier, ExportCounts, ExporterHealth
from radiosonde.export.waiting import waiting_windows
from radiosonde.model import losses
from radiosonde.testing import fly
from tests.unit.pipeline import spooled


class LinesExporter(BaseExporter):
    """Appends a line of JSON per window to a file; the path serves as the carrier's own setting."""

    setting = "service_name"
    interval_s = 3600.0

    def __init__(self, context):
        self._path = context.settings.service_name
        self._waiting = waiting_windows(context.guard, losses.EXPORT_FAILED)
        self._exports = 0

    def export(self, windows, spans):
        self._waiting.put(windows)

    def flush(self):
        windows = self._waiting.take()
        lines = [json.dumps({"model": window.key.model, "calls": window.calls}) for window in windows]
        written = Guard.attempt(self._append, lines)
        self._waiting.settle(0 if isinstance(written, Exception) else len(windows))

    def _append(self, lines):
        with Path(self._path).open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        self._exports += 1

    def close(self, timeout_s):
        self._waiting.abandon()

    def counts(self):
        return ExportCounts({"lines": self._exports})


def health(settings, variables):
    """Report that it works."""
    yield ExporterHealth("ok", f"lines: {settings.service_name}")


LINES = Carrier(
    "lines", "service_name", lambda context: LinesExporter(context) if context.settings.service_name else None, health
)


@pytest.fixture
def lines(monkeypatch, tmp_path):
    """Return the file that the added carrier writes."""
    monkeypatch.setattr(carriers, "CARRIERS", [*carriers.CARRIERS, LINES])
    monkeypatch.setattr("radiosonde.cli._checkup_export.CARRIERS", carriers.CARRIERS)
    return tmp_path / "windows.jsonl"


def written(path):
    """Return the calls by model."""
    found = Counter()
    for line in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        found[line["model"]] += line["calls"]
    return dict(found)


def test_a_server_exports_by_it(lines):
    """Windows arrive, exports are counted, nothing is lost."""
    with fly(service_name=str(lines), runtime=False) as rs:
        for _ in range(7):
            rs.observe("delays", input=False)(lambda: "yes")()
        assert rs.flush()
        assert rs.statistics().exports["lines"] == 1
        assert rs.losses() == {}
    assert written(lines) == {"delays": 7}


def test_what_it_cannot_deliver_is_counted(lines):
    """A file that cannot be written loses its windows by name, at the end."""
    with fly(service_name=str(lines.parent / "absent" / "x"), runtime=False) as rs:
        rs.observe("delays", input=False)(lambda: "yes")()
        rs.flush()
        assert rs.losses() == {}
    assert rs.statistics().losses[losses.EXPORT_FAILED] == 1


def test_an_agent_exports_by_it(lines, tmp_path):
    """Without a line more: the agent's exporters are those of the list."""
    guard = Guard(reraise=True)
    make = partial(AgentExports, Settings(service_name=str(lines), prometheus=False), guard)
    with (
        spooled.serving(tmp_path / "spool") as server,
        spooled.draining(tmp_path / "spool", guard, make_exports=make) as agent,
    ):
        agent.exports.open()
        server.predict(*[({"wind": float(wind)}, "late", "") for wind in range(300)])
        agent.turn()
        agent.commit()
        agent.exports.close()
        assert agent.statistics().exports["lines"] >= 1
    assert written(lines) == {"delays": 300}


def test_doctor_shows_it(lines):
    """What its health says is a line of the doctor's."""
    said = [line.said for line in export_lines(Settings(service_name=str(lines)), {}, read_server([], {}))]
    assert f"lines: {lines}" in said
