"""Rows of a file of labels, one at a time: CSV by the standard library, Parquet by pyarrow. Memory is bounded by a batch."""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from radiosonde._join.incoming import typed
from radiosonde.errors import ConfigurationError

BATCH_ROWS = 10_000
_IDS = ("id", "receipt", "prediction_id")

Progress = Callable[[int, int], None]
"""Told (done, total)."""


class Columns(NamedTuple):
    """Names of the columns; None where the file's own names decide.

    Attributes:
        identity: of ids or receipts; None: the first there is of ``id``, ``receipt``, ``prediction_id``.
        label: of labels.
        time: of times; None: ``time`` if there is one.
    """

    identity: str | None = None
    label: str = "label"
    time: str | None = None


class Row(NamedTuple):
    """A row as it stands in the file.

    Attributes:
        place: where, for messages: ``line 17`` of a text file, ``row 16`` of a table.
        identity, label, time: its fields; None where the field is missing.
        fault: why it could not be read at all; empty when it could.
    """

    place: str
    identity: Any = None
    label: Any = None
    time: Any = None
    fault: str = ""


def read_rows(path: Path, columns: Columns, label_type: str, progress: Progress | None) -> Generator[Row, None, None]:
    """Yield the rows of a Parquet file (by its name) or of a CSV file with a header.

    Args:
        path: the file.
        columns: names of the columns.
        label_type: how the text of a CSV label is meant: ``auto``, ``text`` or ``number``.
        progress: told bytes or rows read so far.

    Raises:
        ConfigurationError: there is no such file, a column is missing, or pyarrow is.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        yield from _parquet(path, columns, progress)
        return
    try:
        # What is no UTF-8 stays apart from text, so that the row that holds it is refused and the others are read.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
            yield from _csv(text, path, columns, _LABEL_TYPES[label_type], progress)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path} ({error}); give a CSV or Parquet file of labels") from error


def _places(found: Sequence[str], columns: Columns, path: Path) -> tuple[int, int, int | None]:
    """Return the positions of the three columns."""
    identity = columns.identity or next((name for name in _IDS if name in found), None)
    time = columns.time or ("time" if "time" in found else None)
    for name, option in ((identity, "--id-column"), (columns.label, "--label-column"), (time, "--time-column")):
        if (name is None and option == "--id-column") or (name is not None and name not in found):
            wanted = f"column {name!r}" if name else "column of ids"
            raise ConfigurationError(
                f"{path} has no {wanted}; it has {', '.join(map(repr, found)) or 'none'}: name one with {option}"
            )
    return (
        found.index(identity or ""),
        found.index(columns.label),
        None if time is None else found.index(time),
    )


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return None  # which is no label


_LABEL_TYPES: dict[str, Callable[[str], Any]] = {"auto": typed, "text": str, "number": _number}


def _csv(
    text: TextIO, path: Path, columns: Columns, convert: Callable[[str], Any], progress: Progress | None
) -> Generator[Row, None, None]:
    total_bytes = path.stat().st_size
    reader = csv.reader(text)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise ConfigurationError(
            f"the first line of {path} is no CSV header ({error}); give a CSV or Parquet file"
        ) from None
    identity, label, time = _places([name.strip() for name in header], columns, path)
    needed = max(identity, label) + 1
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            yield Row(f"line {reader.line_num}", fault=str(error))
            continue
        if fields is None:
            return
        if progress is not None and reader.line_num % 1000 == 0:
            progress(text.buffer.tell(), total_bytes)  # of the bytes: a text being iterated does not tell
        place = f"line {reader.line_num}"
        if not fields:
            continue  # an empty line
        if len(fields) < needed:
            yield Row(place, fault=f"it has {len(fields)} fields, {len(header)} are in the header")
            continue
        known = fields[time] if time is not None and time < len(fields) else None
        yield Row(place, fields[identity], convert(fields[label].strip()), known)


def _parquet(path: Path, columns: Columns, progress: Progress | None) -> Generator[Row, None, None]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "reading Parquet needs pyarrow; install it with: pip install 'radiosonde[desk]', or give a CSV file"
        ) from error
    try:
        with pq.ParquetFile(path) as file:
            found = list(file.schema_arrow.names)
            places = _places(found, columns, path)
            chosen = [found[place] for place in places if place is not None]
            total, done = int(file.metadata.num_rows), 0
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(dict.fromkeys(chosen))):
                fields = [_python(batch.column(name), pa) for name in chosen]
                for row, said in enumerate(zip(*fields, strict=True), start=done + 1):
                    yield Row(f"row {row}", *said)
                done += batch.num_rows
                if progress is not None:
                    progress(done, total)
    except (OSError, pa.ArrowException) as error:
        raise ConfigurationError(f"cannot read {path} as Parquet ({error}); give an existing, whole file") from error


def _python(column: Any, pa: Any) -> list[Any]:
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)  # Python's clock ends there
    return list(column.to_pylist())
