"""Corrected features of a table: matched by key or row, in the types of the table."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from radiosonde.errors import ConfigurationError
from radiosonde.forensics.corrections import Corrections


def applied(folder, served, corrected, key="id"):
    """Return the corrected column ``x``, and the number of rows without a correction."""
    pq.write_table(pa.table(corrected), folder / "corrected.parquet")
    pq.write_table(pa.table(served), folder / "served.parquet")
    corrections = Corrections(folder / "corrected.parquet", ["x"], key, len(served["id"]))
    batches = pq.read_table(folder / "served.parquet").to_batches()
    return corrections.applied(batches[0], 0).column("x"), corrections.uncorrected


IDS = pa.array([1, 2, 3])
CODED = pa.array(["b", "a", "b"]).dictionary_encode()


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        pytest.param(pa.array([1, 2, 3]), pa.array([5]), [1, 5, 3], id="integers"),
        pytest.param(pa.array([0.1, 2, 3], pa.float32()), pa.array([0.2]), [0.10000000149011612, 0.20000000298023224, 3], id="float32"),
        pytest.param(pa.array([1, 2, 3], pa.int8()), pa.array([5.0]), [1, 5, 3], id="whole floats"),
        pytest.param(pa.array([1, 2, 3]), pa.array([None], pa.int64()), [1, None, 3], id="missing"),
        pytest.param(pa.array(["a", "b", "c"], pa.large_string()), pa.array(["z"]), ["a", "z", "c"], id="large texts"),
        pytest.param(pa.array([True, False, None]), pa.array([True]), [True, True, None], id="booleans"),
        pytest.param(pa.array([[1], [2], [3]]), pa.array([[5, 6]]), [[1], [5, 6], [3]], id="lists"),
        pytest.param(CODED, pa.array(["z"]), ["b", "z", "b"], id="a new category"),
        pytest.param(CODED, pa.array(["b"]).dictionary_encode(), ["b", "b", "b"], id="a known category"),
    ],
)  # fmt: skip
def test_corrected_values_have_the_type_of_the_table(tmp_path, column, value, expected):
    """Only the named rows change, and the type of the column stays, so a model is given what it would have been given."""
    found, uncorrected = applied(tmp_path, {"id": IDS, "x": column}, {"id": pa.array([2]), "x": value})
    assert (found.to_pylist(), uncorrected) == (expected, 2)
    assert found.type.equals(column.type)


def test_the_codes_of_known_categories_stay(tmp_path):
    """A correction adds categories behind the known ones, because a model may have learned their codes."""
    found, _ = applied(tmp_path, {"id": IDS, "x": CODED}, {"id": pa.array([2]), "x": pa.array(["A"])})
    assert found.dictionary.to_pylist()[:2] == CODED.dictionary.to_pylist()


def test_a_fraction_among_integers_is_kept(tmp_path):
    """A value that the type of the table cannot hold is not rounded."""
    found, _ = applied(tmp_path, {"id": IDS, "x": IDS}, {"id": pa.array([2]), "x": pa.array([2.5])})
    assert found.to_pylist() == [1.0, 2.5, 3.0]


@pytest.mark.parametrize(
    ("ids", "key"),
    [
        pytest.param(pa.array(["a", "b", None]), pa.array(["b", None]), id="texts"),
        pytest.param(pa.array(["a", "b", None]), pa.array(["b", None]).dictionary_encode(), id="categories"),
        pytest.param(pa.array([1, 2, None]), pa.array(["2", None]), id="numbers and texts"),
    ],
)
def test_a_missing_key_matches_nothing(tmp_path, ids, key):
    """Keys of two types match by value; a row without a key is not corrected."""
    found, uncorrected = applied(tmp_path, {"id": ids, "x": IDS}, {"id": key, "x": pa.array([5, 7])})
    assert (found.to_pylist(), uncorrected) == ([1, 5, 3], 2)


def test_rows_in_the_same_order_need_no_key(tmp_path):
    """Without a key, every row has its correction, a missing value included."""
    found, _ = applied(tmp_path, {"id": IDS, "x": IDS}, {"x": pa.array([None, 5, 6])}, key=None)
    assert found.to_pylist() == [None, 5, 6]


@pytest.mark.parametrize("value", [pa.array([5]), pa.array([[5]])], ids=["number", "list"])
def test_values_of_another_kind_are_refused(tmp_path, value):
    """A correction that does not fit the column is refused, and the message says what to do."""
    with pytest.raises(ConfigurationError, match="give them the same types"):
        applied(tmp_path, {"id": IDS, "x": pa.array(["a", "b", "c"])}, {"id": pa.array([2]), "x": value})


@pytest.mark.parametrize(
    ("key", "message"),
    [
        pytest.param(pa.array([1, 1]), "more than once", id="repeated"),
        pytest.param(pa.array([[1], [2]]), "identify no row", id="lists"),
    ],
)
def test_a_key_that_identifies_no_row_is_refused(tmp_path, key, message):
    """A key must name one row of the corrected table."""
    with pytest.raises(ConfigurationError, match=message):
        applied(tmp_path, {"id": IDS, "x": IDS}, {"id": key, "x": pa.array([5, 7])})
