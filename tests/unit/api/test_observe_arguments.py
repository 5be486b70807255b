"""`observe` without parentheses names the model after the function; invalid arguments raise at decoration."""

from __future__ import annotations

import asyncio
import functools
import math

import numpy as np
import pandas as pd
import pytest

from radiosonde._guard import Guard
from radiosonde.errors import ConfigurationError
from radiosonde.testing import Flight, fly


def models(rs):
    """Return the calls by model name."""
    return {window.key.model: window.calls for window in rs.windows()}


def test_without_parentheses_the_functions_name_is_the_model():
    """Bare, with empty parentheses, with options only: sync, async, generators and methods."""
    with fly() as rs:

        @rs.observe
        def plain(features):
            return 1.0

        @rs.observe()
        def empty(features):
            return 1.0

        @rs.observe(version="2")
        def versioned(features):
            return 1.0

        @rs.observe
        async def asynchronous(features):
            return 1.0

        @rs.observe
        def streamed(features):
            yield 1.0

        class Model:
            @rs.observe
            def predict(self, features):
                return 1.0

            @staticmethod
            @rs.observe
            def static(features):
                return 1.0

        assert (plain([1.0]), empty([1.0]), versioned([1.0]), list(streamed([1.0]))) == (1.0, 1.0, 1.0, [1.0])
        assert asyncio.run(asynchronous([1.0])) == 1.0
        assert (Model().predict([1.0]), Model.static([1.0])) == (1.0, 1.0)
        names = ("plain", "empty", "versioned", "asynchronous", "streamed", "predict", "static")
        assert models(rs) == dict.fromkeys(names, 1)
        assert plain.__name__ == "plain"


@pytest.mark.parametrize("environment", [{}, {"RADIOSONDE_DISABLED": "true"}], ids=["on", "off"])
class TestProgrammersErrors:
    """Each raises a sentence at decoration, whether Radiosonde is on or off."""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"input": True}, "observe got input=True; it must be a parameter's name"),
            ({"input": 3}, "observe got input=3"),
            ({"output": "label"}, "observe got output='label'; it must be a callable"),
            ({"task": "ranking"}, 'observe got task=\'ranking\'; it must be "classification" or "regression"'),
            ({"reference": 3}, "observe got reference=3; it must be a path"),
            ({"features": "wind"}, "observe got features='wind'; it must be a list of names"),
            ({"features": 3}, "observe got features=3"),
            ({"classes": "yes"}, "observe got classes='yes'; it must be a list of names"),
            ({"classes": b"ab"}, "observe got classes=b'ab'"),
            ({"id": 3}, "observe got id=3; it must be a parameter's name"),
        ],
    )
    def test_an_argument(self, environment, arguments, message):
        """A value that can mean nothing."""
        rs = Flight(Guard(reraise=True), environment=environment)
        with pytest.raises(ConfigurationError, match=message):
            rs.observe("delays", **arguments)

    @pytest.mark.parametrize("name", ["", b"", 0])
    def test_an_empty_name(self, environment, name):
        """A name that was meant and is empty."""
        with pytest.raises(ConfigurationError, match="observe needs the model's name"):
            Flight(Guard(reraise=True), environment=environment).observe(name)

    @pytest.mark.parametrize(
        "thing",
        [int, staticmethod(len), classmethod(len), property(len), 3, "predict", None],
        ids=lambda thing: type(thing).__name__,
    )
    def test_what_is_decorated(self, environment, thing):
        """A class, a descriptor or no function at all."""
        with pytest.raises(ConfigurationError, match="observe decorates functions"):
            Flight(Guard(reraise=True), environment=environment).observe("delays")(thing)

    def test_a_class_without_parentheses(self, environment):
        """Its predict method is what was meant."""
        with pytest.raises(ConfigurationError, match=r"observe decorates functions.*predict method"):
            Flight(Guard(reraise=True), environment=environment).observe(dict)


@pytest.mark.parametrize("function", [lambda features: 1.0, functools.partial(max, 1)], ids=["lambda", "partial"])
def test_a_function_without_a_name(function):
    """It cannot name the model."""
    with (
        fly() as rs,
        pytest.raises(ConfigurationError, match=r'no name of its own for the model; write observe\("delays"\)'),
    ):
        rs.observe(function)


@pytest.mark.parametrize(
    "function", [max, functools.partial(max, 1), math.hypot], ids=["builtin", "partial", "extension"]
)
def test_a_function_without_a_signature(function):
    """Compiled functions say nothing of their parameters: the first argument is the features, a name is refused."""
    with fly() as rs:
        assert rs.observe("delays")(function)(2.0, 3.0) == function(2.0, 3.0)
        assert models(rs) == {"delays": 1}
        rs.losses()
        with pytest.raises(ConfigurationError, match="input='x' names no parameter"):
            rs.observe("delays", input="x")(max)


@pytest.mark.parametrize("what", ["input", "id"])
def test_a_parameter_that_is_not_there(what):
    """The message says which argument was wrong, and what parameters there are."""
    with fly() as rs, pytest.raises(ConfigurationError, match=f"{what}='wind' is not a parameter .* it has rows, top"):

        @rs.observe("delays", **{what: "wind"})
        def predict(rows, top=1):
            return rows


def test_off_returns_the_function_itself():
    """Off costs nothing, bare or not."""
    rs = Flight(Guard(reraise=True), environment={"RADIOSONDE_DISABLED": "true"})

    def predict(features):
        return 1.0

    assert rs.observe(predict) is predict
    assert rs.observe("delays")(predict) is predict


class Hostile:
    """An object that raises on any access."""

    def __repr__(self):
        raise RuntimeError("not for you")

    __bool__ = __len__ = __eq__ = __repr__
    __hash__ = object.__hash__


RELEASED = memoryview(b"x")
RELEASED.release()


@pytest.mark.parametrize(
    "name", [pd.NA, np.array([1, 2]), np.array([]), RELEASED, Hostile()], ids=lambda name: type(name).__name__
)
def test_a_name_that_cannot_be_asked_whether_it_is_empty(name):
    """It is a name like another, and is turned into text."""
    with fly() as rs:
        rs.observe(name)(lambda row: "yes")([1.0])
        assert [window.calls for window in rs.windows()] == [1]


@pytest.mark.parametrize("argument", ["task", "reference", "input", "output", "features", "classes", "id"])
def test_an_argument_that_raises_cannot_be_used(argument):
    """The error is ours, and names the argument."""
    with fly() as rs, pytest.raises(ConfigurationError, match=f"observe got {argument}=a Hostile; it must be"):
        rs.observe("m", **{argument: Hostile()})
