r"""The one door through which every text that becomes a name passes: models, versions, cohorts, classes, phases, features.

A name ends as a label of Prometheus, an attribute of OTLP, a column of SQLite and a line on a terminal. Each of them refuses or
misreads something: UTF-8 has no lone surrogates (``os.fsdecode`` and ``"\ud800"`` in JSON make them), a terminal obeys control
characters, and a label of a megabyte costs a megabyte in every carrier. One bad name used to take the host's own ``/metrics``
down. So a name is made safe once, when it is first met, and everything downstream can rely on it.

A name that passes unchanged is the usual case and costs two tests. One that has to be changed ends in eight digits of a hash of
the original, so that two names that differ before do so afterwards: rows of one class are never counted under another.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

RUNTIME_MODEL: Final = "__runtime__"
"""Model name in windows that hold the health of a process. A model of this name is renamed."""

LONGEST_NAME: Final = 256
"""Characters of a name. Arbitrary; bounds labels, attributes and everything that is kept by name."""

REPLACED: Final = "\ufffd"
"""Replacement for each character that is not allowed in names."""

_HASHED = 1 << 16
"""Number of characters at either end that distinguish long texts: hashing all of a text chosen by a request could take seconds."""

_LONGEST_BITS = 1024
"""Longer integers are not written out: Python refuses the longest ones, and takes long for the others."""

_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, separators of lines, characters that reverse the direction of what follows, and lone surrogates."""

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""The same without line feed, tab and the separators of lines."""

_CONTAINERS = (list, tuple, dict, set, frozenset)


def name_of(value: object) -> str:
    r"""Return the name of *value*: valid UTF-8, no control characters, at most `LONGEST_NAME` characters.

    Text is unchanged, bytes are decoded as UTF-8, an enum member is its value if that is text or a number, and other values are converted
    by ``str``. Defined for every object; never raises. ``name_of(name_of(value)) == name_of(value)``.

    >>> name_of("late"), name_of(7), name_of(b"late"), name_of(None)
    ('late', '7', 'late', 'None')
    >>> name_of("caf\udce9")
    'caf�~d893a449'
    """
    return checked_name(value)[0]


def checked_name(value: object, longest: int = LONGEST_NAME) -> tuple[str, bool]:
    """Return `name_of` *value* in at most *longest* characters, and whether its text had to be changed for that."""
    if type(value) is str and len(value) <= longest and value.isprintable():
        return value, False
    text = _text(value)
    paired = _joined(text[: 2 * longest])
    safe = _FORBIDDEN.sub(REPLACED, paired)
    if safe == paired and len(paired) <= longest and len(text) <= 2 * longest:
        return safe, False
    return f"{safe[: longest - 9]}~{_digest(text)}", True


def checked_model(value: object) -> tuple[str, bool]:
    """Return the name of a model and whether it was changed: like `checked_name`, without reserved names."""
    name, is_changed = checked_name(value)
    return (f"{name}~{_digest(name)}", True) if name == RUNTIME_MODEL else (name, is_changed)


def plain_text(value: object, longest: int = LONGEST_NAME) -> str:
    """Return *value* for messages: like a name, but without the hash, and of the given length."""
    return _FORBIDDEN.sub(REPLACED, _joined(_text(value)[:longest]))


def printable(text: str) -> str:
    """Return multi-line text that can be shown and encoded: `REPLACED` for each control character except line feed and tab."""
    return text if text.isascii() and text.isprintable() else _UNPRINTABLE.sub(REPLACED, text)


def has_own_text(value: object) -> bool:
    """Return whether a value has a stable text: not a container, an array or an object printed with its address."""
    kind = type(value)
    try:
        if isinstance(value, _CONTAINERS) or getattr(value, "ndim", None):
            return False
    except Exception:  # noqa: BLE001 - a user's ``__getattr__`` may raise anything
        return False
    return kind.__str__ is not object.__str__ or kind.__repr__ is not object.__repr__


def _text(value: Any) -> str:
    """Return the text of any object. Overridden ``__str__`` of subclasses of text and numbers is ignored."""
    try:
        if isinstance(value, Enum) and isinstance(value.value, (str, bytes, int, float)):
            value = value.value
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value).decode("utf-8", "surrogateescape")
        if isinstance(value, bool):
            return str(value)
        if isinstance(value, int):
            bits = value.bit_length()
            return int.__repr__(value) if bits <= _LONGEST_BITS else f"<integer of {bits} bits>"
        if isinstance(value, float):
            return float.__repr__(value)
        if isinstance(value, type):
            return f"{value.__module__}.{value.__qualname__}"
        if isinstance(value, _CONTAINERS):
            return _written_out(value)
        if not has_own_text(value) and not getattr(value, "ndim", None):
            return f"<{type(value).__name__}>"  # not by its address, which would be a name for every object
        return str.__str__(str(value))
    except Exception:  # noqa: BLE001 - a user's ``__str__`` may raise anything
        return f"<unprintable {type(value).__name__}>"


def _written_out(container: Any) -> str:
    """Return the ``repr`` of a container, truncated if large: formatting input of a request could take seconds."""
    import reprlib  # rarely needed

    writer = reprlib.Repr()
    writer.maxlevel, writer.maxstring, writer.maxother, writer.maxlong = 4, LONGEST_NAME, LONGEST_NAME, LONGEST_NAME
    writer.maxtuple = writer.maxlist = writer.maxdict = writer.maxset = writer.maxfrozenset = 64
    return writer.repr(container)


def _joined(text: str) -> str:
    """Return *text* with each pair of surrogates replaced by its character."""
    return _PAIR.sub(lambda pair: pair.group().encode("utf-16-le", "surrogatepass").decode("utf-16-le"), text)


def _digest(text: str) -> str:
    import hashlib  # 5 ms of import; most processes never need it

    ends = f"{len(text)} {text[:_HASHED]}{text[_HASHED:][-_HASHED:]}"
    return hashlib.blake2b(ends.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
