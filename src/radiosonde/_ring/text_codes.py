"""Encodes texts in a row of doubles as NaNs with a code.

A model without a reference does not say which of its features are numbers and which are text, and its first row need
not tell: it may lack the value, or hold ``"n/a"``. So the writer commits itself to nothing. A number is written as
itself, a text as a NaN whose low 32 bits are its code, and whoever counts the rows decides what the feature is.

The high 32 bits are a fixed pattern: NaNs of other origin (R's NA carries 1954) are missing values, as they are everywhere.
Where a reference says that a feature is categorical its codes are plain numbers instead, because then they are cells.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

_HIGH: Final = 0xFFFA_5D1E
_WORD, _DOUBLE = struct.Struct("<Q"), struct.Struct("<d")


def boxed(code: int) -> float:
    """Return the double that stands for the text of *code*."""
    value: float = _DOUBLE.unpack(_WORD.pack(_HIGH << 32 | code))[0]
    return value


def code_of(value: float) -> int:
    """Return the code in *value*, -1 when it is no text."""
    word: int = _WORD.unpack(_DOUBLE.pack(value))[0]
    return word & 0xFFFF_FFFF if word >> 32 == _HIGH else -1


def codes_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the codes in *values*, -1 where there is no text."""
    words = np.ascontiguousarray(values).view(np.uint64)
    low = (words & np.uint64(0xFFFF_FFFF)).astype(np.int64)
    low[words >> np.uint64(32) != _HIGH] = -1
    return low
