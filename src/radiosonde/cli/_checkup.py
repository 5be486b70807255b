"""Lines of ``radiosonde doctor``: one per check, with a remedy."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

State = Literal["ok", "off", "note", "fix"]


class CheckupLine(NamedTuple):
    """The result of one check.

    Attributes:
        topic: section: ``libraries``, ``settings``, ``export``, ``server``, ``reference``.
        state: ``ok``; ``off``: not configured; ``note``: works, with a remark; ``fix``: requires action.
        said: one sentence.
        command: the next command to run; ``""`` for none.
    """

    topic: str
    state: State
    said: str
    command: str = ""


_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|HEADERS|CREDENTIAL")
_USER = re.compile(r"(?<=://)[^/@\s]+@")


def masked(name: str, value: str) -> str:
    """Return the value of a variable for display: secrets, users and passwords are masked."""
    return "(set, not shown)" if _SECRET.search(name) else without_user(value)


def without_user(address: str) -> str:
    """Return *address* with user and password replaced."""
    return _USER.sub("***@", address)
