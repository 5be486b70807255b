from __future__ import annotations

import sys
import uuid
from types import ModuleType

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from radiosonde.reference.containers import plain_column
from radiosonde.reference.values import is_masked, plain
from radiosonde.testing import fly


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.ma.array([1.0, 2.0], mask=[True, False]), True),
        (np.ma.array(["a"]), True),
        (np.array([1.0]), False),
        ([1.0], False),
        (None, False),
    ],
)
def test_masked_arrays_are_known(value, expected):
    """Masked arrays of any dtype are, and nothing else is."""
    assert is_masked(value) is expected


@pytest.fixture
def half_imported(monkeypatch):
    """Leave `numpy.ma` as a signal handler finds it that interrupts its import."""
    monkeypatch.delattr(np, "ma")
    monkeypatch.setitem(sys.modules, "numpy.ma", ModuleType("numpy.ma"))


@pytest.mark.usefixtures("half_imported")
@pytest.mark.parametrize(
    "batch",
    [
        np.ones((4, 2)),
        np.ones((4, 2), dtype=object),
        [[1.0, 2.0]] * 4,
        [{"a": 1.0, "b": 2.0}] * 4,
        {"a": np.ones(4), "b": [1, 2, 3, 4]},
    ],
    ids=["floats", "objects", "lists", "records", "columns"],
)
@pytest.mark.parametrize(
    "answer", [["yes"] * 4, np.array(["yes"] * 4), np.full((4, 2), 0.5)], ids=["list", "texts", "shares"]
)
def test_a_batch_is_read_while_numpy_ma_is_imported(batch, answer):
    """What interrupts the import of `numpy.ma` is recorded with its features and answers."""
    with fly() as rs:
        predict = rs.observe("delays")(lambda rows: answer)
        predict(batch)
        (window,) = rs.windows()
        assert (window.rows, int(window.output.class_counts.sum())) == (4, 4)
        assert rs.losses() == {}


@pytest.mark.usefixtures("half_imported")
def test_one_array_of_one_value_is_plain_while_numpy_ma_is_imported():
    """A value that is an array of no dimension is its entry."""
    assert plain(np.array(3.5)) == 3.5


IDS = [uuid.UUID(int=place) for place in (1, 2**64)]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(IDS, pa.uuid()), IDS),
        (pa.chunked_array([pa.array(IDS[:1], pa.uuid()), pa.array(IDS[1:], pa.uuid())]), IDS),
        (pd.Series(pd.arrays.ArrowExtensionArray(pa.array([*IDS, None], pa.uuid()))), [*IDS, None]),
        (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0], pa.int8())), [True, False]),
    ],
    ids=["UUIDs", "UUIDs in chunks", "UUIDs in pandas", "truth values"],
)
def test_extension_types_of_arrow_have_the_values_that_they_stand_for(column, expected):
    """As Python's objects have them, row by row."""
    found = plain_column(column)
    assert [value if value is None else plain(value) for value in list(found)] == [
        value if value is None else plain(value) for value in expected
    ]


@pytest.mark.parametrize("value", [b"late", bytearray(b"late"), np.bytes_(b"late"), "late", np.str_("late")], ids=repr)
def test_bytes_of_every_kind_are_their_text(value):
    """Also those that are sequences."""
    assert plain(value) == "late"
