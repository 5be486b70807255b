"""``radiosonde canary`` as a pipeline runs it: a real process serves two versions, the command reads its store in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SERVE = """
import random, sys
from datetime import UTC, datetime, timedelta
import radiosonde as rs

fault, minutes, share = sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
random.seed(int(sys.argv[5]) if len(sys.argv) > 5 else 1)
REGIONS = ["de", "fr", "ie", "pl"]
rs.start(store=sys.argv[1], window_s=60, cohorts={"region": REGIONS}, prometheus=False)

def answer(row):
    return "yes" if row["x"] > 0 else "no"

@rs.observe("risk", version="1")
def stable(row):
    if random.random() < 0.02:
        raise TimeoutError("backend")
    return answer(row)

@rs.observe("risk", version="2", variant="canary")
def canary(row):
    if fault == row["region"] or random.random() < 0.02:
        raise KeyError(row["region"])
    return answer(row)

begin = datetime(2026, 3, 1, tzinfo=UTC)
for minute in range(20 + minutes):
    for call in range(300):
        row = {"x": random.gauss(0, 1), "region": random.choice(REGIONS)}
        predict = canary if minute >= 20 and random.random() < share else stable
        with rs.at(begin + timedelta(minutes=minute)), rs.cohort(region=row["region"]):
            try:
                predict(row)
            except (KeyError, TimeoutError):
                pass
rs.shutdown()
"""

ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "RADIOSONDE_"))}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Return a function that serves a rollout once and gives its store."""
    folder = tmp_path_factory.mktemp("rollouts")
    made: dict[tuple[str, ...], Path] = {}

    def serve(fault: str = "none", minutes: int = 12, share: float = 0.2) -> Path:
        arguments = fault, str(minutes), str(share)
        if arguments not in made:
            path = folder / f"{'-'.join(arguments)}.sqlite"
            subprocess.run([sys.executable, "-c", SERVE, str(path), *arguments], check=True, env=ENVIRONMENT, timeout=300)  # fmt: skip
            made[arguments] = path
        return made[arguments]

    return serve


def canary(*arguments: object, columns: int = 100) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "radiosonde.cli", "canary", *map(str, arguments)],
        env={**ENVIRONMENT, "COLUMNS": str(columns)}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize("columns", [80, 100])
def test_a_version_that_fails_for_one_region_is_worse_there(stores, columns, tmp_path):
    """Exit 1, the region is named in text, JSON and HTML, and no line but that of a command is wider than the terminal."""
    store = stores("ie")
    page = tmp_path / "canary.html"
    done = canary(store, "--html", page, columns=columns)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith("WORSE")
    assert "worse in region=ie" in " ".join(done.stdout.split())
    assert all(len(line) <= columns for line in done.stdout.splitlines() if not line.startswith(("next:", "report:")))
    assert "worse in region=ie" in page.read_text("utf-8")
    document = json.loads(canary(store, "--json").stdout)
    failures = document["measures"][0]
    assert (document["status"], document["exit_code"], document["old"], document["new"]) == ("worse", 1, "1/stable", "2/canary")  # fmt: skip
    assert [place["cohort"] for place in failures["places"]] == ["region=ie"]
    assert failures["places"][0]["hits"] == failures["places"][0]["trials"] > 20


def test_an_excluded_interval_is_left_out_and_said(stores, tmp_path):
    """Minutes that people excluded are in no figure; text, JSON and HTML list them with the reason."""
    store, page = tmp_path / "store.sqlite", tmp_path / "canary.html"
    shutil.copy(stores("ie"), store)
    before = json.loads(canary(store, "--json").stdout)
    subprocess.run(
        [sys.executable, "-m", "radiosonde.cli", "baseline", "exclude", str(store), "2026-03-01T00:24", "2026-03-01T00:28", "--why", "drill"],
        env=ENVIRONMENT, check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    after = json.loads(canary(store, "--json").stdout)
    assert (before["without"], len(after["without"])) == ([], 1)
    assert before["calls_old"] + before["calls_new"] - after["calls_old"] - after["calls_new"] == 4 * 300
    shown = " ".join(canary(store, "--html", page).stdout.split())
    assert "is excluded: drill" in shown
    assert "is excluded: drill" in page.read_text("utf-8")


def test_a_young_rollout_goes_on_and_a_generous_margin_promotes_it(stores):
    """Exit 3 with the rows it still takes; with margins that little can exceed, exit 0."""
    store = stores()
    done = canary(store)
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stdout.startswith("KEEP GOING")
    assert "more rows if there is no difference" in " ".join(done.stdout.split())
    easy = canary(store, "--margin", "errors=0.2", "--margin", "latency=100", "--require", "errors")
    assert easy.returncode == 0, easy.stdout + easy.stderr
    assert easy.stdout.startswith("PROMOTE")


def test_a_split_that_is_not_the_one_asked_for_has_a_code_of_its_own(stores):
    """Exit 5 for a third that should be a tenth; exit 3 with the share that it is."""
    store = stores(minutes=30, share=0.33)
    done = canary(store, "--share", "0.1")
    assert done.returncode == 5, done.stdout + done.stderr
    assert "MISMATCH" in done.stdout
    assert "not 10 %" in done.stdout
    assert canary(store, "--share", "0.33").returncode in {0, 3}


def test_a_rollout_that_has_not_begun_is_no_error(stores):
    """Exit 3 for a version that has not served yet, and for a time in which only one did."""
    store = stores()
    for arguments in (["--new", "3"], ["--until", "2026-03-01T00:15"]):
        done = canary(store, *arguments)
        assert done.returncode == 3, done.stdout + done.stderr
        assert "nothing to compare yet" in " ".join(done.stdout.split())
    assert json.loads(canary(store, "--new", "3", "--json").stdout)["status"] == "keep going"


def test_a_store_that_nobody_writes_to_is_stale(stores, tmp_path):
    """Exit 4 if the newest window was written long ago; --until selects the past, which is never stale."""
    import shutil
    import sqlite3

    store = tmp_path / "old.sqlite"
    shutil.copy(stores(), store)
    connection = sqlite3.connect(store)
    for table in ("windows", "parts"):
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        if "written_ns" in columns:
            connection.execute(f"UPDATE {table} SET written_ns = written_ns - 86400000000000")
    connection.commit()
    connection.close()
    assert canary(store).returncode == 4
    assert canary(store, "--until", "2027-01-01").returncode == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "other"], "the store has 'risk'"),
        (["--old", "9"], "pass one of these to --old"),
        (["--old", "1", "--new", "1"], "name the same version"),
        (["--share", "10"], "between 0 and 1"),
        (["--margin", "latency=0.5"], "above 1"),
        (["--margin", "errors"], "a share between 0 and 1"),
        (["--margin", "speed=1"], "is not a measure"),
        (["--require", "happiness"], "choose from errors"),
        (["--since", "2027-01-01", "--until", "2026-01-01"], "swap them"),
    ],
)
def test_what_cannot_be_meant_is_exit_2_with_what_to_do(stores, arguments, said):
    """Unknown models and versions, shares, margins and measures that are none."""
    done = canary(stores(), *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
