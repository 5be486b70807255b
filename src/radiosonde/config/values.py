"""Kinds of values in `radiosonde.toml`: how each is validated, described and expressed as a JSON schema.

`ValueKind.check` raises ValueError with a complete sentence and the correction. TOML has types, so a number in quotes is a mistake and not
a number.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_ADDRESS = re.compile(r"https?://[^/\s]\S*|env:[A-Za-z_][A-Za-z0-9_]*")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIMED = r"^\s*\d+(\.\d+)?(ms|s|m|h|d|w) +\S"
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?) ?(ms|s|m|h|d|w)")


@dataclass(frozen=True, slots=True)
class ValueKind:
    """One kind of values.

    Attributes:
        type: name of the type, for people.
        unit: unit of the value that `check` returns, or ``""``.
        bounds: description of the valid values.
        check: validates and converts a value.
        schema: the JSON schema of a value.
    """

    type: str
    unit: str
    bounds: str
    check: Callable[[Any], Any]
    schema: Mapping[str, Any]


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as ``250ms``, ``30s``, ``15m``, ``36h``, ``7d`` or ``2w``.

    Raises:
        ValueError: *text* is not a duration.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"{_shown(text)} is not a duration; write a number and a unit (ms, s, m, h, d or w), such as 250ms"
        )
    return float(found[1]) * _UNITS_S[found[2]]


def duration_words(seconds: float) -> str:
    """Return *seconds* in the largest unit that leaves at least one."""
    for unit in ("w", "d", "h", "m", "s", "ms"):
        if seconds >= _UNITS_S[unit] and (unit != "w" or not seconds % _UNITS_S[unit]):
            return f"{seconds / _UNITS_S[unit]:.4g} {'min' if unit == 'm' else unit}"
    return f"{1000 * seconds:.3g} ms"


def share(least: float, below: float) -> ValueKind:
    """Return the kind of shares from *least* up to, but not including, *below*."""
    bounds = f"from {least:.15g} to below {below:.15g}"

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{_shown(value)} is not a number; write a share without quotes, such as 0.01 for 1 %")
        if 1 <= value <= 100 and value / 100 < below:
            raise ValueError(f"a share is {bounds}; write {value / 100:.6g} for {value:.6g} %")
        if not least <= value < below:
            raise ValueError(f"{value} is not a share {bounds}; write 0.01 for 1 %")
        return float(value)

    schema = {"type": "number", "minimum": least, "exclusiveMaximum": below}
    return ValueKind("share", "", bounds, check, schema)


def duration(least: str, most: str) -> ValueKind:
    """Return the kind of durations from *least* to *most*; kept in seconds."""
    lowest, highest = parse_duration(least), parse_duration(most)
    bounds = f"from {least} to {most}"

    def check(value: Any) -> float:
        if not isinstance(value, str):
            raise ValueError(
                f'{_shown(value)} has no unit; write a duration in quotes, such as "250ms", "30s" or "36h"'
            )
        seconds = parse_duration(value)
        if not lowest <= seconds <= highest:
            raise ValueError(f"{_shown(value)} is out of bounds; write a duration {bounds}")
        return seconds

    schema = {"type": "string", "pattern": f"^{_DURATION.pattern}$"}
    return ValueKind("duration", "s", bounds, check, schema)


def line(longest: int) -> ValueKind:
    """Return the kind of texts of one line and at most *longest* characters."""
    bounds = f"1 to {longest} characters on one line"

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"{_shown(value)} is not text; put it in quotes")
        if not value.strip() or len(value) > longest or not value.isprintable():
            raise ValueError(f"{_shown(value)} cannot be used; write {bounds}")
        return value.strip()

    return ValueKind("text", "", bounds, check, {"type": "string", "minLength": 1, "maxLength": longest})


def lines(most: int, longest: int) -> ValueKind:
    """Return the kind of lists of up to *most* texts of one line."""
    one = line(longest)
    bounds = f"up to {most} texts of {one.bounds}"

    def check(value: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            raise ValueError(f"{_shown(value)} is one text; write a list of texts, such as [{_shown(value)}]")
        if not isinstance(value, list) or len(value) > most:
            raise ValueError(f"{_shown(value)} cannot be used; write a list of {bounds}")
        return tuple(one.check(entry) for entry in value)

    return ValueKind("list of texts", "", bounds, check, {"type": "array", "maxItems": most, "items": dict(one.schema)})


def timed_lines(most: int, longest: int) -> ValueKind:
    """Return the kind of lists of up to *most* texts, each a duration and a text after a space; the durations ascend."""
    plain = lines(most, longest)

    def check(value: Any) -> tuple[str, ...]:
        checked: tuple[str, ...] = plain.check(value)
        former = -1.0
        for entry in checked:
            after, _, who = entry.partition(" ")
            try:
                seconds = parse_duration(after)
            except ValueError:
                seconds = -1.0
            if seconds < 0 or not who.strip():
                raise ValueError(
                    f'{_shown(entry)} cannot be used; write a time, a space and a name, such as "15m team lead"'
                )
            if seconds <= former:
                raise ValueError(
                    f"{_shown(entry)} is not later than the entry before it; write the entries in the order of their times"
                )
            former = seconds
        return checked

    schema = {**plain.schema, "items": {**plain.schema["items"], "pattern": _TIMED}}
    return ValueKind("list of texts", "", f"{plain.bounds}, each a time and a name, earliest first", check, schema)


def date() -> ValueKind:
    """Return the kind of days, written as a date of TOML or as text; kept as ISO 8601 text."""
    bounds = "a date, such as 2026-11-02"

    def check(value: Any) -> str:
        if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            return value.isoformat()
        try:
            if isinstance(value, str) and _DAY.fullmatch(value):
                return dt.date.fromisoformat(value).isoformat()
        except ValueError:
            pass
        raise ValueError(f"{_shown(value)} is not a day; write {bounds}")

    return ValueKind("date", "", bounds, check, {"type": "string", "pattern": f"^{_DAY.pattern}$"})


def whole(least: int, most: int) -> ValueKind:
    """Return the kind of whole numbers from *least* to *most*."""
    bounds = f"from {least} to {most}"

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{_shown(value)} cannot be used; write a whole number {bounds}, without quotes")
        return value

    return ValueKind("number", "", bounds, check, {"type": "integer", "minimum": least, "maximum": most})


def choice(*words: str) -> ValueKind:
    """Return the kind of one of *words*."""
    bounds = " or ".join(words)

    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(f"{_shown(value)} cannot be used; write {bounds}, in quotes")
        return str(value)

    return ValueKind("text", "", bounds, check, {"type": "string", "enum": list(words)})


def addresses(most: int) -> ValueKind:
    """Return the kind of lists of up to *most* addresses of HTTP servers."""
    one = line(2000)
    bounds = f"up to {most} addresses that begin with http://, https:// or env:"

    def address(value: Any) -> str:
        text: str = one.check(value)
        if not _ADDRESS.fullmatch(text):
            raise ValueError(
                f"{_shown(value)} is not an address; write http://HOST..., https://HOST..., or env:NAME to read it from a variable"
            )
        return text

    def check(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or len(value) > most:
            raise ValueError(f"{_shown(value)} cannot be used; write a list of {bounds}")
        return tuple(address(entry) for entry in value)

    schema = {"type": "array", "maxItems": most, "items": {**one.schema, "pattern": f"^{_ADDRESS.pattern}$"}}
    return ValueKind("list of texts", "", bounds, check, schema)


def _shown(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
