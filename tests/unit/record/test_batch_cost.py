"""Cost of a batch to its caller: work and memory proportional to the kept rows, for any container.

Work is counted and not timed: calls of functions, Python's and C's, that this thread makes during one predict call.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import sys
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest

from radiosonde._record.shapes import TYPES_KNOWN
from radiosonde.testing import fly
from tests.unit.record.slots import last_token

FEW, MANY = 30_000, 120_000
MOST_BYTES = 8 << 20


@dataclasses.dataclass
class Flight:
    """A row."""

    wind: float
    carrier: str


class Delay(pydantic.BaseModel):
    """Another, and an answer."""

    label: str
    probability: float


class Leg(NamedTuple):
    """A row of a named tuple."""

    wind: float
    carrier: str


class Rows(Sequence):
    """A sequence of the user's that is no list and takes no slices."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, place):
        return self.items[place.__index__()]


INPUTS = {
    "lists": lambda rows: [[1.0, 2.0, 3.0]] * rows,
    "lists of texts": lambda rows: [["UA", "late"]] * rows,
    "tuples": lambda rows: ((1.0, "UA", None),) * rows,
    "lists in lists": lambda rows: [[[1.0, 2.0], [3.0, 4.0]]] * rows,
    "dicts": lambda rows: [{"wind": 1.0, "carrier": "UA"}] * rows,
    "dicts with other names": lambda rows: [{"wind": 1.0}, {"wind": 1.0, "gusts": 2.0}, {}] * (rows // 3),
    "dataclasses": lambda rows: [Flight(1.0, "UA")] * rows,
    "pydantic models": lambda rows: [Delay(label="yes", probability=0.5)] * rows,
    "named tuples": lambda rows: [Leg(1.0, "UA")] * rows,
    "arrays": lambda rows: [np.ones(3)] * rows,
    "series": lambda rows: [pd.Series({"wind": 1.0, "carrier": "UA"})] * rows,
    "texts": lambda rows: ["delayed by wind"] * rows,
    "one number a row": lambda rows: [[1.0]] * rows,
    "nothing among rows": lambda rows: [[1.0, 2.0], None, [3.0, 4.0]] * (rows // 3),
    "a deque": lambda rows: collections.deque([[1.0, 2.0]] * rows),
    "a sequence of the user's": lambda rows: Rows([[1.0, 2.0]] * rows),
    "columns of lists": lambda rows: {"wind": [1.0] * rows, "carrier": ["UA"] * rows},
    "columns of tuples": lambda rows: {"wind": (1,) * rows, "carrier": (None,) * rows},
    "a frame of objects": lambda rows: pd.DataFrame(
        {name: pd.Series([1.0, "x"] * (rows // 2), dtype=object) for name in ("wind", "gusts", "delay", "carrier")}
    ),
    "a frame of lists": lambda rows: pd.DataFrame({"wind": [[1.0]] * rows}),
    "a polars frame of structs": lambda rows: pl.DataFrame({"wind": pl.Series([{"a": 1}]).extend_constant({"a": 2}, rows)}),
    "an Arrow table of lists": lambda rows: pa.table({"wind": pa.array([[1.0]] * rows), "carrier": pa.array(["UA"] * rows)}),
    "an Arrow table of structs": lambda rows: pa.table({"wind": pa.array([{"a": 1.0}] * rows)}),
    "an object array": lambda rows: np.full((rows, 2), "UA", dtype=object),
}  # fmt: skip

ANSWERS = {
    "lists of chances": (lambda rows: [[0.25, 0.75], [0.9, 0.1]] * (rows // 2), {"1": 1, "0": 1}),
    "tuples of chances": (lambda rows: [(0.25, 0.5, 0.25), (0.8, 0.1, 0.1)] * (rows // 2), {"1": 1, "0": 1}),
    "a deque of lists": (lambda rows: collections.deque([[0.25, 0.75], [0.9, 0.1]] * (rows // 2)), {"1": 1, "0": 1}),
    "a tuple of texts": (lambda rows: ("yes", "no") * (rows // 2), {"yes": 1, "no": 1}),
    "pairs": (lambda rows: [("yes", 0.5), ("no", 0.75)] * (rows // 2), {"yes": 1, "no": 1}),
    "pairs in lists": (lambda rows: [["yes", 0.5], ["no", 0.75]] * (rows // 2), {"yes": 1, "no": 1}),
    "dicts": (lambda rows: [{"label": "yes", "confidence": 0.5}, {"label": "no", "confidence": 1.0}] * (rows // 2),
              {"yes": 1, "no": 1}),
    "dicts without a confidence": (lambda rows: [{"class": "yes", "id": 1}] * rows, {"yes": 2}),
    "dicts of chances": (lambda rows: [{"probabilities": [0.25, 0.75]}] * rows, {"1": 2}),
    "pydantic models": (lambda rows: [Delay(label="yes", probability=0.5)] * rows, {"yes": 2}),
    "scores": (lambda rows: [{"score": 2.5}] * rows, {}),
}  # fmt: skip


def observed_by(rs, make, answer=None):
    """Return an observed function that has learned its schema from a small batch, and answers *answer*."""
    predict = rs.observe("m")(lambda _: answer)
    predict(make(6))
    predict(make(6))
    return predict


def work_of(function, *arguments):
    """Return how many calls of functions a call makes."""
    made = itertools.count()

    def count(frame, event, argument):
        if event in ("call", "c_call"):
            next(made)

    sys.setprofile(count)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return next(made)


def peak_of(function, *arguments):
    """Return the peak of additional bytes during a call."""
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", INPUTS)
def test_the_work_for_an_input_does_not_grow_with_its_rows(name):
    """Four times the rows: no more rows are read than fit the bound, so the work is about the same, in at most 8 MiB."""
    make = INPUTS[name]
    few, many = make(FEW), make(MANY)
    with fly() as rs:
        predict = observed_by(rs, make)
        predict(few)
        found = []
        for rows in (few, many):
            assert rs.pipeline().take_turn()  # a caller that finds no room makes some, which is work too
            found.append(work_of(predict, rows))
        least, most = found
        assert rs.pipeline().take_turn()
        assert most <= 1.6 * least + 2_000, (least, most)
        assert peak_of(predict, many) <= MOST_BYTES
        assert int(last_token()[0].ring.headers["rows"].max()) >= MANY


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_alike_are_read_as_columns(name):
    """Every answer is counted, and no function is called for each of them; in at most 8 MiB."""
    make, expected = ANSWERS[name]
    answers, small = make(FEW), make(6)
    given = iter([small, small, answers, answers])
    with fly() as rs:
        predict = rs.observe("m")(lambda rows: next(given))
        predict(np.ones((6, 2)))
        predict(np.ones((6, 2)))
        assert rs.pipeline().take_turn()
        assert work_of(predict, np.ones((FEW, 2))) < FEW // 10
        assert rs.pipeline().take_turn()
        assert peak_of(predict, np.ones((FEW, 2))) <= MOST_BYTES
        (window,) = rs.windows()
        rows = 2 * FEW + 12
        found = {
            key: int(count)
            for key, count in zip(window.output.classes, window.output.class_counts, strict=True)
            if count
        }
        assert found == {key: share * rows // 2 for key, share in expected.items()}
        assert int(window.output.value_counts.sum()) == (0 if expected else rows)
        assert rs.losses() == {}


ODD_ANSWERS = {
    "a confidence beyond": [("yes", 0.5), ("no", 1.5), ("yes", -0.1), ("no", float("nan"))],
    "dicts with a missing label": [{"label": "yes", "probability": 0.5}, {"label": None, "probability": 0.25}],
    "dicts with other names": [{"label": "yes"}, {"class": "no", "probability": 0.5}],
    "dicts with whole confidences": [{"label": "yes", "probability": 1}, {"label": "no", "probability": 0}],
    "labels that are texts and numbers": [{"label": "yes"}, {"label": 3}],
    "a label that is a truth value": [{"label": True, "confidence": 0.75}] * 3,
    "scores and none": [{"score": 2.5}, {"score": None}, {"score": float("inf")}],
    "values beside a label": [{"label": "yes", "score": 2.5}] * 3,
    "named distributions": [{"probabilities": {"yes": 0.25, "no": 0.75}}] * 3,
    "models": [Delay(label="yes", probability=0.5), Delay(label="no", probability=2.0)],
    "rows of several lengths": [[0.5, 0.5], [0.25, 0.25, 0.5]],
    "chances with a whole one": [[0.25, 0.75], [1, 0.0], [0.5, 0.5]],
    "empty rows": [[], []],
}


def output_of(rs):
    """Return the answers, by class, by confidence and by value."""
    classes, confidences, values, unreadable = Counter(), 0.0, 0, 0
    for window in rs.windows():
        output = window.output
        classes.update(dict(zip(output.classes, output.class_counts.tolist(), strict=True)))
        confidences += float(output.confidence_sums.sum())
        values, unreadable = values + int(output.value_counts.sum()), unreadable + output.unreadable
    return +classes, pytest.approx(confidences), values, unreadable


@pytest.mark.parametrize("name", ODD_ANSWERS)
def test_odd_answers_of_a_batch_are_those_of_its_rows(name):
    """Answers that come together are counted as the same answers one by one."""
    answers = ODD_ANSWERS[name]
    with fly() as together, fly() as alone:
        together.observe("m")(lambda _: answers)(np.ones((len(answers), 2)))
        given = iter(answers)
        predict = alone.observe("m")(lambda _: next(given))
        for _ in answers:
            predict(np.ones((1, 2)))
        assert output_of(together) == output_of(alone)


@pytest.mark.parametrize("width", [2, 40, 1_000])
def test_wide_rows_of_chances_are_those_of_an_array(width):
    """However wide the rows are, in at most 8 MiB."""
    chances = np.full((4_000, width), 1.0 / width)
    chances[::3, 1] += 1e-4
    chances[1::3] = 2.0
    with fly() as listed, fly() as packed:
        for rs, answer in ((listed, chances.tolist()), (packed, chances)):
            predict = rs.observe("m")(lambda rows, answer=answer: answer)
            assert peak_of(predict, np.ones((4_000, 2))) <= MOST_BYTES
        assert output_of(listed) == output_of(packed)


@pytest.mark.parametrize(
    "make", [lambda: (float(n) for n in range(3)), lambda: iter([[1.0]] * 3), lambda: map(str, range(3)), itertools.count],
    ids=["generator", "iterator", "map", "endless"],
)  # fmt: skip
@pytest.mark.parametrize("side", ["input", "answer"])
def test_an_iterator_is_left_whole(make, side):
    """What can be read once is the application's to read."""
    with fly() as rs:
        predict = rs.observe("m")(lambda rows: rows if side == "answer" else 1.0)
        given = make()
        answer = predict(given)
        left = answer if side == "answer" else given
        assert list(itertools.islice(left, 3)) == list(itertools.islice(make(), 3))


@pytest.mark.parametrize("form", ["named tuple", "dataclass", "pydantic"])
def test_types_made_for_each_request_are_not_kept(form):
    """A table's rows as tuples, or a model made from a schema: each request brings a type of its own."""

    def rows_of():
        if form == "named tuple":
            return list(pd.DataFrame({"wind": [1.0, 2.0], "gusts": [3.0, 4.0]}).itertuples(index=False))
        if form == "dataclass":
            return [dataclasses.make_dataclass("Row", ["wind", "gusts"])(1.0, 2.0)] * 2
        return [pydantic.create_model("Row", wind=(float, ...), gusts=(float, ...))(wind=1.0, gusts=2.0)] * 2

    with fly() as rs:
        predict = rs.observe("m")(lambda rows: ["yes"] * len(rows))
        for _ in range(3 * TYPES_KNOWN):
            predict(rows_of())
        inputs = last_token()[0].inputs
        assert len(inputs._fields_of._known) <= TYPES_KNOWN
        assert len(inputs.by_type) <= TYPES_KNOWN
        (window,) = rs.windows()
        assert window.features.names == ("wind", "gusts")


class Grudge(Exception):  # noqa: N818 - the name is irrelevant
    """An exception that cannot be printed, and must not be: it may quote a value that people must not see."""

    def __str__(self):
        raise ValueError("no text for you")

    __repr__ = __str__


class Broken:
    """An answer whose reading raises."""

    def __init__(self, kind):
        self.kind = kind

    def __array__(self, *_, **__):
        raise self.kind("private")


@pytest.mark.parametrize("kind", [Grudge, ValueError, RecursionError, MemoryError])
@pytest.mark.parametrize(
    "others", [["yes", "no"], [2.5, 3.5], [[0.5, 0.5], ("a", 0.5)]], ids=["texts", "values", "rows"]
)
def test_an_answer_that_raises_costs_its_row(kind, others, caplog):
    """It is unreadable, once, for any exception; the other rows of the batch are read, and nothing of its text is logged."""
    with fly() as rs:
        rs.observe("m")(lambda _: [*others, Broken(kind)])(np.ones((len(others) + 1, 2)))
        (window,) = rs.windows()
        assert window.output.unreadable == 1
        assert int(window.output.class_counts.sum()) + int(window.output.value_counts.sum()) == len(others)
        assert rs.losses()["output_unreadable"] == 1
    assert "private" not in caplog.text
