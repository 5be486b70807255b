"""Answers and exit codes of the command line for stores on which a green answer would be wrong."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.incidents.service import DAY, MINUTE_NS, Traffic, calls, failing, plant, series
from radiosonde.cli import main
from radiosonde.model import RUNTIME_MODEL
from radiosonde.store import StoreWriter
from tests.factories import make_durations, make_runtime_window

HOUR = 60


def ask(tmp_path, capsys, windows, *arguments, late_s=0.0):
    """Write *windows*, all of it *late_s* seconds ago, diagnose the store and return the exit code and the document."""
    store = tmp_path / "store.sqlite"
    writer = StoreWriter(store)
    writer.write(windows, {})
    writer.close()
    with contextlib.closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE windows SET written_ns = written_ns - ?", (round(late_s * 1e9),))
    code = main(["diagnose", str(store), "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def served(minutes, rate=0.001, *, per_minute=60.0, versions=1, seed=1, **dimensions):
    """Return healthy traffic without a season."""
    rng = np.random.default_rng(seed)
    keys = series(versions, **dimensions)
    made = calls(rng, minutes, keys, per_minute, swing=0.0)
    return Traffic(keys, made, failing(rng, made, rate))


def lived(windows, first=0, **fields):
    """Return the health of the process that served *windows*, with *fields* from minute *first* on."""
    starts = sorted({(window.start_ns, window.end_ns) for window in windows})
    return [
        make_runtime_window(start, end, process="p1", **(fields if index >= first else {}))
        for index, (start, end) in enumerate(starts)
    ]


def one_window(calls_made, failed):
    """Return one window of which *failed* calls raise."""
    made = np.array([[float(calls_made)]])
    return Traffic(series(1), made, np.array([[float(failed)]])).windows()


def every_call_fails():
    """1 000 of 1 000 calls in the only window."""
    return one_window(1000, 1000)


def half_fails_from_the_first_window():
    """There is no past in which it was better."""
    return served(40, 0.5).windows()


def eight_hours_after_three_days():
    """30 % fail for eight hours."""
    traffic = served(3 * DAY + 8 * HOUR, 1e-4, per_minute=10.0)
    return plant(np.random.default_rng(2), traffic, 0.3, 3 * DAY).windows()


def a_cohort_halved():
    """Region 1 of four sends half."""
    traffic = served(DAY, per_minute=1500.0, region=4)
    traffic.calls[1, -HOUR:] //= 2
    return traffic.windows()


def a_cohort_retried():
    """Region 1 of four sends every call twice."""
    traffic = served(DAY, per_minute=1500.0, region=4)
    traffic.calls[1, -HOUR:] *= 2
    return traffic.windows()


def garbage_collection():
    """Collections of 4.6 s in an hour in which nothing else is odd."""
    windows = served(4 * HOUR).windows()
    return [*windows, *lived(windows, 3 * HOUR, gc_pauses=make_durations([0.001] * 30 + [4.6] * 2))]


def a_blocked_loop():
    """Every tenth turn of the event loop is late by more than a second, from the first window on."""
    windows = served(4 * HOUR).windows()
    return [*windows, *lived(windows, loop_lags=make_durations([0.002] * 100 + [1.5] * 10))]


def pool_waits():
    """Work waits five seconds for a thread."""
    windows = served(4 * HOUR).windows()
    return [*windows, *lived(windows, 3 * HOUR, pool_waits=make_durations([5.0] * 20))]


FAULTS = [
    (every_call_fails, "errors.errors.all", "page"),
    (half_fails_from_the_first_window, "errors.errors.all", "page"),
    (eight_hours_after_three_days, "errors.errors.all", "page"),
    (a_cohort_halved, "traffic.volume.region=r1", "ticket"),
    (a_cohort_retried, "traffic.volume.region=r1", "ticket"),
    (garbage_collection, "runtime.gc_pauses.all", "page"),
    (a_blocked_loop, "runtime.loop_lags.all", "page"),
    (pool_waits, "runtime.pool_waits.all", "page"),
]


@pytest.mark.parametrize(("world", "name", "severity"), FAULTS, ids=[world.__name__ for world, _, _ in FAULTS])
def test_a_fault_is_exit_1_and_the_one_finding(tmp_path, capsys, world, name, severity):
    """For any length of the history, and without one."""
    code, document = ask(tmp_path, capsys, world())
    assert (code, document["status"]) == (1, "findings")
    assert [(found["name"], found["severity"]) for found in document["findings"]] == [(name, severity)]


def runs(count, failing_last=0, *, every=DAY, rows=1):
    """Return *count* runs of one call, *every* so many minutes, of which the last *failing_last* raise."""
    made = []
    for run in range(count):
        (window,) = one_window(1, int(run >= count - failing_last))
        by_ns = run * every * MINUTE_NS
        made.append(replace(window, rows=rows, start_ns=window.start_ns + by_ns, end_ns=window.end_ns + by_ns))
    return made


@pytest.mark.parametrize(
    ("windows", "code"),
    [
        (lambda: runs(2, 2), 3),
        (lambda: runs(10, 5), 1),
        (lambda: runs(60, 5), 1),
        (lambda: runs(100, 8, every=HOUR), 1),
        (lambda: runs(60, 1), 0),
        (lambda: one_window(19, 19), 3),
        (lambda: one_window(20, 20), 1),
    ],
    ids=["two nights", "half of ten nights", "five of 60 nights", "eight of 100 hours", "one night", "19 calls", "20 calls"],
)  # fmt: skip
def test_a_job_that_runs_now_and_then_fails_in_the_end(tmp_path, capsys, windows, code):
    """A run has one call: after five failures in a row it is a finding; before anything could be seen it is not checked."""
    answered, document = ask(tmp_path, capsys, windows(), "--require", "errors")
    assert answered == code, document


def only_health():
    """A process that lives and serves no model."""
    return lived(served(60).windows())


@pytest.mark.parametrize(
    ("windows", "arguments", "late_s", "code"),
    [
        (list, [], 0, 3),
        (only_health, [], 0, 3),
        (lambda: served(60).windows(), ["--model", "other"], 0, 3),
        (lambda: runs(30, rows=20_000), [], 0, 3),
        (lambda: one_window(1000, 0), [], 0, 3),
        (lambda: served(60).windows(), ["--require", "features"], 0, 3),
        (lambda: served(60).windows(), [], 8 * 86_400, 4),
        (lambda: served(60).windows(), [], 1000, 4),
        (every_call_fails, [], 8 * 86_400, 1),
        (lambda: served(60).windows(), [], 0, 0),
    ],
    ids=[
        "empty store", "health only", "another model", "nightly batches", "one window", "features required",
        "eight days old", "a quarter of an hour old", "failing and old", "healthy",
    ],
)  # fmt: skip
def test_what_was_not_looked_at_and_what_is_old_is_not_green(tmp_path, capsys, windows, arguments, late_s, code):
    """Not checked is 3, stale is 4; a fault that is known comes first."""
    answered, document = ask(tmp_path, capsys, windows(), *arguments, late_s=late_s)
    assert answered == code, document
    assert document["healthy"] is (code == 0)


def test_every_passed_check_of_a_healthy_store_says_its_floor(tmp_path, capsys):
    """A healthy result includes its detection floors."""
    windows = served(6 * HOUR, per_minute=600.0, versions=2, region=3).windows()
    health = lived(windows, gc_pauses=make_durations([0.001] * 30), loop_lags=make_durations([0.002] * 100))
    code, document = ask(tmp_path, capsys, [*windows, *health])
    assert code == 0
    assert RUNTIME_MODEL not in {entry["where"]["model"] for entry in document["checked"]}
    without = [entry["check"] for entry in document["checked"] if not entry["floors"]]
    assert without == []
