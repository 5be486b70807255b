"""Predictions made inside a scope can be asked for afterwards, wherever the scope's context was carried."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from radiosonde.testing import fly


@pytest.fixture
def rs():
    """Return a Radiosonde of the test's own."""
    with fly(cohorts={"plan": ["pro"]}) as flight:
        yield flight


def test_predictions_inside_are_collected_in_order(rs):
    """Ids, models and versions of the predictions inside, none from before or after."""
    first = rs.observe("first", version="1")(lambda x: x)
    second = rs.observe("second", version="2", variant="canary")(lambda x: x)
    first([0.0])
    with rs.collect() as made:
        first([1.0])
        one = rs.current().id
        second([2.0])
        two = rs.current().id
    second([3.0])
    assert [each.id for each in made] == [one, two]
    assert [(each.model, each.version, each.variant) for each in made] == [
        ("first", "1", "stable"),
        ("second", "2", "canary"),
    ]
    assert [each.id for each in made[1:]] == [two]


def test_ids_and_the_time_they_took_come_in_one_answer(rs):
    """The ids are those of each; the extent is from the first start to the last end, without predictions in progress."""
    predict = rs.observe("delays", version="7", variant="canary")(lambda x: x)
    extents = []
    outer = rs.observe("outer")(lambda x: extents.append(made.summary()))
    with rs.collect() as made:
        assert (made.ids(5), made.summary()) == ([], ("", "", 0, 0, 0))
        predict([1.0])
        predict([2.0])
        outer([3.0])
    assert made.ids(5) == [each.id for each in made]
    assert made.ids(2) == [each.id for each in made[:2]]
    first, second, _ = made
    took_ns = [round(each.duration_s * 1e9) for each in (first, second)]
    assert extents == [("7", "canary", first.start_ns, second.start_ns + took_ns[1], sum(took_ns))]


def test_a_copied_context_in_a_thread_is_collected(rs):
    """A framework's thread pool runs a sync endpoint in a copy of the request's context."""
    predict = rs.observe("delays")(lambda x: x)
    with rs.collect() as made:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(predict, [1.0]))
        thread.start()
        thread.join()
    assert len(made) == 1


async def test_tasks_at_the_same_time_keep_their_own(rs):
    """Two requests on one event loop collect only their own predictions."""
    predict = rs.observe("delays")(lambda x: x)

    async def serve(times: int) -> int:
        with rs.collect() as made:
            for _ in range(times):
                await asyncio.sleep(0)
                predict([1.0])
            return len(made)

    assert await asyncio.gather(serve(2), serve(5)) == [2, 5]


def test_cohorts_and_collecting_nest_in_both_orders(rs):
    """Neither scope takes away what the other said."""
    predict = rs.observe("delays")(lambda x: x)
    with rs.collect() as made, rs.cohort(plan="pro"):
        predict([1.0])
    with rs.cohort(plan="pro"), rs.collect() as more, rs.at(1_362_096_000):
        predict([1.0])
    assert (len(made), len(more)) == (1, 1)
    assert {window.key.cohort: window.calls for window in rs.windows()} == {"plan=pro": 2}


def test_a_switched_off_radiosonde_collects_nothing():
    """The scope works the same and is empty."""
    with fly(disabled=True) as rs, rs.collect() as made:
        rs.observe("delays")(lambda x: x)([1.0])
    assert list(made) == []


def test_before_it_is_entered_there_are_none():
    """Nor is what was collected in another."""
    with fly() as rs:
        observed = rs.observe("delays")(lambda _: "yes")
        made = rs.collect()
        observed([1.0])
        assert (len(made), list(made), made.ids(10)) == (0, [], [])
        with made:
            observed([1.0])
        with rs.collect() as other:
            pass
        assert (len(made), len(other)) == (1, 0)
