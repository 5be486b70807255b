"""``radiosonde incident mitigate``: print the team's command against an incident, or run it and record that.

A run is recorded in the store before it starts (`radiosonde.store.mitigations`). ``incident verify`` takes the end of the last run that
succeeded for the moment of the fix.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from radiosonde._clock import wall_ns
from radiosonde.assets.subject import ACTIONS
from radiosonde.cli._mitigation_run import run_command, variables_of
from radiosonde.cli._runbooks import runbook_of
from radiosonde.cli._stores import author
from radiosonde.cli._terminal import console
from radiosonde.config.values import duration_words
from radiosonde.diagnose.finding import iso
from radiosonde.errors import ConfigurationError
from radiosonde.model.names import printable
from radiosonde.runbook.declared import gap_of, place_of, value_of
from radiosonde.store.mitigations import MitigationRun, begin_mitigation, end_mitigation, read_mitigations

if TYPE_CHECKING:
    import argparse

    from radiosonde.cli._incidents import DiagnosedStore
    from radiosonde.diagnose import Finding
    from radiosonde.sources import StoredSource

SCHEMA: Final = "radiosonde.mitigation/1"
NAMES: Final = {key.removeprefix("mitigate."): key for key in ACTIONS}
"""Keys of the commands in `radiosonde.toml`, by the name of the action."""

SUCCEEDED, COMMAND_FAILED, INTERRUPTED = 0, 1, 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``incident mitigate`` besides the store and the id."""
    parser.add_argument("--action", choices=sorted(NAMES), metavar="NAME", help=f"one of {', '.join(sorted(NAMES))}")
    parser.add_argument("--run", action="store_true", help="run the command, after a confirmation, and record it")
    parser.add_argument("--yes", action="store_true", help="with --run: do not ask for a confirmation")


def mitigate(looked: DiagnosedStore, finding: Finding, args: argparse.Namespace) -> int:
    """List the mitigations of *finding*, print the command of one, or run it; return the exit code.

    Raises:
        StoreError: the store cannot be written; nothing was run.
        ConfigurationError: the command is not declared or was not confirmed, or the incident is over; nothing was run.
    """
    if args.action is None:
        if args.run:
            raise ConfigurationError("--run needs --action NAME; without it the mitigations of the incident are listed")
        return _list(looked, finding, as_json=args.json)
    command, variables = _declared(looked, finding, args.action), variables_of(finding, args.action)
    if not args.run:
        print_command(looked, finding, args.action, as_json=args.json)
        return SUCCEEDED
    if finding.onset.ended_ns is not None:
        raise ConfigurationError(
            f"incident {finding.id} ended at {iso(finding.onset.ended_ns)}: there is nothing to mitigate; without --run the command is printed"
        )
    if os.name != "posix":
        raise ConfigurationError("--run needs Linux or macOS; without it the command is printed, to be run by hand")
    path = looked.source.annotations_path
    if not args.yes:
        _confirm(looked, args.action, command)
    planned = MitigationRun(
        0, finding.where.model, finding.id, NAMES[args.action], command, wall_ns(), None, "running", None, "", author()
    )
    planned = planned._replace(mitigation_id=begin_mitigation(path, planned))
    ended = run_command(command, variables, args.limit_s, None if args.json else _show)
    done = planned._replace(ended_ns=wall_ns(), outcome=ended.outcome, exit_code=ended.exit_code, output=ended.output)
    end_mitigation(path, done)
    _report(looked, done, args.limit_s, as_json=args.json)
    if done.outcome == "interrupted":
        return INTERRUPTED
    return SUCCEEDED if done.outcome == "done" else COMMAND_FAILED


def mitigations_of(source: StoredSource, incident: str) -> list[MitigationRun]:
    """Return the commands that were run against *incident*, in the order of their start.

    Raises:
        StoreError: a store has become unreadable.
    """
    paths = filter(Path.is_file, source.annotations_paths)
    runs = [each for path in paths for each in read_mitigations(path) if each.incident == incident]
    return sorted(runs, key=lambda each: (each.started_ns, each.mitigation_id))


def mitigated_ns(source: StoredSource, finding: Finding) -> int | None:
    """Return the end of the last successful run against *finding*, an incident that goes on; None if there is none.

    Raises:
        StoreError: a store has become unreadable.
    """
    ends = [each.ended_ns for each in mitigations_of(source, finding.id) if each.outcome == "done" and each.ended_ns]
    return max((end for end in ends if end > finding.onset.at_ns), default=None)


def _declared(looked: DiagnosedStore, finding: Finding, action: str) -> str:
    configuration, model = looked.policy.configuration, finding.where.model
    command: str = value_of(configuration.of(model), NAMES[action])
    if not command:
        gap = gap_of(model, NAMES[action])
        raise ConfigurationError(
            f"{NAMES[action]} is not declared for the model: add `{gap.line}` under `{gap.table}` in {place_of(configuration.path)}, with your command in place of the dots"
        )
    return command


def _list(looked: DiagnosedStore, finding: Finding, *, as_json: bool) -> int:
    book = runbook_of(looked, finding)
    choices = {each.key: each for each in (*book.mitigations, book.last_resort)}
    if as_json:
        entries = [{**each._asdict(), "gap": each.gap and each.gap._asdict()} for each in choices.values()]
        _dump({"schema": SCHEMA, "id": finding.id, "mitigations": entries})
        return SUCCEEDED
    terminal = console()
    for each in choices.values():
        terminal.print(f"{each.key.removeprefix('mitigate.')}  {each.title}", style="bold", soft_wrap=True)
        for label, text in (("when", each.when), ("not when", each.unless)):
            said = textwrap.fill(f"{label}: {text}", terminal.width, initial_indent="  ", subsequent_indent="    ")
            terminal.print(said, soft_wrap=True)
        shown = f"$ {each.command}" if each.gap is None else f"not declared; add to {each.gap.table}: {each.gap.line}"
        terminal.print(f"  {shown}", soft_wrap=True)
    return SUCCEEDED


def print_command(looked: DiagnosedStore, finding: Finding, action: str, *, as_json: bool) -> None:
    """Print the command of *action*, after the variables that it would get."""
    command, variables = _declared(looked, finding, action), variables_of(finding, action)
    if as_json:
        _dump({
            "schema": SCHEMA, "id": finding.id, "action": NAMES[action], "command": command, "variables": variables,
            "run": None,
        })  # fmt: skip
        return
    for name, value in variables.items():
        if printable(value) == value:
            print(f"export {name}={shlex.quote(value)}")
        else:  # with another character in its place it would name another place
            print(f"# {name} holds characters that cannot be printed; use --run")
    print(printable(command))


def _confirm(looked: DiagnosedStore, action: str, command: str) -> None:
    print(f"From {place_of(looked.policy.configuration.path)}:\n  $ {printable(command)}", file=sys.stderr)
    if not sys.stdin.isatty():
        raise ConfigurationError("nothing was run: there is no terminal to confirm it on; add --yes")
    print(f"Type {action} to run it: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != action:
        raise ConfigurationError("nothing was run: it was not confirmed")


def _show(piece: str) -> None:
    sys.stdout.write(printable(piece))
    sys.stdout.flush()


def _report(looked: DiagnosedStore, done: MitigationRun, limit_s: float, *, as_json: bool) -> None:
    if as_json:
        _dump(
            {
                "schema": SCHEMA,
                "id": done.incident,
                "action": done.action,
                "command": done.command,
                "run": done._asdict(),
            }
        )
        return
    if done.output and not done.output.endswith("\n"):
        print()
    how = {
        "failed": f"failed with exit code {done.exit_code}",
        "timed out": f"was ended after {duration_words(limit_s)}",
        "interrupted": "was interrupted",
    }.get(done.outcome, "succeeded")
    print(f"{done.action} {how}; recorded in {looked.source.annotations_path}")
    if done.outcome == "done":
        stores = " ".join(shlex.quote(str(each)) for each in looked.stores[:1])
        print(f"Verify it with: radiosonde incident verify {stores} {done.incident}")


def _dump(document: dict[str, Any]) -> None:
    json.dump(document, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")
