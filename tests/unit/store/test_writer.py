"""Behaviour of the writing end."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from enum import Enum
from pathlib import Path

import pytest

from radiosonde._sqlite_gate import GATE
from radiosonde.errors import StoreError
from radiosonde.model import SeriesKey
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.store.compact import Tiers
from tests.factories import HOUR_NS, START_NS, make_feature, make_labels, make_latency, make_reference
from tests.unit.store.strategies import make_part

DAY_NS = 24 * HOUR_NS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the store of a test lies."""
    return tmp_path / "flights.sqlite"


def query(path: Path, sql: str) -> list[tuple]:
    """Return rows as the sqlite3 shell would."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_a_store_is_made_at_construction_and_says_what_it_is(path):
    """A new writer leaves a WAL database with our application id and schema version."""
    StoreWriter(path)
    assert query(path, "PRAGMA application_id") == [(0x52534E44,)]
    assert query(path, "PRAGMA user_version") == [(4,)]
    assert query(path, "PRAGMA journal_mode") == [("wal",)]
    assert query(path, "PRAGMA auto_vacuum") == [(2,)]
    assert query(path, "PRAGMA page_size") == [(16384,)]


def test_a_batch_is_readable_with_plain_sql(path):
    """Typical queries in the sqlite3 shell have a plain answer: traffic, a cell, a phase, an error."""
    window = make_part(40, calls=10, errors={"ValueError": 3})
    assert StoreWriter(path).write([window]) > 0
    assert query(path, "SELECT start_utc, seconds, model, version, calls, rows FROM traffic") == [
        ("2013-03-01 00:00:00", (window.end_ns - window.start_ns) / 1e9, "delays", "1", 10, 40)
    ]
    assert query(path, "SELECT errors ->> '$.ValueError' FROM windows") == [(3,)]
    assert query(path, "SELECT latency ->> '$.scale' FROM windows") == [(3,)]


def test_parts_add_up_because_equal_ones_are_kept(path):
    """Writing the same window twice stores two parts, for parts are deltas."""
    writer = StoreWriter(path)
    writer.write([make_part(rows=7), make_part(rows=7)])
    writer.write([make_part(rows=7)])
    assert [window.rows for window in open_source(path).windows()] == [7, 7, 7]


def test_the_writers_process_stands_in_where_a_window_names_none(path):
    """A window without a process is stored under the writer's."""
    StoreWriter(path, process="worker-3").write([make_part(process=""), make_part(process="other")])
    assert [window.process for window in open_source(path).windows()] == ["other", "worker-3"]


class Tone(Enum):
    """A name that is not text."""

    LOW = 1


@pytest.mark.parametrize(
    "bad",
    [
        {"calls": 2**80},
        {"calls": -(2**63) - 1},
        {"key": SeriesKey("delays", math.nan)},
        {"key": SeriesKey("delays", "1", None)},
        {"key": SeriesKey(Tone.LOW)},
        {"key": SeriesKey("delays", "1", "stable", {"tail": "N1"})},
        {"errors": {b"bytes": 1}},
        {"errors": {"ValueError": "many"}},
        {"start_ns": None},
        {"process": Tone.LOW},
        {"latency": make_latency([0.1], {Tone.LOW: [0.1]})},
        {"features": replace(make_part().features, sketches={("wind", Tone.LOW): b""})},
        {"labels": make_labels({("correct", Tone.LOW): 1})},
    ],
    ids=lambda bad: next(iter(bad)),
)
def test_a_window_no_row_can_hold_costs_itself_alone(path, bad):
    """Its neighbours in the batch are stored, for any position; the writer reports the refused one."""
    writer = StoreWriter(path)
    for place in range(3):
        batch = [make_part(rows=1), make_part(rows=2)]
        batch.insert(place, make_part(**bad))
        writer.write(batch, {("delays", Tone.LOW): make_reference(), ("delays", "1"): make_reference()})
        assert list(map(id, writer.refused)) == [id(batch[place])]
    assert sorted(window.rows for window in open_source(path).windows()) == [1, 1, 1, 2, 2, 2]
    assert query(path, "SELECT DISTINCT window_id IN (SELECT window_id FROM windows) FROM features") == [(1,)]
    assert list(open_source(path).references()) == [("delays", "1")]


def test_names_that_utf8_cannot_hold_are_spelled_out(path):
    """A lone surrogate in a name is stored by its code point and costs no other window of the batch."""
    key = SeriesKey("delays", "1", "stable", "tail=\udcff")
    StoreWriter(path).write([make_part(rows=1), make_part(key=key, errors={"\ud800": 1})])
    stored = open_source(path).windows()
    assert [window.key.cohort for window in stored] == ["", "tail=U+DCFF"]
    assert stored[1].errors == {"U+D800": 1}


def test_a_closed_writer_refuses(path):
    """After `close`, which any thread may call again, a write raises instead of losing windows."""
    writer = StoreWriter(path)
    thread = threading.Thread(target=writer.close)
    thread.start()
    thread.join()
    writer.close()
    with pytest.raises(StoreError, match="closed"):
        writer.write([make_part()])


def test_references_are_stored_once_and_the_newest_is_read(path):
    """One row per profile; going back to an earlier profile makes it the current one again."""
    times = iter(range(1, 100))
    writer = StoreWriter(path, clock_ns=lambda: next(times))
    old = make_reference()
    new = make_reference([make_feature("rain", (1, 2, 3, 4, 5, 6))])
    for reference in (old, old, new, new, old):
        writer.write([], {("delays", "1"): reference})
    assert query(path, "SELECT count(*) FROM reference_profiles") == [(2,)]
    assert open_source(path).references() == {("delays", "1"): old}


def test_a_reference_known_to_the_writer_is_written_again_to_a_new_file(path):
    """A store deleted under a running writer is created again, references included."""
    writer = StoreWriter(path)
    writer.write([make_part()], {("delays", "1"): make_reference()})
    path.unlink()
    writer.write([make_part()], {("delays", "1"): make_reference()})
    assert len(open_source(path).windows()) == 1
    assert list(open_source(path).references()) == [("delays", "1")]


def test_windows_leave_by_the_time_they_were_written(path):
    """Retention counts from writing, not from event time: a replay of 2013 stays, windows stored for 2 years are removed."""
    now = [START_NS + 4000 * DAY_NS]
    writer = StoreWriter(path, clock_ns=lambda: now[0])
    writer.write([make_part(rows=1)])
    now[0] += 729 * DAY_NS
    writer.write([make_part(rows=2)])
    assert writer.pruned == 0
    now[0] += 2 * DAY_NS
    writer.write([make_part(rows=3)])
    assert writer.pruned == 1
    assert [window.rows for window in open_source(path).windows()] == [2, 3]
    now[0] += 2000 * DAY_NS
    writer.write([make_part(rows=4)])
    assert writer.pruned == 3
    assert [window.rows for window in open_source(path).windows()] == [4]
    assert query(path, "SELECT DISTINCT window_id FROM features UNION SELECT window_id FROM sketches") == [(4,)]


def test_a_store_stays_below_its_bound(path):
    """Beyond `max_bytes` the windows written first go, are counted, and the file gets smaller."""
    writer = StoreWriter(path, max_bytes=1_000_000)
    reference = make_reference()
    sketch = {("wind", "kll"): bytes(20_000)}
    for number in range(200):
        window = make_part(number, reference=reference, sketches=sketch)
        writer.write([window])
    rows = [window.rows for window in open_source(path, sketches=False).windows()]
    assert rows == list(range(200 - len(rows), 200))
    assert 25 <= len(rows) <= 50
    assert writer.pruned == 200 - len(rows)
    assert path.stat().st_size < 1_300_000


def test_references_nobody_names_leave_with_their_windows(path):
    """Provisional references of workers long gone do not pile up; the newest of a model version stays."""
    now = [0]
    writer = StoreWriter(path, tiers=Tiers(days_ns=10), clock_ns=lambda: now[0])
    for number in range(5):
        now[0] = number * 100
        reference = make_reference([make_feature("wind", (number, 2, 3, 4, 5, 6))], provisional=True)
        writer.write([make_part(reference=reference)], {("delays", "1"): reference})
    now[0] += 100
    writer.write([make_part()])
    assert query(path, "SELECT written_ns FROM reference_profiles") == [(400,)]


def test_window_ids_are_never_given_twice(path):
    """An id whose window was removed is not used again, so sealed files and the store never mean two things by it."""
    now = [0]
    writer = StoreWriter(path, clock_ns=lambda: now[0])
    writer.write([make_part(), make_part()])
    now[0] += 4000 * DAY_NS
    writer.write([make_part()])
    assert query(path, "SELECT window_id FROM windows") == [(3,)]


def test_two_writers_share_a_file(path):
    """Windows of two writers of one process lie side by side."""
    first, second = StoreWriter(path, process="a"), StoreWriter(path, process="b")
    for writer in (first, second, first):
        writer.write([make_part(process="")])
    assert [window.process for window in open_source(path).windows()] == ["a", "a", "b"]


def test_a_forked_child_writes_under_its_own_name(path):
    """A child that makes a writer of its own writes beside its parent."""
    writer = StoreWriter(path, process="parent")
    writer.write([make_part(process="")])
    assert GATE.hold(10)
    child = os.fork()
    if not child:
        code = 1
        try:
            GATE.reset_in_child()
            StoreWriter(path, process="child").write([make_part(process="")])
            code = 0
        finally:
            os._exit(code)
    GATE.release()
    assert os.waitpid(child, 0)[1] == 0
    writer.write([make_part(process="")])
    assert [window.process for window in open_source(path).windows()] == ["child", "parent", "parent"]


FULL_DISK = """
import resource, sys
from radiosonde.errors import StoreError
from radiosonde.store import StoreWriter
from tests.unit.store.strategies import make_part
writer = StoreWriter(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
stored = 0
try:
    while True:
        writer.write([make_part(rows=1), make_part(rows=1)])
        stored += 2
except StoreError as error:
    print(stored, error)
"""


def test_a_full_disk_raises_and_keeps_whole_batches(path):
    """When the file cannot grow, the batch is refused with advice and every earlier batch stays readable."""
    run = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True)
    stored, _, message = run.stdout.partition(" ")
    assert int(stored) > 0
    assert len(open_source(path).windows()) == int(stored)
    assert "disk" in message
