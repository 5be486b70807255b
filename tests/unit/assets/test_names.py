"""Queries can name only what the registry declares."""

from __future__ import annotations

import re

import pytest

from radiosonde.assets.names import UnknownNameError, any_of, bound, label, series
from radiosonde.semconv import attributes, metrics


@pytest.mark.parametrize(
    ("asked", "selector"),
    [
        ((metrics.PREDICTION_CALLS,), "radiosonde_prediction_calls_total"),
        ((metrics.MODEL_INFO,), "radiosonde_model_info"),
        ((metrics.FEATURE_REFERENCE_RATIO, {}), "radiosonde_feature_reference_ratio"),
        (
            (metrics.PREDICTION_DURATION, {"le": bound(0.3)}, "bucket"),
            'radiosonde_prediction_duration_seconds_bucket{le="0.3"}',
        ),
        (
            (metrics.PREDICTION_DURATION, {attributes.MODEL_NAME: "!~a|b", "le": bound(2)}, "bucket"),
            'radiosonde_prediction_duration_seconds_bucket{radiosonde_model_name!~"a|b", le=~"2([.]0)?"}',
        ),
        (
            (metrics.SDK_LOSSES, {attributes.LOSS_REASON: 'a"b\\'}),
            'radiosonde_sdk_losses_total{radiosonde_loss_reason="a\\"b\\\\"}',
        ),
    ],
)
def test_a_selector_is_spelled_as_a_scrape_spells_it(asked, selector):
    """Suffixes, parts of histograms, matchers and their quoting."""
    assert series(*asked) == selector


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (("radiosonde.prediction.cals",), "no metric 'radiosonde.prediction.cals'"),
        ((metrics.PREDICTION_DURATION,), "is a histogram"),
        ((metrics.PREDICTION_CALLS, {}, "count"), "is a counter"),
        ((metrics.FEATURE_CELL, {attributes.COHORT: "a"}), "has no attribute 'radiosonde.cohort'"),
        ((metrics.PREDICTION_CALLS, {"le": "1"}), "has no attribute 'le'"),
        ((metrics.PREDICTION_DURATION, {"le": "1"}, "sum"), "has no attribute 'le'"),
    ],
)
def test_what_the_registry_does_not_know_is_refused(asked, complaint):
    """Metrics, parts, and attributes that a metric does not carry."""
    with pytest.raises(UnknownNameError, match=complaint):
        series(*asked)


def test_a_label_that_no_metric_has_is_refused():
    """Attributes of spans are no labels."""
    assert label(attributes.FEATURE_NAME) == "radiosonde_feature_name"
    with pytest.raises(UnknownNameError, match=r"radiosonde\.cells"):
        label(attributes.CELLS)


@pytest.mark.parametrize("model", ["delays", "GET /fares/{id}", "a|b", "x.y+z", "(1)", "[a]^$", "back\\slash"])
def test_a_regular_expression_of_names_matches_them_alone(model):
    """Names of routes hold characters that expressions give a meaning."""
    pattern = any_of([model, "other"])
    assert re.fullmatch(pattern, model)
    assert re.fullmatch(pattern, "other")
    assert not re.fullmatch(pattern, model + "x")
