"""Batches in which no text comes twice: their cost to the caller, and that they are recorded like rows one by one."""

from __future__ import annotations

import enum

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import radiosonde
from radiosonde._record import schema as schemas
from radiosonde._record.costs import SLOW_VALUES
from radiosonde.testing import Flight, fly
from tests.unit.record.slots import last_token
from tests.unit.record.test_batch_cost import MOST_BYTES, peak_of, work_of

ROWS = 100_000

MOST_CALLS_A_VALUE = 5
"""Calls of functions, of Python's and of C's. To give a code to a text by itself takes more than twenty."""


def texts(kind: str, rows: int, batch: int) -> list[str]:
    """Return different texts of one kind."""
    if kind == "long":
        return [f"{'x' * 300}{batch}-{row}" for row in range(rows)]
    if kind == "odd":
        return [f"\t{batch}-{row}\x00" for row in range(rows)]
    return [f"{kind}-{batch}-{row:09d}" for row in range(rows)]


CONTAINERS = {
    "dicts": lambda one, other: [{"a": x, "b": y} for x, y in zip(one, other, strict=True)],
    "lists": lambda one, other: [[x, y] for x, y in zip(one, other, strict=True)],
    "columns of lists": lambda one, other: {"a": one, "b": other},
    "a frame of objects": lambda one, other: pd.DataFrame({"a": one, "b": other}, dtype=object),
    "a frame of strings": lambda one, other: pd.DataFrame({"a": one, "b": other}, dtype="string[python]"),
    "a frame of Arrow strings": lambda one, other: pd.DataFrame({"a": one, "b": other}, dtype="string[pyarrow]"),
    "a frame of categories": lambda one, other: pd.DataFrame({"a": pd.Categorical(one), "b": pd.Categorical(other)}),
    "a polars frame": lambda one, other: pl.DataFrame({"a": one, "b": other}),
    "a polars frame of categories": lambda one, other: pl.DataFrame({"a": one, "b": other}).cast(pl.Categorical),
    "an Arrow table": lambda one, other: pa.table({"a": one, "b": other}),
    "an Arrow table of dictionaries": lambda one, other: pa.table(
        {"a": pa.array(one).dictionary_encode(), "b": pa.array(other).dictionary_encode()}
    ),
    "an object array": lambda one, other: np.array([one, other], dtype=object).T,
    "an array of texts": lambda one, other: np.array([one, other]).T,
    "an array of bytes": lambda one, other: np.char.encode(np.array([one, other])).T,
}


def observed(rs: Flight, make, kind: str):
    """Return an observed function whose tables of categories are full."""
    predict = rs.observe("m")(lambda rows: None)
    for batch in range(3):
        predict(make(texts(kind, 6000, -batch), texts(kind, 6000, -batch - 10)))
    assert rs.pipeline().take_turn()
    return predict


@pytest.mark.parametrize("name", CONTAINERS)
def test_texts_beyond_the_bound_cost_little(name):
    """A batch of new texts takes a few calls for each, and at most 8 MiB."""
    make = CONTAINERS[name]
    first, second = (make(texts("t", ROWS, batch), texts("u", ROWS, batch)) for batch in (1, 2))
    with fly() as rs:
        predict = observed(rs, make, "t")
        assert work_of(predict, first) <= MOST_CALLS_A_VALUE * SLOW_VALUES
        assert rs.pipeline().take_turn()
        assert peak_of(predict, second) <= MOST_BYTES
        assert int(last_token()[0].ring.headers["rows"].max()) == ROWS


@pytest.mark.parametrize("kind", ["long", "odd"])
@pytest.mark.parametrize("name", ["dicts", "columns of lists", "a frame of objects", "a polars frame"])
def test_texts_that_are_not_their_own_names_cost_little(name, kind):
    """Neither texts longer than names nor those with control characters are looked up without a bound."""
    make = CONTAINERS[name]
    batch = make(texts(kind, 40_000, 1), texts(kind, 40_000, 2))
    with fly() as rs:
        predict = observed(rs, make, kind)
        assert work_of(predict, batch) <= MOST_CALLS_A_VALUE * SLOW_VALUES


def reference_of(values) -> radiosonde.Reference:
    """Return a reference profile of one categorical feature."""
    return radiosonde.Reference.fit(pd.DataFrame({"a": pd.Categorical(values)}))


@pytest.mark.parametrize(
    "make",
    [lambda n: {"a": n}, lambda n: {"a": np.array(n)}, lambda n: pd.DataFrame({"a": n}), lambda n: {"a": [float(x) for x in n]}],
    ids=["list", "array", "frame", "floats"],
)  # fmt: skip
def test_numbers_of_a_category_cost_little(make):
    """Different numbers in a feature that is categorical in the reference are given codes together, too."""
    with fly() as rs:
        predict = rs.observe("m", reference=reference_of([1, 2, 3] * 50))(lambda rows: None)
        predict(make(list(range(6000))))
        assert rs.pipeline().take_turn()
        assert work_of(predict, make(list(range(10_000, 110_000)))) <= 2 * MOST_CALLS_A_VALUE * SLOW_VALUES


class Carrier(enum.Enum):
    """A category of an application's own."""

    UNITED = "UA"


MIXED = [
    "UA", "DL", None, "UA", 3.5, "3", "x" * 300, "tab\tbed", "DL", float("nan"), "AA", "x" * 300, "B6", "tab\tbed", "new",
    "", "café", "\ud800", "newer", float("inf"), "UA",
]  # fmt: skip
OTHERS = [*MIXED, 3, True, Carrier.UNITED, np.str_("DL"), b"AA", 2**70, 10**400]


@pytest.mark.parametrize("bound", [3, 6, 9, 4096])
@pytest.mark.parametrize(
    "make",
    [lambda values: {"a": values}, lambda values: [{"a": value} for value in values],
     lambda values: pd.DataFrame({"a": pd.Series(values, dtype=object)}), lambda values: np.array([values], dtype=object).T],
    ids=["columns", "dicts", "frame", "array"],
)  # fmt: skip
@pytest.mark.parametrize("has_reference", [False, True], ids=["open", "reference"])
def test_values_of_a_batch_are_those_of_rows_one_by_one(bound, make, has_reference, monkeypatch):
    """The same codes, in the same order if they are texts and numbers, and the same losses, for any bound of the table."""
    monkeypatch.setattr(schemas, "MAX_CATEGORIES", bound)
    given = OTHERS if bound == 4096 else MIXED
    reference = reference_of(["UA", "DL", "3"] * 50) if has_reference else None
    found = []
    for is_batch in (True, False):
        with fly() as rs:
            predict = rs.observe("m", features=None if reference else ["a"], reference=reference)(lambda rows: None)
            for values in [given] if is_batch else [[value] for value in given]:
                predict(make(values))
            (codes,) = last_token()[0].schema.codes
            names = [name for name in codes.names if name != "__other__"]
            (window,) = rs.windows()
            found.append(
                (
                    sorted(names) if given is OTHERS else names,
                    rs.losses(),
                    window.features.cells.tolist() if has_reference else None,
                )
            )
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["dicts", "columns of lists", "a frame of objects", "a polars frame"])
@pytest.mark.parametrize("rows", [1, 500])
def test_categories_of_a_model_are_bounded_in_bytes(name, rows, monkeypatch):
    """All features share the room for texts; beyond it, values count as unseen, and known ones are still known."""
    monkeypatch.setattr(schemas, "CATEGORY_BYTES", 20_000)
    make, length = CONTAINERS[name], 200
    with fly() as rs:
        predict = rs.observe("m")(lambda rows: None)
        for batch in range(0, 500, rows):
            values = [f"{row:0{length}d}" for row in range(batch, batch + rows)]
            predict(make(values, [f"{value[1:]}b" for value in values]))
        codes = last_token()[0].schema.codes
        kept = sum(len(name) for each in codes for name in each.names if name != "__other__")
        assert 20_000 <= kept < 20_000 + length
        assert rs.losses() == {"category_overflow": 1000 - kept // length}
        known, lost = codes[0].names[0], rs.losses()["category_overflow"]
        predict(make([known] * 2, [known] * 2))
        assert rs.losses()["category_overflow"] == lost + 2
