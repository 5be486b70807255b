"""Inputs of many rows, in any container: the rows are counted, and their values are those of numpy."""

from __future__ import annotations

import array
import queue
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

from radiosonde._record.summaries import TEXT_NAMES, WIDE_NAMES, signs
from radiosonde.model import losses
from radiosonde.testing import fly
from tests.unit.record.slots import last_block, last_header, last_names, last_row

DENSE = np.array([[1.0, 0.0, 2.5], [0.0, 0.0, -3.0], [4.0, 5.0, 0.0], [0.0, 7.0, 0.0]])
NAMED = {"a": DENSE[:, 0], "b": DENSE[:, 1], "c": DENSE[:, 2]}
STRUCTURED = np.rec.fromarrays(list(DENSE.T), names="a,b,c")

MATRICES = {
    **{f"sparse matrix {form}": sp.csr_matrix(DENSE).asformat(form) for form in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")},
    **{f"sparse array {form}": sp.csr_array(DENSE).asformat(form) for form in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")},
    "dict of arrays": NAMED,
    "dict of lists": {name: column.tolist() for name, column in NAMED.items()},
    "dict of series": {name: pd.Series(column, index=[9, 9, 8, 8]) for name, column in NAMED.items()},
    "dict of polars, arrow and tuple": {"a": pl.Series(NAMED["a"]), "b": pa.array(NAMED["b"]), "c": tuple(NAMED["c"])},
    "dict of a matrix of two columns": {"ab": DENSE[:, :2], "c": DENSE[:, 2]},
    "structured array": np.array([tuple(row) for row in DENSE], dtype=[("a", "f8"), ("b", "f4"), ("c", "f8")]),
    "record array": STRUCTURED,
    "three axes": DENSE.reshape(4, 3, 1),
    "four axes": DENSE.reshape(4, 1, 3, 1),
    "memoryview": memoryview(DENSE),
    "masked": np.ma.array(DENSE, mask=False),
    "numpy matrix": DENSE.view(np.matrix),
    "list of lists": DENSE.tolist(),
    "tuple of tuples": tuple(map(tuple, DENSE.tolist())),
    "list of array.array": [array.array("d", row) for row in DENSE.tolist()],
    "list of polars series": [pl.Series(row) for row in DENSE.tolist()],
    "list of pandas rows": [row for _, row in pd.DataFrame(NAMED).iterrows()],
    "list of structured rows": list(STRUCTURED),
    "list of nested lists": [[[a], [b], [c]] for a, b, c in DENSE.tolist()],
    "arrow batch": pa.RecordBatch.from_arrays([pa.array(column) for column in NAMED.values()], names=list(NAMED)),
    "arrow table": pa.table(NAMED),
    "polars": pl.DataFrame(NAMED),
    "pandas, duplicate names": pd.DataFrame(DENSE, columns=["a", "a", "b"]),
    "pandas, names of mixed type": pd.DataFrame(DENSE, columns=[1, "1", ("a", 2)]),
    "pandas, two levels of names": pd.DataFrame(DENSE, columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)])),
    "pandas, nullable and sparse": pd.DataFrame(
        {"a": pd.array(NAMED["a"], dtype="Float64"), "b": pd.arrays.SparseArray(NAMED["b"]), "c": NAMED["c"].astype(object)}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("call", ["first", "second"])
def test_a_batch_is_seen_as_one(name, call):
    """Rows and values of a batch are those of the dense matrix, at the first call and later, with an answer for each row."""
    value = MATRICES[name]
    with fly() as rs:
        predict = rs.observe("m")(lambda features: ["no", "yes", "no", "no"])
        for _ in range(2 if call == "second" else 1):
            predict(value)
        found = np.array(last_block())
        np.testing.assert_array_equal(found, DENSE)
        assert len(set(last_names())) == 3
        (window,) = rs.windows()
        calls = 2 if call == "second" else 1
        assert (window.calls, window.rows, rs.losses()) == (calls, 4 * calls, {})
        assert dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)) == {
            "no": 3 * calls,
            "yes": calls,
        }


FLAT = {
    "list": [1.5, 2.5, 4.0],
    "array": np.array([1.5, 2.5, 4.0]),
    "array.array": array.array("d", [1.5, 2.5, 4.0]),
    "memoryview": memoryview(array.array("d", [1.5, 2.5, 4.0])),
    "pandas series": pd.Series([1.5, 2.5, 4.0]),
    "pandas series of some rows": pd.Series([1.5, 2.5, 4.0], index=[7, 3, 11]),
    "pandas index": pd.Index([1.5, 2.5, 4.0]),
    "polars series": pl.Series([1.5, 2.5, 4.0]),
    "arrow array": pa.array([1.5, 2.5, 4.0]),
    "arrow chunked array": pa.chunked_array([[1.5], [2.5, 4.0]]),
}


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize(
    ("answer", "rows"),
    [(["a", "b", "a"], 3), ([1, 0, 1], 3), (np.array([0.1, 0.2, 0.3]), 3), ("a", 1), (2.5, 1), (np.array([[0.2, 0.8]]), 1),
     ([0.2, 0.3, 0.5], 1)],
    ids=["labels", "integers", "values", "label", "value", "probabilities of one", "one distribution"],
)  # fmt: skip
def test_the_first_answer_says_whether_a_flat_sequence_is_one_row(name, answer, rows):
    """Three values with three answers are three rows of one value, and with one answer one row of three; from then on too."""
    with fly() as rs:
        predict = rs.observe("m")(lambda features: answer)
        predict(FLAT[name])
        assert rs.windows()[0].rows == rows
        predict(FLAT[name])
        assert rs.windows()[0].rows == 2 * rows
        if rows == 3:
            assert last_block() == [[1.5], [2.5], [4.0]]
            assert rs.losses() == {losses.FEATURES_LEARNING: 3}
        else:
            assert last_row() == [1.5, 2.5, 4.0]
            assert rs.losses() == {}


TEXTS = ["Great film", "bad", "so so 3", "ÉÉ"]
TEXT_CARRIERS = {
    "list": TEXTS,
    "tuple": tuple(TEXTS),
    "numpy": np.array(TEXTS),
    "numpy objects": np.array(TEXTS, dtype=object),
    "pandas": pd.Series(TEXTS, index=[4, 3, 2, 1]),
    "pandas category": pd.Series(TEXTS, dtype="category"),
    "pandas index": pd.Index(TEXTS),
    "polars": pl.Series(TEXTS),
    "arrow": pa.array(TEXTS),
    "arrow dictionary": pa.array(TEXTS).dictionary_encode(),
}
TEXT_ROWS = [[10, 2, 0, 0.1, 0.1, 0], [3, 1, 0, 0, 0, 0], [7, 3, 1 / 7, 0, 2 / 7, 0], [2, 1, 0, 0, 0, 1]]


@pytest.mark.parametrize("name", TEXT_CARRIERS)
def test_texts_are_rows_and_their_summary_is_recorded(name):
    """A batch of texts has a row a text: characters, words and shares of kinds of characters, and nothing of the text."""
    with fly() as rs:
        predict = rs.observe("m")(lambda features: [0, 1, 0, 1])
        predict(TEXT_CARRIERS[name])
        np.testing.assert_allclose(last_block(), TEXT_ROWS)
        assert last_names() == TEXT_NAMES
        assert (rs.windows()[0].rows, rs.losses()) == (4, {})


def test_one_text_at_a_time_is_the_same_row():
    """A text alone, and a list of one, are read like the texts of a batch."""
    with fly() as rs:
        predict = rs.observe("m")(lambda features: "good")
        for value in (TEXTS[0], [TEXTS[0]], np.array([TEXTS[0]])):
            predict(value)
            np.testing.assert_allclose(last_row(), TEXT_ROWS[0])
        assert (rs.windows()[0].rows, rs.losses()) == (3, {})


@pytest.mark.parametrize("shape", [(28, 28), (9, 4), (5, 6, 3)])
@pytest.mark.parametrize(
    "answer", ["7", 3, np.array([[0.1, 0.9]]), np.array([0.25, 0.75]), {"label": "cat", "confidence": 0.5}]
)
def test_an_array_with_one_answer_is_one_row(shape, answer):
    """An image or a sequence of vectors that has one answer is one row from the first call on, and recorded from the second."""
    image = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    with fly() as rs:
        predict = rs.observe("m")(lambda features: answer)
        predict(image)
        predict(image)
        (window,) = rs.windows()
        assert (window.calls, window.rows, window.output.class_counts.sum()) == (2, 2, 2)
        assert rs.losses() == {losses.FEATURES_LEARNING: 1}
        if image.size <= 512:
            assert last_row() == image.reshape(-1).tolist()
        else:
            assert last_row()[1] == pytest.approx(np.linalg.norm(image))


class Unknown:
    """Shows nothing."""


def numbers():
    """Fail when iterated beyond the second number."""
    yield from (1.0, 2.0)
    raise AssertionError("somebody consumed the generator")


UNREADABLE = {
    "object": Unknown,
    "generator": numbers,
    "iterator": lambda: iter([1.0]),
    "map": lambda: map(float, "12"),
    "set": lambda: {1.0, 2.0},
    "queue": queue.SimpleQueue,
    "bytes": lambda: b"\x89PNG",
    "lazy frame": lambda: pl.LazyFrame({"a": [1.0]}),
}
ANSWERS = {
    "labels": (["a", "b", "a"], 3), "integers": (np.array([0, 1, 1]), 3), "scores": (np.array([0.2, 0.9, 0.1]), 3),
    "matrix": (np.full((3, 2), 0.5), 3), "series": (pd.Series(["a", "b", "a"]), 3), "frame": (pl.DataFrame({"p": [0.1, 0.9, 0.2]}), 3),
    "a label": ("a", 1), "a distribution": (np.array([0.2, 0.3, 0.5]), 1), "a label and its confidence": (("a", 0.75), 1),
    "a matrix of one": (np.array([[0.25, 0.75]]), 1), "a dict": ({"label": "a", "confidence": 0.5}, 1),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("answered", ANSWERS)
def test_the_answer_counts_the_rows_of_an_input_that_cannot_be_read(kind, answered):
    """Many answers are many rows, never one row of probabilities; the input is not consumed; the loss is named."""
    answer, rows = ANSWERS[answered]
    with fly() as rs:
        given = UNREADABLE[kind]()
        predict = rs.observe("m")(lambda features: answer)
        assert predict(given) is answer
        (window,) = rs.windows()
        assert (window.calls, window.rows) == (1, rows)
        assert window.output.class_counts.sum() + window.output.value_counts.sum() == rows
        assert rs.losses() == {losses.FEATURES_UNREADABLE: rows}
        if kind == "generator":
            assert next(given) == 1.0


class Lying:
    """A column that says it has so many rows."""

    def __init__(self, rows):
        self.shape, self.ndim, self.dtype = (rows, 2), 2, np.dtype(float)

    def __array__(self, dtype=None, copy=None):
        return np.zeros((1, 2))

    def __getitem__(self, place):
        return np.zeros((1, 2))


BEYOND = {
    "range": range(10**12), "broadcast rows": np.broadcast_to(1.0, (2**33, 2)), "broadcast column": np.broadcast_to(0.5, (2**32,)),
    "far too many": Lying(10**30), "negative": Lying(-1),
}  # fmt: skip


@pytest.mark.parametrize("side", ["input", "output", "both"])
@pytest.mark.parametrize("kind", BEYOND)
def test_more_rows_than_a_record_can_say_are_no_batch(kind, side):
    """The call counts as one row, and its unreadable value is a named loss; no internal error occurs."""
    value = BEYOND[kind]
    given = value if side != "output" else iter([1.0])
    answer = value if side != "input" else "yes"
    with fly() as rs:
        predict = rs.observe("m")(lambda features: answer)
        assert predict(given) is answer
        (window,) = rs.windows()
        assert (window.calls, window.rows) == (1, 1)
        answered = window.output.class_counts.sum() + window.output.value_counts.sum()
        assert answered + rs.losses().get(losses.OUTPUT_UNREADABLE, 0) == 1
        assert not rs.statistics().guarded


def test_a_batch_whose_features_raise_keeps_its_answers():
    """A table that raises while it is read costs its features; its rows and answers count."""

    class Broken(sp.csr_matrix):
        def tocsr(self, copy=False):
            raise RuntimeError("no rows")

    with fly() as rs:
        rs.observe("m", features=["a", "b", "c"])(lambda features: ["x"] * 4)(Broken(DENSE))
        (window,) = rs.windows()
        assert (window.rows, window.output.class_counts.tolist()) == (4, [4])
        assert rs.losses() == {losses.FEATURES_UNREADABLE: 4}


def test_a_first_input_of_another_shape_is_unlearned():
    """An unusual warm-up does not fix the features: they are learned again when most calls do not fit."""
    with fly() as rs:
        predict = rs.observe("m")(lambda features: "yes")
        predict({"ping": 1})
        for number in range(20):
            predict({"wind": float(number), "carrier": "UA"})
        assert last_names() == ("wind", "carrier")
        assert rs.losses() == {losses.FEATURES_WIDTH: 8}
        assert sum(window.calls for window in rs.windows()) == 21


WIDE = np.random.default_rng(3).normal(size=(5, 2000))
WIDE[:, ::7] = 0.0


def summary(row):
    """Return the summary of a row by numpy's own statistics."""
    projected = row * signs(len(row))
    return [
        len(row), np.linalg.norm(row), row.mean(), row.std(), row.min(), row.max(), (row == 0).mean(), 0.0,
        *(projected[place::16].sum() for place in range(16)),
    ]  # fmt: skip


WIDE_CARRIERS = {
    "matrix": WIDE,
    "single precision": WIDE.astype(np.float32).astype(np.float64),
    "three axes": WIDE.reshape(5, 40, 50),
    "objects": WIDE.astype(object),
    "masked": np.ma.array(WIDE, mask=False),
    "csr": sp.csr_matrix(WIDE),
    "coo": sp.coo_array(WIDE),
    "pandas": pd.DataFrame(WIDE),
    "polars": pl.DataFrame(WIDE),
    "list of lists": WIDE.tolist(),
    "list of arrays": list(WIDE),
    "dict of columns": {f"c{place}": column for place, column in enumerate(WIDE.T)},
    "list of dicts": [{f"c{place}": value for place, value in enumerate(row)} for row in WIDE.tolist()],
}


@pytest.mark.parametrize("name", WIDE_CARRIERS)
def test_wide_rows_are_recorded_as_a_summary(name):
    """Of rows wider than the bound the documented summary is recorded, the same in every container."""
    with fly() as rs:
        predict = rs.observe("m")(lambda features: ["x"] * 5)
        predict(WIDE_CARRIERS[name])
        assert last_names() == WIDE_NAMES
        np.testing.assert_allclose(last_block(), [summary(row) for row in WIDE], rtol=1e-5, atol=1e-5)
        assert (rs.windows()[0].rows, rs.losses()) == (5, {})


@pytest.mark.parametrize("carrier", ["array", "row", "list", "tuple", "dict", "series", "polars"])
def test_one_wide_row_is_recorded_as_a_summary(carrier):
    """One embedding, by position or by name, has the same summary."""
    row = WIDE[0]
    value = {
        "array": row, "row": row.reshape(1, -1), "list": row.tolist(), "tuple": tuple(row), "series": pd.Series(row),
        "dict": {f"c{place}": value for place, value in enumerate(row.tolist())}, "polars": pl.Series(row),
    }[carrier]  # fmt: skip
    with fly() as rs:
        predict = rs.observe("m")(lambda features: "x")
        for _ in range(2):
            predict(value)
            np.testing.assert_allclose(last_row(), summary(row), rtol=1e-5, atol=1e-5)
        assert (rs.windows()[0].rows, rs.losses()) == (2, {})


def test_missing_values_of_a_wide_row_are_left_out_and_counted():
    """NaN, None and text are the share that is missing; the rest is summarised without them."""
    row = WIDE[0].tolist()
    row[1], row[2], row[3] = float("nan"), None, "text"
    there = np.array([value for value in row if isinstance(value, float) and not np.isnan(value)])
    with fly() as rs:
        rs.observe("m")(lambda features: "x")(row)
        found = dict(zip(WIDE_NAMES, last_row(), strict=True))
        assert found["row.missing"] == pytest.approx(3 / 2000)
        assert found["row.norm"] == pytest.approx(np.linalg.norm(there))
        assert found["row.spread"] == pytest.approx(there.std())
        assert found["row.zeros"] == pytest.approx((there == 0).mean())


def test_a_projection_keeps_lengths_on_average():
    """Squared and summed, the projections of random rows are their squared norms on average."""
    rows = np.random.default_rng(5).normal(size=(400, 1000))
    projected = (rows * signs(1000))[:, :992].reshape(400, 62, 16).sum(axis=1)
    ratio = (projected**2).sum(axis=1) / (rows[:, :992] ** 2).sum(axis=1)
    assert ratio.mean() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("features", [["a", "b"], None])
def test_max_features_is_a_setting_and_names_override_it(features):
    """Rows wider than the setting are summarised, unless their features were named."""
    with fly(max_features=1) as rs:
        rs.observe("m", features=features)(lambda _: "x")([1.0, 2.0])
        assert last_names() == (("a", "b") if features else WIDE_NAMES)


QUIET = {
    **{name: (lambda value=value: value) for name, value in MATRICES.items()},
    **UNREADABLE,
    "masked scalar in rows": lambda: [[np.ma.masked, 1.0], [np.ma.masked, 2.0]],
    "array of one in a dict": lambda: {"a": np.array([1.0]), "b": 2.0},
    "complex": lambda: {"a": 1 + 2j, "b": np.complex64(1j)},
    "complex matrix": lambda: np.array([[1 + 2j, 1j]] * 3),
    "beyond single precision": lambda: np.array([[np.longdouble(10) ** 400, 1]]),
    "time without unit": lambda: {"a": np.datetime64("NaT"), "b": np.timedelta64(1, "Y")},
    "signalling decimal": lambda: {"a": __import__("decimal").Decimal("sNaN"), "b": 1},
    "ragged": lambda: [[1.0], [1.0, 2.0]],
    "deprecated scalar": lambda: [np.array([[1.0]]), np.array([[2.0]])],
    "polars object": lambda: pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)}),
}


@pytest.mark.parametrize("name", QUIET)
def test_no_input_makes_a_warning(name):
    """For any input, at the first call and later, no library warns; a warning would name Radiosonde's file."""
    with warnings.catch_warnings(record=True) as caught, fly() as rs:
        warnings.simplefilter("always")
        predict = rs.observe("m")(lambda features: "x")
        for _ in range(2):
            predict(QUIET[name]())
        rs.flush()
        rs.windows()
    assert [str(each.message) for each in caught] == []


def test_the_rows_of_a_batch_are_in_its_header_they_are_read():
    """While a batch is in flight its header says how many rows it has, whichever way its features are read."""
    seen = []
    with fly() as rs:
        predict = rs.observe("m")(lambda features: seen.append(int(last_header()["rows_begun"])))
        for value in (sp.csr_matrix(DENSE), NAMED, STRUCTURED):
            predict(value)
    assert seen == [4, 4, 4]
