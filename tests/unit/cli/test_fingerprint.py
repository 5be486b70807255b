"""`radiosonde fingerprint`: files in, files of fingerprints out."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import radiosonde as rs
from radiosonde.cli import main
from tests import fingerprint_oracle as oracle

ROOT = Path(__file__).parents[3]
TABLE = pa.table(
    {
        "time": pa.array([0.0, 59.9, 60.0, None, 3600.5]),
        "country": ["DE", "FR", "DE", "DE", None],
        "wind": pa.array([1.5, None, -0.0, 2.0, 3.0]),
        "gate": ["7", "A", "7", None, "B"],
    }
)


@pytest.fixture
def file(tmp_path) -> Path:
    """Return the table as a Parquet file of several row groups."""
    pq.write_table(TABLE, tmp_path / "features.parquet", row_group_size=2)
    return tmp_path / "features.parquet"


def printed(capsys) -> list[dict[str, str]]:
    """Return the rows that were printed as CSV."""
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_a_file_of_fingerprints_has_a_row_per_group_and_feature(file, tmp_path, capsys):
    """Groups by column and window of event time, missing keys included; the file says how the values were hashed."""
    out = tmp_path / "fp.parquet"
    assert main(["fingerprint", str(file), "--by", "country", "--time", "time", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 10 fingerprints\n"
    found = pq.read_table(out)
    assert found.column_names == [
        "start_ns",
        "country",
        "feature",
        "fingerprint",
        "rows",
        "row_fingerprint",
        "definition",
    ]
    windows = [0, 0, 60 * 10**9, None, 3600 * 10**9]
    rows = list(zip(windows, *(TABLE[name].to_pylist() for name in ("country", "wind", "gate")), strict=True))
    expected = {}
    for start, country, wind, gate in rows:
        row = oracle.row_hash({"wind": wind, "gate": gate})
        expected[start, country, "wind"] = (oracle.value_hash(wind), row, 1, "splitmix64-1")
        expected[start, country, "gate"] = (oracle.value_hash(gate), row, 1, "splitmix64-1")
    assert {
        (line["start_ns"], line["country"], line["feature"]): (
            line["fingerprint"],
            line["row_fingerprint"],
            line["rows"],
            line["definition"],
        )
        for line in found.to_pylist()
    } == expected


@pytest.mark.parametrize("suffix", [".csv", ".tsv", "folder", ".parquet"])
def test_every_kind_of_file_is_read(suffix, tmp_path, capsys):
    """CSV, TSV, Parquet and a folder of Parquet files print the fingerprints of their rows."""
    table = TABLE.select(["wind", "gate"]).slice(0, 3)
    path = tmp_path / (suffix if suffix == "folder" else f"table{suffix}")
    if suffix == "folder":
        path.mkdir()
        pq.write_table(table.slice(0, 1), path / "a.parquet")
        pq.write_table(table.slice(1), path / "b.parquet")
    elif suffix == ".parquet":
        pq.write_table(table, path)
    else:
        options = pa.csv.WriteOptions(delimiter="\t" if suffix == ".tsv" else ",")
        pa.csv.write_csv(table, path, options)
    assert main(["fingerprint", str(path)]) == 0
    found = printed(capsys)
    assert {line["feature"]: int(line["fingerprint"]) for line in found} == rs.fingerprint(table).features
    assert {int(line["row_fingerprint"]) for line in found} == {rs.fingerprint(table).row}


def test_chosen_features_are_fingerprinted_alone(file, capsys):
    """Other columns have no part in the fingerprint of the rows."""
    assert main(["fingerprint", str(file), "--features", "gate"]) == 0
    (line,) = printed(capsys)
    assert int(line["row_fingerprint"]) == rs.fingerprint(TABLE, features=["gate"]).row


@pytest.mark.parametrize("engine", ["duckdb", "clickhouse"])
def test_the_shipped_functions_are_what_the_command_prints(engine, capsys):
    """The file under integrations is up to date."""
    assert main(["fingerprint", "--sql", engine]) == 0
    assert capsys.readouterr().out == (ROOT / "integrations" / engine / "fingerprints.sql").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "which table?"),
        (["missing.parquet"], "cannot read missing.parquet as a table"),
        (["FILE", "--by", "nowhere"], "has no column 'nowhere'; its columns are: time, country, wind, gate"),
        (["FILE", "--time", "country"], "the column of --time holds neither times nor numbers"),
        (["FILE", "--time", "time", "--window", "0"], "windows of 0.0 seconds are not possible"),
        (["FILE", "--by", "time,country,wind,gate"], "has no column left to be a feature"),
        (["FILE", "--out", "/nowhere/fp.parquet"], "cannot write /nowhere/fp.parquet"),
    ],
    ids=["no table", "no file", "no column", "no times", "no length", "no feature", "no folder"],
)
def test_what_cannot_be_done_is_reported(arguments, says, file, capsys):
    """The exit code is 2, and one sentence says what is wrong."""
    assert main(["fingerprint", *(str(file) if each == "FILE" else each for each in arguments)]) == 2
    assert says in capsys.readouterr().err
