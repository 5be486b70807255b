"""Parts are merged by their age, exactly, and nothing is lost or counted twice despite concurrent changes."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radiosonde.model import RUNTIME_KEY, SeriesKey, Window
from radiosonde.sketches import KllSketch
from radiosonde.sketches.merge import merge_windows
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.store.compact import DAY_NS, MINUTE_NS, Tiers
from radiosonde.store.seal import seal
from tests.factories import (
    START_NS,
    make_durations,
    make_features,
    make_labels,
    make_latency,
    make_reference,
    make_runtime,
    make_window,
)
from tests.property.strategies import contents

HOUR_NS = 60 * MINUTE_NS
REFERENCE = make_reference()


def sketch(*values: float) -> bytes:
    """Return the bytes of a sketch of *values*."""
    made = KllSketch()
    made.update(np.array(values))
    return made.to_bytes()


def traffic(minute: int, calls: int = 2, *, cohort: str = "", process: str = "p1") -> Window:
    """Return a minute of predictions with all signals; durations add without rounding."""
    return make_window(
        SeriesKey("delays", "1", "stable", cohort),
        start_ns=START_NS + minute * MINUTE_NS,
        end_ns=START_NS + (minute + 1) * MINUTE_NS,
        process=process,
        errors={"ValueError": 1},
        latency=make_latency([0.25] * calls, {"fetch": [0.125] * calls}),
        durations_s=[0.25] * calls,
        features=make_features(
            REFERENCE, {"wind": (calls, minute, 0, 0, 0, 0)}, {("wind", "kll_double"): sketch(minute)}, 1
        ),
    )


def late(minute: int, *, cohort: str = "", process: str = "p1") -> Window:
    """Return a label that came for that minute, counted on the grid of its features."""
    window = traffic(minute, 0, cohort=cohort, process=process)
    labels = make_labels({("correct", "1h"): 1}, lags_s={"yes": [5.0]}, residuals=[0.5])
    return replace(window, errors={}, features=None, labels=labels)


def total(path: Path) -> object:
    """Return the sum of all a store holds, per series, as plain values; instants and processes apart."""
    source = open_source(path)
    merged = merge_windows(
        [replace(window, process="") for window in [*source.windows(), *source.runtime_windows()]],
        by=lambda window: window.key,
    )
    found = []
    for window in merged:
        plain = replace(window, start_ns=0, end_ns=0)
        if window.features is not None:
            read = {place: KllSketch.from_bytes(body) for place, body in window.features.sketches.items()}
            asked = {place: (each.n, each.quantiles([0.0, 0.25, 0.5, 1.0])) for place, each in read.items()}
            plain = replace(plain, features=replace(window.features, sketches=asked))
        found.append(contents(plain))
    return found


def lengths(path: Path) -> dict[int, int]:
    """Return how many parts there are by their length in minutes."""
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute(f"SELECT (end_ns - start_ns) / {MINUTE_NS}, count(*) FROM windows GROUP BY 1"))


def filled(path: Path, *, days: int = 3) -> StoreWriter:
    """Return the writer of a store with a part for each of some minutes of some days, written when they ended."""
    now = [0]
    writer = StoreWriter(path, clock_ns=lambda: now[0], tiers=Tiers(minutes_ns=DAY_NS, hours_ns=2 * DAY_NS))
    writer._compacted_ns = 2**62  # by hand here
    for day in range(days):
        for minute in (0, 1, 59, 60, 61, 1439):
            at = day * 1440 + minute
            now[0] = START_NS + (at + 1) * MINUTE_NS
            health = replace(
                make_window(RUNTIME_KEY, start_ns=START_NS + at * MINUTE_NS, durations_s=()),
                runtime=make_runtime(gc_pauses=make_durations([0.25]), cpu_s=0.5),
            )
            writer.write(
                [
                    traffic(at),
                    traffic(at, cohort="carrier=UA"),
                    traffic(at, process="p2"),
                    replace(health, end_ns=health.start_ns + MINUTE_NS),
                    late(at),
                    late(at, process="joiner"),
                ]
            )
    return writer


@pytest.mark.parametrize(
    ("age_days", "expected"),
    # Sketches of days whose counts are hours are parts of their own, one per series.
    [(0, {1: 12, 60: 4, 1440: 8 + 3}), (0.5, {1: 4, 60: 8, 1440: 8 + 3}), (30, {1440: 12})],
    ids=["minutes", "hours", "days"],
)
def test_parts_are_added_up_by_their_age_and_totals_stay(age_days, expected, tmp_path):
    """Counts, sums, sketches and health are what they were; old parts are hours, then days; labels lie with their predictions."""
    writer = filled(tmp_path / "a.db")
    before = total(tmp_path / "a.db")
    newest = START_NS + 3 * DAY_NS + 10 * MINUTE_NS
    assert writer.compact(newest + round(age_days * DAY_NS)) > 0
    assert total(tmp_path / "a.db") == before
    assert lengths(tmp_path / "a.db") == expected
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        assert connection.execute("SELECT count(*) FROM windows WHERE calls = 0 AND labels IS NOT NULL").fetchone() == (
            0,
        )
    assert writer.compact(newest + round(age_days * DAY_NS)) == 0


def sketched(path: Path) -> dict[int, int]:
    """Return how many parts with sketches there are by their length in minutes."""
    with closing(sqlite3.connect(path)) as connection:
        query = f"""SELECT (end_ns - start_ns) / {MINUTE_NS}, count(*) FROM windows
                    WHERE window_id IN (SELECT window_id FROM sketches) GROUP BY 1"""
        return dict(connection.execute(query))


@pytest.mark.parametrize(
    ("age_hours", "counts", "sketches"),
    [(1, {1: 120}, {1: 120}), (3.2, {1: 120, 60: 1}, {1: 60, 60: 1}), (9, {1: 120, 60: 2}, {60: 2}),
     (24.5, {1: 60, 60: 1, 1440: 1}, {1440: 1}), (30, {60: 2, 1440: 1}, {1440: 1}), (100, {1440: 1}, {1440: 1})],
)  # fmt: skip
def test_sketches_are_added_up_sooner_than_counts(age_hours, counts, sketches, tmp_path):
    """They become those of an hour at an eighth of the age at which counts do, and of a day at that age; no value is lost."""
    now = [0]
    writer = StoreWriter(tmp_path / "a.db", clock_ns=lambda: now[0], tiers=Tiers(DAY_NS, 2 * DAY_NS))
    writer._compacted_ns = 2**62
    for at in range(120):
        now[0] = START_NS + (at + 1) * MINUTE_NS
        writer.write([traffic(at)])
    before = total(tmp_path / "a.db")
    writer.compact(START_NS + round(age_hours * HOUR_NS))
    assert total(tmp_path / "a.db") == before
    assert (lengths(tmp_path / "a.db"), sketched(tmp_path / "a.db")) == (counts, sketches)
    assert writer.compact(START_NS + round(age_hours * HOUR_NS)) == 0


@pytest.mark.parametrize("age_days", [0, 0.5, 30])
def test_a_late_label_joins_the_part_that_holds_its_prediction(age_days, tmp_path):
    """Whatever tier that is, and whoever joined: no part more, and the totals are those of parts that lie apart."""
    writer = filled(tmp_path / "a.db")
    now_ns = START_NS + 3 * DAY_NS + 10 * MINUTE_NS + round(age_days * DAY_NS)
    writer.compact(now_ns)
    parts = lengths(tmp_path / "a.db")
    writer._clock_ns = lambda: now_ns
    writer.write([late(61, process="another"), late(1440 + 59, cohort="carrier=UA")])
    before = total(tmp_path / "a.db")
    assert writer.compact(now_ns + 10 * MINUTE_NS) == 2
    assert lengths(tmp_path / "a.db") == parts
    assert total(tmp_path / "a.db") == before


def test_parts_of_another_grid_stay_beside_each_other(tmp_path):
    """A redeployed reference is another geometry: its cells are not added to those before, and hold nothing up."""
    writer = StoreWriter(tmp_path / "a.db", clock_ns=lambda: START_NS)
    other = [replace(traffic(0), features=replace(traffic(0).features, grid=grid)) for grid in ("a", "b")]
    writer.write([*other, *other])
    before = total(tmp_path / "a.db")
    assert writer.compact(START_NS + HOUR_NS) == 2
    assert writer.compact(START_NS + 100 * DAY_NS) == 0
    assert total(tmp_path / "a.db") == before


KILLED = """
import os, signal, sys
from radiosonde.store import StoreWriter
from radiosonde.store import compact as rooms, writer as writing
from radiosonde.store.compact import Tiers
step, path, now_ns = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
writing.COMPACTED_SLOTS = 2
left = [step]
def watch(name, function):
    def called(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        found = function(*args, **kwargs)
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    return called
for name in ("drop_windows", "insert_parts", "_read", "encoded"):
    setattr(rooms, name, watch(name, getattr(rooms, name)))
writing.compact = watch("compact", writing.compact)
StoreWriter(path, tiers=Tiers(86_400 * 10**9, 2 * 86_400 * 10**9)).compact(now_ns)
"""


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 22, 40])
def test_killed_at_any_step_nothing_is_lost_or_doubled(step, tmp_path):
    """The totals are the same right after the death, and after the next process has come to the end of it."""
    writer = filled(tmp_path / "a.db", days=1)
    before, now_ns = total(tmp_path / "a.db"), START_NS + 40 * DAY_NS
    done = subprocess.run([sys.executable, "-c", KILLED, str(step), str(tmp_path / "a.db"), str(now_ns)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert total(tmp_path / "a.db") == before
    writer.compact(now_ns)
    assert total(tmp_path / "a.db") == before
    assert lengths(tmp_path / "a.db") == {1440: 4}


def test_nothing_is_added_up_while_a_sealer_is_at_work(tmp_path, monkeypatch):
    """A sealer that died leaves parts in both places; they keep their ids until the next one has come to its end."""
    writer = filled(tmp_path / "a.db", days=1)
    before = total(tmp_path / "a.db")

    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("radiosonde.store.seal.drop_windows", dies)
        with pytest.raises(KeyboardInterrupt):
            seal(tmp_path / "a.db", tmp_path / "sealed", everything=True)
    assert writer.compact(START_NS + 40 * DAY_NS) == 0
    assert total([tmp_path / "a.db", tmp_path / "sealed"]) == before
    seal(tmp_path / "a.db", tmp_path / "sealed", everything=True)
    assert total([tmp_path / "a.db", tmp_path / "sealed"]) == before


def test_a_writer_adds_up_as_it_writes(tmp_path):
    """Labels that arrive one by one do not create unbounded parts, automatically."""
    now = [START_NS]
    writer = StoreWriter(tmp_path / "a.db", clock_ns=lambda: now[0])
    writer.write([traffic(minute) for minute in range(5)])
    for label in range(300):
        now[0] += MINUTE_NS // 6
        writer.write([late(label % 5)])
    assert sum(lengths(tmp_path / "a.db").values()) < 60
    assert (
        sum(
            window.labels.outcomes["correct", "1h"]
            for window in open_source(tmp_path / "a.db").windows()
            if window.labels
        )
        == 300
    )


@pytest.mark.parametrize("seed", range(3))
def test_calls_errors_and_labels_by_hour_and_day_are_those_of_pandas(seed, tmp_path):
    """Of minutes drawn over four days, with labels that come later: each tier has what `resample` has."""
    draw = np.random.default_rng(seed)
    days, cohorts = 4, ("", "carrier=UA")
    minutes = np.sort(draw.choice(days * 1440, 150, replace=False))
    calls = pd.DataFrame({
        "minute": minutes, "calls": draw.integers(1, 9, 150), "cohort": draw.choice(cohorts, 150), "labels": draw.integers(0, 4, 150),
    })  # fmt: skip
    now = [START_NS]
    writer = StoreWriter(tmp_path / "a.db", clock_ns=lambda: now[0], tiers=Tiers(DAY_NS, 2 * DAY_NS))
    writer._compacted_ns = 2**62  # by hand here
    rows = list(calls.itertuples())
    for chunk in range(0, len(rows), 10):
        some = rows[chunk : chunk + 10]
        now[0] = START_NS + (int(some[-1].minute) + 1) * MINUTE_NS
        writer.write([traffic(int(row.minute), int(row.calls), cohort=row.cohort) for row in some])
        writer.write([
            late(int(row.minute), cohort=row.cohort, process=f"joiner {joiner}") for row in some for joiner in range(row.labels)
        ])  # fmt: skip
    writer.compact(START_NS + days * DAY_NS + 10 * MINUTE_NS)
    calls["time"] = pd.Timestamp(START_NS) + pd.to_timedelta(calls["minute"], unit="min")
    calls["errors"] = 1
    found = pd.DataFrame([
        {"time": pd.Timestamp(window.start_ns), "cohort": window.key.cohort, "calls": window.calls,
         "errors": window.errors.get("ValueError", 0),
         "labels": 0 if window.labels is None else window.labels.outcomes[("correct", "1h")]}
        for window in open_source(tmp_path / "a.db").windows()
    ])  # fmt: skip
    hours = START_NS + (days - 2) * DAY_NS
    for rule, chosen in (("D", slice(None)), ("h", slice(pd.Timestamp(hours), None))):
        expected, counted = (
            table.set_index("time").sort_index().loc[chosen].groupby("cohort")[["calls", "errors", "labels"]]
            .resample(rule).sum().query("calls > 0")
            for table in (calls, found)
        )  # fmt: skip
        pd.testing.assert_frame_equal(counted, expected, check_dtype=False)
    assert set(lengths(tmp_path / "a.db")) == {1, 60, 1440}
