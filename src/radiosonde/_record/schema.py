"""The schema of a feature row: names, order, and codes for texts. Rows never change it.

Taken from the reference profile, from ``features=``, or learned from the first value. Only the names are learned, never the kinds of
features: see `radiosonde._ring.text_codes`. The code of a reference's category is the number of its cell, in the order of the profile.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from radiosonde._record.intern import Codes
from radiosonde._ring.text_codes import boxed
from radiosonde.model import name_of
from radiosonde.model.concealed import conceal
from radiosonde.model.feature_names import feature_names, number_text
from radiosonde.model.losses import CATEGORY_OVERFLOW
from radiosonde.model.names import LONGEST_NAME
from radiosonde.reference.profile import Reference
from radiosonde.reference.values import INVALID, NAN, plain

__all__ = ["INVALID", "NAN", "Reading", "Schema"]

MAX_CATEGORIES = 4096
"""Category codes per feature. The cells need twenty or so; the rest names unseen values for the frequent-items sketch."""

CATEGORY_BYTES = 2 << 20
"""Largest total of characters of all categories of one model, besides the reference's. Arbitrary; bounds memory that requests control."""

Lose = Callable[..., None]
"""Counts a loss: its name, and how many; one without a number."""

Reading = Literal["columns", "wide", "texts"]
"""How a row is taken apart.

* ``columns``: one value per feature.
* ``wide``: more values than are observed one by one; the features are a summary (`radiosonde._record.summaries`).
* ``texts``: a row is one text; the features are a summary of it.
"""


class Schema:
    """Names and kinds of the features of one model.

    Attributes:
        names: feature names in column order, as rows spell them.
        public_names: the same, safe for every carrier.
        width: number of features.
        is_open: nothing is known but the names; any feature may hold numbers and texts.
        reading: how a row is split into features.
        is_whole: an array of two or more axes is one row; otherwise its first axis counts rows.
        is_plain: a row of numbers in column order is recorded as it is.
        text_features: features that have held a text so far, the categorical ones of a reference included.
        codes: per feature the codes of its texts, None for a feature that is numeric in the reference.
        categorical: positions of the features that are categorical in the reference, with their codes.
        pii: names of the features with hidden values.
        hidden: positions of the features with hidden values.
        pick: takes the values in column order out of a mapping (a tuple, also for one feature).
        pack: packs a row of floats into a buffer at an offset.

    Args:
        names: feature names; those written alike are numbered.
        categories: per feature the categories of the reference, None for a number; None when there is no reference.
        pii: features with hidden values.
        reading: how a row is split into features.
        is_whole: an array of two or more axes is one row.
        pii_key: key for hashing hidden categories.
    """

    def __init__(
        self,
        names: Sequence[str],
        categories: Sequence[Sequence[str] | None] | None = None,
        pii: Iterable[str] = (),
        reading: Reading = "columns",
        *,
        is_whole: bool = False,
        pii_key: str = "",
    ) -> None:
        self.pii = frozenset(pii)
        self._pii_key = pii_key
        self.names = tuple(feature_names(names))
        self.width = len(self.names)
        self.known = frozenset(self.names)
        self.hidden = frozenset(position for position, name in enumerate(self.names) if name in self.pii)
        self.public_names = tuple(feature_names(name_of(name) for name in self.names))
        self.reading: Reading = reading
        self.is_whole = is_whole
        self.is_open = categories is None
        room = [CATEGORY_BYTES]
        self.codes: list[Codes | None]
        if categories is None:
            self.codes = [Codes(MAX_CATEGORIES, room=room, encode=boxed) for _ in self.names]
            self.categorical = []
        else:
            self.codes = [None if c is None else Codes(MAX_CATEGORIES, first=c, room=room) for c in categories]
            self.categorical = [(position, codes) for position, codes in enumerate(self.codes) if codes is not None]
        self.text_features = len(self.categorical)
        self.is_plain = reading == "columns" and not self.categorical and not self.hidden
        self.pick: Callable[..., tuple[object, ...]] = (
            operator.itemgetter(*self.names) if self.width > 1 else lambda row: (row[self.names[0]],)
        )
        self.pack = struct.Struct(f"<{self.width}d").pack_into

    @classmethod
    def of_reference(cls, reference: Reference, pii_key: str = "") -> Schema:
        """Return the schema of a reference profile; hidden categories are hashed with *pii_key*."""
        return cls(
            [feature.name for feature in reference.features],
            [feature.categories if feature.kind == "categorical" else None for feature in reference.features],
            [feature.name for feature in reference.features if feature.pii],
            pii_key=pii_key,
        )

    def number(self, position: int, value: object, lose: Lose) -> float:
        """Encode one value of one feature for the ring: a number, or the code of a text.

        Missing (None, NaN, NaT, NA, masked) is NaN; infinities, text in a numeric feature of a reference, and objects that are neither
        number nor text are `INVALID`. For a hidden value only these are distinguished: a number is 0, a category missing from the profile
        is `INVALID`. Exceptions of the value's conversion propagate.
        """
        found = plain(value)
        codes = self.codes[position]
        if isinstance(found, str):
            return INVALID if codes is None else self._code(position, found, value, lose)
        if not math.isfinite(found):
            return found
        if codes is None or self.is_open:
            return 0.0 if position in self.hidden else found
        # Through the value and not its double, where that would lose digits: an id beyond 2**53.
        exact = value if isinstance(value, int) and not isinstance(value, bool) else found
        return self._code(position, number_text(exact), value, lose)

    def categories(self, position: int, numbers: NDArray[np.float64], lose: Lose) -> NDArray[np.float64]:
        """Encode numbers of a feature for the ring: unchanged, or as codes if it is categorical."""
        finite = np.isfinite(numbers)
        if self.codes[position] is None or self.is_open:
            return np.where(finite, 0.0, numbers) if position in self.hidden else numbers
        distinct, places = np.unique(numbers[finite], return_inverse=True)
        found = np.where(np.isnan(numbers), NAN, INVALID)
        texts = [number_text(number) for number in distinct.tolist()]
        codes = self.codes_of(position, dict.fromkeys(texts), lose, [len(texts)])
        coded = np.array([codes.get(text, NAN) for text in texts], dtype=np.float64)[places.reshape(-1)]
        overflowed = np.count_nonzero(np.isnan(coded))
        if overflowed:
            lose(CATEGORY_OVERFLOW, overflowed)
        found[finite] = np.where(np.isnan(coded), INVALID, coded)
        return found

    def codes_of(self, position: int, texts: Collection[str], lose: Lose, odd: list[int]) -> dict[str, float]:
        """Return the codes of different *texts* of one feature in the ring; those beyond a bound are left out.

        Args:
            position: of the feature.
            texts: each once.
            lose: counts changed names.
            odd: one element: number of texts that are not their own names which may be looked up, counted down; each takes 5 us.
        """
        codes, is_hidden = self.codes[position], position in self.hidden
        if codes is None or (is_hidden and not (self._pii_key and codes.names)):
            return dict.fromkeys(texts, INVALID)
        had_names, features = bool(codes.names), self.text_features
        unusual = texts if is_hidden else [text for text in texts if len(text) > LONGEST_NAME or not text.isprintable()]
        found: dict[str, float] = {}
        if not unusual:
            codes.add_plain(texts)
        elif not is_hidden and not codes.is_full:  # in their order, as if they came one by one
            rest = frozenset(unusual)
            for text in texts:
                if text not in rest:
                    codes.add_plain((text,))
                elif odd[0] > 0:
                    odd[0] -= 1
                    self._note(found, position, text, lose)
            unusual = ()
        for text in unusual:
            if odd[0] <= 0:
                break
            odd[0] -= 1
            self._note(found, position, text, lose)
        known = codes.codes
        found.update((text, known[text]) for text in texts if text in known)
        if self.is_open and not had_names and codes.names and self.text_features == features:
            self.text_features += 1
        return found

    def _note(self, found: dict[str, float], position: int, text: str, lose: Lose) -> None:
        code = self._find(position, text, text, lose)
        if code is not None:
            found[text] = code

    def _code(self, position: int, text: str, value: object, lose: Lose) -> float:
        code = self._find(position, text, value, lose)
        if code is None:
            lose(CATEGORY_OVERFLOW)
            return INVALID
        return code

    def _find(self, position: int, text: str, value: object, lose: Lose) -> float | None:
        """Return the code of a text in the ring; None beyond the bound."""
        codes = self.codes[position]
        if codes is None:
            return INVALID
        if position in self.hidden:  # known by its hash, and never given a name
            code = codes.find(conceal(name_of(text), self._pii_key)) if self._pii_key and codes.names else None
            return INVALID if code is None else float(code)
        code = codes.codes.get(text)
        if code is None:
            code, overflowed = codes.add(text, lose)
            if overflowed:
                return None
            if self.is_open and len(codes.names) == 1:
                self.text_features += 1
        if type(value) in (int, float, bool):
            codes.add(value, lose, name=text)  # found by the number itself from now on
        return float(code)
