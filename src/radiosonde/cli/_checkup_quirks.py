"""What particular servers and options of Python need: each rule is about one start command, and was tried with the program itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from radiosonde.cli._checkup import CheckupLine

if TYPE_CHECKING:
    from radiosonde.cli._checkup_server import Server

PYTHON: Final = re.compile(r"python[\d.]*")
WITH_VALUE: Final = {"-W", "-X", "--check-hash-based-pycs"}
"""Options of Python that are followed by a value."""

_ISOLATED = re.compile(r"-[A-Za-z]*[IES][A-Za-z]*")
_TRUE = {"1", "true", "yes", "on"}


def quirk_lines(server: Server, variables: Mapping[str, str]) -> Iterator[CheckupLine]:
    """Yield what the server's program or interpreter needs."""
    option = isolating_option(server.words)
    if option:
        yield CheckupLine(
            "server", "fix",
            f"python {option}: opentelemetry-instrument has no effect, because this option ignores PYTHONPATH or the site module; "
            "leave it out, or call radiosonde.instrument() in the server's code",
        )  # fmt: skip
    if server.program == "uwsgi" and not _has(
        server.arguments, "--enable-threads", "--threads", "--ini", "--yaml", "--xml"
    ):
        yield CheckupLine(
            "server",
            "fix",
            "uWSGI runs no threads of the application, so nothing would be counted; add --enable-threads",
        )
    if server.program == "flask" and "run" in server.arguments and _reloads(server.arguments, variables):
        yield CheckupLine(
            "server", "note",
            "Flask's reloader kills the process that serves when SIGTERM ends it: the predictions of the last minute are lost; end it by "
            "Ctrl-C, or run it without --debug",
        )  # fmt: skip


def isolating_option(words: Sequence[str]) -> str:
    """Return the option of Python that keeps ``opentelemetry-instrument`` from having an effect; empty: none."""
    for place, word in enumerate(words):
        if PYTHON.fullmatch(PurePath(word).name):
            for option in interpreter_options(words[place + 1 :]):
                if _ISOLATED.fullmatch(option):
                    return option
    return ""


def interpreter_options(words: Sequence[str]) -> Sequence[str]:
    """Return the options of Python at the start of *words*, up to ``-m``, ``-c`` or a file."""
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-", "-m", "-c"):
        at += 2 if words[at] in WITH_VALUE else 1
    return words[:at]


def _has(words: Sequence[str], *options: str) -> bool:
    return any(word.partition("=")[0] in options or word.endswith((".ini", ".yaml", ".xml")) for word in words)


def _reloads(words: Sequence[str], variables: Mapping[str, str]) -> bool:
    if "--no-reload" in words:
        return False
    return "--reload" in words or "--debug" in words or variables.get("FLASK_DEBUG", "").lower() in _TRUE
