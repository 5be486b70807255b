"""What all plug-ins for model libraries share, on a library made for the purpose."""

from __future__ import annotations

import contextvars
import gc
import logging
import pickle
import sys
import threading
import types
import weakref
from typing import ClassVar

import numpy as np
import pytest

from radiosonde.testing import fly
from radiosonde_integrations import _observing
from radiosonde_integrations._instrumentor import ModelInstrumentor, refitted, refitting
from radiosonde_integrations._methods import Description, Method
from radiosonde_integrations._observing import observed_method
from radiosonde_integrations._overflow import rows_alone
from radiosonde_integrations._patching import Patches
from radiosonde_integrations._versions import parameters_digest, version_of
from tests.unit.integrations.standing_in import stand_in


class Base:
    """A library's base class, which holds the method."""

    def predict(self, rows):
        """Return a class a row."""
        return np.where(np.asarray(rows)[:, 0] > 0, "yes", "no")


class Model(Base):
    """A model of the library."""

    def __init__(self, parts=()):
        self.parts = parts

    def predict_all(self, rows):
        """Return the predictions of the parts."""
        return [part.predict(rows) for part in self.parts] or self.predict(rows)


PREDICT = Method("predict", lambda model: Description(type(model).__name__, features=("a", "b"), task="classification"))
ALL = Method("predict_all", PREDICT.describe, output=lambda _: "all")


class Plugin(ModelInstrumentor):
    """A plug-in for the library."""

    requires = ("numpy >= 1",)
    modules = ("radiosonde_fake_library",)
    raises: ClassVar[bool] = False

    def patch(self, module, patches):
        """Patch both methods."""
        if self.raises:
            raise RuntimeError("no")
        patches.replace(module.Base, "predict", observed_method(PREDICT))
        patches.replace(module.Model, "predict_all", observed_method(ALL))


@pytest.fixture
def library(monkeypatch):
    """Return the library as a module that its user has imported."""
    module = types.ModuleType("radiosonde_fake_library")
    module.Base, module.Model = Base, Model
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.fixture
def rs(monkeypatch, library):
    """Return a Radiosonde that the plug-in reports to, with the library instrumented."""
    with fly() as flight:
        stand_in(monkeypatch, flight)
        plugin = Plugin()
        plugin.instrument()
        try:
            yield flight
        finally:
            plugin.uninstrument()


ROWS = np.array([[1.0, 2.0], [-1.0, 2.0]])


def counted(rs):
    """Return calls by model."""
    return {window.key.model: window.calls for window in rs.windows()}


def test_a_call_is_a_prediction_with_names_and_classes(rs):
    """The result is the library's, and the window knows the model, its features and its classes."""
    assert Model().predict(ROWS).tolist() == ["yes", "no"]
    (window,) = rs.windows()
    assert (window.key.model, window.calls, window.rows) == ("Model", 1, 2)
    assert dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)) == {"yes": 1, "no": 1}


def test_only_the_outermost_call_counts(rs):
    """An ensemble that asks its parts is one prediction."""
    Model([Model(), Model()]).predict_all(ROWS)
    assert counted(rs) == {"Model": 1}


def test_a_copied_context_knows_that_it_is_inside(rs):
    """Threads that a library starts with the context of the call do not count again."""

    class Threaded(Model):
        def predict_all(self, rows):
            thread = threading.Thread(target=contextvars.copy_context().run, args=(self.predict, rows))
            thread.start()
            thread.join()

    Threaded().predict_all(ROWS)  # not patched itself: the thread's call is outermost
    token = _observing.INSIDE.set(True)
    Threaded().predict_all(ROWS)
    _observing.INSIDE.reset(token)
    assert counted(rs) == {"Threaded": 1}


def test_a_tag_wins_over_what_the_model_says(rs):
    """Name, version and variant are the user's if they say so."""
    model = Model()
    rs.tag(model, name="delays", version="7", variant="canary")
    model.predict(ROWS)
    (window,) = rs.windows()
    assert window.key[:3] == ("delays", "7", "canary")


def test_an_exception_is_the_librarys_and_counts(rs):
    """The same exception is raised, with one additional frame, and the call counts as an error."""
    with pytest.raises(IndexError):
        Model().predict([])
    (window,) = rs.windows()
    assert dict(window.errors) == {"IndexError": 1}


def _rows(_: object, rows: np.ndarray) -> int:
    """Simulate a library's method: it takes the model first."""
    return len(rows)


def test_a_model_that_cannot_be_described_works_unobserved(rs):
    """What we cannot understand we do not disturb."""

    def describe(_):
        raise ValueError

    assert observed_method(Method("predict", describe))(_rows)(Model(), ROWS) == 2
    assert counted(rs) == {}


def test_a_model_takes_its_observer_with_it(rs):
    """Nothing is kept of a model that is gone."""
    model = Model()
    model.predict(ROWS)
    place = id(model)
    del model
    gc.collect()
    assert not any(key[0] == place for key in (*_observing.OBSERVERS._observed, *_observing.OBSERVERS.direct))


def test_a_model_fitted_again_and_again_leaves_nothing_behind(rs):
    """What waits for the model's end does not grow with its fits."""
    model = Model()
    for _ in range(20):
        refitting(model)
        refitted(model)
        model.predict(ROWS)
    waiting = [each for each in weakref.finalize._registry if each.peek() and each.peek()[0] is model]
    assert len(waiting) == 1
    place = id(model)
    del model, waiting
    gc.collect()
    assert place not in _observing.OBSERVERS._lifetimes._watched


class Slotted:
    """An object that cannot be remembered."""

    __slots__ = ()


def test_what_takes_no_weak_reference_works_unobserved_and_keeps_no_recorder(rs):
    """Not even one a call."""
    for _ in range(3):
        assert observed_method(PREDICT)(_rows)(Slotted(), ROWS) == 2
    assert (_observing.OBSERVERS._recorders, counted(rs)) == (0, {})


def test_all_methods_of_a_model_have_one_version(rs):
    """It is worked out once, and is that of the fit, also for a method that is first called after the model has moved."""
    model, asked = Model([1.0]), []

    def describe(each):
        return Description("Model", version=lambda: asked.append(each) or parameters_digest(each))

    for name in ("predict", "predict_all"):
        observed_method(Method(name, describe))(_rows)(model, ROWS)
        rs.flush()
        model.parts = [2.0]
    (window,) = rs.windows()
    assert (window.key.version, window.calls) == (parameters_digest(Model([1.0])), 2)
    assert asked == [model]


def test_models_and_versions_without_end_share_a_recorder(rs, monkeypatch):
    """Beyond the bounds nothing grows, and calls, rows and errors still count, under a name that says so."""
    monkeypatch.setattr(_observing, "MAX_RECORDERS", 2)
    for version in range(9):
        model = Model()
        rs.tag(model, version=str(version))
        model.predict(ROWS)
    with pytest.raises(IndexError):
        model.predict([])
    rs.flush()
    windows = {window.key[:2]: window for window in rs.windows()}
    assert windows.keys() == {("Model", "0"), ("Model", "1"), ("Model", "2"), ("Model", "3"), ("__overflow__", "")}
    rest = windows["__overflow__", ""]
    assert (rest.calls, rest.rows, rest.features, dict(rest.errors)) == (6, 10, None, {"IndexError": 1})
    assert rest.output.classes == ()
    assert len(rs.pipeline()._ring_consumers) == 5
    assert rs.losses() == {}


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        (np.ones((3, 2)), 3),
        (np.ones(3), 1),
        ([[1.0, 2.0], [3.0, 4.0]], 2),
        ([1.0, 2.0], 1),
        ([], 1),
        ({"a": 1.0}, 1),
        ([{"a": 1.0}, {"a": 2.0}], 2),
        (None, 1),
    ],
)
def test_rows_are_told_without_features(value, rows):
    """Of whatever was predicted."""
    assert rows_alone(lambda args, _: args[0])((value,), {}).shape == (rows, 0)


def test_undoing_puts_the_same_objects_back(library):
    """Every attribute is the very object that was there, and instrumenting again works."""
    before = dict(vars(Base)), dict(vars(Model))
    plugin = Plugin()
    for _ in range(2):
        plugin.instrument()
        plugin.instrument()
        assert vars(Base)["predict"] is not before[0]["predict"]
        plugin.uninstrument()
        plugin.uninstrument()
        assert all(vars(Base)[name] is value for name, value in before[0].items())
        assert all(vars(Model)[name] is value for name, value in before[1].items())


def test_methods_and_models_pickle_while_instrumented(rs):
    """A wrapped method is found by its name, and instances store nothing of Radiosonde."""
    model = Model()
    model.predict(ROWS)
    assert pickle.loads(pickle.dumps(Base.predict)) is Base.predict
    assert vars(pickle.loads(pickle.dumps(model))) == {"parts": ()}


def test_a_wrapped_method_carried_by_value_observes_only_where_a_plug_in_is_on(rs):
    """The observers are pickled by name; in a process without a plug-in they let every call through."""
    assert pickle.loads(pickle.dumps(_observing.OBSERVERS)) is _observing.OBSERVERS
    _observing.OBSERVERS.plugins = 0
    Model().predict(ROWS)
    _observing.OBSERVERS.plugins = 1
    assert counted(rs) == {}


def test_work_carried_elsewhere_knows_that_it_is_inside(rs):
    """A task that is part of a prediction does not count, pickled or not."""
    task = pickle.loads(pickle.dumps(_observing.Inside(Model().predict)))
    assert task(ROWS).tolist() == ["yes", "no"]
    assert counted(rs) == {}


def test_a_version_left_for_later_is_settled_before_the_model_changes(rs):
    """Predictions before a fit keep the former version."""
    model = Model([1.0])
    method = Method("predict", lambda each: Description("Model", version=version_of(each)))
    observed_method(method)(Model.predict)(model, ROWS)
    refitting(model)
    model.parts = [2.0]
    refitted(model)
    observed_method(method)(Model.predict)(model, ROWS)
    expected = {parameters_digest(Model([1.0])), parameters_digest(Model([2.0]))}
    assert {window.key.version for window in rs.windows()} == expected


def test_a_plug_in_that_fails_leaves_the_library_alone(library, caplog, monkeypatch):
    """The failure is logged once, and the user's import continues."""
    monkeypatch.setattr(Plugin, "raises", True)
    plugin = Plugin()
    with caplog.at_level(logging.WARNING, "radiosonde"):
        plugin.instrument()
    plugin.uninstrument()
    assert "cannot be observed" in caplog.text


@pytest.mark.parametrize(
    ("requirement", "level"), [("nothing-like-this >= 1", logging.DEBUG), ("numpy < 1", logging.WARNING)]
)
def test_a_library_that_cannot_be_observed_is_left_alone(library, caplog, monkeypatch, requirement, level):
    """An absent library is ignored; another version is logged once."""
    monkeypatch.setattr(Plugin, "requires", (requirement,))
    before = vars(Base)["predict"]
    with caplog.at_level(logging.DEBUG):
        Plugin().instrument()
    assert [record.levelno for record in caplog.records] == [level]
    assert vars(Base)["predict"] is before
    assert not Plugin().is_instrumented_by_opentelemetry


def test_inherited_attributes_are_not_shadowed():
    """Only what a class holds itself is replaced."""
    patches = Patches()
    assert not patches.replace(Model, "predict", lambda original: original)
    assert "predict" not in vars(Model)


def test_an_attribute_that_was_set_again_is_replaced_again():
    """Who has set it meanwhile gets the newer one back; an untouched replacement is left as it is."""

    class Owner:
        name = "first"

    patches = Patches()
    for _ in range(2):
        patches.replace(Owner, "name", lambda original: [original])
    assert Owner.name == ["first"]
    Owner.name = "second"
    patches.replace(Owner, "name", lambda original: [original])
    assert Owner.name == ["second"]
    patches.restore()
    assert Owner.name == "second"


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"x", "y", "z"}, {"z", "y", "x"}, True),
        (np.arange(3.0), np.arange(3.0), True),
        (np.arange(3.0), np.arange(3), False),
        (np.arange(4.0).reshape(2, 2), np.arange(4.0), False),
        ([1, 2], [2, 1], False),
        (["ab", "c"], ["a", "bc"], False),
        (Model((1.0,)), Model((1.0,)), True),
        (Model((1.0,)), Model((1.5,)), False),
        (np.array(["a", None], dtype=object), np.array(["a", None], dtype=object), True),
        (1, 1.0, False),
        (
            np.array([(1, 2.0)], dtype="u1,f8"),
            np.array([(1, 2.0)], dtype={"names": ["f0", "f1"], "formats": ["u1", "f8"], "offsets": [0, 8]}),
            True,
        ),
        (np.array([(1, 2.0)], dtype="u1,f8"), np.array([(1, 2.5)], dtype="u1,f8"), False),
    ],
)
def test_a_digest_is_of_the_parameters_alone(one, other, alike):
    """Equal parameters give equal digests, for any order in memory; one changed value does not."""
    assert (parameters_digest(one) == parameters_digest(other)) is alike


def test_an_object_inside_itself_has_a_digest():
    """A cycle ends."""
    model = Model([])
    model.parts.append(model)
    assert parameters_digest(model).startswith("params-")
