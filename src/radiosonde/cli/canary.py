"""``radiosonde canary STORE``: is the new version worse, better, or as good as the old one?

Exit 0 promote, 1 worse, 2 could not run, 3 keep going, 4 no recent data, 5 the traffic split differs from the configured one.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde._clock import wall_ns
from radiosonde.cli._stores import add_stores, exclusions, model_name, stores_of, time_ns
from radiosonde.cli._terminal import console, write_report
from radiosonde.diagnose import Freshness
from radiosonde.diagnose.canary import (
    DEFAULT_REQUIRED,
    EXIT_CODES,
    MARGINS,
    SUBJECTS,
    CanaryReport,
    NothingToCompare,
    judge_rollout,
    make_rollout,
)
from radiosonde.diagnose.canary.html import render_canary
from radiosonde.diagnose.canary.text import print_canary
from radiosonde.diagnose.finding import iso
from radiosonde.diagnose.known_bad import in_force, without
from radiosonde.diagnose.lost import hole_of, hole_words
from radiosonde.diagnose.status import window_length_ns
from radiosonde.errors import ConfigurationError
from radiosonde.sources import open_source

if TYPE_CHECKING:
    from radiosonde.model import Window
    from radiosonde.sources import StoredSource

_EXIT_CODES = """Exit code: 0 promote (nothing required is worse, and a difference that matters is ruled out), 1 worse, 2 could not run,
3 keep going (not decided yet), 4 stale (nothing was written for three windows and ten minutes), 5 the new version does not get the calls
that it should."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``canary`` to the command line."""
    parser = subparsers.add_parser(
        "canary",
        help="compare a new version with the old one during a rollout; may be repeated at any time",
        description="Compare a new version of a model with the old one: failures, p99 latency, wrong answers, confidence, for each cohort. The verdict remains valid under repeated use.",
        epilog=_EXIT_CODES,
    )
    add_stores(parser)
    parser.add_argument("--model", type=model_name, help="the model (default: the only one in the store)")
    parser.add_argument("--old", metavar="VERSION", help="version to compare with, or VERSION/VARIANT (default: the one with the most calls)")  # fmt: skip
    parser.add_argument("--new", metavar="VERSION", help="version that is rolled out (default: the one that began last)")  # fmt: skip
    parser.add_argument("--share", type=_share, metavar="SHARE", help="share of the calls that the new version should get, as in 0.1")  # fmt: skip
    parser.add_argument("--uneven", action="store_true", help="cohorts are meant to get different shares: do not compare them")  # fmt: skip
    parser.add_argument(
        "--margin", type=_margin, action="append", default=[], metavar="MEASURE=SIZE",
        help="largest difference that does not matter: a share (errors=0.005, labels=0.02, confidence=0.05), or a factor of the p99 (latency=1.3); those are the defaults",
    )  # fmt: skip
    parser.add_argument(
        "--require", type=_subjects, metavar="LIST", default=DEFAULT_REQUIRED,
        help=f"measures that must be decided before anything is promoted: {', '.join(SUBJECTS)}, separated by commas (default: errors,latency)",
    )  # fmt: skip
    parser.add_argument("--since", type=time_ns, metavar="TIME", help="use windows from this time on (ISO 8601; UTC without a time zone)")  # fmt: skip
    parser.add_argument("--until", type=time_ns, metavar="TIME", help="use windows before this time; nothing is stale then")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the report as JSON (radiosonde.canary/1)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write the report as one HTML file")


def run(args: argparse.Namespace) -> int:
    """Compare the versions in the store that *args* names and return the exit code.

    Raises:
        StoreError: the store cannot be read.
        ConfigurationError: the model or the versions are ambiguous, the report cannot be written, or the extra ``desk`` is not installed.
    """
    terminal = None if args.json else console()
    stores = stores_of(args.store)
    source = open_source(stores, sketches=False, label_cells=False)
    given = _windows(source, args)
    model = given[0].key.model
    excluded = in_force(exclusions(source), model, given)
    windows = without(given, excluded)
    report = _report(windows, args, is_stale=_is_stale(source, windows, args))
    hole = hole_of(model, windows, list(source.runtime_windows(args.since, args.until)))
    left_out = [f"{iso(each.start_ns)} to {iso(each.end_ns)} is excluded: {each.why}" for each in excluded]
    report = replace(report, without=(*left_out, *report.without, *([] if hole is None else [hole_words(hole)])))
    if terminal is None:
        json.dump(report.to_json(), sys.stdout, indent=2, allow_nan=False)
        sys.stdout.write("\n")
    else:
        store = " ".join(shlex.quote(str(path)) for path in stores)
        print_canary(report, terminal, next_command=f"radiosonde diagnose {store} --model {shlex.quote(report.model)}")
    if args.html is not None:
        write_report(args.html, render_canary(report))
        if terminal is not None:
            terminal.print(f"report: {args.html}", soft_wrap=True)
    return EXIT_CODES[report.status]


def _windows(source: StoredSource, args: argparse.Namespace) -> list[Window]:
    if args.since is not None and args.until is not None and args.since >= args.until:
        raise ConfigurationError("--since must be before --until; swap them")
    found = [
        window
        for window in source.windows(args.since, args.until, args.model)
        if (args.since is None or window.start_ns >= args.since) and (args.until is None or window.end_ns <= args.until)
    ]
    models = sorted({window.key.model for window in found})
    if len(models) == 1:
        return found
    if models:
        raise ConfigurationError(f"the store has several models; name one with --model: {', '.join(models)}")
    held = sorted({summary.model for place in source.places for summary in place.summaries()})
    which = f" of model {args.model!r}" if args.model else ""
    raise ConfigurationError(
        f"there is no window{which} to compare; the store has {', '.join(map(repr, held)) or 'none at all'}: "
        "check --model, --since and --until, or let the model serve first"
    )


def _report(windows: list[Window], args: argparse.Namespace, *, is_stale: bool) -> CanaryReport:
    margins = {**MARGINS, **dict(args.margin)}
    try:
        rollout = make_rollout(windows, args.old, args.new)
    except NothingToCompare as reason:
        model = windows[0].key.model
        return CanaryReport(model, args.old or "", args.new or "", required=args.require, waiting=f"nothing to compare yet: {reason}", is_stale=is_stale)  # fmt: skip
    report = judge_rollout(rollout, margins, required=args.require, expected_share=args.share, uneven=args.uneven)
    return replace(report, is_stale=is_stale)


def _is_stale(source: StoredSource, windows: list[Window], args: argparse.Namespace) -> bool:
    written_ns = source.last_written_ns()
    if written_ns is None or args.until is not None:
        return False
    return Freshness(written_ns, wall_ns()).is_stale(window_length_ns(windows))


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share; pass a number between 0 and 1, as in --share 0.1")
    return share


def _margin(text: str) -> tuple[str, float]:
    name, _, size = text.partition("=")
    try:
        value = float(size)
    except ValueError:
        value = float("nan")
    if name not in SUBJECTS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a measure; choose from {', '.join(SUBJECTS)}, as in errors=0.005")  # fmt: skip
    if name == "latency" and not 1 < value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r}: a factor of the p99 is above 1 and at most 100, as in latency=1.3")
    if name != "latency" and not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a margin is a share between 0 and 1, as in {name}=0.01")
    return name, value


def _subjects(text: str) -> tuple[str, ...]:
    named = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in named if word not in SUBJECTS]
    if unknown or not named:
        raise argparse.ArgumentTypeError(f"{(unknown or [text])[0]!r} cannot be required; choose from {', '.join(SUBJECTS)}")  # fmt: skip
    return tuple(subject for subject in SUBJECTS if subject in named)
