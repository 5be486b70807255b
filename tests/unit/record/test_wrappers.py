from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import pickle
import traceback
import weakref
from collections import Counter

import pytest

from radiosonde._api.surface import Surface
from radiosonde._guard import Guard
from radiosonde.errors import ConfigurationError
from radiosonde.testing import fly
from tests.unit.record.kinds import KINDS, drive, make

OFF = [{"RADIOSONDE_DISABLED": "true"}, {"OTEL_SDK_DISABLED": "true"}]


class Answer:
    """A result that is nothing but itself."""


@pytest.fixture(params=["on", "RADIOSONDE_DISABLED", "OTEL_SDK_DISABLED"])
def surface(request):
    """Radiosonde on, or switched off by either variable: observed code must not notice."""
    if request.param == "on":
        with fly() as flight:
            yield flight
    else:
        yield Surface(Guard(reraise=True), environment={request.param: "true"})


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_is_the_same_object(surface, kind):
    """Results and yielded items are returned as the same object, never a proxy."""
    answer = Answer()
    predict = surface.observe("m", output=lambda _: "yes")(make(kind, lambda features: answer))
    assert drive(kind, predict, [1.0]) is answer
    assert drive(kind, predict, features=[1.0]) is answer


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_keeps_its_looks(surface, kind):
    """Name, docstring, module, signature, annotations and kind are those of the function."""
    bare = make(kind, lambda features: 1)
    bare.__doc__, bare.__annotations__ = "Predict.", {"features": list, "return": int}
    bare.custom = 7
    predict = surface.observe("m")(bare)
    assert inspect.unwrap(predict) is bare
    assert (predict.__name__, predict.__qualname__) == (bare.__name__, bare.__qualname__)
    assert (predict.__doc__, predict.__module__, predict.custom) == ("Predict.", bare.__module__, 7)
    assert inspect.signature(predict) == inspect.signature(bare)
    for asked in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        assert asked(predict) is asked(bare)


def raiser(error):
    """Return a body two frames deep that raises *error*."""

    def inner(features):
        raise error

    return inner


def frames(kind, function):
    """Return the exception that *function* raises and the names of the frames in its traceback."""
    try:
        drive(kind, function, [1.0])
    except BaseException as error:  # noqa: BLE001 - the test is about all of them
        return error, [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    raise AssertionError("nothing was raised")


ERRORS = [
    ValueError("wrong"),
    StopAsyncIteration("done"),
    KeyboardInterrupt("stop"),
    SystemExit(3),
    asyncio.CancelledError("cancelled"),
    GeneratorExit("exit"),
    ExceptionGroup("many", [ValueError("one")]),
]


# Python itself turns a StopAsyncIteration inside an async generator into a RuntimeError.
RAISED = [
    (kind, error)
    for kind in KINDS
    for error in ERRORS
    if not (kind == "async generator" and isinstance(error, StopAsyncIteration))
]


@pytest.mark.parametrize(
    ("kind", "error"), RAISED, ids=lambda value: value if isinstance(value, str) else type(value).__name__
)
def test_an_exception_arrives_unchanged_one_frame_deeper(kind, error):
    """The user's exception is the same object with cause, context and notes, and one frame more than without us."""
    cause = LookupError("cause")
    error.__cause__, error.__traceback__ = cause, None
    function = make(kind, raiser(error))
    found, bare = frames(kind, function)
    assert found is error
    error.__traceback__ = error.__context__ = None
    with fly() as rs:
        observed_error, observed = frames(kind, rs.observe("m")(function))
        assert observed_error is error
        assert (error.__cause__, error.__context__) == (cause, None)
        at = observed.index("observed")
        assert [*observed[:at], *observed[at + 1 :]] == bare
        (window,) = rs.windows()
        normal_end = isinstance(error, GeneratorExit) and kind.endswith("generator")
        module = "asyncio.exceptions." if isinstance(error, asyncio.CancelledError) else ""
        assert dict(window.errors) == ({} if normal_end else {module + type(error).__name__: 1})
        assert (window.calls, window.rows) == (1, 1 if normal_end else 0)
        assert rs.losses() == {}


class Model:
    """A user's class with one observed method of each binding."""

    def __init__(self, rs):
        observe = rs.observe

        class Bound:
            scale = 2.0

            @observe("method")
            def predict(self, features):
                return self.scale * features[0]

            @classmethod
            @observe("class")
            def predict_class(cls, features):
                return cls.scale * features[0]

            @staticmethod
            @observe("static")
            def predict_static(features):
                return features[0]

            @property
            @observe("property")
            def prediction(self):
                return self.scale

        self.bound = Bound


def test_methods_of_every_binding(surface):
    """Methods, class methods, static methods and properties work and record their features, not self or cls."""
    bound = Model(surface).bound
    one = bound()
    assert (one.predict([3.0]), bound.predict_class([3.0]), one.predict_class([3.0])) == (6.0, 6.0, 6.0)
    assert (bound.predict_static([3.0]), one.predict_static([3.0]), one.prediction) == (3.0, 3.0, 2.0)
    if hasattr(surface, "windows"):
        surface.flush()
        calls, features = Counter(), {}
        for window in surface.windows():
            calls[window.key.model] += window.calls
            if window.features:
                features[window.key.model] = int(window.features.cells.sum())
        assert calls == {"method": 1, "class": 2, "static": 2, "property": 1}
        assert features == {"method": 1, "class": 2, "static": 2}
        assert surface.losses() == {}


@pytest.mark.parametrize("binding", [staticmethod, classmethod, property])
def test_the_wrong_order_of_decorators_is_told(binding):
    """Observing a staticmethod, classmethod or property object says which way round is right."""
    with fly() as rs, pytest.raises(ConfigurationError, match="put it below @staticmethod"):
        rs.observe("m")(binding(lambda features: 1))


def test_observing_a_class_is_told():
    """A class is not a function."""
    with fly() as rs, pytest.raises(ConfigurationError, match="observe decorates functions"):
        rs.observe("m")(Answer)


def test_a_partial_and_a_callable_object_are_observed():
    """Callables that are not functions work too."""

    class Scorer:
        def __call__(self, features):
            return sum(features)

    with fly() as rs:
        assert rs.observe("partial")(functools.partial(lambda scale, features: scale, 3.0))([1.0]) == 3.0
        assert rs.observe("object")(Scorer())([1.0, 2.0]) == 3.0
        assert {window.key.model: window.calls for window in rs.windows()} == {"partial": 1, "object": 1}


@pytest.mark.parametrize("environment", OFF, ids=lambda environment: next(iter(environment)))
@pytest.mark.parametrize("kind", KINDS)
def test_off_is_the_very_same_function(environment, kind):
    """Switched off, observe returns its argument."""
    function = make(kind, lambda features: 1)
    assert Surface(environment=environment).observe("m")(function) is function


def test_an_observed_function_pickles_by_name():
    """A module-level observed function travels to a worker process by its name."""
    assert pickle.loads(pickle.dumps(at_module_level)) is at_module_level


def test_wrong_arguments_are_the_functions_own_error():
    """A call with wrong arguments raises the function's TypeError, counted as its error."""
    with fly() as rs:
        predict = rs.observe("m")(make("sync", lambda features: 1))
        with pytest.raises(TypeError, match="unexpected keyword argument 'unknown'"):
            predict([1.0], unknown=2)
        assert dict(rs.windows()[0].errors) == {"TypeError": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_kept_alive(kind):
    """Arguments, results and exceptions of a call are freed when the caller releases them."""

    class Features(list):
        pass

    def body(features):
        if features[0] < 0:
            raise ValueError(features)
        return Features(features)

    with fly() as rs:
        predict = rs.observe("m")(make(kind, body))
        given = Features([1.0])
        result = drive(kind, predict, given)
        bad = Features([-1.0])
        with pytest.raises(ValueError, match=r"1\.0") as raised:
            drive(kind, predict, bad)
        alive = [weakref.ref(given), weakref.ref(result), weakref.ref(bad)]
        del given, result, bad, raised
        gc.collect()
        assert [reference() for reference in alive] == [None, None, None]


_module_flight = Surface(environment={})


@_module_flight.observe("module")
def at_module_level(features):
    """Stand at module level."""
    return features
