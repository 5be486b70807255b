"""``radiosonde baseline``: intervals of the past to exclude from baselines, because something is known to have been wrong in them.

Ended incidents are excluded automatically; this is for periods that no check finds: load tests, replays, outages of a caller.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radiosonde._clock import wall_ns
from radiosonde.cli._stores import HELP, address, author, model_name, stores_of, time_ns
from radiosonde.cli._terminal import console
from radiosonde.diagnose.finding import iso
from radiosonde.errors import ConfigurationError
from radiosonde.sources import open_source
from radiosonde.store import Annotation, add_annotation, withdraw_annotation
from radiosonde.store.annotations import read_annotations

if TYPE_CHECKING:
    import argparse

    from radiosonde.sources import StoredSource

SCHEMA = "radiosonde.baseline/1"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``baseline show``, ``baseline exclude`` and ``baseline include`` to the command line."""
    parser = subparsers.add_parser("baseline", help="show, exclude and include intervals of the past")
    commands = parser.add_subparsers(dest="baseline_command", required=True, metavar="COMMAND")
    showing = commands.add_parser(
        "show",
        help="list the excluded intervals",
        description="List the intervals that serve as no baseline. Ended incidents, which are left out too, are listed by radiosonde diagnose.",
    )
    showing.add_argument("store", type=address, nargs="*", metavar="STORE", help=HELP)
    showing.add_argument("--all", action="store_true", help="also those that were included again")
    showing.add_argument("--json", action="store_true", help=f"print them as JSON ({SCHEMA})")
    excluding = commands.add_parser(
        "exclude",
        help="exclude an interval",
        description="Exclude an interval from every baseline: every check treats it as time in which nothing was recorded. "
        "An interval that reaches to the last window takes effect when later windows exist.",
        epilog="Exit code: 0 excluded, 2 could not be written.",
    )
    excluding.add_argument("store", type=address, nargs="?", metavar="STORE", help=HELP)
    excluding.add_argument("start", type=time_ns, metavar="FROM", help="start (ISO 8601; UTC without a time zone)")
    excluding.add_argument("end", type=time_ns, metavar="TO", help="end")
    excluding.add_argument("--why", required=True, metavar="TEXT", help="the reason, shown to others")
    excluding.add_argument(
        "--model",
        default="",
        type=lambda text: text and model_name(text),
        help="exclude it for this model only (default: all)",
    )
    including = commands.add_parser(
        "include", help="undo an exclusion", description="Undo an exclusion, by the number that baseline show lists."
    )
    including.add_argument("store", type=address, nargs="?", metavar="STORE", help=HELP)
    including.add_argument("number", type=int, metavar="NUMBER", help="number of the exclusion")


def run(args: argparse.Namespace) -> int:
    """Run the command that *args* names and return the exit code.

    Raises:
        StoreError: the store cannot be read or written.
        ConfigurationError: the interval is empty, there is no such exclusion, or no store is named.
    """
    given = args.store if isinstance(args.store, list) else [args.store] if args.store is not None else []
    source = open_source(stores_of(given), sketches=False, label_cells=False)
    if args.baseline_command == "exclude":
        return _exclude(args, source)
    if args.baseline_command == "include":
        return _include(args.number, source)
    return _show(source, is_all=args.all, as_json=args.json)


def _exclude(args: argparse.Namespace, source: StoredSource) -> int:
    if args.start >= args.end:
        raise ConfigurationError("FROM must be before TO; swap them")
    if not args.why.strip():
        raise ConfigurationError("--why is empty; state why the interval is not a baseline")
    held = [summary for place in source.places for summary in place.summaries()]
    models = sorted({summary.model for summary in held})
    if args.model and args.model not in models:
        raise ConfigurationError(
            f"the store has no model {args.model!r}; it has {', '.join(map(repr, models)) or 'none'}"
        )
    mine = [summary for summary in held if args.model in ("", summary.model)]
    if mine and not any(each.start_ns < args.end and each.end_ns > args.start for each in mine):
        first, last = min(each.start_ns for each in mine), max(each.end_ns for each in mine)
        raise ConfigurationError(
            f"there are no windows in that interval; the store has windows from {iso(first)} to {iso(last)}"
        )
    said = Annotation(0, "exclude", args.model, "", "", args.start, args.end, args.why.strip(), author(), wall_ns())
    number = add_annotation(source.annotations_path, said).annotation_id
    print(
        f"excluded {iso(args.start)} to {iso(args.end)} from every baseline; undo it with: radiosonde baseline include {number}"
    )
    if mine and args.end >= max(each.end_ns for each in mine):
        print(
            "it reaches to the last window: it takes effect when later windows exist; ongoing incidents are still checked"
        )
    return 0


def _include(number: int, source: StoredSource) -> int:
    open_ones = [each for each in source.annotations() if each.purpose == "exclude" and each.withdrawn_ns is None]
    if number not in {each.annotation_id for each in open_ones}:
        known = ", ".join(str(each.annotation_id) for each in open_ones) or "none is in force"
        raise ConfigurationError(f"there is no exclusion {number}; those in force: {known}")
    for path in filter(Path.is_file, source.annotations_paths):
        said = read_annotations(path)
        if any(each.annotation_id == number and each.purpose == "exclude" for each in said):
            withdraw_annotation(path, number, wall_ns())
    print(f"included again: exclusion {number}")
    return 0


def _show(source: StoredSource, *, is_all: bool, as_json: bool) -> int:
    chosen = [
        each for each in source.annotations() if each.purpose == "exclude" and (is_all or each.withdrawn_ns is None)
    ]
    if as_json:
        json.dump({"schema": SCHEMA, "excluded": [_document(each) for each in chosen]}, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return 0
    terminal = console()
    for each in chosen:
        state = "" if each.withdrawn_ns is None else f", included again {iso(each.withdrawn_ns)}"
        who = f" by {each.author}" if each.author else ""
        terminal.print(
            f"{each.annotation_id:>3}  {iso(each.start_ns)} to {iso(each.end_ns)}  {each.model or 'all models'}",
            soft_wrap=True,
        )
        terminal.print(f"     {each.why} ({iso(each.written_ns)}{who}{state})", soft_wrap=True)
    if not chosen:
        terminal.print("no interval is excluded")
    return 0


def _document(said: Annotation) -> dict[str, Any]:
    return {
        "number": said.annotation_id,
        "model": said.model,
        "start_ns": said.start_ns,
        "end_ns": said.end_ns,
        "start": iso(said.start_ns),
        "end": iso(said.end_ns),
        "why": said.why,
        "author": said.author,
        "written_ns": said.written_ns,
        "withdrawn_ns": said.withdrawn_ns,
    }
