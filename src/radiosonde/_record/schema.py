"""What a feature row looks like: names, order, and codes for categories. Fixed once known; a row never changes it.

Known from the reference profile, from ``features=``, or learned from the first value seen. Codes of the reference's
categories come first, in its order, so that a code below the number of categories *is* the cell.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable, Iterable, Sequence

from radiosonde._record.intern import Codes
from radiosonde.model import LONGEST_NAME, name_of
from radiosonde.model.concealed import conceal
from radiosonde.model.losses import CATEGORY_OVERFLOW
from radiosonde.reference.profile import Reference

MAX_CATEGORIES = 4096
"""Category codes per feature. The cells need twenty or so; the rest names unseen values for the frequent-items sketch."""

NAN = float("nan")
INVALID = float("inf")
"""Stands in the ring for a value that is not what the feature holds: text in a number, an infinity, a failed conversion."""


class Schema:
    """Names and kinds of the features of one model.

    Attributes:
        names: feature names in column order, as the user's rows have them.
        public_names: what the features are called everywhere else, all different.
        width: number of features.
        codes: per feature its category codes, or None for a number.
        categorical: positions of the categorical features, with their codes.
        pii: names of the features whose values people must not see.
        hidden: positions of those.
        pick: takes the values in column order out of a mapping (a tuple, also for one feature).
        pack: packs a row of floats into a buffer at an offset.
    """

    def __init__(
        self,
        names: Sequence[str],
        categories: Sequence[Sequence[str] | None],
        pii: Iterable[str] = (),
        pii_key: str = "",
    ) -> None:
        self.pii = frozenset(pii)
        self._pii_key = pii_key
        self.names = tuple(names)
        self.width = len(self.names)
        self.known = frozenset(self.names)
        self.hidden = frozenset(position for position, name in enumerate(self.names) if name in self.pii)
        self.public_names = _distinct([name_of(name) for name in self.names])
        self.codes = [None if known is None else Codes(MAX_CATEGORIES, first=known) for known in categories]
        self.categorical = [(position, codes) for position, codes in enumerate(self.codes) if codes is not None]
        self.pick: Callable[..., tuple[object, ...]] = (
            operator.itemgetter(*self.names) if self.width > 1 else lambda row: (row[self.names[0]],)
        )
        self.pack = struct.Struct(f"<{self.width}d").pack_into

    @classmethod
    def of_reference(cls, reference: Reference, pii_key: str = "") -> Schema:
        """Return the schema of a reference profile; *pii_key* hashes the categories that people must not see."""
        return cls(
            [feature.name for feature in reference.features],
            [feature.categories if feature.kind == "categorical" else None for feature in reference.features],
            [feature.name for feature in reference.features if feature.pii],
            pii_key,
        )

    @classmethod
    def of_row(cls, names: Sequence[str], values: Sequence[object]) -> Schema:
        """Return the schema learned from one row: text is a category, everything else a number."""
        return cls(names, [() if isinstance(value, str) else None for value in values])

    def number(self, position: int, value: object, lose: Callable[[str], None]) -> float:
        """Return what stands in the ring for one value of one feature. Defined for every object; raises nothing.

        Missing (None, NaN, pandas' NA and NaT) is NaN; infinities, text in a numeric feature and objects whose
        conversion fails are `INVALID`; a category is its code. Of a value that people must not see only these are told
        apart: a number is 0, a category that the profile does not know `INVALID`.
        """
        if value is None or value != value:  # noqa: PLR0124 - NaN is the value that differs from itself
            return NAN
        codes = self.codes[position]
        if codes is not None:
            return self._hidden_code(codes, value) if position in self.hidden else self._code(codes, value, lose)
        if isinstance(value, (str, bytes)):
            return INVALID
        number = float(value)  # type: ignore[arg-type]  # whatever has __float__; the caller maps what raises
        return number if position not in self.hidden else 0.0 if math.isfinite(number) else INVALID

    def _hidden_code(self, codes: Codes, value: object) -> float:
        """Return the code of a category that people must not see: known by its hash, and never given a name."""
        if not self._pii_key or not codes.names:
            return INVALID
        code = codes.find(conceal(name_of(value), self._pii_key))
        return INVALID if code is None else float(code)

    def _code(self, codes: Codes, value: object, lose: Callable[[str], None]) -> float:
        code = codes.codes.get(value)
        if code is None:
            code, overflowed = codes.add(value, lose)
            if overflowed:
                lose(CATEGORY_OVERFLOW)
                return INVALID
        return float(code)


def _distinct(names: list[str]) -> tuple[str, ...]:
    """Return *names* with the position added to each that was there before: a frame may have two columns of one name."""
    if len(set(names)) < len(names):
        seen: set[str] = set()
        for position, name in enumerate(names):
            if name in seen:
                names[position] = f"{name[: LONGEST_NAME - 8]}~{position}"
            seen.add(names[position])
    return tuple(names)
