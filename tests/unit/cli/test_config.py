"""``radiosonde config``: exit codes and output."""

from __future__ import annotations

import json

import pytest

from radiosonde.cli import main


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Return the path of a configuration in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RADIOSONDE_CONFIG", raising=False)
    return tmp_path / "radiosonde.toml"


def test_check_exits_with_0_1_or_2(file, capsys):
    """No mistakes, mistakes with their lines, no file."""
    assert main(["config", "check"]) == 2
    assert "there is no radiosonde.toml" in capsys.readouterr().err
    file.write_text('[model.delays]\nowner = "me"\n')
    assert main(["config", "check"]) == 0
    assert capsys.readouterr().out == f"{file.relative_to(file.parent)}: no mistakes; 1 model\n"
    file.write_text("[model.delays]\nslo.p99 = 250\nslo.failure = 1\n")
    assert main(["config", "check", str(file)]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert [line.removeprefix(str(file)).split(":")[1] for line in shown[:2]] == ["2", "3"]
    assert shown[2] == "2 mistakes; the rest is in force"


def test_show_prints_what_is_in_force_with_its_line(file, capsys):
    """Defaults are filled in; what cannot be used is said to be not in force."""
    file.write_text('[defaults]\nowner = "ML"\n[model.a]\nslo.p99 = "250ms"\nslo.labels = 3\n')
    assert main(["config", "show"]) == 1
    shown = capsys.readouterr().out
    assert '[model.a]\nowner = "ML"  # line 2\n' in shown
    assert 'slo.p99 = "250ms"  # line 4\n# slo.labels: not set' in shown
    assert "# ignored: radiosonde.toml:5: model.a.slo.labels: 3 has no unit" in shown
    assert main(["config", "show", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "radiosonde.config/1"
    assert document["tables"]["model.a"]["slo.p99"] == "250ms"
    assert [problem["line"] for problem in document["problems"]] == [5]


def test_the_variable_names_the_file(file, monkeypatch, capsys, tmp_path):
    """RADIOSONDE_CONFIG wins over the file in the folder, and must exist."""
    file.write_text("wrong")
    other = tmp_path / "other.toml"
    other.write_text("[model.x]\n")
    monkeypatch.setenv("RADIOSONDE_CONFIG", str(other))
    assert main(["config", "check"]) == 0
    assert str(other) in capsys.readouterr().out
    other.unlink()
    assert main(["config", "check"]) == 2
    assert "correct it or unset it" in capsys.readouterr().err


def test_the_schema_is_one_json_document(file, capsys):
    """It needs no file."""
    assert main(["config", "schema"]) == 0
    assert "properties" in json.loads(capsys.readouterr().out)
