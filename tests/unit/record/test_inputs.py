from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest

from radiosonde.model import losses
from radiosonde.testing import fly
from tests.factories import make_feature, make_reference
from tests.unit.record.slots import last_block, last_header, last_names, last_row, last_texts

NAN, INF = math.nan, math.inf
NUMBERS = make_reference([make_feature("a", (50, 50, 0, 0, 0, 0)), make_feature("b", (50, 50, 0, 0, 0, 0))])


@dataclasses.dataclass
class Point:
    a: object
    b: object


class Pair(NamedTuple):
    a: float
    b: float


class Model(pydantic.BaseModel):
    a: float | None
    b: float


class Tensor:
    """Quacks like a torch tensor that requires grad and lives on a GPU."""

    def __init__(self, values, steps=()):
        self._values, self._steps = values, steps

    def detach(self):
        return Tensor(self._values, (*self._steps, "detach"))

    def cpu(self):
        return Tensor(self._values, (*self._steps, "cpu"))

    def numpy(self):
        if self._steps != ("detach", "cpu"):
            raise RuntimeError("call detach() and cpu() first")
        return np.array(self._values, dtype=np.float32)


class Arrayed:
    """Knows only how to become an array."""

    def __init__(self, values):
        self._values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self._values, dtype=dtype)


class Raising:
    """Raises whenever it is converted."""

    def __float__(self):
        raise RuntimeError("no float")


class Incomparable:
    def __ne__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = None


class Truthless:
    def __ne__(self, other):
        return np.array([True, False])

    __hash__ = None


class BrokenMapping(Mapping):
    def __getitem__(self, name):
        raise RuntimeError("no item")

    def get(self, name, default=None):
        raise RuntimeError("no item")

    def __iter__(self):
        return iter(("a", "b"))

    def __len__(self):
        return 2


class BrokenArray:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no array")


def same(found, expected):
    """Compare rows or blocks where NaN equals NaN."""
    np.testing.assert_array_equal(np.array(found, dtype=np.float64), np.array(expected, dtype=np.float64))


ROWS = {
    "numpy 1-D": np.array([1.5, 2.5]),
    "numpy (1, n)": np.array([[1.5, 2.5]]),
    "numpy float32": np.array([1.5, 2.5], dtype=np.float32),
    "numpy big endian": np.array([[1.5, 2.5]], dtype=">f8"),
    "numpy object": np.array([1.5, 2.5], dtype=object),
    "numpy strided": np.array([[1.5, 9.0, 2.5, 9.0]])[:, ::2],
    "numpy reversed": np.array([2.5, 1.5])[::-1],
    "list": [1.5, 2.5],
    "tuple": (1.5, 2.5),
    "list of one list": [[1.5, 2.5]],
    "dict": {"a": 1.5, "b": 2.5},
    "dict in another order": {"b": 2.5, "a": 1.5},
    "dict of numpy scalars": {"a": np.float32(1.5), "b": np.float64(2.5)},
    "dict of decimals": {"a": Decimal("1.5"), "b": Decimal("2.5")},
    "ordered dict": OrderedDict(b=2.5, a=1.5),
    "list of one dict": [{"a": 1.5, "b": 2.5}],
    "dataclass": Point(1.5, 2.5),
    "named tuple": Pair(1.5, 2.5),
    "pydantic": Model(a=1.5, b=2.5),
    "pandas row": pd.Series({"b": 2.5, "a": 1.5}),
    "pandas frame": pd.DataFrame({"b": [2.5], "a": [1.5]}),
    "polars frame": pl.DataFrame({"b": [2.5], "a": [1.5]}),
    "polars series": pl.Series([1.5, 2.5]),
    "arrow table": pa.table({"b": [2.5], "a": [1.5]}),
    "tensor": Tensor([1.5, 2.5]),
    "__array__": Arrayed([1.5, 2.5]),
}


@pytest.mark.parametrize("value", ROWS.values(), ids=ROWS.keys())
@pytest.mark.parametrize("call", ["first", "second", "keyword"])
def test_a_row_of_any_kind_is_recorded(value, call):
    """One row arrives in the slot in column order, from any container: at the first call, later, and by keyword."""
    with fly() as rs:
        predict = rs.observe("m", features=["a", "b"] if call != "first" else None)(lambda features: None)
        if call == "second":
            predict(np.array([7.0, 7.0]))
        if call == "keyword":
            predict(features=value)
        else:
            predict(value)
        row = dict(zip(last_names(), last_row(), strict=True))
        assert sorted(row.values()) == [1.5, 2.5]
        if call != "first" or hasattr(value, "columns") or isinstance(value, Mapping | Point | Pair | Model):
            assert row == {"a": 1.5, "b": 2.5}
        assert rs.losses() == {}
        assert rs.windows()[0].calls == rs.windows()[0].rows == (2 if call == "second" else 1)


BLOCKS = {
    "numpy": np.array([[1.0, 2.0], [3.0, 4.0]]),
    "numpy int": np.array([[1, 2], [3, 4]]),
    "numpy float32": np.array([[1, 2], [3, 4]], dtype=np.float32),
    "numpy object": np.array([[1, 2.0], [3, 4]], dtype=object),
    "numpy column-major": np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]),
    "list of lists": [[1, 2], [3, 4]],
    "list of tuples": [(1, 2), (3, 4)],
    "list of arrays": [np.array([1.0, 2.0]), np.array([3.0, 4.0])],
    "tuple of dicts": ({"a": 1, "b": 2}, {"b": 4, "a": 3}),
    "list of dataclasses": [Point(1, 2), Point(3, 4)],
    "list of pydantic models": [Model(a=1, b=2), Model(a=3, b=4)],
    "list of named tuples": [Pair(1, 2), Pair(3, 4)],
    "pandas": pd.DataFrame({"b": [2, 4], "a": [1.0, 3.0]}, index=[7, 7]),
    "polars": pl.DataFrame({"b": [2, 4], "a": [1.0, 3.0]}),
    "arrow": pa.table({"b": [2, 4], "a": [1.0, 3.0]}),
    "tensor": Tensor([[1.0, 2.0], [3.0, 4.0]]),
    "__array__": Arrayed([[1.0, 2.0], [3.0, 4.0]]),
}


@pytest.mark.parametrize("value", BLOCKS.values(), ids=BLOCKS.keys())
def test_a_batch_of_any_kind_is_recorded(value):
    """All rows of a batch arrive in column order; it counts as one call of two rows."""
    with fly() as rs:
        rs_predict = rs.observe("m", features=["a", "b"])(lambda features: None)
        rs_predict(value)
        assert last_block() == [[1.0, 2.0], [3.0, 4.0]]
        (window,) = rs.windows()
        assert (window.calls, window.rows, window.batch_sizes.tolist()[:3]) == (1, 2, [0, 1, 0])
        assert rs.losses() == {}


VALUES = {
    "None": (None, NAN),
    "NaN": (NAN, NAN),
    "Decimal NaN": (Decimal("NaN"), NAN),
    "pandas NA": (pd.NA, NAN),
    "pandas NaT": (pd.NaT, NAN),
    "numpy NaN": (np.float32("nan"), NAN),
    "infinity": (INF, INF),
    "minus infinity": (-INF, -INF),
    "true": (True, 1.0),
    "numpy bool": (np.bool_(True), 1.0),
    "integer": (3, 3.0),
    "numpy integer": (np.int8(3), 3.0),
    "integer beyond doubles": (10**400, INF),
    "text": ("3.5", INF),
    "empty text": ("", INF),
    "bytes": (b"3.5", INF),
    "complex": (1 + 2j, INF),
    "list": ([1.0], INF),
    "no conversion": (object(), INF),
    "float raises": (Raising(), INF),
    "comparison raises": (Incomparable(), INF),
    "comparison has no truth": (Truthless(), INF),
}


@pytest.mark.parametrize(("value", "expected"), VALUES.values(), ids=VALUES.keys())
@pytest.mark.parametrize("carrier", ["dict", "list", "object array", "object matrix", "dataclass", "rows"])
def test_a_numeric_value_has_one_meaning_in_every_carrier(carrier, value, expected):
    """Missing is NaN, other values are infinite, in a row by name or position and in batches alike."""
    cells = np.empty((2, 2), dtype=object)
    cells[0], cells[1] = [0.0, 1.0], [0.0, 1.0]
    cells[:, 0] = [value, value] if not isinstance(value, list) else [None, None]
    if isinstance(value, list):
        cells[0, 0], cells[1, 0] = value, value
    given = {
        "dict": {"a": value, "b": 1.0},
        "list": [1.0, value],  # a list that begins with a list is a list of rows
        "object array": cells[0],
        "object matrix": cells,
        "dataclass": Point(value, 1.0),
        "rows": [{"a": value, "b": 1.0}, {"b": 1.0, "a": value}],
    }[carrier]
    with fly() as rs:
        predict = rs.observe("m", reference=NUMBERS)(lambda features: None)
        predict(given)
        if carrier in ("object matrix", "rows"):
            same(last_block(), [[expected, 1.0]] * 2)
        else:
            same(last_row(), [1.0, expected] if carrier == "list" else [expected, 1.0])
        assert rs.losses() == {}


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([None, 2, 3], dtype="Int64"),
        pd.Series([NAN, 2, 3]),
        pd.Series([None, 2, 3], dtype=object),
        pl.Series([None, 2, 3]),
    ],
    ids=["nullable Int64", "float", "object", "polars"],
)
@pytest.mark.parametrize("call", ["learned", "known"])
def test_a_frame_column_with_missing_values_stays_a_number(column, call):
    """A column of numbers with gaps is numeric with NaN, also when the schema is learned from it."""
    frame = pl.DataFrame({"x": column}) if isinstance(column, pl.Series) else pd.DataFrame({"x": column})
    with fly() as rs:
        predict = rs.observe("m", features=["x"] if call == "known" else None)(lambda features: None)
        predict(frame)
        assert np.array_equal(last_block(), [[NAN], [2.0], [3.0]], equal_nan=True)


TEXT_COLUMNS = {
    "pandas": pd.DataFrame({"carrier": ["UA", None, "ZZ", "AA"], "wind": [1.0, 2.0, NAN, 4.0]}),
    "pandas category": pd.DataFrame(
        {
            "wind": [1.0, 2.0, NAN, 4.0],
            "carrier": pd.Categorical(["UA", None, "ZZ", "AA"]),
        }
    ),
    "polars": pl.DataFrame({"wind": [1.0, 2.0, None, 4.0], "carrier": ["UA", None, "ZZ", "AA"]}),
    "arrow": pa.table({"wind": [1.0, 2.0, None, 4.0], "carrier": ["UA", None, "ZZ", "AA"]}),
    "list of dicts": [
        {"wind": 1.0, "carrier": "UA"},
        {"carrier": None, "wind": 2},
        {"wind": None, "carrier": "ZZ"},
        {"carrier": "AA", "wind": 4.0},
    ],
    "object matrix": np.array([[1.0, "UA"], [2.0, None], [NAN, "ZZ"], [4.0, "AA"]], dtype=object),
}


@pytest.mark.parametrize("value", TEXT_COLUMNS.values(), ids=TEXT_COLUMNS.keys())
def test_categories_are_recorded_as_codes_of_the_reference(value):
    """Known categories have the reference's codes, an unknown one the next code, a missing one NaN; cells agree."""
    with fly() as rs:
        rs.observe("m", reference=make_reference())(lambda features: None)(value)
        same(last_block(), [[1.0, 0.0], [2.0, NAN], [NAN, 2.0], [4.0, 1.0]])
        (window,) = rs.windows()
        assert window.features.names == ("wind", "carrier")
        # wind: 00 (..1], 01 (1..2], below, above, null, unseen; carrier: c00, c01, -, -, null, unseen
        assert window.features.cells.tolist() == [[1, 1, 0, 1, 1, 0], [1, 1, 0, 0, 1, 1]]
        assert rs.losses() == {}


@pytest.mark.parametrize(
    ("value", "row"),
    [
        ({"wind": 1.0, "carrier": "UA"}, [1.0, 0.0]),
        ({"wind": "fast", "carrier": "AA"}, [INF, 1.0]),
        ({"wind": None, "carrier": "ZZ"}, [NAN, 2.0]),
        ({"wind": 1, "carrier": None}, [1.0, NAN]),
        ({"wind": 1, "carrier": NAN}, [1.0, NAN]),
        ({"wind": 1, "carrier": ["UA"]}, [1.0, INF]),
        ({"wind": 1, "carrier": 7}, [1.0, 2.0]),
        ({"carrier": "AA", "wind": np.int64(2)}, [2.0, 1.0]),
        ([1.0, "AA"], [1.0, 1.0]),
        (np.array([1.0, "AA"], dtype=object), [1.0, 1.0]),
    ],
)
def test_a_row_with_categories(value, row):
    """One row with a category: known, unknown, missing, not hashable, or a number where text is due."""
    with fly() as rs:
        rs.observe("m", reference=make_reference())(lambda features: None)(value)
        same(last_row(), row)
        assert rs.losses() == {}


def test_categories_beyond_the_bound_are_counted():
    """The 4097th category of a feature has no code left: its value is invalid and counted as overflow."""
    with fly() as rs:
        predict = rs.observe("m")(lambda features: None)
        for number in range(4096):
            predict({"c": f"v{number}"})
        assert last_texts() == ["v4095"]
        predict({"c": "one more"})
        assert last_row() == [INF]
        predict({"c": "v17"})
        assert last_texts() == ["v17"]
        assert rs.losses() == {losses.CATEGORY_OVERFLOW: 1}


SHAPES = {
    "dict lacks a name": ({"a": 1.0}, [1.0, NAN], {}),
    "dict has one more": ({"a": 1.0, "b": 2.0, "c": 3.0}, [1.0, 2.0], {losses.FEATURE_VALUES_UNKNOWN: 1}),
    "dict lacks one, has another": ({"a": 1.0, "c": 3.0}, [1.0, NAN], {losses.FEATURE_VALUES_UNKNOWN: 1}),
    "dict knows no name": ({"x": 1.0, "y": 2.0}, None, {losses.FEATURES_WIDTH: 1}),
    "empty dict": ({}, None, {losses.FEATURES_WIDTH: 1}),
    "list too short": ([1.0], None, {losses.FEATURES_WIDTH: 1}),
    "list too long": ([1.0, 2.0, 3.0], None, {losses.FEATURES_WIDTH: 1}),
    "array too long": (np.zeros(3), None, {losses.FEATURES_WIDTH: 1}),
    "array (1, 3)": (np.zeros((1, 3)), None, {losses.FEATURES_WIDTH: 1}),
    "scalar array": (np.array(1.0), None, {losses.FEATURES_WIDTH: 1}),
    "image": (np.zeros((1, 4, 4, 3)), None, {losses.FEATURES_WIDTH: 1}),
    "number": (3.5, None, {losses.FEATURES_UNREADABLE: 1}),
    "text": ("hello", None, {losses.FEATURES_UNREADABLE: 1}),
    "None": (None, None, {losses.FEATURES_UNREADABLE: 1}),
    "object": (object(), None, {losses.FEATURES_UNREADABLE: 1}),
    "function": (len, None, {losses.FEATURES_UNREADABLE: 1}),
    "mapping raises": (BrokenMapping(), None, {losses.FEATURES_UNREADABLE: 1}),
    "array raises": (BrokenArray(), None, {losses.FEATURES_UNREADABLE: 1}),
    "frame lacks a column": (pd.DataFrame({"b": [2.0]}), [NAN, 2.0], {}),
    "frame has one more": (
        pd.DataFrame({"b": [2.0], "z": [0], "a": [1.0]}), [1.0, 2.0], {losses.FEATURE_VALUES_UNKNOWN: 1},
    ),
    "frame knows no name": (pd.DataFrame({"y": [2.0]}), None, {losses.FEATURES_WIDTH: 1}),
}  # fmt: skip


@pytest.mark.parametrize(("value", "row", "lost"), SHAPES.values(), ids=SHAPES.keys())
def test_a_row_of_another_shape_is_a_named_loss_and_the_prediction_counts(value, row, lost):
    """Missing names are missing values; surplus, foreign and unreadable rows are lost by name; the call still counts."""
    with fly() as rs:
        result = object()
        predict = rs.observe("m", reference=NUMBERS, output=lambda _: "yes")(lambda features: result)
        assert predict(value) is result
        if row is None:
            assert last_row() is None
        else:
            same(last_row(), row)
        (window,) = rs.windows()
        assert (window.calls, window.rows, window.errors) == (1, 1, {})
        assert (window.output.classes, window.output.class_counts.tolist()) == (("yes",), [1])
        assert rs.losses() == lost


BATCH_SHAPES = {
    "matrix too wide": (np.zeros((3, 5)), None, {losses.FEATURES_WIDTH: 3}),
    "frame knows no name": (pd.DataFrame({"y": [1.0, 2.0]}), None, {losses.FEATURES_WIDTH: 2}),
    "frame has one more": (
        pl.DataFrame({"y": [0, 0], "a": [1, 3], "b": [2, 4]}), [[1.0, 2.0], [3.0, 4.0]],
        {losses.FEATURE_VALUES_UNKNOWN: 2},
    ),
    "one row too long": ([[1, 2], [1, 2, 3]], [[1.0, 2.0]], {losses.FEATURES_WIDTH: 1}),
    "one dict is foreign": ([{"a": 1, "b": 2}, {"z": 3}], [[1.0, 2.0]], {losses.FEATURES_WIDTH: 1}),
    "one item is None": ([{"a": 1, "b": 2}, None], [[1.0, 2.0]], {losses.FEATURES_UNREADABLE: 1}),
    "one item raises": (
        [{"a": 1, "b": 2}, BrokenMapping()], [[1.0, 2.0]], {losses.FEATURES_UNREADABLE: 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("value", "block", "lost"), BATCH_SHAPES.values(), ids=BATCH_SHAPES.keys())
def test_a_batch_with_bad_rows_loses_only_those(value, block, lost):
    """Rows that cannot be read are not in the block of their batch and are counted one by one; outputs of all rows count."""
    with fly() as rs:
        rows = len(value)
        rs.observe("m", reference=NUMBERS)(lambda features: ["yes"] * rows)(value)
        if block is None:
            assert last_header()["input_kind"] == 0
        else:
            same(last_block(), block)
        (window,) = rs.windows()
        assert (window.calls, window.rows) == (1, rows)
        assert window.output.class_counts.tolist() == [rows]
        assert rs.losses() == lost


EMPTY = {
    "list": [],
    "matrix": np.zeros((0, 2)),
    "pandas": pd.DataFrame({"a": [], "b": []}),
    "polars": pl.DataFrame({"a": [], "b": []}),
}


@pytest.mark.parametrize("value", EMPTY.values(), ids=EMPTY.keys())
@pytest.mark.parametrize("is_first", [True, False])
def test_an_empty_batch_is_a_call_without_rows(value, is_first):
    """An empty batch counts as a call of no rows, loses nothing, and does not spoil the schema of later calls."""
    with fly() as rs:
        predict = rs.observe("m", reference=None if is_first else NUMBERS)(lambda features: [])
        predict(value)
        (window,) = rs.windows()
        assert (window.calls, window.rows, window.batch_sizes.sum()) == (1, 0, 0)
        assert rs.losses() == {}
        for _ in range(2):
            predict([1.5, 2.5])
        assert last_row() == [1.5, 2.5]


@pytest.mark.parametrize("first", [None, 3.5, BrokenArray(), np.zeros((2, 0))])
def test_a_first_call_that_cannot_be_read_does_not_spoil_the_schema(first):
    """When the first value teaches no schema, a later one does; at most its own row is lost, by name."""
    with fly() as rs:
        predict = rs.observe("m")(lambda features: None)
        predict(first)
        predict({"a": 1.0, "b": 2.0})
        predict({"a": 3.0, "b": 4.0})
        assert (last_names(), last_row()) == (("a", "b"), [3.0, 4.0])
        assert sum(window.calls for window in rs.windows()) == 3
        assert rs.losses()[losses.FEATURES_LEARNING] == 1


def test_positions_name_the_features_of_nameless_rows():
    """Arrays and lists without names are called f0, f1, ...; a series labelled by position is read by it."""
    with fly() as rs:
        rs.observe("m")(lambda features: None)(np.array([[1.0, 2.0]]))
        assert last_names() == ("f0", "f1")
        predict = rs.observe("n")(lambda features: None)
        predict(pd.Series([1.0, 2.0]))
        assert (last_names(), last_row()) == (("0", "1"), [1.0, 2.0])
        predict(pd.DataFrame([[3.0, 4.0]]))
        assert last_row() == [3.0, 4.0]
        assert rs.losses() == {}


def test_the_callers_array_is_copied():
    """Changes of the array after the call do not reach the record."""
    with fly() as rs:
        row, block = np.array([[1.0, 2.0]]), np.ones((2, 2))
        predict = rs.observe("m", reference=NUMBERS)(lambda features: features.fill(9.0))
        predict(row)
        assert last_row() == [1.0, 2.0]
        predict(block)
        assert last_block() == [[1.0, 1.0], [1.0, 1.0]]
