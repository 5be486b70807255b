"""``radiosonde incident``: list incidents, show one, print its runbook, mitigate it, verify its fix, acknowledge or mute it.

Incidents are computed from the windows at each call; annotations by people are kept in the store (`radiosonde.store.annotations`).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radiosonde._clock import wall_ns
from radiosonde.cli._incidents import DiagnosedStore, diagnosed, find_incident, measured_rate
from radiosonde.cli._mitigate import add_arguments, mitigate, mitigated_ns
from radiosonde.cli._runbooks import runbook_of
from radiosonde.cli._stores import HELP, address, author, filled_in, stores_of, time_ns
from radiosonde.cli._terminal import console
from radiosonde.config.values import duration_words, parse_duration
from radiosonde.diagnose.finding import iso
from radiosonde.diagnose.incidents import identity_of
from radiosonde.diagnose.text import print_finding, state_words
from radiosonde.diagnose.verification import Verification, verify
from radiosonde.errors import ConfigurationError
from radiosonde.model.percent import percent
from radiosonde.runbook import render
from radiosonde.store import Annotation, add_annotation, withdraw_annotation
from radiosonde.store.annotations import read_annotations

if TYPE_CHECKING:
    from rich.console import Console

    from radiosonde.diagnose import Diagnosis, Finding
    from radiosonde.sources import StoredSource

LIST_SCHEMA, VERIFY_SCHEMA = "radiosonde.incidents/1", "radiosonde.verification/1"
VERIFY_CODES = {"fixed": 0, "not fixed": 1, "unknown": 3}
_SHORTEST_S, _LONGEST_S = 60.0, 90 * 86_400.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``incident list``, ``show``, ``runbook``, ``mitigate``, ``verify``, ``ack``, ``mute`` and ``reopen`` to the command line."""
    parser = subparsers.add_parser(
        "incident", help="list, show, verify, acknowledge and mute incidents, print runbooks"
    )
    commands = parser.add_subparsers(dest="incident_command", required=True, metavar="COMMAND")
    listing = commands.add_parser(
        "list", help="list incidents, open ones first", description="List incidents: state, duration, impact."
    )
    listing.add_argument("store", type=address, nargs="*", metavar="STORE", help=HELP)
    listing.add_argument("--open", action="store_true", dest="only_open", help="only open ones")
    showing = commands.add_parser("show", help="show one incident", description="Show one incident, open or over.")
    writing = commands.add_parser(
        "runbook",
        help="print the runbook of an incident",
        description="Print the runbook of an incident as Markdown: evidence, impact, the mitigations declared in radiosonde.toml, verification, contacts, pitfalls, and messages for handoff and stakeholders.",
        epilog="Exit code: 0 printed, 2 could not run.",
    )
    mitigating = _add_mitigate(commands)
    verifying = commands.add_parser(
        "verify",
        help="test whether a fix worked",
        description="Test whether the rate since the fix is back to its usual value, and report the smallest rate that would have been detected.",
        epilog="Exit code: 0 fixed, 1 not fixed, 2 could not run, 3 not yet known.",
    )
    acking = commands.add_parser(
        "ack",
        help="acknowledge an incident, to show that it is being worked on",
        description="Acknowledge an open incident: it stays a finding.",
    )
    muting = commands.add_parser(
        "mute",
        help="mute an incident for some time",
        description="Mute an open incident: diagnose lists it apart and does not exit with 1 because of it, until the time is over.",
    )
    reopening = commands.add_parser("reopen", help="undo ack and mute", description="Undo ack and mute of an incident.")
    for command in (showing, writing, mitigating, verifying, acking, muting, reopening):
        command.add_argument("store", type=address, nargs="?", metavar="STORE", help=HELP)
        command.add_argument("id", metavar="ID", help="id of the incident, or a part of it that no other has")
    for command in (acking, muting):
        command.add_argument(
            "--for", type=_seconds, required=True, dest="length_s", metavar="TIME", help="how long: 30m, 2h, 3d"
        )
        command.add_argument("--why", required=True, metavar="TEXT", help="the reason, shown to others")
    verifying.add_argument(
        "--since",
        type=time_ns,
        metavar="TIME",
        help="moment of the fix (default: the last mitigation that was run, else the most likely one)",
    )
    for command in (listing, showing, writing, mitigating, verifying):
        command.add_argument("--json", action="store_true", help="print it as JSON")


def _add_mitigate(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    mitigating = commands.add_parser(
        "mitigate",
        help="print or run a command of your team against an incident",
        description="List the mitigations of an incident; with --action print the command that radiosonde.toml declares, with the incident as variables of its environment; with --run run and record it.",
        epilog="Exit code: 0 printed, or the command succeeded; 1 it failed or was ended; 2 nothing was run; 130 interrupted.",
    )
    add_arguments(mitigating)
    mitigating.add_argument(
        "--limit",
        type=_limit,
        default=300.0,
        dest="limit_s",
        metavar="TIME",
        help="with --run: end the command after this time (default: 5m)",
    )
    return mitigating


def run(args: argparse.Namespace) -> int:
    """Run the command that *args* names and return the exit code.

    Raises:
        StoreError: the store cannot be read or written.
        ConfigurationError: there is no such incident, or no store is named.
    """
    given = args.store if isinstance(args.store, list) else [args.store] if args.store is not None else []
    stores = stores_of(given)
    if args.incident_command == "runbook":
        stores = [path.absolute() for path in stores]  # a page is read in other folders, too
    looked = diagnosed(stores)
    if args.incident_command == "list":
        return _list(looked.diagnosis, only_open=args.only_open, as_json=args.json)
    finding = find_incident(looked.diagnosis.incidents, args.id)
    if args.incident_command == "show":
        return _show(looked, finding, as_json=args.json)
    if args.incident_command == "runbook":
        return _runbook(looked, finding, as_json=args.json)
    if args.incident_command == "mitigate":
        return mitigate(looked, finding, args)
    if args.incident_command == "verify":
        return _verify(looked, finding, args.since, as_json=args.json)
    if args.incident_command == "reopen":
        return _reopen(looked.source, finding)
    return _mark(looked.source, finding, args)


def _list(diagnosis: Diagnosis, *, only_open: bool, as_json: bool) -> int:
    chosen = [each for each in diagnosis.incidents if not only_open or each.onset.ended_ns is None]
    if as_json:
        entries = [_document(each, diagnosis.end_ns) for each in chosen]
        _dump({"schema": LIST_SCHEMA, "as_of_ns": diagnosis.end_ns, "incidents": entries})
        return 0
    terminal = console()
    for finding in chosen:
        severity = "" if finding.severity == "info" else f", {finding.severity}"
        terminal.print(f"{finding.id}  {state_words(finding)}{severity}", style="bold")
        _print(terminal, finding.title)
        began, lasted = iso(finding.onset.at_ns), duration_words(_lasted_s(finding, diagnosis.end_ns))
        impact = f"; {finding.impact.text}" if finding.impact is not None else ""
        _print(terminal, f"{finding.where.model}, from {began}, for {lasted}{impact}")
    if not chosen:
        terminal.print("no incident is open" if only_open else "there are no incidents")
    return 0


def _show(looked: DiagnosedStore, finding: Finding, *, as_json: bool) -> int:
    if as_json:
        _dump(_document(finding, looked.diagnosis.end_ns))
        return 0
    print_finding(finding, console(), command=filled_in(looked.stores, looked.source))
    return 0


def _runbook(looked: DiagnosedStore, finding: Finding, *, as_json: bool) -> int:
    book = runbook_of(looked, finding)
    if as_json:
        _dump(book.to_json())
    else:
        sys.stdout.write(render(book, console().width))
    return 0


def _verify(looked: DiagnosedStore, finding: Finding, since_ns: int | None, *, as_json: bool) -> int:
    measured = measured_rate(looked, finding)
    if measured is None:
        return _verify_by_state(finding, as_json=as_json)
    chosen = finding.onset.ended_ns if since_ns is None else since_ns
    if chosen is None:
        chosen = mitigated_ns(looked.source, finding)
    if chosen is not None and chosen <= finding.onset.at_ns:
        raise ConfigurationError(
            f"--since is before the incident began ({iso(finding.onset.at_ns)}); give the moment of the fix"
        )
    done = verify(measured, finding.onset.at_ns, chosen)
    if as_json:
        plain = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in done._asdict().items()
        }
        _dump({"schema": VERIFY_SCHEMA, "id": finding.id, **plain})
    else:
        _print_verification(finding, done)
    return VERIFY_CODES[done.answer]


def _verify_by_state(finding: Finding, *, as_json: bool) -> int:
    """Verify incidents without a single rate by the current result of their check."""
    answer = {"verified": "fixed", "recovered": "unknown"}.get(finding.state, "not fixed")
    if as_json:
        _dump({"schema": VERIFY_SCHEMA, "id": finding.id, "answer": answer, "state": finding.state})
    else:
        terminal = console()
        terminal.print(f"{answer.upper()}  {finding.id}  {finding.title}", style="bold")
        _print(
            terminal,
            f"by its state ({finding.state}): no single rate measures it, so its detection power is unknown",
        )
    return VERIFY_CODES[answer]


def _print_verification(finding: Finding, done: Verification) -> None:
    terminal = console()
    words = {"fixed": "FIXED", "not fixed": "NOT FIXED", "unknown": "NOT YET KNOWN"}[done.answer]
    terminal.print(f"{words}  {finding.id}  {finding.title}", style="bold")
    moment = "" if done.is_given else " (the most likely moment; --since gives another)"
    if done.trials:
        counted = f"{done.rate * done.trials:,.0f} of {done.trials:,.0f}".replace(",", " ")
        sure = 95 if done.is_given else 99.7
        _print(
            terminal,
            f"since {iso(done.since_ns)}{moment}: {counted} {done.noun}, {percent(done.rate)} ({sure:g} %: {percent(done.low)} to {percent(done.high)})",
        )
    else:
        _print(terminal, f"nothing was counted since {iso(done.since_ns)}{moment}")
    usual = "not known" if math.isnan(done.usual) else percent(done.usual)
    _print(terminal, f"during the incident: {percent(done.during)}; before it: {usual}")
    noticed = "no rate, however large," if math.isnan(done.noticed) else f"{percent(done.noticed)} or more"
    _print(terminal, f"power: {noticed} would have been detected with probability 0.9")
    if done.answer == "unknown":
        if math.isnan(done.needed):
            _print(
                terminal,
                "the rate before the incident is too close to that during it: this test cannot distinguish them",
            )
            return
        time = "" if math.isnan(done.needed_s) else f", about {duration_words(done.needed_s)}"
        _print(
            terminal,
            f"missing: {done.needed:,.0f} more calls{time}".replace(",", " ", 1)
            if done.needed < 1e6
            else f"missing: {done.needed:.2g} more calls{time}",
        )


def _print(terminal: Console, text: str) -> None:
    """Print *text* under a headline, wrapped under itself."""
    terminal.print(textwrap.fill(text, terminal.width, initial_indent="  ", subsequent_indent="    "), soft_wrap=True)


def _mark(source: StoredSource, finding: Finding, args: argparse.Namespace) -> int:
    if finding.onset.ended_ns is not None:
        raise ConfigurationError(
            f"incident {finding.id} ended at {iso(finding.onset.ended_ns)}: there is nothing to {args.incident_command}"
        )
    if not args.why.strip():
        raise ConfigurationError(f"--why is empty; state why you {args.incident_command} it")
    now = wall_ns()
    until = now + int(args.length_s * 1e9)
    identity = identity_of(finding, finding.check)
    said = Annotation(
        0, args.incident_command, finding.where.model, finding.id, identity, now, until, args.why.strip(), author(), now
    )
    add_annotation(source.annotations_path, said)
    done = "acknowledged" if args.incident_command == "ack" else "muted"
    print(f"{done} until {iso(until)}; undo it with: radiosonde incident reopen {finding.id}")
    return 0


def _reopen(source: StoredSource, finding: Finding) -> int:
    said = [each for each in source.annotations() if each.incident == finding.id and each.withdrawn_ns is None]
    if not said:
        raise ConfigurationError(f"incident {finding.id} is neither acknowledged nor muted")
    for path in filter(Path.is_file, source.annotations_paths):
        for each in read_annotations(path):
            if each.incident == finding.id and each.withdrawn_ns is None:
                withdraw_annotation(path, each.annotation_id, wall_ns())
    print(f"reopened {finding.id}")
    return 0


def _document(finding: Finding, end_ns: int) -> dict[str, Any]:
    return {**finding.to_json(), "duration_s": _lasted_s(finding, end_ns)}


def _lasted_s(finding: Finding, end_ns: int) -> float:
    return ((finding.onset.ended_ns or end_ns) - finding.onset.at_ns) / 1e9


def _dump(document: dict[str, Any]) -> None:
    json.dump(document, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def _seconds(text: str) -> float:
    return _between(text, _SHORTEST_S, _LONGEST_S, "1m to 90d")


def _limit(text: str) -> float:
    return _between(text, 1.0, 3600.0, "1s to 1h")


def _between(text: str, shortest_s: float, longest_s: float, bounds: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not shortest_s <= seconds <= longest_s:
        raise argparse.ArgumentTypeError(f"{text!r} is out of bounds; give a time from {bounds}")
    return seconds
