"""Commands print harmless text in every locale, and report failures by their exit code.

The stores, profiles, rings and files here hold names that Radiosonde never writes: they are foreign.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from radiosonde.model import SeriesKey
from radiosonde.reference.codec import FORMAT, SCHEMA_VERSION, _as_json, _digest
from radiosonde.store import StoreWriter
from radiosonde.store.annotations import Annotation, add_annotation
from radiosonde.testing import fly
from tests.factories import HOUR_NS, START_NS, make_feature, make_reference
from tests.slow import mostly_slow
from tests.unit.store.strategies import make_part

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m[red]evil[/red]\r\x08\u202e:smile:"
WORST = f"{EVIL}\x00\x1bP$q\x1b\\\x85\x9d0;owned\x9c\u2066\u200f{'W' * 10_000}"
"""All of it, NUL, other introducers of C0 and C1, isolates, and ten thousand characters."""

MARKED = "[red]\u202eevil[/red] \u2066"
"""On one line, as a declaration must be."""

SHOWN = "[red]evil[/red]"
STYLE = re.compile("\x1b\\[[0-9;]*m")

UTF8 = {"PYTHONIOENCODING": "utf-8"}
LOCALES = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "posix": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "strict": {"PYTHONIOENCODING": "cp1252:strict"},
}


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """Return a folder with a store, a profile, a spool, labels and training rows, all with evil names."""
    folder = tmp_path_factory.mktemp("ground")
    feature = make_feature(EVIL, (70, 25, 0, 5), categories=(EVIL, "AA"))
    reference = replace(
        make_reference((feature,), model=EVIL), output=replace(make_reference().output, classes=(EVIL, "no"))
    )
    parts = [
        make_part(1000, key=SeriesKey(EVIL, EVIL, EVIL, f"plan={EVIL}"), start_ns=START_NS + hour * HOUR_NS,
                  end_ns=START_NS + (hour + 1) * HOUR_NS, errors={EVIL: 300 if hour > 40 else 1})
        for hour in range(60)
    ]  # fmt: skip
    parts += [
        make_part(1000, key=SeriesKey(WORST, version, WORST, f"plan={WORST}"), start_ns=START_NS + hour * HOUR_NS,
                  end_ns=START_NS + (hour + 1) * HOUR_NS, errors={WORST: 1 if hour < 40 or version == EVIL else 400})
        for hour in range(60) for version in (EVIL, WORST) if hour > 30 or version == EVIL
    ]  # fmt: skip
    StoreWriter(folder / "flights.sqlite").write(parts, {(EVIL, EVIL): reference})
    add_annotation(
        folder / "flights.sqlite",
        Annotation(0, "exclude", WORST, EVIL, "", START_NS, START_NS + HOUR_NS, WORST, WORST, START_NS),
    )
    for name in ("mistaken", "declared"):
        (folder / name).mkdir()
    (folder / "declared" / "radiosonde.toml").write_text(
        f"[defaults]\nowner = {json.dumps(MARKED)}\n[model.{json.dumps(EVIL)}]\nrollback = {json.dumps(MARKED)}\n"
    )
    shutil.copy(folder / "flights.sqlite", folder / "declared" / "flights.sqlite")
    (folder / "mistaken" / "radiosonde.toml").write_text(
        f"store = {json.dumps(EVIL)}\n[defaults]\nowner = {json.dumps(EVIL)}\n"
        f"[model.{json.dumps(EVIL)}]\nrollback = {json.dumps(WORST)}\n{json.dumps(EVIL)} = 1\n"
    )
    (folder / "served.py").write_text(
        f"def predict(features):\n    return {EVIL!r}\n\ndef refuses(features):\n    raise ValueError({WORST!r})\n"
        f"refuses.__name__ = refuses.__qualname__ = {EVIL!r}\n"
    )
    (folder / "rows.json").write_text(json.dumps([{EVIL: EVIL, WORST: 1.5}]))
    content = _as_json(reference)
    document = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "checksum": f"sha256:{_digest(content)}",
        "reference": content,
    }
    (folder / "evil.reference.json").write_text(json.dumps(document))
    with fly(spool=folder / "alive") as rs:
        predict = rs.observe("evil")(lambda row: EVIL)
        for recorder in rs.pipeline()._recorders:
            recorder.name = recorder.variant = EVIL
            recorder._version = EVIL
        predict({"carrier": EVIL})
        shutil.copytree(folder / "alive", folder / "spool")  # as a killed process leaves it
    shutil.copy(folder / "flights.sqlite", folder / "watched.sqlite")
    assert run(folder, ["watch", "watched.sqlite", "--once"]).returncode in (0, 1, 4)
    (folder / "labels.csv").write_text(f"id,label\n{EVIL.replace(chr(13), '')},x\n")
    pq.write_table(pa.table({EVIL: ["UA", EVIL] * 50, "y": ["n", "p"] * 50}), folder / "train.parquet")
    return folder


COMMANDS = {
    "store show": ["store", "show", "flights.sqlite"],
    "diagnose": ["diagnose", "flights.sqlite"],
    "diagnose html": ["diagnose", "flights.sqlite", "--html", "report.html"],
    "diagnose json": ["diagnose", "flights.sqlite", "--json"],
    "reference show": ["reference", "show", "evil.reference.json"],
    "reference feature": ["reference", "show", "evil.reference.json", "--feature", EVIL],
    "reference build": ["reference", "build", "train.parquet", "--target", "y"],
    "blackbox": ["blackbox", "spool"],
    "label": ["label", "labels.csv", "--to", "missing.sqlite"],
    "doctor": ["doctor", "gunicorn", EVIL],
    "assets": ["assets", "prometheus", "--out", "rules", "--runbooks", EVIL],
    "usage": ["diagnose", "--until", EVIL],
    "watch": ["watch", "flights.sqlite", "--once", "--dry-run"],
    "triage": ["triage", "flights.sqlite", "--last", "60"],
    "triage of a model": ["triage", "flights.sqlite", "--model", EVIL],
    "incident list": ["incident", "list", "watched.sqlite"],
    "incident show": ["incident", "show", "watched.sqlite", EVIL],
    "canary": ["canary", "flights.sqlite", "--model", EVIL],
    "canary of versions": ["canary", "flights.sqlite", "--old", EVIL, "--new", EVIL],
    "baseline show": ["baseline", "show", "flights.sqlite"],
    "baseline exclude": ["baseline", "exclude", "flights.sqlite", EVIL, EVIL, "--why", EVIL],
    "bench": ["bench", "served.py:predict", "--input", "rows.json", "--seconds", "0.5"],
    "bench of an error": ["bench", "served.py:refuses", "--input", "rows.json", "--seconds", "0.5"],
    "bench of nothing": ["bench", f"served.py:{EVIL}"],
    "assets alertmanager": ["assets", "alertmanager", "--out", "routes", "--by", EVIL],
    "assets check": ["assets", EVIL],
    "config check": ["config", "check", "mistaken"],
    "config show of mistakes": ["config", "show", "mistaken"],
    "diagnose of owners": ["diagnose", "declared/flights.sqlite"],
    "config show": ["config", "show", "declared"],
    "fingerprint": ["fingerprint", "train.parquet", "--by", EVIL],
    "compare": ["compare", "train.parquet", "train.parquet", "--by", EVIL],
    "replay": ["replay", "train.parquet", "--model", "served.py:predict", "--prediction", EVIL],
    "replay of nothing": ["replay", "train.parquet", "--model", f"served.py:{EVIL}", "--by", "y"],
    "compare of nothing": ["compare", "flights.sqlite", "train.parquet", "--features", EVIL],
}
QUICK = [*list(COMMANDS)[: list(COMMANDS).index("usage") + 1], "triage"]
"""Commands that the quick part of the suite tries."""

OF_STORES = [["diagnose"], ["store", "show"], ["store", "seal", "--out", "sealed", "--all"]]


def run(folder, arguments, variables=UTF8, **options):
    """Run the command line in *folder* and return the ended process."""
    environment = {**os.environ, "RADIOSONDE_MODEL_VERSION": EVIL.replace("\0", ""), "COLUMNS": "100", **variables}
    options = {"capture_output": True, **options}
    command = [sys.executable, "-m", "radiosonde.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, timeout=240, check=False, **options)


@pytest.fixture(scope="module")
def usual(ground):
    """Return a function that runs a command of the table as usual, once."""
    return functools.cache(lambda name: run(ground, COMMANDS[name]))


def harmful(text):
    """Return the characters that a terminal obeys."""
    return {
        character
        for character in text
        if unicodedata.category(character) in {"Cc", "Cs"} or character in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
    } - {"\n", "\t"}


@pytest.mark.parametrize("arguments", mostly_slow(COMMANDS, quick=QUICK))
def test_what_a_command_prints_is_harmless(ground, arguments):
    """No control character of a name reaches a pipe or a terminal, where rich's own styles do; markup is no markup."""
    plain, styled = run(ground, arguments), run(ground, arguments, {**UTF8, "FORCE_COLOR": "1", "TERM": "xterm"})
    for done in (plain, styled):
        assert b"Traceback" not in done.stderr
    assert harmful((plain.stdout + plain.stderr).decode()) == set()
    assert harmful(STYLE.sub("", (styled.stdout + styled.stderr).decode())) == set()
    if arguments[0] in ("store", "blackbox"):
        assert SHOWN in plain.stdout.decode().replace("\n", "")
    if "--html" in arguments:
        page = (ground / "report.html").read_text(encoding="utf-8")
        assert SHOWN in page
        assert harmful(page) == set()


@pytest.mark.parametrize("variables", LOCALES.values(), ids=LOCALES.keys())
@pytest.mark.parametrize("name", ["diagnose", "reference show", "blackbox", "label"])
def test_a_locale_without_our_characters_changes_no_exit_code(ground, usual, name, variables):
    """What cannot be encoded is shown by something alike; the answer is the same."""
    expected, done = usual(name), run(ground, COMMANDS[name], variables)
    assert b"Traceback" not in done.stderr
    assert done.returncode == expected.returncode
    assert len(done.stdout.splitlines()) == pytest.approx(len(expected.stdout.splitlines()), abs=20)


@pytest.mark.parametrize("name", ["diagnose", "diagnose json", "store show", "reference show", "blackbox", "doctor"])
def test_an_output_that_is_full_is_no_answer(ground, name):
    """The disk behind stdout is full: exit code 2 and a sentence, not healthy and not findings."""
    with Path("/dev/full").open("wb") as full:
        done = run(ground, COMMANDS[name], capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (
        2,
        b"radiosonde: the output could not be written: No space left on device\n",
    )


@pytest.mark.parametrize(
    ("name", "is_stderr_too"),
    [("diagnose", False), ("diagnose json", True), ("store show", False), ("blackbox", False), ("doctor", False)],
)
def test_a_reader_that_went_away_is_no_answer(ground, name, is_stderr_too):
    """As ``| head`` leaves it: exit code 141, and nothing is said."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run(
            ground,
            COMMANDS[name],
            capture_output=False,
            stdout=writing,
            stderr=writing if is_stderr_too else subprocess.PIPE,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, None if is_stderr_too else b"")


@pytest.mark.parametrize(
    ("name", "streams"),
    [("diagnose", "1"), ("diagnose", "both"), ("label", "2"), ("label", "both"), ("store show", "both")],
)
def test_streams_that_the_shell_closed_change_no_exit_code(ground, usual, name, streams):
    """``>&-``: stdout is closed, and the exit code is the same."""
    closed = [1, 2] if streams == "both" else [int(streams)]

    def close():
        for descriptor in closed:
            os.close(descriptor)

    done = run(ground, COMMANDS[name], preexec_fn=close)
    assert done.returncode == usual(name).returncode


@pytest.mark.parametrize("command", OF_STORES, ids=" ".join)
@pytest.mark.parametrize("damage", ["noise", "truncated", "overwritten", "empty", "folder", "foreign", "missing"])
def test_a_store_that_cannot_be_read_is_no_answer(ground, tmp_path, command, damage):
    """Exit code 2, one sentence, no traceback."""
    content, path = (ground / "flights.sqlite").read_bytes(), tmp_path / "bad.sqlite"
    if damage == "folder":
        path.mkdir()
    elif damage == "foreign":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE windows (a)")
    elif damage != "missing":
        noise = bytes(range(256)) * 64
        path.write_bytes(
            {
                "noise": noise,
                "truncated": content[: len(content) // 2],
                "empty": b"",
                "overwritten": content[:4096] + noise + content[20_480:],
            }[damage]
        )
    done = run(tmp_path, [*command, "bad.sqlite"])
    assert b"Traceback" not in done.stderr
    assert done.returncode == 2
    assert done.stderr.startswith(b"radiosonde: ")


@pytest.mark.parametrize("missing", ["rich", "pyarrow"])
@pytest.mark.parametrize(
    "arguments",
    [["diagnose", "sealed"], ["store", "show", "sealed"], ["reference", "build", "train.parquet"]],
    ids=" ".join,
)
def test_a_missing_extra_is_no_answer(ground, missing, arguments):
    """Exit code 2, and the line that installs it."""
    if not (ground / "sealed").exists():
        shutil.copy(ground / "flights.sqlite", ground / "copy.sqlite")
        assert run(ground, ["store", "seal", "copy.sqlite", "--out", "sealed", "--all"]).returncode == 0
    code = (
        f"import sys; sys.modules[{missing!r}] = None; from radiosonde.cli import main; sys.exit(main({arguments!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ground, capture_output=True, timeout=240, check=False)
    assert done.returncode == 2
    assert b"pip install 'radiosonde[desk]'" in done.stderr
    assert b"Traceback" not in done.stderr


def test_an_interrupt_is_no_answer(tmp_path):
    """Ctrl-C while a file is read: exit code 130 and one word."""
    os.mkfifo(tmp_path / "labels.csv")
    command = [sys.executable, "-m", "radiosonde.cli", "label", "labels.csv", "--to", "labels.sqlite", "--create"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        with (tmp_path / "labels.csv").open("wb"):  # returns when the command has opened it too
            process.send_signal(signal.SIGINT)
            assert process.wait(240) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b"radiosonde: interrupted\n"
