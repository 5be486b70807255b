"""Reads the rows of a file of labels, one at a time: CSV with the standard library, Parquet with pyarrow. Memory is bounded.

Types are not guessed from the form of a field: see `radiosonde._join.label_values`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from radiosonde._join.label_values import finite_number
from radiosonde.cli._label_file import Text, is_parquet, open_text, read_header
from radiosonde.errors import ConfigurationError

BATCH_ROWS = 10_000
_COMMA_NUMBER = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)?,\d+([eE][+-]?\d+)?|[+-]?\d{1,3}(\.\d{3})+", re.ASCII)
_IDS = ("id", "receipt", "prediction_id")

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


class ColumnChoice(NamedTuple):
    """Names of the columns; None to detect them from the file.

    Attributes:
        identity: of ids or receipts; None: the first there is of ``id``, ``receipt``, ``prediction_id``.
        label: of labels.
        time: of times; None: ``time`` if there is one.
    """

    identity: str | None = None
    label: str = "label"
    time: str | None = None


class Row(NamedTuple):
    """A raw row of the file.

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


class FileFormat(NamedTuple):
    """How a text file is read; anything not given is detected.

    Attributes:
        encoding: encoding of its text; None: from the byte order mark, else UTF-8.
        delimiter: field delimiter; None: detected from the header.
        decimal: the decimal mark of its numbers.
        numbers_only: refuse a label that is not a number.
    """

    encoding: str | None = None
    delimiter: str | None = None
    decimal: str = "."
    numbers_only: bool = False


def read_rows(
    path: Path, columns: ColumnChoice, progress: Progress | None, reading: FileFormat
) -> Generator[Row, None, None]:
    """Yield the rows of a Parquet file or of a CSV file with a header.

    A field of a text file is text; it is matched with the model's classes when it is joined.

    Args:
        path: the file.
        columns: names of the columns.
        progress: called with the bytes or rows read so far.
        reading: options for reading a text file.

    Raises:
        ConfigurationError: there is no such file, it cannot be read, a column is missing, or pyarrow is.
    """
    if is_parquet(path):
        yield from _parquet(path, columns, progress)
        return
    with open_text(path, reading.encoding, reading.delimiter) as text:
        yield from _csv(text, path, columns, reading, progress)


def _places(found: Sequence[str], columns: ColumnChoice, path: Path, seen: str = "") -> tuple[int, int, int | None]:
    """Return the positions of the three columns. Names match case-insensitively if that is unambiguous."""
    identity = next(
        (name for name in ([columns.identity] if columns.identity else _IDS) if _place(found, name) >= 0), None
    )
    time = columns.time or ("time" if _place(found, "time") >= 0 else None)
    for name, option in ((identity, "--id-column"), (columns.label, "--label-column"), (time, "--time-column")):
        if (name is None and option == "--id-column") or (name is not None and _place(found, name) < 0):
            asked = columns.identity if option == "--id-column" else name
            wanted = f"column {asked!r}" if asked else "column of ids"
            raise ConfigurationError(
                f"{path} has no {wanted}; it has {', '.join(map(repr, found)) or 'none'}: select one with {option}{seen}"
            )
    for name in (identity, columns.label, time):
        if name is not None and list(found).count(name) > 1:
            raise ConfigurationError(f"{path} has more than one column {name!r}; rename or remove the others")
    return (
        _place(found, identity or ""),
        _place(found, columns.label),
        None if time is None else _place(found, time),
    )


def _place(found: Sequence[str], name: str) -> int:
    """Return the position of a column: by its exact name, else case-insensitively if that is unique; -1 if there is none."""
    if name in found:
        return found.index(name)
    alike = [place for place, other in enumerate(found) if other.lower() == name.lower()]
    return alike[0] if len(alike) == 1 else -1


def _csv(
    text: Text, path: Path, columns: ColumnChoice, reading: FileFormat, progress: Progress | None
) -> Generator[Row, None, None]:
    total_bytes = path.stat().st_size
    delimiter, header, before = read_header(text, (columns.identity, columns.label, columns.time), path)
    seen = f" (it was read as {text.encoding} with the delimiter {delimiter!r}; --encoding and --delimiter change that)"
    identity, label, time = _places(header, columns, path, seen)
    # Strictly: a quote that is never closed makes one field of all lines after it.
    reader = csv.reader(text.lines, delimiter=delimiter, strict=True)
    needed = max(identity, label) + 1
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            advice = "; a quoted field ends with a quote, and a quote inside is written twice"
            is_quote = "limit" not in str(error)
            yield Row(f"line {before + reader.line_num}", fault=f"{error}{advice if is_quote else ''}")
            continue
        if fields is None:
            return
        if progress is not None and reader.line_num % 1000 == 0:
            progress(text.raw.tell(), total_bytes)  # in bytes: the position of a text is unavailable during iteration
        place = f"line {before + reader.line_num}"
        if not fields:
            continue  # an empty line
        if len(fields) < needed:
            yield Row(place, fault=f"it has {len(fields)} fields, but the header has {len(header)}")
            continue
        if (broken := _undecoded(fields[identity], fields[label], text.encoding)) is not None:
            yield Row(place, fault=broken)
            continue
        known = fields[time] if time is not None and time < len(fields) else None
        said = _pointed(fields[label]) if reading.decimal == "," else fields[label]
        if reading.numbers_only and finite_number(said) is None:
            yield Row(place, fault=f"the label {said[:60]!r} is not a number; --decimal , reads 3,5")
            continue
        yield Row(place, fields[identity], said, known)


def _undecoded(identity: str, label: str, encoding: str) -> str | None:
    for field in (identity, label):
        if any("\udc80" <= character <= "\udcff" for character in field):
            return f"{ascii(field)[:60]} contains bytes that are not {encoding} text; pass its encoding, as in --encoding cp1252"
    return None


def _pointed(text: str) -> str:
    """Return a number with a decimal comma, and perhaps points between thousands, in Python's notation."""
    return text.replace(".", "").replace(",", ".") if _COMMA_NUMBER.fullmatch(text.strip()) else text


def _parquet(path: Path, columns: ColumnChoice, progress: Progress | None) -> Generator[Row, None, None]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "reading Parquet needs pyarrow; install it with: pip install 'radiosonde[desk]', or pass a CSV file"
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
        raise ConfigurationError(f"cannot read {path} as Parquet ({error}); pass an existing, complete file") from error


def _python(column: Any, pa: Any) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)  # Python's clock ends there
    return list(column.to_pylist())
