"""``radiosonde bench`` on realistic models and servers: everything is counted, and no user data is touched."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from radiosonde.cli import main

PLACES = {"RADIOSONDE_STORE": "mine.sqlite", "RADIOSONDE_SPOOL": "spool", "RADIOSONDE_LABELS": "mine.labels.sqlite"}
"""Places of the user's, which a benchmark leaves alone."""

MODEL = '''
"""Models of a user's."""
from dataclasses import dataclass
import numpy as np
import radiosonde as rs
from sklearn.linear_model import LogisticRegression

rows = np.random.default_rng(0).normal(size=(200, 4))
model = LogisticRegression().fit(rows, rows[:, 0] > 0)

@dataclass
class Flight:
    wind: float
    carrier: str

def plain(wind: float, carrier: str) -> str:
    print("from the model")
    return "late" if wind > 0 else "ok"

@rs.observe("delays", classes=["ok", "late"])
def observed(flight: Flight):
    return [0.25, 0.75] if flight.wind > 0 else [0.9, 0.1]

class Server:
    @rs.observe("method")
    def predict(self, row):
        return row["wind"]

server = Server()

async def coroutine(wind: float) -> float:
    return wind

async def items(wind: float):
    yield wind
    yield wind

def generator(wind: float):
    yield wind

def silent(features):
    return 1

def framed(frame):
    return frame["wind"].to_numpy()

def arrayed(x):
    return float(x.reshape(1, -1)[0, 0])

def broken(wind: float):
    raise ValueError("no such wind")

app = None
'''

SERVER = """
import radiosonde as rs
from fastapi import FastAPI

app = FastAPI()

@rs.observe("delays")
def predict(row):
    return "late" if row["wind"] > 0 else "ok"

@app.post("/predict")
async def endpoint(row: dict) -> dict:
    return {"label": predict(row)}
"""


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a user's modules and rows."""
    (tmp_path / "delays_model.py").write_text(MODEL)
    (tmp_path / "delays_server.py").write_text(SERVER)
    (tmp_path / "rows.json").write_text(json.dumps([{"wind": 1.0, "carrier": "UA"}, {"wind": -1.0, "carrier": "AA"}]))
    (tmp_path / "numbers.json").write_text("[[1.0, 2.0], [3.0, 4.0]]")
    return tmp_path


def start(folder, *arguments):
    """Start ``radiosonde bench`` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "radiosonde.cli", "bench", *arguments], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture
def bench(folder, monkeypatch, capfd):
    """Return a function that runs it to its end and returns exit code, stdout and stderr."""
    monkeypatch.chdir(folder)
    for name, value in PLACES.items():
        monkeypatch.setenv(name, str(folder / value))

    def run(*arguments):
        code = main(["bench", *arguments])
        assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == [
            "delays_model.py", "delays_server.py", "numbers.json", "rows.json",
        ]  # fmt: skip
        return code, *capfd.readouterr()

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("delays_model:plain", []),
        ("delays_model:observed", []),
        ("delays_model.py:observed", ["--input", "rows.json"]),
        ("delays_model:server.predict", ["--input", "rows.json"]),
        ("delays_model:coroutine", []),
        ("delays_model:framed", ["--input", "rows.json"]),
        ("delays_model:arrayed", ["--input", "numbers.json"]),
        ("delays_model:generator", []),
        ("delays_model:silent", ["--input", "rows.json", "--as", "list"]),
    ],
)
def test_a_function_is_measured_and_every_call_is_counted(bench, target, options):
    """For any kind; output of its code does not mix with the document, and its folders stay empty."""
    code, out, error = bench(target, *options, "--seconds", "0.5", "--json")
    assert code == 0, error
    found = json.loads(out)
    assert found["counted"] == found["made"] > found["observed"]["calls"] > 0
    # More predictions than the join store remembers for labels, on a fast machine; each is counted all the same.
    assert set(found["losses"]) <= {"join_pruned"}
    assert found["rounds"] >= 3
    assert found["bare"]["caller_us"]["p50"] > 0
    assert found["histogram_us"] > 0
    assert found["verdict"].endswith("Every call was counted.")


@pytest.mark.slow
def test_people_get_a_table_and_a_sentence(bench):
    """Bare, observed, added; the verdict last."""
    code, out, error = bench("delays_model:observed", "--seconds", "0.5")
    assert code == 0, error
    for line in ("caller, median", "CPU of all threads", "throughput", "calls made, and counted", "Histogram.record"):
        assert line in out
    assert out.strip().splitlines()[-1].startswith("Observing adds ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["delays_model:silent"], "pass --input rows.parquet"),
        (["delays_model:broken"], "raised ValueError: no such wind; it was given {'wind': "),
        (["delays_model:gone"], "has no 'gone'; it has: "),
        (["delays_model:app"], "is a NoneType, which cannot be called"),
        (["nowhere:predict"], "cannot import nowhere"),
        (["nowhere.py:predict"], "there is no file nowhere.py"),
        (["predict"], "give module:function"),
        ([], "radiosonde bench model:predict, or --server URL"),
        (["delays_model:plain", "--input", "gone.json"], "cannot read rows from gone.json"),
        (["delays_model:plain", "--seconds", "0"], "--seconds is 0.0"),
        (["--server", "http://127.0.0.1:1/predict"], "pass --input with bodies"),
        (["--server", "http://127.0.0.1:1/predict", "--input", "rows.json"], "--server URL --bare URL"),
        (
            ["--server", "http://127.0.0.1:1/a", "--bare", "http://127.0.0.1:1/b", "--input", "rows.json"],
            "start the server",
        ),
        (["--serve", "python -c 1", "--input", "rows.json"], "{port}"),
        (["--serve", f"{sys.executable} -c print('{{port}}')", "--input", "rows.json"], "does not answer at port"),
    ],
)
def test_what_cannot_be_measured_is_said_with_what_to_pass(bench, arguments, said):
    """With the exit code of a command that could not run."""
    code, out, error = bench(*arguments)
    assert (code, out) == (2, "")
    assert said in error


@pytest.mark.slow
def test_a_server_is_measured_with_and_without(bench):
    """Two are started, both are asked, and what was asked of the observed one is in its store."""
    command = f"{sys.executable} -m uvicorn delays_server:app --port {{port}} --log-level warning"
    code, out, error = bench(
        "--serve", command, "--server", "/predict", "--input", "rows.json", "--seconds", "1", "--json"
    )
    assert code == 0, error
    found = json.loads(out)
    assert found["counted"] == found["made"] == found["observed"]["calls"] + 50
    assert found["bare"]["cpu_us"] > 0
    assert found["bare"]["calls"] > 0


@pytest.mark.slow
def test_ctrl_c_ends_it_with_what_there_is(folder):
    """The child ends too, and the document says that it was interrupted."""
    with start(folder, "delays_model:observed", "--seconds", "600", "--json") as process:
        children = f"/proc/{process.pid}/task/{process.pid}/children"
        deadline = time.monotonic() + 60
        while not (child := _read(children)) and time.monotonic() < deadline:
            time.sleep(0.05)
        while not _has_measured(int(child)) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert json.loads(out)["was_interrupted"]
    assert not Path(f"/proc/{child}").exists()
    assert "Traceback" not in error


def _read(path):
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _has_measured(child):
    """Return whether the child has written its progress."""
    folder = _read(f"/proc/{child}/cmdline").split("\0")[-2:-1]
    return bool(folder) and Path(folder[0], "progress").exists()
