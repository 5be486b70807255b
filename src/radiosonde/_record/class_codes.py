"""Codes of the classes that one model answers with.

The first `MAX_CLASSES` classes (or all declared ones, if there are more) get a code each and a name in every table. Later classes are coded
by the hash of their name; see `radiosonde.model.classes`.

Which values are one class: those of one text (`radiosonde.model.class_text`), so 1, 1.0 and ``"1"`` are; and a truth value
is the class of its number, 1 or 0, where the model has that class and none of the truth value's own name, and the other
way around. `radiosonde._join.label_values` compares labels by the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde._record.intern import Codes
from radiosonde.model.classes import FIRST_HASHED, OVERFLOW_CLASS, class_text, hashed_class, plain_class

MAX_CLASSES = 100
"""Predicted classes per model that get a code of their own; bounds the class tables and the metrics' label values."""

_NAMES_KEPT = 1024
"""Names of hashed classes kept for receipts and spans, which are requested right after the prediction; at most 256 kB."""

_SAME = {"True": "1", "False": "0", "1": "True", "0": "False"}


class ClassCodes(Codes):
    """Codes of classes.

    Args:
        declared: names of the classes in column order; may be empty.
        lose: counts a name that had to be changed.
    """

    def __init__(self, declared: Sequence[object], lose: Callable[[str], None]) -> None:
        super().__init__(MAX_CLASSES, first=map(plain_class, declared), overflow_name=OVERFLOW_CLASS)
        self._lose = lose
        self._hashed: dict[int, str] = {}

    def of(self, value: object) -> int:
        """Return the code of the class that *value* names; at least `FIRST_HASHED` where it is beyond the bound."""
        name = class_text(value)
        plain = plain_class(value)
        if name in _SAME and not isinstance(value, str) and name not in self.codes and _SAME[name] in self.codes:
            plain = name = _SAME[name]
        code, overflowed = self.add(value, self._lose, name=plain)
        if not overflowed:
            return int(code)
        code = hashed_class(name)
        if len(self._hashed) >= _NAMES_KEPT:
            self._hashed = {}
        self._hashed[code] = name
        return code

    def name_of(self, code: int) -> str:
        """Return the name of a code: of a hashed one where it was given out not long ago, else `OVERFLOW_CLASS`."""
        return self.names[code] if code < FIRST_HASHED else self._hashed.get(code, OVERFLOW_CLASS)


def distinct(array: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the different values of an array, ascending, and the place of each entry among them.

    Whole numbers close together are counted, which takes a tenth of the time of sorting them.
    """
    if array.dtype.kind in "iu" and array.size:
        lowest, highest = int(array.min()), int(array.max())
        if highest - lowest < array.size:
            wide = array.astype(
                np.int64 if array.dtype.kind == "i" else np.uint64
            )  # a difference may be too large for bytes
            offsets = (wide - wide.dtype.type(lowest)).astype(np.intp)
            is_there = np.bincount(offsets) > 0
            values = is_there.nonzero()[0].astype(array.dtype) + array.dtype.type(lowest)
            return values, (np.cumsum(is_there) - 1)[offsets]
    values, places = np.unique(array, return_inverse=True)
    return values, places.reshape(-1)
