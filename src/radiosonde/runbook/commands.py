r"""Fills the placeholders of a command so that any name from telemetry is one argument for the shell.

Names are quoted by `shlex.quote`. Characters that a page cannot show (control characters, those that reverse the direction of text) are
written as ``$'\x1b'``, which bash, zsh and ksh read; quoted otherwise, they would reach the terminal of the reader.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING

from radiosonde.assets.subject import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLACEHOLDER = re.compile(rf"(--[a-z]+ )?\b({'|'.join(('STORE', 'MODEL', 'ID', *EXAMPLES))})\b")


def fill(command: str, values: Mapping[str, str]) -> str | None:
    """Return *command* with its placeholders filled in; None if one has no value, or a value that no argument can hold."""
    named = [found[2] for found in _PLACEHOLDER.finditer(command)]
    if any(not values.get(name) or "\0" in values[name] for name in named):
        return None
    return _PLACEHOLDER.sub(lambda found: _argument(found[1] or "", found[2], values[found[2]]), command)


def quote(text: str) -> str:
    """Return *text* as one word of a shell, in printable characters."""
    if text.isprintable():
        return shlex.quote(text)
    plain = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in "'\\" else f"\\x{byte:02x}" for byte in os.fsencode(text)
    )
    return f"$'{''.join(plain)}'"


def store_argument(path: str) -> str:
    """Return *path* as an argument that no command takes for an option."""
    return f"./{path}" if path.startswith("-") else path


def _argument(option: str, name: str, value: str) -> str:
    if name == "STORE":
        value = store_argument(value)
    # argparse takes a separate word that begins with a hyphen for another option.
    joined = f"{option.rstrip()}=" if option and value.startswith("-") else option
    return joined + quote(value)
