"""Encodes texts in a row of doubles as NaNs with a code.

Without a reference it is unknown which features are numbers and which are text, and the first row need not show it: the value may be
missing or ``"n/a"``. The writer therefore makes no assumption. A number is written unchanged, a text as a NaN whose low 32 bits are its
code, and the aggregator decides the kind of the feature.

The high 32 bits are a fixed pattern: other NaNs (R's NA carries 1954) are missing values, as everywhere. The codes of a feature that is
categorical in the reference are plain numbers instead, because they are cells.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

_HIGH: Final = 0xFFFA_5D1E
_WORD, _DOUBLE = struct.Struct("<Q"), struct.Struct("<d")


def boxed(code: int) -> float:
    """Return the double that encodes the text of *code*."""
    value: float = _DOUBLE.unpack(_WORD.pack(_HIGH << 32 | code))[0]
    return value


def code_of(value: float) -> int:
    """Return the code in *value*, -1 if it encodes no text."""
    word: int = _WORD.unpack(_DOUBLE.pack(value))[0]
    return word & 0xFFFF_FFFF if word >> 32 == _HIGH else -1


def codes_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the codes in *values*, -1 where there is none."""
    words = np.ascontiguousarray(values).view(np.uint64)
    low = (words & np.uint64(0xFFFF_FFFF)).astype(np.int64)
    low[words >> np.uint64(32) != _HIGH] = -1
    return low
