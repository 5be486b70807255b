from __future__ import annotations

import asyncio
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde import current
from radiosonde.testing import fly

ACTIONS = ("next", "send", "throw", "throw stop", "exit", "close")
THROWN = {"throw": ValueError, "throw stop": StopIteration, "exit": GeneratorExit}
# Actions of the generator each time it is resumed.
STEPS = ("yield", "yield what came", "catch and yield", "catch and return", "raise", "return", "finally yield")


def play(steps):
    """A generator that follows *steps*; its reactions to sent values and exceptions are part of the script."""
    came = None
    for step in steps:
        if step == "yield":
            came = yield step
        elif step == "yield what came":
            came = yield came
        elif step == "catch and yield":
            try:
                came = yield step
            except BaseException as error:  # noqa: BLE001 - the script says so
                came = yield f"caught {type(error).__name__}"
        elif step == "catch and return":
            try:
                came = yield step
            except BaseException as error:  # noqa: BLE001 - the script says so
                return f"returned on {type(error).__name__}"
        elif step == "raise":
            raise LookupError(step)
        elif step == "finally yield":
            try:
                came = yield step
            finally:
                came = yield "from finally"
        else:
            return came
    return "end"


async def play_async(steps):
    """Follow the script as an async generator; one that yields on its way out is broken in asyncio already."""
    came = None
    for step in steps:
        await asyncio.sleep(0)
        if step == "yield":
            came = yield step
        elif step == "yield what came":
            came = yield came
        elif step == "catch and yield":
            try:
                came = yield step
            except Exception as error:  # noqa: BLE001 - the script says so
                came = yield f"caught {type(error).__name__}"
        elif step == "catch and return":
            try:
                came = yield step
            except BaseException:  # noqa: BLE001 - the script says so
                return
        elif step == "raise":
            raise LookupError(step)
        elif step == "finally yield":
            try:
                came = yield step
            finally:
                await asyncio.sleep(0)
        else:
            return


def outcome(error):
    """Return the observable parts of an exception: type, text, cause, context, value."""
    return (
        type(error).__name__,
        str(error),
        type(error.__cause__).__name__,
        type(error.__context__).__name__,
        getattr(error, "value", None),
    )


def heard(generator, actions):
    """Return the responses of *generator* to *actions*, one after the other."""
    answers = []
    for number, action in enumerate(actions):
        try:
            if action == "next":
                answers.append(next(generator))
            elif action == "send":
                answers.append(generator.send(number))
            elif action == "close":
                answers.append(("closed", generator.close()))
            else:
                answers.append(generator.throw(THROWN[action](f"thrown {number}")))
        except BaseException as error:  # noqa: BLE001 - the answer is an exception
            answers.append(outcome(error))
    return answers


async def heard_async(generator, actions):
    """Return the responses of an async generator to *actions*."""
    answers = []
    for number, action in enumerate(actions):
        try:
            if action == "next":
                answers.append(await anext(generator))
            elif action == "send":
                answers.append(await generator.asend(number))
            elif action == "close":
                answers.append(("closed", await generator.aclose()))
            else:
                answers.append(await generator.athrow(THROWN[action](f"thrown {number}")))
        except BaseException as error:  # noqa: BLE001 - the answer is an exception
            answers.append(outcome(error))
    return answers


SCRIPTS = st.lists(st.sampled_from(STEPS), max_size=5)
PLAYS = st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=6)


@given(steps=SCRIPTS, actions=PLAYS)
def test_a_generator_answers_as_without_us(steps, actions):
    """For any send, throw or close, an observed generator responds like the bare one, exceptions included."""
    with fly() as rs:
        observed = rs.observe("m", output=lambda _: None)(play)
        bare, ours = play(steps), observed(steps)
        assert heard(ours, actions) == heard(bare, actions)
        _exhaust(bare)
        _exhaust(ours)


def _exhaust(generator):
    # A script may answer close() with an item; three items are the most that any script has left in one step.
    for _ in range(12):
        try:
            generator.close()
        except RuntimeError:
            continue
        return


@given(steps=SCRIPTS, actions=PLAYS)
def test_an_async_generator_answers_as_without_us(steps, actions):
    """The same for async generators."""

    async def both():
        bare, ours = play_async(steps), observed(steps)
        assert await heard_async(ours, actions) == await heard_async(bare, actions)
        await bare.aclose()
        await ours.aclose()

    with fly() as rs:
        observed = rs.observe("m", output=lambda _: None)(play_async)
        asyncio.run(both())


def test_delegation_and_return_value():
    """`yield from` an observed generator gets its items and its return value."""
    with fly() as rs:

        @rs.observe("m")
        def inner(features):
            yield 1
            yield 2
            return "returned"

        def outer():
            returned = yield from inner([1.0])
            yield returned

        assert list(outer()) == [1, 2, "returned"]


def test_a_prediction_lasts_until_the_last_item_which_is_its_output():
    """Nothing is recorded before the first `next`; the last item yielded is the output; one call for all items."""
    with fly() as rs:

        @rs.observe("m")
        def predict(features):
            made.append(current())
            yield "first"
            yield "last"

        made = []
        predict([1.0])
        assert rs.windows() == ()
        items = predict([1.0])
        next(items)
        assert made[0].is_in_progress
        assert not current().is_in_progress
        assert rs.windows() == ()
        assert list(items) == ["last"]
        (window,) = rs.windows()
        assert (window.calls, window.output.classes, window.output.class_counts.tolist()) == (1, ("last",), [1])
        assert rs.losses() == {}


def test_an_early_close_is_a_normal_end():
    """A consumer that stops listening ends the prediction with the last item it took."""
    with fly() as rs:

        @rs.observe("m")
        def predict(features):
            yield "first"
            yield "never"

        items = predict([1.0])
        next(items)
        items.close()
        (window,) = rs.windows()
        assert (window.calls, dict(window.errors), window.output.classes) == (1, {}, ("first",))


def test_a_forgotten_generator_ends():
    """A generator that is dropped half-way ends its prediction when it is freed."""
    with fly() as rs:

        @rs.observe("m")
        def predict(features):
            yield "first"
            yield "never"

        next(predict([1.0]))
        assert [window.calls for window in rs.windows()] == [1]
        assert rs.statistics().in_flight == 0


@pytest.mark.parametrize("is_observed", [False, True])
def test_a_thrown_exception_passes_one_frame_more(is_observed):
    """An exception that the consumer throws comes back through the generator with our one frame in between."""

    def predict(features):
        yield 1

    with fly() as rs:
        items = (rs.observe("m")(predict) if is_observed else predict)([1.0])
        next(items)
        error = ValueError("thrown")
        with pytest.raises(ValueError, match="thrown") as raised:
            items.throw(error)
        assert raised.value is error
        names = [frame.name for frame in traceback.extract_tb(error.__traceback__)][1:]
        assert names == (["observed", "predict"] if is_observed else ["predict"])


def test_an_async_generator_that_is_cancelled_counts_its_error():
    """A task cancelled inside an async generator gets its CancelledError, counted as the error it is."""

    async def listen(items):
        async for _ in items:
            pass

    async def main():
        task = asyncio.create_task(listen(predict([1.0])))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with fly() as rs:

        @rs.observe("m")
        async def predict(features):
            await asyncio.Event().wait()
            yield 1

        asyncio.run(main())
        assert dict(rs.windows()[0].errors) == {"asyncio.exceptions.CancelledError": 1}
