"""``radiosonde diagnose STORE``: read a store and say what is wrong. Exit 0 healthy, 1 findings, 2 could not run."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde.cli._terminal import console
from radiosonde.diagnose import check, print_diagnosis, render_html
from radiosonde.errors import ConfigurationError
from radiosonde.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from radiosonde.sources import StoredSource

HEALTHY, FINDINGS = 0, 1


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``diagnose`` to the command line."""
    parser = subparsers.add_parser(
        "diagnose",
        help="read a store and say what is wrong, where, and since when",
        description="Read a store and say what is wrong: data, model version, cohort or latency phase; where, since when, how sure.",
        epilog="Exit code: 0 healthy, 1 findings, 2 could not run.",
    )
    parser.add_argument(
        "store", type=Path, nargs="+", metavar="STORE", help="SQLite file, sealed folder, or folder of both"
    )
    parser.add_argument("--json", action="store_true", help="print the diagnosis as JSON (radiosonde.diagnosis/1)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write the report as one HTML file")
    parser.add_argument(
        "--since",
        type=_time_ns,
        metavar="TIME",
        help="look at windows from this time on (ISO 8601, UTC unless it says so)",
    )
    parser.add_argument("--until", type=_time_ns, metavar="TIME", help="... and before this time")
    parser.add_argument("--model", help="look at this model only (default: all)")


def run(args: argparse.Namespace) -> int:
    """Diagnose the store that *args* names and return the exit code.

    Raises:
        StoreError: the store cannot be read.
        NothingToCheckError: it holds no window that was asked for.
        ConfigurationError: the report cannot be written, or the extra ``desk`` is not installed.
    """
    terminal = None if args.json else console()
    source = open_source(list(args.store))
    # A window that only overlaps the interval would bring in what is outside it.
    windows = [
        window
        for window in (
            *source.windows(args.since, args.until, args.model),
            *source.runtime_windows(args.since, args.until),
        )
        if (args.since is None or window.start_ns >= args.since) and (args.until is None or window.end_ns <= args.until)
    ]
    diagnosis = check(windows, source.references(), model=args.model)
    command = _filled_in(args.store, source)
    if terminal is None:
        json.dump(diagnosis.to_json(), sys.stdout, indent=2, allow_nan=False)
        sys.stdout.write("\n")
    else:
        print_diagnosis(diagnosis, terminal, command=command)
    if args.html is not None:
        _write(args.html, render_html(diagnosis, title=f"Diagnosis of {args.store[0].name}", command=command))
        if terminal is not None:
            terminal.print(f"\nreport: {args.html}", soft_wrap=True)
    return HEALTHY if diagnosis.healthy else FINDINGS


def _filled_in(paths: Sequence[Path], source: StoredSource) -> Callable[[str], str]:
    """Return what puts the store's path into a command: the SQLite file for a query, what the user gave for our own."""
    ours = " ".join(shlex.quote(str(path)) for path in paths)
    database = next((shlex.quote(str(place.path)) for place in source.places if place.path.is_file()), "STORE")

    def fill(command: str) -> str:
        return command.replace("STORE", ours if command.startswith("radiosonde") else database, 1)

    return fill


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"cannot write the report to {path}: {error.strerror}; give --html another file"
        ) from error


def _time_ns(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time; write 2013-03-09, 2013-03-09T14:00 or 2013-03-09T14:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp()) * 10**9
