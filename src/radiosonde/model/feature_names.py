"""Canonical text of features and categories, independent of the container.

A column label that is not text is written as `radiosonde.model.names` writes it. Labels that are written alike (a duplicate, or the integer
1 beside the text ``"1"``) are numbered from the second on: ``a``, ``a#2``, ``a#3``.

The category rule, which holds in references and in production:

| value | category |
|---|---|
| text | itself, safe for every carrier and at most 256 characters (`radiosonde.model.names`) |
| bytes | the same, decoded as UTF-8 |
| whole number: ``1``, ``1.0``, ``True``, ``np.int64(1)``, ``Decimal("1.00")`` | ``"1"`` |
| other number: ``0.5``, ``np.float64(0.5)``, ``Decimal("0.50")`` | the shortest text of the double: ``"0.5"`` |
| member of an enumeration | the category of its value |
| date, time, time span | its number of seconds, written as a number (see `radiosonde.model.times`) |
| ``None``, NaN, NaT, NA, a masked value | missing: no category |

So ``1``, ``1.0``, ``True`` and ``"1"`` are one category, and ``"1.0"``, being text, is another.
"""

from __future__ import annotations

from collections.abc import Iterable

from radiosonde.model.iteration import items_of
from radiosonde.model.names import name_of

_EXACT = 2**53


def feature_names(labels: Iterable[object]) -> list[str]:
    """Return column labels as distinct texts, in order."""
    names = [label if isinstance(label, str) else _written(label) for label in items_of(labels)]
    if len(set(names)) == len(names):
        return names
    taken, written = set(names), list[str]()
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct, number = name, seen[name]
        while number > 1 and (distinct := f"{name}#{number}") in taken:
            number += 1
        taken.add(distinct)
        written.append(distinct)
    return written


def _written(label: object) -> str:
    """Return the text of a label; its exceptions propagate: a row with such a name is not learned from."""
    str(label)
    return name_of(label)


def number_text(value: float) -> str:
    """Return the category of a finite number: whole numbers without a point, others as the shortest text of the double."""
    if isinstance(value, int):
        return str(int(value))  # True is 1
    return str(int(value)) if value.is_integer() and abs(value) <= _EXACT else repr(value)
