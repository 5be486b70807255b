"""``radiosonde diagnose``: exit codes, formats, and what is said when it cannot run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.quality.flight_windows import Incident, reference, windows
from radiosonde.cli import main
from radiosonde.store import StoreWriter


def make_store(path: Path, *incidents: Incident) -> Path:
    """Write eight days of real flights without cohorts."""
    profile = reference()
    writer = StoreWriter(path)
    writer.write(
        windows(days=8, cohorts=False, incidents=incidents), {("delays", "v1"): profile, ("delays", "v2"): profile}
    )
    writer.close()
    return path


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """Return a store in which nothing is wrong."""
    return make_store(tmp_path_factory.mktemp("stores") / "healthy.sqlite")


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Return a store in which the wind changes its unit on the sixth day."""
    return make_store(
        tmp_path_factory.mktemp("stores") / "with space.sqlite", Incident("scale", 125, 0.44704, "wind_speed")
    )


@pytest.fixture(autouse=True)
def hundred_columns(monkeypatch):
    """Fix the width."""
    monkeypatch.setenv("COLUMNS", "100")


def test_a_healthy_store_exits_with_0_and_says_what_was_checked(healthy, capsys):
    """Silence is not the answer; the list of checks is."""
    assert main(["diagnose", str(healthy)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("HEALTHY")
    assert "Checked" in shown


def test_findings_exit_with_1_and_name_the_store_in_the_next_steps(broken, capsys, tmp_path):
    """The text, the report, and commands with the path filled in and quoted."""
    report = tmp_path / "report.html"
    assert main(["diagnose", str(broken), "--html", str(report)]) == 1
    shown = capsys.readouterr().out
    assert "wind_speed arrives in another unit, x 0.447: mph to m/s" in shown
    assert f"sqlite3 -box '{broken}'" in shown
    assert f"report: {report}" in shown
    assert "wind_speed arrives in another unit" in report.read_text(encoding="utf-8")


def test_json_is_one_document_and_nothing_else(broken, capsys):
    """What a program reads has no decoration, and the same exit code."""
    assert main(["diagnose", str(broken), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [finding["name"] for finding in document["findings"]] == ["data.unit.wind_speed"]


def test_the_time_before_the_onset_is_healthy(broken, capsys):
    """--until cuts where the finding begins; --since starts after it, where the new unit is all there is."""
    assert main(["diagnose", str(broken), "--until", "2013-03-06T05:00Z"]) == 0
    assert main(["diagnose", str(broken), "--since", "2013-03-06T05:00+00:00"]) == 0
    assert "2013-03-06 05:00 to 2013-03-09 00:00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{missing}"], "missing.sqlite"),
        (["{store}", "--model", "nobody"], "there is no window of model 'nobody' to diagnose"),
        (["{store}", "--until", "2012-01-01"], "check --model, --since and --until"),
        (["{store}", "--since", "yesterday"], "'yesterday' is not a time; write 2013-03-09"),
        (["{store}", "--html", "{missing}/report.html"], "give --html another file"),
    ],
)
def test_what_cannot_run_exits_with_2_and_one_sentence(healthy, capsys, tmp_path, arguments, sentence):
    """No traceback; the sentence says what to do."""
    filled = [word.format(store=healthy, missing=tmp_path / "missing.sqlite") for word in arguments]
    assert main(["diagnose", *filled]) == 2
    shown = capsys.readouterr().err
    assert sentence in " ".join(shown.split())
    assert "Traceback" not in shown
