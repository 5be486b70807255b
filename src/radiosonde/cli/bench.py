"""``radiosonde bench module:function``: measure the overhead of observing the user's own model or server.

Exit codes: 0 measured, with any result; 2 cannot be measured, with the reason; 130 interrupted before there was a result. A later interrupt
ends the measurement and reports the results so far.
"""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from radiosonde.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from radiosonde.bench.results import Results
    from radiosonde.cli import Subparsers

    Progress = Callable[[int, int], None]

SHORTEST_S, LONGEST_S = 0.5, 3600.0
_FORMS = ("auto", "dict", "list", "array", "frame", "kwargs")


def add_parser(subparsers: Subparsers) -> None:
    """Add the command ``bench``."""
    summary = "measure the overhead of observing your own model or server"
    parser = subparsers.add_parser(
        "bench", help=summary,
        description=f"{summary[0].upper()}{summary[1:]}. It is called bare and observed in turns, compared with one Histogram.record of "
        "OpenTelemetry. Nothing is written to your own store, spool or backend.",
    )  # fmt: skip
    parser.add_argument(
        "target", nargs="?", metavar="MODULE:FUNCTION",
        help="function to call, as in model:predict, serve.py:predict or model:pipeline.predict_proba",
    )  # fmt: skip
    parser.add_argument(
        "--input", metavar="FILE",
        help="rows to call it with: Parquet, JSON, JSON lines or CSV (default: generated from its signature, its estimator or a reference)",
    )  # fmt: skip
    parser.add_argument(
        "--as", dest="form", choices=_FORMS, default="auto", help="type to pass a row as (default: from the signature)"
    )
    parser.add_argument("--batch", type=int, default=1, metavar="ROWS", help="rows per call (default: %(default)s)")
    parser.add_argument("--reference", metavar="FILE", help="reference profile of the model")
    parser.add_argument("--server", metavar="URL", help="measure the observed server at this URL, by POST requests")
    parser.add_argument("--bare", metavar="URL", help="URL of the same server, started with RADIOSONDE_DISABLED=true")
    parser.add_argument(
        "--serve",
        metavar="COMMAND",
        help="command that starts a server, with {port} in it; --server is then the path, as in /predict",
    )
    parser.add_argument(
        "--seconds", type=float, default=10.0, metavar="S", help="duration of the measurement (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON")


def run(args: argparse.Namespace) -> int:
    """Measure the target in *args*, print the results and return the exit code.

    Raises:
        ConfigurationError: it cannot be measured.
    """
    if not SHORTEST_S <= args.seconds <= LONGEST_S:
        raise ConfigurationError(f"--seconds is {args.seconds}; pass {SHORTEST_S} to {LONGEST_S:.0f}")
    if args.batch < 1:
        raise ConfigurationError(f"--batch is {args.batch}; pass 1 or more")
    results = _server(args) if args.server or args.serve else _function(args)
    if args.json:
        print(json.dumps(results.document(), indent=2))
    else:
        _print(results)
    return 0


def _function(args: argparse.Namespace) -> Results:
    from radiosonde.bench.process import Orders, measure

    if args.target is None:
        raise ConfigurationError(
            "nothing to measure; pass a function, as in radiosonde bench model:predict, or --server URL"
        )
    orders = Orders(args.target, args.input, args.form, args.batch, args.seconds, args.reference)
    with _progress(f"calling {args.target}") as progress:
        return measure(orders, progress)


def _server(args: argparse.Namespace) -> Results:
    from radiosonde.bench.server import ServerOrders, measure

    orders = ServerOrders(args.server, args.bare, args.serve, args.input, args.seconds)
    with _progress("calling both servers") as progress:
        return measure(orders, progress)


def _progress(title: str) -> AbstractContextManager[Progress | None]:
    from radiosonde.cli._terminal import progress_bar, require_rich

    try:
        require_rich()
    except ConfigurationError:
        return nullcontext()
    return progress_bar(title)


def _print(results: Results) -> None:
    from radiosonde.bench.results import lines, verdict

    table = lines(results)
    width = max(len(what) for what, *_ in table)
    print(f"{'':{width}}  {'bare':>14}  {'observed':>14}  {'added':>14}")
    for what, bare, observed, added in table:
        print(f"{what:{width}}  {bare:>14}  {observed:>14}  {added:>14}")
    for reason, count in results.losses.items():
        print(f"{f'lost, {reason}':{width}}  {'':>14}  {count:>14,}")
    print()
    print(verdict(results))
    if results.was_interrupted:
        print(f"Interrupted after {results.rounds} rounds; run it longer for a more precise result.", file=sys.stderr)
