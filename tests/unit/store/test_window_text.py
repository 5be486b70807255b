"""A window as one document is the window, whatever its names and numbers are, and whichever version wrote it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from radiosonde.model import SeriesKey, Window
from radiosonde.sketches.merge import with_key
from radiosonde.store.window_text import window_of_text, window_text
from tests.factories import make_features, make_reference, make_window
from tests.unit.store.strategies import assert_same
from tests.window_strategies import windows

THOROUGH = settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def without_sketches(window: Window) -> Window:
    """Return *window* without its sketches."""
    return window if window.features is None else replace(window, features=replace(window.features, sketches={}))


@THOROUGH
@given(windows())
def test_a_document_gives_back_every_field_but_sketches(window: Window) -> None:
    """Bit by bit, numbers that are not finite included; and it is strict JSON."""
    text = window_text(window, process="here", written_ns=7)
    document = json.loads(text, parse_constant=pytest.fail)
    assert document["written_ns"] == 7
    assert_same(window_of_text(text), replace(without_sketches(window), process=window.process or "here"))


@pytest.mark.parametrize("name", ["[wind]", '"', "{}", "null", "\\", "Wind, \u00e9", ""], ids=range(7))
def test_the_name_of_a_feature_is_text(name: str) -> None:
    """A name that looks as a list, a document or a number is a name."""
    reference = make_reference()
    features = make_features(reference, {"wind": [40, 60, 0, 0, 0, 0]})
    window = make_window(features=replace(features, names=(name,) * len(features.names)))
    (first, *_) = window_of_text(window_text(window, process="", written_ns=0)).features.names
    assert first == name


def test_a_lone_surrogate_is_spelled_out() -> None:
    """UTF-8, in which documents travel, cannot hold it; a store spells it the same way."""
    window = with_key(make_window(), SeriesKey("a\ud800", "1", "stable", ""))
    text = window_text(window, process="", written_ns=0)
    assert window_of_text(text.encode().decode()).key.model == "aU+D800"


def test_columns_that_a_reader_does_not_know_are_ignored_and_missing_ones_have_defaults() -> None:
    """A fleet is not upgraded at once: a newer document and an older one are read."""
    window = make_window()
    document = json.loads(window_text(window, process="", written_ns=0))
    newer = {**document, "invented_later": {"a": 1}}
    assert_same(window_of_text(json.dumps(newer)), window)
    former = {name: cell for name, cell in document.items() if name not in {"feature_rows", "lost", "label_tables"}}
    assert_same(window_of_text(json.dumps(former)), window)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"start_ns": 1}', "{", '{"model": null}'], ids=range(6))
def test_a_damaged_document_is_refused(text: str) -> None:
    """With an error that a reader catches."""
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        window_of_text(text)
