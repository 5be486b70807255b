"""The flight recorder: after a real crash inside predict, ``radiosonde blackbox`` names the input being predicted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from radiosonde._pipeline import span_source
from radiosonde.cli import main
from radiosonde.testing import fly

SERVER = """
import ctypes, os, resource, sys
import numpy as np
import radiosonde as rs

spool, how = sys.argv[1:]
rs.start(spool=spool, prometheus=False, cohorts={"carrier": ["UA"]})

def die():
    if how == "kill":
        os.kill(os.getpid(), 9)
    if how == "segv":
        ctypes.string_at(0)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    ctypes.CDLL(None).abort() if not ctypes.CDLL(None).malloc(ctypes.c_size_t(1 << 34)) else None

@rs.observe("delays", version="2.3.1", classes=["on_time", "late"])
def predict(flight):
    with rs.stage("fetch"):
        pass
    with rs.stage("infer"):
        if flight["distance"] == 666:
            die()
        if flight["distance"] < 0:
            raise ValueError(flight["distance"])
    return {"label": "late", "confidence": 0.75}

@rs.observe("batches")
def predict_batch(rows):
    if rows[0, 0] == 666:
        die()
    return rows[:, 0] > 0.5

with rs.cohort(carrier="UA"):
    for distance in range(5):
        predict({"distance": distance * 10.0, "wind": None, "origin": "JFK"})
    try:
        predict({"distance": -1.0, "wind": 2.0, "origin": "JFK"})
    except ValueError:
        pass
    if how == "batch":
        how = "kill"
        predict_batch(np.full((500, 2), 666.0))
    if how != "none":
        predict({"distance": 666, "wind": 3.5, "origin": "EWR"})
print("alive", flush=True)
sys.stdin.read()
"""


def crash(tmp_path: Path, how: str) -> int:
    """Run the server until it dies; return its return code."""
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    done = subprocess.run(
        [sys.executable, script, tmp_path / "spool", how],
        input="", capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    return done.returncode


def blackbox(tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the document of the command."""
    code = main(["blackbox", str(tmp_path / "spool"), "--json", *options])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("how", "expected"), [("kill", -signal.SIGKILL), ("segv", -signal.SIGSEGV), ("memory", -signal.SIGABRT)]
)
def test_the_poison_input_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str, expected: int) -> None:
    """After SIGKILL, SIGSEGV and a memory limit inside predict: features, cohort and phase of the call in flight."""
    assert crash(tmp_path, how) == expected
    code, found = blackbox(tmp_path, capsys)
    (ring,) = found["rings"]
    (poison,) = ring["in_flight"]
    assert code == 1
    assert (ring["model"], ring["version"], ring["variant"], ring["is_alive"]) == ("delays", "2.3.1", "stable", False)
    assert poison["features"] == [{"distance": "666", "wind": "3.5", "origin": "EWR"}]
    assert (poison["cohort"], poison["phase"], poison["state"]) == ("carrier=UA", "infer", "in flight")
    assert list(poison["phases_s"]) == ["fetch"]


def test_the_last_predictions_are_told_with_output_and_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ended before the crash is there too, newest first, a failed call with the type of its exception."""
    crash(tmp_path, "kill")
    _, found = blackbox(tmp_path, capsys, "--last", "2")
    failed, done = found["rings"][0]["last"]
    assert (failed["state"], failed["error"], failed["features"][0]["distance"]) == ("failed", "ValueError", "-1")
    assert (done["state"], done["output"]) == ("done", "late (0.750)")
    assert done["features"] == [{"distance": "40", "wind": "missing", "origin": "JFK"}]
    assert sorted(done["phases_s"]) == ["fetch", "infer"]


def test_a_poison_batch_shows_its_size_and_first_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A batch in flight is named by its number of rows and its first ones."""
    assert crash(tmp_path, "batch") == -signal.SIGKILL
    _, found = blackbox(tmp_path, capsys)
    (poison,) = [each for ring in found["rings"] for each in ring["in_flight"]]
    assert poison["rows"] == 500
    assert poison["features"] == [{"f0": "666", "f1": "666"}] * 3


def test_a_clean_exit_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A process that ends by itself takes its rings with it: what lies in the spool is a crash or alive."""
    assert crash(tmp_path, "none") == 0
    assert blackbox(tmp_path, capsys) == (0, {"rings": [], "unreadable": []})


def test_the_text_fits_a_terminal_and_names_the_dead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The text for people: what died, with what in flight, in at most 100 columns."""
    crash(tmp_path, "kill")
    assert main(["blackbox", str(tmp_path / "spool")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("delays 2.3.1 stable  process ")
    assert lines[0].endswith("DEAD")
    assert lines[1].startswith("  IN FLIGHT WHEN IT DIED  2")
    assert "    features   distance=666  wind=3.5  origin=EWR" in lines
    assert max(map(len, lines)) <= 100


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command could not run: exit code 2, and a message with the setting that names the folder."""
    assert main(["blackbox", str(tmp_path / "typo")]) == 2
    assert "RADIOSONDE_SPOOL" in capsys.readouterr().err
    assert not (tmp_path / "typo").exists()


def test_a_damaged_ring_does_not_hide_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A torn file is named, the rest is still shown."""
    crash(tmp_path, "kill")
    (tmp_path / "spool" / "other-00000000.ring").write_bytes(b"torn")
    code, found = blackbox(tmp_path, capsys)
    assert code == 1
    assert len(found["rings"]) == 1
    assert "other-00000000.ring is damaged" in found["unreadable"][0]


def test_traced_predictions_are_told_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What tracing writes into a slot, of a live span or of one that is not recorded, changes nothing that is shown."""
    provider = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(span_source, "find_provider", lambda: provider)
    with fly(spool=tmp_path / "spool", cohorts={"carrier": ["UA"]}) as rs:
        predict = rs.observe("delays")(lambda features: {"label": "late", "confidence": 0.75})
        with rs.cohort(carrier="UA"):
            predict([1.0])
            with use_span(NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(0)))):
                predict([2.0])
        _, found = blackbox(tmp_path, capsys)
    told = [(each["cohort"], each["output"], each["features"]) for each in found["rings"][0]["last"]]
    assert told == [("carrier=UA", "late (0.750)", [{"f0": value}]) for value in ("2", "1")]
    provider.shutdown()
