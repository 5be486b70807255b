"""A label and a prediction: its class or number, the statement in force, and the counts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde._join.label_values import class_name
from radiosonde._join.matching import FoundPrediction, LaneCodes, match, parse_id
from radiosonde.model import SeriesKey
from tests.unit.join.predictions import CLASSES, VALUES, S

CODES = LaneCodes(CLASSES)
LATE = FoundPrediction(CODES, 100 * S, math.nan, 0.75, 1, 1, b"\x01\x02\x03")
ETA = FoundPrediction(LaneCodes(VALUES), 100 * S, 10.0, math.nan, -1, 0, b"")


def say(prediction, *statements):
    """Match statements (value, second) one after the other; return results, outcomes and statements."""
    stated, results, outcomes = None, [], []
    for value, time_s in statements:
        result, outcome, after = match(value, time_s * S, prediction, stated)
        stated = after or stated
        results.append(result)
        outcomes += [] if outcome is None else [outcome]
    return results, outcomes, stated


def test_an_outcome_carries_all_that_its_window_needs():
    """Series, time, answer, label, lag, cells and what they are cells of."""
    _, (outcome,), _ = say(LATE, ("no", 160))
    assert outcome.key == SeriesKey("delays", "2", "stable", "plan=pro")
    assert (outcome.event_ns, outcome.predicted, outcome.confidence) == (100 * S, "yes", 0.75)
    assert (outcome.label, outcome.lag_s, outcome.former) == ("no", 60.0, None)
    assert (outcome.classes, outcome.cells, outcome.grid) == (("no", "yes"), b"\x01\x02\x03", "g1")
    assert outcome.features == ("wind", "rain", "age")
    assert math.isnan(outcome.value)


def test_a_value_is_compared_with_a_number():
    """Truth values and whole numbers are numbers; text, infinities and NaN are not."""
    results, (outcome, *_), _ = say(ETA, ("dozen", 1), (math.inf, 1), (math.nan, 1), (True, 100))
    assert results == ["invalid", "invalid", "invalid", "joined"]
    assert (outcome.predicted, outcome.value, outcome.label, outcome.cells) == ("", 10.0, 1.0, b"")


def test_a_label_before_its_prediction_has_no_lag():
    """A clock that is behind does not make a lag negative."""
    _, (outcome,), _ = say(LATE, ("no", 40))
    assert outcome.lag_s == 0.0


def test_a_prediction_without_an_answer_takes_no_label():
    """There is nothing to compare the label with."""
    assert say(LATE._replace(class_code=-1), ("no", 200)) == (["unanswered"], [], None)


def test_a_correction_takes_the_former_label_back():
    """With the lag it was counted with."""
    results, (_, outcome), _ = say(LATE, ("no", 160), ("yes", 170))
    assert results == ["joined", "corrected"]
    assert (outcome.label, outcome.lag_s, outcome.former, outcome.former_lag_s) == ("yes", 70.0, "no", 60.0)


def test_the_same_value_again_does_not_make_a_label_late():
    """A nightly job sends all labels again; the lag is that of the first time. An older statement changes nothing either."""
    results, outcomes, _ = say(LATE, ("no", 160), ("no", 86_400), (0, 90_000), ("yes", 170))
    assert results == ["joined", "duplicate", "duplicate", "duplicate"]
    assert len(outcomes) == 1


def test_an_earlier_statement_of_the_same_value_moves_the_lag():
    """It only changes the time: the outcome is counted again with the shorter lag."""
    results, (_, outcome), _ = say(LATE, ("no", 170), ("no", 160))
    assert results == ["joined", "duplicate"]
    assert (outcome.label, outcome.lag_s, outcome.former, outcome.former_lag_s) == ("no", 60.0, "no", 70.0)


def test_a_value_that_returns_is_known_since_it_was_first_stated():
    """No, yes, and no again: no was known all along."""
    for order in itertools.permutations([("no", 110), ("yes", 130), ("no", 150)]):
        _, outcomes, stated = say(LATE, *order)
        assert stated.statements[0] == ("no", 110 * S, 150 * S)
        assert (outcomes[-1].label, outcomes[-1].lag_s) == ("no", 10.0)


@given(st.lists(st.tuples(st.sampled_from(["no", "yes", "maybe", 0, True]), st.integers(90, 110)), min_size=1))
def test_the_order_of_statements_does_not_matter(said):
    """Outcomes minus what they take back leave one label, the same for the reverse order."""
    nets = []
    for order in (said, said[::-1]):
        net = {}
        for outcome in say(LATE, *order)[1]:
            net[outcome.label, outcome.lag_s] = net.get((outcome.label, outcome.lag_s), 0) + 1
            if outcome.former is not None:
                net[outcome.former, outcome.former_lag_s] -= 1
        nets.append({key: count for key, count in net.items() if count})
    assert nets[0] == nets[1]
    assert list(nets[0].values()) == [1]


def test_distinct_values_of_one_prediction_are_bounded():
    """The newest sixteen are kept."""
    _, _, stated = say(ETA, *((float(number), number) for number in range(40)))
    assert [each.value for each in stated.statements] == [float(number) for number in range(39, 23, -1)]


def test_a_correction_takes_back_no_cells_that_were_not_counted():
    """The first label met a receipt, which has no cells; the second meets the record, which has."""
    _, _, stated = say(LATE._replace(cells=b""), ("no", 160))
    outcome = match("yes", 170 * S, LATE, stated).outcome
    assert (outcome.cells, outcome.grid, outcome.features) == (b"", "", ())


def test_codes_without_a_name_are_called_something():
    """Names may be lost with a disk; counts are not."""
    _, (outcome,), _ = say(LATE._replace(class_code=9, series=9), ("no", 160))
    assert (outcome.key.cohort, outcome.predicted) == ("__overflow__", "9")


@pytest.mark.parametrize(
    ("value", "classes", "declared", "name"),
    [
        ("yes", ["no", "yes"], 0, "yes"),
        (1, ["1", "0"], 0, "1"),
        (1.0, ["1", "0"], 0, "1"),
        (np.float64(1.0), ["1", "0"], 0, "1"),
        (np.int64(0), ["1", "0"], 0, "0"),
        (True, ["1", "0"], 0, "1"),
        (np.True_, ["1", "0"], 0, "1"),
        (1, ["False", "True"], 0, "True"),
        (True, ["False", "True"], 0, "True"),
        (0.0, ["True", "False"], 0, "False"),
        (1, ["no", "yes"], 2, "yes"),
        (True, ["no", "yes"], 2, "yes"),
        (1, ["no", "yes"], 0, "1"),  # learned from answers: no positions
        (2, ["no", "yes", "maybe"], 2, "2"),
        (True, ["no", "yes"], 0, "True"),
        ("1", ["no", "yes"], 2, "yes"),
        (-1, ["no", "yes"], 2, "-1"),
        (0.5, ["no", "yes"], 2, "0.5"),
        (None, ["no"], 1, None),
        (float("nan"), ["no"], 1, None),
        (np.array([0]), ["no"], 1, None),
        (frozenset({1}), ["no"], 1, None),
    ],
)
def test_the_class_a_label_names(value, classes, declared, name):
    """By text, then as truth value or number, then by position among declared classes."""
    assert class_name(value, classes, declared) == name


def test_pandas_missing_values_name_no_class():
    """NA and NaT are missing labels."""
    pandas = pytest.importorskip("pandas")
    assert class_name(pandas.NA, ["no"], 1) is None
    assert class_name(pandas.NaT, ["no"], 1) is None


def test_parts_of_an_id():
    """Start, nonce and index, high to low."""
    assert parse_id(f"{5:016x}{6:08x}{7:08x}") == (5, 6, 7)
