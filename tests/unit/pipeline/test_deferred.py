"""Deferred functions are called soon, in their own context, and never lost."""

from __future__ import annotations

from radiosonde._guard import Guard
from radiosonde._pipeline import deferred
from radiosonde._pipeline.deferred import Deferred
from radiosonde._record.ambient import AMBIENT, CohortScope, EventTimeScope
from radiosonde.testing import fly


def test_functions_run_in_order_and_under_what_they_were_left_under():
    """Each in its cohort and at its event time, what one enters and does not leave ends with it, and what one raises stops no other."""
    seen, guard = [], Guard()
    waiting = Deferred(guard, lambda: seen.append("started"))
    for who in ("first", "second"):
        with CohortScope({"who": who}), EventTimeScope(7):
            waiting.put(lambda: seen.append(AMBIENT.get()[:3]))
            waiting.put(CohortScope({"who": "entered"}).__enter__)
            waiting.put(lambda: 1 / 0)
    waiting.put(lambda: seen.append(AMBIENT.get()))
    assert seen == ["started"]
    waiting.run()
    waiting.run()
    assert seen == ["started", *(({"who": who}, f"who={who}", 7) for who in ("first", "second")), None]
    assert guard.errors() == {"deferred": 2}
    assert AMBIENT.get() is None


def test_when_too_many_wait_the_caller_does_it(monkeypatch):
    """Nothing is dropped for want of a consumer."""
    monkeypatch.setattr(deferred, "MOST", 1)
    waiting, seen = Deferred(Guard(), lambda: None), []
    waiting.put(lambda: seen.append("waited"))
    waiting.put(lambda: seen.append("at once"))
    assert seen == ["at once"]
    waiting.run()
    assert seen == ["at once", "waited"]


def test_what_is_deferred_counts_at_the_next_look_and_at_the_end():
    """A flush, a snapshot and a shutdown run pending functions first; the cohort is that of the statement."""
    with fly(cohorts={"plan": ["pro"]}) as rs:
        with rs.cohort(plan="pro"):
            rs.defer(lambda: rs.record("job", 0.1))
        (window,) = rs.windows()
        assert (window.key.cohort, window.calls) == ("plan=pro", 1)
        rs.defer(lambda: rs.record("job", 0.1))
        rs.shutdown()
        assert rs.statistics().records == 2
        assert rs.losses() == {}


def test_a_version_that_is_worked_out_late_is_known_when_a_request_is_described():
    """Else the first requests of a process would be a series of their own, without a version."""
    with fly() as rs:
        writer = rs.recorder("delays", version=lambda: "7").writer
        with rs.collect() as made:
            writer.finish(writer.begin(([1.0],), {}), 0.5)
            rs.defer(lambda: rs.record("POST /predict", 0.1, version=made.summary()[0]))
        assert {(window.key.model, window.key.version) for window in rs.windows()} == {
            ("delays", "7"),
            ("POST /predict", "7"),
        }


def test_it_says_how_many_wait():
    """What the consumer's cadence goes by."""
    waiting = Deferred(Guard(), lambda: None)
    for _ in range(3):
        waiting.put(lambda: None)
    assert len(waiting) == 3
    waiting.run()
    assert len(waiting) == 0
