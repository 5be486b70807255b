"""Encodes values and columns for the ring; a value whose conversion raises is `INVALID`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde._guard import Guard
from radiosonde._record.intern import Codes
from radiosonde._record.schema import INVALID, NAN, Schema
from radiosonde._record.summaries import stride_of, summarise
from radiosonde.model.feature_names import number_text
from radiosonde.model.losses import CATEGORY_OVERFLOW
from radiosonde.reference.containers import Coded, Plain, plain_column
from radiosonde.reference.values import plain

ODD_TEXTS = 4096
"""New texts of a batch which are not their own names (long, or with control characters) that are looked up: 20 ms. The others count as
unseen categories."""

_LARGE = 1 << 63
"""Larger integers are given codes one by one."""

_NUMBERS: frozenset[type] = frozenset({float, bool, type(None)})
_NUMBERS_AND_INTEGERS: frozenset[type] = _NUMBERS | {int}


class Encoder:
    """Encodes the values of one model's features.

    Args:
        schema: names and kinds of the features.
        guard: counts losses.

    Attributes:
        odd_texts: one element: how many texts that are not their own names may still be looked up for this batch.
    """

    def __init__(self, schema: Schema, guard: Guard) -> None:
        self._schema = schema
        self._guard = guard
        self.odd_texts = [ODD_TEXTS]

    def begin_batch(self) -> None:
        """Allow for `ODD_TEXTS` again."""
        self.odd_texts = [ODD_TEXTS]

    def number(self, position: int, value: object) -> float:
        """Encode one value of the feature at *position*."""
        number = self._guard.attempt(self._schema.number, position, value, self._guard.lose)
        return INVALID if isinstance(number, Exception) else number

    def column(self, position: int, column: Plain) -> NDArray[np.float64]:
        """Encode a column of values."""
        if isinstance(column, np.ndarray):
            return self._schema.categories(position, column, self._guard.lose)
        if isinstance(column, Coded):
            table = np.full(len(column.values) + 1, NAN)
            used = np.flatnonzero(np.bincount(column.codes + 1, minlength=1)[1:])
            if len(used):
                table[used] = self.column(position, [column.values[code] for code in used.tolist()])
            return table[column.codes]  # missing is -1, which picks the last entry
        codes = self._schema.codes[position]
        # Integers of a category by themselves: a double would not hold the digits of an id beyond 2**53.
        plain_types = _NUMBERS_AND_INTEGERS if self._schema.is_open or codes is None else _NUMBERS
        numbers = self._bulk(column, plain_types)
        if numbers is not None:
            return self._schema.categories(position, numbers, self._guard.lose)
        return self._looked_up(position, codes, column)

    def _looked_up(self, position: int, codes: Codes | None, column: list[Any]) -> NDArray[np.float64]:
        """Encode values of any kind: known ones by one look into a dictionary, new texts together, others one by one."""
        found = _known(codes, column)
        unknown = [value for code, value in zip(found, column, strict=True) if code is None]
        if unknown:
            if codes is not None and not self._schema.is_open:
                unknown = [number_text(value) if _is_number(value) else value for value in unknown]
            coded = self._unknown(position, unknown)
            if len(coded) == len(found):
                return np.array(coded)
            rest = iter(coded)
            found = [next(rest) if code is None else code for code in found]
        return np.array(found, dtype=np.float64)

    def _unknown(self, position: int, values: list[Any]) -> list[float]:
        """Encode values without a code."""
        kinds = set(map(type, values))
        texts = dict.fromkeys(values if kinds == {str} else [value for value in values if type(value) is str])
        new: Mapping[str, float] = {}
        if texts:
            new = self._schema.codes_of(position, texts, self._guard.lose, self.odd_texts)
        if kinds == {str} and not new:
            self._guard.lose(CATEGORY_OVERFLOW, len(values))
            return [INVALID] * len(values)
        if kinds == {str}:
            coded = list(map(new.get, values))
        else:
            coded = [
                NAN if value is None else new.get(value) if type(value) is str else self.number(position, value)
                for value in values
            ]
        overflowed = coded.count(None)
        if overflowed:
            self._guard.lose(CATEGORY_OVERFLOW, overflowed)
        return [INVALID if code is None else code for code in coded]

    def _bulk(self, values: list[Any], types: frozenset[type]) -> NDArray[np.float64] | None:
        """Return values of *types* as numbers in one go, None when others are among them or one is beyond doubles."""
        if not set(map(type, values)) <= types:
            return None
        numbers = self._guard.attempt(np.array, values, np.float64)
        return None if isinstance(numbers, Exception) else numbers

    def wide_row(self, values: Sequence[object]) -> NDArray[np.float64]:
        """Return the summary of one row of very many values."""
        numbers = self.numbers(plain_column(values, slice(None, None, stride_of(len(values)))))
        summary: NDArray[np.float64] = summarise(numbers.reshape(1, -1))[0]
        summary[0] = len(values)
        return summary

    def numbers(self, column: Plain) -> NDArray[np.float64]:
        """Return values as numbers for any feature; texts and values that cannot be converted become `INVALID`."""
        if isinstance(column, np.ndarray):
            return column
        if isinstance(column, Coded):
            return np.append(self.numbers(column.values), NAN)[column.codes]
        numbers = self._bulk(column, _NUMBERS_AND_INTEGERS)
        if numbers is not None:
            return numbers
        found = [self._guard.attempt(plain, value) for value in column]
        return np.array([number if isinstance(number, float) else INVALID for number in found], dtype=np.float64)


def _is_number(value: object) -> bool:
    """Return whether a value is a number that is the text of a category."""
    return (type(value) is int and abs(value) < _LARGE) or (type(value) is float and math.isfinite(value))


def listed(column: Plain) -> Sequence[Any]:
    """Return a column's values one by one, None where a code has no name."""
    if isinstance(column, Coded):
        return [column.values[code] if code >= 0 else None for code in column.codes.tolist()]
    return column.tolist() if isinstance(column, np.ndarray) else column


def _known(codes: Codes | None, values: list[Any]) -> list[Any]:
    if codes is not None:
        try:
            return list(map(codes.codes.get, values))
        except Exception:  # noqa: BLE001, S110 - not hashable, or a hash that raises: each by itself
            pass
    return [None] * len(values)
