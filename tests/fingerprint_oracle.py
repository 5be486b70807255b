"""The definition of fingerprints once more, value by value in Python's integers, as the documentation states it."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from typing import Any

WORD = 1 << 64


def splitmix64(state: int) -> int:
    """Return the first output of the generator with this state."""
    mixed = (state + 0x9E3779B97F4A7C15) % WORD
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 % WORD
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % WORD
    return mixed ^ mixed >> 31


def word(value: Any) -> int:
    """Return the 64 bits of a number, a text, or None."""
    if isinstance(value, str):
        if not is_number_text(value):
            return int.from_bytes(hashlib.sha256(value.encode()).digest()[:8])
        value = float(value)
    if value is None or value != value:  # noqa: PLR0124
        return 0x7FF8000000000000
    return int(struct.unpack("<Q", struct.pack("<d", value or 0.0))[0])


def is_number_text(text: str) -> bool:
    """Return whether a text is a number: whole, at most 18 digits, or at most 15 digits with a point; no needless zero."""
    whole, point, fraction = text.removeprefix("-").partition(".")
    if not (whole + fraction).isascii() or not (whole + fraction).isdigit() or not whole:
        return False
    if whole.startswith("0") and whole != "0":
        return False
    if point:
        return fraction != "" and not fraction.endswith("0") and len(whole + fraction) <= 15
    return len(whole) <= 18 and text != "-0"


def value_hash(value: Any) -> int:
    """Return the hash of a value."""
    return splitmix64(word(value))


def row_hash(row: Mapping[str, Any]) -> int:
    """Return the hash of a row."""
    weighted = 0
    for name, value in row.items():
        factor = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) | 1
        weighted += factor * value_hash(value)
    return splitmix64(weighted % WORD)


def of_column(values: Iterable[Any]) -> int:
    """Return the fingerprint of a feature."""
    return sum(map(value_hash, values)) % WORD


def of_rows(columns: Mapping[str, list[Any]]) -> int:
    """Return the row fingerprint of a table, given column by column."""
    rows = zip(*columns.values(), strict=True)
    return sum(row_hash(dict(zip(columns, row, strict=True))) for row in rows) % WORD
