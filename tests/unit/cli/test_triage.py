"""``radiosonde triage``: one screen for the engineer on call."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.quality.incidents.latency import slow, steady, timed
from benchmarks.quality.incidents.service import Traffic, calls, failing, plant, series
from radiosonde.cli import main
from radiosonde.store import StoreWriter
from tests.factories import make_runtime_window

HOUR = 60


@pytest.fixture(autouse=True)
def hundred_columns(monkeypatch):
    """Fix the width."""
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def screen(tmp_path, capsys):
    """Return a function that stores windows and gives exit code and screen."""

    def show(windows, *arguments):
        writer = StoreWriter(tmp_path / "t.sqlite")
        writer.write(windows, {})
        writer.close()
        code = main(["triage", str(tmp_path / "t.sqlite"), *arguments])
        return code, capsys.readouterr().out

    return show


def served(seed=1, minutes=4 * HOUR):
    """Return three hours of two versions in two regions."""
    rng = np.random.default_rng(seed)
    keys = series(2, region=2)
    made = calls(rng, minutes, keys, 120.0, swing=0.0)
    return rng, Traffic(keys, made, failing(rng, made, 0.002))


def test_a_quiet_service_names_its_largest_deviations_and_what_was_ruled_out(screen):
    """Nothing is open; the screen says so, and beyond what size something would be."""
    rng, traffic = served()
    code, shown = screen(timed(rng, traffic, steady(rng, 4 * HOUR)))
    assert code == 0
    assert shown.startswith("HEALTHY")
    flat = " ".join(shown.split())
    assert "nothing significant; largest deviations:" in flat
    assert "ruled out: more than m errors:" in flat
    assert max(map(len, shown.splitlines())) <= 100 or "radiosonde diagnose" in shown
    assert len(shown.splitlines()) <= 30


def test_signals_stand_in_the_order_of_questions_beside_what_is_usual(screen):
    """Traffic, errors, latency, phase, version, cohort, processes: the numbers are those of the last minutes and the time before."""
    rng, traffic = served(2)
    traffic = plant(rng, traffic, 0.4, 4 * HOUR - 10, version="v2", cohort="region=r1")
    windows = timed(rng, traffic, slow(steady(rng, 4 * HOUR), 0.3, 10, 4 * HOUR - 10))
    lived = [make_runtime_window(window.start_ns, window.end_ns, process="p1") for window in windows[::4]]
    code, shown = screen([*windows, *lived])
    assert code == 1
    assert "FINDING" in shown
    assert "version v2 fails on region=r1" in shown
    order = [
        shown.index(f"\n  {subject} ")
        for subject in ("traffic", "errors", "latency", "phase", "version", "cohort", "processes")
    ]
    assert order == sorted(order)
    assert "most of them TimeoutError" in shown
    assert "work takes" in shown
    assert "v2:" in shown
    assert "region=r1:" in shown


def test_a_screen_of_other_minutes_and_one_that_cannot_be(screen, tmp_path, capsys):
    """--last says how much is now; no number of minutes is exit 2, an empty store 3."""
    rng, traffic = served(3, 60)
    code, shown = screen(timed(rng, traffic, steady(rng, 60)), "--last", "5")
    assert code == 0
    assert "last 5 minutes" in shown
    assert main(["triage", str(tmp_path / "t.sqlite"), "--last", "0"]) == 2
    assert "as in --last 15" in capsys.readouterr().err
    StoreWriter(tmp_path / "empty.sqlite").close()
    assert main(["triage", str(tmp_path / "empty.sqlite")]) == 3


def test_the_screen_says_what_was_ruled_out_and_by_which_fact(screen):
    """A line for each cause, the likely one first; no line is wider than the screen."""
    rng, traffic = served(4)
    traffic = plant(rng, traffic, 0.4, 4 * HOUR - 30, version="v2", cohort="region=r1")
    code, shown = screen(timed(rng, traffic, steady(rng, 4 * HOUR)))
    assert code == 1
    lines = shown[shown.index("\nCauses") :].splitlines()[2:10]
    assert lines[0].startswith("  likely       a model version: version v2 fails on region=r1")
    assert any(line.startswith("  ruled out    the host: the other versions") for line in lines)
    assert any(line.startswith("  not checked  the labels: 0 labels arrived") for line in lines)
    assert max(map(len, lines)) <= 100


def test_the_screen_as_json_holds_signals_and_causes(screen):
    """One document with the schema, what each signal does, and the diagnosis."""
    rng, traffic = served(5)
    code, shown = screen(timed(rng, traffic, steady(rng, 4 * HOUR)), "--json")
    document = json.loads(shown)
    assert code == 0
    assert document["schema"] == "radiosonde.triage/1"
    assert {signal["subject"] for signal in document["signals"]} >= {"traffic", "errors", "latency"}
    assert {each["state"] for each in document["diagnosis"]["hypotheses"]} <= {"ruled out", "not checked"}


@pytest.mark.parametrize("width", [80, 100, 140])
def test_findings_stand_out_at_any_width(screen, monkeypatch, width):
    """Severities alone begin a line in their paragraphs, no line of them is torn, and what was ruled out says by which fact."""
    monkeypatch.setenv("COLUMNS", str(width))
    rng, traffic = served()
    traffic = plant(rng, traffic, 0.2, 4 * HOUR - 20, version="v2")
    code, shown = screen(timed(rng, traffic, steady(rng, 4 * HOUR)))
    assert code == 1
    paragraph = shown.split("\n\n")[1].splitlines()
    assert paragraph[0].startswith("PAGE  version v2")
    assert all(line.startswith("  ") for line in paragraph[1:])
    assert max(map(len, paragraph)) <= width
    out = [line for line in shown.splitlines() if line.startswith("  ruled out") and "our own" not in line]
    assert out
    assert any("1 of 1211" in line for line in out)
    assert max(map(len, out)) <= width
