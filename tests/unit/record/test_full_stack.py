"""Observed functions with an almost full stack: the caller gets the same as one frame deeper without Radiosonde."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from radiosonde.model import losses
from radiosonde.testing import fly

ROOM = range(1, 60)
"""Remaining frames: at first not even the function fits, in the end all of Radiosonde does."""

BEYOND = 3
"""What fits one frame deeper may need as many more: a step of a generator is a call of C's, which counts as a frame in 3.11."""


def depth():
    """Return how many frames the stack has."""
    frame, frames = sys._getframe(), 0
    while frame is not None:
        frame, frames = frame.f_back, frames + 1
    return frames


def with_room(frames, call):
    """Return the result of *call* with so many frames left, or the type of its exception."""

    def descend(more):
        return call() if more <= 0 else descend(more - 1)

    try:
        return descend(sys.getrecursionlimit() - depth() - frames)
    except (RecursionError, ValueError) as error:
        return type(error)


class Awaited:
    """Awaitable results of a plain function."""

    def __await__(self):
        return 0.25
        yield


def driven(started):
    """Return the result of a coroutine without waits."""
    try:
        started.__await__().send(None)
    except StopIteration as stop:
        return stop.value
    finally:
        if hasattr(started, "close"):
            started.close()  # without room to start it, Python would warn that it was never awaited
    raise AssertionError


class Model:
    """Counts how often it ran."""

    def __init__(self, raises=None):
        self.runs, self.raises = 0, raises

    def answer(self):
        """Answer."""
        self.runs += 1
        if self.raises is not None:
            raise self.raises
        return 0.25

    def function(self, row):
        """Predict."""
        return self.answer()

    async def coroutine(self, row):
        """Predict."""
        return self.answer()

    def generator(self, row):
        """Predict."""
        yield self.answer()

    async def async_generator(self, row):
        """Predict."""
        yield self.answer()

    def awaitable(self, row):
        """Predict."""
        self.answer()
        return Awaited()

    def recursion(self, row):
        """Predict, and run out of stack."""
        self.runs += 1
        return self.endless()

    def endless(self):
        """Never return."""
        return self.endless()


ROW, DICT, BATCH = np.ones((1, 2)), {"a": 1.0, "b": "x"}, [[1.0, 2.0], [3.0, 4.0]]
CALLS = {
    "array": ("function", ROW, lambda predict, row: predict(row)),
    "dict": ("function", DICT, lambda predict, row: predict(row)),
    "batch": ("function", BATCH, lambda predict, row: predict(row)),
    "keyword": ("function", ROW, lambda predict, row: predict(row=row)),
    "endless recursion": ("recursion", ROW, lambda predict, row: predict(row)),
    "coroutine": ("coroutine", DICT, lambda predict, row: driven(predict(row))),
    "generator": ("generator", ROW, lambda predict, row: list(predict(row))),
    "generator left early": ("generator", ROW, lambda predict, row: next(predict(row))),
    "async generator": ("async_generator", ROW, lambda predict, row: driven(anext(predict(row)))),
    "awaitable": ("awaitable", ROW, lambda predict, row: driven(predict(row))),
}


@pytest.fixture
def unraisable(monkeypatch):
    """Exceptions that Python could only print."""
    found = []

    def note(said):
        # A coroutine that there was no room to start says so, as it would one frame deeper.
        if said.exc_type is not RuntimeWarning:
            found.append((said.exc_type, str(said.exc_value), repr(said.object)))

    monkeypatch.setattr(sys, "unraisablehook", note)
    return found


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("raises", [None, ValueError("the model's own")], ids=["answers", "raises"])
@pytest.mark.parametrize("options", [{}, {"id": lambda row: "one"}], ids=["plain", "own id"])
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "first call"])
def test_the_caller_gets_what_it_would_get_one_frame_deeper(name, raises, options, is_known, unraisable):
    """Wherever the stack ends; each call is counted or in a named loss, and later calls are counted as ever."""
    style, row, call = CALLS[name]
    with fly(reraise=False) as rs:
        bare, model = Model(raises), Model(raises)
        predict = rs.observe("m", task="regression", features=["a", "b"], **options)(getattr(model, style))
        if is_known:
            with_room(200, lambda: call(predict, row))
            assert rs.pipeline().take_turn()
        expected = [with_room(frames, lambda: call(getattr(bare, style), row)) for frames in ROOM]
        found = [with_room(frames, lambda: call(predict, row)) for frames in ROOM]
        fits, first = (
            next((at for at, got in enumerate(each) if got == expected[-1]), 0) for each in (expected, found)
        )
        if name != "endless recursion":
            assert fits <= first <= fits + BEYOND
        assert found[first:] == expected[first:]
        assert set(found[:first]) <= {RecursionError}
        assert unraisable == []
        assert rs.pipeline().take_turn()
        before = rs.statistics().records
        for _ in range(5):
            with_room(200, lambda: call(predict, row))
        assert rs.pipeline().take_turn()
        assert rs.statistics().records == before + 5, "calls are taken for parts of one that has ended"
        windows = rs.windows()
        counted, lost = sum(window.calls for window in windows), rs.losses().get(losses.RECORD_FAILED, 0)
        errors = sum(sum(window.errors.values()) for window in windows)
        if raises is None and style != "recursion":
            assert counted - errors <= model.runs <= counted - errors + lost
        assert model.runs <= counted + lost <= 6 + len(ROOM)
        assert lost <= 6 or not is_known  # opening the ring takes fifty frames
        assert rs.statistics().in_flight == 0
        assert set(rs.statistics().guarded) <= (set() if is_known else {"schema", "open_writer", "log", "span_tracer"})


@pytest.mark.parametrize("style", ["function", "coroutine", "generator"])
def test_a_model_within_another_keeps_its_place(style, unraisable):
    """An inner model that fails for want of stack leaves the outer one the current one, whose own calls go on."""
    with fly(reraise=False) as rs:
        inner = Model()
        ask = {"function": lambda made: made, "coroutine": driven, "generator": list}[style]
        predict = rs.observe("inner", task="regression")(getattr(inner, style))

        @rs.observe("outer", task="regression")
        def outer(row):
            return [with_room(frames, lambda: ask(predict(row))) for frames in ROOM]

        for _ in range(3):
            assert outer(ROW)[-1] in (0.25, [0.25])
        windows = {window.key.model: window for window in rs.windows()}
        assert windows["outer"].calls == 3
        assert windows["inner"].calls + rs.losses().get(losses.RECORD_FAILED, 0) >= inner.runs
        assert unraisable == []
