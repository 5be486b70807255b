"""Batches inside wrappers: as many rows as a frame of the same values has, with its cells, or with their loss."""

from __future__ import annotations

import collections
import dataclasses
import typing

import attrs
import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest

import radiosonde
from radiosonde.model import losses
from radiosonde.testing import fly

ROWS = [(5.0, 50.0), (500.0, 5.0), (-1.0, 99.0), (7.0, 7.0)]
FRAME = pd.DataFrame(ROWS, columns=["a", "b"])
DICTS = FRAME.to_dict("records")
COLUMNS = FRAME.to_dict("list")
REFERENCE = radiosonde.Reference.fit({"a": np.arange(100.0), "b": np.arange(100.0)}, model="m")


class Row(pydantic.BaseModel):
    """A row of a request."""

    a: float
    b: float


class Body(pydantic.BaseModel):
    """A request of rows."""

    instances: list[Row]


class Matrix(pydantic.BaseModel):
    """A request of rows without names."""

    rows: list[list[float]]


class Columns(pydantic.BaseModel):
    """A request of columns."""

    a: list[float]
    b: list[float]


@dataclasses.dataclass
class Batch:
    """A wrapper of anything."""

    content: object


@attrs.define
class OfAttrs:
    """The same of attrs."""

    content: object


@dataclasses.dataclass
class Arrays:
    """Columns as attributes."""

    a: object
    b: object


class NamedColumns(typing.NamedTuple):
    """Columns of a named tuple."""

    a: object
    b: object


class Interface:
    """An array that shows itself by numpy's older protocol only."""

    def __init__(self):
        self._values = np.array(ROWS)
        self.__array_interface__ = self._values.__array_interface__


def root(kind, value):
    """Return a model whose whole content is *value*."""
    return pydantic.RootModel[kind](value)


READ = {
    "root of rows": lambda: root(list[Row], [Row(**row) for row in DICTS]),
    "root of lists": lambda: root(list[list[float]], [list(row) for row in ROWS]),
    "root of columns": lambda: root(dict[str, list[float]], COLUMNS),
    "root of a request": lambda: root(Body, Body(instances=[Row(**row) for row in DICTS])),
    "request of rows": lambda: Body(instances=[Row(**row) for row in DICTS]),
    "request of lists": lambda: Matrix(rows=[list(row) for row in ROWS]),
    "request of columns": lambda: Columns(**COLUMNS),
    "dataclass of dicts": lambda: Batch(DICTS),
    "dataclass of a matrix": lambda: Batch(np.array(ROWS)),
    "dataclass of a frame": lambda: Batch(FRAME),
    "dataclass of a table": lambda: Batch(pa.Table.from_pandas(FRAME)),
    "dataclass in a dataclass": lambda: Batch(Batch(DICTS)),
    "attrs": lambda: OfAttrs(DICTS),
    "arrays as attributes": lambda: Arrays(FRAME["a"].to_numpy(), FRAME["b"]),
    "named tuple of lists": lambda: NamedColumns(*COLUMNS.values()),
    "dict of rows": lambda: {"instances": DICTS},
    "dict of lists": lambda: {"inputs": [list(row) for row in ROWS]},
    "dict of columns in a dict": lambda: {"inputs": COLUMNS},
    "dict of a frame": lambda: {"X": FRAME},
    "user list": lambda: collections.UserList(DICTS),
    "user dict": lambda: collections.UserDict(COLUMNS),
    "rows in wrappers": lambda: [Batch(list(row)) for row in ROWS],
    "rows of roots": lambda: [root(dict[str, float], row) for row in DICTS],
    "rows in dicts": lambda: [{"values": list(row)} for row in ROWS],
    "array interface": Interface,
}  # fmt: skip


def counted(value, answers, **options):
    """Return rows, cells and losses of one call."""
    with fly() as rs:
        rs.observe("m", **options)(lambda _: answers)(value)
        (window,) = rs.windows()
        cells = None if window.features is None else window.features.cells.tolist()
        return window.rows, cells, rs.losses()


@pytest.mark.parametrize("make", READ.values(), ids=READ.keys())
def test_a_wrapped_batch_has_the_cells_of_its_frame(make):
    """By name or by place, with and without a reference, as the same values in a frame."""
    assert counted(make(), list("xyzx"), reference=REFERENCE) == counted(FRAME, list("xyzx"), reference=REFERENCE)
    assert counted(make(), list("xyzx")) == counted(FRAME, list("xyzx"))


ENVELOPES = {
    "named model": lambda: {"model": "m", "instances": DICTS},
    "split": lambda: FRAME.to_dict("split"),
    "split in an envelope": lambda: {"dataframe_split": FRAME.to_dict("split")},
    "rows by key": lambda: {f"row {place}": row for place, row in enumerate(DICTS)},
    "rows by position": lambda: FRAME.to_dict("index"),
    "columns by position": lambda: FRAME.T.to_dict("index"),
    "object of two fields": lambda: Arrays("m", DICTS),
    "chunks": lambda: [np.array(ROWS[:3]), np.array(ROWS[3:])],
    "frames": lambda: [FRAME[:3], FRAME[3:]],
    "batches of Arrow": lambda: pa.Table.from_pandas(FRAME).to_batches(max_chunksize=3),
    "inputs side by side": lambda: (np.array(ROWS), np.zeros(4)),
    "groups": lambda: FRAME.groupby("a"),
}


@pytest.mark.parametrize("make", ENVELOPES.values(), ids=ENVELOPES.keys())
def test_an_envelope_has_as_many_rows_as_outputs(make, caplog):
    """Its features are a loss of as many rows, under one name, and the message gives the remedy."""
    rows, cells, lost = counted(make(), list("xyzx"))
    assert (rows, cells, sum(lost.values()), len(lost)) == (4, None, 4, 1)
    assert set(lost) <= {losses.FEATURES_UNREADABLE, losses.FEATURES_WIDTH}
    assert any("observe(..., input=" in message for message in caplog.messages)


ONE_ROW = {
    "recommendations": (lambda: {"user": 1.0, "history": [1, 2]}, list("xyz"), 2),
    "distribution": (lambda: {"user": 1.0, "history": [1, 2, 3]}, [0.5, 0.25, 0.25], 2),
    "values in a dict": (lambda: {"values": [1.0, 2.0, 3.0]}, "x", 3),
    "values in a request": (lambda: Batch([1.0, 2.0, 3.0]), "x", 3),
    "wide values in a dict": (lambda: {"embedding": [0.5] * 700}, "x", 24),
    "row in a request": (lambda: Batch(Row(a=1, b=2)), "x", 2),
    "groups of values": (lambda: {"user": {"age": 1}, "item": {"price": 2}}, "x", 2),
    "image": (lambda: [np.ones((5, 4))], "x", 20),
}  # fmt: skip


@pytest.mark.parametrize(("make", "answer", "width"), ONE_ROW.values(), ids=ONE_ROW.keys())
def test_a_row_with_containers_stays_one_row(make, answer, width):
    """The output decides where an input reads both ways; the second call has the features of a row."""
    with fly() as rs:
        predict = rs.observe("m")(lambda _: answer)
        predict(make())
        predict(make())
        window = rs.windows()[-1]
    assert (window.calls, window.rows, len(window.features.cells)) == (2, 2, width)


def nested(levels):
    """Return as many dicts in each other."""
    value = {"x": 1.0}
    for _ in range(levels):
        value = {"x": value}
    return value


def in_lists(levels):
    """Return a number in as many lists."""
    value = 1.0
    for _ in range(levels):
        value = [value]
    return value


def around_itself():
    """Return an object that wraps itself."""
    made = Batch(None)
    made.content = made
    return made


ENDLESS = {"thousand wrappers": lambda: nested(900), "itself": around_itself, "lists": lambda: in_lists(60)}


@pytest.mark.parametrize("make", ENDLESS.values(), ids=ENDLESS.keys())
@pytest.mark.parametrize("options", [{}, {"reference": REFERENCE}], ids=["learned", "reference"])
def test_wrappers_without_end_count_as_one_row(make, options):
    """A request may nest a thousand wrappers, and an object may hold itself: one row, and no error of the stack."""
    rows, cells, lost = counted(make(), "x", **options)
    assert rows == 1
    assert sum(lost.values()) == 1 or cells is not None
