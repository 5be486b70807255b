"""Results that are awaited or iterated after a plain function has returned them."""

from __future__ import annotations

import asyncio
import collections.abc
import contextvars
import functools
import gc
import inspect
import logging
import threading
import types
import warnings
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from radiosonde import current
from radiosonde.model import losses
from radiosonde.testing import fly

SHORTEST_S = 0.02


async def work(row):
    """Answer late, or raise."""
    await asyncio.sleep(SHORTEST_S)
    with _STAGE.get()("decode"):
        await asyncio.sleep(SHORTEST_S)
    if row["a"] < 0:
        raise LookupError("bad row")
    return "late"


_STAGE = contextvars.ContextVar("stage")


class Asynchronous:
    async def __call__(self, row):
        return await work(row)


class Bare:
    """Can only be awaited."""

    answer = 42

    def __init__(self, row):
        self._row = row

    def __await__(self):
        return work(self._row).__await__()


class Foreign(collections.abc.Coroutine):
    """A coroutine of another compiler."""

    def __init__(self, row):
        self._inner = work(row)

    def send(self, value):
        return self._inner.send(value)

    def throw(self, *error):
        return self._inner.throw(*error)

    def close(self):
        self._inner.close()

    def __await__(self):
        return self._inner.__await__()


def retried(function):
    """Return a plain function around *function*, as decorators that retry or cache make one."""

    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


def a_future(row):
    """Return a future that another thread settles."""
    future = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(work(row))

    def settle(done):
        if done.exception() is None:
            future.set_result(done.result())
        else:
            future.set_exception(done.exception())

    task.add_done_callback(settle)
    return future


@types.coroutine
def of_generators(row):
    """Answer as work does, as coroutines were written before there was a syntax for them."""
    return (yield from work(row).__await__())


FUNCTIONS = {
    "a coroutine of generators": of_generators,
    "a def that returns one": lambda row: of_generators(dict(row)),
    "a retry decorator": retried(work),
    "an asynchronous call": Asynchronous(),
    "a def that returns a coroutine": lambda row: work(dict(row)),
    "a partial of a def": functools.partial(lambda kind, row: work(row), "kind"),
    "a task": lambda row: asyncio.ensure_future(work(row)),
    "a future": a_future,
    "an awaitable": lambda row: Bare(dict(row)),
    "a foreign coroutine": lambda row: Foreign(dict(row)),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_the_awaited_work_is_what_is_recorded(function):
    """Its error, its duration, its result and its phases, for any awaitable result of the function."""

    async def main():
        predict = rs.observe("m")(function)
        assert await predict({"a": 1.0}) == "late"
        with pytest.raises(LookupError):
            await predict({"a": -1.0})
        await asyncio.sleep(0)  # the callbacks of futures

    with fly() as rs:
        _STAGE.set(rs.stage)
        asyncio.run(main())
        (window,) = rs.windows()
        assert (window.calls, dict(window.errors)) == (2, {"LookupError": 1})
        assert (window.output.classes, window.output.class_counts.tolist()) == (("late",), [1])
        assert window.latency.counts.sum() == 2
        assert window.latency.sums_s.sum() >= 4 * SHORTEST_S * 0.9
        if "future" not in str(function) and function is not FUNCTIONS["a task"]:
            assert rs.losses() == {}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_what_the_caller_gets_is_of_the_same_type(function):
    """A coroutine is a coroutine of that name, a future the very one, an awaitable an instance of its class."""

    async def main():
        bare, ours = function({"a": 1.0}), rs.observe("m")(function)({"a": 1.0})
        if not isinstance(bare, Foreign):
            assert isinstance(ours, type(bare))
        assert inspect.isawaitable(ours)
        assert asyncio.iscoroutine(ours) == asyncio.iscoroutine(bare)
        assert getattr(ours, "__qualname__", "") == getattr(bare, "__qualname__", "") or isinstance(bare, Foreign)
        assert getattr(ours, "answer", 0) == getattr(bare, "answer", 0)
        assert await ours == await bare

    with fly() as rs:
        _STAGE.set(rs.stage)
        asyncio.run(main())


def test_a_future_is_returned_itself_and_still_logs_an_error_that_nobody_fetched(caplog):
    """Its class is that of its library; observing it does not mark its error as retrieved."""

    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        predict = rs.observe("m")(lambda row: future)
        assert predict([1.0]) is future
        future.set_exception(ValueError("unseen"))
        await asyncio.sleep(0)

    with fly() as rs:
        with caplog.at_level(logging.ERROR, "asyncio"):
            asyncio.run(main())
            gc.collect()
        assert dict(rs.windows()[0].errors) == {"ValueError": 1}
    assert "never retrieved" in caplog.text


def test_a_future_of_a_thread_is_observed_in_that_thread():
    """A function that submits its work to a pool has the duration, the result and the error of that work."""
    with fly() as rs, ThreadPoolExecutor(1) as pool:
        begun = threading.Event()

        def answer(row):
            assert begun.wait(30)
            if row[0] < 0:
                raise LookupError
            return "late"

        predict = rs.observe("m")(lambda row: pool.submit(answer, row))
        made = [predict([1.0]), predict([-1.0])]
        assert rs.windows() == ()
        begun.set()
        assert made[0].result() == "late"
        assert isinstance(made[1].exception(), LookupError)
    (window,) = rs.windows()
    assert (window.calls, dict(window.errors), window.output.classes) == (2, {"LookupError": 1}, ("late",))


def test_cancelled_work_is_an_error_of_that_name():
    """A task that is cancelled, and a future that is."""

    async def main():
        task = rs.observe("m")(lambda row: asyncio.ensure_future(asyncio.sleep(60)))([1.0])
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        future = rs.observe("m")(lambda row: Future())([1.0])
        future.cancel()

    with fly() as rs:
        asyncio.run(main())
        errors = [dict(window.errors) for window in rs.windows()]
        assert sum(sum(each.values()) for each in errors) == 2
        assert all("CancelledError" in name for each in errors for name in each)


def test_predictions_made_before_any_is_awaited_stand_beside_each_other():
    """Ten coroutines of one function, awaited together: ten predictions, each with its own stages and duration."""

    async def main():
        predict = rs.observe("m")(retried(work))
        made = [predict({"a": 1.0}) for _ in range(10)]
        assert not current().is_in_progress
        await asyncio.sleep(5 * SHORTEST_S)  # not counted
        assert await asyncio.gather(*made) == ["late"] * 10

    with fly() as rs:
        _STAGE.set(rs.stage)
        asyncio.run(main())
        (window,) = rs.windows()
        assert window.calls == 10
        assert rs.losses() == {}


def test_the_time_before_a_coroutine_is_awaited_is_not_the_works():
    """The clock stops until it is awaited; the measured time is compared with the actual wait."""

    async def main():
        predict = rs.observe("m")(lambda row: asyncio.sleep(0, "late"))
        made = predict([1.0])
        await asyncio.sleep(50 * SHORTEST_S)
        await made

    with fly() as rs:
        asyncio.run(main())
        assert rs.windows()[0].latency.sums_s.sum() < 50 * SHORTEST_S


def test_inside_the_awaited_work_the_prediction_is_the_current_one():
    """And around it the former current one, also if the call was inside another prediction."""
    seen = []

    async def inner(row):
        seen.append(current())
        await asyncio.sleep(0)
        return "inner"

    async def outer(row):
        made = predict_inner(row)
        seen.append(current())
        answer = await made
        seen.append(current())
        return answer

    with fly() as rs:
        predict_inner = rs.observe("inner")(retried(inner))
        predict_outer = rs.observe("outer")(retried(outer))
        asyncio.run(predict_outer([1.0]))
        assert [each.model for each in seen] == ["outer", "inner", "outer"]
        assert {window.key.model: window.calls for window in rs.windows()} == {"outer": 1, "inner": 1}


GENERATORS = {
    "generator": lambda row: (item for item in ("first", "last")),
    "from a retry decorator": retried(lambda row: iterate(list(row))),
}


def iterate(row):
    """Yield two items, after a stage."""
    with _STAGE.get()("decode"):
        pass
    yield "first"
    yield "last"


async def iterate_async(row):
    """Yield two items, or raise after the first."""
    with _STAGE.get()("decode"):
        await asyncio.sleep(0)
    yield "first"
    if row[0] < 0:
        raise LookupError
    yield "last"


@pytest.mark.parametrize("function", GENERATORS.values(), ids=GENERATORS.keys())
def test_a_generator_from_a_plain_function_is_observed_as_one(function):
    """One call for all items, the last of which is its output; of the same type, and closed as it would be."""
    with fly() as rs:
        _STAGE.set(rs.stage)
        predict = rs.observe("m")(function)
        items = predict([1.0])
        assert isinstance(items, types.GeneratorType)
        assert list(items) == ["first", "last"]
        closed = predict([1.0])
        next(closed)
        closed.close()
        (window,) = rs.windows()
        assert window.calls == 2
        assert dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)) == {
            "last": 1,
            "first": 1,
        }
        assert rs.losses() == {}


def test_an_async_generator_from_a_plain_function_is_observed_as_one():
    """Its items, its stages and its error."""

    async def main():
        predict = rs.observe("m")(retried(iterate_async))
        assert isinstance(predict([1.0]), types.AsyncGeneratorType)
        assert [item async for item in predict([1.0])] == ["first", "last"]
        with pytest.raises(LookupError):
            assert [item async for item in predict([-1.0])]

    with fly() as rs:
        _STAGE.set(rs.stage)
        asyncio.run(main())
        (window,) = rs.windows()
        assert (window.calls, dict(window.errors), window.output.classes) == (2, {"LookupError": 1}, ("last",))
        assert rs.losses() == {}


def test_what_can_also_be_entered_is_returned_itself_and_told_of(caplog):
    """A client's context manager that can be awaited too: it may not be replaced by a proxy."""

    class Entered(Bare):
        async def __aenter__(self):
            return "entered"

        async def __aexit__(self, *error):
            return None

    async def main():
        made = Entered({"a": 1.0})
        assert rs.observe("m")(lambda row: made)([1.0]) is made
        async with made as entered:
            assert entered == "entered"

    with fly() as rs:
        asyncio.run(main())
        assert rs.losses() == {losses.OUTPUT_UNREADABLE: 1}
    assert "Entered" in caplog.text


def test_an_awaitable_can_be_awaited_again():
    """The second time it behaves as without Radiosonde, and nothing is recorded twice."""

    class Kept:
        def __await__(self):
            yield from ()
            return "late"

    async def main():
        made = rs.observe("m")(lambda row: Kept())([1.0])
        assert (await made, await made) == ("late", "late")

    with fly() as rs:
        asyncio.run(main())
        assert rs.windows()[0].calls == 1


def test_a_coroutine_that_nobody_awaits_warns_by_its_own_name():
    """Python names the function that was not awaited, not ours."""
    with fly() as rs:
        _STAGE.set(rs.stage)
        predict = rs.observe("m")(retried(work))
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            made = predict({"a": 1.0})
            del made
            messages = set()
            for _ in range(3):  # a warning holds the coroutine that it is about, which holds the one inside
                gc.collect()
                messages |= {str(each.message) for each in seen}
                seen.clear()
    assert messages == {"coroutine 'work' was never awaited"}


# Generators of one thread --------------------------------------------------------------------------------------------


def stream(rs, name, count=3):
    """Return an observed generator of *count* items, with a stage before each."""

    @rs.observe(name)
    def items(row):
        for number in range(count):
            with rs.stage(f"work of {name}"):
                pass
            assert current().model == name
            yield f"{name} {number}"

    return items([1.0])


def test_generators_in_turns_keep_their_own_stages():
    """Two, and three of which one ends earlier: no stage is booked on another's model, and the consumer's stays its own."""
    with fly() as rs:
        for streams in ((("a", 3), ("b", 3)), (("c", 4), ("d", 2), ("e", 1))):
            open_ones = [stream(rs, *each) for each in streams]
            while open_ones:
                for each in tuple(open_ones):
                    if next(each, None) is None:
                        open_ones.remove(each)
        assert rs.losses() == {}
        for window in rs.windows():
            assert set(window.latency.phases) == {f"work of {window.key.model}"}


def test_a_generator_stepped_in_a_new_context_each_time_keeps_its_stages():
    """As frameworks do that run each step in a thread pool with a copy of the context."""
    with fly() as rs:
        items = stream(rs, "tokens", 4)
        made = [contextvars.copy_context().run(next, items) for _ in range(4)]
        assert len(made) == 4
        items.close()
        assert rs.losses() == {}
        (window,) = rs.windows()
        assert set(window.latency.phases) == {"work of tokens"}


def test_async_generators_of_one_task_in_turns_keep_their_own_stages():
    """Each step has its own prediction, and the task continues with its former one."""

    async def items(name):
        for number in range(3):
            with rs.stage(f"work of {name}"):
                await asyncio.sleep(0)
            assert current().model == name
            yield number

    async def main():
        left, right = (rs.observe(name)(lambda row, name=name: items(name))([1.0]) for name in ("left", "right"))
        outer = rs.observe("outer")

        @outer
        async def both(row):
            for _ in range(3):
                await anext(left)
                assert current().model == "outer"
                await anext(right)
            return "done"

        await both([1.0])
        await left.aclose()
        await right.aclose()

    with fly() as rs:
        asyncio.run(main())
        assert rs.losses() == {}
        found = {window.key.model: set(window.latency.phases) for window in rs.windows()}
        assert found == {"left": {"work of left"}, "right": {"work of right"}, "outer": set()}


def test_a_generator_that_the_garbage_collector_closes_leaves_the_current_prediction_alone():
    """The finaliser may run anywhere: the current prediction there is restored."""
    with fly() as rs:
        items = stream(rs, "m")
        next(items)
        rs.observe("other")(lambda row: "a")([1.0])
        del items
        gc.collect()
        assert current().model == "other"
