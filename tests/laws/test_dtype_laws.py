"""One column as every dtype that numpy, pandas, polars and Arrow have for it: the same cells, in every container.

A law holds for each line of the tables below, with and without missing values, as a batch and row by row. The cells that are expected
are counted with numpy and pandas from the values themselves.
"""

from __future__ import annotations

import array
import datetime as dt
import enum
import zoneinfo
from collections import Counter, deque
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import radiosonde
from radiosonde.testing import fly

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
MISSING_AT = 2

NUMBERS = [5.0, 50.0, 7.0, 500.0, -3.0, 120.0]
CODES = [0, 1, 2, 3, 9, 1]
# Half an hour either side of the hour that is there twice.
INSTANTS = [dt.datetime(2021, 10, 31, 0, 30 * (n % 2), tzinfo=dt.UTC) + dt.timedelta(hours=n // 2) for n in range(6)]
SPANS = [dt.timedelta(seconds=7.5 * n) for n in range(6)]
TIMES = [dt.time(n, 59, 30, 500_000) for n in range(6)]
DATES = [dt.date(1968 + n, 2, 28) for n in range(6)]


def seconds_of_day(time):
    """Return the seconds since midnight."""
    return time.hour * 3600 + time.minute * 60 + time.second + time.microsecond / 1e6


def reference_of(values):
    """Return a profile of a column of numbers or texts."""
    return radiosonde.Reference.fit({"x": list(values) * 20}, model="m")


PLAIN = {
    "number": NUMBERS,
    "category": [str(code) for code in CODES],
    "instant": [each.timestamp() for each in INSTANTS],
    "span": [each.total_seconds() for each in SPANS],
    "time": [seconds_of_day(each) for each in TIMES],
    "date": [(each - dt.date(1970, 1, 1)).days * 86_400.0 for each in DATES],
}
"""Expected values: doubles, or texts of categories."""

REFERENCES = {
    "number": reference_of(np.arange(100.0)),
    "category": reference_of(["0", "1", "2", "3"]),
    **{kind: reference_of(PLAIN[kind]) for kind in ("instant", "span", "time", "date")},
}


def expected(kind, *, missing):
    """Return the cells of a column, counted by numpy and pandas."""
    values = [value for place, value in enumerate(PLAIN[kind]) if not (missing and place == MISSING_AT)]
    (feature,) = REFERENCES[kind].features
    counts = Counter({"null": int(missing)})
    if kind == "category":
        for text, rows in pd.Series(values).value_counts().items():
            counts[feature.categories.index(text) if text in feature.categories else "unseen"] += int(rows)
        return +counts
    bounds, numbers = np.array(feature.bounds), np.array(values)
    inside = (numbers >= feature.low) & (numbers <= bounds[-1])
    counts["below"], counts["above"] = int((numbers < feature.low).sum()), int((numbers > bounds[-1]).sum())
    counts.update(np.searchsorted(bounds, numbers[inside], side="left").tolist())
    return +counts


def cells(kind, values):
    """Return the cells of the column of calls by name, one a model, and what was lost."""
    found = {}
    with fly() as rs:
        for name, value in values:
            rs.observe(name, reference=REFERENCES[kind])(lambda _: ["a"] * 6)(value)
        for window in rs.windows():
            assert (window.calls, window.rows) == (1, 6)
            row = window.features.cells[0].tolist()
            named = zip(("below", "above", "null", "unseen"), row[-4:], strict=True)
            found[window.key.model] = +Counter({**dict(enumerate(row[:-4])), **dict(named)})
        return found, rs.losses()


def gaps(values, nothing=None):
    """Return the values with one missing."""
    return [nothing if place == MISSING_AT else value for place, value in enumerate(values)]


def masked(values, dtype):
    """Return a masked array with one value that is not there."""
    return np.ma.array(np.array(values, dtype=dtype), mask=[place == MISSING_AT for place in range(6)])


def arrow_of_pandas(kind):
    """Return a maker of pandas columns backed by Arrow."""
    return lambda values: pd.Series(values, dtype=pd.ArrowDtype(kind))


def in_runs(values, kind):
    """Return an array of Arrow that is encoded by runs."""
    return pa.RunEndEncodedArray.from_arrays(pa.array(range(1, 7), pa.int32()), pa.array(values, kind))


def in_chunks(values, kind):
    """Return chunks of Arrow, empty ones among them."""
    return pa.chunked_array([pa.array(part, kind) for part in (values[:1], [], values[1:4], values[4:])])


def whole(values):
    """Return the values as integers."""
    return [None if value is None else int(value) for value in values]


def decimals(values):
    """Return the values as decimals."""
    return [None if value is None else Decimal(str(value)) for value in values]


def half(values):
    """Return the values as halves of numpy's."""
    return [None if value is None else np.float16(value) for value in values]


def nan(values):
    """Return the values with NaN for missing ones."""
    return [np.nan if value is None else value for value in values]


def codes(values):
    """Return a column of texts of a library's own dictionary, one of its entries unused."""
    return pd.Categorical(values, categories=["9", "3", "2", "1", "0", "unused"], ordered=True)


class Code(enum.Enum):
    """Categories as members of an enumeration."""

    A, B, C, D, E = "0", "1", "2", "3", "9"


DTYPES = {
    "number": {
        **{f"numpy {code}": lambda v, code=code: np.array(nan(v), dtype=code) for code in ("f8", "f4", "f2", ">f8", ">f4", "g")},
        **{f"masked {code}": lambda v, code=code: masked(NUMBERS, code) if None in v else np.array(v, dtype=code)
           for code in ("f8", "i8", ">i2", "f2")},
        "numpy strided": lambda v: np.repeat(np.array(nan(v)), 3)[::3],
        "numpy reversed": lambda v: np.array(nan(v)[::-1])[::-1],
        "numpy objects": lambda v: np.array(v, dtype=object),
        "array.array": lambda v: array.array("d", nan(v)),
        "memory": lambda v: memoryview(array.array("f", nan(v))),
        "list": list, "deque": deque,
        "fractions": lambda v: [None if each is None else Fraction(each) for each in v],
        **{f"pandas {kind}": lambda v, kind=kind: pd.Series(v, dtype=kind) for kind in ("Float64", "Float32", "object")},
        **{f"pandas {kind}": lambda v, kind=kind: pd.Series(whole(v), dtype=kind) for kind in ("Int64", "Int16")},
        "pandas array": lambda v: pd.array(v, dtype="Float64"),
        "pandas index": lambda v: pd.Index(nan(v)),
        "pandas sparse": lambda v: pd.Series(pd.arrays.SparseArray(nan(v))),
        "pandas category": lambda v: pd.Series(v).astype("category"),
        "pandas ordered": lambda v: pd.Series(pd.Categorical(whole(v), categories=[500, 120, 50, 7, 5, -3, 0], ordered=True)),
        "pandas double of Arrow": arrow_of_pandas(pa.float64()),
        "pandas decimal of Arrow": lambda v: arrow_of_pandas(pa.decimal128(10, 2))(decimals(v)),
        **{f"polars {kind}": lambda v, kind=kind: pl.Series(v, dtype=kind) for kind in (pl.Float64, pl.Float32)},
        **{f"polars {kind}": lambda v, kind=kind: pl.Series(whole(v), dtype=kind) for kind in (pl.Int16, pl.Int64)},
        "polars decimal": lambda v: pl.Series(decimals(v), dtype=pl.Decimal(10, 2)),
        "polars objects": lambda v: pl.Series(v, dtype=pl.Object),
        **{f"arrow {kind}": lambda v, kind=kind: pa.array(v, kind) for kind in (pa.float64(), pa.float32())},
        **{f"arrow {kind}": lambda v, kind=kind: pa.array(decimals(v), kind) for kind in (pa.decimal128(10, 2), pa.decimal256(50, 3))},
        "arrow half": lambda v: pa.array(half(v), pa.float16()),
        "arrow dictionary": lambda v: pa.array(v).dictionary_encode(),
        "arrow dictionary with a null in it": lambda v: pa.DictionaryArray.from_arrays(pa.array(range(6)), pa.array(v)),
        "arrow runs": lambda v: in_runs(v, pa.float64()),
        "arrow chunks": lambda v: in_chunks(v, pa.float64()),
        "arrow slice": lambda v: pa.array([1.0, *v, 2.0])[1:7],
    },
    "category": {
        "list": list, "deque": deque, "integers": whole, "objects": lambda v: np.array(v, dtype=object),
        "floats": lambda v: np.array([np.nan if each is None else float(each) for each in v]),
        "masked integers": lambda v: masked(CODES, ">i4") if None in v else np.array(CODES, dtype=">i4"),
        "masked texts": lambda v: masked(PLAIN["category"], "U3") if None in v else np.array(v),
        "masked bytes": lambda v: masked(PLAIN["category"], "S3") if None in v else np.array(v, dtype="S3"),
        "enumeration": lambda v: [None if each is None else Code(each) for each in v],
        "decimals": lambda v: [None if each is None else Decimal(f"{each}.00") for each in v],
        "mixed": lambda v: gaps([0, True, 2.0, np.float32(3), "9", np.True_], 2.0 if None not in v else None),
        **{f"pandas {kind}": lambda v, kind=kind: pd.Series(v, dtype=kind)
           for kind in ("object", "str", "string", "string[python]", "category")},
        **{f"pandas {kind}": lambda v, kind=kind: pd.Series(whole(v), dtype=kind) for kind in ("Int8", "UInt64", "Float32")},
        "pandas category of integers": lambda v: pd.Series(whole(v), dtype="Int64").astype("category"),
        "pandas ordered": lambda v: pd.Series(codes(v)),
        "pandas codes": codes,
        **{f"pandas {kind} of Arrow": arrow_of_pandas(kind) for kind in (pa.string(), pa.large_string(), pa.string_view())},
        "polars text": pl.Series,
        "polars category": lambda v: pl.Series(v, dtype=pl.Categorical),
        "polars enumeration": lambda v: pl.Series(v, dtype=pl.Enum(["9", "3", "2", "1", "0"])),
        "polars integers": lambda v: pl.Series(whole(v), dtype=pl.UInt8),
        "polars bytes": lambda v: pl.Series([None if each is None else each.encode() for each in v]),
        **{f"arrow {kind}": lambda v, kind=kind: pa.array(v, kind) for kind in (pa.string(), pa.large_string(), pa.string_view())},
        **{f"arrow {kind}": lambda v, kind=kind: pa.array([None if each is None else each.encode() for each in v], kind)
           for kind in (pa.binary(), pa.binary(1), pa.large_binary())},
        "arrow integers": lambda v: pa.array(whole(v), pa.int8()),
        "arrow dictionary": lambda v: pa.array(v).dictionary_encode(),
        "arrow dictionary of integers": lambda v: pa.array(whole(v)).dictionary_encode(),
        "arrow dictionary with a null in it": lambda v: pa.DictionaryArray.from_arrays(pa.array(range(6)), pa.array(v)),
        "arrow runs": lambda v: in_runs(v, pa.string()),
        "arrow chunks of views": lambda v: in_chunks(v, pa.string_view()),
    },
    "instant": {
        "list": list, "list of pandas": lambda v: [None if each is None else pd.Timestamp(each) for each in v],
        "in a zone": lambda v: [None if each is None else each.astimezone(BERLIN) for each in v],
        "list of numpy": lambda v: [None if each is None else np.datetime64(each.replace(tzinfo=None)) for each in v],
        **{f"numpy {code}": lambda v, code=code: np.array(bare(v), dtype=code) for code in ("M8[us]", "M8[ns]", ">M8[ms]", "M8[5m]")},
        **{f"pandas {unit}": lambda v, unit=unit: pd.Series(bare(v)).astype(f"datetime64[{unit}]") for unit in ("s", "ms", "us", "ns")},
        "pandas in a zone": lambda v: pd.Series(v).dt.tz_convert("Europe/Berlin"),
        "pandas objects": lambda v: pd.Series([pd.NaT if each is None else each.astimezone(BERLIN) for each in v], dtype=object),
        "pandas index": lambda v: pd.DatetimeIndex(bare(v)),
        "pandas period": lambda v: pd.Series(pd.PeriodIndex(bare(v), freq="min")),
        "pandas periods": lambda v: [None if each is None else pd.Period(each, "min") for each in bare(v)],
        "pandas category": lambda v: pd.Series(bare(v)).astype("category"),
        "pandas of Arrow": arrow_of_pandas(pa.timestamp("ns", "Europe/Berlin")),
        **{f"polars {unit}": lambda v, unit=unit: pl.Series(bare(v)).cast(pl.Datetime(unit)) for unit in ("ms", "us", "ns")},
        "polars in a zone": lambda v: pl.Series(v).dt.convert_time_zone("Europe/Berlin"),
        **{f"arrow {unit}": lambda v, unit=unit: pa.array(bare(v), pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")},
        "arrow in a zone": lambda v: pa.array(v, pa.timestamp("us", "Europe/Berlin")),
        "arrow dictionary": lambda v: pa.array(bare(v), pa.timestamp("us")).dictionary_encode(),
    },
    "span": {
        "list": list, "list of pandas": lambda v: [None if each is None else pd.Timedelta(each) for each in v],
        **{f"numpy {code}": lambda v, code=code: np.array(v, dtype=code) for code in ("m8[us]", ">m8[ns]", "m8[500ms]")},
        **{f"pandas {unit}": lambda v, unit=unit: pd.Series(v).astype(f"timedelta64[{unit}]") for unit in ("ms", "us", "ns")},
        "pandas category": lambda v: pd.Series(v).astype("category"),
        "pandas of Arrow": arrow_of_pandas(pa.duration("ms")),
        **{f"polars {unit}": lambda v, unit=unit: pl.Series(v).cast(pl.Duration(unit)) for unit in ("ms", "us", "ns")},
        **{f"arrow {unit}": lambda v, unit=unit: pa.array(v, pa.duration(unit)) for unit in ("ms", "us", "ns")},
    },
    "time": {
        "list": list, "pandas objects": lambda v: pd.Series(v, dtype=object), "polars": pl.Series,
        "pandas of Arrow": arrow_of_pandas(pa.time64("ns")),
        "arrow milliseconds": lambda v: pa.array(v, pa.time32("ms")), "arrow": lambda v: pa.array(v, pa.time64("us")),
    },
    "date": {
        "list": list, "pandas objects": lambda v: pd.Series(v, dtype=object), "polars": pl.Series,
        "numpy": lambda v: np.array(v, dtype="M8[D]"), "numpy other order": lambda v: np.array(v, dtype=">M8[D]"),
        "pandas period": lambda v: pd.Series(pd.PeriodIndex(v, freq="D")), "pandas of Arrow": arrow_of_pandas(pa.date32()),
        "arrow days": lambda v: pa.array(v, pa.date32()), "arrow milliseconds": lambda v: pa.array(v, pa.date64()),
    },
}  # fmt: skip

VALUES = {
    "number": NUMBERS,
    "category": PLAIN["category"],
    "instant": INSTANTS,
    "span": SPANS,
    "time": TIMES,
    "date": DATES,
}


def bare(values):
    """Return instants without their zone."""
    return [None if value is None else value.replace(tzinfo=None) for value in values]


def containers(column):
    """Yield a column in what holds it without making another dtype of it, as batches and row by row."""
    library = type(column).__module__.partition(".")[0]
    yield "dict", {"x": column}
    if isinstance(column, list):
        yield "dicts", [{"x": value} for value in column]
        yield "list of lists", [[value] for value in column]
    elif isinstance(column, np.ndarray) and not isinstance(column, np.ma.MaskedArray):
        yield "matrix", column.reshape(6, 1)
        yield "dicts", [{"x": value} for value in column]
    elif library == "pandas":
        frame = pd.DataFrame({"x": column})
        yield "frame", frame
        yield "frame with another index", frame.set_axis([7] * 6)
        yield "tuples", list(frame.itertuples(index=False))
    elif library == "polars":
        yield "frame", pl.DataFrame({"x": column})
        yield "dicts", pl.DataFrame({"x": column}).to_dicts()
    elif library == "pyarrow":
        yield "table", pa.table({"x": column})
        yield "rows", pa.table({"x": column}).to_pylist()
        if isinstance(column, pa.Array):
            yield "batch", pa.record_batch({"x": column})


LINES = [(kind, name) for kind, table in DTYPES.items() for name in table]


@pytest.mark.parametrize(("kind", "name"), LINES)
def test_a_column_has_the_same_cells_as_every_dtype_and_in_every_container(kind, name):
    """Those that numpy and pandas count from its plain values; a null is missing, and nothing is lost."""
    held, wanted = {}, {}
    for missing, values in ((False, VALUES[kind]), (True, gaps(VALUES[kind]))):
        for container, value in containers(DTYPES[kind][name](values)):
            model = f"{container}, missing {missing}"
            held[model], wanted[model] = value, expected(kind, missing=missing)
    found, lost = cells(kind, held.items())
    assert found == wanted
    assert lost == {}
