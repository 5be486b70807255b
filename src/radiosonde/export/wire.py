"""The part of Protobuf's wire format that OTLP messages need.

The messages are few, flat and known: encoding them here saves loading protobuf.

A field is its number and kind, then its content. Callers omit zero values, as proto3 does.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Kinds of content."""

_SMALL = [bytes((number,)) for number in range(128)]
_WORD = (1 << 64) - 1
_MOST_SIGNED = 1 << 63


class WireError(ValueError):
    """Bytes that are no message."""


def varint(value: int) -> bytes:
    """Return a whole number, not negative."""
    if value < 128:
        return _SMALL[value]
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def zigzag(value: int) -> int:
    """Return a signed number as one that is not negative, small if it was."""
    return value << 1 if value >= 0 else (-value << 1) - 1


def whole(field: int, value: int) -> bytes:
    """Return a field of a whole number; negative ones as 64 bits."""
    return varint(field << 3) + varint(value & _WORD)


def double(field: int, value: float) -> bytes:
    """Return a field of a double."""
    return varint(field << 3 | FIXED64) + struct.pack("<d", value)


def fixed64(field: int, value: int) -> bytes:
    """Return a field of 64 bits without a sign; a number beyond them is the nearest one."""
    return varint(field << 3 | FIXED64) + struct.pack("<Q", min(max(value, 0), _WORD))


def number(whole_field: int, double_field: int, value: float) -> bytes:
    """Return a number in the one of two fields that is for its kind: 64 bits with a sign, or a double."""
    if isinstance(value, int) and -_MOST_SIGNED <= value < _MOST_SIGNED:
        return varint(whole_field << 3 | FIXED64) + struct.pack("<q", value)
    return double(double_field, float(value))


def fixed32(field: int, value: int) -> bytes:
    """Return a field of 32 bits without a sign."""
    return varint(field << 3 | FIXED32) + struct.pack("<I", value)


def message(field: int, content: bytes) -> bytes:
    """Return a field of bytes: a message, a packed list, or bytes."""
    return head(field, len(content)) + content


def head(field: int, size: int) -> bytes:
    """Return the header of a field with *size* bytes."""
    return varint(field << 3 | BYTES) + varint(size)


def text(field: int, content: str) -> bytes:
    """Return a field of text."""
    return message(field, content.encode("utf-8", "replace"))


def packed_doubles(field: int, values: Sequence[float]) -> bytes:
    """Return a list of doubles."""
    return message(field, struct.pack(f"<{len(values)}d", *values)) if values else b""


def packed_fixed64(field: int, values: Sequence[int]) -> bytes:
    """Return a list of numbers of 64 bits without a sign."""
    return message(field, struct.pack(f"<{len(values)}Q", *values)) if values else b""


def fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and content of each field of a message: bytes, or a number that is not negative.

    Raises:
        WireError: these bytes are no message.
    """
    at = 0
    while at < len(content):
        key, at = _read_varint(content, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _read_varint(content, at)
            yield key >> 3, value
            continue
        if kind == BYTES:
            size, at = _read_varint(content, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise WireError(f"kind {kind}")
        if key < 8 or at + size > len(content):
            raise WireError("cut off, or a field without a number")
        yield key >> 3, content[at : at + size]
        at += size


def _read_varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(content) and shift < 64:
        value |= (content[at] & 0x7F) << shift
        at += 1
        if content[at - 1] < 0x80:
            return value & _WORD, at
        shift += 7
    raise WireError("a number that does not end")
