"""Every table of `LabelCounts` against one that is counted row by row, from the whole list of outcomes."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde._aggregate.outcome_cells import _PENDING
from radiosonde._aggregate.outcomes import OutcomeState
from radiosonde.model import LAG, LAGS, OTHER_WRONG, OVERFLOW_CLASS, LabelCounts, Outcome, SeriesKey, widened
from radiosonde.model.bins import LAG_EDGES_S

KEY = SeriesKey("delays", "1")
FEATURES = ("wind", "rain", "carrier")
BODY = 5
# Quarters and eighths add up exactly in any order, so sums can be compared for equality.
CONFIDENCES = st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 0.875, 1.0, math.nan])
LAGS_S = st.sampled_from([-5.0, 0.0, 1.0, 60.0, 61.0, 3600.0, 3601.0, 86400.0, 604800.0, 604801.0, 4e7, math.nan])
CLASSES = st.sampled_from(["no", "yes", "maybe"])
CELL = st.sampled_from([*range(BODY), 252, 253, 254, 255])


@st.composite
def outcomes(draw: st.DrawFn, *, is_class: bool) -> Outcome:
    """Draw a label, a correction, or a label that never came."""
    labels = CLASSES if is_class else st.integers(-8, 8).map(lambda number: number / 4)
    former = draw(st.none() | labels)
    has_cells = draw(st.booleans())
    return Outcome(
        KEY,
        0,
        draw(CLASSES) if is_class else "",
        draw(CONFIDENCES) if is_class else math.nan,
        math.nan if is_class else draw(st.integers(-8, 8)) / 4,
        draw(labels if former is not None else st.none() | labels),
        draw(LAGS_S),
        former,
        draw(LAGS_S) if former is not None else math.nan,
        draw(st.sampled_from([(), ("no", "yes"), ("no", "yes", "maybe")])) if is_class else (),
        bytes(draw(st.tuples(*[CELL] * 3))) if has_cells else b"",
        "g1" if has_cells else "",
        FEATURES if has_cells else (),
    )


class Slow:
    """The tables, from their docstrings and nothing else."""

    def __init__(self, given_outcomes: list[Outcome]) -> None:
        self.outcomes, self.retractions = Counter(), Counter()
        self.classes, self.first, self.in_force = Counter(), Counter(), Counter()
        self.calibration, self.joint, self.cells, self.residual_cells = Counter(), Counter(), Counter(), Counter()
        self.residuals = [0.0, 0.0, 0.0]
        self.correct_retractions, self.joint_retractions, self.lag_sums = Counter(), Counter(), Counter()
        self.signed = {1: [0.0, 0.0, 0.0], -1: [0.0, 0.0, 0.0]}
        self.never = sum(outcome.label is None for outcome in given_outcomes)
        for outcome in given_outcomes:
            if outcome.label is not None:
                self.count(outcome)

    def count(self, outcome: Outcome) -> None:
        """Count one outcome."""
        is_class = math.isnan(outcome.value)
        stated = [(outcome.label, outcome.lag_s, 1)]
        if outcome.former is not None:
            stated.append((outcome.former, outcome.former_lag_s, -1))
        else:
            bucket = sum(not outcome.lag_s <= edge for edge in LAG_EDGES_S)
            self.first[outcome.label if is_class else "value", bucket] += 1
            if outcome.lag_s > 0:
                self.lag_sums[outcome.label if is_class else "value"] += outcome.lag_s
            if is_class and not math.isnan(outcome.confidence):
                self.calibration[place(outcome.confidence), 0] += 1
                self.calibration[place(outcome.confidence), 2] += outcome.confidence
        for label, lag_s, sign in stated:
            name = label if is_class else "value"
            self.classes[name] += sign
            self.in_force[name, min(sum(not lag_s <= bound for bound in LAG.upper_bounds_s()), 99)] += sign
            missed = self.count_class(outcome, label, lag_s, sign) if is_class else label - outcome.value
            if not is_class:
                for moment, value in enumerate((missed, missed**2, abs(missed))):
                    self.residuals[moment] += sign * value
                for part, value in enumerate((max(missed, 0), max(-missed, 0), missed**2)):
                    self.signed[sign][part] += value
            for feature, cell in enumerate(outcome.cells):
                column = cell - 256 if cell > 251 else cell
                self.cells[name, feature, column] += sign
                if not math.isnan(missed):
                    for moment in range(3):
                        self.residual_cells[feature, column, moment] += sign * missed**moment

    def count_class(self, outcome: Outcome, label: str, lag_s: float, sign: int) -> float:
        """Count the class tables; return the residual."""
        correct = label == outcome.predicted
        lag = next((lag for lag, bound in zip(LAGS, (3600, 86400, 604800), strict=False) if lag_s <= bound), "inf")
        (self.outcomes if sign > 0 else self.retractions)["correct" if correct else "incorrect", lag] += 1
        confidence = outcome.confidence
        if math.isnan(confidence):
            self.joint[outcome.predicted, label, 20, 0] += sign
            self.joint_retractions[outcome.predicted, label, 20, 0] += sign < 0
            return math.nan
        self.calibration[place(confidence), 1] += sign * correct
        self.correct_retractions[(place(confidence),)] += sign < 0 and correct
        for moment in range(3):
            self.joint[outcome.predicted, label, place(confidence), moment] += sign * confidence**moment
            if sign < 0:
                self.joint_retractions[outcome.predicted, label, place(confidence), moment] += confidence**moment
        if outcome.classes == ("no", "yes") and outcome.predicted != "maybe":
            probability = confidence if outcome.predicted == "yes" else 1 - confidence
            return (label == "yes") - probability
        return correct - confidence


def place(confidence: float) -> int:
    """Return the confidence bin."""
    return next(index for index in range(20) if confidence < (index + 1) / 20 or index == 19)


def occupied(table: np.ndarray) -> dict[tuple[int, ...], float]:
    """Return the non-zero entries of a table, by place."""
    return {tuple(map(int, where)): table[tuple(where)].item() for where in np.argwhere(table)}


def kept(counter: Counter) -> dict:
    """Return the non-zero entries of a counter."""
    return {key: value for key, value in counter.items() if value}


def assert_counts(labels: LabelCounts, slow: Slow) -> None:
    """Fail unless both hold the same numbers."""
    assert (labels.outcomes, labels.retractions, labels.never) == (slow.outcomes, slow.retractions, slow.never)
    assert occupied(labels.calibration) == kept(slow.calibration)
    assert dict(zip(labels.classes, labels.class_counts.tolist(), strict=True)) == slow.classes
    by_name = lambda table: {(labels.classes[row], column): n for (row, column), n in occupied(table).items()}  # noqa: E731
    assert by_name(labels.lag_counts) == kept(slow.first)
    assert by_name(labels.lags) == kept(slow.in_force)
    for joint, counted in ((labels.joint, slow.joint), (labels.joint_retractions, slow.joint_retractions)):
        found = {(*pair, *where): n for pair, table in joint.items() for where, n in occupied(table).items()}
        assert found == kept(counted)
    assert occupied(labels.correct_retractions) == kept(slow.correct_retractions)
    assert [labels.residuals_counted.tolist(), labels.residuals_retracted.tolist()] == [slow.signed[1], slow.signed[-1]]
    assert {labels.classes[row]: n for (row,), n in occupied(labels.lag_sums_s).items()} == kept(slow.lag_sums)
    assert [labels.residual_sum, labels.residual_square_sum, labels.residual_absolute_sum] == slow.residuals
    for (name, feature, column), count in slow.cells.items():
        assert labels.cells[name][feature, column] == count
    assert sum(int(np.abs(table).sum()) for table in labels.cells.values()) == sum(map(abs, slow.cells.values()))
    for cell, value in slow.residual_cells.items():
        assert labels.residual_cells[cell] == value
    assert np.abs(labels.residual_cells).sum() == sum(map(abs, slow.residual_cells.values()))


@given(st.lists(outcomes(is_class=True), max_size=30) | st.lists(outcomes(is_class=False), max_size=30), st.data())
def test_every_table_is_what_its_docstring_says(drawn, data):
    """Classes and values, with and without cells, corrections and labels that never came; frozen in between or not."""
    state = OutcomeState(data.draw(st.sampled_from([0, BODY])))
    for outcome in drawn:
        if data.draw(st.booleans()):
            state.freeze()
        state.add(outcome)
    assert_counts(state.freeze(), Slow(drawn))


def test_many_outcomes_are_counted_like_one_by_one():
    """More rows than are kept at a time, in tables that grow on the way."""
    drawn = [
        Outcome(KEY, 0, "yes", 0.5, math.nan, "yes" if row % 3 else "no", 60.0, None, math.nan, ("no", "yes"),
                bytes((row % 2, 255, row // 1000)), "g1", FEATURES)
        for row in range(2 * _PENDING + 10)
    ]  # fmt: skip
    state = OutcomeState()
    state.update(drawn)
    labels = state.freeze()
    assert_counts(labels, Slow(drawn))
    assert {name: table.shape for name, table in labels.cells.items()} == {"no": (3, 7), "yes": (3, 7)}


def test_a_correction_that_is_corrected_leaves_the_last_label():
    """Yes at once, no a day later, yes again after a week: net counts are those of one label."""
    lags = {"yes": 10.0, "no": 90_000.0}
    first = Outcome(
        KEY, 0, "yes", 0.75, math.nan, "yes", 10.0, None, math.nan, ("no", "yes"), b"\1\2\xff", "g1", FEATURES
    )
    second = Outcome(
        KEY, 0, "yes", 0.75, math.nan, "no", 90_000.0, "yes", 10.0, ("no", "yes"), b"\1\2\xff", "g1", FEATURES
    )
    third = Outcome(
        KEY, 0, "yes", 0.75, math.nan, "yes", 7e5, "no", lags["no"], ("no", "yes"), b"\1\2\xff", "g1", FEATURES
    )
    state = OutcomeState()
    state.update([first, second, third])
    labels = state.freeze()
    assert labels.outcomes == {("correct", "1h"): 1, ("incorrect", "7d"): 1, ("correct", "inf"): 1}
    assert labels.retractions == {("correct", "1h"): 1, ("incorrect", "7d"): 1}
    assert labels.calibration[15].tolist() == [1.0, 1.0, 0.75]
    assert dict(zip(labels.classes, labels.class_counts.tolist(), strict=True)) == {"yes": 1, "no": 0}
    assert labels.lag_counts.sum(axis=1).tolist() == [1, 0]
    assert labels.joint["yes", "yes"][15].tolist() == [1.0, 0.75, 0.5625]
    assert not labels.joint["yes", "no"].any()
    assert labels.cells["yes"].sum() == 3
    assert not labels.cells["no"].any()
    assert labels.residual_cells[0, 1].tolist() == [1.0, 0.25, 0.0625]


def test_classes_beyond_the_bound_are_right_or_wrong_as_they_were():
    """Who folds two classes into one name gives a wrong answer another name than the right one."""
    state = OutcomeState()
    state.add(Outcome(KEY, 0, OVERFLOW_CLASS, 0.5, math.nan, OVERFLOW_CLASS, 1.0))
    state.add(Outcome(KEY, 0, OVERFLOW_CLASS, 0.5, math.nan, OTHER_WRONG, 1.0))
    assert state.freeze().outcomes == {("correct", "1h"): 1, ("incorrect", "1h"): 1}


def test_one_state_holds_one_grid():
    """Cells of another grid, or of another number of features, are refused before anything of them is counted."""
    cells = Outcome(KEY, 0, "yes", 0.5, math.nan, "yes", 1.0, cells=b"\0\1\2", grid="g1", features=FEATURES)
    state = OutcomeState()
    state.add(cells)
    for other, says in (
        (
            Outcome(KEY, 0, "no", 0.5, math.nan, "no", 1.0, cells=b"\0\1\2", grid="g2", features=FEATURES),
            "g2 do not add",
        ),
        (
            Outcome(KEY, 0, "no", 0.5, math.nan, "no", 1.0, cells=b"\0", grid="g1", features=FEATURES),
            "1 bytes of cells for 3",
        ),
    ):
        with pytest.raises(ValueError, match=says):
            state.add(other)
    assert_counts(state.freeze(), Slow([cells]))


def test_widened_tables_keep_the_special_cells_last():
    """Empty body columns are inserted before below, above, null and unseen; a wide table is unchanged."""
    table = np.arange(10).reshape(2, 5)
    assert widened(table, 7).tolist() == [[0, 0, 0, 1, 2, 3, 4], [5, 0, 0, 6, 7, 8, 9]]
    assert widened(table, 5) is table
