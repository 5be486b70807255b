"""``radiosonde diagnose``: exit codes, formats, and messages when it cannot run."""

from __future__ import annotations

import contextlib
import gc
import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.quality.flight_windows import Incident, reference, windows
from radiosonde.cli import main
from radiosonde.store import StoreWriter
from radiosonde.store.seal import seal


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


@pytest.mark.parametrize("was_enabled", [True, False])
@pytest.mark.parametrize("store", ["missing.sqlite", "empty.sqlite"])
def test_the_garbage_collector_is_left_as_it_was(store, was_enabled, tmp_path, capsys):
    """A diagnosis pauses the collector, and puts it back, also when the store cannot be read."""
    path = tmp_path / store
    if store == "empty.sqlite":
        StoreWriter(path).close()
    (gc.enable if was_enabled else gc.disable)()
    try:
        main(["diagnose", str(path)])
        assert gc.isenabled() == was_enabled
    finally:
        gc.enable()


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
        (["{store}", "--since", "yesterday"], "'yesterday' is not a time; write 2013-03-09"),
        (["{store}", "--since", "9999-12-31"], "'9999-12-31' is outside the supported years 1678 to 2261"),
        (["{store}", "--until", "0001-01-01T00:00+14:00"], "is outside the supported years 1678 to 2261"),
        (["{store}", "--since", "2013-03-04", "--until", "2013-03-02"], "--since must be before --until"),
        (
            ["{store}", "--require", "errors,speed"],
            "'speed' cannot be required; choose from errors, latency, features, labels",
        ),
        (["{store}", "--html", "{missing}/report.html"], "pass another file to --html"),
    ],
)
def test_what_cannot_run_exits_with_2_and_one_sentence(healthy, capsys, tmp_path, arguments, sentence):
    """No traceback; the sentence says what to do."""
    filled = [word.format(store=healthy, missing=tmp_path / "missing.sqlite") for word in arguments]
    assert main(["diagnose", *filled]) == 2
    shown = capsys.readouterr().err
    assert sentence in " ".join(shown.split())
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    "arguments", [["--model", "nobody"], ["--until", "2012-01-01"], ["--since", "2200-01-01"]], ids=" ".join
)
def test_nothing_to_look_at_exits_with_3_and_says_what_the_store_holds(healthy, capsys, arguments):
    """An unknown model, a time before the store, a time after it: never healthy, in text and in JSON."""
    assert main(["diagnose", str(healthy), *arguments]) == 3
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith("NOT CHECKED")
    assert "the store has windows of 'delays' from 2013-03-01T" in shown
    assert main(["diagnose", str(healthy), *arguments, "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert (document["status"], document["healthy"]) == ("not checked", False)


def test_an_empty_store_exits_with_3(tmp_path, capsys):
    """A server that started and was never asked has shown nothing."""
    store = tmp_path / "empty.sqlite"
    StoreWriter(store).close()
    assert main(["diagnose", str(store)]) == 3
    assert capsys.readouterr().out.startswith("NOT CHECKED")


def test_a_requirement_that_no_check_covers_exits_with_3_and_is_named(healthy, capsys, tmp_path):
    """The gate says what it insists on; the report says which part of it is missing, in all three forms."""
    report = tmp_path / "report.html"
    without_labels = make_windows_store(tmp_path / "plain.sqlite", labels=None)
    assert main(["diagnose", str(without_labels)]) == 0
    assert main(["diagnose", str(without_labels), "--require", "errors"]) == 0
    assert main(["diagnose", str(healthy), "--require", "errors,latency,features,labels"]) == 0
    capsys.readouterr()
    assert main(["diagnose", str(without_labels), "--require", "errors,labels", "--html", str(report)]) == 3
    assert "labels not checked (delays): 0 labels arrived" in " ".join(capsys.readouterr().out.split())
    page = report.read_text(encoding="utf-8")
    assert "not checked" in page
    assert "0 labels arrived" in page


def make_windows_store(path: Path, **changes: object) -> Path:
    """Write eight healthy days with *changes* in every window and without a reference."""
    writer = StoreWriter(path)
    writer.write([replace(window, **changes) for window in windows(days=8, cohorts=False, sketches=False)], {})
    writer.close()
    return path


def age(store: Path, seconds: float) -> Path:
    """Make *store* look as if all of it had been written *seconds* earlier."""
    with contextlib.closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE windows SET written_ns = written_ns - ?", (round(seconds * 1e9),))
    return store


@pytest.mark.parametrize(
    ("seconds", "arguments", "code"),
    [
        (0, [], 0),
        (3 * 3600, [], 0),
        (3 * 3600 + 900, [], 4),
        (8 * 86_400, [], 4),
        (8 * 86_400, ["--since", "2013-03-04"], 4),
        (8 * 86_400, ["--until", "2013-03-08"], 0),
        (8 * 86_400, ["--require", "labels"], 3),
    ],
)
def test_a_store_that_is_not_written_to_is_stale_by_the_writer_s_clock(tmp_path, capsys, seconds, arguments, code):
    """Hourly windows may be three hours and ten minutes late; the year of the events says nothing; the past is not stale."""
    store = age(make_windows_store(tmp_path / "old.sqlite", labels=None), seconds)
    assert main(["diagnose", str(store), *arguments]) == code
    shown = " ".join(capsys.readouterr().out.split())
    assert ("nothing has been written since" in shown) == (code in {3, 4})  # said beside what could not be checked, too


def test_sealed_hours_are_as_old_as_they_were_in_the_store(tmp_path):
    """Sealing moves windows without writing them again."""
    store = age(make_windows_store(tmp_path / "old.sqlite", labels=None), 8 * 86_400)
    seal(store, tmp_path / "sealed", everything=True)
    assert main(["diagnose", str(tmp_path / "sealed")]) == 4


def test_a_finding_comes_before_everything_else(broken, capsys, tmp_path):
    """What is known to be wrong stays so in an old store, and when something else could not be checked."""
    copied = tmp_path / "copy.sqlite"
    shutil.copy(broken, copied)
    assert main(["diagnose", str(age(copied, 8 * 86_400)), "--require", "labels,errors"]) == 1
    assert capsys.readouterr().out.startswith("1 FINDING")
