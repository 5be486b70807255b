"""Kinds of setting values: parsing, validation and documentation of each.

A kind is declared with the setting it belongs to (`radiosonde._settings.settings`). Its `check` serves both ways in: the text
of a variable goes through `read` first, an argument of ``start`` does not. Both raise ValueError with the end of a sentence
whose beginning, "NAME is VALUE; ", is the caller's.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

ANY = "*"
"""In a cohort's allow-list: every value passes as it is (up to the bound on series). Among references: every other model."""

_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of values.

    Attributes:
        values: description of the valid values.
        accepts: type annotation of the argument of ``start``.
        read: turns the text of a variable into a value.
        check: returns the value to be kept, of one that was read or given.
    """

    values: str
    accepts: str
    read: Callable[[str], Any]
    check: Callable[[Any], Any]


def number(least: float, most: float, unit: str = "", *, is_above: bool = False) -> Kind:
    """Return the kind of real numbers from *least* to *most*, both included unless *is_above* excludes the first."""
    last = "" if math.isinf(most) else f" and at most {most:.15g}"
    must = f"must be {'above' if is_above else 'at least'} {least:.15g}{last}{unit and ' '}{unit}"

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise ValueError(f"it must be a number{unit and ' of '}{unit}")
        kept = float(value)
        if not (least < kept if is_above else least <= kept) or not kept <= most:
            raise ValueError(f"it {must}")
        return kept

    return Kind(must.removeprefix("must be "), "float", _as_number(float), check)


def whole(least: int, most: int, unit: str = "") -> Kind:
    """Return the kind of whole numbers from *least* to *most*."""
    must = f"must be between {least} and {most}{unit and ' '}{unit}"

    def check(value: Any) -> int:
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise ValueError(f"it must be a whole number{unit and ' of '}{unit}")
        if not least <= value <= most:
            raise ValueError(f"it {must}")
        return int(value)

    return Kind(must.removeprefix("must be "), "int", _as_number(int), check)


def _as_number(kind: type[int | float]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"it must be a {'whole ' if kind is int else ''}number") from None

    return read


def ages(least_days: float, most_days: float, count: int) -> Kind:
    """Return the kind of *count* ages in days, each above the one before."""
    return _growing(
        f"{count} increasing numbers of days",
        f"it must be {count} increasing numbers of days, from {least_days:g} to {most_days:g}",
        lambda kept: len(kept) == count and least_days <= kept[0] and kept[-1] <= most_days,
    )


def edges(most: int) -> Kind:
    """Return the kind of ascending bounds in seconds, *most* of them at most."""
    return _growing(
        f"1 to {most} increasing numbers of seconds",
        f"it must be 1 to {most} increasing numbers of seconds, each above 0",
        lambda kept: 1 <= len(kept) <= most and kept[0] > 0 and kept[-1] < math.inf,
    )


def _growing(values: str, must: str, is_allowed: Callable[[tuple[float, ...]], bool]) -> Kind:
    """Return the kind of increasing numbers; *must* describes the expected values in errors."""

    def read(given: str) -> tuple[float, ...]:
        try:
            return tuple(float(part) for part in given.split(","))
        except ValueError:
            raise ValueError(must + ", joined by commas") from None

    def check(value: Any) -> tuple[float, ...]:
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise ValueError(must)
        if any(isinstance(number, bool) or not isinstance(number, Real) for number in value):
            raise ValueError(must)
        kept = tuple(float(number) for number in value)
        in_order = all(before < after for before, after in itertools.pairwise(kept))
        if not in_order or not is_allowed(kept):
            raise ValueError(must)
        return kept

    return Kind(f"{values}, joined by commas", "Sequence[float]", read, check)


def flag(*, other: str = "") -> Kind:
    """Return the kind of true and false, and of one *other* word."""
    choice = f'true, false or "{other}"' if other else "true or false"

    def read(text: str) -> bool | str:
        word = text.strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        if other and word == other:
            return other
        raise ValueError(f"use {choice}")

    def check(value: Any) -> bool | str:
        if isinstance(value, bool) or (other and value == other):
            return bool(value) if isinstance(value, bool) else other
        raise ValueError(f"use {choice}")

    return Kind(choice, f'bool | Literal["{other}"]' if other else "bool", read, check)


def text() -> Kind:
    """Return the kind of texts that are not empty."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError("it must be a text that is not empty")
        return value

    return Kind("text", "str", str, check)


def host() -> Kind:
    """Return the kind of addresses and names of hosts, without scheme and port."""

    def check(value: Any) -> str:
        kept = value.strip().strip("[]") if isinstance(value, str) else ""
        # A colon precedes a port, unless there are two, as in any IPv6 address.
        if not re.fullmatch(r"[\w.-]{1,253}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[\w:.%-]*", kept, re.ASCII):
            raise ValueError("it must be an address or a name without scheme and port, like 0.0.0.0")
        return kept

    return Kind("address or name of a host", "str", str, check)


def path(values: str = "path") -> Kind:
    """Return the kind of paths; kept as text, in the form they were given."""

    def check(value: Any) -> str:
        kept = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
        if not isinstance(kept, str) or not kept or "\0" in kept:
            raise ValueError("it must be a path")
        return kept

    return Kind(values, "str | os.PathLike[str]", str, check)


def references() -> Kind:
    """Return the kind of paths by model name. A variable may hold one path for all models."""

    def read(given: str) -> dict[str, str]:
        return _pairs(given, without_name=ANY)

    def check(value: Any) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise ValueError('it must be a mapping of model names to paths; "*" stands for every model')
        kept = {}
        for name, place in value.items():
            if not isinstance(name, str) or not isinstance(place, (str, os.PathLike)):
                raise ValueError(f"it must map model names to paths, and maps {name!r} to {place!r}")
            kept[name] = str(os.fspath(place))
        return kept

    accepts = "Mapping[str, str | os.PathLike[str]]"
    return Kind("a path, or `model=path` pairs joined by commas", accepts, read, check)


def cohorts() -> Kind:
    """Return the kind of allowed values by cohort dimension."""

    def read(given: str) -> dict[str, tuple[str, ...]]:
        return {name: tuple(allowed.split("|")) for name, allowed in _pairs(given).items()}

    def check(value: Any) -> dict[str, tuple[str, ...]]:
        if not isinstance(value, Mapping):
            raise ValueError("it must be a mapping of dimensions to lists of allowed values")
        kept = {}
        for name, allowed in value.items():
            if not isinstance(name, str) or isinstance(allowed, (str, bytes)) or not isinstance(allowed, Sequence):
                raise ValueError(f"it must map dimensions to lists of allowed values, and maps {name!r} to {allowed!r}")
            kept[name] = tuple(allowed)
        return kept

    return Kind("`plan=free|pro,carrier=UA|AA|*`", "Mapping[str, Sequence[str]]", read, check)


def receipt_keys() -> Kind:
    """Return the kind of lists of receipt keys. No message shows a secret."""

    def check(value: Any) -> str:
        from radiosonde._receipt_keys import ReceiptKeys  # hashing is 2 ms of `import radiosonde`

        if not isinstance(value, str):
            raise ValueError('it must be a text like "k2=SECRET,k1=SECRET"')
        if value:
            ReceiptKeys.parse(value)
        return value

    return Kind("`k2=SECRET,k1=SECRET`, secrets in hexadecimal or base64", "str", str, check)


def key() -> Kind:
    """Return the kind of hash keys: any text, because a refused key would leave values unhashed."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("it must be a text, preferably long and random")
        return value

    return Kind("text, preferably long and random", "str", str, check)


def _pairs(given: str, without_name: str | None = None) -> dict[str, str]:
    pairs = {}
    for item in given.split(","):
        name, separator, value = (part.strip() for part in item.partition("="))
        if not separator and without_name is not None:
            name, value = without_name, name
        if not name or not value:
            raise ValueError(f"{item.strip()!r} in it is not of the form name=value")
        pairs[name] = value
    return pairs
