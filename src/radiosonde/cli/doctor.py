"""``radiosonde doctor [SERVER COMMAND]``: check an environment. Exit code 0 if no action is needed, else 1.

Needs no extra: it is run in the model server's environment, where the desk's libraries are not.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from radiosonde._settings import Settings, variables_in_force
from radiosonde._version import __version__
from radiosonde.cli._checkup import CheckupLine, masked
from radiosonde.cli._checkup_export import export_lines
from radiosonde.cli._checkup_libraries import library_lines
from radiosonde.cli._checkup_quirks import quirk_lines
from radiosonde.cli._checkup_server import Server, read_server, server_lines, variables_of
from radiosonde.cli._checkup_settings import reference_lines, variable_lines
from radiosonde.cli._checkup_watch import watch_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA = "radiosonde.doctor/1"
FINE, SOMETHING_TO_DO = 0, 1
WIDEST = 100
_MARKS = {"ok": "ok  ", "off": "off ", "note": "note", "fix": "FIX "}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``doctor`` to the command line."""
    parser = subparsers.add_parser(
        "doctor",
        help="report what would be observed in this environment, and how to fix problems",
        description="Report what would be observed in this environment, where it would be exported, and how to fix problems. Run it where "
        "the server runs, with the server's environment.",
        epilog="Exit code: 0 no action needed, 1 action needed, 2 could not run.",
    )
    parser.add_argument("--json", action="store_true", help=f"print the results as JSON ({SCHEMA})")
    parser.add_argument(
        "server",
        nargs=argparse.REMAINDER,
        metavar="SERVER COMMAND",
        help="command that starts the server (parsed, not run), as in gunicorn -w 4 server:app",
    )


def run(args: argparse.Namespace) -> int:
    """Check this environment, print the results and return the exit code."""
    own = variables_in_force()
    server = read_server([word for word in args.server if word != "--"], own)
    variables = variables_in_force(variables_of(server, own))
    lines = _look(variables, server)
    todo = [line for line in lines if line.state == "fix"]
    following = _next(lines, variables, server)
    if args.json:
        document = {
            "schema": SCHEMA,
            "healthy": not todo,
            "version": __version__,
            "python": platform.python_version(),
            "variables": {name: masked(name, value) for name, value in variables.items()},
            "lines": [line._asdict() for line in lines],
            "next": following,
        }
        json.dump(document, sys.stdout, indent=2)
        print()
    else:
        _print(lines, len(todo), following)
    return SOMETHING_TO_DO if todo else FINE


def _look(variables: Mapping[str, str], server: Server) -> list[CheckupLine]:
    lines = [*library_lines(variables), *variable_lines(variables)]
    settings = Settings.resolve(variables)
    return [
        *lines,
        *server_lines(settings, server),
        *quirk_lines(server, variables),
        *export_lines(settings, variables, server),
        *reference_lines(settings),
        *watch_lines(settings, variables),
    ]


def _next(lines: Sequence[CheckupLine], variables: Mapping[str, str], server: Server) -> str:
    """Return the next command: the first remedy, or the command that starts the server with Radiosonde."""
    remedy = next((line.command for line in lines if line.state == "fix" and line.command), "")
    if remedy or any(line.state == "fix" for line in lines):
        return remedy
    if server.words:
        return server.started
    settings = Settings.resolve(variables)
    if settings.store is not None and any("store:" in line.said and "holds" in line.said for line in lines):
        return f"radiosonde diagnose {shlex.quote(settings.store)}"
    return "opentelemetry-instrument uvicorn server:app"


def _print(lines: Sequence[CheckupLine], todo: int, following: str) -> None:
    width = min(shutil.get_terminal_size(fallback=(WIDEST, 25)).columns, WIDEST)
    verdict = f"{todo} problem{'s' * (todo != 1)} to fix" if todo else "no problems"
    print(f"radiosonde {__version__}, Python {platform.python_version()}: {verdict}")
    topic = ""
    for line in lines:
        head = f"{'' if line.topic == topic else line.topic:<10}{_MARKS[line.state]}  "
        topic = line.topic
        print(textwrap.fill(line.said, width, initial_indent=head, subsequent_indent=" " * len(head),
                            break_long_words=False, break_on_hyphens=False))  # fmt: skip
        if line.command and line.state in ("fix", "note"):
            # Never broken over lines: a command is there to be copied.
            print(f"{'':<16}$ {line.command}")
    if following:
        print(f"next:     $ {following}")
