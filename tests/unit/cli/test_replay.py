"""`radiosonde replay`: recorded rows predicted again, compared row by row."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from radiosonde.cli import main

START_S = 1_793_491_200  # 2026-11-01T00:00:00Z
ROWS = 4000
MODELS = """
import asyncio, pathlib, random
import numpy as np
import pandas as pd
import radiosonde as rs

def frame(rows: pd.DataFrame):
    print("printed by the model")
    return 2 * rows["income"] + rows["rent"]

@rs.observe("loans")
def observed(rows: pd.DataFrame):
    return 2 * rows["income"] + rows["rent"]

def asks_another(rows: pd.DataFrame):
    predicted = observed(rows)
    rs.flush()
    pathlib.Path("recorded").write_text(str(rs.statistics().records))
    return predicted

def matrix(rows: np.ndarray):
    return 2 * rows[:, 0] + rows[:, 1]

def mutating(rows: pd.DataFrame):
    rows["income"] *= 2
    return rows["income"] + rows["rent"]

def dicts(rows: list):
    return [{"value": 2 * row[0] + row[1], "class": "a"} for row in rows]

def row(row: dict):
    return 2 * row["income"] + row["rent"]

def arguments(income, rent):
    return {"value": 2 * income + rent}

async def later(row: dict):
    await asyncio.sleep(0)
    return 2 * row["income"] + row["rent"]

class Model:
    def predict(self, rows: pd.DataFrame):
        return rows.eval("2 * income + rent").to_numpy()

    async def __call__(self, rows: pd.DataFrame):
        return self.predict(rows)

model = Model()

def label(rows: pd.DataFrame):
    return np.where(rows["income"] > 0, "yes", "no")

def strict(rows: pd.DataFrame):
    return np.where(rows["income"] > 0.5, "yes", "no")

def random_numbers(rows: pd.DataFrame):
    return [random.random() for _ in range(len(rows))]

def centred(rows: pd.DataFrame):
    return rows["income"] - rows["income"].mean()

def single(rows: pd.DataFrame):
    return 1.0

def raises(rows: pd.DataFrame):
    raise ValueError("no such feature")

def yields(rows: pd.DataFrame):
    yield 1.0

def stops(rows: pd.DataFrame):
    if pathlib.Path("stop").exists() and rows["id"].min() >= 2000:
        raise KeyboardInterrupt
    with open("calls", "a") as file:
        file.write(f"{rows['id'].min()}\\n")
    return 2 * rows["income"] + rows["rent"]

def waits(rows: pd.DataFrame):
    import time
    pathlib.Path("ready").touch()
    while True:
        time.sleep(0.01)
"""


def made() -> dict[str, np.ndarray]:
    """Return what the producer made: 12 hours of rows in two countries."""
    rng = np.random.default_rng(5)
    return {
        "id": np.arange(ROWS),
        "time": START_S + np.sort(rng.integers(0, 12 * 3600, ROWS)).astype(float),
        "country": rng.choice(["DE", "FR"], ROWS),
        "income": rng.gamma(2.0, 1.0, ROWS),
        "rent": rng.normal(size=ROWS),
    }


def corrupted(table: dict[str, np.ndarray]) -> np.ndarray:
    """Return the places of the rows that were corrupted: three hours of one country."""
    hours = (table["time"] - START_S) // 3600
    return np.flatnonzero((hours >= 5) & (hours < 8) & (table["country"] == "DE"))


@pytest.fixture
def ground(tmp_path, monkeypatch) -> Path:
    """Return a folder with a module of models, the producer's table, and the served one with its predictions."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "replayed_models.py").write_text(MODELS)
    table = made()
    pq.write_table(pa.table(table), "made.parquet")
    table["income"][corrupted(table)] *= 0.1
    table["value"] = 2 * table["income"] + table["rent"]
    table["label"] = np.where(table["income"] > 0, "yes", "no")
    pq.write_table(pa.table(table), "served.parquet", row_group_size=1500)
    yield tmp_path
    sys.modules.pop("replayed_models", None)


def run(*arguments: str) -> int:
    """Replay in this process."""
    columns = () if any(each.startswith("--columns") for each in arguments) else ("--columns=income,rent",)
    return main(["replay", *arguments, *columns, "--in-this-process"])


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--model=replayed_models.py:frame"], id="frame"),
        pytest.param(["--model=replayed_models.py:observed", "--as=frame"], id="observed"),
        pytest.param(["--model=replayed_models.py:matrix", "--as=array"], id="matrix"),
        pytest.param(["--model=replayed_models.py:mutating"], id="mutating"),
        pytest.param(["--model=replayed_models.py:dicts", "--as=list", "--output=value"], id="dicts"),
        pytest.param(["--model=replayed_models.py:row", "--batch=1"], id="row"),
        pytest.param(["--model=replayed_models.py:arguments", "--batch=1"], id="arguments"),
        pytest.param(["--model=replayed_models.py:later", "--batch=1"], id="async row"),
        pytest.param(["--model=replayed_models.py:model", "--as=frame"], id="async callable"),
        pytest.param(["--model=replayed_models.py:model.predict", "--batch=7"], id="method"),
        pytest.param(["--model=replayed_models.py:frame", "--batch=100000"], id="one call"),
    ],
)
def test_a_model_that_has_not_changed_reproduces_its_predictions(ground, options, capsys):
    """Every row is equal, for any form of the model, and the exit code is 0."""
    assert run("served.parquet", *options, "--prediction=value") == 0
    shown = capsys.readouterr().out
    assert "equal: 4,000 of 4,000 rows are equal, 0 differ" in shown
    assert "printed" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_corrected_features_give_the_bias_of_each_cohort(ground, capsys):
    """The windows, the cohort, the rows and the mean difference are those of the corruption, within its interval."""
    code = run(
        "served.parquet", "--model=replayed_models.py:frame", "--prediction=value", "--features=made.parquet", "--key=id",
        "--by=country", "--time=time", "--json",
    )  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    table = made()
    places = corrupted(table)
    german = np.flatnonzero(table["country"] == "DE")
    step = np.zeros(ROWS)
    step[places] = 2 * 0.9 * table["income"][places]
    assert code == 1
    reproduction, effect = found["comparisons"]
    assert (reproduction["different"], effect["different"]) == (0, len(places))
    assert effect["mean_difference"]["mean"] == pytest.approx(step.mean())
    assert effect["mean_difference"]["low"] > 0
    differing = [group for group in effect["groups"] if group["different"]]
    assert [group["key"] for group in differing] == [[(START_S + hour * 3600) * 10**9, "DE"] for hour in (5, 6, 7)]
    assert sum(group["rows"] for group in effect["groups"] if group["key"][1] == "DE") == len(german)


def test_the_text_names_cohort_and_windows(ground, capsys):
    """The report names the span of the windows that differ, and the cohort alone."""
    options = ("--model=replayed_models.py:frame", "--features=made.parquet", "--by=country", "--time=time")
    assert run("served.parquet", *options) == 1
    shown = capsys.readouterr().out
    assert "3 of 12 windows differ: 2026-11-01 05:00:00 to 2026-11-01 08:00:00 UTC" in shown
    assert "1 of 2 cohorts differ" in shown
    assert "country=DE" in shown
    assert "country=FR" not in shown


def test_rows_without_correction_keep_their_features(ground, capsys):
    """Rows that the corrected table does not hold are counted, and do not differ."""
    table = made()
    places = corrupted(table)[:10]
    pq.write_table(pa.table({"id": table["id"][places], "income": table["income"][places]}), "some.parquet")
    options = ("--model=replayed_models.py:frame", "--features=some.parquet", "--key=id")
    assert run("served.parquet", *options) == 1
    shown = capsys.readouterr().out
    assert "3,990 of 4,000 rows are equal, 10 differ" in shown
    assert "3,990 rows are not in some.parquet" in shown


def test_another_model_is_compared_by_class(ground, capsys):
    """The changes between two models are counted by class."""
    options = (
        "--model=replayed_models.py:label",
        "--against=replayed_models.py:strict",
        "--prediction=label",
        "--json",
    )
    assert run("served.parquet", *options) == 1
    reproduction, effect = json.loads(capsys.readouterr().out)["comparisons"]
    served = pq.read_table("served.parquet").column("income").to_numpy()
    count = int(np.count_nonzero((served > 0) & (served <= 0.5)))
    assert reproduction["different"] == 0
    assert effect["changes"] == [{"from": "yes", "to": "no", "rows": count}]
    assert effect["classes"]["yes"]["difference"]["mean"] == pytest.approx(-count / ROWS)


def test_a_random_model_is_not_compared(ground, capsys):
    """A model that answers the same rows differently is not comparable: exit code 3, and no comparison."""
    assert run("served.parquet", "--model=replayed_models.py:random_numbers", "--prediction=value") == 3
    shown = capsys.readouterr().out
    assert "not deterministic: of the first 1,000 rows predicted again 1,000 differ" in shown
    assert "reproduction" not in shown


def test_a_model_that_depends_on_the_batch_is_reported(ground, capsys):
    """Answers that change with the other rows of a call are reported, and compared nevertheless."""
    assert run("served.parquet", "--model=replayed_models.py:centred", "--prediction=value") == 1
    assert "answers depend on the other rows of a call" in " ".join(capsys.readouterr().out.split())


def test_a_tolerance_includes_small_differences(ground, capsys):
    """Differences within the tolerance are counted apart, and are no difference."""
    table = pq.read_table("served.parquet")
    rounded = np.round(table.column("value").to_numpy(), 3)
    pq.write_table(table.append_column("rounded", pa.array(rounded)), "rounded.parquet")
    options = ("rounded.parquet", "--model=replayed_models.py:frame", "--prediction=rounded")
    assert run(*options, "--tolerance=0") == 1
    assert run(*options, "--tolerance=0.001") == 0
    assert "within 0.001, 0 differ" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--model=replayed_models.py:raises"], "raised ValueError: no such feature", id="raises"),
        pytest.param(["--model=replayed_models.py:single"], "returned a single value for 1000 rows", id="one answer"),
        pytest.param(["--model=replayed_models.py:yields"], "yields its answers", id="generator"),
        pytest.param(["--model=replayed_models.py:nothing"], "has no 'nothing'", id="no function"),
        pytest.param(["--model=replayed_models.py:dicts", "--as=list"], "choose one with --output", id="which entry"),
        pytest.param(["--model=replayed_models.py:arguments"], "give --batch 1", id="arguments in batches"),
        pytest.param(["--model=replayed_models.py:frame", "--columns=wealth"], "no column 'wealth'", id="no column"),
        pytest.param(["--model=replayed_models.py:frame", "--prediction=y"], "no column 'y'", id="no prediction"),
        pytest.param(["--model=replayed_models.py:frame", "--by=id,rent,time"], "groups", id="too many groups"),
        pytest.param(["--model=replayed_models.py:frame", "--batch=0"], "--batch is 0", id="no batch"),
        pytest.param(["--model=replayed_models.py:frame", "--tolerance=nan"], "--tolerance is nan", id="tolerance"),
        pytest.param(["--model=replayed_models.py:frame", "--time=time", "--window=0"], "--window", id="window"),
        pytest.param(
            ["--model=replayed_models.py:frame", "--features=twice.parquet", "--key=id"], "more than once", id="twice"
        ),
        pytest.param(["--model=replayed_models.py:frame", "--features=twice.parquet"], "8,000 rows", id="length"),
        pytest.param(
            ["--model=replayed_models.py:frame", "--features=other.parquet"], "none of the columns", id="other"
        ),
        pytest.param(["--model=replayed_models.py:frame", "--out=."], "holds other files", id="folder in use"),
    ],
)
def test_what_cannot_be_replayed_says_why(ground, options, message, capsys, monkeypatch):
    """A request that cannot be met ends with exit code 2 and one sentence."""
    monkeypatch.setattr("radiosonde.forensics.paired.MOST_GROUPS", 100)
    table = pq.read_table("made.parquet")
    pq.write_table(pa.concat_tables([table, table]), "twice.parquet")
    pq.write_table(table.select(["id"]), "other.parquet")
    prediction = [] if any("--prediction" in each for each in options) else ["--prediction=value"]
    assert run("served.parquet", *options, *prediction) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_an_empty_table_is_not_comparable(ground, capsys):
    """A table without rows gives exit code 3."""
    pq.write_table(pq.read_table("served.parquet").slice(0, 0), "empty.parquet")
    assert run("empty.parquet", "--model=replayed_models.py:frame", "--prediction=value") == 3
    assert "no rows" in capsys.readouterr().out


def test_an_interrupted_replay_goes_on(ground, capsys):
    """The rows that were predicted before an interrupt are not predicted again, and the result is that of all."""
    options = (
        "served.parquet",
        "--model=replayed_models.py:stops",
        "--prediction=value",
        "--columns=id,income,rent",
        "--out=kept",
    )
    Path("stop").touch()
    assert run(*options) == 130
    assert "kept holds the rows so far; run the same command again" in capsys.readouterr().err
    Path("stop").unlink()
    Path("calls").write_text("")
    assert run(*options) == 0
    shown = capsys.readouterr().out
    assert "2,500 of them were predicted by an earlier run" in shown  # row groups of 1500, cut at 1000
    assert "equal: 4,000 of 4,000 rows are equal" in shown
    tried = [int(line) for line in Path("calls").read_text().split()]
    assert tried[:4] == [0, 0, 0, 500]
    assert tried[4:] == [2500, 3000], "after the check of determinism, only new rows are predicted"
    parts = pq.read_table("kept", columns=["row", "replayed"])
    served = pq.read_table("served.parquet").column("value").to_numpy()
    np.testing.assert_array_equal(parts.column("replayed").to_numpy(), served)
    assert run(*options, "--features=made.parquet", "--key=id") == 2
    assert "another table, model or options" in capsys.readouterr().err


def test_a_replay_runs_apart_from_the_recording(ground):
    """The command imports the model in a process in which Radiosonde is switched off; it writes to no store."""
    command = [sys.executable, "-m", "radiosonde.cli", "replay", "served.parquet", "--model=replayed_models.py:asks_another",
               "--as=frame", "--prediction=value", "--columns=income,rent"]  # fmt: skip
    environment = {**os.environ, "RADIOSONDE_STORE": str(ground / "live.sqlite")}
    ended = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "equal: 4,000 of 4,000" in ended.stdout
    assert not (ground / "live.sqlite").exists()
    assert (ground / "recorded").read_text() == "0", "an observed function that the model calls records nothing"


def test_ctrl_c_ends_the_command(ground):
    """SIGINT to the command ends it and the process of the model with exit code 130."""
    command = [sys.executable, "-m", "radiosonde.cli", "replay", "served.parquet", "--model=replayed_models.py:waits",
               "--columns=income,rent"]  # fmt: skip
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        deadline_s = time.monotonic() + 120
        while not Path("ready").exists() and time.monotonic() < deadline_s and child.poll() is None:
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        assert child.wait(120) == 130
        assert child.stderr is not None
        assert "interrupted" in child.stderr.read()
    finally:
        child.kill()
        child.communicate()
