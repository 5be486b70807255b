"""Canonical text of a class, independent of the type of the label.

Tables have a bounded number of classes. A class beyond the bound is counted under `OVERFLOW_CLASS`, and is kept with its
prediction as a hash of its name (`hashed_class`), so that a label can still be compared with it: an answer is right or
wrong before it is folded. Two names share a hash with a probability of one in two billion.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection
from enum import Enum
from typing import Any, Final

from radiosonde.model.names import name_of

OVERFLOW_CLASS: Final = "__other__"
"""The one class that all beyond a bound are counted under. As a label it is the predicted class wherever that is beyond the
bound too: the pair ``(OVERFLOW_CLASS, OVERFLOW_CLASS)`` is a right answer."""

OTHER_WRONG: Final = "__another__"
"""The label of a wrong answer where both the predicted class and the label are beyond the bound."""

FIRST_HASHED: Final = 1 << 24
"""Codes from here on are hashes of names, codes below are places in a table of names."""

_HASHES: Final = (1 << 31) - FIRST_HASHED

_PLAIN: Final = frozenset({str, int, bool, bytes})
_MOST_DIGITS: Final = 400
"""Of a decimal that is written out as a whole number; bounds the time that ``Decimal("1e1000000")`` takes."""


def class_text(value: object) -> str:
    """Return the name of the class that a label names: whole numbers without a point, everything else as `name_of` has it.

    A model trained on integers may return 1, 1.0 or numpy's 1; its reference and its labels must use the same name.
    """
    return name_of(plain_class(value))


def plain_class(value: Any) -> Any:
    """Return the value that names a class: the integer of a whole number, the double of another number, other values unchanged.

    So ``1``, ``1.0``, ``Decimal("1.00")``, ``Fraction(1)``, a member of an enumeration that is 1, and numpy's, PyTorch's and
    pyarrow's ones are one class.
    """
    if type(value) in _PLAIN:
        return value
    try:
        found = bare(value)
        if isinstance(found, float):
            return int(found) if found.is_integer() else found
        if isinstance(found, (str, bytes, int)) or not hasattr(found, "as_integer_ratio"):
            return found
        if hasattr(found, "adjusted") and abs(found.adjusted()) > _MOST_DIGITS:
            return found
        whole, parts = found.as_integer_ratio()  # Decimal, Fraction, long double: a float would lose digits
        return whole if parts == 1 else float(found)
    except Exception:  # noqa: BLE001 - not finite; or a foreign object, which may raise anything
        return value


def bare(value: Any) -> Any:
    """Return one value of any library, or a member of an enumeration, as a Python value. Exceptions of the value propagate."""
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "as_py"):  # a scalar of pyarrow
        return value.as_py()
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()  # a scalar of numpy, an array or tensor without dimensions
    return value


def folded(predicted: str, label: str, known: Collection[str]) -> tuple[str, str]:
    """Return a pair of classes with those that are not *known* folded; it is a pair of equals exactly if it was one."""
    if predicted in known:
        return predicted, label if label in known else OVERFLOW_CLASS
    if label in known:
        return OVERFLOW_CLASS, label
    return OVERFLOW_CLASS, OVERFLOW_CLASS if label == predicted else OTHER_WRONG


def hashed_class(name: str) -> int:
    """Return the code of a class beyond the bound: the same in every process, positive and below 2^31."""
    return FIRST_HASHED + zlib.crc32(name.encode()) % _HASHES
