"""Reading sealed hours: DuckDB finds the rows, Arrow hands over whole columns, numpy cuts them into windows.

The columns of a list are one flat array and an array of offsets, so a window's table is a slice: no Python object is created per number, so
weeks of windows are read in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radiosonde.errors import ConfigurationError, StoreError
from radiosonde.model import Window
from radiosonde.store import Interval, ReferenceRow, SeriesSummary
from radiosonde.store.annotations import SIDECAR
from radiosonde.store.reader import LABEL_CELLS, SPANS, SUMMARY, chosen_kinds
from radiosonde.store.rows import FEATURE_COLUMNS, WINDOW_COLUMNS, FeaturePart, window_from

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Cell = Callable[[int], Any]
"""The value of a column in row *i*."""


class SealedReader:
    """Reads a folder of sealed hours.

    Args:
        folder: output folder of `radiosonde store seal --out`.
        sketches: kinds of sketches to read too; True for all.
        label_cells: whether to read labels per feature cell.
    """

    def __init__(self, folder: Path, *, sketches: bool | Sequence[str] = True, label_cells: bool = True) -> None:
        self._folder = folder
        self._sketches = sketches
        self._without = () if label_cells else LABEL_CELLS

    @property
    def path(self) -> Path:
        """The folder of sealed hours."""
        return self._folder

    @property
    def annotations_path(self) -> Path:
        """A SQLite file in the folder."""
        return self._folder / SIDECAR

    def parts(self, interval: Interval) -> list[tuple[int, Window]]:
        """Return (id, part) for every sealed part in *interval*.

        Raises:
            StoreError: a file is damaged or of another making.
        """
        files = self._files("windows")
        if not files:
            return []
        with self._querying() as connection:
            condition, bounds = interval.condition()
            found = connection.sql(f"SELECT * FROM {_files_of('windows')} LIMIT 0", params=[files]).columns  # noqa: S608
            present = set(found).difference(self._without)
            names = ", ".join(name if name in present else f"NULL AS {name}" for name in WINDOW_COLUMNS)
            connection.execute(
                f"CREATE TEMP TABLE windows AS SELECT {names} "  # noqa: S608 - our own text
                f"FROM {_files_of('windows')} WHERE {condition}",
                [files, *bounds],
            )
            table = connection.sql("SELECT * FROM windows ORDER BY window_id").to_arrow_table()
            return _windows(table, self._feature_parts(connection))

    def references(self) -> list[ReferenceRow]:
        """Return every sealed reference profile.

        Raises:
            StoreError: a file is damaged or of another making.
        """
        files = sorted(str(path) for path in self._folder.glob("references/*.parquet"))
        if not files:
            return []
        with self._querying() as connection:
            query = f"SELECT {', '.join(ReferenceRow._fields)} FROM {_files_of('profiles')}"  # noqa: S608
            return [ReferenceRow(*row) for row in connection.execute(query, [files]).fetchall()]

    def summaries(self) -> list[SeriesSummary]:
        """Return a summary of the folder, per model, version and variant.

        Raises:
            StoreError: a file is damaged or of another making.
        """
        files = self._files("windows")
        if not files:
            return []
        with self._querying() as connection:
            query = SUMMARY.replace("FROM windows", f"FROM {_files_of('windows')}")
            return [SeriesSummary(*row) for row in connection.execute(query, [files]).fetchall()]

    def held_bytes(self) -> int:
        """Return the size of all files."""
        return sum(path.stat().st_size for path in self._folder.rglob("*.parquet"))

    def last_written_ns(self) -> int | None:
        """Return when the newest window was written, by the writer's wall clock; None without windows.

        Raises:
            StoreError: a file is damaged or of another making.
        """
        files = self._files("windows")
        if not files:
            return None
        with self._querying() as connection:
            row = connection.execute(f"SELECT max(written_ns) FROM {_files_of('windows')}", [files]).fetchone()  # noqa: S608
            return None if row is None or row[0] is None else int(row[0])

    def mark(self) -> tuple[int, int]:
        """Return a value that changes when a file is added: the number of files and the newest modification time."""
        times = [Path(path).stat().st_mtime_ns for path in self._files("windows")]
        return len(times), max(times, default=0)

    def spans(self) -> set[tuple[str, int, int]]:
        """Return model, start and end of all windows, each once.

        Raises:
            StoreError: a file is damaged or of another making.
        """
        files = self._files("windows")
        if not files:
            return set()
        with self._querying() as connection:
            query = SPANS.replace("FROM windows", f"FROM {_files_of('windows')}")
            return set(connection.execute(query, [files]).fetchall())

    def _files(self, name: str) -> list[str]:
        return sorted(str(path) for path in self._folder.glob(f"process=*/{name}-*.parquet"))

    def _querying(self) -> _Querying:
        return _Querying(self._folder)

    def _feature_parts(self, connection: duckdb.DuckDBPyConnection) -> Mapping[int, FeaturePart]:
        parts: dict[int, FeaturePart] = {}
        if files := self._files("features"):
            query = f"SELECT f.* FROM {_files_of('f')} SEMI JOIN windows USING (window_id) ORDER BY window_id, position"  # noqa: S608
            table = connection.sql(query, params=[files]).to_arrow_table()
            parts = _group_features(table)
        if self._sketches and (files := self._files("sketches")):
            chosen, kinds = chosen_kinds(self._sketches)
            query = f"SELECT s.* FROM {_files_of('s')} SEMI JOIN windows USING (window_id) WHERE true{chosen}"  # noqa: S608 - our own text
            sketches: dict[int, dict[tuple[str, str], bytes]] = {}
            for window_id, feature, kind, body in connection.execute(query, [files, *kinds]).fetchall():
                sketches.setdefault(window_id, {})[feature, kind] = body
            for window_id, bodies in sketches.items():
                parts.setdefault(window_id, FeaturePart()).sketches = bodies
        return parts


class _Querying:
    """An in-memory DuckDB whose errors name the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> duckdb.DuckDBPyConnection:
        try:
            import duckdb
            import pyarrow as pa  # noqa: F401 - DuckDB hands columns over through it
        except ImportError as error:
            raise ConfigurationError(
                "reading Parquet needs duckdb and pyarrow: pip install 'radiosonde[desk]'"
            ) from error
        self._connection = duckdb.connect(":memory:")
        self._error = duckdb.Error
        return self._connection

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._connection.close()
        if isinstance(error, self._error):
            message = str(error).splitlines()[0]
            raise StoreError(
                f"{self._folder}: {message}: move the file named away; what `radiosonde store seal` wrote is read"
            ) from error


def _files_of(alias: str) -> str:
    # The process is a column of the files; the folder's name repeats it for engines that use partitions.
    return f"read_parquet(?, hive_partitioning = false, union_by_name = true) AS {alias}"


def _windows(table: pa.Table, parts: Mapping[int, FeaturePart]) -> list[tuple[int, Window]]:
    cells = {name: _cells(table.column(name).combine_chunks()) for name in table.column_names}
    empty = FeaturePart()
    windows = []
    for row, window_id in enumerate(table.column("window_id").to_pylist()):
        columns = {name: cell(row) for name, cell in cells.items()}
        windows.append((window_id, window_from(columns, parts.get(window_id, empty))))
    return windows


def _group_features(table: pa.Table) -> dict[int, FeaturePart]:
    """Cut the rows of table ``features``, ordered by window and position, into one part per window."""
    window_ids = table.column("window_id").to_numpy()
    columns = {name: table.column(name).combine_chunks() for name in FEATURE_COLUMNS[1:] if name in table.column_names}
    cut = {name: _slices(column) for name, column in columns.items()}
    starts = [0, *(np.flatnonzero(np.diff(window_ids)) + 1).tolist(), len(window_ids)]
    return {
        int(window_ids[start]): FeaturePart(
            {name: found for name, rows in cut.items() if (found := rows(start, end)) is not None}
        )
        for start, end in pairwise(starts)
        if end > start
    }


def _slices(column: pa.Array) -> Callable[[int, int], Any]:
    """Return a function that slices rows of *column*; None if a file of a former version lacks it."""
    import pyarrow as pa

    present = column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_list(column.type):
        flat, offsets = _flat(column)
        return lambda start, end: (
            flat[offsets[start] : offsets[end]].reshape(end - start, -1) if present[start] else None
        )
    if pa.types.is_string(column.type):
        texts: list[Any] = column.to_pylist()
        return lambda start, end: texts[start:end] if present[start] else None
    numbers = column.to_numpy(zero_copy_only=False)
    return lambda start, end: numbers[start:end].copy() if present[start] else None


def _cells(column: pa.Array) -> Cell:
    """Return the reader of *column* by row, made once per column for its type."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_map(kind):
        return _map_cells(column)
    if pa.types.is_struct(kind):
        return _struct_cells(column)
    if pa.types.is_list(kind) and _leaf_is_number(kind):
        flat, offsets = _flat(column)
        if not column.null_count:
            return lambda row: flat[offsets[row] : offsets[row + 1]]
        present = column.is_valid().to_numpy(zero_copy_only=False)  # no list where a file of a former version has none
        return lambda row: flat[offsets[row] : offsets[row + 1]] if present[row] else None
    values: list[Any] = column.to_pylist()
    return values.__getitem__


def _struct_cells(column: pa.Array) -> Cell:
    fields = [(column.type.field(i).name, _cells(column.field(i))) for i in range(column.type.num_fields)]
    present = column.is_valid().to_numpy(zero_copy_only=False)

    def cell(row: int) -> dict[str, Any] | None:
        return {name: read(row) for name, read in fields} if present[row] else None

    return cell


def _map_cells(column: pa.Array) -> Cell:
    offsets = column.offsets.to_numpy()
    keys = column.keys.to_pylist()
    read = _cells(column.items)
    present = column.is_valid().to_numpy(zero_copy_only=False)
    return lambda row: {keys[i]: read(i) for i in range(offsets[row], offsets[row + 1])} if present[row] else None


def _leaf_is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    while pa.types.is_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _flat(column: pa.Array) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return all numbers of a list column and the offsets of its rows; lists in lists come out as one row."""
    import pyarrow as pa

    offsets = column.offsets.to_numpy()
    values = column.values
    while pa.types.is_list(values.type):
        offsets = values.offsets.to_numpy()[offsets]
        values = values.values
    return values.to_numpy(zero_copy_only=False), offsets
