"""Labels meet their predictions, and each one has a counted result."""

from __future__ import annotations

import math

import numpy as np
import pytest

import radiosonde
from radiosonde._pipeline import labels as label_desk
from radiosonde.testing import fly

START_S = 1_362_096_000


@pytest.fixture
def rs():
    """Return a Radiosonde of the test's own."""
    with fly() as flight:
        yield flight


def results(rs):
    """Return the results that happened."""
    rs.pipeline().take_turn()
    return {name: count for name, count in rs.statistics().labels.items() if count}


def outcomes(rs):
    """Return the outcomes over all windows."""
    return {
        place: count for w in rs.windows() if w.labels is not None for place, count in sorted(w.labels.outcomes.items())
    }


def predicted(rs, answer, **options):
    """Predict *answer* once and return the id."""
    rs.observe("delays", **options)(lambda _: answer)([1.0])
    return radiosonde.current().id


def test_a_label_right_after_its_prediction_is_joined(rs):
    """Prediction and label may wait for the consumer together, many of them, in the same turn."""
    predict = rs.observe("delays")(lambda x: "yes" if x[0] else "no")
    for place in range(500):
        predict([float(place % 2)])
        rs.label(radiosonde.current().id, "yes")
    assert results(rs) == {"joined": 500}
    assert outcomes(rs) == {("correct", "1h"): 250, ("incorrect", "1h"): 250}


def test_labels_wait_for_a_turn_that_drains_their_lane(rs):
    """A turn for a busy lane alone joins nothing: the other lane's predictions are not drained yet."""
    pipeline = rs.pipeline()
    busy = rs.observe("busy")(lambda _: "a")
    busy([1.0])
    made = predicted(rs, "yes")
    rs.label(made, "yes")
    assert pipeline.take_turn(pipeline._lanes[:1])
    assert results(rs) == {"joined": 1}


def test_a_label_that_comes_during_the_drain_waits_for_the_next(rs):
    """Its prediction may have ended after its lane was drained; in the next turn it is there."""
    pipeline = rs.pipeline()
    slow = rs.observe("first")(lambda _: "a")
    late = rs.observe("second")(lambda _: "yes")
    late([0.0])  # drained first
    slow([0.0])
    pipeline.take_turn()
    lanes = pipeline._lanes
    lanes.sort(key=lambda lane: lane.stream.model, reverse=True)
    drain = lanes[1].drain

    def drain_while_predicting(guard):
        late([1.0])
        rs.label(radiosonde.current().id, "yes")
        return drain(guard)

    lanes[1].drain = drain_while_predicting
    with pipeline._turn:
        pass  # whoever had the turn is done
    pipeline.take_turn()
    lanes[1].drain = drain
    while pipeline._labels.waiting:
        pipeline.take_turn()
    assert set(results(rs)) == {"joined"}


def test_the_second_label_is_a_duplicate(rs):
    """Only the first counts."""
    made = predicted(rs, "yes")
    rs.label(made, "yes")
    rs.label(made, "no")
    assert results(rs) == {"joined": 1, "duplicate": 1}
    assert outcomes(rs) == {("correct", "1h"): 1}


def test_an_unusable_value_does_not_use_up_the_prediction(rs):
    """After a label without a value the right one still counts."""
    made = predicted(rs, "yes")
    for value in (None, float("nan"), [1], {"a": 1}, np.array([1, 2]), ("yes",)):
        rs.label(made, value)
    rs.label(made, "yes")
    assert results(rs) == {"invalid": 6, "joined": 1}


def test_a_value_that_raises_when_it_is_read_is_invalid(rs):
    """An object whose text cannot be made harms neither the turn nor the labels behind it."""

    class Broken:
        def __str__(self):
            raise RuntimeError("no text")

    made = predicted(rs, "yes")
    rs.label(made, Broken())
    rs.label(made, "yes")
    assert results(rs) == {"invalid": 1, "joined": 1}


@pytest.mark.parametrize("prediction_id", ["", "x" * 32, "12", "g" * 32, " " * 32, None, 7, b"0" * 32, "-" + "1" * 31])
def test_what_is_no_id_is_invalid(rs, prediction_id):
    """Text that is not 32 hexadecimal digits, and what is no text."""
    rs.label(prediction_id, "yes")
    assert results(rs) == {"invalid": 1}


def test_an_id_of_another_process_is_unknown(rs):
    """A well-formed id that this process did not give out."""
    predicted(rs, "yes")
    rs.label("0" * 32, "yes")
    assert results(rs) == {"unknown": 1}


def test_errors_batches_and_forgotten_predictions_are_unknown(rs):
    """Only single rows that ended with a result can be labelled."""

    @rs.observe("delays")
    def predict(rows):
        if rows[0] == [9.0]:
            raise ValueError
        return np.array([[0.2, 0.8]] * len(rows))

    predict([[1.0], [2.0]])
    rs.label(radiosonde.current().id, "1")
    with pytest.raises(ValueError):  # noqa: PT011
        predict([[9.0]])
    rs.label(radiosonde.current().id, "1")
    assert results(rs) == {"unknown": 2}


def test_a_prediction_without_class_or_value_is_unanswered(rs):
    """There is nothing to compare the label with."""
    rs.label(predicted(rs, None), "yes")
    rs.label(predicted(rs, float("nan")), 1.5)
    assert results(rs) == {"unanswered": 2}


def test_residuals_of_a_regression(rs):
    """Label minus value, its square, and the lag; a label that is no finite number is invalid."""
    predict = rs.observe("eta", task="regression")(lambda x: x[0])
    for value, label in ((10.0, 12), (10.0, np.float32(7.0)), (1.0, "1.0"), (1.0, math.inf), (1.0, math.nan)):
        predict([value])
        rs.label(radiosonde.current().id, label)
    assert results(rs) == {"joined": 2, "invalid": 3}
    (window,) = [window for window in rs.windows() if window.labels]
    assert (window.labels.residual_sum, window.labels.residual_square_sum) == (-1.0, 13.0)
    assert window.labels.classes == ("value",)


@pytest.mark.parametrize(
    ("lag_s", "lag", "edge"),
    [
        (-100, "1h", 0), (0, "1h", 0), (60, "1h", 0), (61, "1h", 1), (3600, "1h", 3), (3601, "1d", 4),
        (86400, "1d", 7), (86401, "7d", 8), (604800, "7d", 9), (604801, "inf", 10), (2_592_001, "inf", 12),
    ],
)  # fmt: skip
def test_lags(rs, lag_s, lag, edge):
    """The lag is counted from the event time; limits belong to the shorter class; before the event it is zero."""
    with rs.at(START_S):
        made = predicted(rs, "yes")
    rs.label(made, "yes", time=START_S + lag_s)
    assert outcomes_after_turn(rs) == {("correct", lag): 1}
    (window,) = [window for window in rs.windows() if window.labels]
    assert window.labels.lag_counts[0].tolist() == [int(place == edge) for place in range(13)]


def outcomes_after_turn(rs):
    """Return the outcomes after all that waits was joined."""
    rs.pipeline().take_turn()
    return outcomes(rs)


def test_the_outcome_belongs_to_the_window_and_cohort_of_the_prediction(rs):
    """However late the label, it counts where the prediction did."""
    with rs.at(START_S + 70), rs.cohort(plan="pro"):
        made = predicted(rs, "yes")
    with rs.at(START_S + 100_000):
        predicted(rs, "yes")
    rs.label(made, "no", time=START_S + 99_999)
    rs.pipeline().take_turn()
    windows = rs.pipeline()._aggregator.close(everything=True)
    (window,) = [window for window in windows if window.labels]
    assert window.start_ns == (START_S + 60) * 10**9
    assert window.key.cohort.startswith("plan=")


def test_a_full_queue_refuses_and_counts(monkeypatch):
    """Beyond the bound a label is lost by name, and the caller is not held up."""
    monkeypatch.setattr(label_desk, "QUEUE", 3)
    with fly() as rs:
        made = predicted(rs, "yes")
        with rs.pipeline()._turn:
            for _ in range(5):
                rs.label(made, "yes")
        assert rs.losses() == {"label_queue_full": 2}
        assert results(rs) == {"joined": 1, "duplicate": 2}


def test_names_of_labels_are_bounded(rs):
    """A label column that is really an identifier cannot make tables without end; the overflow is counted."""
    predict = rs.observe("delays")(lambda _: "yes")
    for place in range(130):
        predict([1.0])
        rs.label(radiosonde.current().id, f"order-{place}")
    assert results(rs) == {"joined": 130}
    (window,) = [window for window in rs.windows() if window.labels]
    assert len(window.labels.classes) == 101
    assert window.labels.class_counts[window.labels.classes.index("__other__")] == 30
    assert rs.losses() == {"class_overflow": 30}
