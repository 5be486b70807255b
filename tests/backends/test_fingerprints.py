"""ClickHouse computes the fingerprints that the definition gives, by the functions that `radiosonde fingerprint --sql` prints."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import radiosonde as rs
from radiosonde.forensics.sql import CLICKHOUSE, query
from tests import fingerprint_oracle as oracle

TEXTS = ["UA", "", "7", "-7", "007", "0.5", "-12.25", "1.0", "-0", "größe", "it's", "\\", "a\nb", "123456789012345678", "1234567890123456789",
         "0.12345678901234", "0.123456789012345", "99999999999.125", "0.1", "0.7", "1e5", "nan", None]  # fmt: skip
NUMBERS = [0.0, -0.0, 0.1, -2.5, 5e-324, 1.7e308, float("inf"), float("-inf"), float("nan"), None, 2.0**53]


@pytest.fixture(scope="module")
def ask(clickhouse_engine):
    """Return what answers a query with rows."""
    for statement in CLICKHOUSE.split(";\n"):
        if statement.strip():
            clickhouse_engine.run(statement)
    return lambda text: [json.loads(line) for line in clickhouse_engine.run(text, "JSONCompactEachRow").splitlines()]


def as_table(path, kinds: dict[str, str], table: pa.Table) -> str:
    """Write *table* and return the query of its fingerprints."""
    pq.write_table(table, path, row_group_size=7)
    return query("clickhouse", f"file('{path}', Parquet)", kinds)


def test_clickhouse_agrees_on_tables(ask, tmp_path):
    """Numbers, texts, booleans and times of a table with missing values, and its rows, have the fingerprints of Python."""
    rng = np.random.default_rng(7)
    rows = 200
    table = pa.table(
        {
            "wind": pa.array([NUMBERS[place] for place in rng.integers(0, len(NUMBERS), rows)], pa.float64()),
            "carrier": pa.array([TEXTS[place] for place in rng.integers(0, len(TEXTS), rows)], pa.string()),
            "odd `name'\\": pa.array(rng.integers(-(2**62), 2**62, rows), pa.int64()),
            "is late": pa.array(rng.choice([True, False, None], rows).tolist(), pa.bool_()),
            "narrow": pa.array(rng.normal(size=rows).astype(np.float32), pa.float32()),
            "time": pa.array(rng.integers(0, 2**50, rows), pa.timestamp("us")),
        }
    )
    kinds = dict.fromkeys(table.column_names, "number") | {"carrier": "text", "time": "time"}
    ((count, row, *columns),) = ask(as_table(tmp_path / "table.parquet", kinds, table))
    found = rs.fingerprint(table)
    assert (int(count), int(row)) == (found.rows, found.row)
    assert dict(zip(kinds, map(int, columns), strict=True)) == found.features


@pytest.mark.parametrize("text", TEXTS, ids=[repr(text) for text in TEXTS])
def test_clickhouse_agrees_on_texts(ask, tmp_path, text):
    """Each text is a number or a text, as the definition says."""
    table = pa.table({"x": pa.array([text], pa.string())})
    ((_, _, found),) = ask(as_table(tmp_path / "table.parquet", {"x": "text"}, table))
    assert int(found) == oracle.value_hash(text)
