"""What earlier versions wrote is read back equal, and what this version writes of it is the same, byte for byte."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import sqlite3
import zlib
from contextlib import closing
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from radiosonde.errors import StoreError
from radiosonde.model import Window
from radiosonde.sources import open_source
from radiosonde.store import Interval, StoreReader, StoreWriter
from radiosonde.store.progress import RingProgress, read_progress
from radiosonde.store.seal import seal
from radiosonde.store.totals import CumulativeState, read_cumulative_state
from tests.factories import make_reference
from tests.golden.make_golden import COUNTS, STORE_NUMBER, WRITTEN_NS, golden_windows
from tests.unit.store.strategies import assert_same

NEWEST = 4
"""The schema that this version writes."""

LATER = frozenset({"row_fingerprint", "fingerprinted_rows", "fingerprint_definition"})
"""Columns declared since the golden stores were made; all of their windows have 0, an empty text or NULL there."""

LATER_FIELDS: tuple[str, ...] = ("odds",)
"""Fields of documents declared since, likewise: they hold zeros, or nothing."""

_LATER_EMPTY = re.compile(rf""",?\\*"(?:{"|".join(LATER_FIELDS) or "(?!)"})\\*":(?:\[[0.,]*\]|null|0(?:\.0)?)""")

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(params=[1, 2, 3, NEWEST])
def schema(request) -> int:
    """Return the schema of a golden store."""
    return request.param


@pytest.fixture
def golden(schema, tmp_path) -> Path:
    """Return a copy of the golden store of *schema*, which SQLite may write beside."""
    return Path(shutil.copy(GOLDEN / f"schema{schema}.sqlite", tmp_path / "golden.sqlite"))


def ordered(windows: list[Window]) -> list[Window]:
    """Return *windows* in the order a source promises."""
    return sorted(windows, key=lambda window: (window.start_ns, window.key, window.process))


def written(path: Path, windows: list[Window]) -> Path:
    """Return *path*, a store of this version with all that `make_golden` writes."""
    writer = StoreWriter(path, process="host/1", clock_ns=lambda: WRITTEN_NS)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'store_number'", [str(STORE_NUMBER)])
        connection.execute("UPDATE meta SET value = 'radiosonde' WHERE name = 'made_by'")
    writer.write(
        windows,
        {("delays", "2.3.1"): make_reference()},
        drained=[RingProgress("host/1", 99, 12, (7, 9))],
        cumulative=CumulativeState([windows[0]], COUNTS),
        joined=["batch-1"],
    )
    return path


def dumped(path: Path) -> list[str]:
    """Return the statements that make the store, but for comments and for columns that were declared since and are empty.

    Packed documents are inflated: which bytes they have depends on the zlib.
    """
    with closing(sqlite3.connect(path)) as connection:
        connection.create_function("inflated", 1, lambda cell: None if cell is None else zlib.decompress(cell).decode())
        connection.execute(
            "UPDATE windows SET label_cells = inflated(label_cells), failed_features = inflated(failed_features)"
        )
        later = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('windows')")} & LATER
        for name in later:
            held = f"SELECT count(*) FROM windows WHERE {name} NOT IN (0, '')"
            assert connection.execute(held).fetchone() == (0,)
            connection.execute(f"ALTER TABLE windows DROP COLUMN {name}")
        statements = [" ".join(line.split("--")[0] for line in text.splitlines()) for text in connection.iterdump()]
        connection.rollback()
    for name in later:
        statements = [re.sub(f', "{name}": (null|0|"")(?=[,}}])', "", text) for text in statements]
    return [_LATER_EMPTY.sub("", text) for text in statements]


def without_later(kind: pa.DataType) -> pa.DataType:
    """Return an Arrow type without the fields that were declared since."""
    if pa.types.is_struct(kind):
        kept = [kind.field(place) for place in range(kind.num_fields) if kind.field(place).name not in LATER_FIELDS]
        return pa.struct([field.with_type(without_later(field.type)) for field in kept])
    return pa.list_(kind.value_field.with_type(without_later(kind.value_type))) if pa.types.is_list(kind) else kind


def parts(source) -> list[Window]:
    """Return all windows of *source*, those with the health of processes included."""
    return ordered([*source.windows(), *source.runtime_windows()])


def assert_same_windows(found: list[Window], expected: list[Window]) -> None:
    """Fail unless both lists hold equal windows in one order."""
    assert len(found) == len(expected)
    for left, right in zip(found, expected, strict=True):
        assert_same(left, right)


def test_sqlite_is_read_as_it_was_written(golden, schema):
    """Every field of every window comes back; what the schema did not know is empty."""
    assert_same_windows(parts(open_source(golden)), ordered(golden_windows(schema)))
    assert read_progress(golden) == {("host/1", 99): RingProgress("host/1", 99, 12, (7, 9))}


def test_parquet_is_read_as_it_was_written(schema):
    """Sealed hours of either schema give the same windows as SQLite did."""
    assert_same_windows(parts(open_source(GOLDEN / f"schema{schema}")), ordered(golden_windows(schema)))


def test_parquet_of_all_schemas_is_read_together(tmp_path):
    """Files with and without the later columns lie in one folder and are read as one source; the newest part of each id counts."""
    for name in (1, 2, 3, NEWEST):
        for file in GOLDEN.glob(f"schema{name}/process=*/*.parquet"):
            folder = tmp_path / "sealed" / file.parent.name
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder / file.name.replace("00000714", f"0000071{name}"))
    # Ids of the stores are equal, so each part is counted once.
    assert len(parts(open_source(tmp_path / "sealed"))) == len(golden_windows(NEWEST))


def test_parquet_of_two_schemas_keeps_its_counts_of_sampled_rows(tmp_path):
    """Where one folder holds files that have these counts in the output and files that have columns for them, both are read."""
    for name, shift in ((2, 0), (NEWEST, 1_000)):
        for file in GOLDEN.glob(f"schema{name}/process=*/*.parquet"):
            table = pq.ParquetFile(file).read()
            ids = pa.array([each + shift for each in table.column("window_id").to_pylist()], pa.int64())
            table = table.set_column(table.column_names.index("window_id"), "window_id", ids)
            folder = tmp_path / "sealed" / file.parent.name
            folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, folder / file.name.replace("00000714", f"0000071{name}"))
    found = [window.features for window in open_source(tmp_path / "sealed").windows() if window.features]
    rows = int(found[0].cells[0].sum())
    assert sorted((each.counted_rows, each.weight_square_sum) for each in found) == [
        (rows // 4, rows * 4),
        (rows, rows),
    ]


def test_counts_of_sampled_rows_are_found_where_schema_2_had_them(golden, schema):
    """Rows that features were sampled from come from the document of the output before schema 3, and from their columns since."""
    (found,) = [window.features for window in open_source(golden).windows() if window.features]
    sampled = 4 if schema > 2 else 1
    rows = int(found.cells[0].sum())
    assert (found.counted_rows, found.weight_square_sum) == (rows // sampled, rows * sampled)
    assert found.is_exact == (sampled == 1)
    with closing(sqlite3.connect(golden)) as connection:
        held = "feature_rows" in connection.execute("SELECT output FROM windows WHERE grid IS NOT NULL").fetchone()[0]
    assert held == (schema == 2)


def test_the_next_writer_keeps_what_is_there(golden, schema):
    """A store that this version has written to still gives its old windows, and the new ones."""
    StoreWriter(golden, process="host/1", clock_ns=lambda: WRITTEN_NS).write(golden_windows(NEWEST)[:1])
    assert_same_windows(parts(open_source(golden)), ordered([*golden_windows(schema), golden_windows(NEWEST)[0]]))


def test_sqlite_is_written_byte_for_byte(tmp_path):
    """The same windows make the same tables, text for text, as the version that made the golden store."""
    assert dumped(written(tmp_path / "new.sqlite", golden_windows(NEWEST))) == dumped(GOLDEN / f"schema{NEWEST}.sqlite")


@pytest.mark.parametrize("schema", [NEWEST], indirect=True)
def test_what_was_read_is_written_byte_for_byte(golden, tmp_path):
    """Windows that were read from a store of this schema are written as they lay there."""
    found = [part for runtime in (False, True) for part in StoreReader(golden).parts(Interval(runtime=runtime))]
    windows = [window for _, window in sorted(found, key=itemgetter(0))]
    assert dumped(written(tmp_path / "again.sqlite", windows)) == dumped(GOLDEN / f"schema{NEWEST}.sqlite")


def test_parquet_is_written_with_the_same_schema_and_content(golden, schema, tmp_path):
    """A sealed golden store has the columns, types and values of the golden Parquet; older ones gain the later columns."""
    seal(golden, tmp_path / "sealed", everything=True)
    files = sorted((tmp_path / "sealed").rglob("*.parquet"))
    assert [file.relative_to(tmp_path / "sealed") for file in files] == sorted(
        file.relative_to(GOLDEN / f"schema{schema}") for file in GOLDEN.glob(f"schema{schema}/**/*.parquet")
    )
    for file in files:
        found = pq.ParquetFile(file).read()
        expected = pq.ParquetFile(GOLDEN / f"schema{schema}" / file.relative_to(tmp_path / "sealed")).read()
        if schema == NEWEST:
            assert not any(any(found.column(name).to_pylist()) for name in LATER & {*found.column_names})
            found = found.select(expected.column_names)
            kept = [field.with_type(without_later(field.type)) for field in found.schema]
            found = found.cast(pa.schema(kept, metadata=found.schema.metadata))
            assert found.schema.equals(expected.schema, check_metadata=True)
            assert repr(found.to_pylist()) == repr(expected.to_pylist())  # NaN included
        elif not file.name.startswith("windows"):
            assert found.equals(expected)
        else:
            assert set(expected.column_names) < set(found.column_names)


def test_an_upgraded_store_is_sealed_with_its_counts_of_sampled_rows(golden, schema, tmp_path):
    """A store of any schema that was written to and sealed gives the windows it was given."""
    StoreWriter(golden, process="host/1", clock_ns=lambda: WRITTEN_NS).write(golden_windows(NEWEST)[:1])
    seal(golden, tmp_path / "sealed", everything=True)
    expected = ordered([*golden_windows(schema), golden_windows(NEWEST)[0]])
    assert_same_windows(parts(open_source(tmp_path / "sealed")), expected)


@pytest.mark.parametrize("schema", [2], indirect=True)
def test_counts_of_sampled_rows_of_schema_2_are_sealed(golden, tmp_path):
    """Where a part of schema 2 says that its features were sampled, the sealed part says so too."""
    with closing(sqlite3.connect(golden)) as connection, connection:
        sampled = "json_set(output, '$.sample.feature_rows', 7, '$.sample.feature_weight_square_sum', 700)"
        connection.execute(f"UPDATE windows SET output = {sampled} WHERE grid IS NOT NULL")
    StoreWriter(golden, process="host/1", clock_ns=lambda: WRITTEN_NS).write([])
    seal(golden, tmp_path / "sealed", everything=True)
    (found,) = [window.features for window in open_source(tmp_path / "sealed").windows() if window.features]
    assert (found.counted_rows, found.weight_square_sum) == (7, 700)


def test_labels_per_cell_are_packed_since_schema_4(golden, schema):
    """They are deflated JSON in a column of their own since schema 4, and text among the other tables of labels before."""
    if schema == 1:
        pytest.skip("schema 1 has no labels per cell")
    with closing(sqlite3.connect(golden)) as connection:
        (tables,) = connection.execute("SELECT label_tables FROM windows WHERE grid IS NOT NULL").fetchone()
        assert ("residual_cells" in tables) == (schema < 4)
        if schema == 4:
            (cells,) = connection.execute("SELECT label_cells FROM windows WHERE grid IS NOT NULL").fetchone()
            tables = zlib.decompress(cells)
    assert json.loads(tables)["cells"]["no"] == {"places": [13, 18], "rows": [-2, 7]}


@pytest.mark.parametrize("schema", [NEWEST], indirect=True)
@pytest.mark.parametrize("is_sealed", [False, True], ids=["sqlite", "parquet"])
def test_labels_per_cell_are_left_out_on_request(golden, is_sealed, tmp_path):
    """Without labels per cell, everything else is read unchanged."""
    if is_sealed:
        seal(golden, tmp_path / "sealed", everything=True)
    source = tmp_path / "sealed" if is_sealed else golden
    whole, bare = (open_source(source, label_cells=asked).windows() for asked in (True, False))
    assert any(window.labels and window.labels.cells for window in whole)
    without = {"cells": {}, "residual_cells": np.zeros((0, 0, 3))}
    expected = [
        dataclasses.replace(window, labels=dataclasses.replace(window.labels, **without)) if window.labels else window
        for window in whole
    ]
    assert_same_windows(bare, expected)


@pytest.mark.parametrize("schema", [NEWEST], indirect=True)
@pytest.mark.parametrize(
    "damage",
    [b"", b"no zlib", zlib.compress(b"{"), zlib.compress(b'{"width":9}')[:-3]],
    ids=["empty", "foreign", "not-json", "cut"],
)
def test_a_damaged_packed_document_is_named(golden, damage):
    """A packed document that cannot be read names the store, the window and what to do."""
    with closing(sqlite3.connect(golden)) as connection, connection:
        connection.execute("UPDATE windows SET label_cells = ? WHERE grid IS NOT NULL", [damage])
    with pytest.raises(StoreError, match=r"golden\.sqlite: window 1 is damaged .* remove it"):
        open_source(golden).windows()


def test_totals_of_a_former_agent_are_taken_over(golden, schema):
    """The state of an agent in a golden store is continued by the next one."""
    left = read_cumulative_state(golden, "host/1")
    if schema == 1:
        assert left == CumulativeState()
    else:
        (total,) = left.totals
        assert_same(total.labels, golden_windows(schema)[0].labels)
        assert (total.calls, left.counts) == (10, COUNTS)
