"""``radiosonde assets``: what it is asked for must be able to fire."""

from __future__ import annotations

import pytest

from radiosonde.cli import main


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Run where no configuration lies."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("p99", ["1ms", "300ms", "0.5s", "1s", "1m"])
def test_an_objective_at_a_bucket_bound_is_taken(p99, tmp_path):
    """Those of the default histogram, however they are written."""
    assert main(["assets", "prometheus", "--out", "rules", "--slo", f"p99={p99}"]) == 0


@pytest.mark.parametrize(
    ("p99", "near"), [("250ms", "0.2s or 0.3s"), ("1.5s", "1s or 2.5s"), ("45s", "30s or 60s"), ("2m", "give 60s")]
)
def test_one_between_two_bounds_is_refused_with_the_nearest(p99, near, tmp_path, capsys):
    """A rule on a bucket that is not there returns nothing, and its alert never fires."""
    assert main(["assets", "prometheus", "--out", "rules", "--slo", f"p99={p99}"]) == 2
    said = capsys.readouterr().err
    assert "the alert would never fire" in said
    assert near in said
    assert not (tmp_path / "rules").exists()


@pytest.mark.parametrize("how", ["variable", "defaults", "model"])
def test_a_bound_that_servers_have_is_taken(how, tmp_path, monkeypatch):
    """By the variable of the servers, or because their configuration declares the objective, of any model."""
    if how == "variable":
        monkeypatch.setenv("RADIOSONDE_LATENCY_EDGES", "0.1,0.25,1")
    else:
        table = "defaults" if how == "defaults" else "model.delays"
        (tmp_path / "radiosonde.toml").write_text(f'[{table}]\nslo.p99 = "250ms"\n')
    assert main(["assets", "prometheus", "--out", "rules", "--slo", "p99=250ms"]) == 0
    assert 'le="0.25"' in (tmp_path / "rules/rules.yml").read_text()
