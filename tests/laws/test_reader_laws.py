"""A store read by column gives the windows that it gives read row by row."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radiosonde.errors import StoreError
from radiosonde.model import Window
from radiosonde.sources import batched, documents
from radiosonde.sources.batched import BatchedReader
from radiosonde.store import Interval, StoreReader, StoreWriter
from tests.factories import HOUR_NS, make_features, make_latency, make_reference, make_window
from tests.golden.make_golden import WRITTEN_NS
from tests.unit.store.strategies import assert_same
from tests.window_strategies import windows

GOLDEN = Path(__file__).parents[1] / "golden"
THOROUGH = settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


class Batches(BatchedReader):
    """Reads by column however few windows there are, a few at a time."""

    least, batch = 0, 3


def assert_same_parts(path: Path, interval: Interval = Interval(), **asked: bool | tuple[str, ...]) -> int:  # noqa: B008 - frozen
    """Compare both readers on *path* and return the number of parts."""
    by_row = StoreReader(path, **asked).parts(interval)  # type: ignore[arg-type]
    by_column = Batches(path, **asked).parts(interval)  # type: ignore[arg-type]
    assert [number for number, _ in by_column] == [number for number, _ in by_row]
    for (_, left), (_, right) in zip(by_column, by_row, strict=True):
        assert_same(left, right)
    return len(by_row)


def make_ordinary(count: int) -> list[Window]:
    """Return windows as a server writes them: with phases, classes, features and sketches, no two alike."""
    rng, reference = np.random.default_rng(7), make_reference()
    made = []
    for hour in range(count):
        wind = rng.integers(0, 50, 6).tolist()
        features = make_features(reference, {"wind": wind}, {("wind", "kll_double"): bytes([hour])})
        features = replace(features, row_fingerprint=2**64 - 1 - hour)
        window = make_window(features=features, latency=make_latency(rng.exponential(0.01, hour + 1).tolist()))
        made.append(replace(window, start_ns=hour * HOUR_NS, end_ns=(hour + 1) * HOUR_NS, process=f"p{hour % 2}"))
    return made


@THOROUGH
@given(st.lists(windows(), max_size=7))
def test_windows_of_any_shape_are_read_alike(written: list[Window]) -> None:
    """Every field of every window is equal, bit by bit, in batches of a few."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "store.sqlite")
        StoreWriter(store).write(written)
        assert assert_same_parts(store) + assert_same_parts(store, Interval(runtime=True)) == len(written)
        assert_same_parts(store, sketches=("kll_double",), label_cells=False)


def test_reading_by_column_imports_no_pandas(tmp_path: Path) -> None:
    """A process that reads a store by column does not import pandas, though it is installed."""
    store = tmp_path / "store.sqlite"
    StoreWriter(store).write(make_ordinary(7))
    program = (
        "import sys; from radiosonde.sources.batched import BatchedReader; from radiosonde.store import Interval;"
        f"BatchedReader.least = 0; print(len(BatchedReader({str(store)!r}).parts(Interval())), 'duckdb' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["7", "True", "False"], done.stderr


@pytest.mark.parametrize("schema", [1, 2, 3, 4])
def test_stores_of_former_versions_are_read_alike(schema: int, tmp_path: Path) -> None:
    """Windows of a former schema are equal, alone and in one batch with present ones."""
    store = Path(shutil.copy(GOLDEN / f"schema{schema}.sqlite", tmp_path / "golden.sqlite"))
    assert assert_same_parts(store)
    StoreWriter(store, clock_ns=lambda: WRITTEN_NS).write(make_ordinary(5))
    assert assert_same_parts(store) > 5


def test_ordinary_windows_are_decoded_by_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server writes never falls back to reading row by row."""
    StoreWriter(tmp_path / "store.sqlite").write(make_ordinary(8))
    expected = StoreReader(tmp_path / "store.sqlite").parts(Interval())
    monkeypatch.delattr(StoreReader, "_window")
    found = Batches(tmp_path / "store.sqlite").parts(Interval())
    for (_, left), (_, right) in zip(found, expected, strict=True):
        assert_same(left, right)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("latency", "{"),
        ("latency", '{"scale":3}'),
        ("latency", "json_set(latency, '$.offset', 9999)"),
        ("latency", "json_set(latency, '$.scale', 5)"),
        ("output", "json_set(output, '$.class_counts[0]', 'many')"),
        ("output", "json_set(output, '$.confidence', json('[[1]]'))"),
        ("batch_sizes", "[1,2"),
    ],
    ids=["cut", "bare", "beyond", "other-scale", "text", "ragged", "cut-list"],
)
def test_damage_is_named_alike(column: str, value: str, tmp_path: Path) -> None:
    """A document that cannot be read raises the same error, which names the window, from both readers."""
    store = tmp_path / "store.sqlite"
    StoreWriter(store).write(make_ordinary(4))
    with closing(sqlite3.connect(store)) as connection, connection:
        changed = value if value.startswith("json_set") else f"'{value}'"
        connection.execute(f"UPDATE windows SET {column} = {changed} WHERE window_id = 2")
    errors = []
    for reader in (StoreReader(store), Batches(store)):
        with pytest.raises(StoreError) as raised:
            reader.parts(Interval())
        errors.append(str(raised.value))
    assert errors[0] == errors[1]


def test_without_duckdb_rows_are_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store is read without the libraries that parse by column, and for few windows they are not loaded."""
    StoreWriter(tmp_path / "store.sqlite").write(make_ordinary(4))
    monkeypatch.setattr(documents, "parse", None)
    monkeypatch.setattr(batched, "parse", None)
    assert len(BatchedReader(tmp_path / "store.sqlite").parts(Interval())) == 4
    monkeypatch.setitem(sys.modules, "duckdb", None)
    monkeypatch.setattr(batched.importlib.util, "find_spec", lambda name: None)
    assert len(Batches(tmp_path / "store.sqlite").parts(Interval())) == 4
