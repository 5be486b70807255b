"""Seals closed hours from SQLite to Parquet: one folder per process, one set of files per hour and segment.

    OUT/process=<id>/windows-2013-03-01T05-<store>-0001.parquet     features-...   sketches-...
    OUT/references/<hash>.parquet

No row is ever counted twice or lost, even if the sealer dies at any instant:

1. the rows of one hour are read and written to files whose names depend only on store, process, hour and segment:
   under a hidden name, synced, renamed; ``windows-`` last, because readers ignore the others without it;
2. one transaction records the segment in table ``sealed`` and deletes exactly those rows.

A sealer that dies between 1 and 2 leaves rows in both places. Readers of both drop duplicates (ids are unique, see
`radiosonde.store.schema`), and the next run writes the same segment again, over the old files. Parts that arrive for an hour already sealed
get the next segment. A lock file prevents concurrent sealers; writers are locked out only during the deletion.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from radiosonde._files import opener
from radiosonde.errors import ConfigurationError, StoreError
from radiosonde.store.compact import SEALING
from radiosonde.store.connection import reading, writing
from radiosonde.store.documents import in_present_places
from radiosonde.store.reader import parsed
from radiosonde.store.retention import drop_windows
from radiosonde.store.rows import FEATURE_COLUMNS, WINDOW_COLUMNS, parsed_features
from radiosonde.store.schema import STORE_SHIFT, columns_or_null, store_number

if TYPE_CHECKING:
    import sqlite3

    import pyarrow as pa

HOUR_NS = 3600 * 1_000_000_000
GRACE_HOURS = 1

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class SealedHour:
    """Contents of one segment.

    Attributes:
        process: the process that counted the windows.
        hour_ns: start of the hour, nanoseconds since the epoch.
        segment: 1 for the first sealing of this hour, then counting up.
        windows: window parts in it.
        size_bytes: bytes of its files.
    """

    process: str
    hour_ns: int
    segment: int
    windows: int
    size_bytes: int


def seal(
    path: str | Path,
    out: str | Path,
    *,
    everything: bool = False,
    grace_hours: int = GRACE_HOURS,
    progress: Progress | None = None,
) -> list[SealedHour]:
    """Move closed hours of the store at *path* to Parquet files under *out*, and the references with them.

    Args:
        path: the SQLite store.
        out: folder of sealed hours; made when missing, may be shared by many stores.
        everything: seal all there is, the hour still being filled included.
        grace_hours: an hour is closed when the newest window starts more than this many hours after its end.
        progress: called with (segments done, segments to do).

    Raises:
        StoreError: the store cannot be read, *out* cannot be written, or another sealer is at work.
        ConfigurationError: pyarrow is not installed.
    """
    path, out = Path(path), Path(out)
    _need_pyarrow()
    with reading(path) as connection:
        hours = _closed_hours(connection, None if everything else grace_hours)
    sealed: list[SealedHour] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _only_sealer(path), _not_compacted(path):
            _seal_references(path, out)
            for process, hour_ns in hours:
                if (segment := _seal_hour(path, out, process, hour_ns)) is not None:
                    sealed.append(segment)
                if progress is not None:
                    progress(len(sealed), len(hours))
    except OSError as error:
        raise StoreError(f"cannot seal into {out}: {error}: check that the folder is writable and has room") from error
    return sealed


def _need_pyarrow() -> None:
    try:
        import pyarrow as pa  # noqa: F401
    except ImportError as error:
        raise ConfigurationError("sealing needs pyarrow: pip install 'radiosonde[desk]'") from error


@contextmanager
def _only_sealer(path: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError as error:
        raise StoreError("sealing needs POSIX file locks, which this system has not: seal on Linux or macOS") from error
    with open(path.with_name(f"{path.name}-seal.lock"), "w", opener=opener) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(f"{path} is being sealed by another process: wait until it is done") from error
        yield  # closing the file, or dying, gives the lock back


@contextmanager
def _not_compacted(path: Path) -> Iterator[None]:
    """Keep parts from being added up, until a sealer has come to its end: a sum is not known by the ids in Parquet."""
    with writing(path) as connection:
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (SEALING, "1"))
    yield
    with writing(path) as connection:
        connection.execute("DELETE FROM meta WHERE name = ?", (SEALING,))


def _closed_hours(connection: sqlite3.Connection, grace_hours: int | None) -> list[tuple[str, int]]:
    """Return (process, start of hour) of every hour to seal."""
    (newest_ns,) = connection.execute("SELECT max(start_ns) FROM windows").fetchone()
    if newest_ns is None:
        return []
    newest_hour = newest_ns // HOUR_NS
    bound_ns = (newest_hour + 1 if grace_hours is None else newest_hour - grace_hours) * HOUR_NS
    rows = connection.execute(
        "SELECT DISTINCT process, start_ns / ? AS hour FROM windows WHERE start_ns < ? ORDER BY hour, process",
        (HOUR_NS, bound_ns),
    )
    return [(process, hour * HOUR_NS) for process, hour in rows]


def _seal_hour(path: Path, out: Path, process: str, hour_ns: int) -> SealedHour | None:
    """Write one segment and delete its rows; None when retention was faster."""
    with reading(path) as connection:
        (segments,) = connection.execute(
            "SELECT count(*) FROM sealed WHERE process = ? AND hour_ns = ?", (process, hour_ns)
        ).fetchone()
        store = store_number(connection)
        window_ids, tables = _tables(connection, store, process, hour_ns)
    if not window_ids:
        return None
    segment = segments + 1
    hour = datetime.fromtimestamp(hour_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H")
    folder = out / f"process={quote(process, safe='')}"
    folder.mkdir(exist_ok=True)
    size_bytes = sum(
        write_parquet(table, folder / f"{name}-{hour}-{store:08x}-{segment:04d}.parquet")
        for name, table in tables.items()
        if table.num_rows
    )
    with writing(path) as connection:
        row = (process, hour_ns, segment, len(window_ids), str(out.absolute()))
        connection.execute("INSERT INTO sealed VALUES (?, ?, ?, ?, ?)", row)
        drop_windows(connection, window_ids)
    return SealedHour(process, hour_ns, segment, len(window_ids), size_bytes)


def _tables(
    connection: sqlite3.Connection, store: int, process: str, hour_ns: int
) -> tuple[list[int], dict[str, pa.Table]]:
    """Return the ids of the hour's windows and its tables, in the order they must appear on disk."""
    from radiosonde.store.columns import FEATURES, SKETCHES, rows_table, windows_table

    chosen = "process = ? AND start_ns >= ? AND start_ns < ?"
    bounds = (process, hour_ns, hour_ns + HOUR_NS)
    names = columns_or_null(connection, "windows", WINDOW_COLUMNS)
    parts: list[dict[str, Any]] = [
        in_present_places(parsed(dict(zip(WINDOW_COLUMNS, row, strict=True))))
        for row in connection.execute(f"SELECT {names} FROM windows WHERE {chosen} ORDER BY window_id", bounds)  # noqa: S608
    ]
    window_ids = [part["window_id"] for part in parts]
    for part in parts:
        part["window_id"] |= store << STORE_SHIFT
    belonging = f"JOIN windows USING (window_id) WHERE {chosen} ORDER BY window_id"
    sketches = connection.execute(
        f"SELECT window_id, feature, kind, body FROM sketches {belonging}",  # noqa: S608 - our own text
        bounds,
    )
    features = connection.execute(
        f"SELECT window_id, {columns_or_null(connection, 'features', FEATURE_COLUMNS)} "  # noqa: S608
        f"FROM features {belonging}, position",
        bounds,
    )
    return window_ids, {
        "sketches": rows_table([(row[0] | store << STORE_SHIFT, *row[1:]) for row in sketches], SKETCHES),
        "features": rows_table(_features(features.fetchall(), store), FEATURES),
        "windows": windows_table(parts),
    }


def _features(rows: list[tuple[Any, ...]], store: int) -> list[tuple[Any, ...]]:
    """Return rows of table ``features`` as Parquet holds them: ids unique, JSON parsed, fingerprints unsigned."""
    columns = parsed_features([row[2:] for row in rows])
    width = len(FEATURE_COLUMNS) - 1
    filled = [columns.get(name, [None] * len(rows)) for name in FEATURE_COLUMNS[1:]]
    plain = [column.tolist() if hasattr(column, "tolist") else column for column in filled]
    return [
        (row[0] | store << STORE_SHIFT, row[1], *(plain[place][index] for place in range(width)))
        for index, row in enumerate(rows)
    ]


def _seal_references(path: Path, out: Path) -> None:
    """Copy the reference profiles beside the sealed hours; their names are their content, so copies never clash."""
    from radiosonde.store.columns import REFERENCES, rows_table

    with reading(path) as connection:
        rows = connection.execute("SELECT * FROM reference_profiles").fetchall()
    folder = out / "references"
    for row in rows:
        folder.mkdir(exist_ok=True)
        name = hashlib.sha256("\0".join(row[:3]).encode()).hexdigest()[:32]
        write_parquet(rows_table([row], REFERENCES), folder / f"{name}.parquet")


def write_parquet(table: pa.Table, target: Path) -> int:
    """Write *table* to *target* so that the file is there whole or not at all; return its size in bytes."""
    import pyarrow.parquet as pq

    hidden = target.with_name(f".{target.name}.tmp")  # engines skip names that begin with a dot
    with open(hidden, "wb", opener=opener) as written:
        pq.write_table(table, written, compression="zstd")
        written.flush()
        os.fsync(written.fileno())
        size_bytes = os.fstat(written.fileno()).st_size
    hidden.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return size_bytes
