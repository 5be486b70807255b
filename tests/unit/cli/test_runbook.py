"""``radiosonde incident runbook`` and ``radiosonde runbook``: pages, JSON, widths and exit codes."""

from __future__ import annotations

import json

import pytest

from radiosonde.cli import main
from tests.unit.cli.test_incident import listed, make_store
from tests.unit.runbook.test_lint import COMPLETE

PARTS = [
    "How it was detected", "Impact now", "Find the cause", "Contain it", "Verify", "Last resort: roll back",
    "Contacts and escalation", "Pitfalls", "Handoff", "Update for stakeholders", "Not declared",
]  # fmt: skip


@pytest.fixture
def ill(tmp_path, monkeypatch):
    """Return a store with an incident that goes on; no store is declared elsewhere."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("RADIOSONDE_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return make_store(tmp_path / "ill.sqlite", is_slow=True)


@pytest.mark.parametrize("columns", [80, 100])
def test_the_runbook_of_an_incident_has_all_parts_within_the_width(ill, capsys, monkeypatch, tmp_path, columns):
    """Commands, lines of the configuration and paths are never wrapped."""
    monkeypatch.setenv("COLUMNS", str(columns))
    (incident,) = [each for each in listed(ill, capsys) if each["onset"]["ended_ns"] is None]
    assert main(["incident", "runbook", ill, incident["id"][-6:]]) == 0
    page = capsys.readouterr().out
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == PARTS
    prose = [line for line in page.splitlines() if not line.lstrip().startswith("$ ")]
    assert [line for line in prose if len(line) > columns and str(tmp_path) not in line] == []
    assert f"$ radiosonde incident verify {ill} {incident['id']}\n" in page
    assert incident["impact"]["text"] in " ".join(page.split())
    assert main(["incident", "runbook", ill, incident["id"], "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["incident"], document["kind"]) == (
        "radiosonde.runbook/1",
        incident["id"],
        "latency",
    )
    assert {gap["key"] for gap in document["gaps"]} >= {"rollback", "owner", "contacts", "escalation", "updates"}
    assert document["mitigations"][0]["gap"]["line"] == 'rollback = "..."'


def test_declared_commands_are_printed_as_they_are(ill, capsys, tmp_path):
    """Quotes and pipes of the team's own command are not changed."""
    (tmp_path / "radiosonde.toml").write_text(
        """[model.m]\nrollback = "kubectl get x -o jsonpath='{.a}' | tee \\"b\\""\n"""
    )
    assert main(["runbook", "m", "--store", ill]) == 0
    assert """\n$ kubectl get x -o jsonpath='{.a}' | tee "b"\n""" in capsys.readouterr().out


def test_all_kinds_are_written_to_a_folder(ill, capsys, tmp_path):
    """Twelve pages; that of the open incident has its id; the store is named by its absolute path."""
    assert main(["runbook", "--store", "ill.sqlite", "--out", str(tmp_path / "a" / "b")]) == 0
    assert "12 runbooks in" in capsys.readouterr().out
    names = sorted(path.name for path in (tmp_path / "a" / "b").iterdir())
    (incident,) = [each["id"] for each in listed(ill, capsys) if each["onset"]["ended_ns"] is None]
    assert f"latency-{incident}.md" in names
    assert len(names) == 12
    assert f"radiosonde diagnose {ill} --model m" in (tmp_path / "a" / "b" / "data.md").read_text()
    assert main(["runbook", "--store", ill, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "radiosonde.runbooks/1"
    assert len(document["runbooks"]) == 12


def test_lint_exits_with_one_until_everything_is_declared(ill, capsys, tmp_path):
    """Parts and lines are printed within the width; a complete model exits with 0."""
    assert main(["runbook", "lint", "--store", ill]) == 1
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    for part in ("detection:", "mitigation:", "contacts:", "rollback:", "pitfalls:", "drill:"):
        assert f"  {part}" in shown
    lines = [f"{key} = {value}" for key, value in COMPLETE.items()]
    (tmp_path / "radiosonde.toml").write_text("\n".join(["[model.m]", *lines]))
    assert main(["runbook", "lint", "m", "--store", ill, "--json"]) == 0, capsys.readouterr().out
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "radiosonde.runbook-lint/1"
    assert [report["missing"] for report in document["reports"]] == [[]]


def test_lint_works_without_a_store_and_a_model_may_be_called_lint(ill, capsys, tmp_path):
    """What needs a store is missing; --model names any model."""
    (tmp_path / "radiosonde.toml").write_text('[model.lint]\nowner = "x"\n')
    assert main(["runbook", "lint"]) == 1
    assert "lint: " in capsys.readouterr().out
    assert main(["runbook", "--model", "lint", "--store", ill]) == 0
    assert "Model lint, kind data" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runbook", "nothing", "--store", "ill.sqlite"], "'nothing'; they have: 'm'"),
        (["runbook", "lint", "nothing", "--store", "ill.sqlite"], "'nothing'; they have: 'm'"),
        (["runbook", "a", "b", "--store", "ill.sqlite"], "name one"),
        (["runbook", "--store", "gone.sqlite"], "gone.sqlite"),
        (["runbook"], "no store is named"),
        (["runbook", "lint"], "no model is known"),
        (["runbook", "--store", "ill.sqlite", "--out", "ill.sqlite"], "pass another folder to --out"),
        (["runbook", "--store", "ill.sqlite", "--out", "x", "--json"], "leave one of them out"),
        (["runbook", "lint", "--store", "ill.sqlite", "--out", "x"], "leave one of them out"),
        (["incident", "runbook", "ill.sqlite", "nothing"], "there is no incident 'nothing'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_run_exits_with_two_and_says_what_to_do(ill, capsys, arguments, words):
    """One sentence on stderr, nothing on stdout."""
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert (said.out, words in said.err) == ("", True), said.err
