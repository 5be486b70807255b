"""Rows with a key, rows without places, and rows in envelopes of several fields: the cells of the frame that pandas makes of them."""

from __future__ import annotations

import collections
import ctypes
import dataclasses
import itertools

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest

import radiosonde
from radiosonde.model import losses
from radiosonde.testing import fly

FRAME = pd.DataFrame(
    {"a": [5.0, 500.0, -1.0, 7.0, 8.0], "b": [50.0, 5.0, 99.0, 7.0, 3.0], "k": ["1", "0", "new", "3", "3"]},
    index=["v", "w", "x", "y", "z"],
)
SQUARE = FRAME.head(3)
DICTS = FRAME.to_dict("records")
LISTS = FRAME.to_numpy(dtype=object).tolist()
ANSWERS = list("pqppq")
REFERENCE = radiosonde.Reference.fit(
    {"a": np.arange(100.0), "b": np.arange(100.0), "k": ["0", "1", "2", "3"] * 25}, model="m"
)


class Row(pydantic.BaseModel):
    """A row of a request."""

    a: float
    b: float
    k: str


class Request(pydantic.BaseModel):
    """A request with a name of its own."""

    model: str
    instances: list[Row]


@dataclasses.dataclass
class Batch:
    """The same as a dataclass."""

    content: object
    threshold: float = 0.5


def counted(value, *, answers=ANSWERS, calls=1, **options):
    """Return rows, cells and losses of calls with one value."""
    with fly() as rs:
        predict = rs.observe("m", **options)(lambda _: answers)
        for _ in range(calls):
            predict(value)
        windows = rs.windows()
        cells = [window.features.cells.tolist() for window in windows if window.features is not None]
        return sum(window.rows for window in windows), cells, rs.losses()


PAIRS = {
    "iterrows": lambda: list(FRAME.iterrows()),
    "iterrows of two levels": lambda: list(FRAME.set_index(pd.MultiIndex.from_product([["s"], range(5)])).iterrows()),
    "enumerate": lambda: list(enumerate(DICTS)),
    "items of a dict": lambda: dict(zip("vwxyz", DICTS, strict=True)).items(),
    "list of items": lambda: list(dict(zip("vwxyz", LISTS, strict=True)).items()),
    "zip of ids": lambda: tuple(zip(range(5), LISTS, strict=True)),
    "zip of arrays": lambda: list(zip("vwxyz", FRAME.to_numpy(dtype=object), strict=True)),
    "lists of JSON": lambda: [[key, row] for key, row in zip("vwxyz", DICTS, strict=True)],
    "models": lambda: [(place, Row(**row)) for place, row in enumerate(DICTS)],
    "deque": lambda: collections.deque(enumerate(DICTS)),
    "series": lambda: pd.Series(list(FRAME.iterrows())),
    "one field": lambda: {"rows": list(enumerate(DICTS))},
}

VIEWS = {
    "values of a dict": lambda: dict(enumerate(DICTS)).values(),
    "values of a chain": lambda: collections.ChainMap(dict(enumerate(DICTS))).values(),
    "items of columns": lambda: FRAME.to_dict("list").items(),
    "list of columns": lambda: list(FRAME.to_dict("list").items()),
    "set": lambda: {tuple(row) for row in LISTS},
    "keys": lambda: dict.fromkeys(map(tuple, LISTS)).keys(),
}


@pytest.mark.parametrize("make", (PAIRS | VIEWS).values(), ids=(PAIRS | VIEWS).keys())
def test_rows_with_a_key_or_without_places_have_the_cells_of_their_frame(make):
    """The key is no feature; with a reference, and with the rows themselves to learn from."""
    assert counted(make(), reference=REFERENCE) == counted(FRAME, reference=REFERENCE)
    if make not in (VIEWS["items of columns"], VIEWS["list of columns"]):  # of unknown names they may be rows by key
        rows, cells, lost = counted(make(), calls=2)
        frame = counted(FRAME, calls=2)
        assert (rows, [sorted(each) for each in cells], lost) == (10, [sorted(each) for each in frame[1]], {})


def test_one_pair_is_its_row():
    """As `DataFrame.iterrows` gives it to a loop; its groups are batches."""
    for rows in ([FRAME.iterrows()], [FRAME.groupby("b", sort=False)], [enumerate(DICTS)]):
        with fly() as rs:
            predict = rs.observe("m", reference=REFERENCE)(lambda _: "p")
            for pair in itertools.chain(*rows):
                predict(pair)
            (window,) = rs.windows()
            assert (window.rows, window.features.cells.tolist(), rs.losses()) == (
                5, *counted(FRAME, reference=REFERENCE)[1], {}
            )  # fmt: skip


@pytest.mark.parametrize(
    "value", [{1.0, 2.0, 3.0}, frozenset("abc"), {"a": 1, "b": 2, "k": 3}.keys()], ids=["set", "frozen set", "keys"]
)
def test_a_set_of_values_is_no_row(value):
    """It has no order, so its values are of no feature."""
    assert counted(value, answers="p", reference=REFERENCE) == (1, [], {losses.FEATURES_UNREADABLE: 1})


def test_groups_of_frames_are_as_many_rows_as_answers():
    """Each is a part of the batch; their features are lost under one name."""
    assert counted(list(FRAME.groupby("b")), reference=REFERENCE) == (5, [], {losses.FEATURES_WIDTH: 5})


@pytest.mark.parametrize("kind", [ctypes.c_double, ctypes.c_float, ctypes.c_int32])
def test_arrays_of_ctypes_are_read_as_numpy_reads_them(kind):
    """Of one axis and of two, as rows and as answers."""
    made = ((kind * 2) * 3)(*[(kind * 2)(*row) for row in ([1, 2], [30, 4], [5, 600])])
    answers = (kind * 3)(1, 2, 3)
    reference = radiosonde.Reference.fit({"a": np.arange(100.0), "b": np.arange(100.0)}, model="m")
    assert counted(made, answers=answers, reference=reference) == counted(
        np.asarray(made), answers=np.asarray(answers), reference=reference
    )


ENVELOPES = {
    "named": lambda: {"model": "m", "instances": DICTS},
    "named lists": lambda: {"model": "m", "instances": LISTS},
    "with parameters": lambda: {"inputs": DICTS, "parameters": {"threshold": 0.5}},
    "with an empty mapping": lambda: {"data": {"rows": DICTS}, "meta": {}},
    "with a frame": lambda: {"X": FRAME, "verbose": False},
    "with a table": lambda: {"X": pl.DataFrame(DICTS), "at": pd.Timestamp(0)},
    "with a batch of Arrow": lambda: {"id": 7, "X": pa.RecordBatch.from_pylist(DICTS)},
    "request": lambda: Request(model="m", instances=DICTS),
    "dataclass": lambda: Batch(DICTS),
    "pairs": lambda: {"model": "m", "instances": list(enumerate(DICTS))},
    "split": lambda: FRAME[["k", "b", "a"]].to_dict("split"),
    "tight": lambda: FRAME.to_dict("tight"),
    "split in an envelope": lambda: {"dataframe_split": FRAME[["b", "k", "a"]].to_dict("split"), "params": None},
    "names beside an array": lambda: {
        "data": {"names": ["k", "b", "a"], "ndarray": [row[::-1] for row in LISTS]}, "meta": {"tags": {}},
    },
}  # fmt: skip


@pytest.mark.parametrize("make", ENVELOPES.values(), ids=ENVELOPES.keys())
def test_an_envelope_of_several_fields_has_the_cells_of_its_frame(make):
    """From the first call on with a reference; without, from the answers on that show it to be one."""
    assert counted(make(), reference=REFERENCE) == counted(FRAME, reference=REFERENCE)
    rows, cells, lost = counted(make(), calls=2)
    _, frame, _ = counted(FRAME)
    assert (rows, sorted(cells[-1]), lost) == (10, sorted(frame[-1]), {losses.FEATURES_UNREADABLE: 5})


def test_rows_by_key_have_the_cells_of_their_frame():
    """`DataFrame.to_dict("index")`, and the same by number, of any number of rows."""
    many = pd.concat([FRAME] * 9, ignore_index=True)
    answers = ANSWERS * 9
    for frame in (FRAME, many):
        said = answers[: len(frame)]
        value = frame.to_dict("index")
        assert counted(value, answers=said, reference=REFERENCE) == counted(frame, answers=said, reference=REFERENCE)


def test_a_row_in_an_envelope_is_one_row():
    """As a request of one row, or with a list of them among metadata; and as rows of a batch."""
    one = counted(FRAME[:1], answers=["p"], reference=REFERENCE)
    for value in ({"id": "7", "row": DICTS[0]}, {"id": "7", "rows": DICTS[:1]}, {"id": "7", "values": LISTS[0]}):
        assert counted(value, answers="p", reference=REFERENCE) == one
    rows = [{"id": place, "row": row} for place, row in enumerate(DICTS)]
    assert counted(rows, reference=REFERENCE) == counted(FRAME, reference=REFERENCE)


@pytest.mark.parametrize(
    "value",
    [
        {"request": SQUARE.to_dict("split")},
        {"request": SQUARE.to_dict("tight")},
        SQUARE.to_dict("split"),
        {"ids": [7, 8, 9], "names": ["b", "a", "k"], "ndarray": SQUARE[["b", "a", "k"]].to_numpy().tolist()},
        {"weights": [0.5, 0.1, 0.4], "instances": SQUARE.to_dict("records")},
    ],
    ids=["split", "tight", "split as the input", "names beside lists", "rows by name"],
)
def test_as_many_rows_as_features_are_read_by_their_names(value):
    """The index is a list of as many values as a row has, and no row."""
    assert counted(value, answers=ANSWERS[:3], reference=REFERENCE) == counted(
        SQUARE, answers=ANSWERS[:3], reference=REFERENCE
    )


def test_one_answer_to_a_list_of_rows_leaves_one_row():
    """An order with its items is one row, with a reference of the items and without; its features are a loss where they were read as many."""
    order = {"customer": 5, "country": "de", "items": DICTS}
    rows, cells, lost = counted(order, answers="p", reference=REFERENCE, calls=2)
    assert (rows, cells, lost) == (2, [], {losses.FEATURES_UNREADABLE: 2})
    rows, cells, lost = counted(order, answers="p", calls=20)
    assert (rows, len(cells[0]), lost) == (20, 3, {})


@pytest.mark.parametrize(
    "value",
    [
        {"model": "m", "a or b": DICTS, "b or a": DICTS},
        {"columns": ["x", "y", "z"], "data": LISTS},
        {"left": LISTS, "right": LISTS},
    ],
    ids=["two batches", "other names", "two matrices"],
)
def test_an_envelope_that_reads_several_ways_is_a_named_loss(value):
    """As many rows as answers, and no cell of a guess."""
    rows, cells, lost = counted(value, reference=REFERENCE)
    assert (rows, cells, sum(lost.values()), len(lost)) == (5, [], 5, 1)


class Refusing(dict):
    """A row that raises when it is read."""

    def get(self, *_):
        """Raise."""
        raise OSError("gone")


NO_ROWS = {
    "other width": (lambda: [[1.0, 2.0]], losses.FEATURES_WIDTH),
    "other names": (lambda: [{"x": 1.0, "y": 2.0}], losses.FEATURES_WIDTH),
    "objects of other names": (lambda: [Batch(1.0)], losses.FEATURES_WIDTH),
    "raising": (lambda: [Refusing(x=1.0)], losses.FEATURES_UNREADABLE),
}


@pytest.mark.parametrize(("make", "loss"), NO_ROWS.values(), ids=NO_ROWS.keys())
@pytest.mark.parametrize("count", [2, 30_000])
def test_a_batch_without_a_readable_row_is_a_loss_and_in_no_cell(make, loss, count):
    """As a single row and a frame of these are; also of a batch of which not every row is read."""
    assert counted(make() * count, answers=["p"] * count, reference=REFERENCE) == (count, [], {loss: count})


def test_every_row_of_another_width_is_a_loss_where_a_batch_is_thinned():
    """A third of the rows are of another width: the loss is estimated from the kept rows, which the batch is thinned to."""
    rng = np.random.default_rng(5)
    rows = [LISTS[0][: 3 - narrow] for narrow in rng.uniform(size=60_000) < 1 / 3]
    narrow = sum(len(row) == 2 for row in rows)
    _, cells, lost = counted(rows, answers=["p"] * len(rows), reference=REFERENCE)
    assert (len(cells), set(lost)) == (1, {losses.FEATURES_WIDTH})
    assert lost[losses.FEATURES_WIDTH] == pytest.approx(narrow, rel=0.2)
