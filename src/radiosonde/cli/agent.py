"""``radiosonde agent --spool DIR``: drain the rings of all model-server processes on this host."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from radiosonde._guard import Guard
from radiosonde._pipeline._worker import told_to_end
from radiosonde._pipeline.agent import Agent
from radiosonde._pipeline.agent_outlets import AgentOutlets
from radiosonde._ring.spool import Spool

TURN_EVERY_S = 0.05


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "agent",
        help="drain the rings of all processes in a spool, store and export what they counted",
        description="Drain the rings of all model-server processes in a spool folder (theirs: RADIOSONDE_SPOOL=DIR "
        "RADIOSONDE_AGENT=1) and store, serve and export what they counted, as one process. Ends on SIGTERM or Ctrl-C, "
        "with everything durable; may be killed and started again at any time.",
    )
    parser.add_argument("--spool", metavar="DIR", required=True, help="the spool folder")
    parser.add_argument("--store", metavar="FILE", help="store to write (default: agent.sqlite in the spool)")
    parser.add_argument("--window-s", type=float, default=60.0, metavar="S", help="length of a window (default: 60)")
    parser.add_argument("--prometheus-port", type=int, metavar="PORT", help="serve /metrics on 127.0.0.1 at PORT")
    parser.add_argument("--otlp", action="store_true", help="export over OTLP (OTEL_EXPORTER_OTLP_* say where to)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Drain until told to end.

    Raises:
        SpoolError: the folder cannot be used, or another agent drains it.
        StoreError: the store cannot be opened.
    """
    guard = Guard()
    agent = Agent(Spool(args.spool), guard, store=Path(args.store) if args.store else None, window_s=args.window_s)
    outlets = AgentOutlets(agent, guard, port=args.prometheus_port, otlp=args.otlp)
    ending = told_to_end()
    print(f"draining {args.spool} into {agent.store}{outlets.said}", flush=True)
    while not ending.wait(TURN_EVERY_S):
        guard.call("agent", agent.turn)
        if guard.is_disabled("agent"):
            # Alive and draining nothing would be the worst of both: whoever keeps it running can start it again.
            print(
                "radiosonde: every turn fails (see the log above); ending, so that it can be restarted", file=sys.stderr
            )
            outlets.close()
            return 2
    guard.call("agent", agent.turn)  # what was published last goes out too
    outlets.close()
    done = agent.close()
    if not done:
        print("radiosonde: what was counted last could not be stored; it is still in the rings", file=sys.stderr)
    return 0 if done else 2
