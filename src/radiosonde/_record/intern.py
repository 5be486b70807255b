"""Bounded, append-only tables from values to small codes, which the hot path writes instead of text.

Looking up is one `dict.get` on `codes`; adding takes a lock, which is re-entrant because a finaliser may predict while
it is held. Codes are never reused or removed, so a reader may index `names` with any code it has seen.

A value is converted to a name once, by `radiosonde.model.names`; `names` are safe for every carrier. A value is kept next to its name only
if it is small and there are few, because requests may choose it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from radiosonde._native import RLock
from radiosonde.model.losses import NAME_CHANGED
from radiosonde.model.names import LONGEST_NAME, checked_name

SPELLINGS = 4
"""Values remembered per name on average: ``1``, ``1.0``, ``True`` and ``"1"`` may all be one class. Arbitrary; bounds memory."""

_SHORT_BITS = 128
_SMALL = (type(None), type, Enum)


class Codes:
    """Codes for hashable values.

    Args:
        bound: number of codes handed out; everything after that gets `overflow`.
        first: values that take the codes from 0 on.
        overflow_name: name of the overflow code.
        longest: characters of a name.
        room: characters that may still be added to all tables that share this one-element list; None: any number.
        encode: converts a code to the form kept in `codes` and returned by `add`.

    Attributes:
        codes: code by value, encoded.
        names: name by code.
        overflow: code of values that no longer fit; -1 while all fit.
    """

    def __init__(
        self,
        bound: int,
        *,
        first: Iterable[object] = (),
        overflow_name: str = "__other__",
        longest: int = LONGEST_NAME,
        room: list[int] | None = None,
        encode: Callable[[int], Any] = int,
    ) -> None:
        self._lock = RLock()
        self._bound = bound
        self._overflow_name = overflow_name
        self._longest = longest
        self._room = room
        self._encode = encode
        self.overflow = -1
        self.codes: dict[Any, Any] = {}
        self.names: list[str] = []
        self._listeners: list[Callable[[int, list[str]], None]] = []
        for value in first:
            name, _ = checked_name(value, longest)
            self.codes[name] = encode(len(self.names))
            self.names.append(name)

    def subscribe(self, listener: Callable[[int, list[str]], None]) -> None:
        """Call *listener* with the names and the code of the first: those there are now, and new ones before their codes are handed out."""
        with self._lock:
            listener(0, self.names)
            self._listeners.append(listener)

    def _new(self, name: str) -> int:
        code = len(self.names)
        for listener in self._listeners:
            listener(code, [name])
        self.names.append(name)
        if self._room is not None:
            self._room[0] -= len(name)
        return code

    @property
    def is_full(self) -> bool:
        """Whether no further value gets a code."""
        return len(self.names) >= self._bound or (self._room is not None and self._room[0] <= 0)

    def find(self, value: object) -> Any:
        """Return the code of *value*; None if it has none yet, or cannot be hashed."""
        try:
            return self.codes.get(value)
        except Exception:  # noqa: BLE001 - a user's ``__hash__`` and ``__eq__`` may raise anything
            return None

    def add(self, value: object, lose: Callable[[str], None], *, name: object = None) -> tuple[Any, bool]:
        """Return the code of *value* and whether it had to share the overflow code.

        Two values of the same name (the integer 1 and the text ``"1"``) share a code.

        Args:
            value: the value.
            lose: counts a name that had to be changed, once for each new name.
            name: the value it is named by; None: *value* itself.
        """
        text, is_changed = checked_name(value if name is None else name, self._longest)
        with self._lock:
            code = self.codes.get(text)
            if code is None and not self.is_full:
                code = self.codes[text] = self._encode(self._new(text))
                if is_changed:
                    lose(NAME_CHANGED)
            if code is not None:
                if len(self.codes) < SPELLINGS * self._bound:
                    self._remember(value, code)
                return code, False
            if self.overflow < 0:
                self.overflow = self._new(self._overflow_name)
            return self._encode(self.overflow), True

    def add_plain(self, texts: Iterable[str]) -> None:
        """Give codes to those of *texts* that have none, as far as there is room. Each is short, printable, and so its own name.

        A tenth of the time of `add` for each, because a batch may bring thousands.
        """
        with self._lock:
            room = self._bound - len(self.names)
            chars = None if self._room is None else self._room[0]
            fresh: list[str] = []
            known = self.codes
            for text in texts:
                if text in known:
                    continue
                if len(fresh) >= room or (chars is not None and chars <= 0):
                    break
                fresh.append(text)
                if chars is not None:
                    chars -= len(text)
            if not fresh:
                return
            first = len(self.names)
            for listener in self._listeners:
                listener(first, fresh)
            self.names += fresh
            if self._room is not None and chars is not None:
                self._room[0] = chars
            known.update(zip(fresh, map(self._encode, range(first, first + len(fresh))), strict=True))

    def _remember(self, value: object, code: Any) -> None:
        try:
            if _is_small(value):
                self.codes[value] = code
        except Exception:  # noqa: BLE001, S110 - as in `find`; it is found by its name every time
            pass


def _is_small(value: Any) -> bool:
    """Return whether a value can be kept: it is hashable, and its size is bounded."""
    if isinstance(value, (str, bytes)):
        return len(value) <= LONGEST_NAME
    if isinstance(value, int):
        return value.bit_length() <= _SHORT_BITS
    if isinstance(value, float):
        return value == value  # noqa: PLR0124 - each NaN would be a separate value
    return isinstance(value, _SMALL)
