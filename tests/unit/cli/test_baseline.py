"""``radiosonde baseline``: exclusions are written beside the windows, listed, honoured and undone."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.incidents.service import Traffic, calls, failing, plant, series
from radiosonde.cli import main
from radiosonde.store import StoreWriter
from radiosonde.store.annotations import Annotation, add_annotation, read_annotations
from radiosonde.store.seal import seal

SPAN = ["2026-01-01T01:00Z", "2026-01-01T02:00Z"]


def make_store(path, *, bad=False):
    """Write six hours of a service; *bad*: it fails in its last minutes."""
    rng = np.random.default_rng(1)
    keys = series(1)
    made = calls(rng, 360, keys, 100.0, swing=0.0)
    traffic = Traffic(keys, made, failing(rng, made, 0.001))
    writer = StoreWriter(path)
    writer.write((plant(rng, traffic, 0.3, 340) if bad else traffic).windows(), {})
    writer.close()
    return path


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Return a healthy store."""
    monkeypatch.setenv("COLUMNS", "100")
    return make_store(tmp_path / "m.sqlite")


def test_an_interval_is_excluded_listed_honoured_and_included_again(store, capsys):
    """The reason is kept, the diagnosis says what it left out, and undoing it is kept, too."""
    assert main(["baseline", "exclude", str(store), *SPAN, "--why", "load test"]) == 0
    assert "radiosonde baseline include 1" in capsys.readouterr().out
    assert main(["baseline", "show", str(store)]) == 0
    shown = capsys.readouterr().out
    assert "1  2026-01-01T01:00Z to 2026-01-01T02:00Z  all models" in shown
    assert "load test (" in shown
    assert main(["diagnose", str(store)]) == 0
    assert "2026-01-01 01:00 to 2026-01-01 02:00 UTC (m): excluded (1): load test" in " ".join(
        capsys.readouterr().out.split()
    )
    assert main(["baseline", "include", str(store), "1"]) == 0
    assert main(["diagnose", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2])["left_out"] == []
    assert main(["baseline", "show", str(store)]) == 0
    assert capsys.readouterr().out == "no interval is excluded\n"
    assert main(["baseline", "show", str(store), "--all", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["excluded"]
    assert (entry["why"], entry["start"], entry["withdrawn_ns"] is not None) == ("load test", SPAN[0], True)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["exclude", *SPAN[::-1], "--why", "x"], "swap them"),
        (["exclude", *SPAN, "--why", " "], "state why"),
        (["exclude", "2020-01-01", "2020-01-02", "--why", "x"], "the store has windows from 2026-01-01T00:00Z"),
        (["exclude", *SPAN, "--why", "x", "--model", "n"], "it has 'm'"),
        (["include", "3"], "none is in force"),
    ],
)
def test_what_cannot_be_done_says_what_to_do(store, capsys, monkeypatch, arguments, hint):
    """Exit code 2, one sentence, and nothing is written."""
    monkeypatch.setenv("RADIOSONDE_STORE", str(store))
    assert main(["baseline", *arguments]) == 2
    assert hint in capsys.readouterr().err
    assert read_annotations(store) == []


@contextmanager
def as_nobody():
    """Take away root's right to write everywhere, where this is root."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_store_that_cannot_be_written_is_read_all_the_same(store, capsys):
    """The exclusion in it is honoured; another one is refused with what to do."""
    assert main(["baseline", "exclude", str(store), *SPAN, "--why", "load test"]) == 0
    assert main(["diagnose", str(store)]) == 0  # loads what it needs
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(store, folder))
        copy.chmod(0o444)
        Path(folder).chmod(0o555)
        capsys.readouterr()
        try:
            with as_nobody():
                assert main(["diagnose", str(copy)]) == 0
                assert "load test" in capsys.readouterr().out
                assert main(["baseline", "exclude", str(copy), *SPAN, "--why", "again"]) == 2
                assert "check that this user may write the file and its folder" in capsys.readouterr().err
        finally:
            Path(folder).chmod(0o755)


def test_sealed_hours_and_folders_keep_them(store, capsys, tmp_path):
    """Sealed hours have a file of their own for it; a folder of both has the store's."""
    sealed = tmp_path / "both" / "sealed"
    seal(store, sealed, everything=True)
    assert main(["baseline", "exclude", str(sealed), *SPAN, "--why", "load test"]) == 0
    assert main(["diagnose", str(sealed)]) == 0
    assert "excluded (1): load test" in " ".join(capsys.readouterr().out.split())
    shutil.copy(make_store(tmp_path / "n.sqlite"), tmp_path / "both" / "n.sqlite")
    assert main(["baseline", "show", str(tmp_path / "both")]) == 0
    assert "load test" in capsys.readouterr().out


def test_the_schema_stays_and_a_writer_goes_on(store):
    """An annotation must not make a store newer for a server of a former version."""
    with sqlite3.connect(store) as connection:
        before = connection.execute("PRAGMA user_version").fetchone()
    assert main(["baseline", "exclude", str(store), *SPAN, "--why", "load test"]) == 0
    connection = sqlite3.connect(store)
    assert connection.execute("PRAGMA user_version").fetchone() == before
    connection.close()
    make_store(store)
    assert [each.why for each in read_annotations(store)] == ["load test"]


def test_long_reasons_are_cut_and_hostile_ones_are_harmless(store, capsys):
    """Annotations of one person are shown to others."""
    add_annotation(store, Annotation(0, "exclude", "", "", "", 0, 10**18, "\x1b[31mred\n" + "x" * 5000, "me\x07", 0))
    assert len(read_annotations(store)[0].why) == 500
    assert main(["baseline", "show", str(store)]) == 0
    assert main(["diagnose", str(store)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_a_rollout_is_judged_without_excluded_time(tmp_path, capsys):
    """A canary that failed in its first hour for a known reason is not worse for it; triage compares without that time, too."""
    rng = np.random.default_rng(3)
    keys = series(2)
    made = calls(rng, 360, keys, 300.0, swing=0.0)
    writer = StoreWriter(tmp_path / "c.sqlite")
    traffic = Traffic(keys, made, failing(rng, made, 0.001))
    writer.write(plant(rng, traffic, 0.5, 0, 60, version="v2").windows(), {})
    writer.close()
    command = ["canary", str(tmp_path / "c.sqlite"), "--require", "errors", "--json"]
    main(command)
    assert json.loads(capsys.readouterr().out)["status"] == "worse"
    excluded = ["2026-01-01T00:00Z", "2026-01-01T01:00Z", "--why", "its cache was empty"]
    assert main(["baseline", "exclude", str(tmp_path / "c.sqlite"), *excluded]) == 0
    capsys.readouterr()
    main(command)
    assert json.loads(capsys.readouterr().out)["status"] != "worse"
