"""Containers of every library that hold a drawn table, each with the dtypes it has for such values."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from tests.property.drawn_tables import Drawn


@dataclasses.dataclass
class Row:
    """A row as an object."""

    n: Any
    d: Any
    k: Any
    t: Any


def dicts(table: Drawn) -> list[dict[str, Any]]:
    """Return the rows by name."""
    return [dict(zip(table.columns, row, strict=True)) for row in zip(*table.columns.values(), strict=True)]


def _times(table: Drawn) -> Any:
    """Return the times in numpy's dtype, as objects where it has none."""
    values = table.columns["d"]
    if table.temporal == "datetime":
        return np.array(values, dtype=f"M8[{table.unit}]")
    return (
        np.array(values, dtype=f"m8[{table.unit}]") if table.temporal == "span" else np.array([*values, None], "O")[:-1]
    )


def _numbers(table: Drawn) -> Any:
    """Return the numbers in their dtype, missing ones as NaN or, of truth values and decimals, as objects."""
    values = table.columns["n"]
    if None not in values:
        return np.array(values, dtype=table.dtype)
    if table.dtype in ("?", "O"):
        return np.array([*values, None], dtype="O")[:-1]
    return np.array([np.nan if each is None else each for each in values], dtype="f8")


def _masked(table: Drawn) -> Any:
    values = table.columns["n"]
    made = np.array([0 if each is None else each for each in values], dtype=table.dtype)
    return np.ma.array(made, mask=[each is None for each in values])


def pandas_objects(table: Drawn) -> pd.DataFrame:
    """Every column as objects."""
    return pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in table.columns.items()})


def pandas_numpy(table: Drawn) -> pd.DataFrame:
    """Plain numpy dtypes, and pandas' own for times with a zone."""
    frame = pandas_objects(table)
    numbers = _numbers(table)
    frame["n"] = pd.Series(numbers.astype(numbers.dtype.newbyteorder("=")))
    if table.temporal == "aware":
        frame["d"] = pd.to_datetime(frame["d"], utc=True).dt.tz_convert("Asia/Kolkata").dt.as_unit(table.unit)
    else:
        frame["d"] = pd.Series(_times(table))
    return frame


def pandas_category(table: Drawn) -> pd.DataFrame:
    """Categories of texts, numbers and times."""
    return pandas_numpy(table).astype({"k": "category", "t": "category", "d": "category"})


def structured(table: Drawn) -> Any:
    """One structured array."""
    columns = {"n": _numbers(table), "d": _times(table)}
    columns |= {name: np.array([*table.columns[name], None], dtype="O")[:-1] for name in ("k", "t")}
    made = np.empty(len(columns["n"]), dtype=[(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        made[name] = column
    return made


def dict_of_arrays(table: Drawn) -> dict[str, Any]:
    """Masked numbers, times, objects, and numpy's own texts."""
    texts = np.array(table.columns["t"], dtype=np.dtypes.StringDType(na_object=None))
    return {"n": _masked(table), "d": _times(table), "k": np.array([*table.columns["k"], None], "O")[:-1], "t": texts}


def polars_frame(table: Drawn) -> pl.DataFrame:
    """Native dtypes of polars; it has no float of 16 bits everywhere."""
    unit: Any = table.unit
    kinds = {
        "datetime": pl.Datetime(unit), "aware": pl.Datetime(unit, "UTC"), "date": pl.Date(), "time": pl.Time(),
        "span": pl.Duration(unit),
    }  # fmt: skip
    frame = pl.DataFrame({name: pl.Series(name, column) for name, column in table.columns.items() if name != "d"})
    times = pl.Series("d", table.columns["d"], dtype=kinds[table.temporal])
    if table.number == "decimal":
        frame = frame.with_columns(pl.Series("n", table.columns["n"], dtype=pl.Decimal(12, 2)))
    return (frame.with_columns(pl.col("n").cast(pl.Float32)) if table.dtype == "f4" else frame).with_columns(times)


def polars_category(table: Drawn) -> pl.DataFrame:
    """Texts as categories and enumerations."""
    texts = sorted({each for each in table.columns["t"] if each is not None})
    return polars_frame(table).with_columns(pl.col("t").cast(pl.Enum(texts)), pl.col("k").cast(pl.String).cast(pl.Categorical)
        if isinstance(next((each for each in table.columns["k"] if each is not None), None), str) else pl.col("k"))  # fmt: skip


def arrow_table(table: Drawn) -> pa.Table:
    """The very dtypes in Arrow."""
    kinds = {
        "datetime": pa.timestamp(table.unit), "aware": pa.timestamp(table.unit, "Asia/Kolkata"),
        "date": pa.date64() if table.unit == "ms" else pa.date32(), "time": pa.time64("us"), "span": pa.duration(table.unit),
    }  # fmt: skip
    values = table.columns["n"]
    made = {name: pa.array(table.columns[name]) for name in ("k", "t")}
    if table.number == "decimal":
        numbers = pa.array(values, pa.decimal128(12, 2))
    else:
        kind = np.dtype(table.dtype).newbyteorder("=")
        filled = np.array([0 if each is None else each for each in values], dtype=kind)
        numbers = pa.array(filled, type=pa.from_numpy_dtype(kind), mask=np.array([each is None for each in values]))
    return pa.table({"n": numbers, "d": pa.array(table.columns["d"], kinds[table.temporal]), **made})


def arrow_dictionaries(table: Drawn) -> pa.Table:
    """Dictionaries of texts and of categories of any type, with nulls; times as dictionaries too."""
    made = arrow_table(table)
    return pa.table(
        {
            name: made[name] if name == "n" else made[name].combine_chunks().dictionary_encode()
            for name in made.column_names
        }
        if not pa.types.is_null(made["t"].type)
        else made.to_pydict()
    )


def arrow_runs(table: Drawn) -> pa.Table:
    """Runs of equal values, and views of texts."""
    made = arrow_table(table)
    texts = made["t"].cast(pa.string_view()) if pa.types.is_string(made["t"].type) else made["t"]
    return made.set_column(3, "t", texts).set_column(0, "n", pc.run_end_encode(made["n"]))


CONTAINERS = {
    "dicts": dicts,
    "objects": lambda table: [Row(**row) for row in dicts(table)],
    "dicts in an envelope": lambda table: {"instances": dicts(table)},
    "dicts in a named envelope": lambda table: {"model": "m", "instances": dicts(table), "parameters": {}},
    "frame in a named envelope": lambda table: {"id": 7, "X": pandas_numpy(table)},
    "names beside lists": lambda table: {"request": pandas_objects(table)[list("tknd")].to_dict("split")},
    "pairs of a key and a row": lambda table: list(enumerate(dicts(table))),
    "pairs of pandas": lambda table: list(pandas_objects(table).iterrows()),
    "items of a dict": lambda table: dict(enumerate(dicts(table))).items(),
    "values of a dict": lambda table: dict(enumerate(dicts(table))).values(),
    "items of columns": lambda table: dict(table.columns).items(),
    "dict of lists": lambda table: dict(table.columns),
    "dict of arrays": dict_of_arrays,
    "columns as attributes": lambda table: Row(**table.columns),
    "structured": structured,
    "pandas objects": pandas_objects,
    "pandas numpy": pandas_numpy,
    "pandas nullable": lambda table: pandas_objects(table).convert_dtypes(),
    "pandas category": pandas_category,
    "pandas arrow": lambda table: arrow_table(table).to_pandas(types_mapper=pd.ArrowDtype),
    "polars": polars_frame,
    "polars category": polars_category,
    "arrow": arrow_table,
    "arrow dictionaries": arrow_dictionaries,
    "arrow runs": arrow_runs,
    "arrow batch": lambda table: arrow_table(table).combine_chunks().to_batches()[0],
}

SINGLE = {
    "dict": lambda table: dicts(table)[0],
    "object": lambda table: Row(**dicts(table)[0]),
    "structured scalar": lambda table: structured(table)[0],
    "pandas row": lambda table: pandas_objects(table).iloc[0],
}
