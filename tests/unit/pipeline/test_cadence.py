"""A turn is taken each second where it is worth it, and seldom where it is not."""

from __future__ import annotations

import time

import numpy as np
import pytest

from radiosonde._clock import NS
from radiosonde._pipeline import cadence
from radiosonde._pipeline.cadence import MANY, Cadence
from radiosonde._pipeline.own_rings import OwnRings
from radiosonde.testing import fly
from tests.e2e._receivers import wait_for

ROW = np.zeros((1, 4))


@pytest.mark.parametrize(
    ("window_s", "waited_s", "waiting", "is_due"),
    [
        (60.0, 0.9, 10 * MANY, False),
        (60.0, 1.0, MANY, True),
        (60.0, 1.0, MANY - 1, False),
        (60.0, 4.9, MANY - 1, False),
        (60.0, 5.0, 0, True),
        (3600.0, 5.0, 0, True),
        (24.0, 1.9, 0, False),
        (24.0, 2.0, 0, True),
        (1.0, 0.9, 0, False),
        (1.0, 1.0, 0, True),
    ],
)
def test_few_wait_longer_than_many_and_no_longer_than_a_share_of_a_window(window_s, waited_s, waiting, is_due):
    """Many wait a second, few five, or a twelfth of a shorter window; nothing less than a second."""
    assert Cadence(window_s).is_due(round(waited_s * NS), waiting) is is_due


def test_what_somebody_waits_for_is_due_in_a_second():
    """However little it is."""
    assert Cadence(60.0).is_due(NS, 0, is_awaited=True)
    assert not Cadence(60.0).is_due(NS - 1, 0, is_awaited=True)


@pytest.fixture
def turns(monkeypatch):
    """Return the times of the consumer's turns, as they are taken."""
    taken, take_turn = [], OwnRings.take_turn

    def counted(self, **kwargs):
        taken.append(time.monotonic())
        return take_turn(self, **kwargs)

    monkeypatch.setattr(OwnRings, "take_turn", counted)
    return taken


def test_few_records_are_counted_though_nobody_asks(turns, monkeypatch):
    """After the longest wait there is."""
    monkeypatch.setattr(cadence, "SELDOM_S", 2.0)
    with fly(window_s=60.0) as rs:
        began_s = time.monotonic()
        rs.observe("delays")(lambda _: "yes")(ROW)
        wait_for(lambda: rs.statistics().records == 1, "a record")
        assert len(turns) == 1
        assert turns[0] - began_s >= 1.9


@pytest.mark.parametrize("what", ["records", "rows of a batch", "functions"])
def test_many_are_counted_sooner(what, turns, monkeypatch):
    """Whether they are records, rows of one batch or functions left to the consumer; it never comes to the longest wait."""
    monkeypatch.setattr(cadence, "SELDOM_S", 10_000.0)
    with fly(window_s=1e6) as rs:
        observed = rs.observe("delays", features=list("abcd"))(lambda rows: np.zeros(len(rows)))
        observed(ROW)
        if what == "records":
            for _ in range(2 * MANY):
                observed(ROW)
        elif what == "functions":
            for _ in range(MANY):
                rs.defer(lambda: None)
        else:
            observed(np.zeros((MANY, 4)))
        wait_for(lambda: rs.statistics().records > 0, "records")
        assert len(turns) == 1


def test_a_label_that_is_joined_in_memory_is_not_kept_waiting(turns, monkeypatch):
    """Its sender may look at the outcome."""
    monkeypatch.setattr(cadence, "SELDOM_S", 10_000.0)
    with fly(window_s=1e6) as rs:
        rs.observe("delays", classes=["no", "yes"])(lambda _: "yes")(ROW)
        rs.label(rs.current().id, "no")
        wait_for(lambda: rs.statistics().labels["joined"] == 1, "the label")
        assert turns
