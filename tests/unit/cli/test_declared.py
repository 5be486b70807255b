"""What people declare, as commands use it: the configuration beside the store, owners in reports, stores that need not be named."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.quality.incidents.service import Traffic, calls, failing, series
from radiosonde.cli import main
from radiosonde.store import StoreWriter

TEXT = '[model.m]\nowner = "Flight ops"\ncontacts = ["#ops"]\nrollback = "make undo"\nslo.failures = 0.01\n'


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Return a store of a service that has failed in 3 % of its calls since its first hour."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("RADIOSONDE_STORE", raising=False)
    monkeypatch.delenv("RADIOSONDE_CONFIG", raising=False)
    rng = np.random.default_rng(1)
    made = calls(rng, 120, series(1), 200.0, swing=0.0)
    writer = StoreWriter(tmp_path / "m.sqlite")
    writer.write(Traffic(series(1), made, failing(rng, made, 0.03)).windows(), {})
    writer.close()
    return tmp_path / "m.sqlite"


@pytest.mark.parametrize("command", ["diagnose", "triage"])
def test_an_objective_beside_the_store_is_in_force_and_the_owner_is_named(store, capsys, command):
    """Without it nothing is wrong; with it there is a page, who to call, and the way back."""
    assert main([command, str(store)]) == 0
    (store.parent / "radiosonde.toml").write_text(TEXT)
    capsys.readouterr()
    assert main([command, str(store)]) == 1
    shown = capsys.readouterr().out
    for words in ("above the objective of 1 %", "Flight ops; #ops", "make undo"):
        assert words in shown
    assert max(len(line) for line in shown.splitlines() if "sqlite3" not in line and "radiosonde" not in line) <= 100


def test_the_report_and_the_json_name_the_owner_too(store, capsys, tmp_path):
    """Who reads only these needs to call somebody, too."""
    (store.parent / "radiosonde.toml").write_text(TEXT)
    assert main(["diagnose", str(store), "--json", "--html", str(tmp_path / "r.html")]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["responsible"] == {"owner": "Flight ops", "contacts": ["#ops"], "rollback": "make undo", "flag": ""}
    assert "<dt>rollback</dt><dd>make undo</dd>" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize("command", ["diagnose", "triage"])
def test_a_configuration_with_mistakes_is_never_silent(store, capsys, command):
    """Exit code 3, the line, and the command that lists them; with a finding, 1."""
    path = store.parent / "radiosonde.toml"
    path.write_text("[model.m]\nslo.failure = 0.01\n")
    assert main([command, str(store)]) == 3
    shown = " ".join(capsys.readouterr().out.split())
    assert "radiosonde.toml:2: model.m.slo.failure: there is no such key; did you mean failures?" in shown
    assert "radiosonde config check lists them" in shown
    path.write_text(TEXT + "slo.p99 = 3\n")
    assert main([command, str(store)]) == 1
    assert "radiosonde.toml:6" in " ".join(capsys.readouterr().out.split())


def test_a_store_that_is_declared_need_not_be_named(store, capsys, monkeypatch, tmp_path):
    """By variable, or by the configuration in the working folder or in RADIOSONDE_CONFIG; else the message names all three."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert main(["diagnose"]) == 2
    said = capsys.readouterr().err
    assert all(way in said for way in ("pass one", "RADIOSONDE_STORE", "`store` in radiosonde.toml"))
    (folder / "radiosonde.toml").write_text('store = "../m.sqlite"\n')
    assert main(["diagnose"]) == 0
    (folder / "radiosonde.toml").unlink()
    monkeypatch.setenv("RADIOSONDE_STORE", str(store))
    assert main(["triage"]) == 0
