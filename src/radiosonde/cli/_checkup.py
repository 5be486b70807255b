"""What ``radiosonde doctor`` says: one line per thing it looked at, and what to do about it."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

State = Literal["ok", "off", "note", "fix"]


class Line(NamedTuple):
    """One thing that was looked at.

    Attributes:
        topic: what it is part of: ``libraries``, ``settings``, ``export``, ``server``, ``reference``.
        state: ``ok``; ``off``: nobody asked for it; ``note``: works, could be better; ``fix``: something to do.
        said: one sentence.
        command: what to type next; ``""`` for nothing.
    """

    topic: str
    state: State
    said: str
    command: str = ""


_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|HEADERS|CREDENTIAL")
_USER = re.compile(r"(?<=://)[^/@\s]+@")


def masked(name: str, value: str) -> str:
    """Return the value of a variable as it may be shown: no secret, and no user or password in an address."""
    return "(set, not shown)" if _SECRET.search(name) else without_user(value)


def without_user(address: str) -> str:
    """Return *address* with user and password replaced."""
    return _USER.sub("***@", address)
