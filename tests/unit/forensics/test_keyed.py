"""Tables compared row by row."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radiosonde.cli import main
from radiosonde.errors import ConfigurationError
from radiosonde.forensics.keyed import ColumnDifference, KeyedDifference, compare_by_key

A = {
    "id": [1, 2, 3, 4, 5, 5],
    "x": [1.0, None, np.nan, 4.0, 1.0, 1.0],
    "t": ["a", "b", None, "d", "e", "e"],
    "n": [1, 2, 3, 4, 5, 5],
}
B = {
    "id": [1, 2, 3, 4, 6],
    "x": [1.0, 2.5, None, 4.5, 7.0],
    "t": ["a", "b", None, "D", "e"],
    "n": [1.0, 2.0, 3.0, 4.0, 9.0],
}


def written(path: Path, columns: dict) -> Path:
    """Write a table as Parquet."""
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def tables(tmp_path) -> tuple[Path, Path]:
    """Return two tables that differ."""
    return written(tmp_path / "a.parquet", A), written(tmp_path / "it's b.parquet", B)


def test_missing_repeated_and_different_rows_are_counted(tables):
    """NaN and NULL are one value, and integers equal the same floats; differences are measured."""
    assert compare_by_key(*tables, ["id"]) == KeyedDifference(
        common=4,
        only_a=1,
        only_b=1,
        repeated_a=1,
        repeated_b=0,
        rows=2,
        columns=(ColumnDifference("x", 2, 1, 0, 0.5, 0.5), ColumnDifference("t", 1, 0, 0, None, None)),
    )


drawn = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["a", "b", None]), st.none() | st.integers(-3, 3)), max_size=12
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=5)
@given(drawn, drawn)
def test_counts_are_those_of_pandas(tmp_path, left, right):
    """Random tables with a key of two columns, missing keys included, give the counts of a merge by pandas."""
    frames = [pd.DataFrame(rows, columns=["k", "l", "v"], dtype=object) for rows in (left, right)]
    kinds = pa.schema({"k": pa.int64(), "l": pa.string(), "v": pa.float64()})
    paths = []
    for name, frame in zip("ab", frames, strict=True):
        paths.append(tmp_path / f"{name}.parquet")
        pq.write_table(pa.Table.from_pandas(frame, kinds, preserve_index=False), paths[-1])
    groups = [{key: list(part["v"]) for key, part in f.fillna("-").groupby(["k", "l"])} for f in frames]
    a, b = groups
    common = [key for key in a if len(a[key]) == 1 and len(b.get(key, [])) == 1]
    found = compare_by_key(*paths, ["k", "l"])
    assert found.common == len(common)
    assert found.rows == sum(a[key] != b[key] for key in common)
    assert (found.only_a, found.only_b) == (len(a.keys() - b.keys()), len(b.keys() - a.keys()))
    assert (found.repeated_a, found.repeated_b) == tuple(sum(len(v) > 1 for v in g.values()) for g in groups)


def test_the_command_reports_rows_by_key_and_no_values(tables, tmp_path, capsys):
    """The numbers are in the text and in the JSON; equal tables end with 0."""
    a, b = map(str, tables)
    assert main(["compare", a, b, "--key", "id"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "by id: 4 keys in both, 1 only in A, 1 only in B, 1 several times in A, 0 in B; 2 rows differ" in said
    assert "x differs in 2 rows, 1 missing in A, 0 in B; largest difference 0.5, mean +0.5" in said
    assert main(["compare", a, b, "--key", "id", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["keyed"]["rows"] == 2
    shuffled = {name: values[::-1] for name, values in B.items()}
    assert main(["compare", b, str(written(tmp_path / "c.parquet", shuffled)), "--key", "id"]) == 0


def test_a_store_has_no_keys(tables, tmp_path, capsys):
    """Only tables have rows to compare by key."""
    out = str(tmp_path / "fp.parquet")
    assert main(["fingerprint", str(tables[0]), "--out", out]) == 0
    assert main(["compare", str(tables[0]), out, "--key", "id"]) == 2
    assert "holds no rows to compare by key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "columns", "says"),
    [(["no"], [], "has no column no"), (["id"], ["z"], "has no column z")],
    ids=["key", "column"],
)
def test_a_missing_column_is_named(key, columns, says, tables):
    """The error names the file, the column and what there is."""
    with pytest.raises(ConfigurationError, match=says):
        compare_by_key(*tables, key, columns)


def test_a_damaged_file_is_reported(tables, tmp_path):
    """What DuckDB says of it is in the error."""
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 no")
    with pytest.raises(ConfigurationError, match=r"cannot compare .* by key"):
        compare_by_key(tables[0], broken, ["id"])
