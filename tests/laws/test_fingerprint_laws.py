"""Laws of fingerprints: equal for the same rows in any order, container, engine and file; different after any change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import radiosonde as rs
from radiosonde.errors import ConfigurationError
from radiosonde.forensics.files import TableFile
from radiosonde.forensics.sql import DUCKDB, query
from radiosonde.forensics.tables import Fingerprints, grouped
from radiosonde.testing import fly
from tests import fingerprint_oracle as oracle

numbers = st.one_of(
    st.none(), st.floats(), st.sampled_from([0.0, -0.0, np.nan, np.inf, 0.1, 2.0**53, 5e-324]), st.integers(-99, 99)
)
texts = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6),
    st.from_regex(r"-?[0-9]{1,19}(\.[0-9]{0,16})?", fullmatch=True),
    st.sampled_from(["UA", "", "7", "0.5", "1.0", "größe"]),
)
rows = st.lists(st.tuples(numbers, texts, st.none() | st.booleans()), min_size=1, max_size=15)
NAMES = ("wind", "carrier", "is late")
KINDS = {"wind": "number", "carrier": "text", "is late": "number"}
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)


def expected(table: dict[str, list[Any]]) -> Fingerprints:
    """Return the fingerprints of a table by the definition."""
    features = {name: oracle.of_column(values) for name, values in table.items()}
    return Fingerprints(features, oracle.of_rows(table), len(next(iter(table.values()))))


def columns_of(drawn: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Return drawn rows as columns."""
    return {name: list(column) for name, column in zip(NAMES, zip(*drawn, strict=True), strict=True)}


def arrow_of(table: dict[str, list[Any]]) -> pa.Table:
    """Return the table in Arrow's types."""
    floats = [None if value is None else float(value) for value in table["wind"]]
    return pa.table(
        {
            "wind": pa.array(floats, pa.float64()),
            "carrier": pa.array(table["carrier"], pa.string()),
            "is late": pa.array(table["is late"], pa.bool_()),
        }
    )


CONTAINERS: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "columns": lambda table: table,
    "rows": lambda table: [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)],
    "rows without missing values": lambda table: [
        {name: value for name, value in zip(table, row, strict=True) if value is not None or name == "wind"}
        for row in zip(*table.values(), strict=True)
    ],
    "arrow": arrow_of,
    "arrow, chunks": lambda table: pa.concat_tables([arrow_of(table).slice(0, 2), arrow_of(table).slice(2)]),
    "arrow, dictionary": lambda table: arrow_of(table).set_column(
        1, "carrier", arrow_of(table)["carrier"].dictionary_encode()
    ),
    "pandas, objects": lambda table: pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in table.items()}),
    "pandas, arrow types": lambda table: arrow_of(table).to_pandas(types_mapper=pd.ArrowDtype),
    "pandas, nullable types": lambda table: arrow_of(table).to_pandas(
        types_mapper={pa.float64(): pd.Float64Dtype(), pa.string(): pd.StringDtype(), pa.bool_(): pd.BooleanDtype()}.get
    ),
    "pandas, categories": lambda table: arrow_of(table).to_pandas(types_mapper=pd.ArrowDtype).assign(
        carrier=pd.Categorical(table["carrier"])
    ),
    "polars": lambda table: pl.from_arrow(arrow_of(table)),
    "polars, categories": lambda table: pl.from_arrow(arrow_of(table)).with_columns(
        pl.col("carrier").cast(pl.Categorical)
    ),
    "numpy": lambda table: {name: np.array(values, dtype=object) for name, values in table.items()},
    "columns in another order": lambda table: dict(reversed(table.items())),
}  # fmt: skip


@pytest.mark.parametrize("container", CONTAINERS)
@quick
@given(rows)
def test_fingerprints_do_not_depend_on_the_container(container, drawn):
    """Every container of the same values has the fingerprints of the definition."""
    table = columns_of(drawn)
    if container == "rows without missing values" and all(value is None for value in table["carrier"]):
        return
    if container == "rows without missing values" and all(value is None for value in table["is late"]):
        return
    found = rs.fingerprint(CONTAINERS[container](table))
    assert (found.features, found.row, found.rows) == (expected(table).features, expected(table).row, len(drawn))


@quick
@given(st.lists(st.lists(st.floats(width=32), min_size=2, max_size=2), min_size=1, max_size=9), st.data())
def test_a_matrix_of_any_type_has_the_fingerprints_of_its_values(drawn, data):
    """Single precision is widened exactly, and integers are the numbers they are; the byte order is of no importance."""
    kind = data.draw(st.sampled_from([np.float32, np.float64, ">f8", np.float16, np.int8, np.uint64]))
    with np.errstate(all="ignore"):
        block = np.array(drawn, dtype=np.float32)
        block = (block if np.dtype(kind).kind == "f" else np.nan_to_num(block % 100)).astype(kind)
    table = {name: block[:, place].astype(np.float64).tolist() for place, name in enumerate(("a", "b"))}
    assert rs.fingerprint(block, features=["a", "b"]) == expected(table)


@pytest.mark.parametrize(
    ("values", "same"),
    [
        ([dt.datetime(2026, 11, 1, 12, 0, 0, 500000, dt.UTC), None], [1793534400.5, None]),
        ([dt.date(2026, 11, 1)], [1793491200]),
        ([dt.timedelta(seconds=1.5)], [1.5]),
        ([Decimal("0.10"), Decimal(-3), Decimal("NaN")], [0.1, -3, None]),
        ([b"UA", "UA"], ["UA", "UA"]),
        ([np.float32(0.1)], [0.10000000149011612]),
        ([True, 1, 1.0, "1", np.int64(1)], [1, 1, 1, 1, 1]),
        ([2**53 + 1], [2.0**53]),
        ([[1], {}, 1j], [np.inf] * 3),
        (np.array(["2026-11-01T12:00:00.5", "NaT"], dtype="M8[ms]"), [1793534400.5, None]),
        (pd.Series(pd.to_datetime(["2026-11-01 12:00:00.5"], utc=True)), [1793534400.5]),
        (pl.Series([Decimal("12.25")], dtype=pl.Decimal(9, 2)), [12.25]),
        (pa.array([Decimal("12.25")], pa.decimal128(9, 2)), [12.25]),
        (pa.array([3, None], pa.uint8()), [3, None]),
    ],
    ids=["times", "dates", "spans", "decimals", "bytes", "float32", "ones", "beyond 2^53", "no values", "numpy times",
         "pandas times", "polars decimals", "arrow decimals", "arrow integers"],
)  # fmt: skip
def test_values_of_every_type_have_one_canonical_form(values, same):
    """Each type of value is hashed as the number or text that the definition gives."""
    assert rs.fingerprint({"x": values}) == expected({"x": same})


@settings(quick, max_examples=6)
@given(rows, st.integers(1, 15), st.integers(1, 15), st.randoms())
def test_parquet_of_any_row_groups_and_sql_of_duckdb_agree(engine, tmp_path, drawn, group, batch, random):
    """A file has the fingerprints of its rows, whatever its row groups, its batches and the order; so has the query of DuckDB over it."""
    table = columns_of(random.sample(drawn, len(drawn)))
    path = tmp_path / "table.parquet"
    pq.write_table(arrow_of(table), path, row_group_size=group)
    with pq.ParquetFile(path) as file:
        *_, sums = grouped(file.iter_batches(batch_size=batch), NAMES)
    *_, read = grouped(TableFile(path).batches(NAMES), NAMES)
    assert sums.total() == read.total() == expected(columns_of(drawn))
    assert by_duckdb(engine, path) == expected(columns_of(drawn))


@pytest.fixture(scope="module")
def engine():
    """Yield a DuckDB with the macros."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(DUCKDB)
        yield connection


def by_duckdb(engine, path, kinds=KINDS) -> Fingerprints:
    """Return the fingerprints that DuckDB computes of a file."""
    rows, row, *columns = engine.execute(query("duckdb", f"'{path}'", kinds)).fetchone()
    return Fingerprints(dict(zip(kinds, columns, strict=True)), row, rows)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([0, 1_500_000, None, -1], pa.timestamp("us")), "time"),
        (pa.array([0, 1_500, None], pa.timestamp("ms", tz="UTC")), "time"),
        (pa.array([0, 20_000, None], pa.date32()), "time"),
        (pa.array([2**53 + 1, -(2**63), None], pa.int64()), "number"),
        (pa.array([0.1, None], pa.float32()), "number"),
        (pa.array([Decimal("0.1"), Decimal("123456.789")], pa.decimal128(12, 4)), "number"),
        (pa.array(["it's", 'a "quote"', "\\", "a\nb"], pa.string()), "text"),
    ],
    ids=["times", "times with a zone", "dates", "integers", "float32", "decimals", "odd texts"],
)
def test_duckdb_agrees_for_every_type(engine, tmp_path, values, kind):
    """Times, dates, wide integers, decimals and odd texts have the same hashes in SQL, also in a column with an odd name."""
    path = tmp_path / "table.parquet"
    table = pa.table({"odd 'name\"": values})
    pq.write_table(table, path)
    assert by_duckdb(engine, path, {"odd 'name\"": kind}) == rs.fingerprint(table)


@quick
@given(rows, st.data())
def test_any_change_of_the_rows_changes_the_fingerprints(drawn, data):
    """Another value, a dropped row and a doubled row change the row fingerprint, and their columns'."""
    table, whole = columns_of(drawn), expected(columns_of(drawn))
    place = data.draw(st.integers(0, len(drawn) - 1))
    value = data.draw(texts.filter(lambda text: oracle.word(text) != oracle.word(table["carrier"][place])))
    changed = rs.fingerprint({**table, "carrier": [*table["carrier"][:place], value, *table["carrier"][place + 1 :]]})
    assert changed.row != whole.row
    assert changed.features["carrier"] != whole.features["carrier"]
    assert changed.features["wind"] == whole.features["wind"]
    for other in ([*drawn, drawn[place]], [*drawn[:place], *drawn[place + 1 :]]):
        if other:
            found = rs.fingerprint(columns_of(other))
            assert found.row != whole.row
            assert all(found.features[name] != whole.features[name] for name in NAMES)


@quick
@given(st.lists(st.tuples(numbers, texts, st.booleans()), min_size=2, max_size=9, unique_by=lambda row: repr(row[:2])))
def test_a_wrong_join_changes_the_rows_alone(drawn):
    """If two rows exchange a value, each column keeps its fingerprint, and the row fingerprint changes unless the rows do not."""
    (a, b, c), (d, e, f), *rest = drawn
    found = rs.fingerprint(columns_of([(a, e, c), (d, b, f), *rest]))
    whole = rs.fingerprint(columns_of(drawn))
    assert found.features == whole.features
    before = sorted((oracle.word(x), oracle.word(y), z) for x, y, z in ((a, b, c), (d, e, f)))
    after = sorted((oracle.word(x), oracle.word(y), z) for x, y, z in ((a, e, c), (d, b, f)))
    assert (found.row == whole.row) is (before == after)


@quick
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([*"ab", None]), numbers), min_size=1, max_size=20))
def test_groups_are_the_fingerprints_of_their_rows(drawn):
    """Grouped by columns, in several batches, each group has the fingerprints of its rows alone, and they add up to the whole."""
    kinds = [("hour", pa.int64()), ("country", pa.string()), ("wind", pa.float64())]
    columns = {
        name: pa.array([None if row[place] is None else float(row[place]) if place == 2 else row[place] for row in drawn], kind)
        for place, (name, kind) in enumerate(kinds)
    }  # fmt: skip
    *_, sums = grouped(pa.table(columns).to_batches(max_chunksize=3), ["wind"], ["hour", "country"])
    by_key: dict[Any, list[Any]] = {}
    for hour, country, wind in drawn:
        by_key.setdefault((hour, country), []).append(wind)
    assert {key: sums.of(key) for key in sums.groups} == {k: expected({"wind": v}) for k, v in by_key.items()}
    assert sums.total() == expected({"wind": [row[2] for row in drawn]})


def test_the_producer_and_the_server_have_the_same_fingerprints():
    """A table, and the window of the server that was given its rows one by one, agree."""
    rng = np.random.default_rng(11)
    table = {"wind": rng.normal(size=300).tolist(), "carrier": rng.choice(["UA", "7", "größe"], 300).tolist()}
    with fly() as flight:
        predict = flight.observe("delays", reference=rs.Reference.fit(table, model="delays"))(lambda row: 1)
        for row in zip(*table.values(), strict=True):
            predict(dict(zip(table, row, strict=True)))
        (window,) = flight.windows()
    found = rs.fingerprint(pl.DataFrame(table).sample(fraction=1.0, shuffle=True, seed=1))
    features = window.features
    assert dict(zip(features.names, features.fingerprints.tolist(), strict=True)) == found.features
    assert (features.row_fingerprint, features.fingerprinted_rows) == (found.row, found.rows)


@pytest.mark.parametrize(
    ("frame", "features", "says"),
    [
        ({"a": [1]}, ["b"], "there is no column 'b'"),
        ({"a": [1], "b": [1, 2]}, None, "columns have different lengths"),
        ({}, None, "the table has no columns"),
        (np.zeros((2, 2)), None, "a matrix has no names"),
        (3, None, "cannot read a table from builtins.int"),
        ([], None, "cannot read a table from builtins.list"),
    ],
    ids=["no such column", "lengths", "empty", "matrix", "number", "no rows"],
)
def test_what_is_no_table_is_refused(frame, features, says):
    """The error names the problem, and what to give instead."""
    with pytest.raises(ConfigurationError, match=says):
        rs.fingerprint(frame, features=features)


def test_fingerprints_of_different_features_do_not_add():
    """Only parts of one table add up."""
    with pytest.raises(ValueError, match="different features"):
        rs.fingerprint({"a": [1]}) + rs.fingerprint({"b": [1]})
