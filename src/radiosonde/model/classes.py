"""Canonical text of a class, independent of the type of the label.

Tables have a bounded number of classes. A class beyond the bound is counted under `OVERFLOW_CLASS`, and is kept with its
prediction as a hash of its name (`hashed_class`), so that a label can still be compared with it: an answer is right or
wrong before it is folded. Two names share a hash with a probability of one in two billion.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection
from typing import Final

from radiosonde.model.names import name_of

OVERFLOW_CLASS: Final = "__other__"
"""The one class that all beyond a bound are counted under. As a label it is the predicted class wherever that is beyond the
bound too: the pair ``(OVERFLOW_CLASS, OVERFLOW_CLASS)`` is a right answer."""

OTHER_WRONG: Final = "__another__"
"""The label of a wrong answer where both the predicted class and the label are beyond the bound."""

FIRST_HASHED: Final = 1 << 24
"""Codes from here on are hashes of names, codes below are places in a table of names."""

_HASHES: Final = (1 << 31) - FIRST_HASHED


def class_text(value: object) -> str:
    """Return the name of the class that a label names: whole numbers without a point, everything else as `name_of` has it.

    A model trained on integers may answer 1, 1.0 or numpy's 1; its reference and its labels must say the same.
    """
    return name_of(plain_class(value))


def plain_class(value: object) -> object:
    """Return what a class is named by: the integer of a whole number, everything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


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
