"""What users say of model objects is found again by the object, and goes with it."""

from __future__ import annotations

import gc

import pytest

from radiosonde._api.surface import Surface
from radiosonde._api.tags import Tag, Tags
from radiosonde._guard import Guard
from radiosonde.errors import ConfigurationError
from radiosonde.testing import fly


class Model:
    """Anything with a predict method."""


def test_tags_add_up_and_are_the_objects_own():
    """Earlier tags stay unless set again; another object has its own."""
    with fly() as rs:
        one, other = Model(), Model()
        rs.tag(one, name="delays", version="1")
        assert rs.tag(one, version="2", variant="canary") == Tag("delays", "2", "canary")
        assert rs.tag(one) == Tag("delays", "2", "canary")
        assert rs.tag(other) == Tag()


def test_the_environment_speaks_for_models_nobody_tagged():
    """A tag wins over the environment, part by part."""
    surface = Surface(
        Guard(reraise=True), environment={"RADIOSONDE_MODEL_NAME": "delays", "RADIOSONDE_MODEL_VERSION": "7"}
    )
    model = Model()
    surface.tag(model, version="8")
    assert surface.tag(model) == Tag("delays", "8", None)


def test_a_tag_dies_with_its_object():
    """A new object in the same place of memory has no tag."""
    tags = Tags()
    model = Model()
    place = id(model)
    tags.add(model, Tag("delays"))
    del model
    gc.collect()
    assert place not in tags._tags


def test_an_object_without_weak_references_is_refused():
    """A number cannot be tagged, and the message says what can be done."""
    with pytest.raises(ConfigurationError, match="RADIOSONDE_MODEL_NAME"):
        Tags().add(3, Tag("delays"))


def test_a_version_that_has_to_be_worked_out_is_asked_once_and_not_by_the_caller():
    """The series carries the version although the caller never waited for it."""
    asked = []

    def version() -> str:
        asked.append(1)
        return "sha256:abc"

    with fly() as rs:
        predict = rs.observe("delays", version=version)(lambda x: x)
        predict([1.0])
        predict([1.0])
        (window,) = rs.windows()
        assert (window.key.version, window.calls, asked) == ("sha256:abc", 2, [1])
        assert rs.current().version == "sha256:abc"


def test_a_version_that_cannot_be_worked_out_is_empty():
    """The failure is counted; the predictions count."""

    def version() -> str:
        raise OSError

    with fly(reraise=False) as rs:
        rs.observe("delays", version=version)(lambda x: x)([1.0])
        (window,) = rs.windows()
        assert (window.key.version, window.calls) == ("", 1)
        assert rs.statistics().guarded == {"version": 1}
