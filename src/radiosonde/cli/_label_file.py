"""Opens a file of labels and detects its format. Errors say what to do about unreadable formats.

The format is detected from the first bytes, never from the name: Parquet; text, plain or compressed by gzip, bzip2 or xz, in UTF-8 or
UTF-16.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from radiosonde.errors import ConfigurationError

DELIMITERS: Final = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
_HEAD_BYTES = 65_536
"""Bytes used for detection; the header line must fit in them."""

_PACKED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\xfd7zXZ\x00", "lzma"))
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
"""The byte order mark of UTF-32 begins with that of UTF-16, so it is tried first."""
_OTHER = (
    (b"PK\x03\x04", "a zip archive, such as an Excel workbook", "unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "save the sheet as CSV"),
    (b"ARROW1", "an Arrow (Feather) file", "write it as Parquet"),
    (b"SQLite format 3", "a SQLite database", "export the table of labels as CSV"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "decompress it with: zstd -d"),
    (b"Obj\x01", "an Avro file", "write it as Parquet"),
    (b"ORC", "an ORC file", "write it as Parquet"),
)
PARQUET: Final = b"PAR1"
_BLANK: Final = ("\n", "\r\n", "\r")
_MOST_BLANK: Final = 1000
"""Blank lines before the header that are passed over. Arbitrary; bounds the time that a file of nothing else takes."""


class Text(NamedTuple):
    """A text file of labels.

    Attributes:
        lines: its text; undecodable bytes are kept as lone surrogates.
        raw: the file itself, whose position is the progress.
        delimiter: field delimiter; None: detected from the header.
        encoding: encoding of the text.
    """

    lines: IO[str]
    raw: IO[bytes]
    delimiter: str | None
    encoding: str


def is_parquet(path: Path) -> bool:
    """Return whether the file is Parquet, by its first bytes, or by its name if it is empty or damaged.

    Raises:
        ConfigurationError: it cannot be read.
    """
    with _told(path), path.open("rb") as file:
        return file.read(4) == PARQUET or path.suffix.lower() in (".parquet", ".pq")


@contextmanager
def open_text(path: Path, encoding: str | None, delimiter: str | None) -> Iterator[Text]:
    """Open a text file, unpacked and decoded.

    Args:
        path: the file.
        encoding: encoding of the text; None: from its byte order mark, else UTF-8.
        delimiter: a name in `DELIMITERS` or the character itself; None: detected from the header.

    Raises:
        ConfigurationError: the file cannot be read, or is not text in this encoding.
    """
    with _told(path), path.open("rb") as raw:
        unpacked = _unpacked(raw)
        head = unpacked.read(_HEAD_BYTES)
        unpacked.seek(0)
        for magic, what, advice in _OTHER:
            if head.startswith(magic):
                raise ConfigurationError(f"{path} is {what}, not CSV or Parquet; {advice}")
        chosen = encoding or _encoding(head, path)
        _check(head, chosen, path)
        with io.TextIOWrapper(unpacked, chosen, errors="surrogateescape", newline="") as lines:
            yield Text(lines, raw, DELIMITERS.get(delimiter or "", delimiter), chosen)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except _broken() as error:
        raise ConfigurationError(
            f"cannot read {path} ({error}); pass a complete CSV or Parquet file of labels"
        ) from error


def _broken() -> tuple[type[Exception], ...]:
    """Return the exceptions that reading a file may raise. Evaluated lazily, because Python may be built without some."""
    import zlib

    try:
        from lzma import LZMAError
    except ImportError:
        return OSError, EOFError, zlib.error
    return OSError, EOFError, zlib.error, LZMAError


def _unpacked(raw: IO[bytes]) -> IO[bytes]:
    start = raw.read(8)
    raw.seek(0)
    packing = next((name for magic, name in _PACKED if start.startswith(magic)), None)
    if packing is None:
        return raw
    from importlib import import_module

    packer: Any = import_module(packing)
    unpacked: IO[bytes] = packer.open(raw, "rb")
    return unpacked


def _encoding(head: bytes, path: Path) -> str:
    marked = next((name for mark, name in _BYTE_ORDER_MARKS if head.startswith(mark)), None)
    if marked is not None:
        return marked
    if b"\0" in head[:1024]:
        wide = {b"\0": "utf-16-be"}.get(head[:1]) or {b"\0": "utf-16-le"}.get(head[1:2])
        advice = f"pass --encoding {wide}" if wide else "pass CSV or Parquet"
        raise ConfigurationError(f"{path} contains zero bytes, so it is not UTF-8 text; {advice}")
    if head.lstrip()[:1] in (b"{", b"["):
        raise ConfigurationError(
            f"{path} begins with {head.lstrip()[:1].decode()!r}, like JSON; convert it to CSV or Parquet, or post it to .../labels"
        )
    return "utf-8"


def _check(head: bytes, encoding: str, path: Path) -> None:
    """Reject an unknown encoding, and a header that cannot be decoded."""
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
    except LookupError:
        raise ConfigurationError(
            f"{encoding!r} is not a known encoding; pass --encoding utf-8, utf-16 or cp1252"
        ) from None
    first = head.split(b"\n", 1)[0] if not encoding.startswith(("utf-16", "utf-32")) else head
    try:
        decoder.decode(first)
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"the first line of {path} is not {encoding} text; pass its encoding, as in --encoding cp1252"
        ) from None


def read_header(text: Text, wanted: Sequence[str | None], path: Path) -> tuple[str, list[str], int]:
    """Read the header; return the delimiter, the names of the columns, and the number of lines read, including blank ones before it.

    The delimiter is the one that yields columns of the *wanted* names; otherwise the one that yields the most columns. A first line
    ``sep=;``, which Excel writes and reads, sets it.

    Raises:
        ConfigurationError: the first line is not a CSV header.
    """
    line, taken = text.lines.readline(_HEAD_BYTES), 1
    while line in _BLANK and taken < _MOST_BLANK:
        line, taken = text.lines.readline(_HEAD_BYTES), taken + 1
    if line.lower().startswith("sep=") and len(line.strip()) == 5:
        text = text._replace(delimiter=text.delimiter or line.strip()[4])
        line, taken = text.lines.readline(_HEAD_BYTES), taken + 1
    while line.count('"') % 2 and (more := text.lines.readline(_HEAD_BYTES)) and len(line) < _HEAD_BYTES:
        line, taken = line + more, taken + 1  # a quoted name may hold the end of a line
    best: list[str] = []
    chosen = text.delimiter or ","
    for delimiter in [text.delimiter] if text.delimiter else DELIMITERS.values():
        names = _names(line, delimiter, path)
        has_all = all(name in names for name in wanted if name is not None)
        if has_all and len(names) > 1:
            return delimiter, names, taken
        if len(names) > len(best):
            best, chosen = names, delimiter
    return chosen, best, taken


def _names(line: str, delimiter: str, path: Path) -> list[str]:
    try:
        rows = list(islice(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), 1))
    except (csv.Error, TypeError) as error:
        raise ConfigurationError(
            f"the first line of {path} is not a CSV header ({error}); pass a CSV or Parquet file, and --delimiter if needed"
        ) from None
    return [name.strip() for name in rows[0]] if rows else []
