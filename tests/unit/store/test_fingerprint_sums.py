"""Fingerprints of a store, summed in SQL as the documentation does."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from radiosonde.model.fingerprints import DEFINITION, WORD
from radiosonde.store import StoreWriter
from radiosonde.store.seal import seal
from tests import fingerprint_oracle as oracle
from tests.factories import make_features, make_reference, make_window

PAGE = (Path(__file__).parents[3] / "docs/explanation/forensics.md").read_text()
PRINTS = [(2**64 - 1, 7), (2**63, 2**63 + 5), (2**63 + 9, 2**32 - 1), (12345, 2**64 - 2**31)]
SUMS = {name: sum(column) % WORD for name, column in zip(("wind", "carrier"), zip(*PRINTS, strict=True), strict=True)}


def statement(engine: str) -> str:
    """Return the query of the page for *engine*."""
    (found,) = re.findall(rf"    -- {engine}[^\n]*\n((?:    \S.*\n|      .*\n)+)", PAGE)
    return found


@pytest.fixture
def store(tmp_path) -> Path:
    """Return a store of four windows whose fingerprints overflow, and one of an older definition."""
    reference = make_reference()
    features = make_features(reference, {})
    windows = [
        replace(
            make_window(),
            features=replace(
                features,
                fingerprints=np.array(prints, dtype=np.uint64),
                row_fingerprint=2**64 - 3,
                fingerprint_definition=definition,
            ),
        )
        for prints, definition in [*((each, DEFINITION) for each in PRINTS), ((1, 1), "")]
    ]
    StoreWriter(tmp_path / "store.sqlite", process="host/1").write(windows, {})
    return tmp_path / "store.sqlite"


def test_sums_in_sqlite_do_not_overflow(store):
    """The halves of the words are added, and the sum has the bits of the fingerprint of the whole."""
    with closing(sqlite3.connect(store)) as connection:
        found = dict(connection.execute(statement("SQLite")))
        (row,) = connection.execute("SELECT min(row_fingerprint) FROM windows").fetchone()
    assert {name: value % WORD for name, value in found.items()} == SUMS
    assert row % WORD == 2**64 - 3


def test_sums_in_duckdb_are_taken_modulo_two_to_the_64(store, tmp_path):
    """Sealed windows hold unsigned words, whose sum in 128 bits is cut."""
    seal(store, tmp_path / "sealed", everything=True)
    files = f"'{tmp_path}/sealed/*/{{}}-*.parquet'"
    source = f"read_parquet({files.format('features')}) JOIN read_parquet({files.format('windows')}) USING (window_id)"
    query = statement("DuckDB").replace("FROM ...", f"FROM {source} WHERE fingerprint_definition = '{DEFINITION}'")
    with duckdb.connect(config={"threads": 1}) as connection:
        assert dict(connection.execute(query).fetchall()) == SUMS


def test_the_example_of_the_page_is_right():
    """The numbers that the page gives for a column of 1 and NULL are those of the definition."""
    for number in (
        oracle.value_hash(1),
        oracle.value_hash(None),
        oracle.of_column([1, None]),
        oracle.of_rows({"wind": [1, None]}),
    ):
        assert f"0x{number:016X}" in PAGE
