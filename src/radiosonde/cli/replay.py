"""``radiosonde replay TABLE --model module:function``: predict recorded rows again, and compare the answers row by row.

The work is done in a process of its own with Radiosonde switched off, so that the user's code, which is imported there, neither records the
replay as traffic nor writes to a store, a spool or a backend.
"""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde.cli._arguments import name_list
from radiosonde.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse

    from radiosonde.cli import Subparsers
    from radiosonde.forensics.replay import ReplayRequest, ReplayResult

EQUAL, DIFFERENT, NOT_COMPARABLE = 0, 1, 3
CHILD = "--in-this-process"


def add_parser(subparsers: Subparsers) -> None:
    """Add the command ``replay``."""
    summary = "predict recorded rows again, and compare the answers row by row"
    parser = subparsers.add_parser(
        "replay",
        help=summary,
        description=f"{summary}: with those recorded, with another model's, or with those to corrected features. Nothing is recorded. "
        "Exit code: 0 equal, 1 different, 2 could not run, 3 the model is not deterministic or there are no rows.",
    )
    add = parser.add_argument
    add("table", type=Path, metavar="TABLE", help="Parquet or CSV file, or a folder of Parquet files")
    add(
        "--model",
        required=True,
        metavar="MODULE:FUNCTION",
        help="function that predicts, as in model:predict or serve.py:predict",
    )
    add("--prediction", metavar="COLUMN", help="column of the recorded predictions; compares them with the model's")
    add("--against", metavar="MODULE:FUNCTION", help="another function; compares its predictions with the model's")
    add(
        "--features",
        type=Path,
        metavar="FILE",
        help="table of corrected features; compares the predictions for them with those for TABLE",
    )
    add("--key", metavar="COLUMN", help="column that identifies a row in both tables (default: rows in the same order)")
    add(
        "--columns",
        type=name_list,
        metavar="A,B",
        help="columns given to the model, in this order (default: all but those of --prediction, --key, --time and --by)",
    )
    add("--as", dest="form", choices=("auto", "dict", "list", "array", "frame", "kwargs"), default="auto",
        help="type to pass rows as (default: from the signature)")  # fmt: skip
    add("--batch", type=int, default=1000, metavar="ROWS", help="rows per call; 1 passes single rows (default: 1000)")
    add("--output", metavar="NAME", help="entry to compare of predictions that are dicts")
    add("--tolerance", type=float, default=1e-9, metavar="T",
        help="absolute or relative difference of numbers that counts as equal (default: 1e-9)")  # fmt: skip
    add("--by", type=name_list, default=(), metavar="A,B", help="columns to group the differences by")
    add("--time", metavar="COLUMN", help="column of event times; says in which windows predictions differ")
    add("--window", type=float, default=3600.0, metavar="SECONDS", help="length of windows (default: 3600)")
    add(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="keep the predictions as Parquet; a repeated command goes on from there",
    )
    add("--json", action="store_true", help="print JSON")
    add(
        CHILD,
        dest="is_child",
        action="store_true",
        help="import the model in this process, with Radiosonde as it is set up",
    )


def run(args: argparse.Namespace) -> int:
    """Replay, and return 0 for equal, 1 for different, 3 for not comparable."""
    request = _request(args)
    return _here(args, request) if args.is_child else _in_child(args)


def _request(args: argparse.Namespace) -> ReplayRequest:
    from radiosonde.forensics.files import TableFile
    from radiosonde.forensics.replay import ReplayRequest

    if args.batch < 1:
        raise ConfigurationError(f"--batch is {args.batch}; pass 1 or more")
    if not (math.isfinite(args.tolerance) and args.tolerance >= 0):
        raise ConfigurationError(f"--tolerance is {args.tolerance}; pass 0 or more")
    if not (math.isfinite(args.window) and args.window > 0):
        raise ConfigurationError(f"windows of {args.window} seconds are not possible; give --window a positive number")
    apart = {args.prediction, args.key, args.time, *args.by}
    columns = args.columns or tuple(name for name in TableFile(args.table).names if name not in apart)
    if not columns:
        raise ConfigurationError(f"{args.table} has no column left for the model; name at least one with --columns")
    return ReplayRequest(
        args.table, columns, args.prediction, args.by, args.time, args.window, args.key, args.tolerance
    )


def _in_child(args: argparse.Namespace) -> int:
    """Run the command in a process with Radiosonde switched off, and return its exit code."""
    from radiosonde._settings import bench_environment

    command = [sys.executable, "-m", "radiosonde.cli", *_arguments(args)]
    sys.stdout.flush()
    # A session of its own: Ctrl-C reaches it once, from here.
    child = subprocess.Popen(  # noqa: S603 - this interpreter, and our own command
        command, env=bench_environment("", disabled=True), stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while True:
            with suppress(KeyboardInterrupt):
                return child.wait()
            child.send_signal(signal.SIGINT)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def _arguments(args: argparse.Namespace) -> list[str]:
    """Return the arguments that were parsed, for the process that does the work."""
    given = ["replay", f"--model={args.model}", f"--as={args.form}", f"--batch={args.batch}"]
    given += [f"--tolerance={args.tolerance!r}", f"--window={args.window!r}", *(["--json"] if args.json else [])]
    for name in ("prediction", "against", "features", "key", "output", "time", "out"):
        value = getattr(args, name)
        given += [] if value is None else [f"--{name}={value}"]
    for name in ("columns", "by"):
        given += [f"--{name}={','.join(getattr(args, name))}"] if getattr(args, name) else []
    return [*given, CHILD, "--", str(args.table)]


def _here(args: argparse.Namespace, request: ReplayRequest) -> int:
    from radiosonde.bench.asked import AskedModel
    from radiosonde.cli._replay_report import document, lines
    from radiosonde.cli._terminal import progress_bar
    from radiosonde.forensics.replay import replay

    with ExitStack() as stack:
        # Output of the user's code goes to stderr: stdout is for the result.
        stdout, sys.stdout = sys.stdout, sys.stderr
        stack.callback(setattr, sys, "stdout", stdout)
        models = [
            stack.enter_context(closing(AskedModel(name, args.form, args.batch, args.output)))
            for name in (args.model, args.against)
            if name is not None
        ]
        progress = stack.enter_context(progress_bar(f"replaying {args.table.name}"))
        try:
            found = replay(
                request, models[0], other=models[1] if args.against else None, corrected=args.features, out=args.out,
                progress=lambda done, rows: progress(done, rows) if progress is not None and rows else None,
            )  # fmt: skip
        except KeyboardInterrupt:
            if args.out is not None:
                sys.stderr.write(f"{args.out} holds the rows so far; run the same command again to go on\n")
            raise
    if args.json:
        sys.stdout.write(json.dumps(document(found, args), indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(lines(found, args)) + "\n")
    return _code(found)


def _code(found: ReplayResult) -> int:
    if not found.is_comparable:
        return NOT_COMPARABLE
    return DIFFERENT if found.differs else EQUAL
