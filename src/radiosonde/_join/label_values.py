"""Compares label values with outputs: one rule, independent of the source of the label.

`radiosonde.label`, files, requests and receipts all end here, when the label is joined and the model's classes are known. Nothing is
decided earlier: ``1e5`` in a file is the class ``1e5`` of one model and the number 100000 of another.
``docs/labels.md`` has the rule as a table.

A class is named, in this order:

1. by its text, as it is or without white space around it;
2. by its value: a label that reads as a number names the class that reads as the same number (``1.0``, ``01e0`` and ``1``;
   ``2.50`` and ``2.5``), and truth values are the numbers 1 and 0 (``True``, ``true``, ``T``; classes ``1`` and ``0``);
3. by its position among the declared classes. Classes learned from answers have none: they are in the order in which they
   happened to come.

A value that matches no known class is a new class, formatted like the known ones. Text for a missing label (the texts that pandas reads as
missing) is no label, unless a class has that name. A number with leading zeros is a code, which equals only itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from radiosonde._guard import Guard
from radiosonde.model import class_text
from radiosonde.model.classes import bare
from radiosonde.model.names import LONGEST_NAME

if TYPE_CHECKING:
    from decimal import Decimal

LARGEST: Final = 1e60
"""Numbers beyond it, on either side, are not compared: the square of an error, and the spread of such squares, would not be
finite. Arbitrary; no measured quantity comes near it."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_CODE = re.compile(r"[+-]?0\d", re.ASCII)
_LONGEST_NUMBER = 64
"""Characters; whole numbers up to this length are compared digit by digit."""

_MISSING: Final = frozenset(
    (
        "#n/a", "#n/a n/a", "#na", "-1.#ind", "-1.#qnan", "-nan", "1.#ind", "1.#qnan", "<na>", "n/a", "na", "nan", "nat",
        "none", "null", "",
    )
)  # fmt: skip
"""The texts that `pandas.read_csv` takes for a missing value, in any case, and pandas' own NaT."""

_WORDS: Final = {"true": True, "false": False}
_LETTERS: Final = {"t": True, "f": False}
_TRUTHS: Final = ({"True", "False"}, {"0", "1"})


def label_value(value: Any) -> str | float | bool | None:
    """Return a label's value as text, number or truth value; None for a missing or unsupported value.

    Unsupported are missing values, containers, empty text, and numbers that are not finite. A whole number too large for an exact float
    becomes text. Exceptions of foreign objects propagate.
    """
    value = bare(value)
    if isinstance(value, (str, bytes)):
        # As a prediction's class is written; white space around it stays, for it may be part of the name of a class.
        text = class_text(value)
        is_framed = isinstance(value, str) and len(value) <= LONGEST_NAME and value.strip().isprintable()
        return (str.__str__(value) if is_framed else text) or None
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        if value.bit_length() > 1024:
            return None
        return int(value) if abs(value) <= 1 << 53 else class_text(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or _names_nothing(value):
        return None
    str(value)  # exceptions of the object propagate
    return class_text(value)


def _names_nothing(value: Any) -> bool:
    # NaN, and pandas' NA and NaT, differ from themselves or raise.
    if Guard.attempt(lambda: bool(value != value)) is not False:  # noqa: PLR0124
        return True
    return isinstance(value, (list, dict, tuple, set, frozenset, bytearray)) or bool(getattr(value, "ndim", None))


def finite_number(value: Any) -> float | None:
    """Return the number of a regression label; None for other values, and beyond `LARGEST`.

    Text is read as in the rule above: ``.5``, ``1.``, ``+1``, ``5e-1``, ``true``. A decimal comma is not guessed.
    """
    if isinstance(value, str):
        text = value.strip()
        truth = _WORDS.get(text.lower())
        value = text if truth is None and len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text) else truth
        if value is None:
            return None
    number = Guard.attempt(float, value)
    # The sum makes -0.0 the 0.0 that it equals: two texts for one value would be two values.
    return number + 0.0 if isinstance(number, float) and abs(number) <= LARGEST else None


def class_name(value: Any, classes: Sequence[str], declared: int) -> str | None:
    """Return the class of a label by the rule above; None for a value that is not a class.

    Args:
        value: the label.
        classes: names of the known classes.
        declared: how many of them, the first, have a position.
    """
    if type(value) is str and value in classes:
        return value
    if not isinstance(value, str) and (value is None or _names_nothing(value)):
        return None
    text = Guard.attempt(class_text, value)
    if not isinstance(text, str):
        return None
    if text in classes:
        return text
    if isinstance(value, str):
        text = class_text(value.strip())
        if text in classes:
            return text
        if text.lower() in _MISSING:
            return None
    number = _reading(text)
    letter = _LETTERS.get(text.lower())
    if number is None and letter is None:
        return text
    known = tuple(classes)
    named = _by_value(known).get(_exact(bool(letter)) if number is None else number)
    if named is not None:
        return named
    if number is None:
        return _own_name(str(letter), _exact(bool(letter)), known) if _are_truths(known) else text
    if number == int(number) and 0 <= number < declared:
        return known[int(number)]
    return _own_name(text, number, known)


def is_unclear(value: Any, predicted: str, declared: int) -> bool:
    """Return whether a label is ambiguous without the names of all classes, given only the name *predicted*.

    A position among *declared* classes is so, and a truth value; not where the classes' own names are numbers.
    """
    text = class_text(value.strip() if isinstance(value, str) else value)
    number = _reading(text)
    if number is None or text.lower() in _WORDS:
        return number is not None or text.lower() in _LETTERS
    return declared > 0 and number == int(number) and _reading(predicted) is None


def _own_name(text: str, number: Decimal, known: tuple[str, ...]) -> str:
    """Return the name of a class that is not known, written as those that are."""
    names = set(known)
    if number in (0, 1) and names and names <= _TRUTHS[0]:
        return str(bool(number))
    is_word = text.lower() in _WORDS
    if number == int(number) and names and all(map(_is_whole, names)) and (not is_word or names <= _TRUTHS[1]):
        return str(int(number))
    return text


def _are_truths(known: tuple[str, ...]) -> bool:
    return bool(known) and any(set(known) <= names for names in _TRUTHS)


def _is_whole(name: str) -> bool:
    digits = name.removeprefix("-")
    return digits.isdecimal() and digits.isascii() and (digits == "0" or digits[0] != "0")


def _exact(number: str | int) -> Decimal:
    from decimal import Decimal  # 0.3 MiB: for a process that labels arrive in

    return Decimal(number)


def _reading(text: str) -> Decimal | None:
    """Return the number in a text; None for a code and for other text. Truth values are 1 and 0."""
    truth = _WORDS.get(text.lower())
    if truth is not None:
        return _exact(truth)
    if len(text) > _LONGEST_NUMBER or _CODE.match(text) or not _NUMBER.fullmatch(text):
        return None
    number = _exact(text)  # exact: two long ids that differ in the last digit are two numbers
    return number if -400 < number.adjusted() < 400 else None  # bounds the digits of a whole number


@lru_cache(maxsize=256)
def _by_value(classes: tuple[str, ...]) -> dict[Decimal, str]:
    """Return the classes that read as numbers, by number; where several read as one, the shortest way of writing it or none."""
    readings: dict[Decimal, list[str]] = {}
    are_letters = {name.lower() for name in classes} == set(_LETTERS)
    for name in classes:
        number = _exact(_LETTERS[name.lower()]) if are_letters else _reading(name)
        if number is not None:
            readings.setdefault(number, []).append(name)
    named = {}
    for number, names in readings.items():
        plain = str(int(number)) if number == int(number) else ""
        if len(names) == 1 or plain in names:
            named[number] = names[0] if len(names) == 1 else plain
    return named
