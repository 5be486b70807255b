"""``radiosonde diagnose STORE``: report what is wrong in a store.

Exit 0 healthy, 1 findings, 2 could not run, 3 a required check could not be made, 4 nothing was written lately.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde._clock import wall_ns
from radiosonde.cli._stores import add_stores, filled_in, model_name, policy_of, stores_of, time_ns
from radiosonde.cli._terminal import console, write_report
from radiosonde.diagnose import EXIT_CODES, SUBJECTS, Freshness, check, print_diagnosis, render_html
from radiosonde.diagnose.feature_panel import KLL_KIND
from radiosonde.diagnose.finding import iso
from radiosonde.errors import ConfigurationError
from radiosonde.sources import open_source

if TYPE_CHECKING:
    from radiosonde.diagnose import Diagnosis
    from radiosonde.sources import StoredSource

_EXIT_CODES = """Exit code: 0 healthy, 1 findings, 2 could not run, 3 a required check could not run, 4 stale (nothing was written for
three windows and ten minutes)."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``diagnose`` to the command line."""
    parser = subparsers.add_parser(
        "diagnose",
        help="report what is wrong, where, and since when, from a store",
        description="Read a store and report what is wrong (data, model version, cohort or latency phase), where, since when, and how certain it is.",
        epilog=_EXIT_CODES,
    )
    add_stores(parser)
    parser.add_argument("--json", action="store_true", help="print the diagnosis as JSON (radiosonde.diagnosis/1)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write the report as one HTML file")
    parser.add_argument(
        "--since",
        type=time_ns,
        metavar="TIME",
        help="use windows from this time on (ISO 8601; UTC without a time zone)",
    )
    parser.add_argument("--until", type=time_ns, metavar="TIME", help="use windows before this time")
    parser.add_argument("--model", type=model_name, help="restrict to this model (default: all)")
    parser.add_argument(
        "--require",
        type=subjects,
        metavar="LIST",
        help=f"checks that a healthy model must have passed: {', '.join(SUBJECTS)}, separated by commas (default: "
        "errors,latency, and features if there is a fitted reference)",
    )


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the garbage collector while a store is read and checked.

    The windows of a month are a million objects in no cycle; the collector looked through them again and again, a sixth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_collector_paused()
def run(args: argparse.Namespace) -> int:
    """Diagnose the store that *args* names and return the exit code.

    Raises:
        StoreError: the store cannot be read.
        ConfigurationError: --since is not before --until, the report cannot be written, or the extra ``desk`` is not installed.
    """
    if args.since is not None and args.until is not None and args.since >= args.until:
        raise ConfigurationError("--since must be before --until; swap them")
    terminal = None if args.json else console()
    stores = stores_of(args.store)
    source = open_source(stores, sketches=(KLL_KIND,), label_cells=False, batched=True)
    # A window that only overlaps the interval would include data outside it.
    windows = [
        window
        for window in (
            *source.windows(args.since, args.until, args.model),
            *source.runtime_windows(args.since, args.until),
        )
        if window.lost is not None  # a loss that overlaps the interval counts
        or (
            (args.since is None or window.start_ns >= args.since)
            and (args.until is None or window.end_ns <= args.until)
        )
    ]
    written_ns = source.last_written_ns()
    diagnosis = check(
        windows,
        source.references(),
        model=args.model,
        require=args.require,
        freshness=None if written_ns is None else Freshness(written_ns, wall_ns()),
        past=args.until is not None,
        policy=policy_of(stores, source),
    )
    if not diagnosis.windows:
        diagnosis = _with_holdings(diagnosis, source)
    command = filled_in(stores, source)
    if terminal is None:
        json.dump(diagnosis.to_json(), sys.stdout, indent=2, allow_nan=False)
        sys.stdout.write("\n")
    else:
        print_diagnosis(diagnosis, terminal, command=command)
    if args.html is not None:
        write_report(args.html, render_html(diagnosis, title=f"Diagnosis of {stores[0].name}", command=command))
        if terminal is not None:
            terminal.print(f"\nreport: {args.html}", soft_wrap=True)
    return EXIT_CODES[diagnosis.status]


def _with_holdings(diagnosis: Diagnosis, source: StoredSource) -> Diagnosis:
    """Return *diagnosis*, which found no window, with the contents of the store."""
    held = [summary for place in source.places for summary in place.summaries()]
    if not held:
        return diagnosis
    models = ", ".join(sorted({repr(summary.model) for summary in held}))
    first, last = min(summary.start_ns for summary in held), max(summary.end_ns for summary in held)
    said = f"; the store has windows of {models} from {iso(first)} to {iso(last)}"
    return replace(diagnosis, missing=tuple(replace(gap, because=gap.because + said) for gap in diagnosis.missing))


def subjects(text: str) -> tuple[str, ...]:
    """Return the subjects that *text* lists, for argparse.

    Raises:
        ArgumentTypeError: one of them is none.
    """
    named = tuple(word.strip() for word in text.split(",") if word.strip())
    unknown = [word for word in named if word not in SUBJECTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} cannot be required; choose from {', '.join(SUBJECTS)}")
    return named
