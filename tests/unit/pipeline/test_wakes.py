"""Writers wake the consumer as their rings fill: no polling is needed, and nothing is overwritten."""

from __future__ import annotations

import time

import numpy as np
import pytest

from radiosonde._pipeline import pipeline as module
from radiosonde._pipeline.cadence import Cadence
from radiosonde._pipeline.pipeline import Pipeline
from radiosonde._ring.layout import WAKES
from radiosonde.model import losses
from radiosonde.testing import fly

RING_BYTES = 1 << 17
ROW = np.zeros((1, 4))
PATIENCE_S = 60.0


@pytest.fixture
def unwatched(monkeypatch):
    """Return a Radiosonde whose consumer acts on wakes only: it looks by itself once in ten minutes."""
    monkeypatch.setattr(module, "LOOK_EVERY_S", 600.0)
    monkeypatch.setattr(Cadence, "is_due", lambda *_, **__: False)
    with fly(ring_bytes=RING_BYTES, cpu_budget=float("inf")) as flight:
        yield flight


@pytest.fixture
def woken(unwatched, monkeypatch):
    """Return one whose wakes do the consumer's step then and there, so that no test depends on how fast a thread is."""
    monkeypatch.setattr(Pipeline, "wake", Pipeline._step)
    return unwatched


def predict(rows):
    """Answer."""
    return np.zeros(len(rows))


def capacity_of(flight):
    """Return the slots of the only ring."""
    return flight.pipeline()._ring_consumers[0].ring.capacity


def test_single_rows_are_drained_before_their_ring_is_full(woken):
    """Ten times around the ring, beginning anywhere in it."""
    observed = woken.observe("delays")(predict)
    observed(ROW)
    for offset in (0, 1, capacity_of(woken) // WAKES - 1):
        for _ in range(10 * capacity_of(woken) + offset):
            observed(ROW)
        woken.flush()
    assert woken.losses().get(losses.RING_OVERWRITTEN, 0) == 0
    assert woken.statistics().records == 1 + 30 * capacity_of(woken) + capacity_of(woken) // WAKES


def test_calls_that_are_over_are_drained_before_their_ring_is_full(woken):
    """What `record` writes wakes as what `observe` writes."""
    woken.record("job", 0.1)
    for _ in range(10 * capacity_of(woken)):
        woken.record("job", 0.1)
    assert woken.losses().get(losses.RING_OVERWRITTEN, 0) == 0


@pytest.mark.parametrize("blocks", [3, 9, 50, 500])
def test_batches_are_drained_before_the_arena_is_full(woken, blocks):
    """Whether a batch takes a third of the arena or a five-hundredth, five times around it."""
    observed = woken.observe("delays")(predict)
    rows = np.zeros((RING_BYTES // 8 // blocks // 8, 4))
    for _ in range(10 * blocks):
        observed(rows)
    woken.flush()
    assert woken.losses().get(losses.BATCH_OVERWRITTEN, 0) == 0
    assert woken.statistics().rows == 10 * blocks * len(rows)


def test_batches_a_function_records_itself_wake_too(woken):
    """Features given by `current().features` go through the same arena."""

    @woken.observe("delays", input=False, features=["a", "b", "c", "d"])
    def fetch(rows):
        woken.current().features(rows)
        return np.zeros(len(rows))

    for _ in range(200):
        fetch(np.zeros((RING_BYTES // 8 // 50 // 8, 4)))
    assert woken.losses().get(losses.BATCH_OVERWRITTEN, 0) == 0


def test_the_thread_acts_on_a_wake(unwatched):
    """Half a ring is drained soon, without polling or a flush."""
    observed = unwatched.observe("delays")(predict)
    observed(ROW)
    for _ in range(capacity_of(unwatched) // WAKES):
        observed(ROW)
    ends_s = time.monotonic() + PATIENCE_S
    while unwatched.statistics().records == 0:
        assert time.monotonic() < ends_s, "nobody drained"
        time.sleep(0.01)


def test_a_ring_that_an_agent_drains_wakes_nobody(monkeypatch, tmp_path):
    """The consumer of such a process has nothing to drain."""
    with fly(ring_bytes=RING_BYTES, spool=tmp_path, agent=True) as flight:
        observed = flight.observe("delays")(predict)
        observed(ROW)
        monkeypatch.setattr(flight.pipeline()._consumer, "wake", lambda: pytest.fail("woken"))
        for _ in range(capacity_of(flight)):
            observed(ROW)
        monkeypatch.undo()
