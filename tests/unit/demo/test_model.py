from __future__ import annotations

from math import nan

import pytest

from radiosonde_demo.flights import training_flights
from radiosonde_demo.model import FEATURES, DelayModel, train

QUIET = dict(
    zip(FEATURES, ("UA", "JFK", "LAX", 8, 2475.0, 40.0, 30.0, 60.0, nan, 5.0, nan, 0.0, nan, 10.0), strict=True)
)
STORM = {
    **QUIET,
    "carrier": "EV",
    "origin": "EWR",
    "dest": "ORD",
    "hour": 19,
    "wind_speed": 35.0,
    "wind_gust": 45.0,
    "precip": 0.4,
    "visib": 0.5,
    "pressure": 990.0,
}


@pytest.fixture(scope="module")
def models():
    """Return both versions, trained."""
    flights = training_flights()
    return [train("1.0.0", flights, with_dest=False), train("2.0.0", flights, with_dest=True)]


def test_a_prediction_is_a_class_with_the_probability_of_that_class(models):
    """A quiet morning is on time and a stormy evening late, each with a probability of at least one half."""
    for model in models:
        quiet, storm = model.predict(QUIET), model.predict(STORM)
        assert (quiet["label"], storm["label"]) == ("on_time", "late")
        assert 0.5 <= quiet["probability"] <= 1
        assert 0.5 <= storm["probability"] <= 1


def test_a_destination_never_seen_is_answered_as_an_average_one(models):
    """The second version uses the destination, and an unseen one is not an error."""
    assert models[1].predict({**QUIET, "dest": "XXX"})["label"] == "on_time"


def test_a_carrier_missing_from_the_table_is_a_key_error(models):
    """The encoding has no code for a carrier that its table does not hold."""
    with pytest.raises(KeyError, match="WN"):
        models[1].predict({**QUIET, "carrier": "WN"}, {"UA": 0.2})


def test_a_saved_model_predicts_the_same(models, tmp_path):
    """The server's copy of a model gives the same answer to the last bit."""
    models[1].save(tmp_path / "v2.pickle")
    assert DelayModel.load(tmp_path / "v2.pickle").predict(STORM) == models[1].predict(STORM)
