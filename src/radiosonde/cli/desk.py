"""``radiosonde desk``: serve pages on the models and incidents of stores, on this machine."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from contextlib import suppress

from radiosonde.cli._stores import add_stores, filled_in, policy_of, stores_of

_PORT = 8766


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``desk`` to the command line."""
    parser = subparsers.add_parser(
        "desk",
        help="serve pages on all models and incidents, on this machine",
        description="Serve pages on 127.0.0.1: all models, each model over time, each incident with its runbook. Stores are only read, and "
        "diagnosed in the background. Ends on Ctrl-C.",
        epilog="Exit code: 0 ended, 2 could not run.",
    )
    add_stores(parser)
    parser.add_argument("--port", type=int, default=_PORT, help="port, 0 for a free one (default: %(default)s)")
    parser.add_argument("--watch", action="store_true", help="diagnose as the stores grow, also while no page is open")
    parser.add_argument("--look", action="store_true", help=argparse.SUPPRESS)  # the process that diagnoses
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: no store is named, or the port is not available.
    """
    from radiosonde.desk import LookingProcess, look_for_desk, serve

    if args.look:
        look_for_desk(sys.stdin.buffer, sys.stdout.fileno(), policy_of, filled_in)
        return 0
    looking = LookingProcess([store.absolute() for store in stores_of(args.store)], watch=args.watch)

    def ready(address: str) -> None:
        print(f"desk at {address} (Ctrl-C ends it)", flush=True)
        if not args.no_browser:
            with suppress(webbrowser.Error):
                webbrowser.open(address)

    serve(looking, args.port, ready)
    return 0
