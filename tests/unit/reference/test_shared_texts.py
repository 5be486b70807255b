"""Text columns in native memory: each different text becomes one object, and every row has its value."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest

from radiosonde.reference.containers import MOST_SHARED, PIECE_ROWS, plain_column

NAMES = ["early", "late", None, "a category with a name that is longer than most"]
ROWS = [NAMES[row * row % len(NAMES)] for row in range(3 * PIECE_ROWS + 7)]

COLUMNS = {
    "polars": pl.Series(ROWS),
    "polars, categories": pl.Series(ROWS, dtype=pl.Categorical),
    "polars, an enum": pl.Series(ROWS, dtype=pl.Enum([name for name in NAMES if name])),
    "arrow": pa.array(ROWS),
    "arrow, large": pa.array(ROWS, pa.large_string()),
    "arrow, a dictionary": pa.array(ROWS).dictionary_encode(),
    "arrow, in chunks": pa.chunked_array([pa.array(ROWS[:5]), pa.array(ROWS[5:])]),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("kept", [slice(None), slice(3, None, 2), slice(5, None, 7)])
def test_equal_texts_are_one_object(name, kept):
    """A column of four values holds four objects, in the order of its rows."""
    found = plain_column(COLUMNS[name], kept)
    assert found == ROWS[kept]
    assert len({id(value) for value in found}) == len(set(ROWS[kept]))


@pytest.mark.parametrize("make", [pl.Series, pa.array])
def test_ids_all_arrive(make):
    """More different texts than are shared are read as they are."""
    rows = [f"order {number}" for number in range(MOST_SHARED + 3 * PIECE_ROWS)]
    assert plain_column(make(rows)) == rows


@pytest.mark.parametrize("make", [pl.Series, pa.array])
def test_values_that_are_no_texts_stay(make):
    """Lists and bytes are read one by one."""
    for rows in ([[1, 2], [3], None], [b"a", b"b", None]):
        assert list(plain_column(make(rows))) == rows
