"""Batches that have no room for all of their rows: features are sampled, and everything else is counted exactly."""

from __future__ import annotations

import threading
import tracemalloc
from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from radiosonde._record import output_batches
from radiosonde._record.class_codes import distinct
from radiosonde._record.output_batches import PIECE_ROWS
from radiosonde.model import losses
from radiosonde.reference.profile import Reference
from radiosonde.testing import fly
from tests.unit.record.slots import last_header, last_token

ROWS = [5_461, 20_000, PIECE_ROWS + 1, 100_000]
SMALL = {"ring_bytes": 65_536}


@pytest.fixture(autouse=True)
def in_time(monkeypatch):
    """Let no machine be too slow to count in time, which is a matter of milliseconds on most."""
    monkeypatch.setattr(output_batches, "COUNTING_NS", 1 << 62)


def chances_of(rows):
    """Return chances of three classes, shape (rows, 3), the first twice as likely as the last."""
    return np.random.default_rng(rows).dirichlet([2.0, 1.5, 1.0], rows)


def names_of(rows):
    """Return a class a row: 90 %, 9.9 % and 0.1 %."""
    return np.random.default_rng(rows).choice(["no", "yes", "rare"], rows, p=[0.9, 0.099, 0.001])


CLASSES = {
    "an array": names_of,
    "an array of objects": lambda rows: names_of(rows).astype(object),
    "a list": lambda rows: names_of(rows).tolist(),
    "a series": lambda rows: pd.Series(names_of(rows)),
    "a polars series": lambda rows: pl.Series(names_of(rows)),
    "an arrow array": lambda rows: pa.array(names_of(rows)),
    "a column": lambda rows: pd.DataFrame({"label": names_of(rows)}),
    "a dict of columns": lambda rows: {"label": names_of(rows), "confidence": chances_of(rows).max(axis=1)},
}


def predicted(answer, rows, features=1, calls=2, **settings):
    """Predict *answer* for *rows* some times, in a ring that is too small for them; return the windows and the losses."""
    with fly(**SMALL, **settings) as rs:
        predict = rs.observe("m", features=[f"f{n}" for n in range(features)])(lambda _: answer)
        for _ in range(calls):
            predict(np.ones((rows, features)))
            assert int(last_header()["kept"]) < rows
        windows = rs.windows()
        assert sum(window.rows for window in windows) == calls * rows
        return windows, rs.losses()


def class_counts(windows):
    """Return how often each class was answered."""
    found = Counter()
    for window in windows:
        found.update(dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)))
    return found


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("container", CLASSES)
def test_classes_are_exact(container, rows):
    """Each class is counted as often as it was answered, the rare one too."""
    windows, lost = predicted(CLASSES[container](rows), rows)
    assert class_counts(windows) == {name: 2 * count for name, count in Counter(names_of(rows).tolist()).items()}
    assert all(window.output.counted_rows == window.output.weight_square_sum == window.rows for window in windows)
    assert lost == {}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("form", [np.asarray, lambda each: each.astype(np.float32), pd.DataFrame, np.ndarray.tolist])
def test_confidences_are_exact(form, rows):
    """Of a matrix of chances: classes, confidences by bin, and their sum."""
    chances = chances_of(rows)
    windows, _ = predicted(form(chances), rows)
    best = chances.argmax(axis=1)
    assert class_counts(windows) == {str(n): 2 * int((best == n).sum()) for n in range(3)}
    binned = sum(window.output.confidence.sum(axis=0) for window in windows)
    assert binned.sum() == 2 * rows
    total = sum(float(window.output.confidence_sums.sum()) for window in windows)
    assert total == pytest.approx(2 * chances.max(axis=1).sum(), rel=1e-6)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("form", [np.asarray, np.ndarray.tolist, pd.Series, lambda each: each.reshape(-1, 1)])
def test_values_are_exact(form, rows):
    """Of a regression: values by bin of its reference, their sum, and those that are none."""
    values = np.random.default_rng(rows).normal(size=rows) * 3
    values[::1000] = np.nan
    known = values[np.isfinite(values)]
    frame = {"f0": np.arange(200.0), "y": np.linspace(-8.0, 8.0, 200)}
    reference = Reference.fit(frame, model="m", target="y", task="regression")
    with fly(**SMALL) as rs:
        rs.observe("m", features=["f0"], reference=reference)(lambda _: form(values))(np.ones((rows, 1)))
        (window,) = rs.windows()
    edges = window.output.value_edges
    expected = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    assert window.output.value_counts.tolist() == expected.tolist()
    assert window.output.value_sum == pytest.approx(known.sum(), rel=1e-9)
    assert window.output.unreadable == rows - len(known)


@pytest.mark.parametrize("rows", [5_461, 40_000])
def test_what_cannot_be_read_is_exact(rows):
    """Of answers that name no class, each row is counted, and as a loss."""
    answers = [object() if number % 7 == 0 else "yes" for number in range(rows)]
    windows, lost = predicted(answers, rows, calls=1)
    broken = len(range(0, rows, 7))
    assert class_counts(windows) == {"yes": rows - broken}
    assert sum(window.output.unreadable for window in windows) == broken
    assert lost == {losses.OUTPUT_UNREADABLE: broken}


@pytest.mark.parametrize("rows", [30_000, 100_000, 250_001])
@pytest.mark.parametrize("answers", ["texts", "scores", "what cannot be read"])
def test_answers_that_take_too_long_are_sampled_from_the_second_piece_on(monkeypatch, rows, answers):
    """Rows that cannot be counted in time are sampled and weighted to about the total, and the window records the sample size."""
    monkeypatch.setattr(output_batches, "COUNTING_NS", -1)
    given = {"texts": names_of(rows), "scores": np.linspace(-5, 5, rows), "what cannot be read": [object()] * rows}
    windows, _ = predicted(given[answers], rows, calls=1)
    output = windows[0].output
    total = int(output.class_counts.sum()) + int(output.value_counts.sum()) + output.unreadable
    step = -(-(rows - PIECE_ROWS) // PIECE_ROWS)
    assert abs(total - rows) <= step
    assert output.counted_rows <= 2 * PIECE_ROWS
    if answers == "texts":
        assert class_counts(windows)["no"] == pytest.approx(0.9 * rows, rel=0.02)


@pytest.mark.parametrize("answer", [None, "one for all", [], {"label": []}])
def test_answers_of_another_number_count_once_a_row(answer):
    """A result without one answer per row is unreadable for all rows; None is no answer."""
    windows, lost = predicted(answer, 9_000, calls=1)
    missing = 0 if answer is None else 9_000
    assert (sum(window.output.unreadable for window in windows), class_counts(windows)) == (missing, {})
    assert lost == ({losses.OUTPUT_UNREADABLE: missing} if missing else {})


@pytest.mark.parametrize("width", [5000, 7777, 10_000])
def test_answers_to_rows_that_fit_nowhere_count(width):
    """Rows wider than the arena are refused by name; what the model answered is counted."""
    with fly(**SMALL, max_features=width) as rs:
        rs.observe("m", features=[f"f{n}" for n in range(width)])(lambda _: ["no", "yes", "no"])(np.zeros((3, width)))
        windows = rs.windows()
        assert class_counts(windows) == {"no": 2, "yes": 1}
        assert rs.losses() == {losses.BATCH_REFUSED: 3}


def test_answers_count_in_the_cohort_and_window_of_the_call():
    """Two cohorts and two windows of event time, the larger batches first and last."""
    with fly(**SMALL, cohorts={"plan": ["free", "pro"]}) as rs:
        predict = rs.observe("m", features=["a"])(lambda rows: np.where(rows[:, 0] > 0, "yes", "no"))
        for plan, at_s, rows in (("free", 60, 9_000), ("pro", 60, 10), ("free", 120, 7_000), ("pro", 120, 30_000)):
            with rs.cohort(plan=plan), rs.at(1_362_096_000 + at_s):
                predict(np.ones((rows, 1)))
        rs.pipeline().take_turn()
        found = {
            (window.key.cohort, window.start_ns // 10**9 - 1_362_096_000): class_counts([window])
            for window in rs.pipeline()._aggregator.close(everything=True)
        }
    assert found == {
        ("plan=free", 60): {"yes": 9_000}, ("plan=pro", 60): {"yes": 10},
        ("plan=free", 120): {"yes": 7_000}, ("plan=pro", 120): {"yes": 30_000},
    }  # fmt: skip


def test_a_batch_whose_slot_is_reclaimed_meanwhile_is_exact():
    """It goes on while another thread predicts single rows, and its ring goes around."""
    with fly(**SMALL) as rs:

        @rs.observe("m", features=["a"])
        def predict(rows):
            if len(rows) == 1:
                return "no"
            given = last_header()["mark"] >> 2
            thread = threading.Thread(target=lambda: [predict(np.ones((1, 1))) for _ in range(3000)])
            thread.start()
            thread.join()
            assert last_token()[0].ring.control.given > given
            return names_of(len(rows))

        with rs.pipeline()._turn:  # not drained meanwhile
            predict(np.ones((20_000, 1)))
        windows = rs.windows()
        assert class_counts(windows) == Counter(names_of(20_000).tolist()) + Counter(no=3000)
        assert sum(window.calls for window in windows) == 3001
        assert rs.losses() == {}


@pytest.mark.parametrize("failing", [True, False])
def test_a_call_that_fails_answers_nothing(failing):
    """A large batch that raises counts its error; the next one is not taken for it."""
    turn = iter([failing, False])

    def model(rows):
        if next(turn):
            raise KeyError("first")
        return ["yes"] * len(rows)

    with fly(**SMALL) as rs:
        predict = rs.observe("m", features=["a"])(model)
        for _ in range(2):
            try:
                predict(np.ones((8_000, 1)))
            except KeyError:
                assert failing
        windows = rs.windows()
        assert class_counts(windows) == {"yes": 8_000 if failing else 16_000}
        assert sum(sum(window.errors.values()) for window in windows) == failing


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "i8", "u1", "u4", "u8"])
@pytest.mark.parametrize("spread", [[0], [0, 0, 2, 1], [0, 3, 3] * 100])
def test_whole_numbers_are_told_apart(kind, spread):
    """At both ends of their type, and at both together: ascending, of the same type, each entry at its place."""
    ends = np.iinfo(kind)
    low, high = [int(ends.min) + each for each in spread], [int(ends.max) - each for each in spread]
    for values in (low, high, low + high, (low + high) * 100):
        assert_told_apart(values, kind)


def assert_told_apart(values, kind):
    """Fail unless they are."""
    array = np.array(values, dtype=kind)
    found, places = distinct(array)
    assert found.tolist() == sorted(set(values))
    assert found.dtype == array.dtype
    assert found[places].tolist() == values


ORDERS = {
    "rows": lambda rows: np.ones((rows, 8)),
    "columns": lambda rows: np.ones((8, rows)).T,
    "every other row": lambda rows: np.ones((2 * rows, 8))[::2],
    "some columns": lambda rows: np.ones((rows, 16))[:, ::2],
    "columns of singles": lambda rows: np.ones((8, rows), np.float32).T,
    "a frame": lambda rows: pd.DataFrame(np.ones((rows, 8))),
    "broadcast": lambda rows: np.broadcast_to(1.0, (rows, 8)),
}


@pytest.mark.parametrize("order", ORDERS)
def test_the_kept_rows_of_any_order_take_little_memory(order):
    """A batch of 25 MB of which few rows are kept is never copied whole, however it lies in memory."""
    batch = ORDERS[order](400_000)
    with fly(**SMALL) as rs:
        predict = rs.observe("m", features=[f"f{n}" for n in range(8)])(lambda _: None)
        predict(batch)
        tracemalloc.start()
        try:
            predict(batch)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert 0 < int(last_header()["kept"]) < 400_000
    assert peak < 8 << 20
