"""Labels meet their predictions, and each one has a counted result."""

from __future__ import annotations

import itertools
import math
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pytest

import radiosonde
from radiosonde._clock import wall_ns
from radiosonde._labels import label_queue
from radiosonde.errors import ConfigurationError
from radiosonde.model import name_of
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


def test_a_label_that_comes_before_its_prediction_was_drained_waits(rs):
    """For any order of drains and labels, each label finds its prediction in the end."""
    predict = rs.observe("first")(lambda _: "a")
    predict([0.0])
    made = radiosonde.current().id
    rs.label(made, "a")
    rs.label("order-7", "b")
    rs.pipeline()._parts.joiner.join()  # before any drain
    assert rs.statistics().labels["joined"] == 0
    predict([1.0])
    radiosonde.current().alias("order-7")
    assert results(rs) == {"joined": 2}


def test_the_same_label_again_is_a_duplicate_and_another_one_a_correction(rs):
    """A correction takes the former count back; nothing is counted twice."""
    made = predicted(rs, "yes")
    rs.label(made, "yes")
    rs.label(made, "yes")
    assert results(rs) == {"joined": 1, "duplicate": 1}
    rs.label(made, "no")
    assert results(rs) == {"joined": 1, "duplicate": 1, "corrected": 1}
    (labels,) = [window.labels for window in rs.windows() if window.labels]
    assert dict(labels.outcomes) == {("correct", "1h"): 1, ("incorrect", "1h"): 1}
    assert dict(labels.retractions) == {("correct", "1h"): 1}
    assert dict(zip(labels.classes, labels.class_counts.tolist(), strict=True)) == {"yes": 0, "no": 1}


def test_the_callers_own_id_labels_too(rs):
    """By parameter or by a callable; a prediction without one keeps ours."""
    predict = rs.observe("delays", id="order")(lambda x, order=None: "yes")
    for order in ("order-1", 17, None):
        predict([1.0], order=order)
    rs.observe("delays", id=lambda x: f"row-{x[0]:.0f}")(lambda x: "yes")([3.0])
    for own in ("order-1", "17", "row-3"):
        rs.label(own, "yes")
    assert results(rs) == {"joined": 3}


def test_an_id_that_cannot_be_read_is_counted_and_the_prediction_stays(rs):
    """Neither a wrong type nor an exception reaches the caller."""
    rs.observe("delays", id=lambda x: [x])(lambda x: "yes")([1.0])
    rs.observe("delays", id=lambda x: 1 / 0)(lambda x: "yes")([1.0])
    assert sum(window.calls for window in rs.windows()) == 2
    assert rs.losses() == {"own_id_unreadable": 2}


@pytest.mark.parametrize("columns", [list, np.array, pd.Series, pl.Series])
def test_columns_of_labels_are_taken_at_once(rs, columns):
    """Lists, arrays and Series; with one time for all, or one for each."""
    predict = rs.observe("delays")(lambda _: "yes")
    ids = []
    with rs.at(START_S):
        for _ in range(4):
            predict([1.0])
            ids.append(radiosonde.current().id)
    rs.label(columns(ids[:2]), columns(["yes", "no"]), START_S + 10)
    rs.label(columns(ids[2:]), columns(["yes", "no"]), columns([START_S + 10.0, START_S + 7200.0]))
    assert results(rs) == {"joined": 4}
    assert outcomes(rs) == {("correct", "1h"): 2, ("incorrect", "1h"): 1, ("incorrect", "1d"): 1}


@pytest.mark.parametrize(("values", "times"), [(["yes"], None), (["yes", "no"], [START_S]), ("yes", None)])
def test_columns_of_different_lengths_are_refused(rs, values, times):
    """Before any of them is taken, and the message counts."""
    with pytest.raises(ConfigurationError, match="label got"):
        rs.label(["a", "b"], values, times)
    assert results(rs) == {}


class Endless(list):
    """A list that goes on for ever."""

    def __iter__(self):
        return itertools.count()


class Unlistable(list):
    """A list that cannot be listed."""

    def __iter__(self):
        raise KeyError("mine")


@pytest.mark.parametrize(
    "column",
    [itertools.count(), Endless([1]), Unlistable([1]), range(10**12), iter(["x"])],
    ids=lambda column: type(column).__name__,
)
def test_columns_that_cannot_be_read_are_refused(rs, column):
    """A source that raises, is endless or too long raises a clear error; nothing is consumed forever."""
    with pytest.raises(ConfigurationError, match="label got"):
        rs.label(["x"], column)


def test_a_receipt_labels_in_a_process_that_never_saw_the_prediction():
    """The outcome counts under the series the receipt names, once; a forged one is refused."""
    keys = f"k1={'ab' * 32}"
    with fly(receipt_keys=keys) as server, server.at(START_S):
        server.observe("delays", version="2", classes=("no", "yes"))(lambda _: np.array([[0.25, 0.75]]))([1.0])
        receipt = radiosonde.current().receipt()
    with fly(receipt_keys=keys) as receiver:
        receiver.label(receipt, 1, START_S + 60)
        receiver.label(receipt, "yes", START_S + 60)
        receiver.label(receipt[:-1] + ("A" if receipt[-1] != "A" else "B"), "yes")
        assert results(receiver) == {"joined": 1, "duplicate": 1, "refused": 1}
        (window,) = receiver.windows()
        assert (window.key[:2], window.calls, dict(window.labels.outcomes)) == (
            ("delays", "2"),
            0,
            {("correct", "1h"): 1},
        )
    with fly() as keyless:
        keyless.label(receipt, 1)
        assert results(keyless) == {"refused": 1}


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


@pytest.mark.parametrize("prediction_id", ["", " ", None, True, 1.5, math.nan, pd.NA, object(), b"\xff"])
def test_what_is_no_id_is_invalid(rs, prediction_id):
    """What has no text, or an empty one; any other may be somebody's own id."""
    rs.label(prediction_id, "yes")
    assert results(rs) == {"invalid": 1}


@pytest.mark.parametrize(
    ("own_id", "said_as"),
    [(7, "7"), (7, np.int64(7)), (UUID(int=7), str(UUID(int=7))), (b"order", "order"), (np.str_("order"), "order")],
)
def test_an_own_id_of_any_type_meets_its_label(rs, own_id, said_as):
    """An id is the same as a number, a UUID, bytes or text, where it is given and where it is labelled."""
    rs.observe("m", id=lambda row: own_id)(lambda row: "yes")([1.0])
    rs.label(said_as, "yes")
    rs.label(own_id, "yes")
    assert results(rs) == {"joined": 1, "duplicate": 1}


@pytest.mark.parametrize("label", ["caf\udce9", "x" * 1000, 10**30, "late\n", np.str_("\ud800")])
@pytest.mark.parametrize("is_durable", [False, True])
def test_a_label_that_no_store_could_hold_meets_its_class(tmp_path, label, is_durable):
    """The class that was answered and the label are changed alike, in memory and in SQLite, and harm no other label."""
    with fly(labels=str(tmp_path / "labels.sqlite") if is_durable else None) as rs:
        answers = iter([str(label), "yes"])
        predict = rs.observe("m")(lambda row: next(answers))
        for said in (label, "yes"):
            predict([1.0])
            rs.label(radiosonde.current().id, said)
        assert rs.flush(60)
        assert results(rs) == {"joined": 2}
        (window,) = rs.windows()
        assert sorted(window.labels.classes) == sorted([name_of(label), "yes"])


def test_an_id_that_nobody_gave_out_waits_and_is_unknown_in_the_end(rs, monkeypatch):
    """Its prediction may be on its way in another process; after an hour it is not."""
    predicted(rs, "yes")
    rs.label("order-1", "yes")
    assert results(rs) == {}
    assert rs.pipeline()._label_queue.early == 1
    now_ns = wall_ns()
    monkeypatch.setattr(label_queue, "wall_ns", lambda: now_ns + 3601 * 10**9)
    assert results(rs) == {"unknown": 1}


def test_errors_and_batches_are_unknown_in_the_end(rs, monkeypatch):
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
    assert results(rs) == {}
    now_ns = wall_ns()
    monkeypatch.setattr(label_queue, "wall_ns", lambda: now_ns + 3601 * 10**9)
    assert results(rs) == {"unknown": 2}


def test_a_prediction_without_class_or_value_is_unanswered(rs):
    """There is nothing to compare the label with."""
    rs.label(predicted(rs, None), "yes")
    rs.label(predicted(rs, float("nan")), 1.5)
    assert results(rs) == {"unanswered": 2}


def test_residuals_of_a_regression(rs):
    """Label minus value, its square, and the lag; a label that is not a finite number is invalid."""
    predict = rs.observe("eta", task="regression")(lambda x: x[0])
    for value, label in ((10.0, 12), (10.0, np.float32(7.0)), (1.0, "one"), (1.0, math.inf), (1.0, math.nan)):
        predict([value])
        rs.label(radiosonde.current().id, label)
    assert results(rs) == {"joined": 2, "invalid": 3}
    (window,) = [window for window in rs.windows() if window.labels]
    assert (window.labels.residual_sum, window.labels.residual_square_sum) == (-1.0, 13.0)
    assert window.labels.classes == ("value",)


@pytest.mark.parametrize(
    ("lag_s", "lag", "edge"),
    [
        (-100, "1h", 0), (0, "1h", 0), (1, "1h", 0), (60, "1h", 2), (61, "1h", 3), (3600, "1h", 4), (3601, "1d", 5),
        (86400, "1d", 7), (86401, "7d", 8), (604800, "7d", 9), (604801, "inf", 10), (2_592_001, "inf", 12),
        (31_536_001, "inf", 14),
    ],
)  # fmt: skip
def test_lags(rs, lag_s, lag, edge):
    """The lag is counted from the event time; limits belong to the shorter class; before the event it is zero."""
    with rs.at(START_S):
        made = predicted(rs, "yes")
    rs.label(made, "yes", time=START_S + lag_s)
    assert outcomes_after_turn(rs) == {("correct", lag): 1}
    (window,) = [window for window in rs.windows() if window.labels]
    assert window.labels.lag_counts[0].tolist() == [int(place == edge) for place in range(15)]


def outcomes_after_turn(rs):
    """Return the outcomes after all that waits was joined."""
    rs.pipeline().take_turn()
    return outcomes(rs)


def test_a_full_queue_refuses_and_counts(monkeypatch):
    """Beyond the bound a label is lost by name, and the caller is not held up."""
    monkeypatch.setattr(label_queue, "QUEUE", 3)
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


@pytest.mark.parametrize("begin", ["label", "a label of nobody", "an invalid label"])
def test_what_labels_cannot_find_is_counted_once_there_are_labels(begin):
    """Predictions that were forgone before the first label count with it, each once; later ones at the next turn."""
    with fly(labels="memory") as rs:
        queue, known = rs.pipeline()._label_queue, predicted(rs, "yes")
        queue.forgo(3)
        queue.forgo(4)
        rs.flush()
        assert rs.losses() == {}
        rs.label(known if begin == "label" else "nobody" if begin == "a label of nobody" else "", "yes")
        for lost in (7, 7, 9):
            queue.forgo(lost - 7)
            rs.flush()
            assert rs.losses() == {"predictions_unjoinable": lost}


def test_labels_that_others_hand_over_count_too(tmp_path):
    """A process that never labels joins what another one labelled: then what labels cannot find is a loss here."""
    store = str(tmp_path / "store.sqlite")
    with fly(store=store) as rs, fly(store=store) as other:
        prediction_id = predicted(rs, "yes")
        rs.pipeline()._label_queue.forgo(5)
        rs.flush()
        assert rs.losses() == {}
        other.label(prediction_id, "yes")
        other.shutdown()
        rs.flush()
        counted = [each.statistics().labels.get("joined", 0) for each in (rs, other)]
        assert sum(counted) == 1
        assert rs.losses().get("predictions_unjoinable", 0) == (5 if counted[0] else 0)
