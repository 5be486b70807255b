"""Canonical text of a caller's own id, independent of its type and of where it is given.

`observe(id=)`, ``alias``, `label`, files and requests of labels, and the stores behind them all pass an id through
`id_text`, so that an order number matches as an ``int`` in a request, an ``int64`` in a frame, a float in a column with gaps, and text in a
file.
"""

from __future__ import annotations

import math
import re
from enum import Enum
from typing import Any, Final

LONGEST_ID: Final = 256
"""Characters of an id: a receipt has at most 200, a request id rarely 64. Arbitrary; bounds a store."""

_LARGEST_BITS = 128
"""Of a whole number: a UUID's. Bounds the text, and the time that writing it takes."""

_EXACT = 1 << 53
"""Floats beyond it may have been another number before they were floats."""

_FLOAT_OF_WHOLE = re.compile(r"(-?(?:0|[1-9]\d{0,15}))\.0+", re.ASCII)
_UUID = re.compile(r"(?:urn:uuid:)?\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?|([0-9a-f]{32})", re.IGNORECASE)
_NO_IDS = (bool, list, tuple, dict, set, frozenset, bytearray, memoryview, BaseException)


def id_text(value: Any) -> str | None:
    """Return the canonical text of an id, None for other values.

    * Text: without white space around it, in Unicode's composed form (NFC). A UUID is written in lower case, without braces;
      ``17.0``, which is how a column of whole numbers with gaps is written, is ``17``.
    * Whole numbers of any library, and floats and decimals that are whole: their digits.
    * A member of an enumeration: the id that its value is. Bytes: their UTF-8 text. Any other value with a stable text (a UUID, a ULID, an ObjectId): that text.
    * No ids: missing values, empty text, text of more than `LONGEST_ID` characters, text that holds a NUL or is not valid
      Unicode, truth values, containers, floats that are not whole or beyond 2**53, whole numbers of more than 128 bits.

    Exceptions of a foreign object's ``__str__`` propagate.
    """
    if type(value) is not str:
        value = _text(value)
    text: str = "" if value is None else value.strip()
    if not 0 < len(text) <= LONGEST_ID or "\0" in text:
        return None
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # a lone surrogate
            return None
        import unicodedata  # loads a megabyte that ASCII does without

        text = unicodedata.normalize("NFC", text)
        return text if len(text) <= LONGEST_ID else None
    if text[-1] == "0" and (whole := _FLOAT_OF_WHOLE.fullmatch(text)):
        return whole[1]
    # The lengths of 32 digits with and without hyphens, braces and prefix.
    if len(text) in _UUID_LENGTHS and (uuid := _UUID.fullmatch(text)):
        return (uuid[1] or uuid[2]).lower()
    return text


_UUID_LENGTHS = frozenset({32, 36, 38, 45})


def _text(value: Any) -> str | None:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return str.__str__(value)
    if hasattr(value, "as_py"):  # a scalar of pyarrow
        value = value.as_py()
    elif hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # a scalar of numpy, an array or tensor without dimensions
    if value is None or isinstance(value, _NO_IDS):
        return None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return str(int(value)) if value.bit_length() <= _LARGEST_BITS else None
    if isinstance(value, float) or hasattr(value, "is_finite"):  # a Decimal, whose module may not be loaded
        return _digits(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")  # invalid UTF-8 is refused with the other surrogates
    if hasattr(value, "__len__") or _is_missing(value):  # an array, a frame
        return None
    kind: Any = type(value)
    # The default text of an object is its address, which is not an id.
    return None if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__ else str(value)


def _is_missing(value: Any) -> bool:
    """Return whether *value* is pandas' NA or NaT, which are not equal to themselves or raise when compared."""
    try:
        return bool(value != value)  # noqa: PLR0124
    except TypeError:
        return True


def _digits(number: Any) -> str | None:
    is_finite = math.isfinite(number) if isinstance(number, float) else number.is_finite()
    if not is_finite or abs(number) >= (_EXACT if isinstance(number, float) else 1 << _LARGEST_BITS):
        return None
    return str(int(number)) if number == int(number) else None
