"""Rows of every kind in every container: the same cells as the same values in a pandas frame, and nothing lost."""

from __future__ import annotations

import collections
import dataclasses
import sqlite3
import types
import typing

import attrs
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest
import scipy.sparse

import radiosonde
from radiosonde.model import losses
from radiosonde.testing import fly

VALUES = [(5.0, "1"), (50.0, "0"), (500.0, "new")]
REFERENCE = radiosonde.Reference.fit({"n": np.arange(100.0), "k": ["0", "1", "2", "3"] * 25}, model="m")


class Slots:
    """A class whose attributes have no dictionary."""

    __slots__ = ("k", "n")

    def __init__(self, n, k):
        self.n, self.k = n, k


class Derived(Slots):
    """One that adds attributes that are its own business."""

    __slots__ = ("_cache",)

    def __str__(self):
        return "a row that writes itself"


@attrs.define
class OfAttrs:
    """A class of attrs with slots."""

    n: float
    k: str


@dataclasses.dataclass(slots=True, frozen=True)
class OfSlots:
    """A dataclass with slots."""

    n: float
    k: str


class OfPydantic(pydantic.BaseModel):
    """A model whose second field has another name in JSON."""

    n: float
    k: str = pydantic.Field(alias="K")


class WithExtras(pydantic.BaseModel):
    """A model that accepts undeclared fields."""

    model_config = pydantic.ConfigDict(extra="allow")
    n: float


class Struct:
    """What msgspec's structs have: names of fields on the class, and slots."""

    __slots__ = __struct_fields__ = ("n", "k")

    def __init__(self, n, k):
        self.n, self.k = n, k


class Named(typing.NamedTuple):
    """A named tuple."""

    n: float
    k: str


class OfSpark(tuple):
    """What rows of Spark have: names of their own in each."""

    __slots__ = ()

    def asDict(self):  # noqa: N802 -- Spark's name
        return dict(zip(("n", "k"), self, strict=True))


def of_sqlite(n, k):
    """Return a row of a database of the standard library."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    row = connection.execute("select ? as n, ? as k", (n, k)).fetchone()
    connection.close()
    return row


ROWS = {
    "slots": Slots,
    "derived slots": Derived,
    "attrs": OfAttrs,
    "dataclass with slots": OfSlots,
    "pydantic": lambda n, k: OfPydantic(n=n, K=k),
    "pydantic with extras": lambda n, k: WithExtras(n=n, k=k),
    "struct": Struct,
    "named tuple": Named,
    "dict": lambda n, k: {"k": k, "n": n},
    "namespace": lambda n, k: types.SimpleNamespace(n=n, k=k),
    "row of Spark": lambda n, k: OfSpark((n, k)),
    "row of SQLite": of_sqlite,
    "structured scalar": lambda n, k: np.array([(n, k)], dtype=[("n", "f8"), ("k", "U5")])[0],
    "struct of Arrow": lambda n, k: pa.scalar({"n": n, "k": k}),
    "chain of dicts": lambda n, k: collections.ChainMap({"n": n}, {"k": k}),
    "pandas row": lambda n, k: pd.Series({"k": k, "n": n}, dtype=object),
}


def objects(rows):
    """Return a numpy array of objects of one axis."""
    made = np.empty(len(rows), dtype=object)
    made[:] = rows
    return made


CONTAINERS = {
    "list": list,
    "deque": collections.deque,
    "tuple": tuple,
    "user list": collections.UserList,
    "objects": objects,
    "series": lambda rows: pd.Series(objects(rows)),
}


def cells(values, reference=REFERENCE):
    """Return rows and cells by name of calls with three rows, one per model, and the losses."""
    found = {}
    with fly() as rs:
        for name, value in values.items():
            rs.observe(name, reference=reference)(lambda _: ["a"] * 3)(value)
        for window in rs.windows():
            features = window.features
            found[window.key.model] = (window.rows, None if features is None else features.cells.tolist())
        return found, rs.losses()


FRAME = pd.DataFrame(VALUES, columns=["n", "k"])


@pytest.mark.parametrize("kind", ROWS)
def test_rows_of_any_kind_in_any_container_have_the_cells_of_a_frame(kind):
    """For any type of row, with and without slices of its container."""
    rows = [ROWS[kind](n, k) for n, k in VALUES]
    found, lost = cells({"frame": FRAME} | {name: make(rows) for name, make in CONTAINERS.items()})
    assert found == dict.fromkeys(found, found["frame"])
    assert (len(found), found["frame"][0], lost) == (len(CONTAINERS) + 1, 3, {})


TABLES = {
    "struct column of polars": lambda: pl.DataFrame(FRAME).to_struct(),
    "struct array of Arrow": lambda: pa.Table.from_pandas(FRAME).to_struct_array(),
    "struct column of pandas": lambda: pd.Series(
        FRAME.to_dict("records"), dtype=pd.ArrowDtype(pa.struct([("n", pa.float64()), ("k", pa.string())]))
    ),
    "dict of deques": lambda: {name: collections.deque(FRAME[name]) for name in FRAME},
    "dict of columns of one axis more": lambda: {name: FRAME[name].to_numpy().reshape(3, 1) for name in FRAME},
    "columns numbered for want of names": lambda: pd.DataFrame(VALUES),
}


def test_columns_of_rows_and_rows_of_columns_have_the_cells_of_a_frame():
    """Structs of every library, and columns that take no slices, have an axis too many or no names."""
    found, lost = cells({"frame": FRAME} | {name: make() for name, make in TABLES.items()})
    assert found == dict.fromkeys(found, found["frame"])
    assert (len(found), lost) == (len(TABLES) + 1, {})


MATRIX = np.array([[5.0, 50.0], [500.0, 5.0], [-1.0, np.nan]])
NUMBERS = radiosonde.Reference.fit({"f0": np.arange(100.0), "f1": np.arange(100.0)}, model="m")

MATRICES = {
    "lists in polars": lambda: pl.Series(MATRIX.tolist()),
    "arrays in polars": lambda: pl.Series(MATRIX.tolist(), dtype=pl.Array(pl.Float64, 2)),
    "lists in Arrow": lambda: pa.array(MATRIX.tolist()),
    "lists of one length in Arrow": lambda: pa.array(MATRIX.tolist(), pa.list_(pa.float64(), 2)),
    "lists in a series": lambda: pd.Series(MATRIX.tolist()),
    "arrays in a series": lambda: pd.Series(list(MATRIX)),
    "arrays in objects": lambda: objects(list(MATRIX)),
    "arrays in a deque": lambda: collections.deque(MATRIX),
    "long doubles": lambda: MATRIX.astype(np.longdouble),
    "other order of bytes": lambda: MATRIX.astype(">f4"),
    "columns without names": lambda: pd.DataFrame(MATRIX),
    "sparse columns without names": lambda: pd.DataFrame.sparse.from_spmatrix(scipy.sparse.csr_matrix(MATRIX)),
    "three axes": lambda: MATRIX[:, None, :],
}


def test_rows_of_numbers_in_any_container_have_the_cells_of_a_matrix():
    """Lists and arrays as items of columns are rows, not values that cannot be read."""
    found, lost = cells({"matrix": MATRIX} | {name: make() for name, make in MATRICES.items()}, NUMBERS)
    assert found == dict.fromkeys(found, found["matrix"])
    assert (len(found), found["matrix"][0], lost) == (len(MATRICES) + 1, 3, {})


def test_an_attribute_that_is_not_set_is_a_missing_value():
    """Of an object with slots, alone and among others; the row counts with its other values."""
    row = Slots.__new__(Slots)
    row.n = 5.0
    found, lost = cells({"frame": pd.DataFrame({"n": [5.0] * 3, "k": [None] * 3}), "objects": [row] * 3})
    assert found["objects"] == found["frame"]
    assert lost == {}


MISMATCHED = {
    "row too short": [1.0],
    "rows too long": [[1.0, 2.0, 3.0]] * 3,
    "matrix too wide": np.ones((3, 5)),
    "dict of other names": {"x": 1.0},
    "frame of other names": pd.DataFrame({"x": [1.0, 2.0, 3.0]}),
    "dicts of other names": [{"x": 1.0}] * 3,
    "one value": np.array(3.0),
}


@pytest.mark.parametrize("value", MISMATCHED.values(), ids=MISMATCHED.keys())
def test_rows_of_other_features_are_lost_by_name_and_told_what_to_do(value, caplog):
    """Counted a row each, and one message that shows nothing of what the rows hold."""
    rows = (
        len(value)
        if isinstance(value, np.ndarray | pd.DataFrame | list) and np.ndim(value) != 0 and len(value) > 1
        else 1
    )
    with fly() as rs:
        rs.observe("m", reference=REFERENCE)(lambda _: ["a"] * rows if rows > 1 else "a")(value)
        (window,) = rs.windows()
        assert (window.rows, rs.losses()) == (rows, {losses.FEATURES_WIDTH: rows})
    (said,) = (each for each in caplog.messages if "does not match the 2 features" in each)
    assert "features=[...]" in said
    assert "'x'" not in said
