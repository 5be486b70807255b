"""Predictions inside predictions, and predictions that a scope hands to other threads."""

from __future__ import annotations

import asyncio
import contextvars
import multiprocessing.pool
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import joblib
import pytest

from radiosonde import current
from radiosonde.testing import fly


def calls(rs):
    """Return calls by model and variant."""
    return {(window.key.model, window.key.variant): window.calls for window in rs.windows()}


def of_methods(rs):
    """A method that calls its base's, which calls a sibling."""

    class Base:
        @rs.observe("m")
        def predict(self, row):
            return self.sibling(row)

        @rs.observe("m")
        def sibling(self, row):
            return "a"

    class Derived(Base):
        @rs.observe("m")
        def predict(self, row):
            return super().predict(row)

    return Derived().predict


def of_recursion(rs):
    """A function that calls itself."""

    @rs.observe("m")
    def predict(row):
        return "a" if row[0] <= 0 else predict([row[0] - 1])

    return predict


def of_two_models(rs):
    """``m`` through another model and back: the inner ``m`` is still inside of the outer one."""

    @rs.observe("m")
    def predict(row):
        return through(row) if row[0] > 0 else "a"

    @rs.observe("other")
    def through(row):
        return predict([0.0])

    return predict


def of_coroutines(rs):
    """A coroutine that gathers two of its own."""

    @rs.observe("m")
    async def predict(row):
        if row[0] <= 0:
            return "a"
        return (await asyncio.gather(*(predict([row[0] - 1]) for _ in range(2))))[0]

    return lambda row: asyncio.run(predict(row))


def of_generators(rs):
    """A generator that yields from itself."""

    @rs.observe("m")
    def predict(row):
        if row[0] > 0:
            yield from predict([row[0] - 1])
        yield "a"

    return lambda row: list(predict(row))[-1]


NESTED = {
    "super and a sibling": (of_methods, {("m", "stable"): 1}),
    "recursion": (of_recursion, {("m", "stable"): 1}),
    "through another model": (of_two_models, {("m", "stable"): 1, ("other", "stable"): 1}),
    "coroutines gathered": (of_coroutines, {("m", "stable"): 1}),
    "generators": (of_generators, {("m", "stable"): 1}),
}


@pytest.mark.parametrize(("make", "expected"), NESTED.values(), ids=NESTED.keys())
def test_calls_of_one_model_inside_each_other_count_once(make, expected):
    """The outermost call counts, with its result; nested calls under another name count too."""
    with fly() as rs:
        predict = make(rs)
        assert predict([3.0]) == "a"
        assert calls(rs) == expected
        assert predict([3.0]) == "a"
        assert calls(rs) == {key: 2 * count for key, count in expected.items()}
        assert all(window.output.class_counts.sum() == window.calls for window in rs.windows())
        assert rs.losses() == {}


def test_an_error_inside_that_is_caught_is_none_of_the_outer_call():
    """The inner call of the same model raised and was looked after; the prediction succeeded."""
    with fly() as rs:

        @rs.observe("m")
        def predict(row):
            if row[0] < 0:
                raise LookupError
            try:
                predict([-1.0])
            except LookupError:
                return "a"

        predict([1.0])
        (window,) = rs.windows()
        assert (window.calls, dict(window.errors)) == (1, {})


def test_stages_and_ids_inside_are_those_of_the_outermost_call():
    """A stage in an inner call is a phase of the prediction that counts, and it is the current one everywhere."""
    with fly() as rs:
        seen = []

        @rs.observe("m")
        def predict(row):
            seen.append(current().id)
            with rs.stage(f"depth {row[0]:g}"):
                return "a" if row[0] <= 0 else predict([row[0] - 1])

        predict([1.0])
        (window,) = rs.windows()
        assert set(window.latency.phases) == {"depth 0", "depth 1"}
        assert len(set(seen)) == 1
        assert current().id == seen[0]


def test_another_variant_inside_counts():
    """A stable model that asks its shadow beside itself makes two predictions."""
    with fly() as rs:
        shadow = rs.observe("m", variant="shadow")(lambda row: "b")

        @rs.observe("m")
        def predict(row):
            shadow(row)
            return "a"

        predict([1.0])
        assert calls(rs) == {("m", "stable"): 1, ("m", "shadow"): 1}


def test_a_call_from_a_context_whose_prediction_has_ended_counts():
    """Work that a prediction started and that goes on after it is inside of nothing."""
    with fly() as rs:
        kept = []

        @rs.observe("m")
        def predict(row):
            kept.append(contextvars.copy_context())
            return "a"

        predict([1.0])
        kept[0].run(predict, [1.0])
        assert calls(rs) == {("m", "stable"): 2}


# Threads -------------------------------------------------------------------------------------------------------------


def through_submit(predict, rows):
    """Submit each row."""
    with ThreadPoolExecutor(2) as pool:
        return [each.result() for each in [pool.submit(predict, row) for row in rows]]


def through_map(predict, rows):
    """Map the rows."""
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(predict, rows))


def through_a_loop(predict, rows):
    """Have an event loop run them in the pool."""

    async def main():
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(2) as pool:
            return await asyncio.gather(*(loop.run_in_executor(pool, predict, row) for row in rows))

    return asyncio.run(main())


def through_a_subclass(predict, rows):
    """Use a pool of another library."""

    class Counted(ThreadPoolExecutor):
        def submit(self, function, /, *args, **kwargs):
            return super().submit(function, *args, **kwargs)

    with Counted(2) as pool:
        return list(pool.map(predict, rows))


def through_an_older_pool(predict, rows):
    """Use the pool of multiprocessing that has threads, by each of its methods, with a callback by place and by name."""
    with multiprocessing.pool.ThreadPool(2) as pool:
        found = [pool.apply(predict, (rows[0],))]
        pool.apply_async(predict, (rows[1],), {}, found.append).wait()
        found += pool.map(predict, rows[2:3])
        found += pool.imap_unordered(predict, rows[3:4])
        pool.starmap_async(predict, [(rows[4],)] if rows[4:] else [], 1, found.extend).wait()
        pool.close()
        pool.join()
    return found


def through_joblib(predict, rows):
    """Use joblib's threads, which submit all but the first rows from a callback."""
    return joblib.Parallel(2, "threading", batch_size=1, pre_dispatch=2)(joblib.delayed(predict)(row) for row in rows)


def through_to_thread(predict, rows):
    """Have asyncio run them in its own pool."""

    async def main():
        return [await asyncio.to_thread(predict, row) for row in rows]

    return asyncio.run(main())


@pytest.mark.parametrize(
    "through",
    [
        through_submit,
        through_map,
        through_a_loop,
        through_a_subclass,
        through_an_older_pool,
        through_joblib,
        through_to_thread,
    ],
)
def test_what_a_cohort_hands_to_a_thread_pool_counts_under_it(through):
    """All five of five, in threads that were there before and in new ones; outside of the scope nothing is left."""
    rows = [[float(place)] for place in range(5)]
    with fly(cohorts={"plan": ["pro"]}) as rs:
        predict = rs.observe("m")(lambda row: "a")
        with rs.cohort(plan="pro"):
            assert through(predict, rows) == ["a"] * 5
        through(predict, rows)
        assert {window.key.cohort: window.calls for window in rs.windows()} == {"plan=pro": 5, "": 5}


def test_an_older_pool_passes_on_what_is_raised_and_keeps_pools_of_processes_as_they_are():
    """The error goes to its callback; the methods of the class that both kinds of pool share are those of the library."""
    with fly(cohorts={"plan": ["pro"]}) as rs, multiprocessing.pool.ThreadPool(1) as pool:
        errors = []
        with rs.cohort(plan="pro"):
            pool.apply_async(divmod, (7, 0), error_callback=errors.append).wait()
        pool.close()
        pool.join()
        assert [type(error) for error in errors] == [ZeroDivisionError]
    assert not any(hasattr(getattr(multiprocessing.pool.Pool, name), "__wrapped__") for name in ("apply_async", "imap"))


def test_the_event_time_and_the_collector_reach_a_thread_pool_too():
    """A replay that predicts in a pool is counted where it belongs, and its predictions are collected."""
    with fly() as rs:
        predict = rs.observe("m")(lambda row: "a")
        when = datetime(2024, 3, 1, tzinfo=UTC)
        with rs.collect() as made, rs.at(when):
            through_map(predict, [[1.0]] * 3)
        assert len(made) == 3
        assert all(window.start_ns <= when.timestamp() * 1e9 for window in rs.windows())


def test_a_pool_thread_keeps_nothing_of_a_scope_and_passes_on_what_is_raised():
    """The next work of the same thread is in no cohort; errors, arguments and results are the user's own."""
    with fly(cohorts={"plan": ["pro"]}) as rs, ThreadPoolExecutor(1) as pool:
        predict = rs.observe("m")(lambda row: "a")
        with rs.cohort(plan="pro"):
            made = pool.submit(divmod, 7, 0)
            assert isinstance(made.exception(), ZeroDivisionError)
            assert pool.submit(sorted, [2, 1], reverse=True).result() == [2, 1]
        pool.submit(predict, [1.0]).result()
        assert {window.key.cohort for window in rs.windows()} == {""}


def test_a_pool_that_a_prediction_uses_is_not_inside_of_it():
    """Predictions in a pool's threads count for themselves, as they did: only scopes are handed on."""
    with fly(cohorts={"plan": ["pro"]}) as rs:
        inner = rs.observe("m")(lambda row: "a")

        @rs.observe("m")
        def fan_out(row):
            return through_map(inner, [row] * 3)[0]

        with rs.cohort(plan="pro"):
            fan_out([1.0])
        assert calls(rs) == {("m", "stable"): 4}


def test_plain_threads_are_in_no_cohort():
    """Documented limits: a thread may outlive the scope."""
    with fly(cohorts={"plan": ["pro"]}) as rs:
        predict = rs.observe("m")(lambda row: "a")
        with rs.cohort(plan="pro"):
            thread = threading.Thread(target=predict, args=([1.0],))
            thread.start()
            thread.join()
        assert {window.key.cohort for window in rs.windows()} == {""}
