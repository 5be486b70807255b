"""Inputs that few people pass: each row is counted once, and its features are in the cells or in a loss that is named."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import decimal
import fractions
import types
import uuid

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse

from radiosonde.model import losses
from radiosonde.testing import fly


@dataclasses.dataclass
class Flight:
    """A row."""

    wind: float
    carrier: str


class Slotted:
    """An object whose attributes have no dictionary."""

    __slots__ = ("carrier", "wind")

    def __init__(self):
        self.wind, self.carrier = 1.0, "UA"


class Unslotted:
    """An object that may be anything, a row or a connection."""

    def __init__(self):
        self.wind, self.carrier = 1.0, "UA"


Pair = collections.namedtuple("Pair", "wind carrier")  # noqa: PYI024 -- the untyped kind is tested

READ = {
    "array.array": (lambda: array.array("d", [1, 2, 3]), 1, 3),
    "range": (lambda: range(3), 1, 3),
    "ordered dict": (lambda: collections.OrderedDict(wind=1, carrier="UA"), 1, 2),
    "read-only dict": (lambda: types.MappingProxyType({"wind": 1, "carrier": "UA"}), 1, 2),
    "named tuple": (lambda: Pair(1, "UA"), 1, 2),
    "named tuples": (lambda: [Pair(1, "UA")] * 4, 4, 2),
    "dataclasses": (lambda: [Flight(1.0, "UA")] * 4, 4, 2),
    "tuple of dicts": (lambda: ({"wind": 1.0}, {"wind": 2.0}), 2, 1),
    "numpy matrix": (lambda: np.ones((5, 2)).view(np.matrix), 5, 2),
    "column order": (lambda: np.asfortranarray(np.ones((5, 2))), 5, 2),
    "big-endian": (lambda: np.ones((5, 2), dtype=">f4"), 5, 2),
    "long double": (lambda: np.ones((5, 2), dtype=np.longdouble), 5, 2),
    "record array": (lambda: np.rec.fromarrays([[1, 2, 3], ["a", "b", "c"]], names="n,t"), 3, 2),
    "objects": (lambda: np.array([[1, "a"], [2, "b"]], dtype=object), 2, 2),
    "sparse columns": (lambda: scipy.sparse.csc_matrix(np.eye(6)), 6, 6),
    "sparse coordinates": (lambda: scipy.sparse.coo_array(np.eye(6)), 6, 6),
    "series": (lambda: pd.Series({"wind": 1.0, "carrier": "UA"}), 1, 2),
    "two levels of names": (
        lambda: pd.DataFrame(np.ones((3, 2)), columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])), 3, 2,
    ),
    "intervals": (lambda: pd.DataFrame({"a": pd.interval_range(0, 3)}), 3, 1),
    "periods": (lambda: pd.DataFrame({"a": pd.period_range("2020", periods=3, freq="M")}), 3, 1),
    "sparse column": (lambda: pd.DataFrame({"a": pd.arrays.SparseArray([0, 0, 1.5])}), 3, 1),
    "durations": (lambda: pl.DataFrame({"a": [dt.timedelta(1)] * 3}), 3, 1),
    "decimals": (lambda: pl.DataFrame({"a": [decimal.Decimal("1.5")] * 3}), 3, 1),
    "decimals of Arrow": (lambda: pa.table({"a": pa.array([decimal.Decimal("1.5"), None])}), 2, 1),
    "large strings": (lambda: pa.table({"a": pa.array(["x", None], pa.large_string())}), 2, 1),
    "lists": (lambda: pa.table({"a": pa.array([[1], [2]])}), 2, 1),
    "structs": (lambda: pa.table({"a": pa.array([{"x": 1}, {"x": 2}])}), 2, 1),
    "dict of arrays": (lambda: {"a": np.arange(4.0), "b": np.arange(4)}, 4, 2),
    "dict of series": (lambda: {"a": pl.Series([1, 2]), "b": pl.Series(["x", "y"])}, 2, 2),
    "memory": (lambda: memoryview(np.ones((4, 2))), 4, 2),
    "rare scalars": (lambda: {"a": uuid.UUID(int=1), "b": decimal.Decimal(1), "c": fractions.Fraction(1, 2)}, 1, 3),
    "instants": (lambda: {"a": dt.datetime(2020, 1, 1), "b": dt.date(2020, 1, 1), "c": dt.time(1)}, 1, 3),  # noqa: DTZ001
    "nested dict": (lambda: {"a": {"b": 1}}, 1, 1),
    "deque of dicts": (lambda: collections.deque([{"wind": 1.0}] * 3), 3, 1),
    "deque of rows": (lambda: collections.deque([[1.0, 2.0]] * 3), 3, 2),
    "complex numbers": (lambda: np.ones((3, 2), dtype=complex), 3, 2),
    "slots": (Slotted, 1, 2),
}  # fmt: skip

UNREAD = {
    "attributes in a dictionary": (Unslotted, 1),
    "bytes": (lambda: b"abc", 1),
    "lazy frame": (lambda: pl.LazyFrame({"a": [1, 2]}), 2),
}


def counted(make, rows):
    """Return the window, the features and the losses of one call that answers one class a row."""
    with fly() as rs:
        rs.observe("m")(lambda _: ["late"] * rows if rows > 1 else "late")(make())
        (window,) = rs.windows()
        return window, window.features, rs.losses()


@pytest.mark.parametrize(("make", "rows", "width"), READ.values(), ids=READ.keys())
def test_every_row_is_in_the_cells_of_every_feature(make, rows, width):
    """As many rows as it has, each once in the cells of each feature, and nothing lost."""
    window, features, lost = counted(make, rows)
    assert (window.calls, window.rows, window.output.class_counts.tolist()) == (1, rows, [rows])
    assert features.cells.sum(axis=1).tolist() == [rows] * width
    assert lost == {}


@pytest.mark.parametrize(("make", "rows"), UNREAD.values(), ids=UNREAD.keys())
def test_what_cannot_be_read_is_a_named_loss_of_its_rows(make, rows):
    """The call, its rows and its answers count all the same."""
    window, features, lost = counted(make, rows)
    assert (window.calls, window.rows, window.output.class_counts.tolist()) == (1, rows, [rows])
    assert features is None
    assert lost == {losses.FEATURES_UNREADABLE: rows}
