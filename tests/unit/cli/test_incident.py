"""``radiosonde incident``: list, show, verify, ack, mute, reopen, and how diagnose honours a mute."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.quality.incidents.latency import slow, steady, timed
from benchmarks.quality.incidents.service import Traffic, calls, failing, plant, series
from radiosonde import _clock
from radiosonde.cli import main
from radiosonde.store import StoreWriter
from radiosonde.store.annotations import read_annotations


def make_store(path, *, end=None, minutes=420, rate=0.3, is_slow=False):
    """Write seven hours of a service that fails in a region, or is slow, from minute 300 to *end*."""
    rng = np.random.default_rng(1)
    keys = series(1, region=2)
    made = calls(rng, minutes, keys, 200.0, swing=0.0)
    traffic = Traffic(keys, made, failing(rng, made, 0.001))
    writer = StoreWriter(path)
    if is_slow:
        writer.write(timed(rng, traffic, slow(steady(rng, minutes), 0.1, 30, 300, end)), {})
    else:
        writer.write(plant(rng, traffic, rate, 300, end, cohort="region=r1").windows(), {})
    writer.close()
    return str(path)


@pytest.fixture(autouse=True)
def hundred_columns(monkeypatch):
    """Fix the width."""
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def ill(tmp_path):
    """Return a store with an incident that goes on."""
    return make_store(tmp_path / "ill.sqlite")


@pytest.fixture
def mended(tmp_path):
    """Return a store with an incident that was over after an hour."""
    return make_store(tmp_path / "mended.sqlite", end=360)


def listed(store, capsys):
    """Return the incidents of *store*."""
    capsys.readouterr()
    assert main(["incident", "list", store, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "radiosonde.incidents/1"
    return document["incidents"]


@pytest.mark.parametrize("columns", [80, 100])
def test_the_list_says_state_duration_and_impact(ill, capsys, monkeypatch, columns):
    """Three lines an incident, within the width."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["incident", "list", ill]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= columns
    words = " ".join(shown.split())
    assert "open, page" in words
    assert "region=r1: failed calls rose from 0.1 % to 3" in words
    assert "m, from 2026-01-01T05:00Z, for 2 h; " in words
    assert "failed calls, " in words
    assert main(["incident", "list", ill, "--open"]) == 0


def test_one_is_shown_by_a_part_of_its_id(ill, capsys):
    """The whole finding, with its commands filled in; JSON as in a diagnosis."""
    (incident,) = listed(ill, capsys)
    assert incident["duration_s"] == 7200
    assert main(["incident", "show", ill, incident["id"][-6:]]) == 0
    shown = capsys.readouterr().out
    assert f"{incident['id']}, open" in shown
    assert ill in shown
    assert main(["incident", "show", ill, incident["id"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == incident


def test_an_id_that_is_unknown_or_ambiguous_says_which_there_are(ill, capsys):
    """Exit code 2."""
    (incident,) = listed(ill, capsys)
    assert main(["incident", "show", ill, "nothing"]) == 2
    assert f"radiosonde incident list shows: {incident['id']}" in capsys.readouterr().err


def test_a_muted_incident_calls_for_nobody_until_the_time_is_over(ill, capsys, monkeypatch):
    """Diagnose exits with 0 and says so; after the time it exits with 1 again."""
    (incident,) = listed(ill, capsys)
    assert main(["diagnose", ill]) == 1
    assert main(["incident", "mute", ill, incident["id"], "--for", "2h", "--why", "upstream is down"]) == 0
    capsys.readouterr()
    assert main(["diagnose", ill]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("HEALTHY, 1 MUTED")
    assert "upstream is down" in " ".join(shown.split())
    assert main(["triage", ill]) == 0
    assert "1 MUTED" in capsys.readouterr().out
    assert [each["state"] for each in listed(ill, capsys)] == ["muted"]
    now = _clock.wall_ns()
    monkeypatch.setattr("radiosonde.cli._stores.wall_ns", lambda: now + 2 * 3_600_000_000_000 + 10**9)
    assert main(["diagnose", ill]) == 1


def test_an_acknowledged_incident_is_still_a_finding_and_both_are_undone(ill, capsys, tmp_path):
    """The report names author and reason; reopen withdraws everything, and annotations are kept."""
    (incident,) = listed(ill, capsys)
    assert main(["incident", "ack", ill, incident["id"], "--for", "30m", "--why", "rolling back"]) == 0
    assert main(["diagnose", ill, "--html", str(tmp_path / "r.html")]) == 1
    assert "rolling back" in capsys.readouterr().out
    assert "acknowledged" in (tmp_path / "r.html").read_text()
    assert main(["incident", "mute", ill, incident["id"], "--for", "30m", "--why", "known"]) == 0
    assert [each["state"] for each in listed(ill, capsys)] == ["muted"]
    assert main(["incident", "reopen", ill, incident["id"]]) == 0
    assert [each["state"] for each in listed(ill, capsys)] == ["open"]
    assert main(["incident", "reopen", ill, incident["id"]]) == 2
    assert [(each.purpose, each.withdrawn_ns is None) for each in read_annotations(tmp_path / "ill.sqlite")] == [
        ("ack", False),
        ("mute", False),
    ]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--for", "2", "--why", "x"], "such as 250ms"),
        (["--for", "1s", "--why", "x"], "from 1m to 90d"),
        (["--for", "2h", "--why", ""], "state why"),
        (["--why", "x"], "--for"),
    ],
)
def test_a_mute_needs_a_time_and_a_reason(ill, capsys, arguments, hint):
    """Exit code 2, and nothing is muted."""
    (incident,) = listed(ill, capsys)
    assert main(["incident", "mute", ill, incident["id"], *arguments]) == 2
    assert hint in capsys.readouterr().err
    assert main(["diagnose", ill]) == 1


def test_what_is_over_is_not_muted(mended, capsys):
    """There is nothing to mute."""
    (incident,) = listed(mended, capsys)
    assert incident["state"] in ("recovered", "verified")
    assert main(["incident", "mute", mended, incident["id"], "--for", "2h", "--why", "x"]) == 2
    assert "ended at" in capsys.readouterr().err


def test_verify_says_whether_the_fix_worked_and_what_it_would_have_noticed(ill, mended, capsys):
    """0 fixed, 1 not fixed, 3 not yet known; each with its power."""
    (over,), (going_on,) = listed(mended, capsys), listed(ill, capsys)
    assert main(["incident", "verify", mended, over["id"]]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("FIXED  ")
    assert "would have been detected with probability 0.9" in shown
    assert main(["incident", "verify", ill, going_on["id"], "--since", "2026-01-01T06:00Z"]) == 1
    assert capsys.readouterr().out.startswith("NOT FIXED  ")
    assert main(["incident", "verify", ill, going_on["id"]]) == 1
    assert "the most likely moment; --since gives another" in capsys.readouterr().out
    assert main(["incident", "verify", ill, going_on["id"], "--since", "2026-01-01T08:00Z"]) == 3
    assert "nothing was counted since" in capsys.readouterr().out
    assert main(["incident", "verify", ill, going_on["id"], "--since", "2026-01-01T04:00Z"]) == 2
    assert "before the incident began" in capsys.readouterr().err
    assert main(["incident", "verify", mended, over["id"], "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["answer"]) == ("radiosonde.verification/1", "fixed")


def test_slow_calls_are_verified_by_the_share_above_a_bound(tmp_path, capsys):
    """Between p99 before and p99 during the incident."""
    store = make_store(tmp_path / "slow.sqlite", end=360, is_slow=True)
    (incident,) = listed(store, capsys)
    assert main(["incident", "verify", store, incident["id"]]) == 0
    assert "calls above" in capsys.readouterr().out


def test_a_healthy_store_has_no_incidents(tmp_path, capsys):
    """It says so."""
    store = make_store(tmp_path / "healthy.sqlite", rate=0.0)
    assert main(["incident", "list", store]) == 0
    assert capsys.readouterr().out == "there are no incidents\n"
    assert main(["incident", "show", store, "x"]) == 2
    assert "there are none" in capsys.readouterr().err
