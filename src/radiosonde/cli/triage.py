"""``radiosonde triage STORE``: the last minutes on one screen. Exit codes as of ``diagnose``."""

from __future__ import annotations

import json
import shlex
import sys
import textwrap
from typing import TYPE_CHECKING

from radiosonde._clock import wall_ns
from radiosonde.cli._stores import add_stores, model_name, policy_of, stores_of
from radiosonde.cli._terminal import console
from radiosonde.diagnose import EXIT_CODES, Freshness, check
from radiosonde.diagnose.causes_text import print_causes_briefly
from radiosonde.diagnose.known_bad import in_force, without
from radiosonde.diagnose.text import (
    muted_words,
    onset_words,
    place_words,
    reasons,
    responsible_words,
    span_words,
    status_words,
)
from radiosonde.diagnose.triage import TriageLine, triage_lines
from radiosonde.errors import ConfigurationError
from radiosonde.model import RUNTIME_MODEL
from radiosonde.sources import open_source

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from radiosonde.diagnose import Diagnosis

SCHEMA = "radiosonde.triage/1"
_MINUTE_NS = 60_000_000_000
_HISTORY_NS = 28 * 86_400_000_000_000
_MOVED = 1.5


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``triage`` to the command line."""
    parser = subparsers.add_parser(
        "triage",
        help="show the last minutes on one screen: findings, and each signal compared with its usual value",
        description="Show the last minutes on one screen: findings, then traffic, errors, latency, versions, cohorts, processes and data, compared with their usual values.",
        epilog="Exit code: 0 healthy, 1 findings, 2 could not run, 3 a required check could not run, 4 stale.",
    )
    add_stores(parser)
    parser.add_argument("--model", type=model_name, help="restrict to this model (default: all)")
    parser.add_argument(
        "--last", type=int, default=15, metavar="MINUTES", help="length of the period shown (default: 15)"
    )
    parser.add_argument("--json", action="store_true", help="print the screen as JSON (radiosonde.triage/1)")


def run(args: argparse.Namespace) -> int:
    """Print the screen and return the exit code.

    Raises:
        StoreError: the store cannot be read.
        ConfigurationError: *--last* is not a number of minutes, or the extra ``desk`` is not installed.
    """
    if args.last < 1:
        raise ConfigurationError(
            f"--last {args.last} is not a valid number of minutes; pass a positive one, as in --last 15"
        )
    terminal = None if args.json else console()
    stores = stores_of(args.store)
    source = open_source(stores, sketches=False, label_cells=False)
    written_ns = source.last_written_ns()
    windows = [window for window in source.windows(None, None, args.model) if not window.is_of_sketches]
    last = max((window.end_ns for window in windows), default=0)
    windows = [window for window in windows if window.end_ns > last - _HISTORY_NS]
    windows += source.runtime_windows(last - _HISTORY_NS, None)
    freshness = None if written_ns is None else Freshness(written_ns, wall_ns())
    policy = policy_of(stores, source)
    diagnosis = check(windows, source.references(), model=args.model, freshness=freshness, policy=policy)
    faults = [each for each in diagnosis.incidents if each.kind != "drift"]  # what drifts may stay
    signals = {
        model: triage_lines(
            model, without(windows, in_force(policy.known_bad, model, windows)), args.last * _MINUTE_NS, faults
        )
        for model in sorted({window.key.model for window in windows} - {RUNTIME_MODEL})
    }
    if terminal is None:
        shown = [{"model": model, **line._asdict()} for model, lines in signals.items() for line in lines]
        record = {"schema": SCHEMA, "last_minutes": args.last, "signals": shown, "diagnosis": diagnosis.to_json()}
        json.dump(record, sys.stdout, indent=2, allow_nan=False)
        sys.stdout.write("\n")
        return EXIT_CODES[diagnosis.status]
    _print_findings(terminal, diagnosis)
    moved: list[tuple[str, TriageLine]] = []
    for model, lines in signals.items():
        terminal.print(f"\n{model}, last {args.last} minutes, and the usual values", style="bold", highlight=False)
        for line in lines:
            terminal.print(
                f"  {line.subject:<10} {line.now:<62} {line.usual}".rstrip(), highlight=False, soft_wrap=True
            )
            if max(line.ratio, 1 / line.ratio) >= _MOVED:
                moved.append((model, line))
    if diagnosis.findings:
        print_causes_briefly(diagnosis.hypotheses, terminal)
    _print_end(terminal, diagnosis, moved, " ".join(shlex.quote(str(path)) for path in stores))
    return EXIT_CODES[diagnosis.status]


def _print_findings(terminal: Console, diagnosis: Diagnosis) -> None:
    terminal.print(f"{status_words(diagnosis).upper()}  {span_words(diagnosis)}", style="bold", soft_wrap=True)
    for reason in reasons(diagnosis):
        terminal.print(f"  {reason}", highlight=False)
    for finding in diagnosis.findings:
        terminal.print()
        _print_hanging(terminal, f"{finding.severity.upper()}  {finding.title}", "", style="bold")
        _print_hanging(terminal, finding.verdict, "  ")
        _print_hanging(terminal, f"{place_words(finding.where)}; since {onset_words(finding.onset)}", "  ")
        for label, words in responsible_words(finding):
            terminal.print(f"  {label}: {words}", highlight=False, soft_wrap=True)
    for finding in diagnosis.muted:
        terminal.print(f"  muted: {muted_words(finding)}", highlight=False)


def _print_hanging(terminal: Console, text: str, indent: str, style: str = "none") -> None:
    """Print *text* in as many lines as the terminal needs; those after the first are indented, so that findings stand out."""
    lines = textwrap.wrap(text, max(terminal.width, 20), initial_indent=indent, subsequent_indent="  ", break_long_words=False)  # fmt: skip
    for line in lines:
        terminal.print(line, style=style, highlight=False, markup=False, soft_wrap=True)


def _print_end(terminal: Console, diagnosis: Diagnosis, moved: list[tuple[str, TriageLine]], store: str) -> None:
    """Print the largest deviations if nothing is significant, the causes ruled out, and the next command."""
    if not (diagnosis.findings or diagnosis.muted) and diagnosis.windows:
        moved.sort(key=lambda entry: -max(entry[1].ratio, 1 / entry[1].ratio))
        largest = "; ".join(f"{model}: {line.now} ({line.usual})" for model, line in moved[:3]) or "none above 50 %"
        terminal.print()
        _print_hanging(terminal, f"nothing significant; largest deviations: {largest}", "")
    floors = [f"{check.where.model} {check.subject}: {floor.text}" for check in diagnosis.checked for floor in check.floors[:1]]  # fmt: skip
    if floors and not diagnosis.findings:
        _print_hanging(terminal, "ruled out: more than " + "; ".join(floors), "")
    terminal.print(f"\nnext: radiosonde diagnose {store}", highlight=False, soft_wrap=True)
