"""Arrays, frames, sparse matrices and things far larger than what they take, of every type that their libraries have."""

from __future__ import annotations

import datetime as dt
import enum
import functools
import math
from dataclasses import make_dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse


def _dataclass_of_many(width: int) -> Any:
    return make_dataclass("Wide", [f"f{place}" for place in range(width)])(*map(float, range(width)))


_TEXTS = ["UA", "", "caf\udce9", "\x00\x1b[2J", "x" * 300, "7", "nan", "UA"]
DTYPES = (
    "float64", "float32", "float16", "longdouble", "int64", "uint64", "int8", "bool", "complex128", "datetime64[ns]",
    "datetime64[Y]", "timedelta64[s]", "S3", "U5", "object", "V4", "a:f8,b:U3", "a:f8,b:(2,)f8", ">f8", "<i2",
)  # fmt: skip
FILLS = ("range", "nan", "inf", "largest", "mixed")


def _object_column(length: int) -> list[Any]:
    values = [1.0, None, "UA", math.nan, [1], 10**400, object, b"x", pd.NA, pd.NaT, {"a": 1}, True, 2 + 1j]
    return [values[place % len(values)] for place in range(length)]


def array_of(dtype: str, shape: tuple[int, ...], fill: str, order: str) -> Any:
    kind = np.dtype(dtype if ":" not in dtype else [tuple(_field(part)) for part in dtype.split(",", 1)])
    size = math.prod(shape)
    if kind.kind == "O":
        flat = np.empty(size, dtype=object)
        flat[:] = _object_column(size)
    elif kind.kind == "U":
        flat = np.array([_TEXTS[place % len(_TEXTS)] for place in range(size)], dtype=kind)
    elif kind.kind in "SV":
        flat = np.zeros(size, dtype=kind)
    elif kind.kind in "mM":
        flat = np.arange(size).astype("int64").view("int64").astype(kind)
        flat[: fill != "range"] = "NaT"
    else:
        flat = np.arange(size).astype(kind)
        _spoil(flat, fill)
    shaped = np.asarray(flat.reshape(shape), order="F" if order == "F" else "C")
    return shaped[::-1] if shape and order == "reversed" else shaped


def _field(part: str) -> list[Any]:
    name, dtype = part.split(":")
    return [name, "f8", (2,)] if dtype.startswith("(2,)") else [name, dtype]


def _spoil(flat: Any, fill: str) -> None:
    if not len(flat) or fill == "range":
        return
    if flat.dtype.kind in "fc":
        flat[:: 2 if fill == "mixed" else 1] = {
            "nan": np.nan, "inf": np.inf, "largest": np.finfo(flat.dtype).max, "mixed": -np.inf,
        }[fill]  # fmt: skip
    elif flat.dtype.kind in "iu" and fill == "largest":
        flat[:] = np.iinfo(flat.dtype).max


def huge_of(form: str) -> Any:
    """Return a value much larger than its memory."""
    return {
        "range": lambda: range(10**12),
        "row": lambda: np.broadcast_to(np.float64(1.0), (1, 200_000)),
        "rows": lambda: np.broadcast_to(np.float32(1.0), (2_000_000, 4)),
        "flat": lambda: np.broadcast_to(np.float64(0.5), (3_000_000,)),
        "list": lambda: [0.5] * 300_000,
        "rows of lists": lambda: [[1.0, 2.0]] * 100_000,
        "text": lambda: "ä" * 2_000_000,
        "texts": lambda: ["yes" * 1000] * 50_000,
        "one long of many": lambda: ["a"] * 2_000 + ["b" * 300_000],
        "bytes": lambda: bytes(2_000_000),
        "integer": lambda: 1 << 100_000,
        "dict": lambda: {f"f{place}": 1.0 for place in range(3_000)},
        "keys": lambda: {"k" * 100_000 + str(place): 1.0 for place in range(3)},
        "nested": lambda: [[[1.0] * 50] * 50] * 20,
        "sparse": lambda: scipy.sparse.csr_matrix((100_000, 2_000)),
        "wide columns": lambda: pd.DataFrame(np.zeros((2, 700))),
        "dataclass": lambda: _dataclass_of_many(700),
    }[form]()


HUGE = (
    "range", "row", "rows", "flat", "list", "rows of lists", "text", "texts", "one long of many", "bytes", "integer", "dict",
    "keys", "nested", "sparse", "wide columns", "dataclass",
)  # fmt: skip


class Shade(enum.Enum):
    """An enumeration."""

    RED = "red"
    ODD = ("tuple", 1)
    BAD = "\ud800"


class Level(enum.IntEnum):
    """Another, of numbers."""

    LOW = 1


@functools.cache
def _columns() -> dict[str, Any]:
    """Return columns of three rows of every type that pandas holds."""
    moment = pd.Timestamp("2026-01-02", tz="Europe/Berlin")
    return {
        "float": pd.Series([1.0, math.nan, math.inf]),
        "object": pd.Series(_object_column(3), dtype=object),
        "bad text": pd.Series(["a", "\udce9", None], dtype=object),
        "text": pd.Series(["a", "b", None]),
        "Int64": pd.Series([1, None, 3], dtype="Int64"),
        "boolean": pd.Series([True, None, False], dtype="boolean"),
        "category": pd.Series(["a", None, "b"], dtype="category"),
        "category of numbers": pd.Series([1, 2, 1], dtype="category"),
        "datetime": pd.Series([moment, pd.NaT, moment]),
        "period": pd.Series(pd.period_range("2026-01", periods=3, freq="M")),
        "interval": pd.Series(pd.interval_range(0, 3)),
        "complex": pd.Series([1j, 2j, 3j]),
        "lists": pd.Series([[1], [2, 3], None]),
        "sparse": pd.Series(pd.arrays.SparseArray([0.0, 1.0, 0.0])),
        "arrow": pd.Series([1.0, None, 2.0], dtype="float64[pyarrow]"),
        "integers beyond": pd.Series([2**63, 1, 2**64 - 1], dtype="uint64"),
    }


COLUMNS = (
    "float", "object", "bad text", "text", "Int64", "boolean", "category", "category of numbers", "datetime", "period",
    "interval", "complex", "lists", "sparse", "arrow", "integers beyond",
)  # fmt: skip


def pandas_of(columns: tuple[str, ...], labels: str, rows: int, form: str) -> Any:
    frame = pd.DataFrame({f"{name} {place}": _columns()[name] for place, name in enumerate(columns)}).iloc[:rows]
    if labels == "same":
        frame.columns = ["same"] * len(columns)
    elif labels == "numbers":
        frame.columns = range(len(columns))
    elif labels == "levels" and columns:
        frame.columns = pd.MultiIndex.from_tuples([("a", name) for name in frame.columns])
    elif labels == "odd":
        odd = [math.nan, "\ud800", None, ("a", 1), b"x"]
        frame.columns = pd.Index([odd[place % len(odd)] for place in range(len(columns))], dtype=object)
    if form == "row":
        return frame.iloc[0] if len(frame) else frame
    if form == "column":
        return frame.iloc[:, 0] if len(columns) else frame
    if form == "index":
        return frame.index
    return frame


POLARS = {
    "float": [1.0, None, math.nan], "text": ["a", None, "b"], "list": [[1], None, []], "struct": [{"a": 1}, None, {"a": 2}],
    "date": [dt.date(2026, 1, 2), None, None], "null": [None, None, None], "binary": [b"x", None, b"\xff"],
    "bool": [True, None, False], "integer": [1, None, 3],
}  # fmt: skip


def polars_of(columns: tuple[str, ...], rows: int, form: str) -> Any:
    frame = pl.DataFrame({f"{name} {place}": POLARS[name] for place, name in enumerate(columns)}).head(rows)
    if form == "lazy":
        return frame.lazy()
    if form == "series":
        return frame.to_series(0) if columns else frame
    return frame


def arrow_of(columns: tuple[str, ...], rows: int, form: str) -> Any:
    names = ["same" if form == "same" else f"{name} {place}" for place, name in enumerate(columns)]
    held = [pa.array(POLARS[name]).slice(0, rows) for name in columns]
    if form == "column" and held:
        return held[0]
    if form == "chunked" and held:
        return pa.chunked_array([held[0], held[0].slice(0, 0)])
    if form == "batch":
        return pa.RecordBatch.from_arrays(held, names=names)
    return pa.Table.from_arrays(held, names=names)


def sparse_of(form: str, shape: tuple[int, int], *, nan: bool) -> Any:
    dense = np.zeros(shape)
    dense.reshape(-1)[::3] = np.nan if nan else 1.0
    return scipy.sparse.coo_matrix(dense).asformat(form)
