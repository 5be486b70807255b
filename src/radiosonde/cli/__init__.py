"""The command line: ``radiosonde COMMAND``, one module per command.

A command module has ``add_parser(subparsers)``, which adds its parser, and ``run(args) -> int``, which returns the exit
code. Only the module of the chosen command is imported; the others are listed by the line they have in `COMMANDS`, so
``radiosonde --help`` answers without loading a model server, a database or a plotting library.

Exit codes: 0 done (for ``diagnose``: healthy), 1 findings, 2 could not run (one sentence on stderr says why), 3 a required check
could not be made (``diagnose``), or labels were received and none of them will count (``label``), 4 the data are stale
(``diagnose``), 130 interrupted, 141 the reader of a pipe went away.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, NamedTuple, Protocol

from radiosonde._version import __version__
from radiosonde.errors import RadiosondeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # argparse gives it no public name

FAILED, INTERRUPTED, PIPE_CLOSED = 2, 130, 141


class CommandModule(Protocol):
    """What a command module holds."""

    def add_parser(self, subparsers: Subparsers, /) -> object:
        """Add the command's parser."""

    def run(self, args: argparse.Namespace, /) -> int:
        """Run the command and return the exit code."""


def _load_reference() -> CommandModule:
    from radiosonde.cli import reference

    return reference


def _load_store() -> CommandModule:
    from radiosonde.cli import store

    return store


def _load_diagnose() -> CommandModule:
    from radiosonde.cli import diagnose

    return diagnose


def _load_agent() -> CommandModule:
    from radiosonde.cli import agent

    return agent


def _load_blackbox() -> CommandModule:
    from radiosonde.cli import blackbox

    return blackbox


def _load_doctor() -> CommandModule:
    from radiosonde.cli import doctor

    return doctor


def _load_label() -> CommandModule:
    from radiosonde.cli import label

    return label


def _load_demo() -> CommandModule:
    from radiosonde.cli import demo

    return demo


class Command(NamedTuple):
    """One command: its name, its line in ``radiosonde --help``, and what imports its module."""

    name: str
    summary: str
    load: Callable[[], CommandModule]


COMMANDS = (
    Command("reference", "build a reference profile from training data, or show one", _load_reference),
    Command("store", "look after a store: seal closed hours into Parquet", _load_store),
    Command("diagnose", "read a store and say what is wrong, where, and since when", _load_diagnose),
    Command("agent", "drain the rings of all processes in a spool, store and export what they counted", _load_agent),
    Command("blackbox", "print the last predictions of each process, and those in flight when it died", _load_blackbox),
    Command("label", "load labels from a CSV or Parquet file", _load_label),
    Command("doctor", "say what would be observed in this environment, what not and why, and what to do", _load_doctor),
    Command("demo", "train, serve and replay real flights with three incidents, and diagnose them", _load_demo),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit code.

    Args:
        argv: arguments after the program name; those of the process by default.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    chosen = _chosen(arguments)
    try:
        module = None if chosen is None else chosen.load()
        args = _parser(chosen, module).parse_args(arguments)
        return FAILED if module is None else module.run(args)
    except SystemExit as stop:
        # argparse leaves with 0 after --help and 2 after a usage error, which it has printed.
        return stop.code if isinstance(stop.code, int) else FAILED
    except RadiosondeError as error:
        print(f"radiosonde: {error}", file=sys.stderr)  # the command line speaks
        return FAILED
    except KeyboardInterrupt:
        print("radiosonde: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # `radiosonde ... | head`: nothing is wrong; keep the interpreter from complaining when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def _chosen(arguments: Sequence[str]) -> Command | None:
    """Return the command that the first argument names; options before it end the search, as they end the run."""
    first = arguments[0] if arguments else ""
    return next((command for command in COMMANDS if command.name == first), None)


class _CommandFormatter(argparse.HelpFormatter):
    """Keeps the name and the line of a command on one row: argparse forgets that commands are indented twice."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            self._action_max_length += self._indent_increment


def _parser(chosen: Command | None, module: CommandModule | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="radiosonde",
        description="Observe machine-learning models in production, and find out what is wrong with them.",
        epilog="radiosonde COMMAND --help says more about a command.",
        formatter_class=_CommandFormatter,
    )
    parser.add_argument("--version", action="version", version=f"radiosonde {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for command in COMMANDS:
        if command is chosen and module is not None:
            module.add_parser(subparsers)
        else:
            subparsers.add_parser(command.name, help=command.summary)
    return parser
