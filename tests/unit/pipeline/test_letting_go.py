"""Rings without a writer are released, with their descriptors, mappings and files; their counts stay."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import gc
from pathlib import Path

import numpy as np
import pytest

from radiosonde.store.reader import Interval, StoreReader
from radiosonde.testing import fly

ROW = np.zeros((1, 3))


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture(autouse=True)
def older_objects_are_left_out():
    """Let collections meanwhile visit only what the test itself has made: a whole run's objects take half a second each time."""
    gc.freeze()
    yield
    gc.unfreeze()


def made_anew(rs, version):
    """Return a newly decorated function."""
    return rs.observe("m")(lambda features: "yes")


def with_a_version(rs, version):
    """Return a function of another version of the model."""
    return rs.observe("m", version=str(version))(lambda features: "yes")


def a_method(rs, version):
    """Return a method of a new object."""

    class Model:
        @rs.observe("m")
        def predict(self, features):
            return "yes"

    return Model().predict


def with_a_stage(rs, version):
    """Return a function that names a phase and is in a cohort."""

    @rs.observe("m")
    def predict(features):
        with rs.stage("look"):
            return "yes"

    return predict


@pytest.mark.parametrize("make", [made_anew, with_a_version, a_method, with_a_stage])
@pytest.mark.parametrize("spooled", [False, True])
def test_a_model_that_is_made_anew_leaves_nothing_behind(make, spooled, tmp_path: Path):
    """After forty models one after the other, one ring is there and no descriptor more than after four, and every call counts."""
    with fly(spool=str(tmp_path / "spool") if spooled else None) as rs:
        seen = []
        for version in range(40):
            make(rs, version)(ROW)
            gc.collect()
            rs.losses()
            if version in (3, 39):
                seen.append((descriptors(), len(rs.pipeline()._ring_consumers)))
        assert seen[0] == seen[1]
        assert seen[1][1] <= 2
        windows = rs.windows()
        assert sum(window.calls for window in windows) == 40
        assert (rs.statistics().records, rs.statistics().rows, rs.losses()) == (40, 40, {})
        if spooled:
            assert len(list((tmp_path / "spool").glob("*.ring"))) <= 2


async def a_coroutine(features):
    """Answer later."""
    return "yes"


async def an_async_generator(features):
    """Answer in two parts, later."""
    yield "y"
    yield "yes"


def a_generator(features):
    """Answer in two parts."""
    yield "y"
    yield "yes"


class Loaded:
    """A model that is reloaded."""

    def predict(self, features):
        """Answer."""
        return "yes"


async def listed(answers):
    """Return all items."""
    return [each async for each in answers]


def failed(predict):
    """Call what raises."""
    with pytest.raises(AttributeError):
        predict(ROW)


CALLED = {
    "a function": (lambda: lambda features: "yes", lambda predict: predict(ROW)),
    "a bound method": (lambda: Loaded().predict, lambda predict: predict(ROW)),
    "a partial": (lambda: functools.partial(Loaded.predict, Loaded()), lambda predict: predict(ROW)),
    "a coroutine": (lambda: a_coroutine, lambda predict: asyncio.run(predict(ROW))),
    "a generator": (lambda: a_generator, lambda predict: list(predict(ROW))),
    "an async generator": (lambda: an_async_generator, lambda predict: asyncio.run(listed(predict(ROW)))),
    "a batch": (lambda: lambda rows: ["yes"] * len(rows), lambda predict: predict(np.zeros((50, 3)))),
    "an error": (lambda: lambda rows: rows.missing, failed),
}


@pytest.fixture
def seldom_collected():
    """Let no cycle of garbage be collected meanwhile."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("make", CALLED)
@pytest.mark.parametrize("spooled", [False, True])
def test_a_model_that_is_loaded_anew_waits_for_no_collection(make, spooled, tmp_path: Path, seldom_collected):
    """Its ring, descriptors and mappings go at the next turn after it is replaced; each call counts once."""
    made, call = CALLED[make]
    with fly(spool=str(tmp_path / "spool") if spooled else None) as rs:
        seen = []
        for reload in range(30):
            predict = rs.observe("m", input="features" if make == "a partial" else None)(made())
            call(predict)
            rs.pipeline().take_turn()
            if reload in (4, 29):
                seen.append((descriptors(), mappings(), len(rs.pipeline()._ring_consumers)))
        assert seen[0][0] == seen[1][0]
        assert seen[1][1] - seen[0][1] <= 3
        assert seen[0][2] == seen[1][2] <= 2
        assert sum(window.calls for window in rs.windows()) == 30


def mappings() -> int:
    """Return how many mappings of memory of at least a ring's size this process has."""
    found = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, _, last = line.split()[0].partition("-")
        found += int(last, 16) - int(first, 16) >= 2 << 20
    return found


@pytest.mark.parametrize("ends", ["a flush", "a shutdown"])
def test_what_was_counted_before_its_ring_went_is_delivered(ends, tmp_path: Path, seldom_collected):
    """The only model is gone and its ring too: its predictions are in open windows, and reach the store."""
    store = tmp_path / "store.sqlite"
    with fly(store=str(store)) as rs:
        rs.observe("m")(lambda features: "yes")(ROW)
        for _ in range(3):
            rs.pipeline().take_turn()
        assert len(rs.pipeline()._ring_consumers) == 0
        if ends == "a flush":
            assert rs.flush(60)
            assert stored(store) == 1
    assert stored(store) == 1


def stored(store: Path) -> int:
    """Return the calls in a store."""
    return sum(window.calls for _, window in StoreReader(store, sketches=False).parts(Interval()))


def test_a_prediction_in_flight_outlives_its_function(seldom_collected):
    """A prediction begun by a deleted function ends in its ring, and counts."""
    with fly() as rs:
        future = rs.observe("m")(lambda features: concurrent.futures.Future())(ROW)
        for _ in range(3):
            rs.pipeline().take_turn()
        assert len(rs.pipeline()._ring_consumers) == 1
        future.set_result("yes")
        for _ in range(3):
            rs.pipeline().take_turn()
        assert len(rs.pipeline()._ring_consumers) == 0
        (window,) = rs.windows()
        assert (window.calls, window.output.class_counts.tolist()) == (1, [1])
        assert rs.losses() == {}


def test_a_schema_that_is_learned_anew_lets_its_ring_go():
    """The ring of a reading that the first answer showed to be wrong goes, and its records are counted."""
    with fly() as rs:
        predict = rs.observe("m")(lambda features: ["a", "b", "a"])
        for _ in range(3):
            predict([1.0, 2.0, 3.0])
        for _ in range(2):  # its writer is held until it has been drained once
            rs.losses()
            gc.collect()
        rs.losses()
        assert len(rs.pipeline()._ring_consumers) == 1
        assert (rs.statistics().records, rs.statistics().rows) == (3, 9)


def test_a_function_that_is_kept_keeps_its_ring():
    """The ring of a model that pauses is not released: its next call is counted."""
    with fly() as rs:
        predict = rs.observe("m")(lambda features: "yes")
        for _ in range(3):
            predict(ROW)
            gc.collect()
            rs.losses()
        assert len(rs.pipeline()._ring_consumers) == 1
        assert rs.windows()[0].calls == 3


def test_features_of_functions_that_are_gone_wait_for_their_reference():
    """A function decorated in every request does not make a reference of one row: the rows wait together."""
    with fly() as rs:
        for value in range(30):
            rs.observe("m")(lambda features: "yes")({"x": float(value)})
            gc.collect()
            rs.losses()
        snapshot = rs.pipeline().snapshot()
        (window,) = snapshot.windows
        assert window.features.cells.sum() == window.calls == 30
        assert snapshot.references["m", ""].rows == 30


@pytest.mark.parametrize("ending", ["flush", "shutdown"])
def test_windows_of_functions_that_are_gone_are_stored(ending, tmp_path: Path):
    """A window that is open when the last ring is released is written by a flush and by the end, like any other."""
    store = tmp_path / "store.sqlite"
    with fly(store=store, window_s=3600.0, runtime=False) as rs:
        rs.observe("delays")(lambda _: "yes")([1.0])
        rs.pipeline().take_turn()
        assert not rs.pipeline()._ring_consumers
        assert getattr(rs, ending)()
        assert sum(window.calls for _, window in StoreReader(store).parts(Interval())) == 1
