"""A replay of old rows: nothing is thinned, nothing is dropped while the store works, and an outage is said."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radiosonde._guard import Guard
from radiosonde.export import waiting
from radiosonde.export.waiting import newest_within, waiting_windows
from radiosonde.model.size import held_bytes
from radiosonde.sources import open_source
from radiosonde.testing import Flight, fly
from tests.factories import make_features, make_reference, make_window

HOUR_S = 3600
START_S = 1_362_096_000
COLUMNS = {f"f{number}": np.arange(50.0) for number in range(3)}


def frames(rows: int) -> dict[str, np.ndarray]:
    """Return a batch of *rows*."""
    return {name: np.resize(column, rows) for name, column in COLUMNS.items()}


def stored(path) -> dict[str, int]:
    """Return the sums of a store over all windows."""
    windows = open_source(path, sketches=False).windows()
    return {
        "calls": sum(window.calls for window in windows),
        "rows": sum(window.rows for window in windows),
        "counted": sum(window.features.counted_rows for window in windows if window.features),
        "cells": sum(int(window.features.cells[0].sum()) for window in windows if window.features),
    }


@pytest.mark.parametrize(("models", "hours"), [(1, 60), (6, 10), (3, 20)])
@pytest.mark.parametrize("flushes", [False, True], ids=["at the end", "now and then"])
def test_a_backfill_larger_than_the_bound_is_stored_whole(models, hours, flushes, tmp_path, monkeypatch):
    """Many more windows close than may wait in an outage: the writer has its turn, none is lost, and flush says so."""
    monkeypatch.setattr(waiting, "WAITING_BYTES", 100_000)
    with fly(store=tmp_path / "a.db", window_s=HOUR_S, runtime=False) as rs:
        observed = [rs.observe(f"model {number}", output=lambda _: "yes")(len) for number in range(models)]
        for hour in range(hours):
            with rs.at(START_S + HOUR_S * hour):
                for predict in observed:
                    predict({name: float(hour) for name in COLUMNS})
            if flushes and hour % 7 == 0:
                assert rs.flush(60)
        assert rs.flush(60)
        assert rs.losses() == {}
    assert stored(tmp_path / "a.db")["calls"] == models * hours


@pytest.mark.parametrize("rows", [1, 7, 400])
def test_every_row_of_a_replay_is_looked_at(rows, tmp_path):
    """A budget of a ten-thousandth of a core thins live rows and leaves those of a replay alone; no ring runs over."""
    calls = 60_000 // (rows + 5)
    with fly(store=tmp_path / "a.db", window_s=HOUR_S, cpu_budget=0.0001, runtime=False) as rs:
        reference = radiosonde_reference()
        predict = rs.observe(
            "delays",
            reference=reference,
        )(lambda batch: ["yes"] * rows if rows > 1 else "yes")
        batch = np.column_stack(list(frames(rows).values())) if rows > 1 else dict.fromkeys(COLUMNS, 3.0)
        for call in range(calls):
            with rs.at(START_S + 60 * call):
                predict(batch)
        assert rs.flush(60)
        assert rs.losses() == {}
    made = calls * rows
    assert stored(tmp_path / "a.db") == {"calls": calls, "rows": made, "counted": made, "cells": made}


def radiosonde_reference():
    """Return a profile of the three columns, so that rows are thinned where they may be."""
    import radiosonde

    return radiosonde.Reference.fit({name: column.tolist() for name, column in COLUMNS.items()}, model="delays")


def test_an_outage_is_in_the_losses_the_log_and_the_answer_of_flush(tmp_path, monkeypatch, caplog):
    """Windows dropped beyond the bound make flush say False, once per outage, and the log says how many and why."""
    monkeypatch.setattr(waiting, "WAITING_BYTES", 20_000)
    with caplog.at_level(logging.WARNING, "radiosonde"):
        flight = Flight(
            Guard(reraise=True),
            environment={"RADIOSONDE_STORE": str(tmp_path / "never" / "a.db"), "RADIOSONDE_RUNTIME": "off"},
        )
        try:
            predict = flight.observe("delays", input=False)(lambda _: "yes")
            for minute in range(10):
                with flight.at(START_S + 60 * minute):
                    predict(None)
                assert not flight.flush()
            lost = flight.losses()["store_failed"]
            assert 0 < lost < 10
            (tmp_path / "never").mkdir()
            assert flight.flush()
        finally:
            flight.shutdown()
    assert stored(tmp_path / "never" / "a.db")["calls"] == 10 - lost
    assert "waiting items were dropped" in caplog.text


@given(st.lists(st.tuples(st.sampled_from(["put", "fail", "deliver", "some", "hang"]), st.integers(0, 9)), max_size=30))
@settings(deadline=None)
def test_what_was_put_is_delivered_waits_or_is_lost(steps):
    """In any order of events the three add up, and after a failure no more than the bound waits."""
    guard = Guard(reraise=True)
    window = make_window()
    put = delivered = 0
    bound = waiting.WAITING_BYTES
    waiting.WAITING_BYTES = 5 * held_bytes(window)
    queue = waiting_windows(guard, "store_failed", patient=True)
    try:
        for step, number in steps:
            if step == "put":
                queue.put([window] * number)
                put += number
            elif step == "hang":
                queue.give_up()
            else:
                taken = len(queue.take(number * held_bytes(window)))
                done = {"fail": 0, "deliver": taken, "some": taken // 2}[step]
                queue.settle(done)
                delivered += done
                assert done == taken or len(queue) <= 5
            assert put == delivered + len(queue) + guard.losses().get("store_failed", 0)
    finally:
        waiting.WAITING_BYTES = bound


@pytest.mark.parametrize("size", [10, 10_000, 1_000_000])
def test_a_window_is_as_large_as_what_it_holds(size):
    """Sketches, arrays and names count by their bytes."""
    reference = make_reference()
    small = make_window(features=make_features(reference, {}))
    sketched = make_window(features=make_features(reference, {}, {("wind", "kll_double"): b"." * size}))
    assert size <= held_bytes(sketched) - held_bytes(small) <= size + 400
    named = make_window(errors={"E" * size: 1})
    assert size <= held_bytes(named) - held_bytes(make_window()) <= size + 400
    arrays = 240 * 8 * 2 + 8 * 8 + 21 * 8
    assert arrays <= held_bytes(make_window()) <= arrays + 4000


def test_the_newest_windows_that_fit_are_kept():
    """The oldest are released first; one that does not fit ends it."""
    windows = [make_window(process=str(number)) for number in range(5)]
    size = held_bytes(windows[0])
    assert newest_within(windows, 3 * size + 1) == windows[2:]
    assert newest_within(windows, 0) == []
    assert newest_within(windows, 99 * size) == windows
