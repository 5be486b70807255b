"""Laws of every container and dtype: the same data is in the same cells in any container, row by row and as a batch.

The oracle is Python: a column is a list of plain values, and which cell each of them is in is counted here by hand. The
carriers are those of numpy, pandas, polars, Arrow and the standard library, each with every dtype of theirs that can hold the
column, with and without nulls.
"""

from __future__ import annotations

import array
import dataclasses
import datetime as dt
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import radiosonde
from radiosonde.model import cell_names
from radiosonde.testing import fly

UTC = dt.UTC
DAY = dt.date(2024, 2, 28)
MOMENTS = [dt.datetime(2024, 2, 28, hour, 30, 0, 250_000) for hour in range(12)]  # noqa: DTZ001 - no zone is the case
COLUMNS: dict[str, list[Any]] = {
    "whole": [3, 1, 2, 3, 0, 7, 5, 3, 2, 1, 0, 4],
    "fraction": [0.5, 1.25, -2.0, 0.5, 8.0, 0.0, 3.5, 2.25, 1.0, 0.75, 0.5, -1.5],
    "truth": [True, False, True, True, False, False, True, False, True, True, True, False],
    "text": ["UA", "AA", "UA", "DL", "é", "UA", "AA", "", "1", "UA", "AA", "DL"],
    "moment": MOMENTS,
    "day": [DAY + dt.timedelta(days=number) for number in range(12)],
    "clock": [dt.time(number, 15, 30) for number in range(12)],
    "span": [dt.timedelta(hours=number, milliseconds=500) for number in range(12)],
}
GAPS = (1, 4, 9)


def with_gaps(values: Sequence[Any]) -> list[Any]:
    """Return *values* with some of them missing."""
    return [None if place in GAPS else value for place, value in enumerate(values)]


def number_of(value: Any) -> float:
    """Return a value as the number that the documentation says it is, by Python's own arithmetic."""
    if isinstance(value, dt.datetime):
        return (value.replace(tzinfo=UTC) - dt.datetime(1970, 1, 1, tzinfo=UTC)) / dt.timedelta(seconds=1)
    if isinstance(value, dt.date):
        return (value - dt.date(1970, 1, 1)).days * 86_400.0
    if isinstance(value, dt.time):
        return value.hour * 3600.0 + value.minute * 60.0 + value.second
    if isinstance(value, dt.timedelta):
        return value / dt.timedelta(seconds=1)
    return float(value)


def expected_cells(reference: radiosonde.Reference, values: Sequence[Any]) -> dict[str, int]:
    """Return how many of *values* are in each cell of the reference's only feature, those with none left out."""
    (feature,) = reference.features
    names = cell_names(feature.body, categorical=feature.kind == "categorical")
    counts = dict.fromkeys(names, 0)
    for value in values:
        if value is None:
            counts["null"] += 1
        elif feature.kind == "categorical":
            known = feature.categories.index(value) if value in feature.categories else -1
            counts[names[known] if known >= 0 else "unseen"] += 1
        else:
            number = number_of(value)
            if number < feature.low:
                counts["below"] += 1
            else:
                body = bisect_left(feature.bounds, number)
                counts[names[body] if body < feature.body else "above"] += 1
    return {name: count for name, count in counts.items() if count}


def reference_of(values: Sequence[Any]) -> radiosonde.Reference:
    """Return a reference of the first two thirds of a column, so that the rest holds something new."""
    known = values[: len(values) * 2 // 3]
    column = known if isinstance(known[0], str) else np.array([number_of(value) for value in known])
    return radiosonde.Reference.fit({"x": column}, model="m")


@dataclasses.dataclass
class Row:
    x: Any


Rows = Mapping[str, Callable[[list[Any]], Any]]
PANDAS_STAMPS: Rows = {
    f"pandas {unit}": (lambda v, u=unit: pd.Series(v, dtype=f"datetime64[{u}]")) for unit in ("ms", "us", "ns")
}
PANDAS_SPANS: Rows = {
    f"pandas {unit}": (lambda v, u=unit: pd.Series(v, dtype=f"timedelta64[{u}]")) for unit in ("ms", "us", "ns")
}
"""Carriers of a column, by name: a function from plain values, None among them, to a column of some library."""


def arrow(kind: pa.DataType) -> Callable[[list[Any]], Any]:
    """Return a maker of Arrow arrays of *kind*."""
    return lambda values: pa.array(values, kind)


def chunked(kind: pa.DataType) -> Callable[[list[Any]], Any]:
    """Return a maker of Arrow arrays of two chunks of *kind*."""
    return lambda values: pa.chunked_array([pa.array(values[:5], kind), pa.array(values[5:], kind)])


def in_arrow_frame(kind: pa.DataType) -> Callable[[list[Any]], Any]:
    """Return a maker of pandas series over Arrow of *kind*."""
    return lambda values: pd.Series(values, dtype=pd.ArrowDtype(kind))


def masked(dtype: str, fill: Any) -> Callable[[list[Any]], Any]:
    """Return a maker of masked arrays, with *fill* behind the mask."""
    return lambda values: np.ma.array(
        [fill if value is None else value for value in values], dtype=dtype, mask=[value is None for value in values]
    )


WHOLE: Rows = {
    **{f"numpy {kind}": (lambda v, k=kind: np.array(v, dtype=k)) for kind in ("i1", "u1", "i2", "u4", "i8", ">i4", "f2", "f4", "f8")},
    **{f"pandas {kind}": (lambda v, k=kind: pd.Series(v, dtype=k)) for kind in ("Int8", "UInt16", "Int64", "Float32", "Float64")},
    "pandas object": lambda v: pd.Series(v, dtype=object),
    "pandas category": lambda v: pd.Series(v, dtype="category"),
    "pandas sparse": lambda v: pd.Series(pd.arrays.SparseArray([np.nan if x is None else float(x) for x in v])),
    "pandas arrow int32": in_arrow_frame(pa.int32()),
    "pandas arrow dictionary": lambda v: pd.Series(v, dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.int64()))),
    **{f"polars {kind}": (lambda v, k=kind: pl.Series(v, dtype=k)) for kind in (pl.Int8, pl.UInt64, pl.Float32, pl.Float64)},
    "polars Decimal": lambda v: pl.Series([None if x is None else Decimal(x) for x in v], dtype=pl.Decimal(10, 2)),
    "polars Object": lambda v: pl.Series(v, dtype=pl.Object),
    **{f"arrow {kind}": arrow(kind) for kind in (pa.int8(), pa.uint64(), pa.float32(), pa.float64())},
    "arrow halffloat": lambda v: pa.array([None if x is None else np.float16(x) for x in v], pa.float16()),
    "arrow decimal": lambda v: pa.array([None if x is None else Decimal(x) for x in v], pa.decimal128(12, 3)),
    "arrow chunked": chunked(pa.int64()),
    "arrow dictionary": lambda v: pa.array(v, pa.int64()).dictionary_encode(),
    "masked int": masked("i4", -9999),
    "masked float": masked("f8", -9999.0),
    "objects Decimal": lambda v: [None if x is None else Decimal(x) for x in v],
    "objects Fraction": lambda v: [None if x is None else Fraction(x) for x in v],
    "objects numpy": lambda v: [None if x is None else np.int16(x) for x in v],
    "array.array": lambda v: array.array("d", [float("nan") if x is None else x for x in v]),
    "memoryview": lambda v: memoryview(np.array([np.nan if x is None else x for x in v])),
}  # fmt: skip
TEXT: Rows = {
    "numpy U": lambda v: np.array(v, dtype="U5"),
    "numpy object": lambda v: np.array(v, dtype=object),
    "numpy StringDType": lambda v: np.array(v, dtype=np.dtypes.StringDType(na_object=None)),
    **{f"pandas {kind}": (lambda v, k=kind: pd.Series(v, dtype=k)) for kind in ("str", "string[python]", "string[pyarrow]", object, "category")},
    "pandas arrow large_string": in_arrow_frame(pa.large_string()),
    "pandas arrow dictionary": in_arrow_frame(pa.dictionary(pa.int8(), pa.string())),
    "polars String": lambda v: pl.Series(v, dtype=pl.String),
    "polars Categorical": lambda v: pl.Series(v, dtype=pl.Categorical),
    "polars Enum": lambda v: pl.Series(v, dtype=pl.Enum(sorted({x for x in v if x is not None}))),
    "polars Object": lambda v: pl.Series(v, dtype=pl.Object),
    **{f"arrow {kind}": arrow(kind) for kind in (pa.string(), pa.large_string(), pa.string_view())},
    "arrow chunked": chunked(pa.string()),
    "arrow dictionary": lambda v: pa.array(v).dictionary_encode(),
    "arrow chunked dictionary": lambda v: pa.chunked_array([pa.array(v[:5]).dictionary_encode(), pa.array(v[5:]).dictionary_encode()]),
    "arrow dictionary with a null value": lambda v: pa.DictionaryArray.from_arrays(
        pa.array([0 if x is None else 1 + sorted(set(filter(lambda y: y is not None, v))).index(x) for x in v], pa.int32()),
        pa.array([None, *sorted({x for x in v if x is not None})]),
    ),
    "masked text": masked("U5", "N/A"),
    "objects numpy": lambda v: [None if x is None else np.str_(x) for x in v],
}  # fmt: skip
CARRIERS: dict[str, Rows] = {
    "whole": WHOLE,
    "fraction": {name: make for name, make in WHOLE.items() if not any(part in name.lower() for part in ("i1", "u1", "i2", "u4", "i8", "i4", "int", "dictionary", "chunked", "objects numpy"))},
    "truth": {
        "numpy bool": lambda v: np.array(v, dtype=bool),
        **{f"pandas {kind}": (lambda v, k=kind: pd.Series(v, dtype=k)) for kind in ("boolean", object, "category", "bool[pyarrow]")},
        "polars Boolean": lambda v: pl.Series(v, dtype=pl.Boolean),
        "arrow bool": arrow(pa.bool_()), "arrow chunked": chunked(pa.bool_()), "masked bool": masked("?", False),
    },
    "text": TEXT,
    "moment": {
        **{f"numpy M8[{unit}]": (lambda v, u=unit: np.array(v, dtype=f"M8[{u}]")) for unit in ("ms", "us", "ns")},
        **PANDAS_STAMPS,
        "pandas with a zone": lambda v: pd.Series(v, dtype="datetime64[us]").dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
        "pandas Timestamps": lambda v: pd.Series([pd.NaT if x is None else pd.Timestamp(x) for x in v], dtype=object),
        "pandas category": lambda v: pd.Series(v, dtype="datetime64[us]").astype("category"),
        "pandas arrow": in_arrow_frame(pa.timestamp("us")),
        **{f"polars {unit}": (lambda v, u=unit: pl.Series(v, dtype=pl.Datetime(u))) for unit in ("ms", "us", "ns")},
        "polars with a zone": lambda v: pl.Series(v, dtype=pl.Datetime("us")).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"),
        **{f"arrow {unit}": arrow(pa.timestamp(unit)) for unit in ("ms", "us", "ns")},
        "arrow with a zone": lambda v: pa.array([None if x is None else x.replace(tzinfo=UTC) for x in v], pa.timestamp("us", "Asia/Tokyo")),
        "objects with a zone": lambda v: [None if x is None else x.replace(tzinfo=UTC).astimezone(dt.timezone(dt.timedelta(hours=9))) for x in v],
        "objects numpy": lambda v: [np.datetime64("NaT") if x is None else np.datetime64(x) for x in v],
    },
    "day": {
        "numpy M8[D]": lambda v: np.array(v, dtype="M8[D]"), "numpy M8[s]": lambda v: np.array(v, dtype="M8[s]"),
        "pandas [s]": lambda v: pd.Series(v, dtype="datetime64[s]"), "pandas period": lambda v: pd.Series(pd.PeriodIndex(v, freq="D")),
        "pandas arrow date32": in_arrow_frame(pa.date32()), "polars Date": lambda v: pl.Series(v, dtype=pl.Date),
        "arrow date32": arrow(pa.date32()), "arrow date64": arrow(pa.date64()), "pandas object": lambda v: pd.Series(v, dtype=object),
    },
    "clock": {
        "polars Time": lambda v: pl.Series(v, dtype=pl.Time), "arrow time32": arrow(pa.time32("s")), "arrow time64": arrow(pa.time64("ns")),
        "pandas object": lambda v: pd.Series(v, dtype=object), "pandas arrow": in_arrow_frame(pa.time64("us")),
    },
    "span": {
        **{f"numpy m8[{unit}]": (lambda v, u=unit: np.array(v, dtype=f"m8[{u}]")) for unit in ("ms", "us", "ns")},
        **PANDAS_SPANS,
        "polars Duration": lambda v: pl.Series(v, dtype=pl.Duration("ms")), "arrow duration": arrow(pa.duration("us")),
        "pandas object": lambda v: pd.Series(v, dtype=object), "pandas arrow": in_arrow_frame(pa.duration("ms")),
        "objects numpy": lambda v: [np.timedelta64("NaT") if x is None else np.timedelta64(x) for x in v],
    },
}  # fmt: skip
CASES = [(kind, name) for kind, carriers in CARRIERS.items() for name in carriers]


def holds_nulls(name: str) -> bool:
    """Whether a carrier can hold a missing value: integers, booleans and texts of numpy cannot."""
    return not name.startswith(("numpy i", "numpy u", "numpy >", "numpy bool", "numpy U")) and name not in (
        "array.array",
        "memoryview",
    )


def cells_of(reference: radiosonde.Reference, inputs: Sequence[Any]) -> dict[str, int]:
    """Return the cells that predictions for *inputs* are counted in."""
    with fly() as rs:
        predict = rs.observe("m", reference=reference)(lambda features: None)
        for value in inputs:
            predict(value)
        (window,) = rs.windows()
        lost = rs.losses()
        assert lost == {}
        assert window.features is not None
        (feature,) = reference.features
        names = cell_names(feature.body, categorical=feature.kind == "categorical")
        row = window.features.cells[0].tolist()
        special = len(names) - feature.body
        counts = [*row[: feature.body], *row[len(row) - special :]]
        assert sum(counts) == sum(row)
        return {name: count for name, count in zip(names, counts, strict=True) if count}


def as_frame(column: Any) -> Any:
    """Return a column as a frame of its own library; as columns by name where it has none."""
    if isinstance(column, pd.Series):
        return pd.DataFrame({"x": column})
    if isinstance(column, pl.Series):
        return pl.DataFrame({"x": column})
    if isinstance(column, pa.ChunkedArray):
        return pa.table({"x": column})
    if isinstance(column, pa.Array):
        return pa.RecordBatch.from_arrays([column], names=["x"])
    return {"x": column}


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "with nulls"])
@pytest.mark.parametrize(("kind", "name"), CASES, ids=[f"{kind}: {name}" for kind, name in CASES])
def test_a_column_is_in_the_same_cells_in_every_dtype(kind, name, gaps):
    """A batch by name and one by position have the cells that Python's arithmetic says, nulls under null."""
    if gaps and not holds_nulls(name):
        pytest.skip("this dtype holds no null")
    values = with_gaps(COLUMNS[kind]) if gaps else COLUMNS[kind]
    reference = reference_of(COLUMNS[kind])
    column = CARRIERS[kind][name](values)
    expected = expected_cells(reference, values)
    assert cells_of(reference, [as_frame(column)]) == expected
    if isinstance(column, np.ndarray):
        assert cells_of(reference, [column.reshape(-1, 1)]) == expected


ONE_BY_ONE: dict[str, Callable[[Any], Any]] = {
    "dict": lambda value: {"x": value},
    "dict of a numpy scalar": lambda value: {"x": value if value is None else np.asarray(value)[()]},
    "dataclass": Row,
    "list": lambda value: [value],
    "pandas row": lambda value: pd.Series({"x": value}, dtype=object),
    "pandas frame": lambda value: pd.DataFrame({"x": pd.Series([value], dtype=object)}),
    "polars frame": lambda value: pl.DataFrame({"x": [value]}),
    "arrow table": lambda value: pa.table({"x": [value]}),
    "object array": lambda value: np.array([[value]], dtype=object),
}


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("carrier", ONE_BY_ONE)
def test_row_by_row_is_in_the_same_cells_as_a_batch(kind, carrier):
    """Each value by itself, in any container of one row, has the same cell as in a batch."""
    values = with_gaps(COLUMNS[kind])
    reference = reference_of(COLUMNS[kind])
    rows = [ONE_BY_ONE[carrier](value) for value in values]
    assert cells_of(reference, rows) == expected_cells(reference, values)


SPELLINGS: dict[str, list[Any]] = {
    "integers": [1] * 6, "doubles": [1.0] * 6, "truths": [True] * 6, "texts": ["1"] * 6, "numpy": [np.int64(1), np.float32(1)] * 3,
    "Decimal": [Decimal("1.00"), Decimal(1)] * 3, "bytes": [b"1"] * 6, "double first": [1.0, 1, "1", True, np.int8(1), Decimal(1)],
    "truth first": [True, 1, 1.0, "1", np.bool_(True), Fraction(1)], "text first": ["1", True, 1.0, np.uint8(1), 1, b"1"],
    "arrow scalars": [pa.scalar(1), pa.scalar("1"), pa.scalar(1.0), pa.scalar(True), 1, "1"],
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("given", [False, True], ids=["learned", "of a reference"])
def test_one_category_whatever_its_type_and_whatever_came_first(spelling, batch, given):
    """1, 1.0, True and "1" are one category, in any order, row by row and in a batch, with a reference and without."""
    values = SPELLINGS[spelling]
    reference = radiosonde.Reference.fit({"x": ["1"] * 5 + ["2"] * 3 + ["b"] * 2}, model="m") if given else None
    others = ["b"] * 20 + ["2"] * 10
    with fly() as rs:
        predict = rs.observe("m", reference=reference)(lambda features: None)
        rows = [{"x": value} for value in [*values, *others]]
        for part in [rows] if batch else rows:
            predict(part)
        snapshot = rs.pipeline().snapshot()
        (window,) = snapshot.windows
        (feature,) = (reference or snapshot.references["m", ""]).features
        counted = dict(zip(feature.categories, window.features.cells[0].tolist(), strict=False))
        assert counted == {"1": 6, "2": 10, "b": 20}


def test_an_id_beyond_doubles_keeps_its_digits():
    """Whole numbers beyond 2**53 that are categories of a reference are distinguished by their last digit."""
    first, second = str(2**60 + 1), str(2**60 + 2)
    reference = radiosonde.Reference.fit({"x": [first] * 3 + [second] * 2}, model="m")
    rows = [{"x": 2**60 + 1}] * 3 + [{"x": 2**60 + 2}]
    assert cells_of(reference, rows) == cells_of(reference, [rows]) == {"c00": 3, "c01": 1}


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "with nulls"])
@pytest.mark.parametrize(("kind", "name"), CASES, ids=[f"{kind}: {name}" for kind, name in CASES])
def test_a_reference_of_a_column_is_the_same_in_every_dtype(kind, name, gaps):
    """Fitted from any dtype that holds the column, a reference has the cells and counts of one fitted from plain numbers."""
    if gaps and not holds_nulls(name):
        pytest.skip("this dtype holds no null")
    values = with_gaps(COLUMNS[kind]) if gaps else COLUMNS[kind]
    column = CARRIERS[kind][name](values)
    if "ategor" in name or "Enum" in name or (isinstance(column, pa.Array | pa.ChunkedArray)):
        pytest.skip("categories are categories, and Arrow is fitted from files")
    frame = as_frame(column)
    plain = [None if value is None else value if isinstance(value, str) else number_of(value) for value in values]
    fitted, expected = radiosonde.Reference.fit(frame).features, radiosonde.Reference.fit({"x": plain}).features
    assert fitted == expected
